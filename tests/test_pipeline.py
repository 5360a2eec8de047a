"""The DVC pipeline itself, run in a small copy of the project on a few drawn figures."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
STAGES = ["download", "parse", "shard", "train", "predict", "evaluate"]
SMALL = {
    ("data", "synthetic"): {"num_train": 12, "num_val": 6, "seed": 1},
    ("shard", "num_train_shards"): 3,
    ("shard", "num_val_shards"): 2,
    ("shard", "crop_size"): 64,
    ("model", "num_channels"): 8,
    ("model", "num_levels"): 2,
    ("model", "input_size"): 32,
    ("train", "epochs"): 1,
    ("train", "batch_size"): 4,
    ("predict", "num_figures"): 4,
}


def run(project, *command):
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(project.parent / "cache"),
        "DVC_NO_ANALYTICS": "1",
        "GIT_AUTHOR_NAME": "test", "GIT_AUTHOR_EMAIL": "test@localhost",
        "GIT_COMMITTER_NAME": "test", "GIT_COMMITTER_EMAIL": "test@localhost",
    }  # fmt: skip
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def stages_run(output):
    return [stage for stage in STAGES if f"Running stage '{stage}'" in output]


def stages_changed(project):
    status = json.loads(run(project, "dvc", "status", "--json"))
    return [stage for stage in STAGES if any(key.split(":")[-1] == stage for key in status)]


def change_params(project, section, **values):
    path = project / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params[section] |= values
    path.write_text(yaml.safe_dump(params))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A git and DVC project of its own, the pipeline run once; gives the folder and the output."""
    folder = tmp_path_factory.mktemp("pipeline") / "project"
    folder.mkdir()
    shutil.copy(ROOT / "dvc.yaml", folder)
    for name in ("src", "stages"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    params = yaml.safe_load((ROOT / "demo/params.yaml").read_text())
    for (section, key), value in SMALL.items():
        params[section][key] = value
    params["data"]["folder"] = "own"
    (folder / "own").mkdir()
    (folder / "own/README.md").write_text("empty\n")
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / ".gitignore").write_text("/data/raw/\n__pycache__/\nlogs/\n")
    run(folder, "git", "init", "-q")
    run(folder, "dvc", "init", "-q")
    output = run(folder, "dvc", "repro")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "first run")
    return folder, output


def test_all_stages_run_and_leave_their_files(project):
    folder, output = project
    assert stages_run(output) == STAGES
    metrics = json.loads((folder / "reports/metrics.json").read_text())
    assert metrics["num_persons"] == 6
    assert set(metrics) == {"pckh", "pckh_0.1", "auc", "num_persons", "num_joints"}
    shards = sorted(path.name for path in (folder / "data/tfrecords").glob("*.tfrecords"))
    assert shards == [f"train_000{k}_of_0003.tfrecords" for k in (1, 2, 3)] + [
        f"val_000{k}_of_0002.tfrecords" for k in (1, 2)
    ]
    for name in ("reports/figures/contact_sheet.jpg", "reports/pckh.md", "models/hourglass.keras",
                 "reports/plots/pckh_curve.csv", "reports/plots/history.csv"):  # fmt: skip
        assert (folder / name).stat().st_size > 0


def test_nothing_is_left_behind(project):
    folder, _ = project
    assert not list((folder.parent / "cache").rglob("*.npz"))
    strays = [p for p in folder.rglob("*") if p.name.endswith((".tmp", ".part", ".lock"))]
    assert [p for p in strays if ".dvc" not in p.parts and p.name != "dvc.lock"] == []


def test_a_second_run_has_nothing_to_do(project):
    assert stages_run(run(project[0], "dvc", "repro")) == []


@pytest.mark.parametrize(
    ("changed", "stages"),
    [
        ("src/hourglass/prediction/drawing.py", ["predict"]),
        ("src/hourglass/network/heatmaps.py", ["train", "predict"]),
        ("src/hourglass/raw/downloads.py", ["download"]),
        ("src/hourglass/evaluation/reporting.py", ["evaluate"]),
    ],
)
def test_changed_code_reruns_the_stages_that_import_it(project, changed, stages):
    path = project[0] / changed
    before = path.read_text()
    path.write_text(before + "\n# changed\n")
    try:
        assert stages_changed(project[0]) == stages
    finally:
        path.write_text(before)


def test_a_changed_number_of_shards_reruns_from_shard_on(project):
    path = project[0] / "params.yaml"
    before = path.read_text()
    change_params(project[0], "shard", num_train_shards=2)
    try:
        assert stages_changed(project[0]) == ["shard"]  # and what comes after it, by its new files
    finally:
        path.write_text(before)


def test_an_experiment_reruns_training_and_what_follows(project):
    folder, _ = project
    output = run(folder, "dvc", "exp", "run", "-n", "faster", "-S", "train.lr=7e-4")
    assert stages_run(output) == ["train", "predict", "evaluate"]
    assert yaml.safe_load((folder / "params.yaml").read_text())["train"]["lr"] == "7e-4" or (
        yaml.safe_load((folder / "params.yaml").read_text())["train"]["lr"] == 7e-4
    )
    shown = json.loads(run(folder, "dvc", "exp", "show", "--json"))
    assert "faster" in json.dumps(shown)
    difference = json.loads(run(folder, "dvc", "params", "diff", "--json"))
    assert "train.lr" in json.dumps(difference)
