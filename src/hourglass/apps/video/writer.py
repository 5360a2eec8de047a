"""The drawn clip and the record of its keypoints, written frame by frame; moving stickers. PyAV."""

import contextlib
import io
import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image

from hourglass.apps.video.reader import Clip, Frame, describe_error
from hourglass.apps.video.sound import SoundTrack
from hourglass.apps.video.tracker import TrackedPerson
from hourglass.inference.outputs import describe_person
from hourglass.keypoints import KeypointSchema
from hourglass.utils.errors import UserError
from hourglass.utils.files import atomic_path

if TYPE_CHECKING:
    from hourglass.inference.runner import InferenceConfig

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
FRAME_COORDINATES = (
    "pixels of the upright frames, pixels square, x to the right, y down; the centre of the top "
    "left pixel is (0, 0)"
)


class ClipWriter:
    """Writes frames, sound and keypoints, from one thread at a time; `open_writer` makes one.

    Args:
        container: PyAV's, nothing written yet.
        record: a text file.
        clip: the one that is drawn.
        size: width, height of the frames, px.
        schema: of the keypoints.
        path: of the drawn clip, for errors.
    """

    def __init__(
        self,
        container: Any,
        record: TextIO,
        clip: Clip,
        size: tuple[int, int],
        schema: KeypointSchema,
        path: Path,
    ) -> None:
        self.size, self.schema = size, schema
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
        self._sound = clip.sound and SoundTrack(clip.sound, container, clip.origin or 0)
        self._reformatter: Any = VideoReformatter()
        self._error: Exception | None = None

    def write(self, frame: Frame, people: Sequence[TrackedPerson]) -> int:
        """Write a drawn frame and its people; gives their number."""
        with self._guard():
            self._container.mux(self._encode(frame))
            if self._sound:
                self._sound.write_until(frame.time)
            self.write_line(describe_frame(frame, people, self.schema))
        return len(people)

    def write_line(self, value: dict[str, Any]) -> None:
        """Write a line of the record, JSON."""
        self._record.write(json.dumps(value, allow_nan=False) + "\n")

    def finish(self) -> None:
        """Write what the encoders still hold, and the sound to its end."""
        with self._guard():
            self._container.mux(self._stream.encode(None))
            if self._sound:
                self._sound.write_until(float("inf"))

    def _encode(self, frame: Frame) -> list[Any]:
        pixels = frame.pixels
        height, width = (length % 2 for length in pixels.shape[:2])
        if height or width:  # the last row or column twice: colours have half as many of each
            pixels = np.pad(pixels, ((0, height), (0, width), (0, 0)), mode="edge")
        rgb = av.VideoFrame.from_numpy_buffer(pixels, format="rgb24")
        encoded = self._reformatter.reformat(
            rgb, format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
        )
        encoded.pts, encoded.time_base = round(frame.time / TIME_BASE), TIME_BASE
        encoded.duration = round(1 / self._stream.average_rate / TIME_BASE)  # of the last frame
        return self._stream.encode(encoded)

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        """After one error nothing more is written: FFmpeg would crash."""
        if self._error:
            raise self._error
        try:
            with _write_errors(self._path):
                yield
        except Exception as error:
            self._error = error
            raise


@contextlib.contextmanager
def open_writer(
    video: Path, record: Path, clip: Clip, size: tuple[int, int], schema: KeypointSchema
) -> Iterator[ClipWriter]:
    """A writer of a clip into two files; they are complete when the context has ended.

    Args:
        size: width, height of the frames, px.
        schema: of the keypoints.

    Raises:
        UserError: FFmpeg cannot encode the clip.
        OSError: the disk refuses it.
    """
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
        writer = ClipWriter(container, file, clip, size, schema, video)
        yield writer
        writer.finish()


@contextlib.contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    """Errors of the disk stay OSErrors, with the file's final name; others become UserErrors."""
    try:
        yield
    except av.error.FFmpegError as error:
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise UserError(f"its drawn clip cannot be written: {describe_error(error)}") from None


def describe_frame(
    frame: Frame, people: Sequence[TrackedPerson], schema: KeypointSchema
) -> dict[str, Any]:
    """A frame's line of the record, for JSON."""
    described = [
        {"number": person.number, **describe_person(person.pose, schema)} for person in people
    ]
    return {"frame": frame.number, "time": round(frame.time, 6), "people": described}


def describe_clip(
    name: str, writer: ClipWriter, config: "InferenceConfig", smoothing: dict[str, Any] | None
) -> dict[str, Any]:
    """The record's first line, for JSON: what holds for all frames."""
    return {
        "video": name,
        "coordinates": FRAME_COORDINATES,
        "width": writer.size[0],
        "height": writer.size[1],
        "joints": writer.schema.keypoints,
        "mode": config.mode,
        "bboxes": config.bboxes,
        "smoothing": smoothing,
    }


WEBM_TIME_BASE = Fraction(1, 1000)  # s, WebM's own
WEBM_ENCODER = "libvpx-vp9"
# Frames out of their order, which it makes by itself, have no alpha.
WEBM_OPTIONS = {"b": "0", "auto-alt-ref": "0", "deadline": "good", "cpu-used": "4"}


def encode_webm(
    pictures: Sequence[Image.Image],
    times: Sequence[float],
    rate: int,
    quality: int,
    comment: str,
) -> bytes:
    """Pictures as a WebM of VP9 whose alpha is kept, without sound.

    Args:
        pictures: PIL images, RGBA, of one even size.
        times: of each, s, from 0 on.
        rate: frames/s, at most.
        quality: libvpx' CRF, 0 (best) to 63.
        comment: kept in the file.

    Raises:
        UserError: the installed PyAV has no libvpx.
    """
    if WEBM_ENCODER not in av.codecs_available:
        raise UserError(f"PyAV was built without {WEBM_ENCODER}; `pip install av` has it")
    with io.BytesIO() as buffer:
        # Without it each file has random numbers of its own, and other bytes.
        exact = {"fflags": "+bitexact"}
        with av.open(buffer, "w", format="webm", container_options=exact) as container:
            container.metadata["comment"] = comment
            options = {"crf": str(quality), **WEBM_OPTIONS}
            stream = container.add_stream(WEBM_ENCODER, rate=rate, options=options)
            stream.width, stream.height = pictures[0].size
            stream.pix_fmt = "yuva420p"
            stream.codec_context.time_base = WEBM_TIME_BASE
            stream.metadata["alpha_mode"] = "1"
            for picture, time in zip(pictures, times, strict=True):
                frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgba")
                frame = frame.reformat(format="yuva420p", dst_colorspace="ITU601")
                frame.pts, frame.time_base = round(time / WEBM_TIME_BASE), WEBM_TIME_BASE
                frame.duration = round(1 / rate / WEBM_TIME_BASE)  # else the last one has none
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return buffer.getvalue()
