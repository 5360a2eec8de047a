import json
import zipfile
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import map_coordinates

from hourglass import synthetic
from hourglass.params import SyntheticParams
from hourglass.skeleton import JOINTS, NUM_JOINTS

SEED = 7
NUM_PICTURES = 50


@pytest.fixture(scope="module")
def pictures():
    return [synthetic.draw_picture(SEED, index) for index in range(NUM_PICTURES)]


def sample_figures(count, height=200.0):
    """`count` figures in the middle of a square of twice their height."""
    rngs = [np.random.default_rng((SEED, index)) for index in range(count)]
    return [synthetic._sample_figure(rng, height).move((height, height)) for rng in rngs]


def draw_coverage(size, draw):
    """How much of each pixel, 0..1, `draw(canvas)` covers in black or nearly so."""
    canvas = synthetic.Canvas(Image.new("RGB", size, "white"))
    draw(canvas)
    return 1 - np.asarray(canvas.finish().convert("L"), float) / 255


def draw_black(figure, draw):
    """Coverage of 400 x 400 pixels by what `draw(canvas, figure)` draws, all of it in black."""
    look = replace(figure.look, skin=(0, 0, 0), hair=(0, 0, 0), top=(0, 0, 0), bottom=(0, 0, 0))
    black = replace(figure, look=look)
    return draw_coverage((400, 400), lambda canvas: draw(canvas, black))


def profile_offset(coverage, start, end):
    """Signed distance of the drawn limb's axis from the midpoint of start-end, px."""
    along = (end - start) / np.linalg.norm(end - start)
    offsets = np.arange(-16, 16.01, 0.25)
    x, y = (start + end)[:, None] / 2 + np.outer((-along[1], along[0]), offsets)
    values = map_coordinates(coverage, (y, x), order=1)
    return (offsets * values).sum() / values.sum()


@pytest.mark.parametrize("center", [(20.0, 20.0), (20.5, 21.25), (18.1, 22.9)])
def test_disc_lies_where_it_is_asked_for(center):
    coverage = draw_coverage((40, 44), lambda canvas: canvas.fill_hull([(*center, 6.0)], (0, 0, 0)))
    rows, columns = np.indices(coverage.shape)
    centroid = [(coverage * axis).sum() / coverage.sum() for axis in (columns, rows)]
    assert centroid == pytest.approx(center, abs=0.1)
    assert coverage.sum() == pytest.approx(np.pi * 6**2, rel=0.1)


@pytest.mark.parametrize("kind", ["arm", "leg"])
def test_lower_limbs_lie_on_the_line_between_their_joints(kind):
    checked = 0
    for figure in sample_figures(40):
        names = ("shoulder", "elbow", "wrist") if kind == "arm" else ("hip", "knee", "ankle")
        root, middle, end = (figure.points[f"r_{name}"][:2] for name in names)
        upper, lower = middle - root, end - middle
        if lower @ upper < 6 * np.hypot(*lower) or np.hypot(*lower) < 25:
            continue  # folded over itself, or pointing at the viewer: no free axis to see
        coverage = draw_black(figure, partial(synthetic._draw_limb, side="r", kind=kind))
        assert abs(profile_offset(coverage, middle, end)) < 0.5
        checked += 1
    assert checked >= 10


def test_head_top_is_the_top_of_the_drawn_head():
    upright = [f for f in sample_figures(60) if f.head_axes[1, 1] > 0.995]
    assert len(upright) >= 5
    for figure in upright:
        x, y, _ = figure.points["head_top"]
        coverage = draw_black(figure, synthetic._draw_head)
        above = coverage[: int(y) + 10, round(x)]
        edge = len(above) - above.sum() - 0.5
        assert edge == pytest.approx(y - figure.outline, abs=0.5)


def test_labels_are_the_drawn_points_counted_from_one():
    figure = sample_figures(1)[0]
    person = synthetic._annotate(figure, (400, 400), "a.jpg")
    assert np.array(person["joints"]) == pytest.approx(figure.keypoints + 1, abs=0.006)


def test_joint_out_of_the_picture_is_missing():
    figure = sample_figures(1)[0]
    head = JOINTS.index("head_top")
    person = synthetic._annotate(figure.move(-figure.keypoints[head] - (0, 1)), (400, 400), "a.jpg")
    assert person["joints"][head] == [-1.0, -1.0]
    assert person["joints_vis"][head] == 0
    assert 0 < sum(person["joints_vis"]) < NUM_JOINTS


def test_persons_have_the_form_of_mpii(pictures):
    for picture, persons in pictures:
        assert picture.mode == "RGB"
        assert all(240 <= side <= 480 for side in picture.size)
        for person in json.loads(json.dumps(persons, allow_nan=False)):
            assert set(person) == {"image", "joints", "joints_vis", "center", "scale"}
            assert len(person["joints"]) == len(person["joints_vis"]) == NUM_JOINTS
            assert 0.3 < person["scale"] < 2.0
            assert all(
                1 <= c <= side for c, side in zip(person["center"], picture.size, strict=True)
            )
            for joint, visible in zip(person["joints"], person["joints_vis"], strict=True):
                inside = all(1 <= c <= side for c, side in zip(joint, picture.size, strict=True))
                assert visible in (0, 1)
                assert inside if visible else joint == [-1.0, -1.0]


def test_standard_crop_holds_the_main_figure(pictures):
    inside = []
    for _, (person, *_) in pictures:
        visible = np.array(person["joints_vis"], bool)
        middle = np.add(person["center"], (0, 15 * person["scale"]))
        away = np.abs(np.array(person["joints"]) - middle).max(axis=1)
        inside.extend(away[visible] < 125 * person["scale"])
    assert np.mean(inside) > 0.99


def test_scale_is_a_two_hundredth_of_the_standing_height():
    rng = np.random.default_rng(SEED)
    stacked = ("foot", "shank", "thigh", "spine", "neck", "head")
    for _ in range(50):
        lengths = synthetic._sample_lengths(rng)
        assert sum(lengths[name] for name in stacked) == pytest.approx(1)
        # MPII: head size = 0.6 * diagonal of the head box = 25 * scale; a head is 3/4 as wide.
        head_size = 0.6 * np.hypot(lengths["head"], 0.74 * lengths["head"])
        assert head_size == pytest.approx(25 / 200, rel=0.12)


def test_sides_match_the_face():
    checked = {True: 0, False: 0}
    for figure in sample_figures(300):
        if abs(figure.head_axes[2, 2]) < 0.8:
            continue
        point = dict(zip(JOINTS, figure.keypoints, strict=True))
        (up_x, up_y), (x, y) = (
            point["upper_neck"] - point["pelvis"],
            point["l_shoulder"] - point["r_shoulder"],
        )
        left_is_at_the_viewers_right = up_x * y - up_y * x > 0
        assert left_is_at_the_viewers_right == figure.faces_viewer
        checked[figure.faces_viewer] += 1
    assert min(checked.values()) > 30


def test_only_a_face_toward_the_viewer_has_eyes():
    for figure in sample_figures(60):
        if abs(figure.head_axes[2, 2]) < 0.5:
            continue
        canvas = synthetic.Canvas(Image.new("RGB", (400, 400), "white"))
        synthetic._draw_head(canvas, figure)
        eyes = (np.asarray(canvas.finish()) == synthetic.EYE).all(axis=2).sum()
        assert (eyes > 2) == figure.faces_viewer


def test_knees_bend_backward_and_elbows_forward():
    axes = np.eye(3)
    elbow, wrist, _ = synthetic._bend_limb(np.zeros(3), axes, 1, (0, 0, 0, 60), (1, 1))
    knee, ankle, _ = synthetic._bend_limb(np.zeros(3), axes, 1, (0, 0, 0, -60), (1, 1))
    assert elbow == pytest.approx((0, 1, 0))
    assert knee == pytest.approx((0, 1, 0))
    assert wrist[2] > 0.8  # toward the front
    assert ankle[2] < -0.8
    right_elbow, *_ = synthetic._bend_limb(np.zeros(3), axes, -1, (0, 90, 0, 0), (1, 1))
    assert right_elbow == pytest.approx((-1, 0, 0), abs=1e-9)


def test_pictures_vary(pictures):
    mains = [persons[0] for _, persons in pictures]
    assert sum(0 in person["joints_vis"] for person in mains) in range(2, 20)
    assert sum(len(persons) > 1 for _, persons in pictures) in range(8, 30)
    assert min(p["scale"] for p in mains) < 0.8
    assert max(p["scale"] for p in mains) > 1.6
    figures = sample_figures(NUM_PICTURES)
    assert sum(not figure.faces_viewer for figure in figures) in range(5, 25)
    assert len({figure.pose for figure in figures}) >= 6
    tall = [f.points["head_top"][1] < f.points["pelvis"][1] - 60 for f in figures]
    assert sum(tall) in range(30, 50)


def test_other_figures_stay_off_the_main_one():
    for index in range(60):
        rng = np.random.default_rng((SEED, index))
        main, _ = synthetic._place_main_figure(rng)
        for other in synthetic._place_other_figures(rng, main):
            distance = other.points["pelvis"][:2] - main.points["pelvis"][:2]
            assert np.hypot(*distance) > 0.45 * main.height


def test_same_seed_same_picture():
    (first, persons), (second, same_persons) = (synthetic.draw_picture(3, 4) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert persons == same_persons
    assert first.tobytes() != synthetic.draw_picture(4, 4)[0].tobytes()


def test_dataset_has_the_same_bytes_every_time(tmp_path):
    params = SyntheticParams(num_train=5, num_val=3, seed=1)
    for name in ("a", "b"):
        synthetic.write_dataset(tmp_path / name, params)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["images.zip", "train.json", "validation.json"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_dataset_is_one_record_a_picture(tmp_path):
    synthetic.write_dataset(tmp_path, SyntheticParams(num_train=5, num_val=3, seed=1))
    train, validation = (
        json.loads((tmp_path / f"{split}.json").read_text()) for split in ("train", "validation")
    )
    assert (len(train), len(validation)) == (5, 3)
    with zipfile.ZipFile(tmp_path / "images.zip") as archive:
        members = archive.infolist()
        with archive.open("images/train_00000.jpg") as file:
            assert Image.open(file).format == "JPEG"
    assert [m.filename for m in members] == [f"images/{r['image']}" for r in train + validation]
    assert {m.compress_type for m in members} == {zipfile.ZIP_STORED}
    assert len({m.CRC for m in members}) == 8  # no picture in both splits


def test_bytes_do_not_depend_on_the_number_of_processes(monkeypatch):
    monkeypatch.setattr(synthetic, "POOLED_PICTURES", 0)
    jobs = [(f"{index}.jpg", index) for index in range(6)]
    alone, pooled = (list(synthetic._encode_pictures(SEED, jobs, n)) for n in (1, 2))
    assert alone == pooled
    assert [record["image"] for _, record in pooled] == [name for name, _ in jobs]


def test_larger_set_begins_with_the_smaller_one(tmp_path):
    for count in (2, 4):
        params = SyntheticParams(num_train=count, num_val=1, seed=1)
        synthetic.write_dataset(tmp_path / str(count), params)
    small, large = (json.loads((tmp_path / n / "train.json").read_text()) for n in "24")
    assert small == large[:2]


def test_failure_leaves_no_file(tmp_path, monkeypatch):
    def fail(seed, index):
        raise RuntimeError("no picture")

    monkeypatch.setattr(synthetic, "draw_picture", fail)
    with pytest.raises(RuntimeError):
        synthetic.write_dataset(tmp_path, SyntheticParams(num_train=1, num_val=1, seed=1))
    assert list(tmp_path.iterdir()) == []
