"""A network of ours held against BlazePose and MoveNet, on the validation persons of a project.

usage: make field [FOLDER=lspet] [MODEL=FILE] [BLAZEPOSE=DIR] [MOVENET=DIR]

FOLDER has been through `dvc repro parse`. MODEL is a `.keras` file of ours; without it, the shipped
one. It runs exported, by onnxruntime. BLAZEPOSE is a folder of BlazePose's three .tflite files;
without it, npm fetches them. LiteRT, which runs those, is no dependency of the project:
`pip install ai-edge-litert`. MOVENET is a folder of MoveNet Lightning's two files.

Each network gets the same crop of a photograph, at its own input size. The best two are also run
with one refinement, as `hourglass predict --box` does. The joints are the twelve that both have.
The persons are those whose head is measured. The first table's crop is the recipe's, as rough as
MPII's. The second table's is that of the labels' bbox, the best that any detector could give. Both
tables follow once more for upright people: BlazePose is made for them. Where the project has
several sets, each has tables of its own.
"""

import argparse
import dataclasses
import functools
import math
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from blazepose import BlazePose, find_networks
from measure import describe_machine, measure_rates, number
from movenet import MoveNet, find_movenet, write_onnx

from hourglass.config import load_params
from hourglass.data.archives import open_images
from hourglass.data.datasets.base import find_dataset
from hourglass.data.datasets.lspet import LSPET_MARGIN
from hourglass.data.head_size import SCALE
from hourglass.data.person import find_set, load_persons
from hourglass.evaluation.pckh import compute_pckh, mean_pckh, score_persons
from hourglass.export.exporter import export_network
from hourglass.inference.backends import open_backend
from hourglass.inference.crops import Search, run_searches
from hourglass.inference.person_search import crop_at, estimate_pose, person_crop
from hourglass.keypoints import MPII
from hourglass.shipped import shipped_network
from hourglass.utils import transforms
from hourglass.utils.backend import tf
from hourglass.utils.errors import UserError, exit_on_user_error
from hourglass.utils.images import decode_image

GROUPS = {name: joints for name, joints in MPII.group_indices.items() if name != "head"}
LIMBS = [joint for joints in GROUPS.values() for joint in joints]
THRESHOLDS = (0.5, 0.1)  # head sizes
NECK, HIPS = MPII.index("upper_neck"), [MPII.index("r_hip"), MPII.index("l_hip")]
MAX_TILT = 30  # degrees of an upright torso
BATCH_SIZES = (1, 16)  # 16 is that of `hourglass predict`
NUM_TIMED = 48  # photographs a round
COLUMNS = ("network", *GROUPS, "limbs", "pictures/s", f"in batches of {BATCH_SIZES[1]}", "MB")


@dataclasses.dataclass(frozen=True)
class Entrant:
    """A network of the comparison.

    `num_bytes` are its file's. `backend` is a backend (`inference/backends.py`); joints that it
    does not know are NaN, their scores 0.
    """

    name: str
    num_bytes: int
    backend: Callable
    num_refinements: int = 0


@exit_on_user_error
def main():
    options = read_options()
    print(f"{describe_machine()}; on one core and one thread of it", flush=True)
    use_one_core()
    persons, archive = open_field(options.folder)
    persons = persons[:: -(-len(persons) // (options.limit or len(persons)))]
    with tempfile.TemporaryDirectory() as folder:
        entrants = [
            *enter_ours(options.model or shipped_network(), Path(folder)),
            *enter_blazepose(options.blazepose),
            *enter_movenet(options.movenet, Path(folder)),
        ]
    rates = measure_speed(entrants, persons, archive, options.rounds)
    for title, crop_of in CROPS.items():
        scores = [score_entrant(entrant, persons, archive, crop_of) for entrant in entrants]
        for name in find_sets(options.folder):
            chosen = np.array([name is None or find_set(p.image) == name for p in persons])
            if chosen.any():
                print_tables(name, title, persons, chosen, entrants, scores, rates)


def find_sets(folder):
    """The names of the project's sets; [None] where it has one dataset."""
    return [*load_params(folder / "params.yaml").data.sets] or [None]


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of a params.yaml, with data/ as parse leaves it")
    parser.add_argument("--model", type=Path, metavar="FILE", help="default: the shipped network")
    parser.add_argument("--blazepose", type=Path, metavar="DIR", help="default: fetched by npm")
    parser.add_argument("--movenet", type=Path, metavar="DIR", help="default: fetched by npm")
    parser.add_argument(
        "--limit", type=int, metavar="N", help="at most so many persons, evenly spread"
    )
    parser.add_argument("--rounds", type=int, default=5, help="of timing")
    return parser.parse_args()


def use_one_core():
    """This process and all of its threads on one core; TensorFlow with one thread."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def open_field(folder):
    """The validation persons whose head is measured, and the archive of their pictures."""
    data = load_params(folder / "params.yaml").data
    dataset = data.dataset
    persons = load_persons(folder / "data/annotations/validation.json")
    persons = [
        person for person in persons
        if has_measured_head(person, data.sets.get(find_set(person.image), dataset))
    ]  # fmt: skip
    if not persons:
        raise UserError(f"{folder}: no validation person has a head size or both labels of a head")
    return persons, open_images(folder / "data/raw" / dataset / find_dataset(dataset).images)


def has_measured_head(person, dataset):
    """Whether the head size is the head's own: a scale may be made of it, or stand in for it."""
    return person.head_source != SCALE or find_dataset(dataset).scaled_by_head


def enter_ours(path, folder):
    """A network of ours, exported as `hourglass predict` runs it: with flip test, and without."""
    for flip_test, name in ((True, "ours, flip test"), (False, "ours")):
        exported = folder / f"flip_test_{flip_test}.onnx"
        export_network(path, exported, "onnx", half=False, flip_test=flip_test)
        entrant = Entrant(name, exported.stat().st_size, open_backend(exported, flip_test))
        if flip_test:
            yield refine(entrant)
        yield entrant


def enter_blazepose(folder):
    for size, path in find_networks(folder).items():
        entrant = Entrant(f"BlazePose {size}", path.stat().st_size, BlazePose(path))
        yield entrant
    yield refine(entrant)


def enter_movenet(folder, scratch):
    exported = scratch / "movenet.onnx"
    write_onnx(find_movenet(folder), exported)
    for flip_test, name in ((True, "MoveNet Lightning, flip test"), (False, "MoveNet Lightning")):
        yield Entrant(name, exported.stat().st_size, MoveNet(exported, flip_test))


def refine(entrant):
    return dataclasses.replace(entrant, name=f"{entrant.name}, 1 refinement", num_refinements=1)


def recipe_crop(person):
    """The crop of a person by the recipe, whole px of the picture."""
    return person_crop(person.center, person.scale)


def labels_crop(person):
    """The crop around the labels' bbox, with the margins of the recipe."""
    joints = person.joints[person.keypoints_visible]
    low, high = joints.min(axis=0), joints.max(axis=0)
    return crop_at((low + high) / 2, transforms.CROP_FACTOR * LSPET_MARGIN * (high - low).max())


CROPS = {"The recipe's crops": recipe_crop, "Crops around the labels' bbox": labels_crop}


def stands_upright(person):
    """Whether the line from the hips to the neck is labelled and within `MAX_TILT` of upright."""
    if not person.keypoints_visible[[NECK, *HIPS]].all():
        return False
    x, y = person.joints[NECK] - person.joints[HIPS].mean(axis=0)
    return math.degrees(math.atan2(abs(x), -y)) <= MAX_TILT  # y points down


def find_keypoints(entrant, read, images, crops, batch_size):
    """Keypoints [N, 16, 2], px of the pictures, of a person in a crop of each of N pictures.

    Args:
        read: function from a picture's name to its file's bytes.
    """
    found = []
    for start in range(0, len(images), batch_size):
        batch = slice(start, start + batch_size)
        searches = [
            Search(
                estimate_pose(crop, refine=entrant.num_refinements > 0),
                decode_image(read(image))[0],
                entrant.backend,
            )
            for image, crop in zip(images[batch], crops[batch], strict=True)
        ]
        run_searches(searches, entrant.backend)
        found += [search.poses[0].keypoints for search in searches]
    return np.stack(found)


def score_entrant(entrant, persons, archive, crop_of):
    """The `score_persons` of an entrant; its input of a person is the crop `crop_of(person)`."""
    images, crops = [person.image for person in persons], [*map(crop_of, persons)]
    keypoints = find_keypoints(entrant, archive.read, images, crops, BATCH_SIZES[-1])
    return score_persons(persons, keypoints)


def measure_speed(entrants, persons, archive, rounds):
    """{(name, batch size): pictures a second from a file's bytes to keypoints}, the median."""
    timed = persons[:NUM_TIMED]
    images, crops = [person.image for person in timed], [*map(recipe_crop, timed)]
    data = {image: archive.read(image) for image in images}

    def run(entrant, batch_size):
        return len(find_keypoints(entrant, data.get, images, crops, batch_size))

    runs = {
        (entrant.name, size): functools.partial(run, entrant, size)
        for entrant in entrants
        for size in BATCH_SIZES
    }
    return {key: statistics.median(rates) for key, rates in measure_rates(runs, rounds).items()}


def print_tables(name, title, persons, is_of, entrants, scores, rates):
    """Two tables: of all persons of a set, and of those who stand upright."""
    upright = np.array([stands_upright(person) for person in persons])
    of_set = f" of {name}" if name else ""
    for who, chosen in (("persons", is_of), ("upright ones", is_of & upright)):
        rows = [
            make_row(entrant, errors[chosen], keypoints_visible[chosen], rates)
            for entrant, (errors, keypoints_visible) in zip(entrants, scores, strict=True)
        ]
        print(
            f"\n{title}, {chosen.sum():,} {who}{of_set}; PCKh@0.5 / @0.1\n\n{format_table(rows)}",
            flush=True,
        )


def make_row(entrant, errors, keypoints_visible, rates):
    """A line of the table, in the order of COLUMNS: PCKh by joint group, and pooled."""
    groups = [
        [mean_pckh(errors, keypoints_visible, joints, threshold) for threshold in THRESHOLDS]
        for joints in GROUPS.values()
    ]
    limbs = [compute_pckh(errors, keypoints_visible, LIMBS, threshold) for threshold in THRESHOLDS]
    speeds = [number(rates[entrant.name, size]) for size in BATCH_SIZES]
    megabytes = f"{entrant.num_bytes / 1e6:.1f}"
    return [entrant.name, *map(format_scores, [*groups, limbs]), *speeds, megabytes]


def format_scores(scores):
    return " / ".join("-" if score is None else f"{score:.1f}" for score in scores)


def format_table(rows):
    rule = ("---", *["---:"] * (len(COLUMNS) - 1))
    return "\n".join(f"| {' | '.join(row)} |" for row in (COLUMNS, rule, *rows))


if __name__ == "__main__":
    main()
