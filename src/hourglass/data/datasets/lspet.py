"""Leeds Sports Pose Extended: its archive, its reader, and rough centers and scales.

The set has joints alone. Center and scale are made of the joints' box, so they would tell to the
pixel where the outermost joints lie. `roughen_person` moves them by what MPII's differ from that
box: MPII's center is set by hand, its scale is made of the head's box. A leak remains: the crop is
the truth's box with MPII's noise on it. A draw by which a joint leaves the crop is repeated, so all
labels are in the crop. A box by hand does not promise that.

Source: Johnson and Everingham, CVPR 2011; http://sam.johnson.io/research/lspet.html; as archived at
https://github.com/axelcarlier/lsp.
"""

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.data.datasets.base import Dataset, load_mat, register
from hourglass.data.http import RemoteFile
from hourglass.data.person import MAX_COORDINATE, MAX_SCALE, MIN_SCALE, Person
from hourglass.data.raw_records import RawSplit
from hourglass.data.zip_files import DOWNLOAD_AGAIN, read_member
from hourglass.keypoints import PERSON_HEIGHT, KeypointSchema
from hourglass.utils import transforms
from hourglass.utils.errors import UserError

# A commit and not a branch, which could change.
_COMMIT = "8fabf3183516b1be5f9d44bd1c516609637e983e"
LSPET_MAT = "joints.mat"
LSPET = KeypointSchema(
    name="lspet",
    keypoints=(
        "r_ankle", "r_knee", "r_hip", "l_hip", "l_knee", "l_ankle",
        "r_wrist", "r_elbow", "r_shoulder", "l_shoulder", "l_elbow", "l_wrist",
        "upper_neck", "head_top",
    ),
    flip_pairs=(),
    bones=(),
    groups={},
    head_segment=("upper_neck", "head_top"),
)  # fmt: skip
LSPET_MARGIN = 1.1  # person height over the longer side of the box around the labelled joints

ROUGHNESS_SEED = 1
# Measured on MPII's 2,017 validation persons with all 16 joints labelled, of 2,958: the distance
# of the center from the middle of the joints' box, in heights (200 px * scale), and the logarithm
# of the scale by the box's. Bent persons make the long tail: the box does not show their height.
ROUGHNESS_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
ROUGHNESS = {
    "center x": (-0.127, -0.088, -0.038, 0.004, 0.043, 0.090, 0.126),
    "center y": (-0.183, -0.131, -0.078, -0.032, 0.014, 0.073, 0.124),
    "log scale": (-0.345, -0.241, -0.095, 0.040, 0.255, 0.623, 0.848),
}
MAX_DRAWS = 100  # one in nine is drawn again


@register
class Lspet(Dataset):
    """Leeds Sports Pose Extended: 10,000 photographs of one person each, 14 joints."""

    name = "lspet"
    title = "Leeds Sports Pose Extended"
    terms = (
        "Johnson and Everingham, CVPR 2011: for research, not for commercial use; its photographs "
        "are from Flickr"
    )
    network_terms = (
        "for research, not for commercial use, as is Leeds Sports Pose Extended (CVPR 2011), "
        "their data"
    )
    images = "lspet.zip"
    # 204 MB. The host packs it on demand and publishes no checksum: members carry CRCs.
    files = (RemoteFile(images, f"https://github.com/axelcarlier/lsp/archive/{_COMMIT}.zip"),)

    def read_splits(
        self, raw: Path, image_names: frozenset[str], schema: KeypointSchema
    ) -> tuple[RawSplit, RawSplit]:
        """The last tenth of the pictures is validation."""
        content = read_member(raw / self.images, LSPET_MAT)
        train, validation = read_lspet(content, image_names)
        return RawSplit(train, LSPET), RawSplit(validation, LSPET)

    def roughen(self, person: Person) -> Person:
        """Center and scale are the labels' own: `roughen_person`."""
        return roughen_person(person)


def read_lspet(content: bytes, image_names: frozenset[str]) -> tuple[list, list]:
    """Raw records of the Leeds Sports Pose Extended set, unchecked: (train, validation).

    The records are the pictures `imNNNNN.jpg` of `image_names`, in name order; the last tenth, at
    least one, is validation: a block, since neighbours often come from one photographer. The set
    has no center or scale: they are the center, and 1.1 x the longer side / 200, of the box around
    the labelled joints. Pixels are taken as 1-based, as MATLAB writes them.

    Args:
        content: bytes of `joints.mat`, `joints` [14, 3, N] = x, y, labelled.

    Raises:
        UserError: not a MATLAB file with such an array.
    """
    array = np.asarray(load_mat(content, LSPET_MAT, "joints"))
    if (
        array.ndim != 3
        or array.shape[:2] != (LSPET.num_keypoints, 3)
        or array.dtype.kind not in "fiu"
    ):
        raise UserError(
            f"{LSPET_MAT}: joints is {list(array.shape)} {array.dtype},"
            f" [{LSPET.num_keypoints}, 3, N] numbers were expected; {DOWNLOAD_AGAIN}"
        )
    # (14, 3, N) to (N, 14, 3).
    columns = array.transpose(2, 0, 1).astype(np.float64)
    records = [_lspet_record(name, columns) for name in sorted(image_names)]
    num_train = len(records) - max(1, len(records) // 10)
    return records[:num_train], records[num_train:]


def roughen_person(person: Person) -> Person:
    """The person with center and scale as far off the labels' box as MPII's are.

    Drawn by the picture's name alone from MPII's own quantiles, each of the three for itself (their
    correlations are below 0.25), until the labelled joints are all in view. The head size stays:
    where it is 25 x `scale`, that is the box's.

    Args:
        person: its center and scale are those of the labels' box.
    """
    rng = np.random.default_rng((ROUGHNESS_SEED, *person.image.encode()))
    for _ in range(MAX_DRAWS):
        draws = rng.random(len(ROUGHNESS))
        x, y, log_scale = (
            np.interp(draw, ROUGHNESS_QUANTILES, values)
            for draw, values in zip(draws, ROUGHNESS.values(), strict=True)
        )
        scale = person.scale * float(np.exp(log_scale))
        center = person.center + PERSON_HEIGHT * scale * np.array([x, y])
        if MIN_SCALE <= scale <= MAX_SCALE and np.abs(center).max() <= MAX_COORDINATE:
            rough = dataclasses.replace(person, center=center, scale=scale)
            if _is_in_view(rough):
                return rough
    return person


def _is_in_view(person: Person) -> bool:
    center, side = transforms.person_region(person.center, person.scale)
    return bool((np.abs(person.joints[person.keypoints_visible] - center) <= side / 2).all())


def _lspet_record(name: str, columns: np.ndarray) -> dict[str, Any]:
    number = re.fullmatch(r"im(\d{5})\.jpg", name)
    if not number or not 1 <= int(number[1]) <= len(columns):
        return {"image": name}  # the checker refuses it: no joints
    # im00001.jpg is the first entry of the .mat.
    person = columns[int(number[1]) - 1]  # (14, 3)
    joints, keypoints_visible = person[:, :2], person[:, 2]
    # Where nothing is labelled the checker says so; here it only must not fail.
    around = joints[keypoints_visible == 1] if (keypoints_visible == 1).any() else joints
    low, high = around.min(axis=0), around.max(axis=0)  # (2,) each, px
    return {
        "image": name,
        "joints": joints.tolist(),
        "joints_vis": keypoints_visible.tolist(),
        "center": ((low + high) / 2).tolist(),
        "scale": float((high - low).max()) * LSPET_MARGIN / PERSON_HEIGHT,
    }
