import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from hourglass.config import SyntheticParams
from hourglass.data.synthetic.cartoons import sample_figure
from hourglass.data.synthetic.pictures import (
    FIGURE,
    FRONT,
    annotate_figure,
    draw_picture,
    encode_pictures,
    place_main_figure,
    place_other_figures,
    write_dataset,
)
from hourglass.keypoints import MPII

SEED = 7
NUM_PICTURES = 50


@pytest.fixture(scope="module")
def pictures():
    return [draw_picture(SEED, index) for index in range(NUM_PICTURES)]


def centred_figure(height=200.0):
    """A figure in the middle of a square of twice its height."""
    return sample_figure(np.random.default_rng(SEED), height).move((height, height))


def test_labels_are_the_drawn_points_counted_from_one():
    figure = centred_figure()
    person = annotate_figure(figure, (400, 400), "a.jpg")
    assert np.array(person["joints"])[:16] == pytest.approx(figure.keypoints + 1, abs=0.006)
    face = [figure.face[name][:2] for name in FIGURE.keypoints[16:]]
    assert figure.faces_viewer
    assert np.array(person["joints"])[16:] == pytest.approx(np.array(face) + 1, abs=0.006)


def test_the_front_of_a_face_that_is_turned_away_is_missing():
    checked = {True: 0, False: 0}
    for index in range(40):
        figure = sample_figure(np.random.default_rng((1, index)), 200.0).move((200, 200))
        person = annotate_figure(figure, (400, 400), "a.jpg")
        flags = dict(zip(FIGURE.keypoints, person["joints_vis"], strict=True))
        assert {flags[name] for name in FRONT} == {int(figure.faces_viewer)}
        assert flags["left_ear"] and flags["right_ear"]
        checked[figure.faces_viewer] += 1
    assert min(checked.values()) >= 5


def test_joint_out_of_the_picture_is_missing():
    figure = centred_figure()
    head = MPII.index("head_top")
    person = annotate_figure(figure.move(-figure.keypoints[head] - (0, 1)), (400, 400), "a.jpg")
    assert person["joints"][head] == [-1.0, -1.0]
    assert person["joints_vis"][head] == 0
    assert 0 < sum(person["joints_vis"]) < FIGURE.num_keypoints


def test_persons_have_the_form_of_mpii(pictures):
    for picture, persons in pictures:
        assert picture.mode == "RGB"
        assert all(240 <= side <= 480 for side in picture.size)
        for person in json.loads(json.dumps(persons, allow_nan=False)):
            assert set(person) == {"image", "joints", "joints_vis", "center", "scale"}
            assert len(person["joints"]) == len(person["joints_vis"]) == FIGURE.num_keypoints
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


def test_pictures_vary(pictures):
    mains = [persons[0] for _, persons in pictures]
    assert sum(0 in person["joints_vis"][:16] for person in mains) in range(2, 20)
    assert sum(len(persons) > 1 for _, persons in pictures) in range(8, 30)
    assert min(p["scale"] for p in mains) < 0.8
    assert max(p["scale"] for p in mains) > 1.6


def test_other_figures_stay_off_the_main_one():
    for index in range(60):
        rng = np.random.default_rng((SEED, index))
        main, _ = place_main_figure(rng)
        for other in place_other_figures(rng, main):
            distance = other.points["pelvis"][:2] - main.points["pelvis"][:2]
            assert np.hypot(*distance) > 0.45 * main.height


def test_same_seed_same_picture():
    (first, persons), (second, same_persons) = (draw_picture(3, 4) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert persons == same_persons
    assert first.tobytes() != draw_picture(4, 4)[0].tobytes()


def test_dataset_has_the_same_bytes_every_time(tmp_path):
    params = SyntheticParams(num_train=5, num_val=3, seed=1)
    for name in ("a", "b"):
        write_dataset(tmp_path / name, params)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["images.zip", "train.json", "validation.json"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_dataset_is_one_record_a_picture(tmp_path):
    write_dataset(tmp_path, SyntheticParams(num_train=5, num_val=3, seed=1))
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
    monkeypatch.setattr("hourglass.data.synthetic.pictures.POOLED_PICTURES", 0)
    jobs = [(f"{index}.jpg", index) for index in range(6)]
    alone, pooled = (list(encode_pictures(SEED, jobs, n)) for n in (1, 2))
    assert alone == pooled
    assert [record["image"] for _, record in pooled] == [name for name, _ in jobs]


def test_larger_set_begins_with_the_smaller_one(tmp_path):
    for count in (2, 4):
        params = SyntheticParams(num_train=count, num_val=1, seed=1)
        write_dataset(tmp_path / str(count), params)
    small, large = (json.loads((tmp_path / n / "train.json").read_text()) for n in "24")
    assert small == large[:2]


def test_failure_leaves_no_file(tmp_path, monkeypatch):
    def fail(seed, index):
        raise RuntimeError("no picture")

    monkeypatch.setattr("hourglass.data.synthetic.pictures.draw_picture", fail)
    with pytest.raises(RuntimeError):
        write_dataset(tmp_path, SyntheticParams(num_train=1, num_val=1, seed=1))
    assert list(tmp_path.iterdir()) == []
