import os
from pathlib import Path

import pytest

from hourglass.cli.files import list_pictures
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
    return [str(path) for path in list_pictures(map(Path, paths), map(Path, lists), Path("poses"))]


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
