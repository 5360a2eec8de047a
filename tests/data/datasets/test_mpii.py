import numpy as np
import pytest

from helpers.annotations import (
    EMPTY,
    NECK_AND_HEAD,
    assert_same,
    make_mat,
    make_point,
    make_rect,
    struct_array,
)
from helpers.paths import DATA, needs_data
from hourglass.data.datasets.mpii import read_mpii_json, read_mpii_mat
from hourglass.data.validation import check_records


def test_mat_reads_head_and_neck_by_id_and_labels_every_point_that_is_there():
    points = [
        make_point(9, 50.25, -3.0),  # head top and neck carry no is_visible
        make_point(8, 50.25, 20.5),
        make_point(0, np.uint8(7), np.int16(300), is_visible=EMPTY),
        make_point(5, 8, 301, is_visible="0"),
        make_point(10, 9, 302, is_visible=np.uint8(0)),
        make_point(15, 10, 303, is_visible="1"),
    ]
    train, validation = read_mpii_mat(make_mat([("a.jpg", make_rect(struct_array(points)))]), [])
    (person,), invalid = check_records(train, {"a.jpg"})
    assert not validation and not invalid
    assert np.flatnonzero(person.keypoints_visible).tolist() == [0, 5, 8, 9, 10, 15]
    assert person.joints[[0, 5, 8, 9, 10, 15]].tolist() == [
        [6, 299], [7, 300], [49.25, 19.5], [49.25, -4], [8, 301], [9, 302],
    ]  # fmt: skip
    assert person.center.tolist() == [99, 199]
    assert person.scale == 2.5


def test_mat_struct_arrays_of_one_and_of_many():
    single = make_mat([("a.jpg", make_rect(make_point(3, 4, 5)))])  # squeezed all the way up
    assert read_mpii_mat(single, [])[0][0]["joints"][3] == [4, 5]
    rects = struct_array([make_rect(make_point(3, 4, 5)), {"x1": 1.0}, make_rect(NECK_AND_HEAD[0])])
    train, _ = read_mpii_mat(make_mat([("a.jpg", rects)]), [])
    assert [np.flatnonzero(record["joints_vis"]).tolist() for record in train] == [[3], [8]]


@pytest.mark.parametrize("field", ["annopoints", "scale", "objpos"])
def test_mat_person_without_points_scale_or_place_is_no_record(field):
    rect = {key: value for key, value in make_rect(NECK_AND_HEAD[0]).items() if key != field}
    assert read_mpii_mat(make_mat([("a.jpg", rect)]), []) == ([], [])


def test_mat_splits_follow_the_list_then_the_file():
    def persons(*scales):
        return struct_array([make_rect(make_point(0, 1, 1), scale=scale) for scale in scales])

    mat = make_mat(
        [("a.jpg", persons(1, 2)), ("b.jpg", persons(3)), ("c.jpg", persons(4, 5)),
         ("test.jpg", persons(6)), ("d.jpg", persons(7))],
        img_train=[1, 1, 1, 0, 1],
    )  # fmt: skip
    train, validation = read_mpii_mat(mat, ["c.jpg", "a.jpg", "c.jpg", "a.jpg", "gone.jpg"])
    assert [record["scale"] for record in validation] == [4, 5, 1, 2]
    assert [record["scale"] for record in train] == [3, 7]


def test_mat_without_a_list_of_training_pictures_has_no_others():
    mat = make_mat([("a.jpg", make_rect(make_point(3, 4, 5)))], img_train=[])
    assert len(read_mpii_mat(mat, [])[0]) == 1


@needs_data("mpii-val")
def test_real_validation_through_a_mat_gives_the_same_persons():
    """The records packed into a .mat's structs, pictures in another order, and read back."""
    records = read_mpii_json(DATA / "mpii-val" / "validation.json", "validation")[:150]
    by_image = {}
    for record in records:
        points = [
            make_point(k, x, y)
            for k, (x, y) in enumerate(record["joints"])
            if record["joints_vis"][k]
        ]
        objpos = dict(zip("xy", record["center"], strict=True))
        rect = {**make_rect(struct_array(points), record["scale"]), "objpos": objpos}
        by_image.setdefault(record["image"], []).append(rect)
    mat = make_mat([(image, struct_array(by_image[image])) for image in sorted(by_image)])
    train, validation = read_mpii_mat(mat, [record["image"] for record in records])
    assert not train
    persons, expected = (check_records(rs, None)[0] for rs in (validation, records))
    for person, other in zip(persons, expected, strict=True):
        assert_same(person, other)
