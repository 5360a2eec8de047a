"""The frames of a clip or a camera: upright RGB pixels and their times. PyAV."""

import contextlib
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from hourglass.apps.video.formats import is_camera, lacks_index
from hourglass.apps.video.losses import Losses
from hourglass.apps.video.pixels import read_layout, to_pixels
from hourglass.apps.video.streams import choose_sound, choose_video, deinterlace, open_decoder
from hourglass.utils.errors import UserError, one_line
from hourglass.utils.parallel import handle_interrupts

# Containers that hold what they show. FFmpeg would also take a text for a drawing, or for a list of
# files and addresses to fetch.
FORMATS = (
    "mov,matroska,avi,flv,asf,ogg,mpeg,mpegts,mpegvideo,ivf,mxf,gif,h264,hevc,yuv4mpegpipe,mjpeg,dv"
)
USUAL_RATE = 25  # frames/s, where a clip does not say
LEAST_STEP = 1e-4  # s from a frame to the next
NO_INDEX = (
    "has no index (its recording broke off); rebuild it with a repair tool and another clip of the "
    "same camera"
)


class Frame(NamedTuple):
    """One frame.

    Attributes:
        number: from 0 on.
        time: s from the clip's beginning.
        pixels: uint8 [H, W, 3], RGB, upright, its pixels square.
    """

    number: int
    time: float
    pixels: np.ndarray


class Clip:
    """An opened clip or camera, whose frames are read once.

    Attributes:
        sound: its stream of sound, of a container of its own; None without any.
        num_frames: about how many there are; None where the container does not know.
        rate: frames/s, about, a Fraction.
        origin: s, the time of the clip's beginning, as its container counts.
        losses: what its frames lack, so far.
        stopped: an event that ends the frames.
    """

    def __init__(self, container: Any, stream: Any, sound: Any = None) -> None:
        self._container, self._stream, self.sound = container, stream, sound
        self._decoder = open_decoder(stream)
        rate = stream.average_rate or stream.guessed_rate
        self.rate = Fraction(rate) if rate and 0 < rate <= 1000 else Fraction(USUAL_RATE)
        start = container.start_time
        self.origin: float | None = None if start is None else start / av.time_base
        seconds = (container.duration or 0) / av.time_base
        self.num_frames: int | None = stream.frames or round(seconds * self.rate) or None
        self.losses = Losses(container, stream)
        self.stopped = threading.Event()

    def read_frames(self) -> Iterator[Frame]:
        """Every frame that can be decoded, in order, until the clip is stopped.

        Times rise: where a clip's own do not, they go on at its rate. All frames get the first
        one's size.

        Raises:
            UserError: not one can be decoded.
        """
        layout, last = None, None
        for number, frame in enumerate(deinterlace(self._decode())):
            layout = layout or read_layout(frame, self._stream)
            time = last = self._time_of(frame, last)
            self.losses.add_frame(time + float(1 / self.rate))
            yield Frame(number, time, to_pixels(frame, layout))
            if self.stopped.is_set():
                return
        if layout is None:
            raise UserError("cannot be decoded: no frame of its video is whole")

    def _decode(self) -> Iterator[Any]:
        packets = self._container.demux(self._stream)
        try:
            for packet in packets:
                self.losses.add_packet(packet)
                try:
                    yield from self._decoder.decode(packet)
                except av.error.FFmpegError:
                    self.losses.num_damaged += 1
        except av.error.FFmpegError:
            self.losses.num_damaged += 1  # of the container itself: nothing comes after it

    def _time_of(self, frame: Any, last: float | None) -> float:
        if self.origin is None:
            self.origin = frame.time
        after = 0.0 if last is None else last + float(1 / self.rate)
        if frame.time is None:
            return after
        time = frame.time - self.origin
        return time if last is None or time >= last + LEAST_STEP else after


def open_container(path: Path) -> Any:
    """PyAV's container of a clip's file, opened to be read.

    Raises:
        UserError: FFmpeg cannot read it.
    """
    limits = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    try:
        # Without the protocol's name a colon in the file's name would be read as one's.
        return av.open(f"file:{path}", container_options=limits)
    except (av.error.FFmpegError, UnicodeError) as error:
        if lacks_index(path):
            raise UserError(NO_INDEX) from None
        raise UserError(f"cannot be decoded: {describe_error(error)}") from None


@contextlib.contextmanager
def open_clip(path: Path) -> Iterator[Clip]:
    """The clip in a file, or a camera's frames from 0 s on until Ctrl-C.

    Args:
        path: the file, or the camera's device (Linux).

    Raises:
        UserError: the file cannot be read or holds no video; there is no such camera, or another
            program uses it.
    """
    if is_camera(path):
        with _open_camera(path) as container:
            clip = Clip(container, container.streams.video[0])
            clip.origin = clip.num_frames = None
            with handle_interrupts(clip.stopped):
                yield clip
        return
    # Sound by itself can be read as far as the frames have come, whatever lies between them.
    with open_container(path) as container, open_container(path) as other:
        yield Clip(container, choose_video(container), choose_sound(other))


def _open_camera(device: Path) -> Any:
    try:
        return av.open(str(device), format="v4l2")
    except (av.error.FFmpegError, ValueError) as error:
        remedy = "connect it, name another, or end the program that uses it"
        raise UserError(f"no camera to be opened: {describe_error(error)}; {remedy}") from None


def describe_error(error: Exception) -> str:
    """FFmpeg's reason, without the arguments of its call."""
    return getattr(error, "strerror", None) or one_line(error)
