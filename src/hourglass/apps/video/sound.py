"""The sound of a clip on its way into the drawn one. PyAV."""

import contextlib
from collections.abc import Iterator
from typing import Any

import av

# Copied as they are: what MP4 holds and browsers play. All else becomes AAC.
COPIED = ("aac", "mp3", "opus", "flac")
HIGHEST_RATE = 48_000  # samples/s of what becomes AAC
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}  # by the number of channels


class SoundTrack:
    """The sound within the drawn clip; made before anything is written into its container.

    Args:
        source: the stream, `Clip.sound`.
        output: PyAV's container of the drawn clip.
        origin: s, the time in the stream that becomes 0.
    """

    def __init__(self, source: Any, output: Any, origin: float) -> None:
        self._source, self._output, self._origin = source, output, origin
        context = source.codec_context
        if context.codec.canonical_name in COPIED:
            self._stream = output.add_stream_from_template(source)
            self._packets = self._copy()
        else:
            rate, channels = min(context.sample_rate, HIGHEST_RATE), context.layout.nb_channels
            layout = LAYOUTS.get(channels, "stereo")
            self._stream = output.add_stream("aac", rate=rate, layout=layout)
            self._packets = self._encode()
        self._next = next(self._packets, None)

    def write_until(self, time: float) -> None:
        """Write the sound before `time`, s."""
        while self._next and float((self._next.dts or 0) * self._next.time_base) < time:
            self._output.mux(self._next)
            self._next = next(self._packets, None)

    def _copy(self) -> Iterator[Any]:
        for packet in self._read():
            # The last one of a stream is empty.
            if packet.dts is not None:
                packet.stream = self._stream
                yield packet

    def _encode(self) -> Iterator[Any]:
        for packet in self._read():
            with contextlib.suppress(av.error.FFmpegError):  # damaged: a gap
                for samples in packet.decode():
                    yield from self._stream.encode(samples)
        yield from self._stream.encode(None)

    def _read(self) -> Iterator[Any]:
        """The packets, their times from the clip's beginning; up to where the file is cut."""
        shift = round(self._origin / self._source.time_base)
        with contextlib.suppress(av.error.FFmpegError):
            for packet in self._source.container.demux(self._source):
                if packet.dts is not None:
                    packet.dts -= shift
                    packet.pts = None if packet.pts is None else packet.pts - shift
                yield packet
