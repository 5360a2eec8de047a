import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from helpers.batch_runs import fake_network, save_dot, save_dots
from helpers.fake_backends import BrightestBackend
from helpers.stages import files_below
from hourglass.cli import batch

RESULTS = {"plan.json", "pictures.txt", "poses.jsonl", "invalid.csv"}


@pytest.fixture
def predict(run_command, monkeypatch):
    """Run `hourglass predict --records --whole` with a fake network, in chunks of six pictures."""
    fake_network(monkeypatch, 6)

    def run(*arguments, mode=("--whole",)):
        return run_command("predict", "--records", *mode, "--model", "net.keras", *arguments)

    return run


def read_poses(folder="poses"):
    """The lines of the pictures."""
    return [json.loads(line) for line in Path(folder, "poses.jsonl").read_text().splitlines()[1:]]


def test_all_pictures_become_one_file_and_one_line_is_said(predict):
    save_dots(Path("in"), 8)
    save_dots(Path("in/below"), 7)
    Path("in/junk.jpg").write_text("junk")
    Path("list.txt").write_text("gone.png\nin/000.png\n")
    code, (line,), (note,) = predict("in", "--list", "list.txt")
    assert (code, note) == (0, "note: named again, and counted once: 1")
    assert line == (
        "poses/poses.jsonl: 15 pictures, 15 people, no person on 0; 2 files could not be used: "
        "poses/invalid.csv"
    )
    assert set(files_below("poses")) == RESULTS
    names = [f"in/{k:03}.png" for k in range(8)] + [f"in/below/{k:03}.png" for k in range(7)]
    assert [picture["image"] for picture in read_poses()] == names
    with open("poses/invalid.csv", newline="") as file:
        assert [row[0] for row in csv.reader(file)] == ["image", "in/junk.jpg", "gone.png"]


def test_a_search_leaves_no_person_where_the_score_is_too_low(predict):
    save_dot(Path("in/a.png"))
    save_dot(Path("in/dark.png"), light=20)
    code, (line,), _ = predict("in", "--threshold", 0.5, mode=())
    assert code == 0 and line.endswith("2 pictures, 1 person, no person on 1")
    (person,), no_people = (picture["people"] for picture in read_poses())
    assert person["score"] > 0.5 and no_people == []


def test_repeated_it_says_the_same_and_predicts_nothing(predict, monkeypatch):
    save_dots(Path("in"), 8)
    before = predict("in"), files_below("poses")
    monkeypatch.setattr(batch, "predict_chunk", lambda *_, **__: pytest.fail("predicted again"))
    assert (predict("in"), files_below("poses")) == before


def test_what_was_ended_goes_on_where_it_was_to_the_same_bytes(predict, monkeypatch):
    save_dots(Path("in"), 20)
    Path("in/003.png").write_text("junk")
    whole = predict("in", "--out", "whole")
    done, usual = [], batch.predict_chunk

    def predict_two(backend, plan, chunk, scratch, **settings):
        if len(done) in (2, 5):
            done.append("end")
            raise KeyboardInterrupt
        done.append(chunk.number)
        usual(backend, plan, chunk, scratch, **settings)

    monkeypatch.setattr(batch, "predict_chunk", predict_two)
    for _ in range(2):
        code, out, err = predict("in", "--out", "ended")
        if not code:
            break
        assert (code, out, err) == (130, [], ["interrupted"])
        assert set(files_below("ended")) >= {"plan.json", "pictures.txt"}
        assert not Path("ended/poses.jsonl").exists()
    assert done == [0, 1, "end", 2, 3]
    assert out == [line.replace("whole/", "ended/") for line in whole[1]]
    assert files_below("ended") == files_below("whole")


def test_what_was_ended_while_chunks_were_removed_is_finished(predict):
    save_dots(Path("in"), 8)
    predict("in")
    before = files_below("poses")
    Path("poses/chunks").mkdir()
    Path("poses/chunks/000001.jsonl").write_text("left")
    Path("poses/.unfinished/x").mkdir(parents=True)
    assert predict("in")[0] == 0
    assert files_below("poses") == before


def test_drawn_pictures_are_named_by_the_records(predict):
    save_dots(Path("in"), 8)
    assert predict("in", "--draw")[0] == 0
    drawn = [picture["drawn"] for picture in read_poses()]
    assert drawn == [f"drawn/{k // 6:06}/{k % 6:06}.png" for k in range(8)]
    assert set(files_below("poses")) == RESULTS | set(drawn)


def test_a_folder_that_holds_the_results_is_listed_without_them(predict):
    save_dots(Path("."), 3)
    for _ in range(2):
        assert predict(".", "--draw")[1][0].startswith("poses/poses.jsonl: 3 pictures, ")


def test_with_pyarrow_there_is_a_table(predict, monkeypatch):
    pytest.importorskip("pyarrow", reason="tables need pyarrow")
    save_dots(Path("in"), 3)
    predict("in")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "pyarrow" or None)
    for _ in range(2):  # also when it was installed later
        assert predict("in")[0] == 0
        assert set(files_below("poses")) == RESULTS | {"poses.parquet"}


def test_the_list_of_a_run_goes_on_with_it(predict):
    save_dots(Path("in"), 3)
    predict("in")
    before = files_below("poses")
    save_dot(Path("in/new.png"))
    code, _, (line,) = predict("in")
    assert code == 1 and "holds a run that is of other pictures: to go on with those, `--l" in line
    assert predict("--list", "poses/pictures.txt")[0] == 0
    assert files_below("poses") == before


def test_it_is_as_without_records_but_for_the_form(predict, run_command, monkeypatch):
    monkeypatch.setattr("hourglass.cli.models.open_backend", lambda *_: BrightestBackend())
    save_dots(Path("in"), 3)
    predict("in")
    code, *_ = run_command("predict", "in", "--whole", "--model", "net.keras", "--out", "single")
    assert code == 0
    for picture in read_poses():
        single = json.loads(Path("single", f"{Path(picture['image']).stem}.json").read_text())
        assert single["people"] == picture["people"]
        assert np.isfinite(picture["people"][0]["score"])


def test_moved_results_can_be_told_again(predict):
    save_dots(Path("in"), 3)
    _, (line,), _ = predict("in")
    shutil.move("poses", "elsewhere")
    _, (moved,), _ = predict("in", "--out", "elsewhere")
    assert moved == line.replace("poses/poses", "elsewhere/poses")
