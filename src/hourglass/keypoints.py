"""The schema of a person's keypoints: names, sides, bones, and how PCKh scores them.

A schema travels with the data: `data.schema` of params.yaml, annotations, records, the files of
networks. Code asks the schema that its data carry; it knows no keypoint by number.
"""

import dataclasses
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

# A person's `scale` is its height by this, px: of the whole body, standing.
PERSON_HEIGHT = 200.0
# A keypoint with one of these in its name is of the lower half of the body.
LOWER_BODY = re.compile("hip|pelvis|thigh|knee|shin|ankle|heel|toe|foot", re.IGNORECASE)
# Columns of PCKh beside those of the groups (`evaluation.pckh`).
MEANS = ("total", "unweighted")


@dataclasses.dataclass(frozen=True)
class KeypointSchema:
    """The keypoints of a dataset, in the order of its arrays' axis K.

    Attributes:
        keypoints: the K names.
        flip_pairs: (right, left) names that change places in a mirror; the others keep theirs.
        bones: pairs of names that a skeleton joins.
        groups: PCKh's columns, {column: names}. A column is the mean of its keypoints' scores.
        unscored: names that PCKh leaves out of the total.
        head_segment: the two ends of the head, by whose distance head sizes are told; () where
            the schema has no such keypoints.
    """

    name: str
    keypoints: tuple[str, ...]
    flip_pairs: tuple[tuple[str, str], ...]
    bones: tuple[tuple[str, str], ...]
    groups: Mapping[str, tuple[str, ...]]
    unscored: tuple[str, ...] = ()
    head_segment: tuple[str, ...] = ()

    # For the checks of params.yaml: its lists are tuples here, an unknown key is an error.
    __pydantic_config__: ClassVar = {"strict": False, "extra": "forbid"}

    def __post_init__(self) -> None:
        """Raise ValueError where names are doubled, unknown or no words."""
        if len(set(self.keypoints)) != len(self.keypoints) or not self.keypoints:
            raise ValueError("keypoints must be names, each of them once")
        for name in (self.name, *self.keypoints, *self.groups):
            if not re.fullmatch(r"[\w-]+", name) or name in MEANS:
                taken = ", ".join(MEANS)
                raise ValueError(f"{name!r}: names are letters, digits, _ and -, but not {taken}")
        named = [*self.flip_pairs, *self.bones, *self.groups.values()]
        for names in (*named, self.unscored, self.head_segment):
            if unknown := set(names) - set(self.keypoints):
                raise ValueError(f"{', '.join(sorted(unknown))}: not among the keypoints")
        paired = [name for pair in self.flip_pairs for name in pair]
        if len(set(paired)) != len(paired) or any(len(pair) != 2 for pair in self.flip_pairs):
            raise ValueError("flip_pairs must be pairs of names, each name in one pair at most")
        if any(len(bone) != 2 for bone in self.bones) or len(self.head_segment) not in (0, 2):
            raise ValueError("bones and head_segment must be pairs of names")
        if not all(self.groups.values()) or not self.scored_indices:
            raise ValueError("each group, and the total, needs a keypoint")

    @property
    def num_keypoints(self) -> int:
        """K."""
        return len(self.keypoints)

    def index(self, name: str) -> int:
        """The place of a keypoint on the axis K."""
        return self.keypoints.index(name)

    def indices(self, names: tuple[str, ...]) -> tuple[int, ...]:
        """The places of some keypoints on the axis K."""
        return tuple(self.index(name) for name in names)

    @cached_property
    def flip_order(self) -> tuple[int, ...]:
        """[k] is the keypoint whose place keypoint k takes in a mirror."""
        other = dict(self.flip_pairs) | {left: right for right, left in self.flip_pairs}
        return tuple(self.index(other.get(name, name)) for name in self.keypoints)

    @cached_property
    def sides(self) -> tuple[str, ...]:
        """The side of the person that each keypoint is on: "right", "left" or "middle"."""
        right, left = ({pair[k] for pair in self.flip_pairs} for k in (0, 1))
        return tuple(
            "right" if name in right else "left" if name in left else "middle"
            for name in self.keypoints
        )

    @cached_property
    def lower_indices(self) -> tuple[int, ...]:
        """The keypoints of the lower half of the body, as places on the axis K.

        The names decide (`LOWER_BODY`), and the others are of the upper half. A field would be
        missing in networks and annotations written before. The names give the halves of mmpose's
        datasets of whole bodies, from COCO, MPII and AIC to Halpe and COCO-WholeBody
        (github.com/open-mmlab/mmpose, configs/_base_/datasets).
        """
        return tuple(k for k, name in enumerate(self.keypoints) if LOWER_BODY.search(name))

    @cached_property
    def bone_indices(self) -> tuple[tuple[int, ...], ...]:
        """The bones as places on the axis K."""
        return tuple(self.indices(bone) for bone in self.bones)

    @cached_property
    def bone_sides(self) -> tuple[str, ...]:
        """The side of each bone: that of its ends; "middle" from one side to the other."""
        ends = ({self.sides[k] for k in bone} - {"middle"} for bone in self.bone_indices)
        return tuple(sides.pop() if len(sides) == 1 else "middle" for sides in ends)

    @cached_property
    def group_indices(self) -> dict[str, tuple[int, ...]]:
        """PCKh's columns as places on the axis K."""
        return {column: self.indices(names) for column, names in self.groups.items()}

    @cached_property
    def scored_indices(self) -> tuple[int, ...]:
        """The keypoints of PCKh's total, as places on the axis K."""
        return tuple(k for k, name in enumerate(self.keypoints) if name not in self.unscored)

    def to_dict(self) -> dict[str, Any]:
        """The schema as JSON holds it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "KeypointSchema":
        """The schema of `to_dict`, or of params.yaml.

        Raises:
            ValueError: names are doubled or unknown.
            TypeError: a key is missing or unknown.
        """
        values = dict(values)
        for key in ("flip_pairs", "bones"):
            values[key] = tuple(map(tuple, values.get(key, ())))
        for key in ("keypoints", "unscored", "head_segment"):
            values[key] = tuple(values.get(key, ()))
        values["groups"] = {name: tuple(group) for name, group in values["groups"].items()}
        return cls(**values)


# Source: http://human-pose.mpi-inf.mpg.de (Andriluka et al., CVPR 2014), joint ids 0..15. Pelvis
# and thorax are never scored; the upper neck counts in the total but has no column: "Head" is the
# head top alone.
MPII = KeypointSchema(
    name="mpii",
    keypoints=(
        "r_ankle", "r_knee", "r_hip", "l_hip", "l_knee", "l_ankle",
        "pelvis", "thorax", "upper_neck", "head_top",
        "r_wrist", "r_elbow", "r_shoulder", "l_shoulder", "l_elbow", "l_wrist",
    ),
    flip_pairs=(
        ("r_ankle", "l_ankle"), ("r_knee", "l_knee"), ("r_hip", "l_hip"),
        ("r_wrist", "l_wrist"), ("r_elbow", "l_elbow"), ("r_shoulder", "l_shoulder"),
    ),
    bones=(
        ("r_ankle", "r_knee"), ("r_knee", "r_hip"), ("r_hip", "pelvis"),
        ("l_hip", "pelvis"), ("l_hip", "l_knee"), ("l_knee", "l_ankle"),
        ("pelvis", "thorax"), ("thorax", "upper_neck"), ("upper_neck", "head_top"),
        ("r_wrist", "r_elbow"), ("r_elbow", "r_shoulder"), ("r_shoulder", "thorax"),
        ("l_shoulder", "thorax"), ("l_shoulder", "l_elbow"), ("l_elbow", "l_wrist"),
    ),
    groups={
        "head": ("head_top",),
        "shoulder": ("r_shoulder", "l_shoulder"),
        "elbow": ("r_elbow", "l_elbow"),
        "wrist": ("r_wrist", "l_wrist"),
        "hip": ("r_hip", "l_hip"),
        "knee": ("r_knee", "l_knee"),
        "ankle": ("r_ankle", "l_ankle"),
    },
    unscored=("pelvis", "thorax"),
    head_segment=("upper_neck", "head_top"),
)  # fmt: skip

# Source: https://cocodataset.org/#format-data, keypoints of the category person; bones as its
# `skeleton`.
COCO = KeypointSchema(
    name="coco",
    keypoints=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear",
        "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
        "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    flip_pairs=tuple(
        (f"right_{name}", f"left_{name}")
        for name in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    ),
    bones=(
        ("left_ankle", "left_knee"), ("left_knee", "left_hip"),
        ("right_ankle", "right_knee"), ("right_knee", "right_hip"), ("left_hip", "right_hip"),
        ("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"),
        ("left_shoulder", "right_shoulder"), ("left_shoulder", "left_elbow"),
        ("right_shoulder", "right_elbow"), ("left_elbow", "left_wrist"),
        ("right_elbow", "right_wrist"), ("left_eye", "right_eye"), ("nose", "left_eye"),
        ("nose", "right_eye"), ("left_eye", "left_ear"), ("right_eye", "right_ear"),
        ("left_ear", "left_shoulder"), ("right_ear", "right_shoulder"),
    ),
    groups={
        "face": ("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
        **{
            name: (f"left_{name}", f"right_{name}")
            for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        },
    },
)  # fmt: skip

SCHEMAS = {schema.name: schema for schema in (MPII, COCO)}
