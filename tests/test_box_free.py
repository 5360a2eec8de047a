"""The pictures without people, threshold and counted crops of `experiments/box_free.py`."""

import runpy
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from helpers.paths import ROOT
from hourglass.data.person import Person
from hourglass.inference import person_search
from hourglass.utils import transforms

sys.path.append(str(ROOT / "experiments"))  # where they find one another


def run(name):
    return SimpleNamespace(**runpy.run_path(str(ROOT / "experiments" / f"{name}.py")))


box_free, search_pictures = run("box_free"), run("search_pictures")


def make_person(left, top, right, bottom, center=(0.0, 0.0), scale=1.0):
    """A person whose labelled joints fill this box; the others are nowhere."""
    joints = np.full((16, 2), -1.0)
    joints[:4] = (left, top), (right, bottom), (left, bottom), (right, top)
    keypoints_visible = np.arange(16) < 4
    return Person("a.jpg", joints, keypoints_visible, np.array(center), scale, 20.0, "scale")


def test_the_threshold_lies_between_what_can_be_told_apart():
    with_people = np.array([0.6, 0.7, 0.8])
    without = [np.array([0.1, 0.2]), np.array([0.3, 0.4])]
    assert box_free.choose_threshold(with_people, without) == pytest.approx(0.5, abs=0.01)


def test_each_kind_of_picture_counts_the_same():
    # A threshold above 0.5 gives up half of the people, one below lets in all of one kind, of
    # which there are few.
    with_people = np.array([0.3] * 50 + [0.9] * 50)
    without = [np.array([0.1] * 1000), np.array([0.5])]
    low = box_free.choose_threshold(with_people, without)
    assert 0.1 < low <= 0.3 or 0.5 < low <= 0.9  # half a mistake each
    without[0] = np.array([0.5] * 1000)
    assert 0.5 < box_free.choose_threshold(with_people, without) <= 0.9


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ((20, 30, 80, 100), (400, 200)),
        ((300, 30, 390, 160), (400, 200)),
        ((10, 5, 90, 60), (100, 300)),
    ],
)
def test_a_part_of_a_photograph_shows_nothing_of_the_person(box, size):
    picture = Image.new("RGB", size)
    ImageDraw.Draw(picture).rectangle(box, fill="white")
    part = search_pictures.cut_empty_part(picture, make_person(*box))
    assert min(part.size) >= search_pictures.MIN_PART
    assert not np.asarray(part).any()


def test_a_picture_full_of_a_person_has_no_part_without():
    assert (
        search_pictures.cut_empty_part(Image.new("RGB", (100, 200)), make_person(10, 10, 90, 190))
        is None
    )


def test_photographs_side_by_side_take_their_people_along():
    images = [Image.new("RGB", size, colour) for size, colour in
              (((100, 80), "red"), ((60, 120), "green"), ((50, 50), "blue"))]  # fmt: skip
    persons = [make_person(10, 20, 40, 60) for _ in images]
    (picture,), (first, second) = search_pictures.join_pairs(
        images, persons
    )  # the third is left over
    assert picture.size == (160, 120)
    assert picture.getpixel((99, 79)) == (255, 0, 0) and picture.getpixel((100, 0)) == (0, 128, 0)
    np.testing.assert_array_equal(search_pictures.labels_bbox(first), [[10, 20], [40, 60]])
    np.testing.assert_array_equal(search_pictures.labels_bbox(second), [[110, 20], [140, 60]])


def test_scenery_is_drawn_again_the_same():
    first, again, other = (np.asarray(search_pictures.draw_scenery_alone(k)) for k in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or (first != other).any()


def test_the_rough_crop_is_that_of_the_shards():
    person = make_person(0, 0, 9, 9, center=(100.3, 80.8), scale=0.77)
    x, y, side = box_free.rough_crop(person)
    center, crop_side = transforms.person_region(person.center, person.scale)
    assert side == round(crop_side)
    np.testing.assert_allclose(np.add((x, y), (side - 1) / 2), center, atol=0.51)


def test_the_labels_crop_holds_the_labels_with_margin():
    x, y, side = box_free.labels_crop(make_person(50, 40, 99, 139))
    assert (x, y, side) == pytest.approx((74.5 - 68, 89.5 - 68, 136.125), abs=1)


class CountingBackend:
    """All keypoints in the middle of each input, their score its brightness; counts the calls."""

    size = 32

    def __init__(self):
        self.numbers = []

    def __call__(self, inputs):
        self.numbers.append(len(inputs))
        scores = inputs.mean(axis=(1, 2, 3))[:, None] / 255
        return np.full((len(inputs), 16, 2), 15.5), np.repeat(scores, 16, axis=1)


def test_the_first_round_and_later_ones_have_backends_of_their_own():
    first, later = CountingBackend(), CountingBackend()
    searcher = box_free.Searcher([first, later])
    searcher.search(Image.new("RGB", (64, 64), "white"), person_search.find_people((64, 64)))
    (scanned,) = first.numbers
    assert scanned == len(person_search.tile_picture((64, 64)))
    assert searcher.num_crops == scanned + sum(later.numbers) and later.numbers


def test_a_known_crop_is_not_run_again():
    backend, image = CountingBackend(), Image.new("RGB", (64, 64), "white")
    known = {}
    alone = box_free.Searcher([backend]).search(image, person_search.estimate_pose((3, 4, 20)))
    for _ in range(2):
        searcher = box_free.Searcher([backend], known)
        poses = searcher.search(image, person_search.estimate_pose((3, 4, 20)))
        np.testing.assert_array_equal(poses[0].keypoints, alone[0].keypoints)
        assert searcher.num_crops == 2
    # Twice without `known`, once with it: the refinement's input is as white as the first.
    assert backend.numbers == [1, 1, 1]
