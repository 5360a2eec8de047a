"""Human bodies in three dimensions, posed by joint angles and seen by an orthographic camera.

World frame: x to the right, y down, z toward the viewer. The body's own frame is the same if it
faces the viewer: its right side is at negative x. Lengths of the body are fractions of its standing
height; angles are degrees.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np

from hourglass.keypoints import MPII

MAX_TRIES = 8  # poses drawn for one that hides no arm


class BodyPose(NamedTuple):
    """How often a pose is drawn, and within which limits."""

    weight: float
    spine_bend: tuple[float, float]  # bounds, forward
    arms: str  # what either arm may do
    legs: tuple[str, str]  # what the two legs do


# fmt: off
LENGTHS = {
    "foot": 0.042, "shank": 0.236, "thigh": 0.236, "spine": 0.275, "neck": 0.046, "head": 0.165,
    "upper_arm": 0.165, "forearm": 0.15, "hand": 0.05,
    "shoulder": 0.108, "hip": 0.056,  # half widths
}
STACKED = ("foot", "shank", "thigh", "spine", "neck", "head")  # these add up to the height
# A limb's angles, each drawn between two bounds: swing forward, lift outward, twist inward, and
# bend of the elbow or knee.
ARMS = {
    "hang": ((-15, 25), (8, 25), (-10, 30), (0, 45)),
    "hip": ((-30, -12), (38, 55), (60, 85), (80, 110)),
    "raised": ((-10, 20), (125, 168), (-60, 0), (0, 70)),
    "wave": ((-10, 10), (65, 105), (-110, -70), (40, 115)),
    "side": ((-15, 30), (50, 100), (-60, 20), (0, 45)),
    "front": ((40, 110), (5, 35), (-20, 40), (0, 70)),
    "fore": ((15, 45), (5, 20), (0, 35), (50, 105)),
    "back": ((-55, -25), (6, 20), (-10, 20), (25, 95)),
    "lap": ((15, 40), (5, 20), (0, 30), (20, 60)),
    "reach": ((50, 120), (5, 30), (-20, 20), (0, 30)),
}
LEGS = {
    "straight": ((-8, 12), (1, 13), (-25, 0), (0, 12)),
    "wide": ((-5, 25), (14, 36), (-30, 0), (0, 35)),
    "step": ((18, 42), (0, 7), (-12, 5), (4, 30)),
    "push": ((-28, -8), (0, 7), (-12, 5), (8, 40)),
    "drive": ((45, 85), (0, 10), (-10, 5), (55, 105)),
    "trail": ((-28, 0), (0, 8), (-10, 5), (25, 90)),
    "seat": ((70, 95), (4, 24), (-15, 5), (65, 100)),
    "squat": ((90, 118), (12, 36), (-25, -5), (95, 128)),
    "kneel": ((-5, 20), (2, 12), (-10, 5), (80, 110)),
}
POSES = {
    "stand": BodyPose(31, (-6, 10), "hang hip raised wave side front", ("straight", "straight")),
    "walk": BodyPose(15, (-2, 12), "hang fore back", ("step", "push")),
    "run": BodyPose(12, (5, 25), "fore back", ("drive", "trail")),
    "dance": BodyPose(16, (-10, 15), "raised wave side hip", ("wide", "wide")),
    "balance": BodyPose(7, (-5, 15), "raised wave side", ("straight", "drive")),
    "sit": BodyPose(8, (-5, 15), "lap front raised wave", ("seat", "seat")),
    "crouch": BodyPose(5, (20, 45), "front lap side", ("squat", "squat")),
    "kneel": BodyPose(3, (-5, 15), "hang raised front", ("seat", "kneel")),
    "bend": BodyPose(3, (55, 90), "reach", ("straight", "step")),
}
# fmt: on
# COCO's keypoints of the face: left, down, forward, in skull radii from the skull's center.
FACE = {
    "nose": (0, 0.38, 0.98),
    "left_eye": (0.36, 0.15, 0.85),
    "right_eye": (-0.36, 0.15, 0.85),
    "left_ear": (0.9, 0.2, -0.05),
    "right_ear": (-0.9, 0.2, -0.05),
}  # fmt: skip
OBLIQUE_POSES = ("crouch", "kneel", "bend")  # seen from the front they fold into one spot
FOLDED_POSES = ("sit", *OBLIQUE_POSES)  # seldom seen turned in the picture's plane


AnyBody = TypeVar("AnyBody", bound="Body")


@dataclass(frozen=True)
class Body:
    """A posed body: named points [3] in picture pixels (z toward the viewer), and axes [3, 3]."""

    points: dict[str, np.ndarray]
    head_axes: np.ndarray  # columns: the person's left, down, forward
    height: float  # px if it stood upright
    pose: str

    @property
    def keypoints(self) -> np.ndarray:
        """MPII's keypoints [K, 2] (x, y), 0-based px of the picture."""
        return np.array([self.points[name][:2] for name in MPII.keypoints])

    @property
    def skull(self) -> tuple[np.ndarray, float]:
        """The skull's center [3] and its radius, px."""
        top = self.points["head_top"]
        radius = float(0.37 * np.linalg.norm(top - self.points["upper_neck"]))
        return top + self.head_axes[:, 1] * radius, radius

    def place_on_head(self, x: float, y: float, z: float) -> np.ndarray:
        """A point [3] px that is given in head axes, in skull radii from the skull's center."""
        center, radius = self.skull
        return center + self.head_axes @ (x, y, z) * radius

    @property
    def face(self) -> dict[str, np.ndarray]:
        """The points of FACE by name, [3] px."""
        return {name: self.place_on_head(*place) for name, place in FACE.items()}

    @property
    def faces_viewer(self) -> bool:
        """Whether the face is on the viewer's side of the head."""
        return bool(self.head_axes[2, 2] >= 0)

    @property
    def hides_an_arm(self) -> bool:
        """Whether an elbow or a wrist is behind the trunk, where it cannot be seen."""
        pelvis, thorax = self.points["pelvis"], self.points["thorax"]
        spine = (thorax - pelvis)[:2]
        for name in ("r_elbow", "l_elbow", "r_wrist", "l_wrist"):
            # The spine's point nearest to the joint, as seen in the picture.
            along = np.clip((self.points[name] - pelvis)[:2] @ spine / (spine @ spine), 0, 1)
            away = self.points[name] - (pelvis + along * (thorax - pelvis))
            if away[2] < 0 and np.hypot(*away[:2]) < 0.1 * self.height:  # z < 0: behind
                return True
        return False

    def depth(self, *names: str) -> float:
        """Mean z of the named points, px: greater is nearer."""
        return float(np.mean([self.points[name][2] for name in names]))

    def move(self: AnyBody, offset: Iterable[float]) -> AnyBody:
        """A copy of the body, shifted by `offset` (x, y) px."""
        shift = np.array([*offset, 0.0])
        points = {name: point + shift for name, point in self.points.items()}
        return replace(self, points=points)


def sample_body(rng: np.random.Generator, height: float) -> Body:
    """Draw a body in one of POSES, of `height` px if it stood upright, its pelvis at (0, 0).

    It seldom hides an arm behind its trunk.
    """
    for _ in range(MAX_TRIES):
        body = _sample_any_body(rng, height)
        if not body.hides_an_arm:
            break
    return body


def _sample_any_body(rng: np.random.Generator, height: float) -> Body:
    weights = np.array([pose.weight for pose in POSES.values()])
    pose = str(rng.choice(list(POSES), p=weights / weights.sum()))
    points, head_axes = pose_body(rng, POSES[pose], sample_lengths(rng))
    camera = _sample_camera(rng, pose)
    points = {name: camera @ point * height for name, point in points.items()}  # px; z too
    return Body(points, camera @ head_axes, height, pose)


def sample_lengths(rng: np.random.Generator) -> dict[str, float]:
    """Body lengths that vary from person to person; those of STACKED sum to 1."""
    # Every part varies by itself, then all are brought to a height of 1 again.
    lengths = {name: length * rng.uniform(0.93, 1.07) for name, length in LENGTHS.items()}
    height = sum(lengths[name] for name in STACKED)
    return {name: length / height for name, length in lengths.items()}


def _sample_camera(rng: np.random.Generator, pose: str) -> np.ndarray:
    """World axes [3, 3] of the body: mostly seen from the front or back and upright."""
    # Degrees about the body's own axis, 0 facing the viewer: front, back, or from a side.
    yaws = (rng.normal(0, 26), rng.normal(180, 24), rng.uniform(-85, 85))
    yaw = rng.choice(yaws, p=[0.64, 0.2, 0.16])
    if pose in OBLIQUE_POSES:
        yaw = rng.choice([-1, 1]) * rng.uniform(25, 75)
    # Degrees in the picture's plane: upright, leaning, or any, as in a cartwheel.
    rolls = (rng.normal(0, 9), rng.uniform(-60, 60), rng.uniform(-180, 180))
    roll = rolls[0] if pose in FOLDED_POSES else rng.choice(rolls, p=[0.9, 0.08, 0.02])
    # The rightmost turns first: the body about itself, then the camera's tilt, then the picture.
    return _rotate(z=roll) @ _rotate(x=rng.normal(-5, 5)) @ _rotate(y=yaw)


def pose_body(
    rng: np.random.Generator, pose: BodyPose, lengths: Mapping[str, float]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Named points [3] of the body in its own frame, pelvis at the origin, and the head's axes."""
    points, chest_axes, head_axes = _pose_trunk(rng, pose.spine_bend, lengths)
    # Either leg may be the one that steps.
    for side, leg in zip(rng.permutation(["r", "l"]), pose.legs, strict=True):
        points |= pose_leg(side, _sample_angles(rng, LEGS[leg]), lengths)
        arm = rng.choice(pose.arms.split())
        angles = _sample_angles(rng, ARMS[arm])
        points |= pose_arm(side, angles, lengths, points["thorax"], chest_axes)
    return points, head_axes


def _sample_angles(rng: np.random.Generator, bounds: Iterable[tuple]) -> list[float]:
    return [rng.uniform(low, high) for low, high in bounds]


def _pose_trunk(
    rng: np.random.Generator, spine_bend: tuple[float, float], lengths: Mapping[str, float]
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Points from the pelvis to the head's top, the axes of the chest and those of the head."""
    waist_axes = _rotate(x=-rng.uniform(*spine_bend) / 2, y=rng.normal(0, 6), z=rng.normal(0, 5))
    chest_axes = waist_axes @ waist_axes  # each half of the spine bends alike
    head_axes = chest_axes @ _rotate(x=rng.normal(4, 7), y=rng.normal(0, 16), z=rng.normal(0, 6))
    waist = -waist_axes[:, 1] * lengths["spine"] * 0.45
    thorax = waist - chest_axes[:, 1] * lengths["spine"] * 0.55
    upper_neck = thorax - chest_axes[:, 1] * lengths["neck"]
    points = {
        "pelvis": np.zeros(3),
        "buckle": 0.5 * waist + waist_axes[:, 2] * 0.04,
        "waist": waist,
        "thorax": thorax,
        "collar": thorax + chest_axes[:, 2] * 0.04,
        "upper_neck": upper_neck,
        "head_top": upper_neck - head_axes[:, 1] * lengths["head"],
    }
    return points, chest_axes, head_axes


def pose_arm(
    side: str,
    angles: Sequence[float],
    lengths: Mapping[str, float],
    thorax: np.ndarray,
    chest_axes: np.ndarray,
) -> dict[str, np.ndarray]:
    """Named points of an arm; angles: swing forward, lift sideways, twist, bend of the elbow."""
    outward = _outward(side)
    shoulder = thorax + chest_axes[:, 0] * outward * lengths["shoulder"]
    segments = lengths["upper_arm"], lengths["forearm"]
    elbow, wrist, axes = _bend_limb(shoulder, chest_axes, outward, angles, segments)
    return {
        f"{side}_shoulder": shoulder,
        f"{side}_elbow": elbow,
        f"{side}_wrist": wrist,
        f"{side}_palm": wrist + axes[:, 1] * lengths["hand"] * 0.5,
        f"{side}_hand": wrist + axes[:, 1] * lengths["hand"],
    }


def pose_leg(
    side: str, angles: Sequence[float], lengths: Mapping[str, float]
) -> dict[str, np.ndarray]:
    """Named points of a leg; angles: swing forward, lift sideways, twist, bend of the knee."""
    outward = _outward(side)
    hip = np.array([outward * lengths["hip"], 0.0, 0.0])
    swing, lift, twist, bend = angles
    segments = lengths["thigh"], lengths["shank"]
    # A knee closes to the back, an elbow to the front: hence -bend.
    knee, ankle, axes = _bend_limb(hip, np.eye(3), outward, (swing, lift, twist, -bend), segments)
    return {
        f"{side}_hip": hip,
        f"{side}_knee": knee,
        f"{side}_ankle": ankle,
        f"{side}_heel": ankle + axes @ (0, 0.6 * lengths["foot"], -0.01),
        f"{side}_toe": ankle + axes @ (0, 0.7 * lengths["foot"], 0.085),
    }


def _outward(side: str) -> int:
    """The sign of x on a side of the body, "r" or "l"."""
    return -1 if side == "r" else 1


def _bend_limb(
    root: np.ndarray,
    axes: np.ndarray,
    outward: int,
    angles: Sequence[float],
    segments: tuple[float, float],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middle joint, end joint and the lower segment's axes; +bend closes forward, as an elbow."""
    swing, lift, twist, bend = angles
    upper = axes @ _rotate(x=swing) @ _rotate(z=-outward * lift) @ _rotate(y=-outward * twist)
    lower = upper @ _rotate(x=bend)
    middle = root + upper[:, 1] * segments[0]
    return middle, middle + lower[:, 1] * segments[1], lower


def _rotate(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    """Rotation [3, 3] about x, then y, then z; +x swings a hanging limb forward (to +z)."""
    angles = np.radians((x, y, z))
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x
