"""Shards on a cluster of two nodes: another package there, workers and nodes that die, tokens."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from helpers.paths import DATA, ROOT, needs_data
from helpers.processes import environment, find_processes
from helpers.shards import write_shards
from helpers.stages import assert_one_line, files_below, write_project
from hourglass.data.archives import locate_pictures
from hourglass.data.tfrecords.index import write_index
from hourglass.data.tfrecords.plan import plan_archive_chunks, plan_splits
from hourglass.data.validation import check_records
from hourglass.keypoints import MPII

pytest.importorskip("ray", reason="the shard stage runs on Ray")
from helpers.clusters import NODE, two_node_cluster

PHOTOGRAPHS = DATA / "lspet-mini"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """It starts once; its workers find another `hourglass` in front of all that is installed."""
    other = tmp_path_factory.mktemp("other")
    (other / "hourglass").mkdir()
    (other / "hourglass" / "__init__.py").write_text("raise ImportError('another hourglass')")
    # Its processes are found by their MARK.
    with two_node_cluster(PYTHONPATH=str(other), MARK=str(other)) as cluster:
        cluster.mark = str(other)
        yield cluster


def start_stage(cluster, project, **changes):
    """The shard stage in `project`, on the cluster; `changes` are of its environment."""
    return subprocess.Popen(
        [sys.executable, ROOT / "stages" / "shard.py"], cwd=project, stderr=subprocess.PIPE,
        env=environment(RAY_ADDRESS=cluster.address, **changes), text=True,
    )  # fmt: skip


def assert_ends_with(process, project, expected):
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    found = files_below(project / "data" / "tfrecords")
    found.pop("invalid.csv")
    assert found == files_below(expected)
    assert not (project / "data" / ".chunks").exists()


@pytest.mark.slow
def test_the_shards_are_the_same_and_the_package_is_ours(
    cluster, tmp_path, raw_folder, persons, tiny_params, shard_folder
):
    project = write_project(tmp_path / "project", raw_folder, persons, tiny_params)
    assert_ends_with(start_stage(cluster, project), project, shard_folder)


@pytest.mark.slow
def test_a_token_that_the_cluster_does_not_want_is_one_line(
    cluster, tmp_path, raw_folder, persons, tiny_params
):
    project = write_project(tmp_path / "project", raw_folder, persons, tiny_params)
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 2}
    process = start_stage(cluster, project, **token)
    _, err = process.communicate(timeout=100)
    assert_one_line((process.returncode, [], err.splitlines()), "wants no token", "RAY_AUTH_MODE=")
    assert not (project / "data" / "tfrecords").exists()


@pytest.fixture(scope="module")
def photographs(tmp_path_factory, tiny_params):
    """A project of 2,089 photographs, and its shards as one process writes them."""
    folder, params = tmp_path_factory.mktemp("photographs"), tiny_params
    (folder / "raw").mkdir()
    with zipfile.ZipFile(folder / "raw" / "images.zip", "w") as archive:
        for path in sorted((PHOTOGRAPHS / "images").iterdir()):
            archive.write(path, f"images/{path.name}")
    persons = {}
    for split in ("train", "validation"):
        records = json.loads((PHOTOGRAPHS / f"{split}.json").read_text())
        persons[split], _ = check_records(records, None)
    write_project(folder / "project", folder / "raw", persons, params)
    shards, expected = plan_splits(persons, params.shard), folder / "expected"
    archive = folder / "raw" / "images.zip"
    chunks = plan_archive_chunks(persons, locate_pictures(archive))
    results = write_shards(expected, shards, chunks, persons, archive, params.shard)
    counts = {split: len(people) for split, people in persons.items()}
    write_index(expected, shards, results, counts, MPII, params.shard)
    return folder / "project", expected


def remove_node(cluster, tasks):
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)


def kill_worker(cluster, tasks):
    os.kill(tasks[0], signal.SIGKILL)


def find_tasks(cluster):
    """The processes that are at a chunk."""
    found = []
    for number in find_processes(cluster.mark):
        with contextlib.suppress(OSError):  # it has just ended
            # Linux keeps the first 15 characters of a process's name.
            if Path("/proc", number, "comm").read_text().strip() == "ray::archive_ch":
                found.append(int(number))
    return found


def wait_for_tasks(cluster, process, project, num_busy):
    """The processes that are at a chunk, once they are so many and a chunk is written."""
    tasks = []
    while len(tasks) < num_busy or not list(project.glob("data/.chunks/*/chunk_*")):
        assert process.poll() is None
        time.sleep(0.01)
        tasks = find_tasks(cluster)
    return tasks


@pytest.mark.slow
@needs_data("lspet-mini")
@pytest.mark.parametrize(("fault", "num_busy"), [(None, 2), (kill_worker, 1), (remove_node, 2)])
def test_a_worker_or_a_node_that_dies_half_way_changes_nothing(
    cluster, photographs, fault, num_busy
):
    project, expected = photographs
    shutil.rmtree(project / "data" / "tfrecords", ignore_errors=True)
    process = start_stage(cluster, project)
    try:
        tasks = wait_for_tasks(cluster, process, project, num_busy)
        if fault:
            fault(cluster, tasks)
        assert_ends_with(process, project, expected)
    finally:
        process.kill()
        if not cluster.worker_nodes:
            cluster.add_node(**NODE)
