"""Labels by two networks that agree, for photographs of one person each that nobody has labelled.

usage: python experiments/teachers.py PHOTOGRAPHS OUT [--blazepose DIR] [--movenet DIR] [--limit N]

BlazePose heavy and MoveNet Lightning each find the person, in the whole photograph and once more in
the crop around what they found. A joint is labelled where both place it within `AGREEMENT` of the
longer side of the person's box, and MoveNet is sure of it. Its place is BlazePose's: the mean of
the two is no better than either. A photograph with fewer than `MIN_JOINTS` such joints is left out.

OUT becomes a folder for `data.dataset: folder`, in MPII's form. Each 50th photograph is in
validation.json, which the form asks for: scores on such labels say little. Both networks are under
the Apache licence; `benchmarks/blazepose.py` and `benchmarks/movenet.py` say where they are from.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from tqdm import tqdm

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from blazepose import LANDMARKS, BlazePose, find_networks
from movenet import MoveNet, find_movenet, write_onnx

from hourglass.data.datasets.base import ANNOTATIONS
from hourglass.inference.crops import Search, run_searches
from hourglass.inference.person_search import crop_at, estimate_pose, whole_picture_crop
from hourglass.keypoints import MPII, PERSON_HEIGHT
from hourglass.utils import transforms
from hourglass.utils.errors import UserError, exit_on_user_error
from hourglass.utils.images import decode_image
from hourglass.utils.transforms import AROUND_JOINTS, SURE_SCORE

# Of the longer side of the box. On upright people of MPII half a head size is 0.06 of it, and of
# the joints on which both agree within 0.3 of a head size 96 % are within half of one of the label.
AGREEMENT = 0.04
MIN_SCORE = 0.3
MIN_JOINTS = 8  # of the 12
JOINTS = [MPII.index(name) for name in LANDMARKS]
MIDPOINTS = {"pelvis": ("r_hip", "l_hip"), "thorax": ("r_shoulder", "l_shoulder")}
HEAD = 0.6  # from the thorax to the head's top, in distances from pelvis to thorax
EVERY = 50  # photographs, one of which is in validation.json


@exit_on_user_error
def main():
    options = read_options()
    paths = sorted(path for path in options.photographs.iterdir() if path.is_file())
    (options.out / "images").mkdir(parents=True, exist_ok=True)
    records = {name: [] for name in ANNOTATIONS.values()}
    train, validation = records
    with tempfile.TemporaryDirectory() as folder:
        teachers = open_teachers(options, Path(folder))
        for number, path in enumerate(tqdm(paths[: options.limit], unit="photograph")):
            record = label_photograph(path, teachers)
            if record:
                records[validation if number % EVERY == 0 else train].append(record)
                shutil.copyfile(path, options.out / "images" / path.name)
    for name, of_split in records.items():
        (options.out / name).write_text(json.dumps(of_split))
        print(f"{options.out / name}: {len(of_split):,} persons")


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path, help="a folder")
    parser.add_argument("out", type=Path, help="a folder for data.dataset: folder")
    parser.add_argument("--blazepose", type=Path, metavar="DIR", help="default: fetched by npm")
    parser.add_argument("--movenet", type=Path, metavar="DIR", help="default: fetched by npm")
    parser.add_argument("--limit", type=int, metavar="N", help="at most so many photographs")
    return parser.parse_args()


def open_teachers(options, scratch):
    """BlazePose heavy and MoveNet with flip test."""
    exported = scratch / "movenet.onnx"
    write_onnx(find_movenet(options.movenet), exported)
    heavy = find_networks(options.blazepose)["heavy"]
    return BlazePose(heavy), MoveNet(exported, flip_test=True)


def label_photograph(path, teachers):
    """The record of the person on a photograph; None where too few joints are sure."""
    try:
        image, _ = decode_image(path.read_bytes())
    except UserError as error:
        print(f"{path}: {error}", file=sys.stderr)
        return None
    poses = [find_pose(image, teacher) for teacher in teachers]
    points, labelled = agree(*poses)
    if labelled[JOINTS].sum() < MIN_JOINTS:
        return None
    return make_record(path.name, points, labelled)


def find_pose(image, backend):
    """The pose of the person that is all of the picture's content."""
    pose = estimate(image, backend, whole_picture_crop(image.size))
    if not (pose.scores >= SURE_SCORE).any():
        return pose  # nothing to look closer at
    return estimate(image, backend, crop_at(*bbox_region(pose.bbox)))


def estimate(image, backend, crop):
    search = Search(estimate_pose(crop, refine=False), image, backend)
    run_searches([search], backend)
    return search.poses[0]


def bbox_region(bbox):
    """The middle and the side of the crop around the corners [2, 2] of the sure joints."""
    return bbox.mean(axis=0), max(AROUND_JOINTS * np.ptp(bbox, axis=0).max(), 1)


def agree(pose, other):
    """The joints [16, 2] of a pose, and which of them the other pose confirms, bool [16].

    Pelvis and thorax are the midpoints of hips and shoulders where both ends are confirmed.
    """
    points = pose.keypoints.copy()
    side = np.ptp(other.bbox, axis=0).max()
    distances = np.linalg.norm(points - other.keypoints, axis=1)
    known = np.isin(np.arange(MPII.num_keypoints), JOINTS)
    labelled = known & (distances <= AGREEMENT * side) & (other.scores >= MIN_SCORE)
    for name, ends in MIDPOINTS.items():
        places = [MPII.index(end) for end in ends]
        points[MPII.index(name)] = points[places].mean(axis=0)
        labelled[MPII.index(name)] = labelled[places].all()
    return points, labelled


def make_record(name, points, labelled):
    """The record, in MPII's form, of a person's joints [16, 2], 0-based px."""
    shown = points[labelled]
    pelvis, thorax = (points[MPII.index(joint)] for joint in MIDPOINTS)
    if labelled[[MPII.index(joint) for joint in MIDPOINTS]].all():
        shown = np.vstack([shown, thorax + HEAD * (thorax - pelvis)])
    low, high = shown.min(axis=0), shown.max(axis=0)
    scale = transforms.BOX_MARGIN * float((high - low).max()) / PERSON_HEIGHT
    center = (low + high) / 2 + 1 - [0, transforms.CENTER_SHIFT * scale]
    joints = np.where(labelled[:, None], points + 1, 0)
    return {
        "image": name,
        "joints": joints.round(2).tolist(),
        "joints_vis": labelled.astype(int).tolist(),
        "center": center.round(2).tolist(),
        "scale": round(scale, 5),
    }


if __name__ == "__main__":
    main()
