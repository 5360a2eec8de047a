"""A body in three dimensions (`synthetic.bodies.Body`) out of the joints of one picture.

One picture does not tell depth. Rules of the body do. Knees bend to the back and elbows to the
front. Shoulders close together are seen from the side. A limb that is too short in the picture
points to the viewer or away.
"""

import itertools
from typing import NamedTuple

import numpy as np

from hourglass.data.conversion import Conversion
from hourglass.data.synthetic.bodies import LENGTHS, Body
from hourglass.keypoints import MPII, KeypointSchema
from hourglass.utils.errors import UserError

LIMB_JOINTS = {"arm": ("shoulder", "elbow", "wrist"), "leg": ("hip", "knee", "ankle")}
SEGMENTS = {"arm": ("upper_arm", "forearm"), "leg": ("thigh", "shank")}
OUTWARD = {"r": -1, "l": 1}  # the sign of x on a side of the body
# A segment is never longer than it is, but often looks shorter: of the heights that all of them
# tell, this quantile is the person's.
TOLD_BY = 0.75
# A segment so much shorter than it should be is still taken to lie in the picture's plane.
PLANE = 0.85
LEAST_FRONT = 0.55  # how far a face is turned to the viewer, at least

Points = dict[str, np.ndarray]  # [2] or [3] by name, px of the picture


class Build(NamedTuple):
    """The body as a whole, estimated from one picture; it can be smoothed over a clip.

    Attributes:
        height: px if they stood upright.
        front: how far they face the viewer, from -1, seen from behind, to 1.
        bend: px, where their knees and elbows point to; upright, to the right of the picture.
    """

    height: float
    front: float
    bend: float


def find_conversion(schema: KeypointSchema) -> Conversion:
    """From a network's keypoints to those that a body is lifted from, MPII's 16.

    Raises:
        UserError: the network lacks some of them.
    """
    conversion = Conversion(schema, MPII)
    is_there = conversion.convert_flags(np.ones(schema.num_keypoints, bool))
    if missing := [MPII.keypoints[k] for k in np.flatnonzero(~is_there)]:
        raise UserError(
            f"stickers need {', '.join(missing)}, which this network ({schema.name}) does not find;"
            " name another by --model"
        )
    return conversion


def lift_body(keypoints: np.ndarray, visible: np.ndarray, build: Build | None = None) -> Body:
    """The body of a person on a picture, its joints where the keypoints are.

    Args:
        keypoints: [16, 2], px of the picture.
        visible: bool [16], the joints to go by. The other limbs hang as those before them point;
            pelvis, thorax, neck and head are needed, and taken as they are.
        build: theirs; None: as `estimate_build` has it. Smoothed ones may go a little too far.

    Returns:
        A body whose z grows from the pelvis toward the viewer.
    """
    height, front, bend = build or estimate_build(keypoints, visible)
    height, front = max(1.0, height), float(np.clip(front, -1, 1))
    side = 1 if bend >= 0 else -1
    joints = _complete_joints(keypoints, visible, height)
    axes = _make_axes(joints["pelvis"] - joints["thorax"], front, side)
    points = _lift_trunk(joints, axes[:, 2] * height)
    for which, kind in itertools.product(OUTWARD, LIMB_JOINTS):
        points |= _lift_limb(joints, kind, which, axes, height)
    # A face is worth more than a profile: who is not seen from behind turns it to the viewer.
    head_front = front if front < -0.5 else max(front, LEAST_FRONT)
    head_axes = _make_axes(joints["upper_neck"] - joints["head_top"], head_front, side)
    return Body(points, head_axes, height, "photograph")


def estimate_build(keypoints: np.ndarray, visible: np.ndarray) -> Build:
    """The build that joints [16, 2], px, tell by those that are visible, bool [16]."""
    height = estimate_height(keypoints, visible)
    joints = _complete_joints(keypoints, visible, height)
    across = _turn(_unit(joints["pelvis"] - joints["thorax"]))
    span = sum((joints[f"l_{name}"] - joints[f"r_{name}"]) @ across for name in ("shoulder", "hip"))
    front = span / (2 * height * (LENGTHS["shoulder"] + LENGTHS["hip"]))
    bend = 0.0
    for kind, sign in (("leg", 1), ("arm", -1)):
        for side in OUTWARD:
            root, middle, tip = (joints[f"{side}_{name}"] for name in LIMB_JOINTS[kind])
            along = _unit(tip - root)
            aside = (middle - root) - along * ((middle - root) @ along)
            bend += sign * float(aside @ across)
    return Build(height, float(np.clip(front, -1, 1)), bend)


def estimate_height(keypoints: np.ndarray, visible: np.ndarray) -> float:
    """The height, px, of a person as if they stood upright; at least 1.

    Args:
        keypoints: [16, 2], px.
        visible: bool [16], the joints to go by; all where no bone has two.
    """
    bones = [("upper_neck", "head_top", "head"), ("pelvis", "thorax", "spine")]
    for kind, names in LIMB_JOINTS.items():
        for (first, second), segment in zip(itertools.pairwise(names), SEGMENTS[kind], strict=True):
            bones += [(f"{side}_{first}", f"{side}_{second}", segment) for side in "rl"]
    ends = np.array([[MPII.index(name) for name in bone[:2]] for bone in bones])
    lengths = np.array([LENGTHS[segment] for *_, segment in bones])
    told = np.linalg.norm(np.diff(np.asarray(keypoints)[ends], axis=1)[:, 0], axis=1) / lengths
    is_visible = np.asarray(visible)[ends].all(axis=1)
    return max(1.0, float(np.quantile(told[is_visible] if is_visible.any() else told, TOLD_BY)))


def _complete_joints(keypoints: np.ndarray, visible: np.ndarray, height: float) -> Points:
    """The joints by name; limbs that are not visible in a line with the ones before."""
    joints = dict(zip(MPII.keypoints, np.asarray(keypoints, float), strict=True))
    is_visible = dict(zip(MPII.keypoints, visible, strict=True))
    down = _unit(joints["pelvis"] - joints["thorax"])
    for (kind, names), side in itertools.product(LIMB_JOINTS.items(), "rl"):
        root, middle, tip = (f"{side}_{name}" for name in names)
        upper, lower = (LENGTHS[segment] * height for segment in SEGMENTS[kind])
        if not is_visible[middle]:
            joints[middle] = joints[root] + down * upper
        if not (is_visible[middle] and is_visible[tip]):
            joints[tip] = joints[middle] + _unit(joints[middle] - joints[root]) * lower
    return joints


def _make_axes(down: np.ndarray, front: float, side: int) -> np.ndarray:
    """Axes [3, 3] of trunk or head, pointing `down` [2]: the person's left, down, forward."""
    down = _unit(down)
    across, toward = np.append(_turn(down), 0.0), np.array((0.0, 0.0, 1.0))
    aside = side * np.sqrt(1 - front**2)
    left = front * across - aside * toward
    return np.stack([left, np.append(down, 0.0), aside * across + front * toward], axis=1)


def _lift_trunk(joints: Points, forward: np.ndarray) -> Points:
    """Points from the pelvis to the head's top; `forward` [3] is one height long."""
    names = ("pelvis", "thorax", "upper_neck", "head_top")
    points = {name: np.append(joints[name], 0.0) for name in names}
    points["waist"] = 0.55 * points["pelvis"] + 0.45 * points["thorax"]
    points["buckle"] = 0.5 * (points["pelvis"] + points["waist"]) + 0.04 * forward
    points["collar"] = points["thorax"] + 0.04 * forward
    return points


def _lift_limb(joints: Points, kind: str, side: str, axes: np.ndarray, height: float) -> Points:
    """Named points of an arm or a leg, with its hand or foot."""
    names = [f"{side}_{name}" for name in LIMB_JOINTS[kind]]
    half_width = LENGTHS["shoulder" if kind == "arm" else "hip"] * height
    z = OUTWARD[side] * half_width * axes[2, 0]
    points = {names[0]: np.append(joints[names[0]], z)}
    # Thighs and arms point forward; a shank goes back from where the thigh has come to.
    signs = (1, 1) if kind == "arm" else (1, -1)
    steps = zip(itertools.pairwise(names), SEGMENTS[kind], signs, strict=True)
    for (start, end), segment, sign in steps:
        seen = np.linalg.norm(joints[end] - joints[start])
        hidden = np.sqrt(max(0.0, (PLANE * LENGTHS[segment] * height) ** 2 - seen**2))
        z += sign * axes[2, 2] * hidden
        points[end] = np.append(joints[end], z)
    tip = points[names[2]]
    along = _unit(tip - points[names[1]])
    if kind == "arm":
        hand = along * LENGTHS["hand"] * height
        return points | {f"{side}_palm": tip + 0.5 * hand, f"{side}_hand": tip + hand}
    forward = axes[:, 2] - along * (along @ axes[:, 2])
    forward = _unit(forward) * height
    down = along * LENGTHS["foot"] * height
    heel, toe = tip + 0.6 * down - 0.01 * forward, tip + 0.7 * down + 0.085 * forward
    return points | {f"{side}_heel": heel, f"{side}_toe": toe}


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def _turn(down: np.ndarray) -> np.ndarray:
    """A quarter turn in the picture's plane: from a person's down to their left, face to face."""
    return np.array((down[1], -down[0]))
