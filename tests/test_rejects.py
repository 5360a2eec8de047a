import csv

import numpy as np
import pytest

from hourglass.errors import UserError
from hourglass.rejects import (
    NO_JOINTS,
    Reject,
    check_rejects,
    count_rejects,
    decode_joints,
    encode_joints,
    read_rejects,
    write_rejects,
)

REJECTS = [
    Reject("train", 1, "a.jpg", "bad", "0011110000111111"),
    Reject("train", 4, "", "worse", ""),
    Reject("train", 6, "c.jpg", "worse", NO_JOINTS),
    Reject("validation", 0, "v.jpg", "worse", "1" * 16),
]

ADVICE = "fix {split}.json"


def check(num_records, max_fraction, rejects=REJECTS):
    check_rejects(
        "rejects.csv", rejects, num_records, "parse.limit", max_fraction, "fix {split}.json"
    )


def test_rejects_are_csv_that_any_reader_takes(tmp_path):
    values = {
        "split": "train", "index": 0, "image": '../"a",\ufffd.jpg', "reason": "no,\nno",
        "lost_joints": "",
    }  # fmt: skip
    write_rejects(tmp_path / "rejects.csv", [Reject(**values)])
    with open(tmp_path / "rejects.csv", newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row == values | {"index": "0"}


def test_no_rejects_leave_the_header_alone(tmp_path):
    write_rejects(tmp_path / "rejects.csv", [])
    assert (tmp_path / "rejects.csv").read_text() == "split,index,image,reason,lost_joints\n"


def test_rejects_come_back_as_they_were(tmp_path):
    write_rejects(tmp_path / "rejects.csv", REJECTS)
    assert read_rejects(tmp_path / "rejects.csv", "again") == REJECTS


def test_joints_are_text_in_their_order_and_come_back():
    joints_vis = np.arange(16) % 3 == 0
    assert encode_joints(joints_vis) == "1001001001001001"
    np.testing.assert_array_equal(decode_joints("1001001001001001"), joints_vis)
    assert not decode_joints(NO_JOINTS).any()


def test_the_count_is_by_split():
    assert count_rejects(REJECTS) == {"train": 3, "validation": 1}
    assert count_rejects([])["train"] == 0


def test_as_many_as_allowed_pass():
    check({"train": 12, "validation": 4}, 0.25)


def test_too_many_name_the_most_common_reason_its_first_record_and_the_file():
    with pytest.raises(UserError) as caught:
        check({"train": 12, "validation": 4}, 0.24)
    assert str(caught.value) == (
        "train: 3 of 12 records rejected, 2 of them because: worse; the first is record 4, counted "
        "from 0, without a name (all in rejects.csv); fix train.json, or raise parse.limit from "
        "0.24"
    )


def test_the_first_record_is_of_the_split_that_has_too_many():
    with pytest.raises(UserError, match=r"^validation: 1 of 2 .* record 0, counted from 0, v.jpg"):
        check({"train": 300, "validation": 2}, 0.25)


def test_a_split_with_nothing_left_stops_whatever_the_fraction():
    with pytest.raises(UserError, match="validation: 1 of 1 records rejected"):
        check({"train": 30, "validation": 1}, 1.0)
    with pytest.raises(UserError, match=r"validation: holds no records; fix validation\.json"):
        check({"validation": 0}, 1.0, [])
