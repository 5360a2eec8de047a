"""Moving stickers of clips: three seconds of each person that is tracked through one."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from tqdm import tqdm

from hourglass.apps.stickers.encoding import (
    MARK,
    MAX_SECONDS,
    MAX_WEBM,
    RATE,
    STILL,
    encode_moving_webp,
    find_best_quality,
)
from hourglass.apps.stickers.making import (
    MOVING_KINDS,
    Portrait,
    WrittenStickers,
    name_sticker,
    write_all,
)
from hourglass.apps.video.clips import Tracked, track_people
from hourglass.apps.video.reader import Frame, open_clip
from hourglass.apps.video.tracker import TrackedPerson, Tracker
from hourglass.apps.video.writer import encode_webm
from hourglass.keypoints import KeypointSchema
from hourglass.utils.errors import UserError

if TYPE_CHECKING:
    from hourglass.inference.runner import InferenceConfig

CRFS = tuple(range(16, 64, 4))  # of libvpx, the best first


@dataclass
class Actor:
    """A person in the frames that become stickers: a portrait in each style, the last score."""

    portraits: list[Portrait]
    score: float = 0.0

    @property
    def num_frames(self) -> int:
        """In so many frames they are portrayed in every style."""
        return min(len(portrait.times) for portrait in self.portraits)

    def add(self, frame: Frame, person: TrackedPerson) -> None:
        """Portray them as they are in a frame; not where they have left it."""
        self.score = person.pose.score
        for portrait in self.portraits:
            with contextlib.suppress(UserError):
                portrait.add(frame.pixels, person.pose, frame.time)


def choose_frames(tracked: Iterable[Tracked]) -> Iterator[Tracked]:
    """Yield the pairs (frame, people) of a sticker: from the first with people on, `RATE` a second.

    They last for `MAX_SECONDS` at most.
    """
    first, due = None, 0.0
    for frame, people in tracked:
        if first is None and people:
            first = due = frame.time
        if first is None:
            continue
        if frame.time - first > MAX_SECONDS - 1 / RATE:
            return
        if frame.time >= due - 0.0005:  # times of frames are rounded, to half a millisecond
            due = max(due + 1 / RATE, frame.time + 0.5 / RATE)  # after a late one, twice as soon
            yield frame, people


def make_clip_stickers(
    backend: Any,
    path: Path,
    target: Path,
    config: "InferenceConfig",
    styles: Sequence[str],
    start: float = 0.0,
    is_smooth: bool = True,
) -> WrittenStickers:
    """Write the moving stickers of a clip, from the first frame on that shows a person.

    Args:
        backend: what runs the network (`inference.backends`).
        path: the clip.
        target: path without a suffix.
        styles: of `making.STYLES`.
        start: s of the clip that are passed over.
        is_smooth: whether joints are smoothed.

    Raises:
        UserError: the clip cannot be decoded, is over before `start`, or shows no person who moves;
            no sticker of it is written.
    """
    with open_clip(path) as clip:
        later = (frame for frame in clip.read_frames() if frame.time >= start)
        # To the tracker the first frame that it gets is number 0.
        frames = (frame._replace(number=number) for number, frame in enumerate(later))
        first = next(frames, None)
        if first is None:
            raise UserError(f"has no frame after --start {start:g} s; name an earlier one")
        height, width = first.pixels.shape[:2]
        tracker = Tracker(config, (width, height), is_smooth)
        both = itertools.chain([first], frames)
        with (
            tqdm(both, "sticker", unit="frame", disable=None, leave=False) as bar,
            contextlib.closing(track_people(backend, tracker, bar)) as tracked,
        ):
            actors = _portray(tracked, styles, backend.schema)
    if not actors:
        return write_all({}, [], tracker.best)
    longest = sorted(actors, key=lambda actor: -actor.num_frames)
    number = int(min(config.max_people, len(longest)))
    chosen = [actor for actor in longest[:number] if actor.num_frames > 1]
    if not chosen:
        raise UserError(STILL)
    return write_all(_encode(chosen, target), [actor.score for actor in chosen], tracker.best)


def _portray(
    tracked: Iterable[Tracked], styles: Sequence[str], schema: KeypointSchema
) -> list[Actor]:
    actors: dict[int, Actor] = {}
    for frame, people in choose_frames(tracked):
        for person in people:
            actor = actors.setdefault(person.number, Actor([Portrait(s, schema) for s in styles]))
            actor.add(frame, person)
    return list(actors.values())


def _encode(actors: Sequence[Actor], target: Path) -> dict[Path, bytes]:
    made = {}
    for number, actor in enumerate(actors, start=1):
        for portrait in actor.portraits:
            stickers = portrait.make_stickers()
            if all(sticker == stickers[0] for sticker in stickers):
                raise UserError(STILL)
            times = [time - portrait.times[0] for time in portrait.times]
            for kind, encode in zip(MOVING_KINDS, (_encode_webp, _encode_webm), strict=True):
                path = name_sticker(target, portrait.style, number, kind)
                made[path] = encode(stickers, times)
    return made


def _encode_webp(stickers: Sequence[Image.Image], times: Sequence[float]) -> bytes:
    # Sums of whole milliseconds, so that no time drifts.
    starts = [round(1000 * time) for time in [*times, times[-1] + 1 / RATE]]
    return encode_moving_webp(stickers, [b - a for a, b in itertools.pairwise(starts)])


def _encode_webm(stickers: Sequence[Image.Image], times: Sequence[float]) -> bytes:
    return find_best_quality(
        lambda crf: encode_webm(stickers, times, RATE, crf, MARK), CRFS, MAX_WEBM
    )
