"""What `make field` holds against each other: the same persons, crops and joints."""

import dataclasses
import importlib
import io
import math
import shutil
import sys
import tarfile

import numpy as np
import pytest
from PIL import Image

from helpers.paths import ROOT
from hourglass.data.person import Person, save_persons, save_schema
from hourglass.keypoints import MPII
from hourglass.utils.errors import UserError

# https://ai.google.dev/edge/mediapipe/solutions/vision/pose_landmarker, numbered from 0.
LANDMARK_NAMES = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye",
    "right_eye_outer", "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_pinky",
    "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb", "left_hip",
    "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel",
    "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip
PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
TFLITE = "pose_landmark_{}.tflite"


@pytest.fixture
def blazepose(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("blazepose")


@pytest.fixture
def field(blazepose):
    return importlib.import_module("field")


def make_person(joints=None, labelled=MPII.keypoints, image="a.png", **changes):
    placed = np.full((16, 2), 50.0)
    for name, place in (joints or {}).items():
        placed[MPII.index(name)] = place
    keypoints_visible = np.isin(MPII.keypoints, labelled)
    values = {"center": np.array([50.0, 50.0]), "scale": 0.5, "head_size": 10.0} | changes
    return Person(image, placed, keypoints_visible, head_source="segment", **values)


# BlazePose


@pytest.mark.parametrize(
    ("start", "peak", "confidence", "end"),
    [
        ((83, 120), (20, 30), 0.9, (80, 120)),  # the mean of its heatmap's pixels near it
        ((83, 120), (20, 30), 0.4, (83, 120)),  # not sure enough
        ((60, 120), (20, 30), 0.9, (60, 120)),  # too far off
        ((2, 120), (0, 30), 0.9, (0, 120)),  # at the border
        ((-3, 120), (0, 30), 0.9, (-3, 120)),  # outside
    ],
)
def test_a_landmark_moves_to_a_sure_peak_near_it(blazepose, start, peak, confidence, end):
    heatmaps = np.full((64, 64, 2), -40.0)
    heatmaps[peak[1], peak[0], 1] = math.log(confidence / (1 - confidence))
    landmarks = np.array([[9.0, 9.0], start])
    refined = blazepose.refine_landmarks(landmarks, heatmaps, 256)
    np.testing.assert_allclose(refined, [[9.0, 9.0], end], atol=1e-9)


class FakeInterpreter:
    """Landmark k at (k, 2k) px; heatmaps that are nowhere sure."""

    def get_input_details(self):
        return [{"shape": (1, 256, 256, 3), "index": 0}]

    def get_output_details(self):
        return [{"shape": (1, 64, 64, 39), "index": 5}, {"shape": (1, 195), "index": 6}]

    def set_tensor(self, index, values):
        assert index == 0 and values.dtype == np.float32
        self.seen = values

    def invoke(self):
        pass

    def get_tensor(self, index):
        values = np.zeros((39, 5), np.float32)
        values[:, 0], values[:, 1] = np.arange(39), 2 * np.arange(39)
        return {5: np.full((1, 64, 64, 39), -9, np.float32), 6: values.reshape(1, 195)}[index]


def test_its_landmarks_are_our_joints_of_the_same_name(blazepose, monkeypatch):
    interpreter = FakeInterpreter()
    monkeypatch.setattr(blazepose, "open_interpreter", lambda path: interpreter)
    network = blazepose.BlazePose("a.tflite")
    (_, keypoints), (_, scores) = network(np.full((2, 256, 256, 3), 51, np.uint8))
    assert (network.size, keypoints.shape, len(LANDMARK_NAMES)) == (256, (16, 2), 33)
    for side in ("left", "right"):
        for part in PARTS:
            landmark = LANDMARK_NAMES.index(f"{side}_{part}")
            assert keypoints[MPII.index(f"{side[0]}_{part}")].tolist() == [landmark, 2 * landmark]
    assert np.isnan(keypoints).all(axis=1).tolist() == (scores == 0).tolist()
    assert scores.sum() == 12
    np.testing.assert_allclose(interpreter.seen, 0.2)


def test_without_its_interpreter_what_to_install_is_said(blazepose, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(UserError, match="which is not here: `pip install ai-edge-litert`"):
        blazepose.open_interpreter("a.tflite")


def test_npm_fetches_it_once(blazepose, fake_npm, tmp_path):
    with tarfile.open(tmp_path / "pose.tgz", "w:gz") as package:
        for size in blazepose.SIZES:
            info = tarfile.TarInfo(f"package/{TFLITE.format(size)}")
            info.size = len(size)
            package.addfile(info, io.BytesIO(size.encode()))
    cp, calls = shutil.which("cp", path="/bin:/usr/bin"), tmp_path / "calls"
    fake_npm(f'echo "$@" >> {calls}\n{cp} {tmp_path}/pose.tgz . && echo pose.tgz')
    for _ in range(2):
        paths = blazepose.find_networks()
    assert {size: path.read_text() for size, path in paths.items()} == {s: s for s in paths}
    assert tuple(paths) == ("lite", "full", "heavy")
    assert calls.read_text() == f"pack --silent {blazepose.PACKAGE}\n"


def test_without_npm_what_to_do_is_said(blazepose, fake_npm):
    with pytest.raises(UserError, match=r"no npm here to fetch .*: install npm, or name a folder"):
        blazepose.find_networks()


def test_what_npm_says_is_one_line(blazepose, fake_npm, tmp_path):
    fake_npm("echo 'no such host\nat all' >&2; exit 1")
    with pytest.raises(UserError, match=r"^npm could not fetch .*: no such host at all; repeat"):
        blazepose.find_networks()
    assert not (tmp_path / "cache").exists()


def test_a_folder_without_a_network_is_named_and_left_alone(blazepose, fake_npm, tmp_path):
    (tmp_path / TFLITE.format("lite")).touch()
    with pytest.raises(UserError, match=r"pose_landmark_full\.tflite: missing"):
        blazepose.find_networks(tmp_path)


# The field


@pytest.mark.parametrize(
    ("tilt", "is_upright"),
    [(0, True), (29.9, True), (-29.9, True), (30.1, False), (90, False), (180, False)],
)
def test_upright_is_a_torso_near_the_vertical(field, tilt, is_upright):
    angle = math.radians(tilt)
    neck = (50 + 40 * math.sin(angle), 50 - 40 * math.cos(angle))
    joints = {"r_hip": (40, 48), "l_hip": (60, 52), "upper_neck": neck}
    assert field.stands_upright(make_person(joints)) == is_upright
    for missing in joints:
        labelled = [name for name in MPII.keypoints if name != missing]
        assert not field.stands_upright(make_person(joints, labelled))


def test_the_square_of_the_labels_is_around_them_with_margin(field):
    corners = {"r_ankle": (20, 100), "head_top": (60, 20)}
    person = make_person(corners, labelled=list(corners))
    x, y, side = field.labels_crop(person)
    assert side == round(1.25 * 1.1 * 80)
    assert abs(x + (side - 1) / 2 - 40) <= 0.5 and abs(y + (side - 1) / 2 - 60) <= 0.5


def test_the_recipes_crop_is_that_of_its_shards(field):
    person = make_person(center=np.array([50.0, 60.0]), scale=0.4)  # 80 px, 1.25 of them
    x, y, side = field.recipe_crop(person)
    assert (side, x + 49.5, y + 49.5) == (100, pytest.approx(50, abs=0.5), 60 + 15 * 0.4 + 0.5)


def find_brightest(inputs):
    """All joints where an input is brightest. The last joint is not known."""
    flat = inputs.sum(axis=3).reshape(len(inputs), -1).argmax(axis=1)
    y, x = np.divmod(flat, inputs.shape[2])
    keypoints = np.repeat(np.stack([x, y], axis=1)[:, None], 16, axis=1).astype(float)
    keypoints[:, -1] = np.nan
    return keypoints, np.isfinite(keypoints[..., 0]).astype(float)


@pytest.mark.parametrize("num_refinements", [0, 1])
def test_keypoints_come_back_to_the_picture(field, num_refinements):
    files, places = {}, {"a.png": (30, 70), "b.png": (61, 5), "c.png": (0, 99)}
    for name, (x, y) in places.items():
        pixels = np.zeros((100, 100, 3), np.uint8)
        pixels[y, x] = 255
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        files[name] = buffer.getvalue()
    crops = [(10, 20, 64), (-20, -20, 128), (-3, 40, 96)]
    for size in (64, 256):
        seen = []

        def find_keypoints(inputs, seen=seen):
            seen += [*inputs]
            return find_brightest(inputs)

        find_keypoints.size, find_keypoints.batch_size = size, 2
        entrant = field.Entrant("a", 0, find_keypoints, num_refinements)
        found = field.find_keypoints(entrant, files.get, list(places), crops, 2)
        assert found.shape == (3, 16, 2) and len(seen) == 3 * (1 + num_refinements)
        np.testing.assert_allclose(found[:, 0], list(places.values()), atol=1.01)


def test_a_row_counts_each_group_and_pools_the_limbs(field):
    errors, keypoints_visible = np.full((2, 16), 0.05), np.ones((2, 16), bool)
    errors[0, MPII.index("l_wrist")] = 0.3
    errors[:, MPII.index("r_knee")] = np.inf
    keypoints_visible[:, [MPII.index("r_hip"), MPII.index("l_hip")]] = False
    errors[:, MPII.index("head_top")] = 9  # not one of the limbs'
    entrant = field.Entrant("a", 2_300_000, None)
    row = field.make_row(entrant, errors, keypoints_visible, {("a", 1): 123.4, ("a", 16): 9.876})
    ok = "100.0 / 100.0"
    # 20 labelled limbs, 2 of them nowhere near, and one within 0.5 alone.
    assert row == ["a", ok, ok, "100.0 / 75.0", "- / -", "50.0 / 50.0", ok, "90.0 / 85.0",
                   "123", "9.88", "2.3"]  # fmt: skip
    table = field.format_table([row]).splitlines()
    assert [line.count("|") for line in table] == [len(row) + 1] * 3


class FakeNetwork:
    size, batch_size = 48, 1

    def __init__(self, *_):
        pass

    def __call__(self, inputs):
        return find_brightest(inputs)


def write_project(folder, raw_folder, persons):
    shutil.copy(ROOT / "demo/params.yaml", folder)
    save_persons(folder / "data/annotations/validation.json", persons)
    save_schema(folder / "data/annotations", MPII)
    (folder / "data/raw").mkdir(parents=True)
    (folder / "data/raw/synthetic").symlink_to(raw_folder)


@pytest.mark.slow
def test_all_of_it_on_drawn_figures(
    field, tmp_path, raw_folder, persons, model_file, monkeypatch, capsys
):
    write_project(tmp_path, raw_folder, persons["validation"])
    paths = {size: model_file for size in ("lite", "full", "heavy")}
    monkeypatch.setattr(field, "find_networks", lambda folder: paths)
    monkeypatch.setattr(field, "BlazePose", FakeNetwork)
    monkeypatch.setattr(field, "MoveNet", FakeNetwork)
    monkeypatch.setattr(field, "find_movenet", lambda folder: model_file)
    monkeypatch.setattr(field, "write_onnx", shutil.copy)
    monkeypatch.setattr(field, "use_one_core", lambda: None)  # TensorFlow is at work already
    arguments = [tmp_path, "--model", model_file, "--rounds", "1", "--limit", "3"]
    monkeypatch.setattr(sys, "argv", ["field.py", *map(str, arguments)])
    field.main()
    out = capsys.readouterr().out
    tables = out.split("; PCKh@0.5 / @0.1")
    assert len(tables) == 5 and out.count("| BlazePose heavy |") == 4
    assert (
        out.count("| BlazePose heavy, 1 refinement |")
        == out.count("flip test, 1 refinement |")
        == 4
    )
    assert out.count("| ours, flip test |") == out.count("upright ones") * 2 == 4
    assert out.count("| MoveNet Lightning, flip test |") == 4
    assert "The recipe's crops, 3 persons;" in out
    assert "Crops around the labels' bbox, 3 persons;" in out


@pytest.mark.parametrize(
    ("source", "dataset", "is_measured"),
    [
        ("segment", "lspet", True), ("given", "folder", True), ("scale", "lspet", False),
        ("scale", "folder", False), ("scale", "mpii", True), ("scale", "synthetic", True),
    ],
)  # fmt: skip
def test_a_scale_measures_a_head_where_it_is_made_of_one(field, source, dataset, is_measured):
    person = dataclasses.replace(make_person(), head_source=source)
    assert field.has_measured_head(person, dataset) == is_measured


def test_without_measured_heads_there_is_nothing_to_compare(field, tmp_path, raw_folder, persons):
    changed = [dataclasses.replace(p, head_source="scale") for p in persons["validation"]]
    write_project(tmp_path, raw_folder, changed)
    text = (tmp_path / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("dataset: synthetic", "dataset: lspet"))
    with pytest.raises(UserError, match="no validation person has a head size or both labels"):
        field.open_field(tmp_path)
