"""People tracked from frame to frame, each under a number of their own.

A frame costs one crop of each person, around the keypoints of the frame before. The first frame is
searched all over, and later ones where fewer people are tracked than asked for.

A crop without a person gives keypoints too, with scores nearly as high. They move with the crop. So
five times a second a second, wider crop must put them in the same places (`person_search.rescore`).
Once this fails it is done in each frame, and a track that fails it for a while is lost.

A cut or a gap ends all tracks, and the whole frame is searched at once. Who is found where a person
was keeps the number.
"""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hourglass.apps.video.smoothing import JumpFilter, OneEuroFilter
from hourglass.inference import person_search
from hourglass.inference.person_search import Look, Pose
from hourglass.utils import transforms

if TYPE_CHECKING:
    from hourglass.inference.runner import InferenceConfig

# All in seconds: a clip may have 1 frame a second or 240.
SEARCH_EVERY = 0.6  # from one search to the next, at least: it looks at all people again
CHECK_EVERY = 0.2  # from one second crop of a person to the next
LOST_AFTER = 0.12  # since a lost track has passed a check; ...
LEAST_FAILED = 2  # ... it has failed so many, not one alone where frames are few
MAX_GAP = 0.4  # from one frame to the next: after more, people are anywhere
ROUNDING = 0.002  # times of frames are often whole milliseconds
WIDER = 1.5  # side of the second crop to that of the first
# Joints of both crops that lie so far apart agree by 1 / e, in longer sides of the pose's box.
# Without a person the joints that a network finds move with the crop; a person stays.
AGREEMENT = 0.2
# The score of the checks that a track keeps, to the least of a search. On three clips all people
# had it, and a third of the crops without a person.
KEPT = 1.3
# Where a person's size has shrunk, the crop takes so much of it from frame to frame: joints that
# are missed for a moment must not draw it together. It grows at once.
SHRINKING = 0.05
SAME_PLACE = 0.3  # IoU of the boxes of a person before and after a cut or a gap, at least


class TrackedPerson(NamedTuple):
    """A person in one frame.

    Attributes:
        number: theirs from frame to frame, from 1 on.
        pose: theirs, smoothed; its score is that of the last check.
    """

    number: int
    pose: Pose


@dataclass(eq=False)
class Track:
    """A tracked person.

    Attributes:
        number: of the person, from 1 on.
        pose: the last one, smoothed.
        score: of the last check.
        size: px, the longer side of the bbox.
        checked: the time of the last check, s.
        passed: the time of the last frame in which no check failed, s.
        num_failed: checks since one that was passed.
        filters: they smooth the keypoints, one after the other.
    """

    number: int
    pose: Pose
    score: float
    size: float
    checked: float
    passed: float
    num_failed: int = 0
    filters: list[Any] = field(default_factory=list)

    def crop(self, factor: float = 1.0) -> tuple[int, int, int]:
        """The crop of the next frame, `factor` as wide as usual."""
        side = max(factor * transforms.AROUND_JOINTS * self.size, person_search.MIN_SIDE)
        return person_search.crop_at(self.pose.bbox.mean(axis=0), side)

    def is_lost(self, time: float) -> bool:
        """Whether its checks fail for too long."""
        return self.num_failed >= LEAST_FAILED and _has_passed(self.passed, time, LOST_AFTER)

    def move(self, pose: Pose, time: float) -> None:
        """Take the pose of the next frame, at `time` s."""
        size = _measure_size(pose)
        self.size = max(size, self.size + SHRINKING * (size - self.size))
        keypoints = pose.keypoints
        for smooth in self.filters:
            keypoints = smooth(keypoints, time, self.size)
        self.pose = replace(pose, keypoints=keypoints, score=self.score)


class Tracker:
    """Tracks as many people through a clip as an `InferenceConfig` asks for.

    Args:
        config: mode and number of people; a bbox is a person's in the first frame.
        size: width, height of every frame, px.
        is_smooth: whether keypoints are smoothed.

    Attributes:
        best: the best score of all searches.
        num_people: all who were tracked, one after the other or together.
    """

    def __init__(
        self, config: "InferenceConfig", size: tuple[int, int], is_smooth: bool = True
    ) -> None:
        self.config, self.size, self.is_smooth = config, size, is_smooth
        self.best, self.num_people = 0.0, 0
        given = config.threshold
        self._threshold: float = person_search.THRESHOLD if given is None else given
        self._tracks: list[Track] = []
        self._time: float | None = None
        self._searched: float | None = None  # the time of the last search

    def track(self, time: float, is_cut: bool = False) -> Generator[Look, Any, list[TrackedPerson]]:
        """The search of the next frame, at `time` s, as those of `person_search`.

        Args:
            is_cut: whether another scene begins with this frame.
        """
        is_cut |= self._time is not None and time - self._time > MAX_GAP
        self._time = time
        is_searched = self.config.mode != "whole" and self.config.max_people > 0
        if is_cut and self._searched is not None and is_searched:
            yield from self._search(time)
        else:
            if self._tracks:
                yield from self._follow(time, is_cut)
            if self._is_search_due(time):
                yield from self._search(time, self._tracks)
        return [
            TrackedPerson(track.number, track.pose)
            for track in self._tracks
            if not track.num_failed
        ]

    def _follow(self, time: float, is_cut: bool) -> Generator[Look, Any, None]:
        """Move the tracks to this frame; those that fail for too long are lost."""
        if self.config.mode == "whole":
            (pose,) = yield from self.config.start(self.size)
            (track,) = self._tracks
            track.score = pose.score
            if is_cut:
                track.filters = self._make_filters()
            track.move(pose, time)
            return
        tracks = self._tracks
        due = [t for t in tracks if t.num_failed or _has_passed(t.checked, time, CHECK_EVERY)]
        crops = [track.crop() for track in tracks] + [track.crop(WIDER) for track in due]
        poses = yield from person_search.estimate_crops(crops)
        found = dict(zip(tracks, poses, strict=False))
        failed = self._check(due, found, poses[len(tracks) :], time)
        passed = {found[track]: track for track in tracks if track not in failed}
        for track in tracks:
            track.num_failed += 1
        # Where two tracks found one person, that of the pose that has moved less goes on.
        for pose in person_search.pose_nms(passed, key=lambda p: _distance(p, passed[p].pose)):
            passed[pose].num_failed, passed[pose].passed = 0, time
            passed[pose].move(pose, time)
        self._tracks = [track for track in tracks if not track.is_lost(time)]

    def _check(
        self, due: list[Track], found: dict[Track, Pose], wider: list[Pose], time: float
    ) -> set[Track]:
        """Compare the poses of some tracks with those of wider crops: the tracks that fail."""
        for track, pose in zip(due, wider, strict=True):
            track.checked = time
            track.score = weigh_agreement(found[track], pose)
        return {track for track in due if track.score < KEPT * self._threshold}

    def _is_search_due(self, time: float) -> bool:
        if self._searched is None:
            return True
        is_wanting = len(self._tracks) < self.config.max_people and self.config.mode != "whole"
        return is_wanting and _has_passed(self._searched, time, SEARCH_EVERY)

    def _search(self, time: float, kept: Sequence[Track] = ()) -> Generator[Look, Any, None]:
        """Search the whole frame, and track the people found from now on, beside those kept."""
        is_first, self._searched = self._searched is None, time
        if is_first:
            found = yield from self.config.start(self.size)
        else:
            found = yield from person_search.find_people(self.size)
        self.best = max([self.best, *(pose.score for pose in found)])
        ended = [track for track in self._tracks if track not in kept]
        self._tracks = list(kept)
        # A person who was told to be in the first frame needs no score.
        is_told = is_first and (self.config.threshold is None or self.config.mode == "whole")
        for pose in found:
            is_known = any(person_search.is_same_person(pose, t.pose) for t in self._tracks)
            is_wanted = not is_known and len(self._tracks) < self.config.max_people
            if is_wanted and (is_told or pose.score >= self._threshold):
                before = _find_place(pose, ended)
                ended = [track for track in ended if track is not before]
                self._add(pose, time, before)

    def _add(self, pose: Pose, time: float, before: Track | None) -> None:
        """Track a person from now on, under the number of a track that has ended there."""
        self.num_people += before is None
        number = before.number if before else self.num_people
        size, filters = _measure_size(pose), self._make_filters()
        track = Track(number, pose, pose.score, size, time, time, filters=filters)
        track.move(pose, time)
        self._tracks.append(track)

    def _make_filters(self) -> list[Any]:
        return [JumpFilter(), OneEuroFilter()] if self.is_smooth else []


def _find_place(pose: Pose, tracks: Iterable[Track]) -> Track | None:
    """The track that was in the place of a pose; None without any."""
    overlaps = ((person_search.compute_iou(pose.bbox, t.pose.bbox), t) for t in tracks)
    overlap, track = max(overlaps, key=lambda pair: pair[0], default=(0.0, None))
    return track if overlap > SAME_PLACE else None


def weigh_agreement(pose: Pose, wider: Pose) -> float:
    """The score of a pose after a check: the mean of its joints' and of a wider crop's scores.

    Those of the wider crop are weighted by their agreement with the pose.
    """
    side = max(float(np.ptp(pose.keypoints, axis=0).max()), 1e-9)
    distances = np.linalg.norm(wider.keypoints - pose.keypoints, axis=1)
    agreement = np.exp(-np.square(distances / (AGREEMENT * side)))
    return float(np.mean([pose.scores, wider.scores * agreement]))


def _has_passed(start: float, now: float, seconds: float) -> bool:
    return now - start >= seconds - ROUNDING


def _measure_size(pose: Pose) -> float:
    """The longer side of a pose's bbox, px."""
    return float(np.ptp(pose.bbox, axis=0).max())


def _distance(pose: Pose, other: Pose) -> float:
    return float(np.linalg.norm(pose.keypoints - other.keypoints, axis=1).mean())
