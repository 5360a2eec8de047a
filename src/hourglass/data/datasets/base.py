"""Where each dataset comes from: plain data, no logic of its own.

- mpii: MPII Human Pose, Andriluka et al., CVPR 2014, http://human-pose.mpi-inf.mpg.de
- lspet: Leeds Sports Pose Extended, Johnson and Everingham, CVPR 2011, as archived at
  https://github.com/axelcarlier/lsp
- synthetic: drawn by `hourglass.data.synthetic.pictures`
- folder: your own pictures, packed by `hourglass.data.datasets.folder.pack_folder`; their
  annotations may be COCO's (`hourglass.data.datasets.coco`)

MATLAB files, read with care.

Pelvis and thorax of data that has hips and shoulders alone.
"""

import io
import zlib
from dataclasses import dataclass, replace

from hourglass.data.archives import DOWNLOAD_AGAIN
from hourglass.keypoints import JOINTS
from hourglass.utils.errors import UserError, one_line

_MPII = "https://datasets.d2.mpi-inf.mpg.de/andriluka14cvpr"
_MPII_JSON = "https://aiffelstaticprd.blob.core.windows.net/media/documents"
_MPII_SPLIT = "https://raw.githubusercontent.com/princeton-vl/pose-hg-train/master/data/mpii/annot"
# A commit and not a branch, which could change.
_LSPET_COMMIT = "8fabf3183516b1be5f9d44bd1c516609637e983e"
# By split, in every dataset that has its annotations in MPII's JSON form.
ANNOTATIONS = {"train": "train.json", "validation": "validation.json"}
MPII_ZIP = "mpii_human_pose_v1_u12_2.zip"


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch, and how to know that it is the right one.

    Without an md5 the content vouches for itself: the CRC of every member of a `.zip`, a `.json`
    that parses to records, a `.txt` of picture names. A `.tar.gz` needs its md5.
    """

    name: str  # its name in the raw folder, and on a mirror
    url: str
    md5: str | None = None

    def at_mirror(self, mirror):
        """The same file at the base URL `mirror`; at its public home for ""."""
        return replace(self, url=f"{mirror.rstrip('/')}/{self.name}") if mirror else self


@dataclass(frozen=True)
class Dataset:
    """The raw files of one dataset."""

    images: str  # the archive that holds the pictures
    files: tuple[RemoteFile, ...] = ()
    annotations: tuple[RemoteFile, ...] = ()
    # Takes the place of all `annotations` when one of them cannot be had.
    fallback: RemoteFile | None = None


DATASETS = {
    "mpii": Dataset(
        images="mpii_human_pose_v1.tar.gz",
        files=(
            # 12.5 MB, no published checksum; holds the .mat that the fallback reads.
            RemoteFile(MPII_ZIP, f"{_MPII}/{MPII_ZIP}"),
            # 12.9 GB, 24,984 JPEGs.
            RemoteFile(
                "mpii_human_pose_v1.tar.gz",
                f"{_MPII}/mpii_human_pose_v1.tar.gz",
                md5="b6bc9c6869d3f035a5570b2e68ec84c4",
            ),
        ),
        annotations=tuple(
            RemoteFile(name, f"{_MPII_JSON}/{name}") for name in ANNOTATIONS.values()
        ),
        # The validation split as a list of pictures (Newell et al., ECCV 2016); with it the
        # official .mat yields the same validation persons and 3,679 more to train on.
        fallback=RemoteFile("valid_images.txt", f"{_MPII_SPLIT}/valid_images.txt"),
    ),
    "lspet": Dataset(
        images="lspet.zip",
        # 204 MB. The host packs it on demand and publishes no checksum: members carry CRCs.
        files=(
            RemoteFile(
                "lspet.zip", f"https://github.com/axelcarlier/lsp/archive/{_LSPET_COMMIT}.zip"
            ),
        ),
    ),
    "synthetic": Dataset(images="images.zip"),
    "folder": Dataset(images="images.zip"),
}


def load_mat(content, name, variable):
    """One variable of a MATLAB file, structs as objects, one-element arrays as their element.

    Args:
        content: the file's bytes. name: of the file, for what is wrong with it.
    """
    from scipy.io import loadmat  # slow to import, and only these readers need it
    from scipy.io.matlab import MatReadError

    # What scipy raised on files with flipped bytes; NameError is a variable it forgets to set.
    faults = (MatReadError, ValueError, TypeError, LookupError, ArithmeticError, NameError)
    try:
        # LSPET's array keeps its three axes, whatever their lengths.
        squeeze = variable == "RELEASE"
        return loadmat(io.BytesIO(content), struct_as_record=False, squeeze_me=squeeze)[variable]
    except (*faults, zlib.error, NotImplementedError, OSError, MemoryError) as error:
        raise UserError(
            f"{name}: no MATLAB file with the variable {variable} ({one_line(error)});"
            f" {DOWNLOAD_AGAIN}"
        ) from None


_ENDS = {"pelvis": "hip", "thorax": "shoulder"}


def fill_midpoints(columns):
    """The same joints with pelvis and thorax midway between hips and shoulders.

    Each is labelled where both of its ends are.

    Args:
        columns: [N, 16, 3] = x, y, labelled (1, else 0), in MPII's order.
    """
    filled = columns.copy()
    for name, end in _ENDS.items():
        pair = columns[:, [JOINTS.index(f"r_{end}"), JOINTS.index(f"l_{end}")]]  # (N, 2, 3)
        filled[:, JOINTS.index(name), :2] = pair[..., :2].mean(axis=1)
        filled[:, JOINTS.index(name), 2] = pair[..., 2].min(axis=1)
    return filled
