"""The drawn clip and its joints, written frame by frame. PyAV.

Moving pictures with transparency as WebM. PyAV.
"""

import contextlib
import io
import json
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from hourglass.apps.video.reader import describe_error
from hourglass.apps.video.sound import SoundTrack
from hourglass.inference.outputs import describe_person
from hourglass.keypoints import JOINTS
from hourglass.utils.errors import UserError
from hourglass.utils.files import atomic_path

# By FFmpeg's names, with their settings; the first one that the installed PyAV has is taken. All
# browsers play H.264; VP9 in MP4 most of them. None is part of this package: libx264 is under the
# GPL, OpenH264 and libvpx are under BSD licences.
ENCODERS = {
    # Without macroblock trees, which give other bits from run to run on CPUs with AVX-512.
    "libx264": {"preset": "veryfast", "crf": "20", "x264-params": "mbtree=0"},
    "libopenh264": {"b": "6M", "allow_skip_frames": "0"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "30", "b": "0", "row-mt": "1"},
}
TIME_BASE = Fraction(1, 90_000)  # s; any rate, and frames at any times
COORDINATES = (
    "pixels of the upright frames, pixels square, x to the right, y down; the centre of the top "
    "left pixel is (0, 0)"
)


class ClipWriter:
    """Writes frames, sound and joints; from one thread at a time."""

    def __init__(self, container, record, clip, sound, size, path):
        """A writer, from `open_writer`.

        Args:
            container: PyAV's, nothing written yet. record: a text file.
            clip: the `frames.Clip` that is drawn. sound: its stream, or None.
            size: width, height of the frames. path: of the drawn clip, for errors.
        """
        self._container, self._record, self._path = container, record, path
        name = next(name for name in ENCODERS if name in av.codecs_available)
        self._stream = container.add_stream(name, rate=clip.rate, options=ENCODERS[name])
        self._stream.width, self._stream.height = (length + length % 2 for length in size)
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.time_base = TIME_BASE
        # HDTV's colours (ITU-T H.273), as `_encode` makes them: said, no player has to guess.
        context.colorspace = context.color_primaries = context.color_trc = 1
        context.color_range = 1
        self._sound = sound and SoundTrack(sound, container, clip.origin or 0)
        self._reformatter = VideoReformatter()
        self._error = None

    def write(self, frame, people):
        """Write a drawn frame and its people, a list of `following.Person`; gives their number."""
        with self._guard():
            self._container.mux(self._encode(frame))
            if self._sound:
                self._sound.write_until(frame.time)
            self._write_line(describe_frame(frame, people))
        return len(people)

    def _encode(self, frame):
        rgb = av.VideoFrame.from_numpy_buffer(_make_even(frame.pixels), format="rgb24")
        colours = {"dst_colorspace": "ITU709", "dst_color_range": "MPEG"}
        encoded = self._reformatter.reformat(rgb, format="yuv420p", **colours)
        encoded.pts, encoded.time_base = round(frame.time / TIME_BASE), TIME_BASE
        return self._stream.encode(encoded)

    def write_header(self, header):
        """Write the record's first line."""
        self._write_line(header)

    def finish(self):
        """Write what the encoders still hold, and the sound to its end."""
        with self._guard():
            self._container.mux(self._stream.encode(None))
            if self._sound:
                self._sound.write_until(float("inf"))

    @contextlib.contextmanager
    def _guard(self):
        """After one error nothing more is written: FFmpeg would crash."""
        if self._error:
            raise self._error
        try:
            with _write_errors(self._path):
                yield
        except Exception as error:
            self._error = error
            raise

    def _write_line(self, value):
        self._record.write(json.dumps(value, allow_nan=False) + "\n")


@contextlib.contextmanager
def open_writer(video, record, clip, sound, size):
    """A `ClipWriter` into two files, which are there, whole, when the context has ended."""
    with (
        atomic_path(video) as temporary_video,
        atomic_path(record) as temporary_record,
        open(temporary_record, "w", encoding="utf-8") as file,
        _write_errors(video),
        # What a player needs first comes first, though that is written last.
        av.open(
            f"file:{temporary_video}", "w", format="mp4",
            container_options={"movflags": "faststart"},
        ) as container,
    ):  # fmt: skip
        writer = ClipWriter(container, file, clip, sound, size, video)
        yield writer
        writer.finish()


@contextlib.contextmanager
def _write_errors(path):
    """What a disk refuses is an OSError, with the file's last name; all else is a UserError."""
    try:
        yield
    except av.error.FFmpegError as error:
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise UserError(f"its drawn clip cannot be written: {describe_error(error)}") from None


def _make_even(pixels):
    """The last of an odd number of rows or columns twice: colours have half as many of each."""
    height, width = pixels.shape[:2]
    if height % 2 == width % 2 == 0:
        return pixels
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def describe_frame(frame, people):
    """What is written of a frame, for JSON."""
    return {
        "frame": frame.number,
        "time": round(frame.time, 6),
        "people": [{"number": person.number, **describe_person(person.pose)} for person in people],
    }


def describe_clip(name, size, config, smoothing):
    """The record's first line, for JSON: what holds for all frames."""
    return {
        "video": name,
        "coordinates": COORDINATES,
        "width": size[0],
        "height": size[1],
        "joints": JOINTS,
        "mode": config.mode,
        "bbox": config.bbox,
        "smoothing": smoothing,
    }


WEBM_TIME_BASE = Fraction(1, 1000)  # s, WebM's own
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
                frame.pts, frame.time_base = round(time / WEBM_TIME_BASE), WEBM_TIME_BASE
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
    stream.codec_context.time_base = WEBM_TIME_BASE
    stream.metadata["alpha_mode"] = "1"
    return stream
