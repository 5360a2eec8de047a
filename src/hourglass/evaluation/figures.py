"""Rendered predictions of validation persons: the best, the worst and an even spread between."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from hourglass.data.person import Person
from hourglass.evaluation.pckh import compute_pckh, score_persons
from hourglass.keypoints import KeypointSchema
from hourglass.utils import transforms
from hourglass.visualization.drawing import draw_comparison, draw_contact_sheet

SHEET_COLUMNS = 4
PANEL_HEIGHT = 260  # px


def rank_persons(
    errors: np.ndarray, keypoints_visible: np.ndarray, schema: KeypointSchema
) -> np.ndarray:
    """Persons from best to worst: by their own PCKh@0.5, then by their mean error.

    A person without any scored keypoint has no rank.

    Args:
        errors: [N, K], fractions of the head size. keypoints_visible: bool [N, K].
    """
    scored = list(schema.scored_indices)
    errors, keypoints_visible = errors[:, scored], keypoints_visible[:, scored]
    counts = np.maximum(keypoints_visible.sum(axis=1), 1)  # (N,); 1: no division by 0
    hits = ((errors <= 0.5) & keypoints_visible).sum(axis=1)  # (N,)
    # A wild prediction should not outweigh all that is right, and infinity cannot be averaged.
    mean_errors = np.where(keypoints_visible, np.minimum(errors, 10), 0).sum(axis=1) / counts
    # lexsort's last key counts first; persons without a labelled joint leave afterwards.
    ranking = np.lexsort((mean_errors, -hits / counts))
    return ranking[keypoints_visible[ranking].any(axis=1)]


def choose_persons(ranking: np.ndarray, number: int) -> list[tuple[str, int]]:
    """Pick `number` of a ranking: a quarter the best, a quarter the worst, an even spread between.

    Returns:
        [(name, person)] in order of rank, name "best", "middle" or "worst".
    """
    number = min(number, len(ranking))
    ends = (number + 1) // 4
    first, last = ranking[:ends], ranking[len(ranking) - ends :]
    between = ranking[ends : len(ranking) - ends]
    # From the last of the best (-1) to the first of the worst, both of which are dropped.
    spread = np.linspace(-1, len(between), number - 2 * ends + 2)[1:-1].round().astype(int)
    groups = (("best", first), ("middle", between[spread]), ("worst", last))
    return [(name, int(person)) for name, group in groups for person in group]


def render_figures(
    folder: str | Path,
    chosen: Sequence[tuple[str, int]],
    crops: Mapping[int, tuple[np.ndarray, np.ndarray]],
    persons: Sequence[Person],
    keypoints: np.ndarray,
    schema: KeypointSchema,
) -> None:
    """Draw ground truth beside prediction for each chosen person, and one sheet of all.

    Args:
        folder: emptied first. Gets `contact_sheet.jpg` and `01_best_<picture>.jpg` and so on.
        chosen: from `choose_persons`.
        crops: {person: (RGB array [D, D, 3], transform [2, 3] from it to the original picture)}.
        persons: the annotations of the split. keypoints: [N, K, 2], original px.
        schema: of the keypoints.
    """
    folder = Path(folder)
    # Figures of an earlier prediction would be taken for these.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    panels = []
    for number, (name, person) in enumerate(chosen, start=1):
        panel = _draw_person(*crops[person], persons[person], keypoints[person], schema, name)
        stem = Path(persons[person].image).stem
        panel.save(folder / f"{number:02d}_{name}_{stem}.jpg", quality=90)
        panels.append(panel)
    title = f"{len(panels)} of {len(persons)} validation persons, best to worst"
    draw_contact_sheet(panels, SHEET_COLUMNS, title).save(folder / "contact_sheet.jpg", quality=88)


def _draw_person(
    picture: np.ndarray,
    transform: np.ndarray,
    person: Person,
    keypoints: np.ndarray,
    schema: KeypointSchema,
    name: str,
) -> Image.Image:
    image, to_picture = _cut_to_person(picture, transform, person)
    truth, prediction = (
        transforms.apply_transform(to_picture, points) for points in (person.joints, keypoints)
    )
    score = compute_pckh(*score_persons([person], keypoints[None]), schema.scored_indices)
    caption = name if score is None else f"{name}, PCKh {score:.0f} %"
    labels = truth, person.keypoints_visible
    return draw_comparison(image, labels, prediction, schema, caption, height=PANEL_HEIGHT)


def _cut_to_person(
    picture: np.ndarray, transform: np.ndarray, person: Person
) -> tuple[Image.Image, np.ndarray]:
    """The part of the stored picture in the person's crop, and the transform into it."""
    # The stored picture is larger than the crop: it has room for augmentation, or is whole.
    to_picture = transforms.invert_transform(np.asarray(transform, np.float64))
    center, side = transforms.person_region(person.center, person.scale)  # original px
    # Stored px from here on.
    middle, half = transforms.apply_transform(to_picture, center), side * to_picture[0, 0] / 2
    limits = np.array(picture.shape[1::-1])  # width, height
    # One pixel at least, even where the crop lies outside of the picture.
    left, top = np.clip(np.floor(middle - half), 0, limits - 1).astype(int)
    right, bottom = np.clip(np.ceil(middle + half), (left + 1, top + 1), limits).astype(int)
    to_picture[:, 2] -= left, top  # the corner is the new origin
    return Image.fromarray(picture[top:bottom, left:right]), to_picture
