"""Drawn people with exact keypoints, packed and annotated like MPII.

A figure is drawn from the very points that become its labels.
"""

import io
import multiprocessing
import os
import threading
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from hourglass.data.synthetic.bodies import FACE
from hourglass.data.synthetic.canvas import Canvas
from hourglass.data.synthetic.cartoons import Figure, draw_figure, sample_figure
from hourglass.data.synthetic.scenery import draw_occluder, draw_scenery, paint_backdrop
from hourglass.keypoints import MPII, PERSON_HEIGHT, KeypointSchema
from hourglass.utils.files import atomic_path, write_json
from hourglass.utils.parallel import count_cores

if TYPE_CHECKING:
    from hourglass.config import SyntheticParams

JPEG_QUALITY = 92
MIN_SIDE, MAX_SIDE = 240, 480  # px of a picture
MIN_HEIGHT, MAX_HEIGHT = 110, 380  # px of the main figure if it stood upright
# What a figure has of MPII's keypoints and of COCO's.
FIGURE = KeypointSchema(
    name="figure",
    keypoints=(*MPII.keypoints, *FACE),
    flip_pairs=(),
    bones=(),
    groups={},
    head_segment=MPII.head_segment,
)
FRONT = ("nose", "left_eye", "right_eye")  # of the face: not to be seen from behind
POOLED_PICTURES = 200  # fewer are drawn before a pool of processes has started


def write_dataset(folder: Path, params: "SyntheticParams") -> None:
    """Write `folder`/images.zip, train.json and validation.json, each whole or not at all.

    A record is the main figure of its picture. The bytes depend on `params` alone, not on the
    number of processes; no picture depends on how many there are.
    """
    # Even indexes train, odd ones validate: disjoint whatever the two counts are.
    jobs = [(f"train_{i:05d}.jpg", 2 * i) for i in range(params.num_train)]
    jobs += [(f"validation_{i:05d}.jpg", 2 * i + 1) for i in range(params.num_val)]
    records = []
    with atomic_path(folder / "images.zip") as path, zipfile.ZipFile(path, "w") as archive:
        results = encode_pictures(params.seed, jobs, count_cores())
        for jpeg, record in tqdm(results, "draw", total=len(jobs), unit="picture", disable=None):
            # Undated, unlike a plain name: the archive's bytes depend on its pictures alone.
            archive.writestr(zipfile.ZipInfo(f"images/{record['image']}"), jpeg)
            records.append(record)
    write_json(folder / "train.json", records[: params.num_train])
    write_json(folder / "validation.json", records[params.num_train :])


def encode_pictures(
    seed: int, jobs: Sequence[tuple[str, int]], num_processes: int
) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield (JPEG bytes, record) of each job (name, index), in order."""
    encode = partial(_encode_picture, seed)
    if num_processes == 1 or len(jobs) < POOLED_PICTURES:
        yield from map(encode, jobs)
        return
    # Not forked, which can hang where the parent has threads, as a progress bar has.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_processes, spawn, initializer=_end_with_parent) as pool:
        yield from pool.map(encode, jobs, chunksize=16)


def _end_with_parent() -> None:
    """Let this worker end when its parent is killed; it would wait for work for ever."""

    def wait() -> None:
        parent = multiprocessing.parent_process()
        assert parent, "only workers are started with this"
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _encode_picture(seed: int, job: tuple[str, int]) -> tuple[bytes, dict[str, Any]]:
    name, index = job
    picture, persons = draw_picture(seed, index)
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG", quality=JPEG_QUALITY)
    return jpeg.getvalue(), {**persons[0], "image": name}


def draw_picture(seed: int, index: int) -> tuple[Image.Image, list[dict[str, Any]]]:
    """Draw one picture of a drawn set; the same two numbers give the same picture.

    Returns:
        An RGB picture and its persons, the main figure first, in the form of MPII's JSON, with the
        keypoints of FIGURE. Missing are those out of the picture, and a face turned away.
    """
    # A generator a picture: it does not matter which process draws it, or after which others.
    rng = np.random.default_rng((seed, index))
    main, size = place_main_figure(rng)
    others = place_other_figures(rng, main)
    canvas = Canvas(paint_backdrop(rng, size))
    draw_scenery(canvas, rng, main)
    main_is_nearest = rng.random() < 0.8
    for figure in [*others, main] if main_is_nearest else [main, *others]:
        draw_figure(canvas, figure)
    if rng.random() < 0.16:
        draw_occluder(canvas, rng, main)
    persons = [annotate_figure(figure, size, f"{index:05d}.jpg") for figure in (main, *others)]
    return canvas.finish(), [persons[0], *(p for p in persons[1:] if any(p["joints_vis"]))]


def place_main_figure(rng: np.random.Generator) -> tuple[Figure, tuple[int, int]]:
    """The main figure in a picture of its own, and that picture's (width, height)."""
    figure = sample_figure(rng, rng.uniform(MIN_HEIGHT, MAX_HEIGHT))
    low, high = figure.keypoints.min(axis=0), figure.keypoints.max(axis=0)
    margin = 0.08 * figure.height
    needed = high - low + 2 * margin  # (2,), px
    size = np.clip(needed * rng.uniform(1.0, 1.6, 2), MIN_SIDE, MAX_SIDE).astype(int)
    # Negative where the picture may not be as large as the figure needs.
    spare = size - needed
    corner = rng.uniform(np.minimum(spare, 0), np.maximum(spare, 0))
    if rng.random() < 0.18:  # a part of the body beyond one edge
        axis = rng.integers(2)
        beyond = margin + rng.uniform(0.05, 0.35) * (high - low)[axis]
        corner[axis] = rng.choice([-beyond, spare[axis] + beyond])
    width, height = size.tolist()
    return figure.move(corner + margin - low), (width, height)


def place_other_figures(rng: np.random.Generator, main: Figure) -> list[Figure]:
    """None, one or two more figures, beside the main one and clearly off its middle."""
    figures = []
    pelvis_x, pelvis_y, _ = main.points["pelvis"]
    for side in rng.permutation([-1, 1])[: rng.choice(3, p=[0.67, 0.25, 0.08])]:
        inner, outer = (np.max, np.min) if side < 0 else (np.min, np.max)
        other = sample_figure(rng, main.height * rng.uniform(0.6, 1.05))
        touching = outer(main.keypoints[:, 0]) - inner(other.keypoints[:, 0])
        apart = pelvis_x + side * 0.55 * main.height
        x = outer((touching, apart)) - side * 0.05 * main.height
        y = pelvis_y + rng.uniform(-0.15, 0.1) * main.height
        figures.append(other.move((x, y)))
    return figures


def annotate_figure(figure: Figure, size: tuple[int, int], name: str) -> dict[str, Any]:
    """The figure as one of MPII's JSON records: 1-based pixels, rounded to 1/100."""
    points = figure.points | figure.face
    keypoints = np.array([points[name][:2] for name in FIGURE.keypoints])
    is_inside = (keypoints >= 0) & (keypoints <= np.array(size) - 1)
    labelled = np.logical_and.reduce(is_inside, axis=1)  # (K,)
    if not figure.faces_viewer:
        labelled[list(FIGURE.indices(FRONT))] = False
    return {
        "image": name,
        "joints": [
            [round(x + 1, 2), round(y + 1, 2)] if known else [-1.0, -1.0]
            for (x, y), known in zip(keypoints.tolist(), labelled, strict=True)
        ],
        "joints_vis": labelled.astype(int).tolist(),
        "center": [round(value + 1, 2) for value in _body_center(figure, size).tolist()],
        "scale": round(figure.height / PERSON_HEIGHT, 4),
    }


def _body_center(figure: Figure, size: tuple[int, int]) -> np.ndarray:
    """MPII's objpos: in the median 0.03 heights above the middle of the joints' bounding box."""
    inside = np.clip(figure.keypoints, 0, np.array(size) - 1)
    middle = (inside.min(axis=0) + inside.max(axis=0)) / 2
    return np.clip(middle - (0, 0.03 * figure.height), 0, np.array(size) - 1)
