import csv
import json

import pytest

from helpers.batch_runs import begin_chunks, make_plan, save_dots
from helpers.fake_backends import BrightestBackend
from hourglass.apps.batch import plan as plans
from hourglass.apps.batch import results
from hourglass.apps.batch.chunks import chunk_path, predict_chunk
from hourglass.inference.outputs import COORDINATES
from hourglass.keypoints import JOINTS
from hourglass.utils.errors import UserError


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of 13 pictures, two of which are broken and two of nobody, in three parts."""
    monkeypatch.setattr(plans, "CHUNK_SIZE", 5)
    paths = save_dots(tmp_path / "in", 13)
    for number in (2, 11):
        paths[number].write_text("junk")
    plan = make_plan(tmp_path)
    parts, scratch = begin_chunks(plan, [path.relative_to(tmp_path) for path in paths])
    for part in parts:
        predict_chunk(BrightestBackend(), plan, part, scratch)
    return plan, parts, scratch


def test_the_results_are_those_of_the_parts_in_order(run):
    plan, parts, scratch = run
    assert not results.is_batch_finished(plan)
    lines = [line for part in parts for line in chunk_path(plan, part).read_bytes().splitlines()]
    results.gather_chunks(plan, parts, scratch)
    assert results.is_batch_finished(plan)
    head, *found = (plan.folder / "poses.jsonl").read_bytes().splitlines()
    assert found == [line for line in lines if b'"error"' not in line] and len(found) == 11
    about = json.loads(head)
    assert (about["coordinates"], about["joints"]) == (COORDINATES, list(JOINTS))
    assert (about["mode"], about["threshold"], about["network"]) == ("whole", 0.5, "abc")
    with open(plan.folder / "invalid.csv", newline="") as file:
        rows = list(csv.reader(file))
    reason = "cannot be decoded: not a picture"
    assert rows == [["image", "reason"], ["in/002.png", reason], ["in/011.png", reason]]


def test_the_counts_add_up(run):
    plan, parts, scratch = run
    results.gather_chunks(plan, parts, scratch)
    counts = results.count_results(plan, parts)
    assert (counts.num_used, counts.num_empty, counts.num_people) == (11, 2, 9)
    assert counts.num_rejects == 2 and counts.first_reject[0] == "in/002.png"


def test_a_name_of_any_bytes_is_a_row(run):
    plan, parts, scratch = run
    path = chunk_path(plan, parts[0])
    path.write_text(path.read_text().replace("in/002.png", 'in/caf\\udce9\\n,\\".png'))
    results.gather_chunks(plan, parts, scratch)
    (image, _), *_ = results.read_run_invalid(plan)
    assert image == 'in/caf\\udce9\n,".png'


@pytest.mark.parametrize("failing", ["poses.jsonl", "invalid.csv"])
def test_without_room_there_are_no_results_and_the_parts_stay(run, monkeypatch, failing):
    plan, parts, scratch = run
    usual = results.atomic_path

    def full(path, scratch):
        if path.name == failing:
            raise OSError(28, "No space left on device", str(path))
        return usual(path, scratch)

    monkeypatch.setattr(results, "atomic_path", full)
    with pytest.raises(OSError, match="No space"):
        results.gather_chunks(plan, parts, scratch)
    assert not results.is_batch_finished(plan)
    monkeypatch.undo()
    results.gather_chunks(plan, parts, scratch)
    assert results.count_results(plan, parts).num_used == 11


def test_poses_get_their_name_last(run, monkeypatch):
    plan, parts, scratch = run
    names = []
    usual = results.atomic_path.__globals__["os"].replace
    monkeypatch.setattr("os.replace", lambda a, b: (names.append(b.name), usual(a, b)))
    results.gather_chunks(plan, parts, scratch)
    assert names == ["invalid.csv", "poses.jsonl"]


CHANGES = {
    "a line of poses": ("poses.jsonl", lambda data: data[: data.rindex(b"\n", 0, -1) + 1]),
    "half a line of poses": ("poses.jsonl", lambda data: data[:-100]),
    "empty poses": ("poses.jsonl", lambda data: b""),
    "a reject": ("invalid.csv", lambda data: data[: data.rindex(b"\n", 0, -1) + 1]),
    "all invalid": ("invalid.csv", lambda data: None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_results_that_lack_something_are_one_line(run, change):
    plan, parts, scratch = run
    results.gather_chunks(plan, parts, scratch)
    name, edit = CHANGES[change]
    path = plan.folder / name
    if (data := edit(path.read_bytes())) is None:
        path.unlink()
    else:
        path.write_bytes(data)
    with pytest.raises(UserError, match=r"do not hold its 13 pictures: changed since .*--out"):
        results.count_results(plan, parts)


def test_the_parts_can_be_removed_twice(run):
    plan, parts, scratch = run
    results.gather_chunks(plan, parts, scratch)
    for _ in range(2):
        results.remove_chunks(plan)
        assert not (plan.folder / "parts").exists()
    assert results.count_results(plan, parts).num_used == 11
