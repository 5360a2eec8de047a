"""The DVC pipeline, run as in demo/ in a small copy of the project on a few drawn figures."""

import json
import shutil
import zipfile

import pytest
import yaml

from helpers.paths import ROOT, STAGES
from helpers.projects import make_project, run

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
    """A git repository, in it a DVC project that links to the code, as demo/ does, run once.

    Gives the DVC project's folder and the output of the run.
    """
    folder = make_project(tmp_path_factory.mktemp("pipeline") / "project", SMALL)
    output = run(folder, "dvc", "repro")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "first run")
    return folder, output


def test_all_stages_run_and_leave_their_files(project):
    folder, output = project
    assert stages_run(output) == list(STAGES)
    metrics = json.loads((folder / "reports/metrics.json").read_text())
    assert (metrics["num_persons"], metrics["num_invalid"], metrics["num_unreadable"]) == (6, 0, 0)
    assert {"pckh", "pckh_0.1", "auc", "num_joints"} < set(metrics)
    shards = sorted(path.name for path in (folder / "data/tfrecords").glob("*.tfrecords"))
    assert shards == [f"train_000{k}_of_0003.tfrecords" for k in (1, 2, 3)] + [
        f"val_000{k}_of_0002.tfrecords" for k in (1, 2)
    ]
    for name in ("reports/figures/contact_sheet.jpg", "reports/pckh.md", "models/hourglass.keras",
                 "models/hourglass.onnx", "reports/index.html",
                 "reports/plots/pckh_curve.csv", "reports/plots/history.csv"):  # fmt: skip
        assert (folder / name).stat().st_size > 0


def test_nothing_is_left_behind(project):
    folder, _ = project
    assert not list((folder.parents[1] / "cache").rglob("*.npz"))
    strays = [p for p in folder.rglob("*") if p.name.endswith((".tmp", ".part", ".lock"))]
    assert [p for p in strays if ".dvc" not in p.parts and p.name != "dvc.lock"] == []


def test_a_second_run_has_nothing_to_do(project):
    assert stages_run(run(project[0], "dvc", "repro")) == []


@pytest.mark.parametrize(
    ("changed", "stages"),
    [
        ("src/hourglass/utils/files.py", list(STAGES)),
        ("src/hourglass/models/codec.py", ["train", "predict", "report", "export"]),
        ("src/hourglass/training/loggers.py", ["train"]),
        ("src/hourglass/evaluation/reporting.py", ["predict", "evaluate", "report"]),
        ("src/hourglass/report/style.css", ["report"]),
        ("src/hourglass/export/onnx_format.py", ["export"]),
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
        # And what comes after it, by its new files; the report names the parameters of all.
        assert stages_changed(project[0]) == ["shard", "report"]
    finally:
        path.write_text(before)


def test_the_own_folder_reruns_download_where_it_is_named_and_only_there(project):
    folder, _ = project
    own = folder.parent / "data/own"
    with zipfile.ZipFile(folder / "data/raw/synthetic/images.zip") as pictures:
        pictures.extractall(own)
    for name in ("train.json", "validation.json"):
        shutil.copy(folder / "data/raw/synthetic" / name, own)
    assert stages_changed(folder) == []
    change_params(folder, "data", dataset="folder", folder="../data/own")
    try:
        assert stages_run(run(folder, "dvc", "repro", "download")) == ["download"]
        (own / "train.json").write_text((own / "train.json").read_text() + "\n")
        assert "data/own" in run(folder, "dvc", "status", "download")
    finally:
        run(folder, "git", "checkout", "params.yaml", "dvc.lock")


def test_plots_are_those_asked_for(project):
    shown = json.loads(run(project[0], "dvc", "plots", "show", "--json"))
    wanted = yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]
    assert list(shown["data"]) == [p if isinstance(p, str) else next(iter(p)) for p in wanted]
    assert "errors" not in shown
    for name in ("history", "pckh_curve"):
        columns = (project[0] / f"reports/plots/{name}.csv").read_text().splitlines()[0]
        assert "." not in columns  # Vega draws nothing for those


@pytest.mark.slow
def test_an_experiment_in_a_copy_of_the_tree_reruns_training_and_what_follows(project):
    folder, _ = project
    raw = ("-C", "data/raw")  # not cached, so not there
    output = run(folder, "dvc", "exp", "run", "--temp", *raw, "-n", "slow", "-S", "train.lr=7e-4")
    assert stages_run(output) == ["train", "predict", "evaluate", "report", "export"]
    assert run(folder, "git", "status", "--porcelain", "-uno") == ""
    run(folder, "dvc", "exp", "apply", "slow")
    assert (folder / "src").is_symlink()  # and not the code itself, committed in its place
    assert stages_changed(folder) == []
    assert float(yaml.safe_load((folder / "params.yaml").read_text())["train"]["lr"]) == 7e-4
    shown = json.loads(run(folder, "dvc", "exp", "show", "--json"))
    assert "slow" in json.dumps(shown)
    difference = json.loads(run(folder, "dvc", "params", "diff", "--json"))
    assert "train.lr" in json.dumps(difference)
