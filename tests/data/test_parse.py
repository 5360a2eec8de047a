import json
import os
import zipfile

import numpy as np
import pytest

from helpers.annotations import (
    assert_same,
    make_annotation,
    make_coco,
    make_lspet,
    make_mat,
    make_point,
    make_record,
    make_rect,
    mat_of,
    zip_images,
)
from helpers.paths import DATA, ROOT, needs_data
from helpers.processes import loaded_after, run_python
from hourglass.data.datasets.base import find_dataset
from hourglass.data.parse import is_excluded, parse_dataset
from hourglass.data.person import load_persons, load_schema
from hourglass.keypoints import MPII
from hourglass.utils.errors import UserError

STAGE = ROOT / "stages" / "parse.py"

PARAMS = ROOT / "params.yaml"


def write_raw(folder, image_names, **files):
    """A raw folder: images.zip, and `train=[...]` as train.json."""
    folder.mkdir(parents=True)
    (folder / "images.zip").write_bytes(zip_images(image_names))
    for name, records in files.items():
        (folder / f"{name}.json").write_text(json.dumps(records))


def write_lspet(folder, numbers, num_records=60, root="lsp"):
    """An archive like LSPET's, of some of its pictures; its matrix has all records."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "lspet.zip", "w") as archive:
        archive.writestr(f"{root}/joints.mat", mat_of(joints=make_lspet(num_records)))
        for number in numbers:
            archive.writestr(f"{root}/images/im{number:05}.jpg", b"a picture")


def test_lspet_is_read_from_the_mat_in_its_archive(tmp_path):
    write_lspet(tmp_path, range(1, 21), 20, "lsp-8fab")
    splits, invalid, *_ = parse_dataset(tmp_path, "lspet", MPII)
    assert (len(splits["train"]), len(splits["validation"]), invalid) == (18, 2, [])
    assert splits["validation"][-1].image == "im00020.jpg"
    for person in (*splits["train"], *splits["validation"]):
        # Neither lies where the labels say, and the head is that of the labels.
        low, high = person.joints.min(axis=0), person.joints.max(axis=0)
        assert (np.abs(person.center - (low + high) / 2) > 1e-6).all()
        assert person.scale != pytest.approx(1.1 * (high - low).max() / 200)
        neck, top = person.joints[[8, 9]]
        assert person.head_size == pytest.approx(0.75 * np.hypot(*(neck - top)))


def test_the_heads_of_drawn_people_are_of_their_scale(persons):
    people = [*persons["train"], *persons["validation"]]
    assert [p.head_size for p in people] == [25 * p.scale for p in people]


def test_picture_in_both_splits_costs_the_train_record(tmp_path):
    train = [make_record(image="b.jpg"), make_record(image="a.jpg"), make_record(image="c.jpg")]
    validation = [make_record(image="a.jpg"), make_record(image="c.jpg", scale=0)]
    write_raw(tmp_path / "raw", ["a.jpg", "b.jpg", "c.jpg"], train=train, validation=validation)
    splits, invalid, *_ = parse_dataset(tmp_path / "raw", "folder", MPII)
    assert [person.image for person in splits["train"]] == ["b.jpg", "c.jpg"]
    assert [person.image for person in splits["validation"]] == ["a.jpg"]
    assert [(r.split, r.index, r.image) for r in invalid] == [
        ("train", 1, "a.jpg"),
        ("validation", 1, "c.jpg"),
    ]
    assert invalid[0].reason == "picture is also in validation"


EXCLUDED = [["b.jpg", "c.jpg"], ["e.jpg", "e.jpg"]]


def test_what_is_excluded_is_neither_kept_nor_invalid(tmp_path):
    names = [f"{letter}.jpg" for letter in "abcdef"]
    train = [make_record(image=name) for name in ("e.jpg", "a.jpg", "d.jpg", "b.jpg")]
    train += [None, {"image": ["b.jpg"]}, make_record(image="c.jpg", scale=0)]
    validation = [make_record(image="b.jpg"), make_record(image="f.jpg")]
    write_raw(tmp_path / "raw", names, train=train, validation=validation)
    splits, invalid, num_invalid, *_ = parse_dataset(tmp_path / "raw", "folder", MPII, EXCLUDED)
    assert [person.image for person in splits["train"]] == ["a.jpg", "d.jpg"]
    assert [person.image for person in splits["validation"]] == ["f.jpg"]
    # They still count where records are told by their number.
    assert [(record.index, record.reason) for record in invalid] == [
        (4, "not an object"),
        (5, "no 'joints'"),
    ]
    assert num_invalid == 3


@pytest.mark.parametrize(
    ("name", "is_out"),
    [("b.jpg", True), ("c.jpg", True), ("b.jpg.png", True), ("b", False), ("c.jpgx", False)],
)
def test_names_are_compared_as_texts_both_ends_included(name, is_out):
    assert is_excluded(name, EXCLUDED) == is_out


def test_lspet_is_split_the_same_whether_the_archive_has_them_or_not(tmp_path):
    numbers = {*range(1, 61)} - {*range(6, 20)} - {*range(50, 56)}
    excluded = [["im00006.jpg", "im00019.jpg"], ["im00050.jpg", "im00055.jpg"]]
    write_lspet(tmp_path / "all", range(1, 61))
    write_lspet(tmp_path / "less", numbers)
    whole, *rest = parse_dataset(tmp_path / "all", "lspet", MPII, excluded)
    assert rest[:2] == [[], 20]
    for other in (excluded, ()):
        less, *rest = parse_dataset(tmp_path / "less", "lspet", MPII, other)
        assert rest[:2] == [[], 0]
        for split, size in (("train", 36), ("validation", 4)):
            assert len(whole[split]) == len(less[split]) == size
            for person, same in zip(whole[split], less[split], strict=True):
                assert_same(person, same)


@pytest.mark.parametrize("ending", ["mat", "json"])
def test_mpii_leaves_out_by_name_too(tmp_path, monkeypatch, ending):
    write_mpii(tmp_path / "raw", monkeypatch)
    if ending == "json":
        for split, names in (("train", "ab"), ("validation", "b")):
            records = [make_record(image=f"{name}.jpg") for name in names]
            (tmp_path / "raw" / f"{split}.json").write_text(json.dumps(records))
    splits, _, number, *_ = parse_dataset(tmp_path / "raw", "mpii", MPII, [["c", "d"]])
    assert (len(splits["train"]), number) == (1, 0)
    with pytest.raises(UserError, match=r"parse.excluded: leaves no record in validation; shorten"):
        parse_dataset(tmp_path / "raw", "mpii", MPII, [[splits["validation"][0].image] * 2])


def write_mpii(folder, monkeypatch):
    """A raw folder of MPII without its JSON; the pictures lie in a zip for once."""
    monkeypatch.setattr(find_dataset("mpii"), "images", "images.zip")
    write_raw(folder, ["a.jpg", "b.jpg"])
    with zipfile.ZipFile(folder / "mpii_human_pose_v1_u12_2.zip", "w") as archive:
        rect = make_rect(make_point(3, 4, 5))
        mat = make_mat([("a.jpg", rect), ("b.jpg", rect)])
        archive.writestr("mpii_human_pose_v1_u12_2/mpii_human_pose_v1_u12_1.mat", mat)
    (folder / "valid_images.txt").write_text("a.jpg\na.jpg\n")


def test_mpii_without_json_is_read_from_the_mat(tmp_path, monkeypatch):
    write_mpii(tmp_path / "raw", monkeypatch)
    splits, invalid, *_ = parse_dataset(tmp_path / "raw", "mpii", MPII)
    assert not invalid
    assert [person.image for person in splits["train"]] == ["b.jpg"]
    assert [person.image for person in splits["validation"]] == ["a.jpg"]
    assert splits["train"][0].joints[3].tolist() == [3, 4]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_mpii_with_the_json_of_one_split_is_read_from_the_mat(tmp_path, monkeypatch, split):
    write_mpii(tmp_path / "raw", monkeypatch)
    (tmp_path / "raw" / f"{split}.json").write_text(json.dumps([make_record(image="a.jpg")]))
    assert parse_dataset(tmp_path / "raw", "mpii", MPII)[0]["train"][0].image == "b.jpg"


def test_mpii_json_goes_before_the_mat(tmp_path, monkeypatch):
    write_mpii(tmp_path / "raw", monkeypatch)
    for split, image in (("train", "a.jpg"), ("validation", "b.jpg")):
        (tmp_path / "raw" / f"{split}.json").write_text(json.dumps([make_record(image=image)]))
    assert parse_dataset(tmp_path / "raw", "mpii", MPII)[0]["train"][0].image == "a.jpg"


def test_mpii_with_neither_names_the_missing_file(tmp_path, monkeypatch):
    write_mpii(tmp_path / "raw", monkeypatch)
    (tmp_path / "raw" / "valid_images.txt").unlink()
    with pytest.raises(UserError, match=r"train\.json: not found"):
        parse_dataset(tmp_path / "raw", "mpii", MPII)


def test_one_split_may_be_in_cocos_form_and_leave_out_by_name(tmp_path):
    annotations = [make_annotation(1), make_annotation(2, iscrowd=1), make_annotation(3)]
    train, validation = make_coco(annotations, 3), [make_record(image="4.jpg")]
    names = [f"{number}.jpg" for number in (1, 2, 3, 4)]
    write_raw(tmp_path / "raw", names, train=train, validation=validation)
    splits, invalid, number, not_used, _ = parse_dataset(
        tmp_path / "raw", "folder", MPII, [["3.jpg", "3.jpg"]]
    )
    assert (invalid, number) == ([], 1)
    assert [person.image for person in splits["train"]] == ["1.jpg"]
    assert [person.image for person in splits["validation"]] == ["4.jpg"]
    assert not_used == {"train": {"a crowd": 1, "of an excluded picture": 1}, "validation": {}}
    (person,) = splits["train"]
    assert person.head_source == "scale" and person.keypoints_visible.sum() == 14


def run_stage(folder, excluded="[]"):
    text = PARAMS.read_text().replace("dataset: mpii", "dataset: folder")
    text = text.replace("excluded: []", f"excluded: {excluded}")
    (folder / "params.yaml").write_text(text)
    return run_python(STAGE, cwd=folder)


def test_stage_writes_both_splits_and_prints_a_line_each(tmp_path):
    train, validation = [make_record(image="a.jpg")], [make_record(image="b.jpg")]
    raw = tmp_path / "data" / "raw" / "folder"
    write_raw(raw, ["a.jpg", "b.jpg"], train=train, validation=validation)
    result = run_stage(tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == ["train", "validation"]
    written = tmp_path / "data" / "annotations"
    assert sorted(os.listdir(written)) == [
        "invalid.csv", "schema.json", "train.json", "validation.json"
    ]  # fmt: skip
    assert load_schema(written) == MPII
    assert load_persons(written / "validation.json")[0].center.tolist() == [79.5, 39]


def test_stage_tells_how_many_pictures_are_excluded(tmp_path):
    train = [make_record(image=name) for name in ("a.jpg", "b.jpg", "c.jpg")]
    raw = tmp_path / "data" / "raw" / "folder"
    names = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    write_raw(raw, names, train=train, validation=[make_record(image="d.jpg")])
    result = run_stage(tmp_path, "[[a, b.jpg]]")
    assert (result.returncode, result.stderr) == (0, "")
    first, second, _ = result.stdout.splitlines()
    assert first == "2 pictures excluded by name (parse.excluded)"
    assert second.startswith(
        "train: 3 records = 1 kept + 0 invalid + 2 not used (2 of an excluded picture);"
    )


def test_stage_stops_on_too_many_invalid_records_and_lists_them(tmp_path):
    raw = tmp_path / "data" / "raw" / "folder"
    write_raw(raw, ["b.jpg"], train=[make_record()] * 2, validation=[make_record(image="b.jpg")])
    result = run_stage(tmp_path)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "2 of 2 records are invalid" in result.stderr
    assert "picture is not among the images" in result.stderr
    assert "data/annotations/invalid.csv" in result.stderr
    assert os.listdir(tmp_path / "data" / "annotations") == ["invalid.csv"]
    rows = (tmp_path / "data" / "annotations" / "invalid.csv").read_text().splitlines()
    reason = "picture is not among the images"
    assert rows[1:] == [f"train,{index},a.jpg,{reason},{'1' * 16}" for index in (0, 1)]


def test_importing_brings_no_scipy_and_no_tensorflow():
    assert not loaded_after("import hourglass.data.parse", "scipy", "tensorflow")


def test_two_pictures_of_lspet_are_one_for_each_split(tmp_path):
    write_lspet(tmp_path, (1, 2), 2)
    splits, invalid, *_ = parse_dataset(tmp_path, "lspet", MPII)
    assert [splits[split][0].image for split in splits] == ["im00001.jpg", "im00002.jpg"]
    assert not invalid


@needs_data("lspet-first60.zip")
def test_real_lspet_archive_as_a_dataset(tmp_path):
    (tmp_path / "lspet.zip").symlink_to(DATA / "lspet-first60.zip")
    splits, invalid, *_ = parse_dataset(tmp_path, "lspet", MPII)
    assert (len(splits["train"]), len(splits["validation"]), invalid) == (54, 6, [])
    assert splits["validation"][-1].image == "im00060.jpg"
