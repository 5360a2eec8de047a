"""The stages as programs: shards and their memory, an idle pipeline, the start of light stages."""

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import samples
import tutorial
import yaml
from measure import Row, on_cores, run_measured

from hourglass.config import load_params

ROOT = Path(__file__).parents[1]
PARAMS = load_params(ROOT / "params.yaml")
OURS = [sys.executable, str(ROOT / "stages" / "shard.py")]
ENVIRONMENT = {"PYTHONPATH": str(ROOT / "src"), "RAY_USAGE_STATS_ENABLED": "0"}
LIGHT_STAGES = ("download", "parse", "shard", "evaluate")
MANY_FILES = 25_000  # pictures of MPII


def shard_rows(sample, folder, baseline, rounds, sizes):
    """Seconds and peak memory of the shard stage, on one core and two, at two sizes of dataset.

    Args:
        sizes: how often the sample is repeated.
    """
    for times in sizes:
        project = folder / f"x{times}"
        many = samples.repeat_sample(sample, times)
        commands = make_projects(project, many, baseline)
        for cores in (1, 2):
            results = {name: [] for name in commands}
            for _ in range(rounds if cores == 2 else 1):
                for name, command in commands.items():
                    with on_cores(cores):
                        results[name].append(run_measured(command, project / name, ENVIRONMENT))
            yield from describe_shards(f"{len(many.persons)} pictures", cores, results)
        shutil.rmtree(project)


def make_projects(project, sample, baseline):
    """Both projects' folders; the command of each."""
    samples.write_our_project(project / "ours", sample, PARAMS)
    commands = {"ours": OURS}
    if baseline:
        samples.write_tutorial_project(project / "tutorial", sample)
        commands["tutorial"] = [sys.executable, str(baseline.resolve() / tutorial.SHARD_SCRIPT)]
    return commands


def describe_shards(what, cores, results):
    columns = {name: list(zip(*runs, strict=True)) for name, runs in results.items()}
    (ours, *our_memory), theirs = columns["ours"], columns.get("tutorial")
    place = f"{what}, {cores} core{'s' * (cores > 1)}"
    memory = describe_memory(our_memory)
    if theirs:
        ratios = [a / b for a, b in zip(ours, theirs[0], strict=True)]
        yield Row(
            f"shard stage, {place}", f"{statistics.median(ours):.1f} s",
            f"{statistics.median(theirs[0]):.1f} s", f"{statistics.median(ratios):.2f}x",
            f"{min(ratios):.2f} - {max(ratios):.2f}", "<= 1x",
        )  # fmt: skip
    else:
        yield Row(f"shard stage, {place}", f"{statistics.median(ours):.1f} s", target="<= 1x")
    theirs = describe_memory(theirs[1:]) if theirs else ""
    yield Row(f"its peak memory: driver, largest worker, {place}", memory, theirs)


def describe_memory(columns):
    driver, worker = (max(column) for column in columns)
    return f"{driver}, {worker} MiB"


def start_rows(rounds):
    """Seconds until a light stage has loaded all it needs."""
    for stage in LIGHT_STAGES:
        seconds = [start_stage(stage) for _ in range(rounds)]
        yield Row(
            f"start of {stage}, TensorFlow not loaded", f"{statistics.median(seconds):.2f} s",
            spread=f"{min(seconds):.2f} - {max(seconds):.2f} s", target="< 1 s",
        )  # fmt: skip


def start_stage(stage):
    code = (
        f"import runpy, sys; runpy.run_path('stages/{stage}.py', run_name='loaded'); "
        "sys.exit('tensorflow' in sys.modules)"
    )
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ | ENVIRONMENT, check=True)
    return time.perf_counter() - start


def idle_rows(folder, rounds):
    """`dvc repro` with nothing to do, for a dataset folder of few files and of many."""
    for num_files in (10, MANY_FILES):
        project = folder / f"idle{num_files}"
        make_finished_project(project, num_files)
        seconds = [repro(project) for _ in range(rounds)]
        yield Row(
            f"dvc repro with nothing to do, {num_files:,} pictures in data.folder",
            f"{statistics.median(seconds):.1f} s",
            spread=f"{min(seconds):.1f} - {max(seconds):.1f} s", target="<= 3 s",
        )  # fmt: skip


def make_finished_project(project, num_files):
    """A copy of the pipeline whose outputs are there and committed; their content is a stand-in."""
    images = project / "data" / "own" / "images"
    images.mkdir(parents=True)
    for index in range(num_files):
        (images / f"{index}.jpg").write_bytes(b"%d" % index)
    shutil.copy(ROOT / "dvc.yaml", project)
    text = (ROOT / "params.yaml").read_text()
    (project / "params.yaml").write_text(
        text.replace("folder: stages/download.py", "folder: data/own")
    )
    for name in ("src", "stages"):
        shutil.copytree(ROOT / name, project / name, symlinks=True)
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for stage in pipeline.values():
        for kind in ("outs", "metrics", "plots", "deps"):  # a file of an out can be a dep
            for out in stage.get(kind, []):
                make_output(project, out if isinstance(out, str) else next(iter(out)))
    for command in (["init", "--no-scm"], ["commit", "--force"]):
        dvc(project, *command)


def make_output(project, name):
    """A file, or a folder with as many files as there are shards, unless it is there."""
    name = name.replace("${data.dataset}", PARAMS.data.dataset)
    path = project / name.replace("${data.folder}", "data/own")
    if path.exists():
        return
    if path.suffix:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        return
    path.mkdir(parents=True)
    for index in range(PARAMS.shard.num_train_shards + PARAMS.shard.num_val_shards):
        (path / f"{index}").write_bytes(b"%d" % index)


def repro(project):
    start = time.perf_counter()
    output = dvc(project, "repro")
    assert "Data and pipelines are up to date" in output, output
    return time.perf_counter() - start


def dvc(project, *arguments):
    command = [str(Path(sys.executable).with_name("dvc")), *arguments]
    environment = os.environ | {"DVC_NO_ANALYTICS": "1"}
    result = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
