"""The sound of a clip on its way into the drawn one. PyAV."""

import contextlib

import av

from hourglass.apps.video.reader import open_container

# Copied as they are: what MP4 holds and browsers play. All else becomes AAC.
COPIED = ("aac", "mp3", "opus", "flac")
HIGHEST_RATE = 48_000  # samples/s of what becomes AAC
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}  # by the number of channels


@contextlib.contextmanager
def open_sound(path):
    """The first sound of a clip's file, a stream of PyAV's, opened a second time; None without any.

    By itself, the sound can be read as far as the frames have come and no farther, whatever lies
    between them.
    """
    with open_container(path) as container:
        streams = [stream for stream in container.streams.audio if stream.codec_context]
        yield streams[0] if streams else None


class SoundTrack:
    """The sound within the drawn clip."""

    def __init__(self, source, output, origin):
        """A track of the container `output`, to be made before anything is written into it.

        Args:
            source: the stream, from `open_sound`.
            origin: s, the time in it that becomes 0.
        """
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

    def write_until(self, time):
        """Write what is heard before `time`, s."""
        while self._next and _begin(self._next) < time:
            self._output.mux(self._next)
            self._next = next(self._packets, None)

    def _copy(self):
        for packet in self._read():
            # The last one of a stream is empty.
            if packet.dts is not None:
                packet.stream = self._stream
                yield packet

    def _encode(self):
        for packet in self._read():
            with contextlib.suppress(av.error.FFmpegError):  # damaged: a gap
                for samples in packet.decode():
                    yield from self._stream.encode(samples)
        yield from self._stream.encode(None)

    def _read(self):
        """The packets, their times from the clip's beginning; up to where the file is cut."""
        shift = round(self._origin / self._source.time_base)
        with contextlib.suppress(av.error.FFmpegError):
            for packet in self._source.container.demux(self._source):
                if packet.dts is not None:
                    packet.dts -= shift
                    packet.pts = None if packet.pts is None else packet.pts - shift
                yield packet


def _begin(packet):
    return float((packet.dts or 0) * packet.time_base)
