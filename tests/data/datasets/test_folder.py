import json
import os
import zipfile

import numpy as np
import pytest

from helpers.annotations import make_annotation, make_coco, make_record
from helpers.archives import names_in
from helpers.paths import ROOT
from hourglass.config import load_params
from hourglass.data.archives import open_images
from hourglass.data.conversion import Conversion
from hourglass.data.datasets.base import find_dataset
from hourglass.data.datasets.folder import pack_folder, read_own_annotations
from hourglass.data.validation import check_records
from hourglass.keypoints import COCO, MPII
from hourglass.utils.errors import UserError


@pytest.fixture
def own(tmp_path):
    source = tmp_path / "own"
    (source / "images" / "deep").mkdir(parents=True)
    (source / "images" / "a.jpg").write_bytes(b"a")
    (source / "images" / "deep" / "b.jpg").write_bytes(b"bb")
    (source / "images" / "unused.jpg").write_bytes(b"unused")
    (source / "train.json").write_text('[{"image": "a.jpg"}, {"image": ["?"]}, {}]')
    (source / "validation.json").write_text('[{"image": "deep/b.jpg"}, {"image": "gone.jpg"}]')
    return source


def packed_names(folder):
    with zipfile.ZipFile(folder / "images.zip") as archive:
        return archive.namelist()


def test_packs_what_the_json_names(own, tmp_path):
    folder = tmp_path / "raw"
    pack_folder(own, folder, MPII)
    assert names_in(folder) == ["images.zip", "train.json", "validation.json"]
    assert packed_names(folder) == ["images/a.jpg", "images/deep/b.jpg"]
    for name in ("train.json", "validation.json"):
        assert (folder / name).read_bytes() == (own / name).read_bytes()
    with open_images(folder / "images.zip") as images:
        assert images.names() == {"a.jpg", "deep/b.jpg"} and images.read("deep/b.jpg") == b"bb"


def test_packed_bytes_depend_on_content_alone(own, tmp_path):
    pack_folder(own, tmp_path / "one", MPII)
    twin = tmp_path / "twin"
    for name in ("images/deep/b.jpg", "images/a.jpg", "validation.json", "train.json"):
        (twin / name).parent.mkdir(parents=True, exist_ok=True)
        (twin / name).write_bytes((own / name).read_bytes())
        (twin / name).chmod(0o600)
        os.utime(twin / name, (10**9, 10**9))
    pack_folder(twin, tmp_path / "two", MPII)
    one, two = ((tmp_path / name / "images.zip").read_bytes() for name in ("one", "two"))
    assert one == two
    (twin / "images" / "a.jpg").write_bytes(b"A")
    pack_folder(twin, tmp_path / "two", MPII)
    assert (tmp_path / "two" / "images.zip").read_bytes() != one


def test_of_a_coco_file_the_pictures_of_persons_alone_are_packed(own, tmp_path):
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        (own / "images" / name).write_bytes(b"c")
    annotations = [make_annotation(1), make_annotation(2, iscrowd=1)]
    (own / "train.json").write_text(json.dumps(make_coco(annotations, 3)))
    pack_folder(own, tmp_path / "raw", MPII)
    assert packed_names(tmp_path / "raw") == ["images/1.jpg", "images/deep/b.jpg"]
    assert (tmp_path / "raw/train.json").read_bytes() == (own / "train.json").read_bytes()


def test_odd_records_are_left_to_the_parser(own, tmp_path):
    (own / "train.json").write_text(f'[{{"image": "a.jpg", "scale": {"9" * 5000}}}, null, 7]')
    pack_folder(own, tmp_path / "raw", MPII)
    assert "images/a.jpg" in packed_names(tmp_path / "raw")


def write_train(folder, content):
    (folder / "train.json").write_text(json.dumps(content))
    return folder / "train.json"


def test_records_in_mpiis_form_come_as_they_stand(tmp_path):
    records = [make_record(), None, {"image": 7}, make_record(image="b.jpg")]
    split = read_own_annotations(write_train(tmp_path, records), MPII, "")
    assert (split.records, split.schema) == (records, MPII)


def test_a_file_without_persons_is_refused(tmp_path):
    path = write_train(tmp_path, make_coco([make_annotation(1, iscrowd=1)], 1))
    with pytest.raises(UserError, match=r"train\.json: holds no record of a person; correct it"):
        read_own_annotations(path, MPII, "correct it")


def test_records_in_mpiis_form_may_have_the_keypoints_of_the_run(tmp_path):
    theirs = [None, make_record(joints=[[1.0, 2.0]] * 17, joints_vis=[1] * 17)]
    for records, schema in ((theirs, COCO), ([make_record()], MPII), ([None], MPII)):
        path = write_train(tmp_path, records)
        assert read_own_annotations(path, COCO, "").schema == schema


def test_a_list_of_joints_tells_which_they_are_in_a_file_of_mpiis_form(tmp_path):
    places = [[11.0, 21.0], [12.0, 22.0], [13.0, 23.0], [14.0, 24.0]]
    record = make_record(joints=places, joints_vis=[1, 1, 0, 1])
    names = ["Neck", "tail", "L Knee", "Head-Top"]
    path = write_train(tmp_path, {"joints": names, "records": [record]})
    split = read_own_annotations(path, MPII, "")
    (person,), _ = check_records(split.records, None, conversion=Conversion(split.schema, MPII))
    assert {MPII.keypoints[k] for k in np.flatnonzero(person.keypoints_visible)} == {
        "upper_neck",
        "head_top",
    }
    assert person.joints[MPII.index("head_top")].tolist() == [13, 23]
    assert person.head_source == "scale", "two pixels are no head"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"joints": "neck", "records": []}, "joints is not a list of names"),
        ({"joints": ["tail"], "records": []}, "none of its keypoints is known: it has 'tail'"),
        ({"joints": ["neck"], "records": {}}, "records is not a list"),
    ],
)
def test_a_broken_list_of_joints_is_one_line(tmp_path, content, fault):
    path = write_train(tmp_path, content)
    with pytest.raises(UserError, match=rf"train\.json: {fault}.*; correct it"):
        read_own_annotations(path, MPII, "correct it")


def test_where_no_record_names_a_picture_its_own_fault_is_told(own, tmp_path):
    faulty = make_coco([make_annotation(1, keypoints=[1, 2, 2])], 0)
    for name in ("train", "validation"):
        (own / f"{name}.json").write_text(json.dumps(faulty))
    with pytest.raises(UserError, match=r"train\.json: image_id 1 is not among the images"):
        pack_folder(own, tmp_path / "raw", MPII)


def test_a_folder_that_is_not_named_is_one_line(tmp_path):
    data = load_params(ROOT / "params.yaml").data  # names a file, for none
    with pytest.raises(UserError, match=r"^params.yaml: data.folder: stages/download.py is no fol"):
        find_dataset("folder").fetch(data, tmp_path / "raw")
    assert not (tmp_path / "raw").exists()
