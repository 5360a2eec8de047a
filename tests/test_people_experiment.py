"""Hits, false persons and looks of `experiments/people.py`."""

import importlib
import json

import numpy as np
import pytest
from PIL import Image

from helpers.clips import BarBackend, bar_joints, bars
from helpers.paths import ROOT
from helpers.people import pose_of, standing
from hourglass.data.person import Person
from hourglass.keypoints import MPII


@pytest.fixture
def people(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    return importlib.import_module("people")


def make_person(offset=(0, 0), labelled=None):
    visible = np.ones(16, bool) if labelled is None else labelled
    joints = np.where(visible[:, None], standing(offset=offset), -1)
    return Person("a.jpg", joints, visible, np.array((100, 150.0)), 1.0, 40.0, "labels")


def test_the_similarity_is_one_of_the_truth_and_falls(people):
    person = make_person()
    found = [people.compute_oks(standing(offset=(far, 0)), person) for far in (0, 5, 20, 200)]
    assert found[0] == 1 and found == sorted(found, reverse=True) and found[3] < 1e-3
    by_hand = np.exp(-25 / (2 * 0.5 * 125 * 191 * np.square(people.FALLOFF)))
    assert found[1] == pytest.approx(by_hand.mean())


def test_labels_that_are_not_there_do_not_count(people):
    labelled = np.arange(16) < 4
    keypoints = standing() + np.where(labelled, 0, 500)[:, None]
    assert people.compute_oks(keypoints, make_person(labelled=labelled)) == 1


@pytest.mark.parametrize(("num_right", "hit"), [(7, False), (8, True)])
def test_half_of_the_joints_within_half_a_head_are_a_hit(people, num_right, hit):
    keypoints = np.add(standing(), (0, 20))  # half of the head size of 40
    keypoints[num_right:] += 300
    assert people.is_hit(keypoints, make_person()) == hit


def test_each_person_is_found_once_and_others_are_false(people):
    persons = [make_person(), make_person((300, 0))]
    near, far, other = (pose_of(standing(offset=(x, 0))) for x in (2, 301, 900))
    assert people.count_hits([near, far], persons) == (2, 0)
    assert people.count_hits([near, near, other], persons) == (1, 2)
    assert people.count_hits([], persons) == (0, 0)


def test_a_folder_becomes_a_row_for_each_threshold(people, tmp_path, capsys):
    size, places = (320, 200), [(80, 100), (220, 100)]
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a", "b"):
        Image.fromarray(bars(size, *places)).save(images / f"{name}.png")
    for split, name in (("train", "a"), ("validation", "b")):
        records = [
            {
                "image": f"{name}.png", "joints": bar_joints(x - 12, 70, x + 11, 129).tolist(),
                "joints_vis": [1] * 16, "center": [x, 100], "scale": 0.3,
            }
            for x, _ in places
        ]  # fmt: skip
        (tmp_path / f"{split}.json").write_text(json.dumps(records))
    pictures = people.read_pictures(tmp_path, MPII)
    assert list(pictures) == ["b.png"] and len(pictures["b.png"][1]) == 2
    people.print_rows("made", pictures, BarBackend())
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == len(people.THRESHOLDS)
    assert rows[0][1:6] == ["2", "0.20", "100.0", "0.00", "4.0"]  # two looks a person
