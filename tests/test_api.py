"""What a program of one's own imports: arrays in, poses and arrays out."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hourglass
from helpers.fake_networks import make_predictor as fake_predictor
from helpers.paths import ROOT
from helpers.processes import loaded_after
from hourglass import api
from hourglass.synthetic.pictures import draw_picture

PICTURE = np.random.default_rng(1).integers(0, 256, (80, 60, 3), np.uint8)
BOX = (10, 20, 30, 40)


@pytest.fixture(scope="module")
def network(model_file):
    return hourglass.load(model_file)


@pytest.fixture(scope="module")
def finder():
    """A network whose joints all are where the picture is brightest."""
    return api.Network(fake_predictor())


def show_spots(*places, size=(160, 120)):
    """A dark picture with spots 9 px wide, of less and less light."""
    picture = np.zeros((*size[::-1], 3), np.uint8)
    for k, (x, y) in enumerate(places):
        picture[y - 4 : y + 5, x - 4 : x + 5] = 255 - 40 * k
    return picture


def test_importing_it_loads_nothing_heavy():
    assert not loaded_after("import hourglass", "tensorflow", "keras", "PIL", "numpy")
    assert loaded_after("from hourglass import JOINTS, draw, load", "tensorflow", "PIL") == ["PIL"]


def test_it_has_no_other_names():
    with pytest.raises(AttributeError, match="module 'hourglass' has no attribute 'predict'"):
        hourglass.predict  # noqa: B018


def test_a_person_is_found_where_the_picture_shows_one(finder):
    (pose,) = finder.predict(show_spots((110, 40)), threshold=0)
    np.testing.assert_allclose(pose.keypoints, np.tile([110, 40], (16, 1)), atol=2)
    assert pose.scores.shape == (16,) and pose.score == pytest.approx(pose.scores.mean())


def test_a_box_tells_where_to_look(finder):
    picture = show_spots((110, 40), (30, 80))
    (pose,) = finder.predict(picture, box=(15, 65, 30, 30))
    np.testing.assert_allclose(pose.keypoints, np.tile([30, 80], (16, 1)), atol=1)


def test_nobody_is_an_empty_list(finder):
    assert finder.predict(np.zeros((90, 90, 3), np.uint8)) == []


def test_as_many_as_are_asked_for_are_found_the_surest_first(finder):
    picture = show_spots((30, 30), (130, 90))
    poses = finder.predict(picture, people=2, threshold=0)
    assert [tuple(np.round(pose.keypoints[0], -1)) for pose in poses] == [(30, 30), (130, 90)]
    assert poses[0].score > poses[1].score
    (least,) = finder.predict(picture, people=2, threshold=poses[1].score + 1e-6)
    assert least.score == poses[0].score


def test_the_network_is_what_the_command_takes(network, model_file):
    (pose,) = network.predict(PICTURE, box=BOX)
    assert pose.keypoints.shape == (16, 2) and np.isfinite(pose.keypoints).all()
    (other,) = hourglass.load(model_file, flip_test=False).predict(PICTURE, box=BOX)
    assert (other.scores != pose.scores).any()


def test_neither_picture_nor_poses_are_changed(network):
    picture = PICTURE.copy()
    poses = network.predict(picture, box=BOX)
    keypoints = poses[0].keypoints.copy()
    drawn = hourglass.draw(picture, poses)
    assert (drawn.shape, drawn.dtype) == (picture.shape, np.uint8)
    assert (picture == PICTURE).all() and (poses[0].keypoints == keypoints).all()
    assert (drawn != picture).any() and drawn.flags.writeable
    assert (hourglass.draw(picture, []) == picture).all()


def test_a_view_of_an_array_is_a_picture_too(network):
    mirrored = PICTURE[:, ::-1]
    (pose,), (same,) = (network.predict(p, box=BOX) for p in (mirrored, mirrored.copy()))
    np.testing.assert_array_equal(pose.keypoints, same.keypoints)


def test_the_lines_of_the_readme_work(tmp_path, monkeypatch, model_file, capsys):
    section = (ROOT / "README.md").read_text().partition("### In Python")[2].partition("\n## ")[0]
    lines = [line[4:] for line in section.splitlines() if line.startswith("    ")]
    assert len(lines) >= 5
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "shipped_network", lambda: model_file)
    monkeypatch.setattr(api.Network.predict, "__defaults__", (None, 1, -9.0))  # whoever is seen
    drawn, _ = draw_picture(1, 0)
    drawn.save("photo.jpg")
    exec("\n".join(lines), {})
    printed = capsys.readouterr().out.splitlines()
    assert 1 <= len(printed) <= 5
    assert all(re.fullmatch(r"left wrist at -?\d+, -?\d+", line) for line in printed)
    with Image.open("drawn.png") as picture:
        assert picture.size == drawn.size
    assert Path("drawn.png").read_bytes() != Path("photo.jpg").read_bytes()
