import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from helpers.archives import names_in
from helpers.processes import environment, run_python
from hourglass.utils import files
from hourglass.utils.errors import UserError
from hourglass.utils.files import (
    atomic_folder,
    atomic_path,
    check_free_space,
    exclusive_lock,
    write_json,
    write_text,
)

# --- atomic_path


def test_file_appears_under_its_name_at_the_end_only(tmp_path):
    path = tmp_path / "deep" / "a.bin"
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"new")
        assert temporary.parent == path.parent and not path.exists()
    assert path.read_bytes() == b"new" and names_in(path.parent) == ["a.bin"]


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old" and names_in(tmp_path) == ["a.bin"]


def test_what_a_killed_process_left_is_overwritten(tmp_path):
    path = tmp_path / "a.bin"
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        raise ZeroDivisionError
    temporary.write_bytes(b"a long rest of a killed process")
    with atomic_path(path) as again:
        assert again == temporary
        again.write_bytes(b"new")
    assert path.read_bytes() == b"new" and names_in(tmp_path) == ["a.bin"]


def test_two_writers_of_one_path_do_not_meet(tmp_path):
    path, scratch = tmp_path / "a.bin", tmp_path / "scratch"
    scratch.mkdir()
    with atomic_path(path, scratch) as late, open(late, "wb") as file:
        file.write(b"the same ")
        file.flush()
        with atomic_path(path, scratch) as retried:
            retried.write_bytes(b"the same bytes")
        assert path.read_bytes() == b"the same bytes"
        file.write(b"bytes")
        assert path.read_bytes() == b"the same bytes"
        assert names_in(tmp_path) == ["a.bin", "scratch"]
    assert path.read_bytes() == b"the same bytes" and names_in(scratch) == []


def test_a_late_writer_whose_scratch_folder_is_gone_changes_nothing(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"of the next run")
    with (
        pytest.raises(FileNotFoundError),
        files.scratch_folder(tmp_path / "scratch") as folder,
        atomic_path(path, folder) as temporary,
    ):
        temporary.write_bytes(b"late")
        shutil.rmtree(folder)
    assert path.read_bytes() == b"of the next run" and names_in(tmp_path) == ["a.bin"]


def test_bytes_reach_the_disk_before_the_name(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(files.os, "fsync", lambda _: calls.append("fsync"))
    real_replace = os.replace
    monkeypatch.setattr(
        files.os, "replace", lambda *names: (calls.append("replace"), real_replace(*names))
    )
    write_text(tmp_path / "a.txt", "text")
    assert calls == ["fsync", "replace"]


def test_nothing_written_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.bin"):
        pass
    assert names_in(tmp_path) == []


def test_json_round_trip_ends_with_a_line_break(tmp_path):
    value = {"b": [1, 2.5, None, True], "a": "ü"}
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == value and list(json.loads(text)) == ["b", "a"]
    assert text.endswith("}\n")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_is_not_json_leaves_the_old_file(tmp_path, value):
    write_json(tmp_path / "a.json", "old")
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "a.json", [value])
    assert json.loads((tmp_path / "a.json").read_text()) == "old"
    assert names_in(tmp_path) == ["a.json"]


def test_text_is_utf_8_in_any_locale(tmp_path):
    code = "from hourglass.utils.files import write_text; write_text('a.txt', '\\u00fc\\u2192\\n')"
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    run_python("-c", code, cwd=tmp_path, check=True, **plain)
    assert (tmp_path / "a.txt").read_bytes() == "ü→\n".encode()


# --- atomic_folder


def test_a_folder_takes_the_place_of_the_one_before(tmp_path):
    path = tmp_path / "parent/folder"
    for name in ("first", "second"):
        with atomic_folder(path) as temporary:
            (temporary / name).touch()
        assert [found.name for found in path.iterdir()] == [name]
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_fails_leaves_the_one_before(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / ".folder.tmp").mkdir()
    (tmp_path / ".folder.tmp/left").touch()  # by a killed process
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "folder") as temporary:
        assert not list(temporary.iterdir())
        raise ZeroDivisionError
    assert [found.name for found in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_folder_half_replaced_is_put_back(tmp_path, monkeypatch, is_killed):
    path, old = tmp_path / "folder", tmp_path / ".folder.old"
    path.mkdir()
    (path / "before").touch()
    if is_killed:
        path.rename(old)
    replace = os.replace

    def fail(source, target):
        if source.name.endswith(".tmp"):
            raise OSError
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError), atomic_folder(path):
        pass
    assert [found.name for found in tmp_path.iterdir()] == ["folder"]
    assert [found.name for found in path.iterdir()] == ["before"]


# --- check_free_space


def test_free_space_is_compared_to_the_byte(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    check_free_space(tmp_path, 1000)
    with pytest.raises(UserError, match="1,001 bytes are needed and 1,000 are free; make room"):
        check_free_space(tmp_path, 1001)


# --- exclusive_lock

HOLDER = """
import sys, time
from hourglass.utils.files import exclusive_lock
with exclusive_lock(sys.argv[1], "testing"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock until its stdin closes or it is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "a.lock")],
        env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_lock_makes_its_folder_and_leaves_no_file(tmp_path):
    path = tmp_path / "deep" / "a.lock"
    with exclusive_lock(path, "testing"):
        assert path.read_text() == f"{os.getpid()}\n{Path.cwd()}"
    assert names_in(path.parent) == []


def test_lock_is_free_again_after_an_exception(tmp_path):
    with pytest.raises(ZeroDivisionError), exclusive_lock(tmp_path / "a.lock", "testing"):
        raise ZeroDivisionError
    assert names_in(tmp_path) == []
    with exclusive_lock(tmp_path / "a.lock", "testing"):
        pass


def test_second_process_is_told_who_holds_it(holder, tmp_path):
    with (
        pytest.raises(UserError, match=f"^process {holder.pid} is doing this: wait"),
        exclusive_lock(tmp_path / "a.lock", "doing this"),
    ):
        pass
    assert (tmp_path / "a.lock").read_text().split("\n")[0] == str(holder.pid)


def test_who_waits_is_told_for_whom_and_gets_the_lock(holder, tmp_path, capsys):
    ended = threading.Timer(0.2, holder.kill)
    ended.start()
    with exclusive_lock(tmp_path / "a.lock", "doing this", wait=True):
        assert holder.wait(10)  # it is gone
    ended.join()
    line = f"process {holder.pid} is doing this, in {Path.cwd()}: waiting for its end\n"
    assert capsys.readouterr().err == line and names_in(tmp_path) == []


def test_lock_of_a_killed_process_is_free(holder, tmp_path):
    holder.kill()
    holder.wait(10)
    assert names_in(tmp_path) == ["a.lock"]
    with exclusive_lock(tmp_path / "a.lock", "testing"):
        assert (tmp_path / "a.lock").read_text().split("\n")[0] == str(os.getpid())
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("replaced", [False, True])
def test_file_that_its_last_holder_removed_is_not_taken_for_the_lock(
    tmp_path, monkeypatch, replaced
):
    path, real_flock, calls = tmp_path / "a.lock", fcntl.flock, []

    def flock_just_after_the_last_holder_left(file, mode):
        if not calls:
            path.unlink()
            if replaced:  # by a third process
                path.touch()
        calls.append(mode)
        real_flock(file, mode)

    monkeypatch.setattr(fcntl, "flock", flock_just_after_the_last_holder_left)
    with exclusive_lock(path, "testing"):
        assert len(calls) == 2 and path.read_text() == f"{os.getpid()}\n{Path.cwd()}"
    assert names_in(tmp_path) == []


NO_LOCKS = """
import sys
sys.modules["fcntl"] = None  # as on Windows
from hourglass import load
import hourglass.cli.main
from hourglass.utils.errors import UserError
from hourglass.utils.files import exclusive_lock
try:
    with exclusive_lock("a.lock", "testing"):
        pass
except UserError as error:
    print(error)
"""


def test_where_there_are_no_locks_all_else_is_loaded(tmp_path):
    result = run_python("-c", NO_LOCKS, cwd=tmp_path, check=True)
    line = "a.lock: this system has no file locks; use Linux or macOS, or WSL on Windows\n"
    assert result.stdout == line
    assert names_in(tmp_path) == []


# --- scratch_folder


def test_a_scratch_folder_is_new_each_time_and_leaves_nothing(tmp_path):
    path, names = tmp_path / "scratch", set()
    (path / "left").mkdir(parents=True)
    (path / "left" / "file").write_text("of a run that was killed")
    for error in (None, KeyboardInterrupt):
        with contextlib.suppress(KeyboardInterrupt), files.scratch_folder(path) as folder:
            assert list(path.iterdir()) == [folder] and not list(folder.iterdir())
            (folder / "file").write_text("x")
            names.add(folder.name)
            if error:
                raise error
        assert not path.exists()
    assert len(names) == 2


def test_of_a_linked_scratch_folder_others_files_stay(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "others").write_text("x")
    (tmp_path / "scratch").symlink_to("elsewhere")
    with files.scratch_folder(tmp_path / "scratch") as folder:
        (folder / "file").write_text("x")
    assert names_in(tmp_path / "elsewhere") == ["others"]
