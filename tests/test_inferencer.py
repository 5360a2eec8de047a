"""What a program of one's own imports: arrays in, poses and arrays out."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

import hourglass
from helpers.paths import ROOT
from helpers.processes import loaded_after
from hourglass import inferencer
from hourglass.data.synthetic.pictures import draw_picture
from hourglass.keypoints import MPII

PICTURE = np.random.default_rng(1).integers(0, 256, (80, 60, 3), np.uint8)
BOX = (10, 20, 30, 40)


class SpotFinder:
    """A people finder: the two halves of a picture with a spot, as sure as the spot is bright."""

    size, batch_size = 160, 4

    def __call__(self, inputs):
        boxes, scores = np.zeros((len(inputs), 50, 4), np.float32), np.zeros((len(inputs), 50))
        for number, pixels in enumerate(inputs.mean(axis=3)):
            found = sorted(self.find_spots(pixels), reverse=True)
            for k, (score, *box) in enumerate(found):
                boxes[number, k], scores[number, k] = box, score
        return boxes, scores

    def find_spots(self, light):
        for half in (slice(0, 80), slice(80, 160)):
            y, x = np.nonzero(light[:, half] >= 0.7 * max(light[:, half].max(), 1))
            if len(x):
                size = np.ptp(x) + 1, np.ptp(y) + 1
                yield light[:, half].max() / 255, x.min() + half.start, y.min(), *size


class SpotBackend:
    """A backend: the joints are the corners of the brightest spot of each input."""

    size, batch_size, schema = 64, 16, MPII

    def __init__(self):
        self.finder = SpotFinder()

    def __call__(self, inputs):
        """Keypoints [N, 16, 2], px of the inputs; scores [N, 16], low of a spot that is cut off."""
        found = [self.find_spot(pixels.mean(axis=2)) for pixels in inputs]
        keypoints, scores = (np.array(values) for values in zip(*found, strict=True))
        return np.tile(keypoints, (1, 4, 1)), np.tile(scores[:, None], (1, 16))

    def find_spot(self, light):
        y, x = np.nonzero(light >= 0.7 * max(light.max(), 1))
        if not len(x):
            return np.full((4, 2), self.size / 2), 0.0
        is_cut = min(*x, *y) == 0 or max(*x, *y) == self.size - 1
        corners = [(a, b) for a in (x.min(), x.max()) for b in (y.min(), y.max())]
        return corners, light.max() / 255 * (0.3 if is_cut else 1)


@pytest.fixture(scope="module")
def loaded(model_file):
    return hourglass.load(model_file)


@pytest.fixture
def backend():
    return inferencer.Network(SpotBackend())


def show_spots(*places):
    """A dark picture with spots 17 px wide, each darker than the one before."""
    picture = np.zeros((120, 160, 3), np.uint8)
    for k, (x, y) in enumerate(places):
        picture[y - 8 : y + 9, x - 8 : x + 9] = 255 - 100 * k
    return picture


def middle_of(pose):
    return pose.keypoints.mean(axis=0)


def test_importing_it_loads_nothing_heavy():
    assert not loaded_after("import hourglass", "tensorflow", "keras", "PIL", "numpy")
    assert loaded_after("from hourglass import load", "tensorflow", "PIL") == ["PIL"]


def test_it_has_no_other_names():
    with pytest.raises(AttributeError, match="module 'hourglass' has no attribute 'predict'"):
        hourglass.predict  # noqa: B018


def test_a_person_is_found_where_the_picture_shows_one(backend):
    (pose,) = backend.predict(show_spots((110, 40)))
    np.testing.assert_allclose(middle_of(pose), (110, 40), atol=1)
    np.testing.assert_allclose(np.ptp(pose.keypoints, axis=0), 16, atol=2)
    assert (pose.keypoints.shape, pose.scores.shape) == ((16, 2), (16,))
    assert pose.scores.tolist() == [1] * 16 and 0 < pose.score <= 1


def test_a_box_tells_where_to_look(backend):
    picture = show_spots((110, 40), (30, 80))
    (pose,) = backend.predict(picture, bboxes=[(15, 65, 30, 30)])
    np.testing.assert_allclose(middle_of(pose), (30, 80), atol=1)


def test_people_come_in_the_order_of_their_boxes_out_of_one_batch(backend, monkeypatch):
    picture, usual, batches = show_spots((110, 40), (30, 80)), SpotBackend.__call__, []

    def count(self, inputs):
        batches.append(len(inputs))
        return usual(self, inputs)

    monkeypatch.setattr(SpotBackend, "__call__", count)
    boxes = [(15, 65, 30, 30), (95, 25, 30, 30), (10, 60, 40, 40)]
    for given in (boxes, np.array(boxes)):
        poses = backend.predict(picture, bboxes=given)
        places = [(30, 80), (110, 40), (30, 80)]
        np.testing.assert_allclose([*map(middle_of, poses)], places, atol=1)
    assert batches == [3, 3] * 2  # a round in the boxes, one around what was found
    assert backend.predict(picture, bboxes=[]) == []


def test_a_box_gives_the_same_pose_whatever_the_others_are(backend):
    # Of crops of such different sizes each has a resolution of its own.
    picture = np.random.default_rng(1).integers(0, 256, (500, 700, 3), np.uint8)
    boxes = [(10, 20, 30, 40), (50, 20, 600, 400), (300, 200, 200, 150)]
    for box, pose in zip(boxes, backend.predict(picture, bboxes=boxes), strict=True):
        (alone,) = backend.predict(picture, bboxes=[box])
        np.testing.assert_array_equal(pose.keypoints, alone.keypoints)


def test_no_person_is_an_empty_list(backend):
    picture = np.zeros((90, 90, 3), np.uint8)
    assert backend.predict(picture) == backend.predict(picture, threshold=0) == []
    assert len(backend.predict(picture, bboxes=[BOX])) == 1


def test_as_many_as_are_asked_for_are_found_the_surest_first(backend):
    picture = show_spots((30, 30), (130, 90))
    poses = backend.predict(picture, people=2)
    np.testing.assert_allclose([*map(middle_of, poses)], [(30, 30), (130, 90)], atol=1)
    (first, second), between = poses, (poses[0].score + poses[1].score) / 2
    assert first.score > second.score
    assert len(backend.predict(picture)) == 2
    for few in (
        backend.predict(picture, people=1, threshold=0),
        backend.predict(picture, people=2, threshold=between),
    ):
        np.testing.assert_allclose([*map(middle_of, few)], [(30, 30)], atol=1)


def test_the_network_is_what_the_command_takes(loaded, model_file):
    (pose,) = loaded.predict(PICTURE, bboxes=[BOX])
    assert pose.keypoints.shape == (16, 2) and np.isfinite(pose.keypoints).all()
    (other,) = hourglass.load(model_file, flip_test=False).predict(PICTURE, bboxes=[BOX])
    assert (other.scores != pose.scores).any()


def test_neither_picture_nor_poses_are_changed(loaded):
    picture = PICTURE.copy()
    (pose,) = loaded.predict(picture, bboxes=[BOX])
    poses = [dataclasses.replace(pose, scores=np.ones(16))]  # drawn are those that are sure
    keypoints = poses[0].keypoints.copy()
    drawn = loaded.draw(picture, poses)
    assert (drawn.shape, drawn.dtype) == (picture.shape, np.uint8)
    assert (picture == PICTURE).all() and (poses[0].keypoints == keypoints).all()
    assert (drawn != picture).any() and drawn.flags.writeable
    assert (loaded.draw(picture, []) == picture).all()


def test_a_view_of_an_array_is_a_picture_too(loaded):
    mirrored = PICTURE[:, ::-1]
    (pose,), (same,) = (loaded.predict(p, bboxes=[BOX]) for p in (mirrored, mirrored.copy()))
    np.testing.assert_array_equal(pose.keypoints, same.keypoints)


def test_the_lines_of_the_readme_work(tmp_path, monkeypatch, model_file, capsys):
    section = (ROOT / "README.md").read_text().partition("### In Python")[2].partition("\n##")[0]
    lines = [line[4:] for line in section.splitlines() if line.startswith("    ")]
    assert len(lines) >= 5
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(inferencer, "shipped_network", lambda: model_file)
    monkeypatch.setattr(inferencer, "THRESHOLD", -9.0)  # whoever is seen
    drawn = draw_picture(1, 0)[0].crop((0, 0, 200, 160))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # held upright: to be turned by 90 degrees
    drawn.save("photo.jpg", exif=exif)
    exec("\n".join(lines), {})
    printed = capsys.readouterr().out.splitlines()
    assert 1 <= len(printed) <= 5
    assert all(re.fullmatch(r"left wrist at -?\d+, -?\d+", line) for line in printed)
    with Image.open("drawn.png") as picture:
        assert picture.size == drawn.size[::-1]
    assert Path("drawn.png").read_bytes() != Path("photo.jpg").read_bytes()
