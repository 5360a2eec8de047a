"""People tracked from frame to frame, each under a number of their own.

A frame costs one crop of each person, around the keypoints of the frame before. The first frame is
searched all over, and later ones where fewer people are tracked than asked for.

A crop without a person gives keypoints too, with scores nearly as high. They move with the crop. So
every few frames a second, wider crop must put them in the same places (`person_search.rescore`). A
track that fails this several times in a row is lost.
"""

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hourglass.apps.video.smoothing import JumpFilter, OneEuroFilter
from hourglass.inference import person_search
from hourglass.inference.person_search import Pose
from hourglass.utils import transforms

if TYPE_CHECKING:
    from hourglass.inference.runner import InferenceConfig

SEARCH_EVERY = 15  # frames from one search to the next, at least: it costs some fifty crops
CHECK_EVERY = 5  # frames from one second crop of a person to the next
LOST_AFTER = 3  # checks in a row that a lost track has failed
WIDER = 1.5  # side of the second crop to that of the first
# The score that a track keeps, to the least of a search, whose crops lie further apart. On three
# clips, of people found with 0.4 and more all had it, of crops without a person a third.
KEPT = 1.3
# Where a person's size has shrunk, the crop takes so much of it from frame to frame: joints that
# are missed for a moment must not draw it together. It grows at once.
SHRINKING = 0.05


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
        checked: the frame of the last check.
        num_failed: checks since one that was passed.
        filters: they smooth the keypoints, one after the other.
    """

    number: int
    pose: Pose
    score: float
    size: float
    checked: int
    num_failed: int = 0
    filters: list[Any] = field(default_factory=list)

    def crop(self, factor: float = 1.0) -> tuple[int, int, int]:
        """The crop of the next frame, `factor` as wide as usual."""
        side = max(factor * transforms.AROUND_JOINTS * self.size, person_search.MIN_SIDE)
        return person_search.crop_at(self.pose.bbox.mean(axis=0), side)

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
        config: mode and number of people; a bbox is the person's in the first frame.
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
        self._frame = -1
        self._searched: int | None = None  # the frame of the last search

    def track(self, time: float) -> Generator[list, Any, list[TrackedPerson]]:
        """The search of the next frame, at `time` s, as those of `person_search`."""
        self._frame += 1
        if self._tracks:
            yield from self._follow(time)
        if self._is_search_due():
            yield from self._search(time)
        return [
            TrackedPerson(track.number, track.pose)
            for track in self._tracks
            if not track.num_failed
        ]

    def _follow(self, time: float) -> Generator[list, Any, None]:
        """Move the tracks to this frame; those that fail too often are lost."""
        if self.config.mode == "whole":
            (pose,) = yield from self.config.start(self.size)
            (track,) = self._tracks
            track.score = pose.score
            track.move(pose, time)
            return
        tracks = self._tracks
        due = [t for t in tracks if t.num_failed or self._frame - t.checked >= CHECK_EVERY]
        crops = [track.crop() for track in tracks] + [track.crop(WIDER) for track in due]
        poses = yield from person_search.estimate_crops(crops)
        found = dict(zip(tracks, poses, strict=False))
        failed = self._check(due, found, poses[len(tracks) :])
        passed = {found[track]: track for track in tracks if track not in failed}
        for track in tracks:
            track.num_failed += 1
        # Where two tracks found one person, that of the pose that has moved less goes on.
        for pose in person_search.pose_nms(passed, key=lambda p: _distance(p, passed[p].pose)):
            passed[pose].num_failed = 0
            passed[pose].move(pose, time)
        self._tracks = [track for track in tracks if track.num_failed < LOST_AFTER]

    def _check(self, due: list[Track], found: dict[Track, Pose], wider: list[Pose]) -> set[Track]:
        """Compare the poses of some tracks with those of wider crops: the tracks that fail."""
        for track, pose in zip(due, wider, strict=True):
            track.checked = self._frame
            track.score = person_search.rescore(found[track], [pose]).score
        return {track for track in due if track.score < KEPT * self._threshold}

    def _is_search_due(self) -> bool:
        if self._searched is None:
            return True
        is_wanting = len(self._tracks) < self.config.num_people and self.config.mode != "whole"
        return is_wanting and self._frame - self._searched >= SEARCH_EVERY

    def _search(self, time: float) -> Generator[list, Any, None]:
        """Search the whole frame, and track the people found from now on."""
        is_first, self._searched = self._searched is None, self._frame
        if is_first:
            found = yield from self.config.start(self.size)
        else:
            found = yield from person_search.find_people(self.size, self.config.num_people)
        self.best = max(self.best, found[0].score)
        # A person who was told to be in the first frame needs no score.
        is_told = is_first and (self.config.threshold is None or self.config.mode == "whole")
        for pose in found:
            is_known = any(person_search.is_same_person(pose, track.pose) for track in self._tracks)
            is_wanted = not is_known and len(self._tracks) < self.config.num_people
            if is_wanted and (is_told or pose.score >= self._threshold):
                self._add(pose, time)

    def _add(self, pose: Pose, time: float) -> None:
        self.num_people += 1
        filters = [JumpFilter(), OneEuroFilter()] if self.is_smooth else []
        size = _measure_size(pose)
        track = Track(self.num_people, pose, pose.score, size, self._frame, filters=filters)
        track.move(pose, time)
        self._tracks.append(track)


def _measure_size(pose: Pose) -> float:
    """The longer side of a pose's bbox, px."""
    return float(np.ptp(pose.bbox, axis=0).max())


def _distance(pose: Pose, other: Pose) -> float:
    return float(np.linalg.norm(pose.keypoints - other.keypoints, axis=1).mean())
