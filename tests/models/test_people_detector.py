import numpy as np
import pytest

from hourglass.data.scenes import View
from hourglass.models.people_detector import (
    MAX_PEOPLE,
    REFERENCE,
    STRIDE,
    build_people_detector,
    cells_to_px,
    decode_people,
    px_to_cells,
)
from hourglass.training.people import encode_view


def find(squares, size=128):
    """What is decoded of outputs that say where some squares are."""
    view = View(np.zeros((size, size, 3), np.uint8), np.array(squares), np.zeros((0, 5)))
    targets = encode_view(view, size)
    logits = np.log(np.maximum(targets[..., :1], 1e-6) / (1.001 - targets[..., :1]))
    outputs = np.concatenate([logits, targets[..., 2:5]], axis=-1)[None]
    boxes, scores = (np.asarray(values)[0] for values in decode_people(outputs))
    return boxes, scores


@pytest.mark.parametrize("size", [64, 96])
def test_a_picture_gives_four_numbers_a_cell(size):
    network = build_people_detector(size, 8)
    outputs = network(np.zeros((2, size, size, 3), np.float32))
    assert outputs.shape == (2, size // STRIDE, size // STRIDE, 4)
    boxes, scores = decode_people(outputs)
    number = min(MAX_PEOPLE, (size // STRIDE) ** 2)
    assert boxes.shape == (2, number, 4) and scores.shape == (2, number)


def test_who_is_encoded_is_decoded():
    squares = [[30.2, 40.7, 50.0], [100.1, 90.9, 20.5], [63, 20, 140]]
    boxes, scores = find(squares)
    assert (scores > 0.9).sum() == 3
    found = boxes[scores > 0.9]
    middles = found[:, :2] + (found[:, 2:] - 1) / 2
    decoded = np.concatenate([middles, found[:, 2:3]], axis=1)
    order = np.argsort(decoded[:, 0])
    assert decoded[order] == pytest.approx(np.array(sorted(squares)), abs=0.01)


def test_the_surest_come_first_and_nobody_is_zero():
    _, scores = find([[30, 40, 50]])
    assert (np.diff(scores) <= 0).all() and scores[-1] < 1e-5


def test_cells_and_px_are_one_frame():
    assert cells_to_px(0) == (STRIDE - 1) / 2  # the middle of the first cell's px
    assert px_to_cells(cells_to_px(3.25)) == 3.25


def test_a_side_is_told_by_its_logarithm():
    outputs = np.zeros((1, 8, 8, 4), np.float32)
    outputs[..., 0] = -9
    outputs[0, 2, 5] = (5, 0, 0, np.log(2))
    boxes, _ = decode_people(outputs)
    assert np.asarray(boxes)[0, 0, 2:] == pytest.approx([2 * REFERENCE] * 2)
