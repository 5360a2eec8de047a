"""Moving pictures with transparency as WebM. PyAV."""

import io
from fractions import Fraction

import av
import numpy as np

from hourglass.errors import UserError

TIME_BASE = Fraction(1, 1000)  # s, WebM's own
ENCODER = "libvpx-vp9"


def encode_webm(pictures, times, rate, quality, comment):
    """Pictures as a WebM of VP9 whose alpha is kept, without sound.

    Args:
        pictures: PIL images, RGBA, of one even size. times: of each, s, from 0 on.
        rate: frames/s, at most.
        quality: libvpx' CRF, 0 (best) to 63.
        comment: kept in the file.

    Returns:
        bytes.

    Raises:
        UserError: the installed PyAV has no libvpx.
    """
    if ENCODER not in av.codecs_available:
        raise UserError(f"PyAV was built without {ENCODER}; `pip install av` has it")
    with io.BytesIO() as buffer:
        with av.open(buffer, "w", format="webm") as container:
            container.metadata["comment"] = comment
            stream = _add_stream(container, pictures[0].size, rate, quality)
            for picture, time in zip(pictures, times, strict=True):
                frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgba")
                frame = frame.reformat(format="yuva420p", dst_colorspace="ITU601")
                frame.pts, frame.time_base = round(time / TIME_BASE), TIME_BASE
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return buffer.getvalue()


def _add_stream(container, size, rate, quality):
    # Frames out of their order, which it makes by itself, have no alpha.
    options = {"crf": str(quality), "b": "0", "auto-alt-ref": "0", "deadline": "good",
               "cpu-used": "4"}  # fmt: skip
    stream = container.add_stream(ENCODER, rate=rate, options=options)
    stream.width, stream.height = size
    stream.pix_fmt = "yuva420p"
    stream.codec_context.time_base = TIME_BASE
    stream.metadata["alpha_mode"] = "1"
    return stream
