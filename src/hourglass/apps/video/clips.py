"""Whole clips: read, tracked, drawn and written, all four at the same time."""

import contextlib
import functools
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image
from tqdm import tqdm

from hourglass.apps.video.cuts import CutDetector
from hourglass.apps.video.reader import Frame, open_clip
from hourglass.apps.video.smoothing import describe_filters
from hourglass.apps.video.tracker import TrackedPerson, Tracker
from hourglass.apps.video.writer import describe_clip, open_writer
from hourglass.inference.crops import Search, run_searches
from hourglass.keypoints import KeypointSchema
from hourglass.utils.errors import UserError
from hourglass.utils.parallel import map_ahead, open_pool, read_ahead
from hourglass.visualization.drawing import paint_pose

if TYPE_CHECKING:
    from hourglass.inference.runner import InferenceConfig

# Frames under way from one step to the next: of 4K a frame is 25 MB.
AHEAD = 4
Tracked = tuple[Frame, list[TrackedPerson]]


class WrittenClip(NamedTuple):
    """The outputs of a clip, and its counts.

    Attributes:
        video: the drawn clip, a file.
        record: the keypoints, a file.
        num_frames: all of them.
        num_seen: frames with people in them.
        num_people: how many were tracked, one after the other or together.
        best: the best score of a search, also below the threshold.
        notes: what the clip lacks, for people.
    """

    video: Path
    record: Path
    num_frames: int
    num_seen: int
    num_people: int
    best: float
    notes: tuple[str, ...]

    @property
    def files(self) -> tuple[Path, Path]:
        """The written files."""
        return self.video, self.record


def predict_clip(
    backend: Any, path: Path, target: Path, config: "InferenceConfig", is_smooth: bool = True
) -> WrittenClip:
    """Write `target`.mp4, the drawn clip with its sound, and `target`.jsonl, a line a frame.

    Args:
        backend: what runs the network (`inference.backends`).
        path: the clip, or the device of a camera, which films until Ctrl-C is pressed.
        target: path without a suffix.
        config: mode and number of people; a bbox is a person's in the first frame.
        is_smooth: whether keypoints are smoothed.

    Raises:
        UserError: it cannot be decoded, or shows nothing where people are looked for; without its
            name.
    """
    video, record = (target.with_name(f"{target.name}.{kind}") for kind in ("mp4", "jsonl"))
    num_frames = num_seen = 0
    with open_clip(path) as clip, open_pool(1) as reader:
        frames = read_ahead(reader, clip.read_frames(), AHEAD)
        first = next(frames)
        height, width = first.pixels.shape[:2]
        tracker = Tracker(config, (width, height), is_smooth)
        with open_writer(video, record, clip, tracker.size, backend.schema) as writer:
            filters = describe_filters(is_smooth)
            writer.write_line(describe_clip(str(path), writer, config, filters))
            bar = tqdm(
                itertools.chain([first], frames), "predict", clip.num_frames, unit="frame",
                disable=None, leave=False,
            )  # fmt: skip
            with contextlib.closing(bar):
                tracked = track_people(backend, tracker, bar)
                for num_people in _draw_and_write(tracked, backend.schema, writer.write):
                    num_frames += 1
                    num_seen += num_people > 0
        # Before the clip is closed: then its stream is freed memory, and its container has none.
        notes = clip.losses.describe()
    counts = (num_frames, num_seen, tracker.num_people, tracker.best, notes)
    return WrittenClip(video, record, *counts)


def _draw_and_write(
    tracked: Iterable[Tracked],
    schema: KeypointSchema,
    write: Callable[[Frame, list[TrackedPerson]], int],
) -> Iterator[int]:
    """Yield the number of people of each frame once it is written."""
    with open_pool() as drawers, open_pool(1) as scribe:
        draw = functools.partial(draw_people, schema=schema)
        drawn = map_ahead(drawers, draw, tracked, AHEAD)
        for written in map_ahead(scribe, lambda pair: write(*pair), drawn, AHEAD):
            if isinstance(written, UserError):
                raise written
            yield written


def draw_people(tracked: Tracked, schema: KeypointSchema) -> Tracked:
    """Draw the skeletons of a pair (frame, people) on the frame; gives the pair back."""
    frame, people = tracked
    for person in sorted(people, key=lambda person: person.pose.score):  # the surest lies on top
        paint_pose(frame.pixels, person.pose.keypoints, schema, person.pose.visible)
    return tracked


def track_people(
    backend: Any, tracker: Tracker, frames: Iterable[Frame]
) -> Generator[Tracked, None, None]:
    """Yield each frame with its people.

    Args:
        backend: what runs the network (`inference.backends`).
        frames: numbered from 0 on.

    Raises:
        UserError: the first frame shows nothing where people are looked for.
    """
    cuts = CutDetector()
    for frame in frames:
        image = Image.fromarray(frame.pixels)
        search = Search(tracker.track(frame.time, cuts.is_cut(image)), image, backend)
        if frame.number == 0 and search.look.crops:
            tracker.config.check_seen(search)
        run_searches([search], backend)
        yield frame, search.poses
