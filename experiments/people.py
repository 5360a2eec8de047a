"""How many people the search without a box finds, how many it makes up, and what it costs.

usage: python experiments/people.py NETWORK FOLDER... [--finder people.onnx]

NETWORK is a .keras file or its .onnx export. Each FOLDER is one of `dataset: folder`, with images/,
train.json and validation.json; the pictures of validation.json are searched.

A person is found by a pose with an object keypoint similarity (OKS) of at least MIN_OKS, or with
half of the labelled joints within half a head size. Each pose finds one person at most, the surest
pose first. Every other pose is a false person. It may be one without a label: only folders whose
people are all labelled tell of false persons.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from hourglass.data.archives import open_images
from hourglass.data.datasets.folder import Folder, pack_folder
from hourglass.data.parse import parse_dataset
from hourglass.evaluation.pckh import score_persons
from hourglass.inference import person_search
from hourglass.inference.backends import PeopleFinder, open_backend
from hourglass.inference.crops import Search, run_searches
from hourglass.utils.images import decode_image

MIN_OKS = 0.5
MAX_ERROR = 0.5  # head sizes
THRESHOLDS = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
LOW_BOX = 0.1  # the finder's boxes that are looked at, for all thresholds of a person
# Twice COCO's sigmas, of MPII's joints, by mmpose (configs/_base_/datasets/mpii.py).
FALLOFF = 2 * np.array(
    [0.089, 0.083, 0.107, 0.107, 0.083, 0.089, 0.026, 0.026, 0.026, 0.026, 0.062, 0.072, 0.179,
     0.179, 0.072, 0.062]
)  # fmt: skip
AREA = 0.5  # of the labelled joints' box that a person covers


def read_pictures(folder, schema):
    """The validation pictures of a folder, {name: (PIL image, its persons)}."""
    with tempfile.TemporaryDirectory() as raw:
        pack_folder(folder, Path(raw), schema)
        persons = parse_dataset(Path(raw), Folder.name, schema).splits["validation"]
        people = defaultdict(list)
        for person in persons:
            people[person.image].append(person)
        with open_images(Path(raw, Folder.images)) as archive:
            return {
                name: (decode_image(archive.read(name))[0], listed)
                for name, listed in people.items()
            }


def compute_oks(keypoints, person):
    """COCO's object keypoint similarity of keypoints [K, 2] with a person's labels."""
    labelled = person.keypoints_visible
    joints = person.joints[labelled]
    area = max(AREA * np.ptp(joints, axis=0).prod(), 1.0)
    squares = np.square(keypoints[labelled] - joints).sum(axis=1)
    return float(np.mean(np.exp(-squares / (2 * area * np.square(FALLOFF[labelled])))))


def is_hit(keypoints, person):
    """Whether a pose finds a person."""
    errors, labelled = score_persons([person], keypoints[None])
    share = np.mean(errors[labelled] <= MAX_ERROR)
    return share >= 0.5 or compute_oks(keypoints, person) >= MIN_OKS


def count_hits(poses, persons):
    """The numbers of persons found and of false ones among poses, the surest first."""
    left, num_false = list(persons), 0
    for pose in poses:
        hits = [person for person in left if is_hit(pose.keypoints, person)]
        if hits:
            left.remove(max(hits, key=lambda person: compute_oks(pose.keypoints, person)))
        num_false += not hits
    return len(persons) - len(left), num_false


def search(image, backend):
    """The poses on a picture, and how many crops the network looked at."""
    looks = 0

    def count(inputs):
        nonlocal looks
        looks += len(inputs)
        return backend(inputs)

    found = Search(person_search.find_people(image.size), image, backend)
    count.batch_size, count.finder = backend.batch_size, backend.finder
    run_searches([found], count)
    return found.poses, looks


def print_rows(name, pictures, backend):
    """A row for each threshold."""
    start = time.perf_counter()
    looks = [search(image, backend)[1] for image, _ in pictures.values()]
    seconds = (time.perf_counter() - start) / len(pictures)
    usual, person_search.BOX_THRESHOLD = person_search.BOX_THRESHOLD, LOW_BOX
    found = {name: search(image, backend)[0] for name, (image, _) in pictures.items()}
    person_search.BOX_THRESHOLD = usual
    num_people = sum(len(persons) for _, persons in pictures.values())
    for threshold in THRESHOLDS:
        counts = [
            count_hits([pose for pose in found[name] if pose.score >= threshold], persons)
            for name, (_, persons) in pictures.items()
        ]
        hits, false = np.sum(counts, axis=0)
        print(
            f"| {name} | {num_people} | {threshold:.2f} | {100 * hits / num_people:.1f} "
            f"| {false / len(pictures):.2f} | {np.mean(looks):.1f} | {seconds:.3f} |",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--finder", type=Path, help="a detector of people (default: the shipped)")
    options = parser.parse_args()
    backend = open_backend(options.network, flip_test=True)
    if options.finder:
        backend.finder = PeopleFinder(options.finder)
    print("| folder | people | threshold | found, % | false a picture | looks | seconds |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for folder in options.folders:
        print_rows(folder.name, read_pictures(folder, backend.schema), backend)


if __name__ == "__main__":
    main()
