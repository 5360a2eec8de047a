"""Training on a cluster: workers, nodes and drivers lost at any moment, folders not shared."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ray
import yaml

from helpers.clusters import two_node_cluster
from helpers.lost_workers import MOMENTS, VICTIMS, train_with_loss
from helpers.paths import ROOT
from helpers.processes import environment, find_processes
from hourglass.distributed.ray_session import start_ray
from hourglass.distributed.ray_training import WorkerPlan, plan_workers, train_on_workers
from hourglass.training.work_dir import WorkDir
from hourglass.utils.errors import UserError
from hourglass.utils.files import exclusive_lock

MARK = f"cluster-{os.getpid()}"
LINES = {"Ctrl-C": signal.SIGINT, "SIGTERM": signal.SIGTERM, "kill -9": signal.SIGKILL}


@pytest.fixture(scope="module")
def cluster():
    """Two nodes, named by RAY_ADDRESS."""
    with two_node_cluster(MARK=MARK) as cluster, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", cluster.address)
        yield cluster
        ray.shutdown()


@pytest.fixture(scope="module")
def joined(cluster):
    """The cluster, and this process as a driver on it."""
    start_ray(None)
    return cluster


@pytest.fixture
def project(tmp_path, tiny_params, shard_folder, monkeypatch):
    """A Run in a project folder of its own, which is the current one."""
    return enter_project(tmp_path, tiny_params, shard_folder, monkeypatch)


def enter_project(folder, params, shards, monkeypatch):
    shutil.copytree(shards, folder / "data/tfrecords")
    (folder / "params.yaml").write_text(yaml.safe_dump(params.model_dump()))
    monkeypatch.chdir(folder)
    paths = ("data/tfrecords", "cache/state.npz", "logs", "models/hourglass.keras", "history.csv")
    return WorkDir(params, *map(Path, paths))


def train(plan, run):
    here, same_inputs = run.locks
    with exclusive_lock(here, "training"), exclusive_lock(same_inputs, "training"):
        train_on_workers(plan, run)


def read_outputs(run):
    return [path.read_bytes() for path in (run.network, run.history, run.checkpoint)]


@pytest.fixture(scope="module")
def undisturbed(joined, tmp_path_factory, tiny_params, shard_folder):
    """What a run leaves of which nothing is lost."""
    with pytest.MonkeyPatch.context() as patch:
        run = enter_project(tmp_path_factory.mktemp("plain"), tiny_params, shard_folder, patch)
        train(plan_workers(0), run)
        return read_outputs(run)


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("victim", VICTIMS)
def test_a_loss_changes_no_byte(joined, undisturbed, project, capsys, victim, moment):
    seconds = train_with_loss(joined, WorkerPlan(2, 0), project, victim, moment)
    assert read_outputs(project) == undisturbed
    out, err = capsys.readouterr()
    assert err.count(": all start again") == 1 and "going on after epoch" in out
    print(f"{victim} {moment}: {seconds:.1f} s to recover")


@pytest.mark.slow
def test_the_same_bytes_each_time(joined, undisturbed, project):
    train(WorkerPlan(2, 0), project)
    assert read_outputs(project) == undisturbed


@pytest.mark.slow
def test_a_mistake_of_the_users_is_not_tried_again(joined, project, capsys):
    values = {"lr": 1e30, "warmup_epochs": 0.0, "weight_decay": 0.0}
    params = project.params.model_copy(
        update={"train": project.params.train.model_copy(update=values)}
    )
    run = WorkDir(
        params, project.shards, project.checkpoint, project.logs, project.network, project.history
    )
    with pytest.raises(UserError, match=r"train.lr: the loss is not finite in epoch \d"):
        train(WorkerPlan(2, 0), run)
    assert "start again" not in capsys.readouterr().err


@pytest.mark.slow
def test_a_folder_that_workers_do_not_see_is_one_line(joined, project):
    # As on a host that has files of this name, but not this one's: its lock is not there.
    missing = pytest.raises(UserError, match=r"models is not the folder of that name where")
    with exclusive_lock(project.locks[1], "training"), missing:
        train_on_workers(WorkerPlan(2, 0), project)


@pytest.fixture
def stage(project, tmp_path):
    """The train stage in `tmp_path`, its output in a file there."""
    arguments = [sys.executable, "-u", str(ROOT / "stages/train.py")]
    # A process inherits that Ctrl-C is ignored, as it is for what a shell runs in the background.
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(
            arguments, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            env=environment(XDG_CACHE_HOME=str(tmp_path / "cache")),
        )  # fmt: skip
    signal.signal(signal.SIGINT, usual)
    yield process
    process.kill()
    process.wait()


def wait_for(text, folder, process, seconds=120):
    end = time.monotonic() + seconds
    while text not in (folder / "log").read_text():
        assert process.poll() is None and time.monotonic() < end, (folder / "log").read_text()
        time.sleep(0.1)


def find_workers():
    """The processes of the cluster that train."""
    found = []
    for pid in find_processes(MARK):
        with contextlib.suppress(OSError):
            command = Path("/proc", pid, "cmdline").read_bytes()
            found += [pid] if command.startswith(b"ray::Worker") else []
    return found


@pytest.mark.slow
def test_the_stage_trains_on_the_cluster(cluster, project, stage, tmp_path):
    assert stage.wait(180) == 0, (tmp_path / "log").read_text()
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[0] == (
        "14 train and 5 validation records, 3 steps of 4 an epoch, on 2 workers, each on the CPU: "
        "no GPU found"
    )
    assert sum(line.startswith("epoch ") for line in lines) == 3
    assert project.network.is_file() and Path("reports/plots/history.csv").is_file()
    assert len(list(Path("logs").glob("*/events.*"))) == 1
    assert not list(Path("cache/hourglass").iterdir())


@pytest.fixture
def endless(project):
    """The project with more epochs than a test can wait for."""
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["train"]["epochs"] = 10_000
    Path("params.yaml").write_text(yaml.safe_dump(params))


@pytest.mark.slow
@pytest.mark.parametrize("kind", LINES)
def test_the_driver_takes_the_workers_with_it(cluster, endless, stage, tmp_path, kind):
    wait_for("epoch   2/", tmp_path, stage)
    assert find_workers()  # as many as hosts are left by the tests before
    stage.send_signal(LINES[kind])
    stage.wait(60)
    end = time.monotonic() + 60
    while find_workers() and time.monotonic() < end:
        time.sleep(0.1)
    assert not find_workers()
    ends = {"Ctrl-C": (130, "interrupted"), "SIGTERM": (143, "terminated")}
    if kind in ends:
        last = (tmp_path / "log").read_text().splitlines()[-1]
        assert (stage.returncode, last) == ends[kind]
        assert not list(tmp_path.rglob("*.lock"))
