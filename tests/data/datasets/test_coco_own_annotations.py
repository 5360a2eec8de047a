import json

import pytest

from helpers.annotations import make_annotation, make_coco, make_keypoints, make_record
from hourglass.data.datasets.coco import (
    PASSED_OVER,
    CocoPerson,
    name_annotated_pictures,
    read_own_annotations,
)
from hourglass.utils.errors import UserError


@pytest.fixture
def read(tmp_path):
    def read_content(content):
        path = tmp_path / "train.json"
        path.write_text(json.dumps(content))
        return read_own_annotations(path, "correct it")

    return read_content


def test_records_in_mpiis_form_come_as_they_stand(read):
    records = [make_record(), None, {"image": 7}, make_record(image="b.jpg")]
    assert read(records) == records
    assert name_annotated_pictures(read(records)) == {"a.jpg", "b.jpg"}


FACE = make_keypoints(6, [2] * 5 + [0] * 12)
NOBODY = {
    "a box alone": {"keypoints": None},
    "another category": {"category_id": 7},
    "a crowd": {"iscrowd": 1, "segmentation": {"counts": [0, 4], "size": [2, 2]}},
    "no keypoints": {"num_keypoints": 0, "keypoints": [0] * 51},
    "an empty list": {"num_keypoints": 0, "keypoints": []},
    "a face alone": {"keypoints": FACE},
}


@pytest.mark.parametrize("changes", NOBODY.values(), ids=NOBODY)
def test_who_has_no_keypoint_of_ours_is_passed_over(read, changes):
    annotations = [make_annotation(1), make_annotation(2) | changes, make_annotation(3)]
    content = make_coco(annotations, 4)
    content["categories"].append({"id": 7, "name": "dog"})
    first, second, third = read(content)
    keypoints = annotations[0]["keypoints"]
    assert first == CocoPerson("1.jpg", keypoints, [19.5, 10.25, 102.5, 120.5])
    assert second is PASSED_OVER and third.image == "3.jpg"
    # Nor are the pictures taken along where nobody else is in them.
    assert name_annotated_pictures([first, second, third]) == {"1.jpg", "3.jpg"}


def test_several_persons_share_a_picture_and_ids_may_be_texts(read):
    # Files that were joined have ids of annotations twice; nothing looks them up.
    content = make_coco([make_annotation(1), make_annotation(1)], 1)
    content["images"][0]["id"] = "photo"
    for annotation in content["annotations"]:
        annotation["image_id"] = "photo"
    assert [person.image for person in read(content)] == ["1.jpg", "1.jpg"]


def test_a_file_of_nobody_is_refused(read):
    with pytest.raises(UserError, match=r"train\.json: holds no record of a person; correct it"):
        read(make_coco([make_annotation(1, iscrowd=1)], 1))
