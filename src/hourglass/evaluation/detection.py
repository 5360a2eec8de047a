"""How well people are found: average precision and recall of squares (x, y, side)."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from hourglass.data.scenes import Scene, whole_view

MIN_IOU = 0.5
SURE = 0.3  # the score from which recall and false squares are counted
Finder = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def match_squares(
    found: np.ndarray, scores: np.ndarray, truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which of the squares found on a picture are people's: each person is found once.

    Args:
        found: [F, 3]. scores: [F]. truth: [M, 3]. Middle and side, px of one picture.

    Returns:
        order: int [F], the surest first; is_right: bool [F], of `found` in that order.
    """
    order = np.argsort(-scores, kind="stable")
    is_right, is_free = np.zeros(len(found), bool), np.ones(len(truth), bool)
    for rank, k in enumerate(order):
        overlaps = np.where(is_free, square_iou(found[k], truth), 0)
        if len(truth) and overlaps.max() >= MIN_IOU:
            is_right[rank], is_free[overlaps.argmax()] = True, False
    return order, is_right


def boxes_to_squares(boxes: np.ndarray) -> np.ndarray:
    """Middles and longer sides [F, 3] of boxes (x, y, width, height) [F, 4]."""
    middles = boxes[:, :2] + (boxes[:, 2:] - 1) / 2
    return np.concatenate([middles, boxes[:, 2:].max(axis=1, keepdims=True)], axis=1)


def square_iou(square: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union [M] of a square [3] with others [M, 3]."""
    half, halves = square[2] / 2, others[:, 2:] / 2
    low = np.maximum(square[:2] - half, others[:, :2] - halves)
    high = np.minimum(square[:2] + half, others[:, :2] + halves)
    shared = np.maximum(high - low, 0).prod(axis=1)
    return shared / (square[2] ** 2 + others[:, 2] ** 2 - shared)


def average_precision(scores: np.ndarray, is_right: np.ndarray, number: int) -> float:
    """The area below the precision over the recall, 0 to 1.

    Precision is taken as the best of this recall or more, at each person that is found.
    Source: Everingham et al., The PASCAL Visual Object Classes Challenge, IJCV 2010, as of 2010.

    Args:
        scores: of all squares found on all pictures. is_right: which are people's.
        number: of people.
    """
    right = is_right[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best[right].sum() / number) if number else 0.0


def score_finder(finder: Finder, scenes: Mapping[str, Sequence[Scene]]) -> dict[str, dict]:
    """Average precision, recall and false squares a picture, of each set.

    People of whom nobody says whether they are there make false squares: only sets whose pictures
    have all their people labelled tell of these.

    Args:
        finder: has `size`, and is `inference.backends.PeopleFinder`'s call.
    """
    return {name: _score_set(finder, list_) for name, list_ in scenes.items()}


def _score_set(finder: Finder, scenes: Sequence[Scene]) -> dict[str, float]:
    scores, are_right, number = [], [], 0
    for scene in scenes:
        view = whole_view(scene, finder.size)  # type: ignore[attr-defined]
        (boxes,), (sure,) = finder(view.pixels[None])
        found, sure = boxes_to_squares(boxes[sure > 0]), sure[sure > 0]
        order, is_right = match_squares(found, sure, view.squares)
        scores.append(sure[order])
        are_right.append(is_right)
        number += len(view.squares)
    sure, right = np.concatenate(scores), np.concatenate(are_right)
    return {
        "people": number,
        "average_precision": round(average_precision(sure, right, number), 4),
        "recall": round(float(right[sure >= SURE].sum() / max(number, 1)), 4),
        "false_a_picture": round(float((~right)[sure >= SURE].sum() / len(scenes)), 4),
    }
