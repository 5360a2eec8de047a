"""Whole clips: read, followed, drawn and written, all four at the same time."""

import contextlib
import itertools
import threading
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from tqdm import tqdm

from hourglass.apps.video.reader import open_camera, open_clip
from hourglass.apps.video.smoothing import describe_filter
from hourglass.apps.video.sound import open_sound
from hourglass.apps.video.tracker import Tracker
from hourglass.apps.video.writer import describe_clip, open_writer
from hourglass.inference.crops import Search, run_searches
from hourglass.keypoints import MPII
from hourglass.utils.drawing import paint_pose
from hourglass.utils.errors import UserError
from hourglass.utils.parallel import handle_interrupts, map_ahead, open_pool, read_ahead

# Frames under way from one step to the next: of 4K a frame is 25 MB.
AHEAD = 4


class WrittenClip(NamedTuple):
    """What became of a clip.

    Attributes:
        video, record: the files.
        num_frames: all of them. num_seen: those with somebody in them.
        num_people: how many were followed, one after the other or together.
        best: the best score of a search, whether of somebody or not.
        num_damaged: packets of the clip that could not be decoded.
    """

    video: Path
    record: Path
    num_frames: int
    num_seen: int
    num_people: int
    best: float
    num_damaged: int

    @property
    def files(self):
        """What was written."""
        return self.video, self.record


def predict_clip(backend, path, target, config, is_smooth=True):
    """Write `target`.mp4, the drawn clip with its sound, and `target`.jsonl, a line a frame.

    Args:
        backend: the backend: called with inputs, uint8 [n, S, S, 3], it gives keypoints
            [n, 16, 2], px of the inputs, and scores [n, 16]; its `size` is S, its `batch_size` how
            many inputs a call had best.
        path: the clip. target: path without a suffix.
        config: an `InferenceConfig`; a box is that of the person in the first frame.

    Returns:
        `WrittenClip`.

    Raises:
        UserError: it cannot be decoded, or shows nothing where it is looked at; without its name.
    """
    with open_clip(path) as clip, open_sound(path) as sound:
        return _write_clip(backend, clip, sound, str(path), target, config, is_smooth)


def predict_camera(backend, device, target, config, is_smooth=True):
    """Do the same with what a camera films, until Ctrl-C is pressed."""
    stopped = threading.Event()
    with handle_interrupts(stopped), open_camera(device) as clip:
        return _write_clip(
            backend, clip, None, str(device), target, config, is_smooth, is_stopped=stopped.is_set
        )


def _write_clip(
    backend, clip, sound, name, target, config, is_smooth, is_stopped=lambda: False
):  # fmt: skip
    video, record = (target.with_name(f"{target.name}.{kind}") for kind in ("mp4", "jsonl"))
    num_frames = num_seen = 0
    with open_pool(1) as reader:
        frames = read_ahead(reader, clip.read_frames(is_stopped), AHEAD)
        first = next(frames)
        size = first.pixels.shape[1::-1]
        follower = Tracker(config, size, is_smooth)
        with open_writer(video, record, clip, sound, size) as writer:
            writer.write_header(describe_clip(name, size, config, describe_filter(is_smooth)))
            bar = tqdm(
                itertools.chain([first], frames), "predict", clip.num_frames, unit="frame",
                disable=None, leave=False,
            )  # fmt: skip
            with contextlib.closing(bar):
                for num_people in _draw_and_write(follow_people(backend, follower, bar), writer):
                    num_frames += 1
                    num_seen += num_people > 0
    counts = (num_frames, num_seen, follower.num_people, follower.best, clip.num_damaged)
    return WrittenClip(video, record, *counts)


def _draw_and_write(seen, writer):
    """Yield the number of people of each pair (frame, people), once it is written."""
    with open_pool() as drawers, open_pool(1) as scribe:
        drawn = map_ahead(drawers, draw_people, seen, AHEAD)
        for written in map_ahead(scribe, lambda pair: writer.write(*pair), drawn, AHEAD):
            if isinstance(written, UserError):
                raise written
            yield written


def draw_people(seen):
    """Draw the skeletons of a pair (frame, people) on the frame; gives the pair back."""
    frame, people = seen
    for person in sorted(people, key=lambda person: person.pose.score):  # the surest lies on top
        paint_pose(frame.pixels, person.pose.keypoints, MPII)
    return seen


def follow_people(backend, follower, frames):
    """Yield each frame with its people, a list of `following.Person`.

    Raises:
        UserError: nothing of the first frame is to be seen where it is looked at.
    """
    for frame in frames:
        search = Search(follower.follow(frame.time), _decoded(frame))
        is_seen = not search.crops or search.cut_crops(backend.size)
        if frame.number == 0 and not is_seen:
            raise UserError(follower.config.describe_unseen(follower.size))
        run_searches([search], backend)
        yield frame, search.poses


def _decoded(frame):
    image = Image.fromarray(frame.pixels)
    return lambda reduction: (image, 1)
