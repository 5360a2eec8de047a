"""Whether a joint's score is the probability that it is said to be.

usage: python experiments/reliability.py PROJECT [--model FILE]

PROJECT has been through `dvc repro`. FILE is its network, exported or not; without it, the shipped
one.

The first table has the validation joints of `reports/predictions.json`: of those whose scores lie
in a tenth, how many lie within half a head size of their label. The second one has people cut off:
the picture of each upright person ends at the hips, and the crop is that of the labels' box in what
is left. It has the joints that are shown, of those beyond the picture, and of those within.
"""

import argparse
from pathlib import Path

import numpy as np

from hourglass.config import load_params
from hourglass.data.archives import open_images
from hourglass.data.datasets.base import find_dataset
from hourglass.data.person import load_persons
from hourglass.evaluation.pckh import score_persons
from hourglass.evaluation.predictions import load_predictions
from hourglass.inference.backends import open_backend
from hourglass.inference.crops import Search, run_searches
from hourglass.inference.person_search import bbox_crop, estimate_poses, keypoints_bbox
from hourglass.keypoints import MPII
from hourglass.shipped import shipped_network
from hourglass.utils.errors import exit_on_user_error
from hourglass.utils.images import decode_image

RIGHT = 0.5  # head sizes
THRESHOLDS = (0.2, 0.3, 0.35, 0.4, 0.5)
LEGS = [MPII.index(f"{side}_{joint}") for side in "rl" for joint in ("knee", "ankle")]
HIPS, NECK = [MPII.index("r_hip"), MPII.index("l_hip")], MPII.index("upper_neck")
MIN_INSIDE = 6  # labelled joints above the hips


@exit_on_user_error
def main():
    options = read_options()
    persons = load_persons(options.project / "data/annotations/validation.json")
    predictions = load_predictions(options.project / "reports/predictions.json", persons, MPII)
    errors, labelled = score_persons(persons, predictions.keypoints)
    labelled[:, list(set(range(MPII.num_keypoints)) - set(MPII.scored_indices))] = False
    print_reliability(predictions.scores[labelled], errors[labelled] <= RIGHT)
    backend = open_backend(options.model or shipped_network(), flip_test=True)
    print_cut_off(cut_off_scores(options.project, persons, backend))


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path, help="a folder such as photographs/")
    parser.add_argument("--model", type=Path, metavar="FILE", help="a network of MPII's joints")
    return parser.parse_args()


def print_reliability(scores, are_right):
    print("| score | joints | mean score | right |\n|---|---:|---:|---:|")
    tenths = np.minimum((10 * scores).astype(int), 9)
    for tenth in np.unique(tenths):
        chosen = tenths == tenth
        mean, share = scores[chosen].mean(), are_right[chosen].mean()
        score = f"{tenth / 10:.1f}-{(tenth + 1) / 10:.1f}"
        print(f"| {score} | {chosen.sum()} | {mean:.3f} | {share:.3f} |")


def cut_off_scores(project, persons, backend):
    """The scores of joints beyond the picture, of right ones within it, of wrong ones within it."""
    beyond, right, wrong = [], [], []
    pictures = open_pictures(project)
    for person in filter(is_upright, persons):
        bottom = int(person.joints[HIPS, 1].mean())
        inside = person.keypoints_visible & (person.joints[:, 1] < bottom)
        if inside.sum() < MIN_INSIDE or bottom < 1:
            continue
        image, _ = decode_image(pictures.read(person.image))
        pose = estimate(image.crop((0, 0, image.width, bottom)), person.joints[inside], backend)
        errors = np.linalg.norm(pose.keypoints - person.joints, axis=1) / person.head_size
        beyond.append(pose.scores[LEGS])
        right.append(pose.scores[inside & (errors <= RIGHT)])
        wrong.append(pose.scores[inside & (errors > RIGHT)])
    return [np.concatenate(scores) for scores in (beyond, right, wrong)]


def open_pictures(project):
    dataset = load_params(project / "params.yaml").data.dataset
    return open_images(project / "data/raw" / dataset / find_dataset(dataset).images)


def is_upright(person):
    neck, hips = person.joints[NECK], person.joints[HIPS].mean(axis=0)
    x, y = hips - neck
    return person.keypoints_visible[[NECK, *HIPS]].all() and y > 2 * abs(x)


def estimate(image, joints, backend):
    """The pose in the crop of the box around some joints, with the margin of an outline."""
    low, high = keypoints_bbox(joints)
    search = Search(estimate_poses([bbox_crop((*low, *(high - low)))]), image, backend)
    run_searches([search], backend)
    return search.poses[0]


def print_cut_off(scores):
    names = ("of legs beyond the picture", "right within it", "wrong within it")
    print("\njoints:", *(f"{len(s)} {name}" for s, name in zip(scores, names, strict=True)), "\n")
    print("| shown from | beyond the picture | right | wrong |\n|---|---:|---:|---:|")
    for threshold in THRESHOLDS:
        shares = [f"{np.mean(values >= threshold):.3f}" for values in scores]
        print(f"| {threshold} | {' | '.join(shares)} |")


if __name__ == "__main__":
    main()
