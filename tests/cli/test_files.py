import json
import os
from pathlib import Path

import pytest

from hourglass.cli.files import Passed, find_files, list_pictures, pair_targets
from hourglass.utils.errors import UserError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("poses").mkdir()


def make(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def names_of(*paths, lists=()):
    found = list_pictures(map(Path, paths), map(Path, lists), Path("poses"), Passed())
    return [str(path) for path in found]


def test_a_folder_is_all_below_it_by_name_its_own_files_first():
    make("in/b.jpg", "in/a/z.png", "in/a/y.jpg", "in/c/d/e.jpg", "in/a.jpg", "in/\u00fc.jpg")
    expected = ["a.jpg", "b.jpg", "\u00fc.jpg", "a/y.jpg", "a/z.png", "c/d/e.jpg"]
    assert names_of("in") == [f"in/{name}" for name in expected]


def test_hidden_files_notes_and_the_folder_of_results_are_passed_over():
    make("in/.a.jpg", "in/.cache/a.jpg", "in/a.json", "in/b.TXT", "in/c.jpg", "in/net.onnx")
    make("in/run.py", "poses/drawn/1.png")
    assert names_of("in") == names_of(".")
    assert names_of(".") == ["in/c.jpg"]


def test_links_to_files_are_followed_those_to_folders_are_not():
    make("in/a.jpg", "other/b.jpg")
    Path("in/link.jpg").symlink_to("../other/b.jpg")
    Path("in/gone.jpg").symlink_to("nowhere")
    Path("in/loop").symlink_to("..")
    assert names_of("in") == ["in/a.jpg", "in/gone.jpg", "in/link.jpg"]


def test_what_is_named_comes_in_order_lists_last():
    make("in/a.jpg", "b.jpg", "notes.txt")
    Path("list.txt").write_text("z/missing.jpg\nin/a.jpg\n")
    found = names_of("notes.txt", "in", "b.jpg", lists=["list.txt"])  # what is named is meant
    assert found == ["notes.txt", "in/a.jpg", "b.jpg", "z/missing.jpg", "in/a.jpg"]


def test_what_is_named_must_be_there():
    with pytest.raises(UserError, match=r"^gone: no such file$"):
        names_of("gone")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser reads everything")
def test_a_folder_that_cannot_be_read_is_not_passed_over():
    make("in/a/b.jpg")
    Path("in/a").chmod(0)
    try:
        with pytest.raises(UserError, match=r"^in/a: Permission denied; fix its permissions or "):
            names_of("in")
    finally:
        Path("in/a").chmod(0o700)


def test_a_folder_that_goes_away_meanwhile_is_one_line(monkeypatch):
    make("in/a/b.jpg")
    usual = os.scandir

    def scandir(path):
        if str(path) == "in/a":
            raise PermissionError(13, "Permission denied", path)
        return usual(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UserError, match=r"^in/a: Permission denied; fix its permissions or "):
        names_of("in")


SIDECARS = [
    "Thumbs.db", "desktop.ini", "IMG_1.AAE", "IMG_1.xmp", "GOPR.THM", "DJI.SRT", "a.pdf", ".nomedia"
]  # fmt: skip


def find(*paths):
    passed = Passed()
    return [str(path) for path in find_files(list(map(Path, paths)), passed)], passed


def test_what_lies_among_pictures_is_passed_over_and_counted(capsys):
    make("in/IMG_1.jpg", "in/IMG_2.jpg", *(f"in/{name}" for name in SIDECARS), "in/IMG_2.AAE")
    found, passed = find("in")
    assert found == ["in/IMG_1.jpg", "in/IMG_2.jpg"]
    passed.report()
    assert capsys.readouterr().err == (
        "note: no pictures, passed over: 2 .aae, 1 .db, 1 .ini, 1 .pdf, 1 .srt, 1 .thm, 1 .xmp\n"
    )
    list(list_pictures([Path("in")], [], Path("poses"), passed := Passed()))
    passed.report()
    assert "2 .aae, 1 .db" in capsys.readouterr().err


def test_a_pattern_names_sidecars_too_and_one_named_alone_is_meant(capsys):
    make("IMG_1.AAE", "IMG_1.jpg")
    found, _ = find("IMG_1.AAE", "IMG_1.jpg")
    assert found == ["IMG_1.jpg"]
    assert pair_targets(map(Path, found), Path("poses"))[0][0][1] == Path("poses/IMG_1")
    assert find("IMG_1.AAE")[0] == ["IMG_1.AAE"]
    Passed().report()
    assert capsys.readouterr().err == ""


def write_record(name, image):
    Path("poses", name).write_text(f'{{\n "image": {json.dumps(image)},\n "coordinates": ""}}')


def target_of(path):
    ((_, target),), _ = pair_targets([Path(path)], Path("poses"))
    return target.name


@pytest.mark.parametrize("place", ["b", 'odd "\u00fc\\ name'])
def test_a_picture_does_not_take_the_results_of_another_of_its_name(place):
    make("a/bus.jpg", f"{place}/bus.jpg")
    write_record("bus.json", "a/bus.jpg")
    assert (target_of("a/bus.jpg"), target_of(f"{place}/bus.jpg")) == ("bus", "bus_2")
    write_record("bus_2.json", f"{place}/bus.jpg")  # and finds its own again
    assert (target_of("a/../a/bus.jpg"), target_of(f"{place}/bus.jpg")) == ("bus", "bus_2")
    Path("a/bus.jpg").unlink()  # the record of nothing
    assert target_of(f"{place}/bus.jpg") == "bus"


@pytest.mark.parametrize("text", ["", "no record", '{"image": 3}', '{"image": "a'])
def test_what_is_no_record_takes_no_name(text):
    make("a/bus.jpg")
    Path("poses/bus.json").write_text(text)
    assert target_of("a/bus.jpg") == "bus"
