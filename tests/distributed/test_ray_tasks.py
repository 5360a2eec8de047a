import os
import socket

import pytest

from hourglass.utils.errors import UserError

ray = pytest.importorskip("ray", reason="tasks run on Ray")
from hourglass.distributed import ray_tasks  # noqa: E402

FEWER = "if memory is short, take fewer"


@pytest.mark.parametrize("seen", [UserError("x.zip: damaged"), ValueError("a defect")])
def test_a_workers_user_error_comes_through_as_itself(seen, monkeypatch):
    failure = ray.exceptions.RayTaskError("write_shard", "remote traceback", seen)

    def get(task):
        raise failure

    monkeypatch.setattr(ray, "get", get)
    expected = type(seen) if isinstance(seen, UserError) else ray.exceptions.RayTaskError
    with pytest.raises(expected, match="damaged" if expected is UserError else None):
        ray_tasks.get_result("task", "a.tfrecords", FEWER)


def test_a_defect_whose_exception_cannot_travel_is_told_as_it_is(monkeypatch):
    def get(task):
        raise ray.exceptions.UnserializableException("Traceback:\nOdd: the defect's own text")

    monkeypatch.setattr(ray, "get", get)
    with pytest.raises(ray.exceptions.UnserializableException, match="the defect's own text"):
        ray_tasks.get_result("task", "a.tfrecords", FEWER)


def test_a_package_that_cannot_be_sent_is_one_line(monkeypatch):
    def get(task):
        raise ray.exceptions.RuntimeEnvSetupError("Traceback:\n  a.py\nOSError: no space left\n")

    monkeypatch.setattr(ray, "get", get)
    line = r"^a\.zip, a to b: the package cannot .* \(OSError: no space left\); fix .*repeat$"
    with pytest.raises(UserError, match=line):
        ray_tasks.get_result("task", "a.zip, a to b", FEWER)


def test_files_that_a_worker_does_not_see_are_one_line(tmp_path):
    ray_tasks.check_shared("data/", tmp_path)
    missing = tmp_path / "data" / "images.zip"
    with pytest.raises(UserError) as error:
        ray_tasks.check_shared("data/", tmp_path, missing)
    line = str(error.value)
    host = socket.gethostname()
    assert line.startswith(f"{missing}: not there, or not to be read, on {host}; data/ must lie")
    assert len(line.splitlines()) == 1


def test_a_file_that_a_worker_may_not_read_is_one_line(tmp_path, monkeypatch):
    # The superuser, who may run this, reads everything.
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.R_OK)
    with pytest.raises(UserError, match=r"not there, or not to be read, on .*; data/ must lie"):
        ray_tasks.check_shared("data/", tmp_path)
