import numpy as np
import pytest

from helpers.scenes import make_scene
from hourglass.evaluation.detection import (
    average_precision,
    boxes_to_squares,
    match_squares,
    score_finder,
    square_iou,
)


def test_overlaps_by_hand():
    others = np.array([[0, 0, 2], [1, 0, 2], [5, 5, 2], [0, 0, 4]])
    assert square_iou(np.array([0, 0, 2]), others) == pytest.approx([1, 1 / 3, 0, 1 / 4])


def test_a_person_is_found_once_by_the_surest():
    truth = np.array([[10, 10, 8], [50, 50, 8]])
    found = np.array([[11, 10, 8], [10, 10, 8], [80, 80, 8]])
    order, is_right = match_squares(found, np.array([0.9, 0.8, 0.95]), truth)
    assert order.tolist() == [2, 0, 1] and is_right.tolist() == [False, True, False]


def test_nobody_is_found_where_nobody_is():
    order, is_right = match_squares(np.ones((1, 3)), np.ones(1), np.zeros((0, 3)))
    assert order.tolist() == [0] and is_right.tolist() == [False]


@pytest.mark.parametrize(
    ("right", "number", "expected"),
    [
        ([True, True], 2, 1.0),
        ([True, True], 4, 0.5),
        ([False, True], 1, 0.5),
        ([True, False, True], 2, (1 + 2 / 3) / 2),
        ([False, True, True], 2, 2 / 3),  # the precision of 2 / 3 is reached by more recall
        ([], 3, 0.0),
        ([], 0, 0.0),
    ],
)
def test_average_precision_by_hand(right, number, expected):
    scores = -np.arange(len(right), dtype=float)
    assert average_precision(scores, np.array(right, bool), number) == pytest.approx(expected)


def test_a_box_is_as_large_as_its_longer_side():
    squares = boxes_to_squares(np.array([[10, 20, 5, 9]]))
    assert squares.tolist() == [[12, 24, 9]]  # px 10 to 14, px 20 to 28


class Finder:
    """Finds the brightest square of a picture, and one that is not there."""

    size = 64

    def __call__(self, inputs):
        rows, columns = np.nonzero(inputs[0].max(axis=-1) > 128)
        box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        boxes = np.array([[box, [0, 0, 5, 5], [0, 0, 0, 0]]], np.float32)
        return boxes, np.array([[0.9, 0.2, 0]], np.float32)


def test_scores_of_each_set():
    scenes = {"all": [make_scene()] * 3, "half": [make_scene(squares=((150, 40, 50), (30, 80, 0)))]}
    scenes["half"][0] = scenes["half"][0]._replace(squares=np.array([[150, 40, 50], [60, 80, 60]]))
    scores = score_finder(Finder(), scenes)
    assert scores["all"] == {
        "people": 3, "average_precision": 1.0, "recall": 1.0, "false_a_picture": 0.0,
    }  # fmt: skip
    assert (scores["half"]["average_precision"], scores["half"]["recall"]) == (0.5, 0.5)


def test_a_set_without_a_person_to_find_has_scores():
    tiny = make_scene()._replace(squares=np.array([[150.0, 40.0, 1.0]]))
    assert score_finder(Finder(), {"tiny": [tiny]})["tiny"] == {
        "people": 0, "average_precision": 0.0, "recall": 0.0, "false_a_picture": 1.0,
    }  # fmt: skip
