#!/usr/bin/env bash
# PyAV: `frame.rotation` of a mirrored clip is that of a turned one. Seen with av 18.1.0.
#
# A display matrix may mirror, as front cameras do: (-1, 0, 0, 1). PyAV tells its angle alone, 180, as
# of a clip that lies upside down. (1, 0, 0, -1) has the angle 0, as a clip that needs nothing. Of the
# eight matrices of right angles, `rotation` cannot tell four from the others. The matrix itself is in
# `frame.side_data`; FFmpeg's programs read that, and mirror.
#
# A good engineer would expect `rotation` to be all that a player needs, or the mirror to be told.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import struct
from pathlib import Path

import av
import numpy as np
from av.sidedata.sidedata import Type


def write(matrix):
    """An MP4 of two frames with a display matrix (ISO 14496-12, 8.3.2)."""
    with av.open("a.mp4", "w") as clip:
        stream = clip.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(2):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            clip.mux(stream.encode(frame))
        clip.mux(stream.encode(None))
    a, b, c, d = (number << 16 for number in matrix)
    data = bytearray(Path("a.mp4").read_bytes())
    place = data.index(b"tkhd") + 44
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    Path("a.mp4").write_bytes(data)


def read():
    """The angle that PyAV tells, and the matrix of the side data."""
    with av.open("a.mp4") as clip:
        frame = next(clip.decode(video=0))
        (data,) = (bytes(d) for d in frame.side_data if d.type is Type.DISPLAYMATRIX)
        a, b, _, c, d = (number >> 16 for number in struct.unpack("9i", data)[:5])
        return abs(frame.rotation), (a, b, c, d)


for turned, mirrored, angle in (
    ((-1, 0, 0, -1), (-1, 0, 0, 1), 180),  # upside down; a front camera
    ((0, 1, -1, 0), (0, 1, 1, 0), 90),
):
    for matrix in (turned, mirrored):
        write(matrix)
        found = read()
        print(f"matrix {matrix}: rotation {found[0]}")
        assert found == (angle, matrix), "the behaviour has changed"
PYTHON
