import functools
import json

import numpy as np
import pytest
from PIL import Image

from helpers.fake_backends import EverywhereBackend
from hourglass.inference import person_search
from hourglass.inference.outputs import COORDINATES, write_poses
from hourglass.inference.runner import InferenceConfig, map_photos
from hourglass.keypoints import MPII

CONFIGS = {
    "search": InferenceConfig(threshold=0.0),
    "bbox": InferenceConfig("bbox", ((5, 10, 30, 25),), threshold=None),
    "bboxes": InferenceConfig("bbox", ((5, 10, 30, 25), (40, 20, 9, 9)), threshold=None),
    "none": InferenceConfig("bbox", threshold=None),
    "whole": InferenceConfig("whole", threshold=None),
}


def pose_at(left, top, score):
    """A line of joints, 15 px to the right and 40 down."""
    keypoints = np.linspace((left, top), (left + 15, top + 40), 16)
    return person_search.Pose(keypoints, np.full(16, score), (0, 0, 60), score)


@pytest.fixture
def predict_one(tmp_path, monkeypatch):
    """What is written of a grey picture of 80 x 60 px: the result, its record, its pixels.

    A search finds the poses given.
    """

    def predict(config, *poses):
        def find_people(size, number):
            assert (size, number) == ((80, 60), config.num_people)
            yield person_search.Look([person_search.whole_picture_crop(size)])
            return list(poses)

        monkeypatch.setattr(person_search, "find_people", find_people)
        path, target = tmp_path / "photo.png", tmp_path / "out"
        Image.new("RGB", (80, 60), (90, 90, 90)).save(path)
        write = functools.partial(write_poses, schema=MPII)
        (written,) = map_photos(write, EverywhereBackend(0.01), [(path, target)], config)
        with Image.open(written.files[0]) as drawn:
            return written, json.loads((tmp_path / "out.json").read_text()), np.asarray(drawn)

    return predict


def test_whom_the_threshold_leaves_is_written_and_drawn(predict_one):
    written, record, drawn = predict_one(InferenceConfig(threshold=0.55), pose_at(20, 10, 0.6))
    assert (written.scores, written.best) == ([0.6], 0.6)
    (person,) = record["people"]
    assert person["score"] == 0.6
    assert list(person["joints"]) == list(MPII.keypoints)
    assert set(person["joints"]["pelvis"]) == {"x", "y", "score", "visible"}
    assert (drawn != 90).any()


def test_below_the_threshold_there_is_no_person(predict_one):
    written, record, drawn = predict_one(InferenceConfig(threshold=0.65), pose_at(20, 10, 0.6))
    assert (written.scores, written.best) == ([], 0.6)
    assert record["people"] == []
    assert drawn.shape == (60, 80, 3) and (drawn == 90).all()


@pytest.mark.parametrize("mode", ["bbox", "whole"])
def test_who_is_told_to_be_there_needs_no_score(predict_one, mode):
    written, record, drawn = predict_one(CONFIGS[mode])
    assert written.scores == pytest.approx([0.01])
    (person,) = record["people"]
    assert not any(joint["visible"] for joint in person["joints"].values())
    assert (drawn == 90).all(), "what is not visible is not drawn"


@pytest.mark.parametrize(
    ("name", "mode", "bboxes"),
    [
        ("search", "search", [None]),
        ("whole", "whole", [None]),
        ("bbox", "bbox", [[5, 10, 30, 25]]),
        ("bboxes", "bbox", [[5, 10, 30, 25], [40, 20, 9, 9]]),
        ("none", "bbox", []),
    ],
)
def test_the_record_says_how_people_were_found_and_in_what_boxes(predict_one, name, mode, bboxes):
    _, record, _ = predict_one(CONFIGS[name], pose_at(20, 10, 0.6))
    assert list(record) == ["image", "coordinates", "width", "height", "mode", "people"]
    assert (record["width"], record["height"]) == (80, 60)
    assert record["image"].endswith("photo.png")
    assert record["coordinates"] == COORDINATES
    assert record["mode"] == mode
    assert [person.get("bbox") for person in record["people"]] == bboxes


def test_without_a_box_nothing_is_drawn(predict_one):
    written, _, drawn = predict_one(CONFIGS["none"])
    assert (written.scores, written.best) == ([], 0) and (drawn == 90).all()


def test_every_person_is_written_and_drawn_the_surest_first(predict_one):
    left, right, unsure = pose_at(5, 10, 0.9), pose_at(60, 10, 0.7), pose_at(35, 10, 0.4)
    config = InferenceConfig(num_people=3, threshold=0.5)
    written, record, drawn = predict_one(config, left, right, unsure)
    assert (written.scores, written.best) == ([0.9, 0.7], 0.9)
    assert [person["score"] for person in record["people"]] == [0.9, 0.7]
    joints = [[(joint["x"], joint["y"]) for joint in person["joints"].values()]
              for person in record["people"]]  # fmt: skip
    np.testing.assert_allclose(joints, [left.keypoints, right.keypoints], atol=0.005)
    columns = (drawn != 90).any(axis=(0, 2))
    assert columns[:25].any() and columns[55:].any() and not columns[30:50].any()
