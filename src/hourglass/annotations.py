"""The annotations of every dataset to one checked form, and what was left out and why.

Each reader yields raw records in MPII's JSON form, 1-based pixels; `check_records` judges them and
makes `Person`s, 0-based. That is the one place where 1-based becomes 0-based.
"""

import collections
import csv
import io
import json
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hourglass.archives import open_images, read_member
from hourglass.datasets import DATASETS
from hourglass.errors import UserError
from hourglass.files import atomic_path, read_json_list
from hourglass.skeleton import JOINTS, NUM_JOINTS, SCORED_JOINTS

SPLITS = ("train", "validation")
KEYS = ("image", "joints", "joints_vis", "center", "scale")

MAX_COORDINATE = 1e5  # px; no camera makes such a picture
# A person of 0.2 px leaves no crop to cut, one of 200,000 px fits no picture.
MIN_SCALE, MAX_SCALE = 1e-3, 1e3

MPII_JSON = {split: f"{split}.json" for split in SPLITS}
MPII_ZIP, MPII_MAT = "mpii_human_pose_v1_u12_2.zip", "mpii_human_pose_v1_u12_1.mat"
MPII_VALIDATION = "valid_images.txt"
LSPET_MAT = "joints.mat"
LSPET_JOINTS = (
    "r_ankle", "r_knee", "r_hip", "l_hip", "l_knee", "l_ankle",
    "r_wrist", "r_elbow", "r_shoulder", "l_shoulder", "l_elbow", "l_wrist",
    "upper_neck", "head_top",
)  # fmt: skip
LSPET_MARGIN = 1.1  # person height over the longer side of the box around the labelled joints

DOWNLOAD_AGAIN = "mend it or download it again"
UNLABELLED = (-1.0, -1.0)

# Absolute, on a drive, climbing out of the folder, or with what no file name should hold.
_UNSAFE_NAME = re.compile(r"^/|^[A-Za-z]:|(?:^|/)\.\.(?:/|$)|[\\\x00-\x1f\x7f\ud800-\udfff]")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, eq=False)
class Person:
    """One labelled person of one picture."""

    image: str  # the picture's name
    joints: np.ndarray  # float64 [16, 2], 0-based px of the original picture; (-1, -1) unlabelled
    joints_vis: np.ndarray  # bool [16], labelled (occluded joints too); never test coordinates
    center: np.ndarray  # float64 [2], 0-based px
    scale: float  # person height / 200 px


@dataclass(frozen=True)
class Reject:
    """A record that was left out: `index` counts the split's raw records from 0."""

    split: str
    index: int
    image: str  # "" where the record has no name
    reason: str


class _Fault(Exception):
    """Why a record is rejected; the same words for the same fault, so that they can be counted."""


def load_persons(path):
    """Read the checked records that `save_persons` wrote.

    Returns:
        list of `Person`, 0-based.

    Raises:
        UserError: the file is missing or damaged, with the place.
    """
    mend = "run `dvc repro parse`"
    persons = []
    for index, record in enumerate(read_json_list(path, mend)):
        try:
            persons.append(_check_record(record, None, origin=0))
        except _Fault as fault:
            raise UserError(f"{path}: record {index}: {fault}; {mend}") from None
    return persons


def save_persons(path, persons):
    """Write `persons` as JSON, one compact record a line, atomically; every float round-trips."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write("[")
        for index, person in enumerate(persons):
            line = json.dumps(_as_record(person), separators=(",", ":"))
            file.write(f",\n{line}" if index else f"\n{line}")
        file.write("\n]\n")


def _as_record(person):
    return {
        "image": person.image,
        "joints": person.joints.tolist(),
        "joints_vis": person.joints_vis.astype(int).tolist(),
        "center": person.center.tolist(),
        "scale": person.scale,
    }


def write_rejects(path, rejects):
    """Write `rejects` as CSV `split,index,image,reason`, atomically; the header alone for none."""
    with (
        atomic_path(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("split", "index", "image", "reason"))
        writer.writerows((r.split, r.index, r.image, r.reason) for r in rejects)


def parse_dataset(raw, dataset):
    """Read and check both splits of `dataset` ("mpii", "lspet", "synthetic" or "folder").

    A train record whose picture is also in validation is rejected: it would leak.

    Args:
        raw: the folder of this dataset's raw files, for example `data/raw/mpii`.

    Returns:
        dict of split -> list of `Person`, and the list of `Reject`, train first.

    Raises:
        UserError: a file is missing or cannot be read as a whole.
    """
    raw = Path(raw)
    with open_images(raw / DATASETS[dataset].images) as images:
        image_names = images.names()
    train, validation = _read_splits(raw, dataset, image_names)
    val_persons, val_rejects = check_records(validation, image_names, "validation")
    held_out = {person.image for person in val_persons}
    train_persons, train_rejects = check_records(train, image_names, "train", held_out)
    return {"train": train_persons, "validation": val_persons}, train_rejects + val_rejects


def _read_splits(raw, dataset, image_names):
    """The raw records of (train, validation)."""
    if dataset == "lspet":
        archive = raw / DATASETS[dataset].images
        return read_lspet(read_member(archive, LSPET_MAT), image_names)
    has_json = all((raw / name).exists() for name in MPII_JSON.values())
    if not has_json and (raw / MPII_VALIDATION).exists():
        valid_images = _read_lines(raw / MPII_VALIDATION)
        return read_mpii_mat(read_member(raw / MPII_ZIP, MPII_MAT), valid_images)
    return tuple(read_mpii_json(raw / name, split) for split, name in MPII_JSON.items())


def _read_lines(path):
    try:
        return path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}; {DOWNLOAD_AGAIN}") from None


def summarize_split(split, persons, rejects):
    """One line: records in = kept + rejected, labelled joints, and those that PCKh scores."""
    num_rejected = sum(reject.split == split for reject in rejects)
    labelled = sum((p.joints_vis for p in persons), np.zeros(NUM_JOINTS, int))
    return (
        f"{split}: {len(persons) + num_rejected:,} records = {len(persons):,} kept"
        f" + {num_rejected:,} rejected; {labelled.sum():,} labelled joints,"
        f" {labelled[list(SCORED_JOINTS)].sum():,} scored"
    )


def check_rejects(splits, rejects, max_fraction, rejects_path, source=None):
    """Stop on a split with too many rejects, or with no person left.

    Args:
        splits: dict of split -> list of `Person`.
        max_fraction: the most of a split's records that may be rejected, 0..1.
        rejects_path: where the user finds them all.
        source: the folder of the user's own JSON files, where there is one.

    Raises:
        UserError: names the most common reason, the first record that has it, and `rejects_path`.
    """
    for split, persons in splits.items():
        reasons = collections.Counter(r.reason for r in rejects if r.split == split)
        num_rejected = reasons.total()
        num_records = len(persons) + num_rejected
        if not num_records:
            raise UserError(f"{split}: the dataset has no such records; {DOWNLOAD_AGAIN}")
        if persons and num_rejected <= max_fraction * num_records:
            continue
        reason, count = reasons.most_common(1)[0]
        first = next(r for r in rejects if r.split == split and r.reason == reason)
        raise UserError(
            f"{split}: {num_rejected:,} of {num_records:,} records rejected, {count:,} of them"
            f" because: {reason}; the first is record {first.index}, counted from 0,"
            f" {first.image or 'without a name'} (all in {rejects_path}); mend"
            f" {f'{source}/{split}.json' if source else 'the annotations'}"
            f" or raise parse.max_reject_fraction from {max_fraction:g}"
        )


# The checker


def check_records(records, image_names, split="", held_out=frozenset()):
    """Judge raw records in MPII's JSON form, 1-based, and move them to 0-based pixels.

    Missing is `joints_vis` 0 and nothing else: a labelled joint may lie outside the picture, and
    an unlabelled one may hold any two numbers, NaN too, which are dropped.

    Args:
        records: list of anything that JSON can hold.
        image_names: the pictures there are; None: any.
        split: name that the rejects carry.
        held_out: pictures of the other split, not to be used here.

    Returns:
        list of `Person`, list of `Reject`; their lengths add up to that of `records`.
    """
    persons, rejects, seen = [], [], set()
    for index, record in enumerate(records):
        try:
            person = _check_record(record, image_names, origin=1)
            if person.image in held_out:
                raise _Fault("picture is also in validation")
            _check_is_new(person, seen)
        except _Fault as fault:
            rejects.append(Reject(split, index, _printable_name(record), str(fault)))
        else:
            persons.append(person)
    return persons, rejects


def _check_record(record, image_names, origin):
    """A `Person` of a record whose first pixel is `origin`; raises _Fault."""
    if not isinstance(record, dict):
        raise _Fault("not an object")
    for key in KEYS:
        if key not in record:
            raise _Fault(f"no '{key}'")
    image = _check_image(record["image"], image_names)
    joints_vis = _check_joints_vis(record["joints_vis"])
    joints = _check_joints(record["joints"], joints_vis, origin)
    center = _check_center(record["center"], origin)
    return Person(image, joints, joints_vis, center, _check_scale(record["scale"]))


def _check_image(image, image_names):
    if not isinstance(image, str) or not image:
        raise _Fault("image is not a name")
    if _UNSAFE_NAME.search(image):
        raise _Fault("image is not a plain relative name")
    if image_names is not None and image not in image_names:
        raise _Fault("picture is not among the images")
    return image


def _check_joints_vis(flags):
    if not _is_list_of(flags, NUM_JOINTS) or not all(flag in (0, 1) for flag in flags):
        raise _Fault(f"joints_vis is not {NUM_JOINTS} of 0 or 1")
    return np.array(flags, bool)


def _check_joints(pairs, joints_vis, origin):
    is_pairs = _is_list_of(pairs, NUM_JOINTS) and all(_is_list_of(pair, 2) for pair in pairs)
    joints = _as_floats([number for pair in pairs for number in pair]) if is_pairs else None
    if joints is None:
        raise _Fault(f"joints is not {NUM_JOINTS} pairs of numbers")
    if not joints_vis.any():
        raise _Fault("no labelled joint")
    joints = joints.reshape(NUM_JOINTS, 2) - origin
    joints[~joints_vis] = UNLABELLED
    if not _is_in_reach(joints):
        raise _Fault(f"a labelled joint is not within {MAX_COORDINATE:,.0f} px")
    return joints


def _check_center(pair, origin):
    center = _as_floats(pair) if _is_list_of(pair, 2) else None
    if center is None:
        raise _Fault("center is not a pair of numbers")
    center = center - origin
    if not _is_in_reach(center):
        raise _Fault(f"center is not within {MAX_COORDINATE:,.0f} px")
    return center


def _check_scale(number):
    scale = _as_floats([number])
    if scale is None or not MIN_SCALE <= scale[0] <= MAX_SCALE:
        raise _Fault(f"scale is not a number from {MIN_SCALE:g} to {MAX_SCALE:g}")
    return float(scale[0])


def _check_is_new(person, seen):
    arrays = (person.joints, person.joints_vis, person.center)
    identity = (person.image, person.scale, *(array.tobytes() for array in arrays))
    if identity in seen:
        raise _Fault("exact duplicate of an earlier record")
    seen.add(identity)


def _is_list_of(values, length):
    return isinstance(values, list) and len(values) == length


def _as_floats(numbers):
    """float64 array, or None: numpy alone would take strings and booleans for numbers."""
    if not {type(number) for number in numbers} <= {int, float}:
        return None
    try:
        return np.array(numbers, np.float64)
    except OverflowError:  # an int of hundreds of digits
        return None


def _is_in_reach(coordinates):
    """False for NaN too."""
    return bool((np.abs(coordinates) <= MAX_COORDINATE).all())


def _printable_name(record):
    image = record.get("image") if isinstance(record, dict) else None
    return _UNPRINTABLE.sub("\ufffd", image) if isinstance(image, str) else ""


# The readers


def read_mpii_json(path, split):
    """Raw records of one split in the JSON form of MPII, unchecked.

    Raises:
        UserError: the file is missing, not UTF-8, not JSON (with the place), or not a list with
            at least one record.
    """
    records = read_json_list(path, DOWNLOAD_AGAIN)
    if not records:
        raise UserError(f"{path}: holds no {split} record; {DOWNLOAD_AGAIN}")
    return records


def read_mpii_mat(source, valid_images):
    """Raw records of the official MPII .mat, unchecked: (train, validation).

    Labelled is a person of a training picture with at least one point, a scale and an objpos.
    A point that is present is labelled, whatever `is_visible` says, as in the JSON form.

    Args:
        source: path or bytes of `mpii_human_pose_v1_u12_1.mat`.
        valid_images: picture names of the validation split, in its order; repeats count once.

    Raises:
        UserError: not a MATLAB file with the struct RELEASE and its annolist.

    Source: http://human-pose.mpi-inf.mpg.de, README of the annotation release 1.2.
    """
    release = _load_mat(source, MPII_MAT, "RELEASE")
    pictures = _items(release, "annolist")
    if not pictures:
        raise UserError(f"{MPII_MAT}: RELEASE has no annolist; {DOWNLOAD_AGAIN}")
    is_train = _items(release, "img_train") or [1] * len(pictures)
    by_image = collections.defaultdict(list)
    for picture, picture_is_train in zip(pictures, is_train, strict=False):
        if picture_is_train:
            image = _image_name(picture)
            rects = filter(_is_labelled, _items(picture, "annorect"))
            by_image[image] += [_mpii_record(image, rect) for rect in rects]
    held_out = dict.fromkeys(valid_images)
    validation = [record for image in held_out for record in by_image.pop(image, ())]
    return [record for records in by_image.values() for record in records], validation


def _items(struct, field):
    """A field's values as a list: empty where it is absent or empty, one where it was squeezed."""
    return np.atleast_1d(getattr(struct, field, ())).tolist()


def _image_name(picture):
    name = getattr(getattr(picture, "image", None), "name", "")
    return name if isinstance(name, str) else ""


def _points(rect):
    return [point for points in _items(rect, "annopoints") for point in _items(points, "point")]


def _is_labelled(rect):
    return bool(_points(rect) and _items(rect, "scale") and _items(rect, "objpos"))


def _mpii_record(image, rect):
    joints, joints_vis = [list(UNLABELLED) for _ in range(NUM_JOINTS)], [0] * NUM_JOINTS
    for point in _points(rect):
        joint, place = _number(point, "id"), [_number(point, "x"), _number(point, "y")]
        if joint in range(NUM_JOINTS) and not joints_vis[int(joint)]:
            joints[int(joint)], joints_vis[int(joint)] = place, 1
        else:  # an unknown or repeated id makes a 17th joint, which the checker rejects
            joints.append(place)
    (objpos, *_) = _items(rect, "objpos")
    return {
        "image": image,
        "joints": joints,
        "joints_vis": joints_vis,
        "center": [_number(objpos, "x"), _number(objpos, "y")],
        "scale": _number(rect, "scale"),
    }


def _number(struct, field):
    """A field's one number, of whatever MATLAB type; NaN where there is none."""
    values = _items(struct, field)
    try:
        return float(values[0]) if len(values) == 1 else np.nan
    except (TypeError, ValueError):
        return np.nan


def read_lspet(source, image_names):
    """Raw records of the Leeds Sports Pose Extended set, unchecked: (train, validation).

    The records are the pictures `imNNNNN.jpg` of `image_names`, in name order; the last tenth, at
    least one, is validation: a block, since neighbours often come from one photographer.
    Pelvis and thorax are the midpoints of hips and shoulders, labelled where both are. The set
    has no center or scale: they are the center, and 1.1 x the longer side / 200, of the box
    around the labelled joints. Pixels are taken as 1-based, as MATLAB writes them.

    Args:
        source: path or bytes of `joints.mat`, `joints` [14, 3, N] = x, y, labelled.

    Raises:
        UserError: not a MATLAB file with such an array.

    Source: Johnson and Everingham, CVPR 2011; http://sam.johnson.io/research/lspet.html.
    """
    array = np.asarray(_load_mat(source, LSPET_MAT, "joints"))
    if (
        array.ndim != 3
        or array.shape[:2] != (len(LSPET_JOINTS), 3)
        or array.dtype.kind not in "fiu"
    ):
        raise UserError(
            f"{LSPET_MAT}: joints is {list(array.shape)} {array.dtype},"
            f" [{len(LSPET_JOINTS)}, 3, N] numbers were expected; {DOWNLOAD_AGAIN}"
        )
    columns = _mpii_order(array.transpose(2, 0, 1).astype(np.float64))
    records = [_lspet_record(name, columns) for name in sorted(image_names)]
    num_train = len(records) - max(1, len(records) // 10)
    return records[:num_train], records[num_train:]


def _mpii_order(lspet):
    """[N, 14, 3] = x, y, labelled to [N, 16, 3] in the order of MPII."""
    columns = np.zeros((len(lspet), NUM_JOINTS, 3))
    columns[:, [JOINTS.index(name) for name in LSPET_JOINTS]] = lspet
    for name, side in (("pelvis", "hip"), ("thorax", "shoulder")):
        pair = columns[:, [JOINTS.index(f"r_{side}"), JOINTS.index(f"l_{side}")]]
        columns[:, JOINTS.index(name), :2] = pair[..., :2].mean(axis=1)
        columns[:, JOINTS.index(name), 2] = pair[..., 2].min(axis=1)
    return columns


def _lspet_record(name, columns):
    number = re.fullmatch(r"im(\d{5})\.jpg", name)
    if not number or not 1 <= int(number[1]) <= len(columns):
        return {"image": name}  # the checker rejects it: no joints
    joints, joints_vis = columns[int(number[1]) - 1, :, :2], columns[int(number[1]) - 1, :, 2]
    labelled = joints[joints_vis == 1] if (joints_vis == 1).any() else joints
    low, high = labelled.min(axis=0), labelled.max(axis=0)
    return {
        "image": name,
        "joints": joints.tolist(),
        "joints_vis": joints_vis.tolist(),
        "center": ((low + high) / 2).tolist(),
        "scale": float((high - low).max()) * LSPET_MARGIN / 200,
    }


def _load_mat(source, name, variable):
    """One variable of a MATLAB file, structs as objects, one-element arrays as their element."""
    from scipy.io import loadmat  # slow to import, and only these readers need it
    from scipy.io.matlab import MatReadError

    # What scipy raised on files with flipped bytes; NameError is a variable it forgets to set.
    faults = (MatReadError, ValueError, TypeError, LookupError, ArithmeticError, NameError)
    try:
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
        squeeze = variable == "RELEASE"
        return loadmat(io.BytesIO(content), struct_as_record=False, squeeze_me=squeeze)[variable]
    except FileNotFoundError:
        raise UserError(f"{source}: not found; {DOWNLOAD_AGAIN}") from None
    except (*faults, zlib.error, NotImplementedError, OSError, MemoryError) as error:
        fault = " ".join(str(error).split())
        raise UserError(
            f"{name}: no MATLAB file with the variable {variable} ({fault}); {DOWNLOAD_AGAIN}"
        ) from None
