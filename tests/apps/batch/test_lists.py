import os
from pathlib import Path

import pytest

from helpers.processes import run_python
from hourglass.apps.batch import lists
from hourglass.utils.errors import UserError


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\n \n\r\n", []),
        (b"a.jpg\nb/c d.jpg", ["a.jpg", "b/c d.jpg"]),
        (b"a.jpg\r\n\r\n./b//c.jpg\r\n", ["a.jpg", "b/c.jpg"]),
        (b"\xef\xbb\xbfa.jpg\n \xc3\xbc.jpg\n", ["a.jpg", " \u00fc.jpg"]),
        (b"caf\xe9.jpg\n", [os.fsdecode(b"caf\xe9.jpg")]),
        (b"line\nbreak.jpg\0b.jpg\0", ["line\nbreak.jpg", "b.jpg"]),
    ],
)
def test_a_list_is_a_path_a_line_or_one_before_each_nul(tmp_path, data, expected):
    (tmp_path / "list").write_bytes(data)
    assert list(lists.read_paths(tmp_path / "list")) == list(map(Path, expected))


def test_blocks_may_end_anywhere(tmp_path, monkeypatch):
    expected = [Path(f"folder/{k}.jpg") for k in range(50)]
    for separator in ("\n", "\0"):
        (tmp_path / "list").write_text(separator.join(map(str, expected)) + separator)
        for block in (1, 7, 64):
            monkeypatch.setattr(lists, "BLOCK", block)
            assert list(lists.read_paths(tmp_path / "list")) == expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("a.jpg\n".encode("utf-16"), "is a list in UTF-16; save it as UTF-8"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0rest", "is no list of paths, one a line"),
        (b"x" * 5000, "is no list of paths, one a line"),
        (b"a.jpg\n" * 5000 + b"\0", "is no list of paths, one a line"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path, data, reason):
    (tmp_path / "list").write_bytes(data)
    with pytest.raises(UserError, match=reason) as error:
        list(lists.read_paths(tmp_path / "list"))
    assert str(error.value).startswith(f"{tmp_path / 'list'}: ")


def test_a_list_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none: cannot be read: No such file .*; fix it or name"):
        list(lists.read_paths(tmp_path / "none"))
    with pytest.raises(UserError, match=r"cannot be read: Is a directory; "):
        list(lists.read_paths(tmp_path))


def test_what_is_written_is_read_each_path_once(tmp_path):
    odd = ["a\nb.jpg", "c.jpg\r", " ", os.fsdecode(b"\xff.jpg")]
    names = ["b.jpg", *odd, "./b.jpg", "/w/b.jpg", "c/../b.jpg"]
    path = tmp_path / "list"
    assert lists.write_paths(path, map(Path, names), Path("/w")) == (6, 2)
    # The first of its kind is kept. ".." may lead elsewhere, through a link.
    assert list(lists.read_paths(path)) == list(map(Path, ["b.jpg", *odd, "c/../b.jpg"]))
    assert [p.name for p in tmp_path.iterdir()] == ["list"]


def test_a_list_of_none_is_empty(tmp_path):
    assert lists.write_paths(tmp_path / "list", iter(()), Path("/w")) == (0, 0)
    assert (tmp_path / "list").read_bytes() == b""


# In a process of its own: others allocate as well.
MEASURE = """
import sys, tracemalloc
from pathlib import Path
from hourglass.apps.batch import lists
number, path = int(sys.argv[1]), Path(sys.argv[2])
tracemalloc.start()
names = (Path(f"a/long/name/of/a/folder/{k % (number - 10):09}.jpg") for k in range(number))
assert lists.write_paths(path, names, Path("/w")) == (number - 10, 10)
assert sum(1 for _ in lists.read_paths(path)) == number - 10
print(tracemalloc.get_traced_memory()[1])
"""


def test_paths_are_not_kept_in_memory(tmp_path):
    number = 20_000
    peak = int(run_python("-c", MEASURE, number, tmp_path / "list", check=True).stdout)
    assert peak < 100 * number + 8 * lists.BLOCK
