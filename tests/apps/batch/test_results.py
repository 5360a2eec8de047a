import csv
import json

import numpy as np
import pytest

from helpers.batch_runs import begin_chunks, make_plan, save_dots
from helpers.fake_backends import BrightestBackend
from hourglass.apps.batch import plan as plans
from hourglass.apps.batch import results
from hourglass.apps.batch.chunks import chunk_path, predict_chunk
from hourglass.inference.outputs import COORDINATES
from hourglass.keypoints import MPII
from hourglass.utils.errors import UserError


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of 13 pictures, two of which are broken and two without a person, in three chunks."""
    monkeypatch.setattr(plans, "CHUNK_SIZE", 5)
    paths = save_dots(tmp_path / "in", 13)
    for number in (2, 11):
        paths[number].write_text("junk")
    plan = make_plan(tmp_path)
    chunks, scratch = begin_chunks(plan, [path.relative_to(tmp_path) for path in paths])
    for chunk in chunks:
        predict_chunk(BrightestBackend(), plan, chunk, scratch)
    return plan, chunks, scratch


def test_the_results_are_those_of_the_chunks_in_order(run):
    plan, chunks, scratch = run
    assert not results.is_batch_finished(plan)
    lines = [line for chunk in chunks for line in chunk_path(plan, chunk).read_bytes().splitlines()]
    results.gather_chunks(plan, chunks, scratch)
    assert results.is_batch_finished(plan)
    head, *found = (plan.folder / "poses.jsonl").read_bytes().splitlines()
    assert found == [line for line in lines if b'"error"' not in line] and len(found) == 11
    about = json.loads(head)
    assert (about["coordinates"], about["joints"]) == (COORDINATES, list(MPII.keypoints))
    assert (about["mode"], about["threshold"], about["network"]) == ("whole", 0.5, "abc")
    with open(plan.folder / "invalid.csv", newline="") as file:
        rows = list(csv.reader(file))
    reason = "cannot be decoded: not a picture"
    assert rows == [["image", "reason"], ["in/002.png", reason], ["in/011.png", reason]]


def test_the_counts_add_up(run):
    plan, chunks, scratch = run
    results.gather_chunks(plan, chunks, scratch)
    counts = results.count_results(plan, chunks)
    assert (counts.num_used, counts.num_empty, counts.num_people) == (11, 2, 9)
    assert counts.num_invalid == 2 and counts.first_invalid[0] == "in/002.png"


def test_a_name_of_any_bytes_is_a_row(run):
    plan, chunks, scratch = run
    path = chunk_path(plan, chunks[0])
    path.write_text(path.read_text().replace("in/002.png", 'in/caf\\udce9\\n,\\".png'))
    results.gather_chunks(plan, chunks, scratch)
    (image, _), *_ = results.read_run_invalid(plan)
    assert image == 'in/caf\\udce9\n,".png'


@pytest.mark.parametrize("failing", ["poses.jsonl", "invalid.csv"])
def test_without_room_there_are_no_results_and_the_chunks_stay(run, monkeypatch, failing):
    plan, chunks, scratch = run
    usual = results.atomic_path

    def full(path, scratch):
        if path.name == failing:
            raise OSError(28, "No space left on device", str(path))
        return usual(path, scratch)

    monkeypatch.setattr(results, "atomic_path", full)
    with pytest.raises(OSError, match="No space"):
        results.gather_chunks(plan, chunks, scratch)
    assert not results.is_batch_finished(plan)
    monkeypatch.undo()
    results.gather_chunks(plan, chunks, scratch)
    assert results.count_results(plan, chunks).num_used == 11


def test_poses_get_their_name_last(run, monkeypatch):
    plan, chunks, scratch = run
    names = []
    usual = results.atomic_path.__globals__["os"].replace
    monkeypatch.setattr("os.replace", lambda a, b: (names.append(b.name), usual(a, b)))
    results.gather_chunks(plan, chunks, scratch)
    assert names == ["invalid.csv", "poses.jsonl"]


CHANGES = {
    "a line of poses": ("poses.jsonl", lambda data: data[: data.rindex(b"\n", 0, -1) + 1]),
    "half a line of poses": ("poses.jsonl", lambda data: data[:-100]),
    "empty poses": ("poses.jsonl", lambda data: b""),
    "an invalid file": ("invalid.csv", lambda data: data[: data.rindex(b"\n", 0, -1) + 1]),
    "all invalid": ("invalid.csv", lambda data: None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_results_that_lack_something_are_one_line(run, change):
    plan, chunks, scratch = run
    results.gather_chunks(plan, chunks, scratch)
    name, edit = CHANGES[change]
    path = plan.folder / name
    if (data := edit(path.read_bytes())) is None:
        path.unlink()
    else:
        path.write_bytes(data)
    with pytest.raises(UserError, match=r"do not hold its 13 pictures: changed since .*--out"):
        results.count_results(plan, chunks)


def test_the_chunks_can_be_removed_twice(run):
    plan, chunks, scratch = run
    results.gather_chunks(plan, chunks, scratch)
    for _ in range(2):
        results.remove_chunks(plan)
        assert not (plan.folder / "chunks").exists()
    assert results.count_results(plan, chunks).num_used == 11


# The table


@pytest.fixture
def plan(tmp_path):
    paths = save_dots(tmp_path / "in", 12)
    paths[3].write_text("junk")
    plan = make_plan(tmp_path)
    (chunk,), scratch = begin_chunks(plan, [path.relative_to(tmp_path) for path in paths])
    predict_chunk(BrightestBackend(), plan, chunk, scratch)
    results.gather_chunks(plan, [chunk], scratch)
    return plan


def test_a_row_is_a_person_as_the_records_have_them(plan, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet", reason="tables need pyarrow")
    monkeypatch.setattr(results, "ROWS", 4)
    results.write_table(plan, plan.folder)
    rows = parquet.read_table(plan.folder / "poses.parquet").to_pylist()
    pictures = list(results.read_poses(plan))
    people = [(picture, person) for picture in pictures for person in picture["people"]]
    assert len(rows) == len(people) == 9
    for row, (picture, person) in zip(rows, people, strict=True):
        assert (row["image"], row["width"], row["person"]) == (picture["image"], 60, 0)
        numbers = [row[f"{name}_{key}"] for name in MPII.keypoints for key in ("x", "y", "score")]
        expected = [person["joints"][n][key] for n in MPII.keypoints for key in ("x", "y", "score")]
        np.testing.assert_allclose(numbers, expected, rtol=1e-6)


def test_it_is_written_once_and_the_same(plan):
    pytest.importorskip("pyarrow", reason="tables need pyarrow")
    path = plan.folder / "poses.parquet"
    results.write_table(plan, plan.folder)
    before, time = path.read_bytes(), path.stat().st_mtime_ns
    results.write_table(plan, plan.folder)
    assert path.stat().st_mtime_ns == time
    path.unlink()
    results.write_table(plan, plan.folder)
    assert path.read_bytes() == before


def test_a_name_of_any_bytes_is_text():
    (row,) = results.list_rows(
        {
            "image": "caf\udce9.png", "width": 1, "height": 1,
            "people": [{"score": 0.5, "joints": {}}],
        }
    )  # fmt: skip
    assert row["image"] == "caf\\udce9.png"
