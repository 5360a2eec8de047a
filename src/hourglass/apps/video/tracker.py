"""People followed from frame to frame, each with a number of their own.

A frame costs one look at each of them, at the crop around the joints that they had in the frame
before. All over the frame they are searched for in the first one, and again where there are fewer
than were asked for.

What one look sees where nobody is has joints as well, which are nearly as sure. They move with the
crop. So every few frames a second, wider look must put the joints in the same places
(`people.weigh`); who fails that some times in a row is lost.
"""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from hourglass.apps.video.smoothing import LeapFilter, OneEuroFilter
from hourglass.inference import person_search
from hourglass.inference.person_search import Pose
from hourglass.utils import transforms

SEARCH_EVERY = 15  # frames from one search to the next, at least: it costs some fifty looks
CHECK_EVERY = 5  # frames from one second look at a person to the next
LOST_AFTER = 3  # checks in a row that a person fails, and is lost
WIDER = 1.5  # side of the second look's crop to that of the first
# The score that a person keeps, to the least of a search, whose looks lie further apart. Of people
# found with 0.4 and more all had it, of crops of nobody a third, on three clips.
KEPT = 1.3
# Of what a person's box has become smaller, the crop takes so much from frame to frame: joints
# that are missed for a moment must not draw it together. It grows at once.
SHRINKING = 0.05


class TrackedPerson(NamedTuple):
    """Somebody in one frame.

    Attributes:
        number: theirs from frame to frame, from 1 on.
        pose: where they are, smoothed; its score is that of the last check.
    """

    number: int
    pose: Pose


@dataclass(eq=False)
class Track:
    """Somebody who is followed.

    Attributes:
        number: as of `Person`.
        pose: where they were seen last, smoothed.
        score: of the last check.
        size: px, the longer side of their box.
        checked: the frame of the last check.
        num_failed: checks since one that was passed.
    """

    number: int
    pose: Pose
    score: float
    size: float
    checked: int
    num_failed: int = 0
    hold: LeapFilter = field(default_factory=LeapFilter)
    smooth: OneEuroFilter = field(default_factory=OneEuroFilter)

    def crop(self, factor=1.0):
        """The crop to look at, `factor` as wide as usual."""
        side = max(factor * transforms.AROUND_JOINTS * self.size, person_search.MIN_SIDE)
        return person_search.crop_at(self.pose.bbox.mean(axis=0), side)


class Tracker:
    """Follows as many people through a clip as an `InferenceConfig` asks for.

    Args:
        config: an `InferenceConfig`; its box is that of the person in the first frame.
        size: width, height of every frame, px.
        is_smooth: whether joints are smoothed.

    Attributes:
        best: the best score of all searches. num_people: all who were followed.
    """

    def __init__(self, config, size, is_smooth=True):
        self.config = config
        self.size = size
        self.is_smooth = is_smooth
        self.best = 0.0
        self.num_people = 0
        self._tracks = []
        self._frame = -1
        self._searched = None  # the frame of the last search

    def follow(self, time):
        """The search (`people.py`) of the next frame, at `time` in seconds: a list of `Person`."""
        self._frame += 1
        if self.config.mode == "whole":
            yield from self._follow_whole(time)
        elif self._tracks:
            yield from self._follow_tracks(time)
        if self._is_search_due():
            yield from self._search(time)
        return [
            TrackedPerson(track.number, track.pose)
            for track in self._tracks
            if not track.num_failed
        ]

    def _follow_whole(self, time):
        (pose,) = yield from self.config.start(self.size)
        if self._tracks:
            (track,) = self._tracks
            track.score = pose.score
            self._move(track, pose, time)
        else:
            self._welcome(pose, time)

    def _follow_tracks(self, time):
        tracks = self._tracks
        due = [t for t in tracks if t.num_failed or self._frame - t.checked >= CHECK_EVERY]
        crops = [t.crop() for t in tracks] + [t.crop(WIDER) for t in due]
        poses = yield from person_search.estimate_crops(crops)
        looks = dict(zip(tracks, poses, strict=False))
        failed = self._check(due, looks, poses[len(tracks) :])
        seen = {looks[track]: track for track in tracks if track not in failed}
        # Of two tracks that see one person it is the one's whose pose has moved less.
        apart = person_search.pose_nms(seen, key=lambda pose: _distance(pose, seen[pose].pose))
        kept = {seen[pose] for pose in apart}
        for track in tracks:
            track.num_failed = 0 if track in kept else track.num_failed + 1
            if track in kept:
                self._move(track, looks[track], time)
        self._tracks = [track for track in tracks if track.num_failed < LOST_AFTER]

    def _check(self, due, looks, wider_looks):
        """Hold each track's look against a wider one: the tracks that fail."""
        least = KEPT * self._threshold()
        for track, wider in zip(due, wider_looks, strict=True):
            track.checked, track.score = (
                self._frame,
                person_search.rescore(looks[track], [wider]).score,
            )
        return {track for track in due if track.score < least}

    def _threshold(self):
        return person_search.THRESHOLD if self.config.threshold is None else self.config.threshold

    def _move(self, track, pose, time):
        """The track's person is where `pose` is."""
        size = _size_of(pose)
        track.size = max(size, track.size + SHRINKING * (size - track.size))
        keypoints = pose.keypoints
        if self.is_smooth:
            keypoints = track.hold(keypoints, time, track.size)
            keypoints = track.smooth(keypoints, time, track.size)
        track.pose = replace(pose, keypoints=keypoints, score=track.score)

    def _is_search_due(self):
        if self.config.mode == "whole":
            return False
        if self._searched is None:
            return True
        is_wanting = len(self._tracks) < self.config.num_people
        return is_wanting and self._frame - self._searched >= SEARCH_EVERY

    def _search(self, time):
        """Search the whole frame, and follow from now on whom it finds."""
        is_first, self._searched = self._searched is None, self._frame
        if is_first:
            found = yield from self.config.start(self.size)
        else:
            found = yield from person_search.find_people(self.size, self.config.num_people)
        self.best = max(self.best, found[0].score)
        # Who was told to be there needs no score, in the first frame.
        is_told = is_first and self.config.threshold is None
        for pose in found:
            if is_told or pose.score >= self._threshold():
                self._welcome(pose, time)

    def _welcome(self, pose, time):
        """Follow somebody, if they are not yet followed and there is room."""
        is_known = any(person_search.is_same_person(pose, track.pose) for track in self._tracks)
        if not is_known and len(self._tracks) < self.config.num_people:
            self.num_people += 1
            track = Track(self.num_people, pose, pose.score, _size_of(pose), self._frame)
            self._tracks.append(track)
            self._move(track, pose, time)


def _size_of(pose):
    """The longer side of a pose's box, px."""
    return np.ptp(pose.bbox, axis=0).max()


def _distance(pose, other):
    return np.linalg.norm(pose.keypoints - other.keypoints, axis=1).mean()
