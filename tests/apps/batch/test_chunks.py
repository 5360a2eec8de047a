import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.batch_runs import begin_chunks, make_plan, save_dot, save_dots
from helpers.fake_backends import BrightestBackend
from hourglass.apps.batch import chunks
from hourglass.apps.batch import plan as plans
from hourglass.utils.errors import UserError


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(plans, "CHUNK_SIZE", 6)


def read_lines(plan, chunk):
    return [json.loads(line) for line in chunks.chunk_path(plan, chunk).read_text().splitlines()]


def predict_all(plan, paths, order=slice(None)):
    """Begin a run and predict its chunks in some order; the chunks."""
    made, scratch = begin_chunks(plan, paths)
    for chunk in made[order]:
        chunks.predict_chunk(BrightestBackend(), plan, chunk, scratch)
    return made


def test_every_picture_is_a_line_in_order_found_or_with_the_reason(tmp_path):
    save_dot(tmp_path / "in/a.png", (20, 10))
    save_dot(tmp_path / "in/dark.png", light=20)
    (tmp_path / "in/junk.jpg").write_text("junk")
    (tmp_path / "in/clip.jpg").write_bytes(b"\0\0\0\x20ftypisom" + bytes(300))
    names = [f"in/{name}" for name in ("junk.jpg", "a.png", "gone.png", "clip.jpg", "dark.png")]
    plan = make_plan(tmp_path)
    (chunk,) = predict_all(plan, map(Path, names))
    junk, found, gone, clip, dark = lines = read_lines(plan, chunk)
    assert [line["image"] for line in lines] == names
    assert junk["error"] == "cannot be decoded: not a picture"
    assert gone["error"] == "cannot be read: No such file or directory"
    assert clip["error"] == "is a clip; predict it without --records"
    assert list(found) == ["image", "width", "height", "people"]
    assert (found["width"], found["height"], len(found["people"])) == (60, 40, 1)
    joint = found["people"][0]["joints"]["r_ankle"]
    assert abs(joint["x"] - 21.5) < 2 and abs(joint["y"] - 11.5) < 2
    assert dark["people"] == []


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "in/a.png/b.png", "/dev/null", "in"])
def test_what_is_no_file_has_its_reason(tmp_path, name):
    save_dot(tmp_path / "in/a.png")
    plan = make_plan(tmp_path)
    (chunk,) = predict_all(plan, [Path(name), Path("in/a.png")])
    bad, good = read_lines(plan, chunk)
    assert bad["error"] and "people" in good


def test_a_chunk_does_not_depend_on_what_else_is_predicted(tmp_path):
    save_dots(tmp_path / "in", 20)
    paths = [path.relative_to(tmp_path) for path in sorted((tmp_path / "in").iterdir())]
    one, two = make_plan(tmp_path, "one"), make_plan(tmp_path, "two")
    made = predict_all(one, paths)
    predict_all(two, paths, order=slice(None, None, -1))
    assert [chunk.num_pictures for chunk in made] == [6, 6, 6, 2]
    for chunk in made:
        data = chunks.chunk_path(one, chunk).read_bytes()
        assert data == chunks.chunk_path(two, chunk).read_bytes() and data.endswith(b"}\n")
    # As a network of low bits would have it: no batch holds pictures of two chunks.
    backend = BrightestBackend()
    for chunk in made:
        chunks.predict_chunk(backend, one, chunk, one.folder / ".unfinished")
    assert backend.batches == [4, 2, 4, 2, 4, 2, 2]


def test_what_is_missing_is_told_by_the_files(tmp_path):
    save_dots(tmp_path / "in", 14)
    paths = [path.relative_to(tmp_path) for path in sorted((tmp_path / "in").iterdir())]
    plan = make_plan(tmp_path)
    made = predict_all(plan, paths, order=slice(1, 2))
    assert chunks.find_missing(plan, made) == [made[0], made[2]]


def test_pictures_are_drawn_where_it_is_asked(tmp_path):
    save_dot(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("junk")
    plan = make_plan(tmp_path, draw=True)
    (chunk,) = predict_all(plan, [Path("b.png"), Path("a.png")])
    _, found = read_lines(plan, chunk)
    with Image.open(plan.folder / found["drawn"]) as drawn, Image.open(tmp_path / "a.png") as photo:
        assert drawn.size == photo.size and (np.asarray(drawn) != np.asarray(photo)).any()
    assert [p.name for p in (plan.folder / "drawn").rglob("*.png")] == ["000001.png"]


def test_names_of_any_bytes_come_back(tmp_path):
    name = "caf\udce9\n.png"
    try:
        save_dot(tmp_path / name)
    except OSError as error:
        pytest.skip(f"this file system takes UTF-8 names alone: {error}")
    plan = make_plan(tmp_path)
    (chunk,) = predict_all(plan, [Path(name)])
    ((_, about),) = chunks.read_chunk(plan, chunk)
    assert about["image"] == name and "people" in about


DAMAGES = {
    "a line lost": lambda lines: lines[:-1],
    "a line twice": lambda lines: [*lines, lines[-1]],
    "empty": lambda lines: [],
    "cut": lambda lines: [*lines[:-1], lines[-1][:20]],
    "no object": lambda lines: [*lines[:-1], b"[]\n"],
    "another object": lambda lines: [*lines[:-1], b"{}\n"],
    "zeros": lambda lines: [bytes(1000)],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_chunk_is_one_line(tmp_path, damage):
    save_dots(tmp_path / "in", 3)
    plan = make_plan(tmp_path)
    (chunk,) = predict_all(plan, [Path(f"in/{k:03}.png") for k in range(3)])
    path = chunks.chunk_path(plan, chunk)
    path.write_bytes(b"".join(DAMAGES[damage](path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(UserError, match=r"^\S+/chunks/000000\.jsonl: .*remove it, then repeat$"):
        list(chunks.read_chunk(plan, chunk))
