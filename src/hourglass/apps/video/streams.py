"""Which stream of a container is read, by which decoder, and what its frames pass through. PyAV."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import av
from av.stream import Disposition

from hourglass.utils.errors import UserError
from hourglass.utils.image_headers import MAX_PIXELS

# FFmpeg's own decoders of these pass over alpha, which WebM keeps beside the colours.
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
NO_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails  # a song's cover; previews
# Whole frames of halves that were taken one after the other; other frames stay as they are.
DEINTERLACE = "mode=send_frame:deint=interlaced"


def choose_video(container: Any) -> Any:
    """The video stream that players show: the default one, else the largest.

    Raises:
        UserError: there is none that can be decoded, or it is too large.
    """
    streams = [
        stream for stream in container.streams.video
        if stream.codec_context and not stream.disposition & NO_PICTURES  # none: unknown codec
    ]  # fmt: skip
    if not streams:
        raise UserError("no video in it, or none that can be decoded; name another file")
    stream = _choose(streams, lambda stream: stream.width * stream.height)
    if stream.width * stream.height > MAX_PIXELS:
        raise UserError(f"{stream.width} x {stream.height} px, more than {MAX_PIXELS:,} in all")
    # With threads a frame each, PyAV drops the frames that come together with an error.
    stream.thread_type = "SLICE"
    return stream


def choose_sound(container: Any) -> Any | None:
    """The sound that players play: the default one, else that of most channels; None without."""
    streams = [stream for stream in container.streams.audio if stream.codec_context]
    return _choose(streams, lambda stream: stream.codec_context.layout.nb_channels)


def _choose(streams: Sequence[Any], measure: Callable[[Any], int]) -> Any:
    """The first of the largest of the default streams, else of all; None without any."""
    default = [stream for stream in streams if stream.disposition & Disposition.default]
    return max(default or streams, key=measure, default=None)


def open_decoder(stream: Any) -> Any:
    """What decodes the packets of a stream: its own codec, or one that keeps its alpha."""
    name = ALPHA_DECODERS.get(stream.codec_context.name)
    # From a tag that FFmpeg writes, or from the track's own AlphaMode.
    modes = [value for key, value in stream.metadata.items() if key.lower() == "alpha_mode"]
    if name is None or "1" not in modes:
        return stream.codec_context
    try:
        return av.CodecContext.create(name, "r")
    except av.error.FFmpegError:
        return stream.codec_context  # this PyAV was built without it


def deinterlace(frames: Iterator[Any]) -> Iterator[Any]:
    """Yield frames, from the first interlaced one on by way of FFmpeg's filter."""
    graph: Any = None
    form = None
    for frame in frames:
        if graph is None and not frame.interlaced_frame:
            yield frame
            continue
        if form != (form := (frame.width, frame.height, frame.format.name)):
            yield from _drain(graph)
            graph = _open_filter(frame)
        graph.vpush(frame)
        yield from _pull(graph)
    yield from _drain(graph)


def _open_filter(frame: Any) -> Any:
    graph = av.filter.Graph()
    base = frame.time_base or Fraction(1, 90_000)
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=base
    )
    graph.link_nodes(source, graph.add("bwdif", DEINTERLACE), graph.add("buffersink")).configure()
    return graph


def _drain(graph: Any | None) -> Iterator[Any]:
    if graph:
        graph.vpush(None)
        yield from _pull(graph)


def _pull(graph: Any) -> Iterator[Any]:
    while True:
        try:
            yield graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
