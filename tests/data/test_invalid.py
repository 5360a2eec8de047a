import csv

import numpy as np
import pytest

from hourglass.data.invalid import (
    InvalidRecord,
    check_invalid_fraction,
    count_invalid,
    decode_joints,
    encode_joints,
    read_invalid,
    write_invalid,
)
from hourglass.utils.errors import UserError

INVALID = [
    InvalidRecord("train", 1, "a.jpg", "bad", "0011110000111111"),
    InvalidRecord("train", 4, "", "worse", ""),
    InvalidRecord("train", 6, "c.jpg", "worse", "0" * 16),
    InvalidRecord("validation", 0, "v.jpg", "worse", "1" * 16),
]

ADVICE = "fix {split}.json"


def check(num_records, max_fraction, invalid=INVALID):
    check_invalid_fraction(
        "invalid.csv", invalid, num_records, "parse.limit", max_fraction, "fix {split}.json"
    )


def test_invalid_records_are_csv_that_any_reader_takes(tmp_path):
    values = {
        "split": "train", "index": 0, "image": '../"a",\ufffd.jpg', "reason": "no,\nno",
        "lost_joints": "",
    }  # fmt: skip
    write_invalid(tmp_path / "invalid.csv", [InvalidRecord(**values)])
    with open(tmp_path / "invalid.csv", newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row == values | {"index": "0"}


def test_no_invalid_records_leave_the_header_alone(tmp_path):
    write_invalid(tmp_path / "invalid.csv", [])
    assert (tmp_path / "invalid.csv").read_text() == "split,index,image,reason,lost_joints\n"


def test_invalid_records_come_back_as_they_were(tmp_path):
    write_invalid(tmp_path / "invalid.csv", INVALID)
    assert read_invalid(tmp_path / "invalid.csv", 16, "again") == INVALID


def test_joints_are_text_in_their_order_and_come_back():
    keypoints_visible = np.arange(16) % 3 == 0
    assert encode_joints(keypoints_visible) == "1001001001001001"
    np.testing.assert_array_equal(decode_joints("1001001001001001"), keypoints_visible)
    assert not decode_joints("0" * 16).any()


def test_the_count_is_by_split():
    assert count_invalid(INVALID) == {"train": 3, "validation": 1}
    assert count_invalid([])["train"] == 0


def test_as_many_as_allowed_pass():
    check({"train": 12, "validation": 4}, 0.25)


def test_too_many_name_the_most_common_reason_its_first_record_and_the_file():
    with pytest.raises(UserError) as caught:
        check({"train": 12, "validation": 4}, 0.24)
    assert str(caught.value) == (
        "train: 3 of 12 records are invalid, 2 of them because: worse; the first is record 4, "
        "counted from 0, without a name (all in invalid.csv); fix train.json, or raise parse.limit "
        "from 0.24"
    )


def test_the_first_record_is_of_the_split_that_has_too_many():
    with pytest.raises(UserError, match=r"^validation: 1 of 2 .* record 0, counted from 0, v.jpg"):
        check({"train": 300, "validation": 2}, 0.25)


def test_a_split_with_nothing_left_stops_whatever_the_fraction():
    with pytest.raises(UserError, match="validation: 1 of 1 records are invalid"):
        check({"train": 30, "validation": 1}, 1.0)
    with pytest.raises(UserError, match=r"validation: holds no records; fix validation\.json"):
        check({"validation": 0}, 1.0, [])


@pytest.mark.parametrize(
    "text", ["train,1,a.jpg,bad,01", "train,1,a.jpg,bad,2222", "train,1,a.jpg"]
)
def test_rows_of_other_keypoints_are_damage(tmp_path, text):
    path = tmp_path / "invalid.csv"
    path.write_text(f"split,index,image,reason,lost_joints\ntrain,0,b.jpg,bad,0110\n{text}\n")
    with pytest.raises(UserError, match=r"invalid\.csv: row 3 is no invalid record; parse again"):
        read_invalid(path, 4, "parse again")
