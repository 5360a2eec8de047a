#!/usr/bin/env bash
# PyAV writes other bytes each time the same frames go into a WebM or Matroska file.
# Seen with av 18.1.0 (its wheel's FFmpeg), numpy 2.4.6, one thread of libvpx-vp9.
#
# The packets are equal. The muxer draws random ids (SegmentUID, TrackUID) in each run, and names no
# date: fixing the metadata changes nothing. MP4, of the same encoder, gives equal bytes.
# `container_options={"fflags": "+bitexact"}` ends it.
#
# A good engineer would expect the same encoder, on one thread, to write the same file, or to find
# a date in it. A cache keyed by the file's hash misses each time.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import io

import av
import numpy as np

frames = np.random.default_rng(1).integers(0, 256, (4, 64, 64, 3), np.uint8)


def write(container_format, **options):
    """Four frames as a clip: the file's bytes, and those of its packets."""
    file, packets = io.BytesIO(), b""
    with av.open(file, "w", format=container_format, **options) as clip:
        stream = clip.add_stream("libvpx-vp9", rate=10, options={"threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for pixels in [*frames, None]:
            frame = None if pixels is None else av.VideoFrame.from_ndarray(pixels, "rgb24")
            for packet in stream.encode(frame):
                packets += bytes(packet)
                clip.mux(packet)
    return file.getvalue(), packets


for container_format, options, expected in (
    ("webm", {}, False),
    ("matroska", {}, False),
    ("mp4", {}, True),
    ("webm", {"container_options": {"fflags": "+bitexact"}}, True),
):
    (first, packets), (second, others) = (write(container_format, **options) for _ in range(2))
    print(f"{container_format} {options}: packets equal {packets == others}, "
          f"files equal {first == second}")
    assert packets == others and (first == second) == expected, "the behaviour has changed"
PYTHON
