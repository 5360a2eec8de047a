"""Head sizes, px of the original picture: PCKh measures errors by them.

MPII's is 0.6 x the diagonal of its head box (Andriluka et al., CVPR 2014, section 4). Its JSON has
no head box, but its `scale` was made from it. Over the 2,958 validation persons the head size is
25 x `scale` to 6e-5 px. Where a scale was not made so, the head's labels stand for the box.
"""

import collections
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from hourglass.keypoints import PERSON_HEIGHT, KeypointSchema

if TYPE_CHECKING:
    from hourglass.data.person import Person

HEAD_SIZE_PER_SCALE = 25.0
# Of |upper_neck - head_top|, MPII: 0.7500 in the median of the 2,932 validation persons with both
# labels, 0.744-0.756 in 98 % of them.
HEAD_SIZE_PER_SEGMENT = 0.75
# Where a head size is from.
GIVEN, SEGMENT, SCALE = SOURCES = ("given", "segment", "scale")

# Head sizes by labels, in person heights; MPII's are 0.125. Of LSPET's 6,905 98 % are 0.042-0.465,
# the largest 0.68; the smallest are two clicks on one spot, by which no joint would be right.
MIN_LABELLED, MAX_LABELLED = 0.02, 1.0
# What a record may say: beyond is another unit or another person. Wider than the above, since
# `lspet.roughen_person` changes the height afterwards.
MIN_HEAD, MAX_HEAD = 0.005, 3.0

# (joints [K, 2] px, keypoints_visible bool [K], scale, schema) to (head size px, its source).
HeadSizeRule = Callable[[np.ndarray, np.ndarray, float, KeypointSchema], tuple[float, str]]


def head_size_from_scale(
    joints: np.ndarray, keypoints_visible: np.ndarray, scale: float, schema: KeypointSchema
) -> tuple[float, str]:
    """25 x `scale`, for data whose scale is made as MPII's is: (px, its source)."""
    return HEAD_SIZE_PER_SCALE * scale, SCALE


def head_size_from_labels(
    joints: np.ndarray, keypoints_visible: np.ndarray, scale: float, schema: KeypointSchema
) -> tuple[float, str]:
    """0.75 x the length of the schema's `head_segment`, else 25 x `scale`: (px, its source).

    The segment counts where both of its ends are labelled, apart.

    Args:
        joints: [K, 2], px.
        keypoints_visible: bool [K].
        scale: the person's height / 200 px.
    """
    ends = list(schema.indices(schema.head_segment))
    if ends and keypoints_visible[ends].all():
        neck, top = joints[ends]
        head_size = HEAD_SIZE_PER_SEGMENT * float(np.hypot(*(neck - top)))
        if MIN_LABELLED <= head_size / (PERSON_HEIGHT * scale) <= MAX_LABELLED:
            return head_size, SEGMENT
    return head_size_from_scale(joints, keypoints_visible, scale, schema)


def describe_head_sizes(persons: "Iterable[Person]") -> str:
    """The number of head sizes of each source, in words."""
    counts = collections.Counter(person.head_source for person in persons)
    words = {
        GIVEN: "as given",
        SEGMENT: f"by {HEAD_SIZE_PER_SEGMENT:g} x |upper neck - head top|",
        SCALE: f"by {HEAD_SIZE_PER_SCALE:g} x scale",
    }
    return ", ".join(f"{counts[source]:,} {words[source]}" for source in SOURCES if counts[source])
