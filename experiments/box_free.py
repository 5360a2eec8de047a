"""What a search without any box finds, beside a person's box; and the least score of a person.

usage: python experiments/box_free.py NETWORK ANNOTATIONS ARCHIVE [--every 4] [--compare]

NETWORK is a .keras file; ANNOTATIONS the validation.json of a parsed project, with one person on
each picture; ARCHIVE its pictures, for example:

    cd lspet; python ../experiments/box_free.py models/hourglass.keras \
        data/annotations/validation.json data/raw/lspet/lspet.zip --every 4

The first table has the ways to tell the network where the person is: not at all; by the record's
rough center and scale; by the labels' box. A hit is a pose whose joints' box and the labels' share
at least HIT of their union. Its last row has two people to find: the photographs two by two, side
by side. The second table has the scores of the best pose of pictures with people and of those
without: drawn scenery without its figure, and what lies beside, above or below the person of a
photograph (where others may stand, whom nobody has labelled). The threshold is chosen on one half
of the pictures and judged on the other. --compare tries other ways to search, each look taken once.
"""

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
from search_pictures import cut_empty_part, draw_scenery_alone, join_pairs, labels_box

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


class Eye:
    """The network on one photograph after another, in batches of a round; counts its looks.

    Args:
        backends: the backends of the first round, and of all later ones.
        known: dict of inputs' bytes to joints, which need no second look; None: look again.
    """

    def __init__(self, backends, known=None):
        self.backends = backends
        self.known = known
        self.num_inputs = 0
        self.seconds = 0.0

    def search(self, image, search):
        """The poses that a search finds."""
        rounds = itertools.chain(self.backends, itertools.repeat(self.backends[-1]))
        start = time.perf_counter()
        search = Search(search, image, self.backends[0].size)
        while search.crops:
            search.take_keypoints(*self._find_joints(next(rounds), search.inputs))
        self.seconds += time.perf_counter() - start
        return search.poses

    def _find_joints(self, backend, inputs):
        self.num_inputs += len(inputs)
        if self.known is None:
            return backend(inputs)
        keys = [(id(backend), view.tobytes()) for view in inputs]
        new = [k for k, key in enumerate(keys) if key not in self.known]
        if new:
            found = zip(*backend(inputs[new]), strict=True)
            self.known.update(zip([keys[k] for k in new], found, strict=True))
        return [np.stack(values) for values in zip(*(self.known[key] for key in keys), strict=True)]


def rough_square(person):
    """The crop that the shards cut a person's view by."""
    return person_search.person_crop(person.center, person.scale)


def labels_square(person):
    """The crop around the labels' box, with the margin that a person's view has around it."""
    low, high = labels_box(person)
    side = transforms.CROP_FACTOR * LSPET_MARGIN * (high - low).max()
    return person_search.crop_at((low + high) / 2, side)


WAYS = {
    "no box": lambda size, person: person_search.find_people(size),
    "whole picture": lambda size, person: person_search.estimate_pose(
        person_search.whole_picture_crop(size), False
    ),
    "rough box": lambda size, person: person_search.estimate_pose(rough_square(person), False),
    "rough box, refined": lambda size, person: person_search.estimate_pose(rough_square(person)),
    "labels' box": lambda size, person: person_search.estimate_pose(labels_square(person), False),
    "labels' box, refined": lambda size, person: person_search.estimate_pose(labels_square(person)),
}


def search_all(eye, images, persons, way):
    """The best pose on each photograph."""
    return [
        eye.search(image, way(image.size, person))[0]
        for image, person in zip(images, persons, strict=True)
    ]


def score_row(name, persons, poses, eye):
    """A row: PCKh of all joints and of the limbs, hits, score, looks and seconds a photograph."""
    errors, keypoints_visible = score_persons(persons, np.stack([pose.keypoints for pose in poses]))
    hits = [
        person_search.compute_iou(person_search.keypoints_bbox(pose.keypoints), labels_box(person))
        >= HIT
        for pose, person in zip(poses, persons, strict=True)
    ]
    seconds = "" if eye.known is not None else f"{eye.seconds / len(persons):.2f}"
    return (
        f"| {name} | {compute_pckh(errors, keypoints_visible, MPII.scored_indices):.1f} "
        f"| {compute_pckh(errors, keypoints_visible, LIMBS):.1f} "
        f"| {100 * np.mean(hits):.0f} "
        f"| {np.mean([pose.score for pose in poses]):.2f} "
        f"| {eye.num_inputs / len(persons):.1f} | {seconds} |"
    )


COLUMNS = ("PCKh@0.5", "limbs", "hits, %", "score", "looks", "seconds")
HEADER = f"| {{}} | {' | '.join(COLUMNS)} |\n|---|{'---:|' * len(COLUMNS)}"


def search_pairs(eye, images, persons):
    """Of each of `join_pairs`' persons the pose that lies nearest, of two on a picture."""
    poses = []
    for number, image in enumerate(images):
        found = eye.search(image, person_search.find_people(image.size, 2))
        for person in persons[2 * number : 2 * number + 2]:
            box = labels_box(person)
            poses.append(
                max(found, key=lambda pose, box=box: person_search.compute_iou(pose.bbox, box))
            )
    return poses


def print_ways(backends, images, persons):
    """Compare the ways to tell where the person is; the poses of the search."""
    print(HEADER.format("the network is told"))
    found = None
    for name, way in WAYS.items():
        eye = Eye(backends[1:])
        poses = search_all(eye, images, persons, way)
        found = found or poses
        print(score_row(name, persons, poses, eye), flush=True)
    eye, (joined, moved) = Eye(backends[1:]), join_pairs(images, persons)
    name = "no box, two photographs side by side"
    print(score_row(name, moved, search_pairs(eye, joined, moved), eye), flush=True)
    return found


def print_plans(backends, images, persons):
    """Compare ways to search, with the flip test always, never, and in later rounds alone."""
    print("\n" + HEADER.format("search"))
    known = {}
    plain, flipped = backends
    flip_tests = {
        "flip test in all looks": [flipped],
        "in those around poses alone": [plain, flipped],
        "no flip test": [plain],
    }
    rows = [(name, person_search.PLAN, eyes) for name, eyes in flip_tests.items()]
    rows += [(name, plan, [plain, flipped]) for name, plan in PLANS.items()]
    for name, plan, eyes in rows:
        eye = Eye(eyes, known)
        poses = search_all(
            eye,
            images,
            persons,
            lambda size, _, plan=plan: person_search.find_people(size, 1, plan),
        )
        print(score_row(name, persons, poses, eye), flush=True)


def best_scores(eye, images):
    return np.array(
        [eye.search(image, person_search.find_people(image.size))[0].score for image in images]
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


def print_thresholds(eye, found, images, persons):
    """Scores with and without people; the threshold of one half of them, judged on the other."""
    parts = [cut_empty_part(*pair) for pair in zip(images, persons, strict=True)]
    kinds = {
        "photographs of people": np.array([pose.score for pose in found]),
        "drawn scenery": best_scores(eye, map(draw_scenery_alone, range(len(images)))),
        "parts of photographs": best_scores(eye, filter(None, parts)),
    }
    with_people, *without = (scores[::2] for scores in kinds.values())
    chosen = choose_threshold(with_people, without)
    thresholds = (chosen, person_search.THRESHOLD)
    taken = " | ".join(f"somebody at {threshold:.2f}, %" for threshold in thresholds)
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
    parser.add_argument("--compare", action="store_true", help="compare ways to search as well")
    options = parser.parse_args()
    backends = [open_backend(options.network, flip_test) for flip_test in (False, True)]
    persons = load_persons(options.annotations)[:: options.every]
    with open_images(options.archive) as archive:
        images = [decode_image(archive.read(person.image))[0] for person in persons]
    print(f"{len(persons)} photographs\n")
    found = print_ways(backends, images, persons)
    if options.compare:
        print_plans(backends, images, persons)
    print_thresholds(Eye(backends[1:]), found, images, persons)


if __name__ == "__main__":
    main()
