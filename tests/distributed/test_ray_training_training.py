"""What is decided about training on a cluster; no Ray is started here."""

import os
import socket
from pathlib import Path

import pytest
import ray

from hourglass.distributed import ray_training
from hourglass.distributed.ray_training import (
    Console,
    PeerLostError,
    WorkerPlan,
    plan_workers,
    train_on_workers,
)
from hourglass.training.work_dir import WorkDir
from hourglass.utils.errors import UserError

LOST_DEFECT = ray.exceptions.UnserializableException("KeyError: 7")
DEFECT = ray.exceptions.RayTaskError("train", "Traceback", ValueError())


@pytest.fixture
def plan(monkeypatch):
    """A function (num_workers, hosts as (CPUs, GPUs)) that plans for such a cluster."""

    def plan(num_workers, *hosts):
        nodes = [{"Alive": True, "Resources": {"CPU": c, "GPU": g}} for c, g in hosts]
        nodes.append({"Alive": False, "Resources": {}})
        monkeypatch.setattr(ray, "nodes", lambda: nodes)
        return plan_workers(num_workers)

    return plan


@pytest.mark.parametrize(
    ("num_workers", "hosts", "expected"),
    [
        (0, [(2, 0), (2, 0)], (2, 0)),
        (0, [(2, 0), (0, 0)], (1, 0)),
        (3, [(2, 0), (2, 0)], (3, 0)),
        (0, [(8, 4), (8, 4)], (2, 4)),
        (0, [(8, 0), (8, 4), (8, 4)], (2, 4)),  # the head has none
        (0, [(8, 2), (8, 4)], (2, 2)),
        (1, [(8, 2), (8, 4)], (1, 4)),
        (4, [(8, 4), (8, 4)], (4, 2)),
        (3, [(8, 4), (8, 4)], (3, 2)),
        (8, [(8, 4), (8, 4)], (8, 1)),
        (6, [(8, 4), (8, 2)], (6, 1)),
        (3, [(16, 8), (16, 2)], (3, 2)),
    ],
)
def test_workers_are_spread_over_the_hosts(plan, num_workers, hosts, expected):
    assert plan(num_workers, *hosts) == WorkerPlan(*expected)


@pytest.mark.parametrize(
    ("num_workers", "hosts", "line"),
    [
        (9, [(16, 4), (16, 4)], "9 workers want a GPU each, and the cluster's hosts have 4, 4;"),
        (3, [(1, 0), (1, 0)], "3 workers want a CPU each, and the cluster's hosts have 1, 1;"),
        (0, [(0, 0)], "1 workers want a CPU each, and the cluster's hosts have 0;"),
    ],
)
def test_more_workers_than_devices_are_refused(plan, num_workers, hosts, line):
    with pytest.raises(UserError, match=line):
        plan(num_workers, *hosts)


def test_a_plan_tells_its_devices():
    assert WorkerPlan(2, 0).devices == ["CPU", "CPU"]
    assert WorkerPlan(1, 2).devices == ["CPU GPU GPU"]


@pytest.fixture
def run(tiny_params, tmp_path, monkeypatch):
    """A Run in the folder tmp_path, whose locks and index are there."""
    monkeypatch.chdir(tmp_path)
    paths = ("shards", "state.npz", "logs", "models/network.keras", "history.csv")
    made = WorkDir(tiny_params, *map(Path, paths))
    for path in (*made.locks, made.shards / "index.json"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return made


@pytest.fixture
def attempts(monkeypatch):
    """A list of what each Group in turn does: an exception to raise, or a function to call."""
    actions = []

    class Group:
        def __init__(self, plan):
            self.action = actions.pop(0)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def train(self, run):
            if isinstance(self.action, Exception):
                raise self.action
            self.action()

    monkeypatch.setattr(ray_training, "WorkerGroup", Group)
    return actions


def test_after_a_loss_all_start_again(run, attempts, capsys):
    died = ray.exceptions.ActorDiedError()
    attempts += [PeerLostError("reset"), died, lambda: None]
    train_on_workers(WorkerPlan(2, 0), run)
    assert not attempts
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "a worker was lost (reset): all start again" and len(lines) == 2


def test_losses_without_an_epoch_between_them_end_the_run(run, attempts):
    attempts += [PeerLostError("reset")] * 3
    with pytest.raises(UserError, match=r"lost 3 times without an epoch's end \(reset\); look"):
        train_on_workers(WorkerPlan(2, 0), run)


def test_epochs_between_losses_renew_the_patience(run, attempts):
    def lose_after_epoch():
        run.checkpoint.touch()
        os.utime(
            run.checkpoint, ns=(0, len(attempts))
        )  # a clock's ticks may be longer than an attempt
        raise PeerLostError("reset")

    attempts += [lose_after_epoch] * 6 + [lambda: None]
    train_on_workers(WorkerPlan(2, 0), run)
    assert not attempts


@pytest.mark.parametrize("error", [UserError("bad"), DEFECT, LOST_DEFECT, OSError(28, "disk full")])
def test_other_errors_are_not_tried_again(run, attempts, error):
    attempts.append(error)
    with pytest.raises(type(error)):
        train_on_workers(WorkerPlan(2, 0), run)


def test_the_error_behind_a_lost_worker_is_told(monkeypatch):
    errors = {"first": PeerLostError("reset"), "second": UserError("bad")}
    monkeypatch.setattr(ray_training, "_find_error", errors.get)
    monkeypatch.setattr(ray, "wait", lambda tasks, **_: (tasks, []))
    with pytest.raises(UserError, match="bad"):
        ray_training._check("first", list(errors))


@pytest.mark.parametrize("name", ["models/.train.lock", "state.lock", "shards/index.json"])
def test_a_folder_that_is_not_shared_is_one_line(run, tmp_path, name):
    ray_training._enter_project(tmp_path, run)
    (tmp_path / name).unlink()
    with pytest.raises(UserError) as caught:
        ray_training._enter_project(tmp_path, run)
    folder = (tmp_path / name).parent
    text = str(caught.value)
    assert text.startswith(f"{socket.gethostname()}: {folder} is not the folder of that name")
    assert len(text.splitlines()) == 1


def test_a_console_keeps_both_streams_in_order():
    chunks = []
    out, err = (Console(name, chunks, True) for name in ("stdout", "stderr"))
    print("one", file=out)
    print("two", file=err, end="")
    print("three", file=out, end="", flush=True)
    written = [chunk for chunk in chunks if chunk[1]]
    assert written == [("stdout", "one"), ("stdout", "\n"), ("stderr", "two"), ("stdout", "three")]
    assert out.isatty() and not Console("stdout", chunks, False).isatty()


def test_gpus_that_tensorflow_does_not_find_are_one_line(run):
    with pytest.raises(UserError, match=r"TensorFlow finds \d+ GPUs where Ray gives 99; install"):
        ray_training._train(run, 99, is_alone=True)
