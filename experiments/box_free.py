"""Accuracy of the search without a bbox and with one; the least score of a person.

usage: python experiments/box_free.py NETWORK ANNOTATIONS ARCHIVE [--every 4] [--compare]

NETWORK is a .keras file; ANNOTATIONS the validation.json of a parsed project, with one person on
each picture; ARCHIVE its pictures, for example:

    cd lspet; python ../experiments/box_free.py models/hourglass.keras \
        data/annotations/validation.json data/raw/lspet/lspet.zip --every 4

The first table compares modes: no bbox, the bbox of the record's rough center and scale, and the
labels' bbox. A hit is a pose whose bbox has an IoU of at least HIT with the labels' bbox. The last
row has two people to find: the photographs two by two, side by side.

The second table has the scores of the best pose on pictures with people and without. The latter
are drawn scenery without its figure, and the part of a photograph beside, above or below its
person. Unlabelled people may stand there. The threshold is chosen on one half of the pictures and
judged on the other. --compare tries other search plans; each crop is run once.
"""

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
from search_pictures import cut_empty_part, draw_scenery_alone, join_pairs, labels_bbox

from hourglass.data.archives import open_images
from hourglass.data.datasets.lspet import LSPET_MARGIN
from hourglass.data.person import load_persons
from hourglass.evaluation.pckh import compute_pckh, score_persons
from hourglass.inference import person_search
from hourglass.inference.backends import open_backend
from hourglass.inference.crops import Search
from hourglass.keypoints import MPII
from hourglass.utils import transforms
from hourglass.utils.images import decode_image

HIT = 0.5
LIMBS = [k for name, joints in MPII.group_indices.items() if name != "head" for k in joints]
PLANS = {
    "as it is": person_search.PLAN,
    "no other retries than one a person": person_search.SearchPlan(retries=0),
    "2 retries": person_search.SearchPlan(retries=2),
    "8 retries": person_search.SearchPlan(retries=8),
    "at most 20 crops": person_search.SearchPlan(max_crops=20),
    "at most 100 crops": person_search.SearchPlan(max_crops=100),
    "sides a 1.3rd of the next": person_search.SearchPlan(zoom=1.3),
    "sides half of the next": person_search.SearchPlan(zoom=2.0),
    "steps of 0.4": person_search.SearchPlan(step=0.4, max_crops=100),
}


class Searcher:
    """The network on one photograph after another, in batches of a round; counts its crops.

    Args:
        backends: the backends of the first round, and of all later ones.
        known: dict of inputs' bytes to the keypoints found; None: every input is run.
    """

    def __init__(self, backends, known=None):
        self.backends = backends
        self.known = known
        self.num_crops = 0
        self.seconds = 0.0

    def search(self, image, search):
        """The poses that a search finds."""
        rounds = itertools.chain(self.backends, itertools.repeat(self.backends[-1]))
        start = time.perf_counter()
        search = Search(search, image, self.backends[0].size)
        while search.crops:
            search.take_keypoints(*self._find_keypoints(next(rounds), search.inputs))
        self.seconds += time.perf_counter() - start
        return search.poses

    def _find_keypoints(self, backend, inputs):
        self.num_crops += len(inputs)
        if self.known is None:
            return backend(inputs)
        keys = [(id(backend), crop.tobytes()) for crop in inputs]
        new = [k for k, key in enumerate(keys) if key not in self.known]
        if new:
            found = zip(*backend(inputs[new]), strict=True)
            self.known.update(zip([keys[k] for k in new], found, strict=True))
        return [np.stack(values) for values in zip(*(self.known[key] for key in keys), strict=True)]


def rough_crop(person):
    """The crop of a person in the shards."""
    return person_search.person_crop(person.center, person.scale)


def labels_crop(person):
    """The crop around the labels' bbox, with the margin of the shards' crops."""
    low, high = labels_bbox(person)
    side = transforms.CROP_FACTOR * LSPET_MARGIN * (high - low).max()
    return person_search.crop_at((low + high) / 2, side)


MODES = {
    "no bbox": lambda size, person: person_search.find_people(size),
    "whole picture": lambda size, person: person_search.estimate_pose(
        person_search.whole_picture_crop(size), False
    ),
    "rough bbox": lambda size, person: person_search.estimate_pose(rough_crop(person), False),
    "rough bbox, refined": lambda size, person: person_search.estimate_pose(rough_crop(person)),
    "labels' bbox": lambda size, person: person_search.estimate_pose(labels_crop(person), False),
    "labels' bbox, refined": lambda size, person: person_search.estimate_pose(labels_crop(person)),
}


def search_all(searcher, images, persons, mode):
    """The best pose on each photograph."""
    return [
        searcher.search(image, mode(image.size, person))[0]
        for image, person in zip(images, persons, strict=True)
    ]


def score_row(name, persons, poses, searcher):
    """A row: PCKh of all joints and of the limbs, hits, score, crops and seconds a photograph."""
    errors, keypoints_visible = score_persons(persons, np.stack([pose.keypoints for pose in poses]))
    hits = [
        person_search.compute_iou(person_search.keypoints_bbox(pose.keypoints), labels_bbox(person))
        >= HIT
        for pose, person in zip(poses, persons, strict=True)
    ]
    seconds = "" if searcher.known is not None else f"{searcher.seconds / len(persons):.2f}"
    return (
        f"| {name} | {compute_pckh(errors, keypoints_visible, MPII.scored_indices):.1f} "
        f"| {compute_pckh(errors, keypoints_visible, LIMBS):.1f} "
        f"| {100 * np.mean(hits):.0f} "
        f"| {np.mean([pose.score for pose in poses]):.2f} "
        f"| {searcher.num_crops / len(persons):.1f} | {seconds} |"
    )


COLUMNS = ("PCKh@0.5", "limbs", "hits, %", "score", "crops", "seconds")
HEADER = f"| {{}} | {' | '.join(COLUMNS)} |\n|---|{'---:|' * len(COLUMNS)}"


def search_pairs(searcher, images, persons):
    """For each person of `join_pairs`, the nearer of the two poses on the picture."""
    poses = []
    for number, image in enumerate(images):
        found = searcher.search(image, person_search.find_people(image.size, 2))
        for person in persons[2 * number : 2 * number + 2]:
            bbox = labels_bbox(person)
            poses.append(
                max(found, key=lambda pose, bbox=bbox: person_search.compute_iou(pose.bbox, bbox))
            )
    return poses


def print_modes(backends, images, persons):
    """Compare the modes; return the poses found without a bbox."""
    print(HEADER.format("mode"))
    found = None
    for name, mode in MODES.items():
        searcher = Searcher(backends[1:])
        poses = search_all(searcher, images, persons, mode)
        found = found or poses
        print(score_row(name, persons, poses, searcher), flush=True)
    searcher, (joined, moved) = Searcher(backends[1:]), join_pairs(images, persons)
    name = "no bbox, two photographs side by side"
    print(score_row(name, moved, search_pairs(searcher, joined, moved), searcher), flush=True)
    return found


def print_plans(backends, images, persons):
    """Compare search plans, with the flip test always, never, and in later rounds alone."""
    print("\n" + HEADER.format("search"))
    known = {}
    plain, flipped = backends
    flip_tests = {
        "flip test of all crops": [flipped],
        "flip test of refinements alone": [plain, flipped],
        "no flip test": [plain],
    }
    rows = [(name, person_search.PLAN, row_backends) for name, row_backends in flip_tests.items()]
    rows += [(name, plan, [plain, flipped]) for name, plan in PLANS.items()]
    for name, plan, row_backends in rows:
        searcher = Searcher(row_backends, known)
        poses = search_all(
            searcher,
            images,
            persons,
            lambda size, _, plan=plan: person_search.find_people(size, 1, plan),
        )
        print(score_row(name, persons, poses, searcher), flush=True)


def best_scores(searcher, images):
    return np.array(
        [searcher.search(image, person_search.find_people(image.size))[0].score for image in images]
    )


def choose_threshold(with_people, without):
    """The threshold of the fewest mistakes, a miss counting as much as a false alarm, by share."""
    thresholds = np.arange(0.05, 1, 0.01)
    mistakes = [
        np.mean(with_people < threshold)
        + np.mean([np.mean(scores >= threshold) for scores in without])
        for threshold in thresholds
    ]
    best = thresholds[np.isclose(mistakes, min(mistakes))]
    return float(best[len(best) // 2])


def print_thresholds(searcher, found, images, persons):
    """Scores with and without people; the threshold of one half of them, judged on the other."""
    parts = [cut_empty_part(*pair) for pair in zip(images, persons, strict=True)]
    kinds = {
        "photographs of people": np.array([pose.score for pose in found]),
        "drawn scenery": best_scores(searcher, map(draw_scenery_alone, range(len(images)))),
        "parts of photographs": best_scores(searcher, filter(None, parts)),
    }
    with_people, *without = (scores[::2] for scores in kinds.values())
    chosen = choose_threshold(with_people, without)
    thresholds = (chosen, person_search.THRESHOLD)
    taken = " | ".join(f"a person at {threshold:.2f}, %" for threshold in thresholds)
    print(f"\n| pictures | number | score: 5 % | median | 95 % | {taken} |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, scores in kinds.items():
        low, middle, high = np.quantile(scores, (0.05, 0.5, 0.95))
        taken = " | ".join(f"{100 * np.mean(scores[1::2] >= t):.0f}" for t in thresholds)
        print(f"| {name} | {len(scores)} | {low:.2f} | {middle:.2f} | {high:.2f} | {taken} |")
    print(f"\nthreshold of every other picture: {chosen:.2f}; the last columns are of the others")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", type=Path)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("archive", type=Path)
    parser.add_argument("--every", type=int, default=4, help="take every Nth person (default: 4)")
    parser.add_argument("--compare", action="store_true", help="compare search plans as well")
    options = parser.parse_args()
    backends = [open_backend(options.network, flip_test) for flip_test in (False, True)]
    persons = load_persons(options.annotations)[:: options.every]
    with open_images(options.archive) as archive:
        images = [decode_image(archive.read(person.image))[0] for person in persons]
    print(f"{len(persons)} photographs\n")
    found = print_modes(backends, images, persons)
    if options.compare:
        print_plans(backends, images, persons)
    print_thresholds(Searcher(backends[1:]), found, images, persons)


if __name__ == "__main__":
    main()
