"""Moving stickers of clips: three seconds of whom the network follows through them."""

import contextlib
import itertools
from dataclasses import dataclass, field

from tqdm import tqdm

from hourglass.apps.stickers.encoding import (
    MARK,
    MAX_SECONDS,
    MAX_WEBM,
    RATE,
    encode_moving_webp,
    find_best_quality,
)
from hourglass.apps.stickers.making import MOVING_KINDS, name_sticker, write_all
from hourglass.apps.stickers.styles import Portrait
from hourglass.apps.video.clips import follow_people
from hourglass.apps.video.reader import open_clip
from hourglass.apps.video.tracker import Tracker
from hourglass.apps.video.writer import encode_webm
from hourglass.utils.errors import UserError

# Frames that are all alike would become one, which is no moving sticker to WhatsApp.
STILL = "shows nobody who moves; name a photograph"
CRFS = tuple(range(16, 64, 4))  # of libvpx, the best first


@dataclass
class Actor:
    """Somebody in the frames that become stickers: their portraits and their last score."""

    portraits: list
    score: float = 0.0

    @property
    def num_frames(self):
        """In so many frames they are portrayed in every style."""
        return min(len(portrait.times) for portrait in self.portraits)

    def add(self, frame, pose):
        """Portray them as they are in a frame; where they have left it, they are left out."""
        self.score = pose.score
        for portrait in self.portraits:
            with contextlib.suppress(UserError):
                portrait.add(frame.pixels, pose, frame.time)


@dataclass
class FrameChoice:
    """Chooses the frames of a sticker, `RATE` a second at most, from the first one asked about.

    Attributes:
        first: s, of that frame.
    """

    first: float | None = None
    _due: float = field(default=0.0, init=False)

    def is_over(self, time):
        """Whether a frame at `time` s would make the sticker too long."""
        return self.first is not None and time - self.first > MAX_SECONDS - 1 / RATE

    def take(self, time):
        """Whether to take the frame at `time` s."""
        if self.first is None:
            self.first = self._due = time
        # Half a millisecond: times of frames are rounded.
        if time < self._due - 0.0005:
            return False
        self._due = max(self._due + 1 / RATE, time + 0.5 / RATE)  # after a late one, twice as soon
        return True


def make_clip_stickers(backend, path, target, config, styles, start=0.0, is_smooth=True):
    """Write the moving stickers of a clip, from the first somebody who is seen on.

    Args:
        backend: a backend (`backends.py`). path: the clip. target: path without a suffix.
        config: an `InferenceConfig`. styles: of `styles.STYLES`.
        start: s of the clip that are passed over. is_smooth: whether joints are smoothed.

    Returns:
        `making.WrittenStickers`; of nobody, without files.

    Raises:
        UserError: it cannot be decoded, is over before `start`, or shows nobody who moves; no
            sticker of it is written.
    """
    with open_clip(path) as clip:
        frames = (frame for frame in clip.read_frames() if frame.time >= start)
        # The follower is told of the first frame that it sees as of number 0.
        frames = (frame._replace(number=number) for number, frame in enumerate(frames))
        first = next(frames, None)
        if first is None:
            raise UserError(f"has no frame after --start {start:g} s; name an earlier one")
        follower = Tracker(config, first.pixels.shape[1::-1], is_smooth)
        frames = itertools.chain([first], frames)
        with tqdm(frames, "sticker", unit="frame", disable=None, leave=False) as bar:
            actors = _portray(follow_people(backend, follower, bar), styles)
    if not actors:
        return write_all({}, [], follower.best)
    longest = sorted(actors.values(), key=lambda actor: -actor.num_frames)
    chosen = [actor for actor in longest[: config.num_people] if actor.num_frames > 1]
    if not chosen:
        raise UserError(STILL)
    return write_all(_encode(chosen, target), [actor.score for actor in chosen], follower.best)


def _portray(seen, styles):
    """The actors, by number, of pairs (frame, people), as long as a sticker may be."""
    actors, choice = {}, FrameChoice()
    with contextlib.closing(seen):
        for frame, people in seen:
            if choice.is_over(frame.time):
                break
            is_before = choice.first is None and not people
            if is_before or not choice.take(frame.time):
                continue
            for person in people:
                actor = actors.setdefault(person.number, Actor([Portrait(s) for s in styles]))
                actor.add(frame, person.pose)
    return actors


def _encode(actors, target):
    """{path: bytes} of the stickers of actors."""
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


def _encode_webp(stickers, times):
    # Sums of whole milliseconds, so that no time drifts.
    starts = [round(1000 * time) for time in [*times, times[-1] + 1 / RATE]]
    durations = [end - start for start, end in itertools.pairwise(starts)]
    return encode_moving_webp(stickers, durations)


def _encode_webm(stickers, times):
    return find_best_quality(
        lambda crf: encode_webm(stickers, times, RATE, crf, MARK), CRFS, MAX_WEBM
    )
