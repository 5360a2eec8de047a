"""Stages: alone, in the wrong order, twice, two at once, on half-written or foreign input."""

import dataclasses
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from helpers.marks import mostly_slow
from helpers.networks import make_params
from helpers.paths import ROOT
from helpers.processes import environment, find_processes, run_python, wait_for_none
from helpers.stages import (
    STAGES,
    assert_one_line,
    files_below,
    load_stages,
    run_stage,
    run_stages,
)
from hourglass.data.person import load_persons, save_persons
from hourglass.keypoints import MPII
from hourglass.models.registry import build_model
from hourglass.models.saving import save_network
from hourglass.utils import files

# These take seconds to build their graphs; one case of each is enough for every day.
MOSTLY_QUICK = [
    pytest.param(stage, marks=pytest.mark.slow) if stage in ("train", "export") else stage
    for stage in STAGES
]
OUTS = {
    "download": "data/raw",
    "parse": "data/annotations",
    "shard": "data/tfrecords",
    "encoder": "models",
    "train": "models",
    "predict": "reports",
    "evaluate": "reports",
    "report": "reports",
    "export": "models",
}
RAW = Path("data/raw/synthetic")
ANNOTATIONS = Path("data/annotations")
INVALID = ANNOTATIONS / "invalid.csv"
SHARDS = Path("data/tfrecords")
MODEL = Path("models/hourglass.keras")
ENCODER = Path("models/encoder.npz")
EXPORTED = Path("models/hourglass.onnx")
PREDICTIONS = Path("reports/predictions.json")
METRICS = Path("reports/metrics.json")
HISTORY = Path("reports/plots/history.csv")
CURVE = Path("reports/plots/pckh_curve.csv")
FIGURES = Path("reports/figures")
REPORT = Path("reports/index.html")


@pytest.fixture(scope="session")
def stages():
    """The eight stages; the shard stage writes its shards here, without Ray."""
    return load_stages()


@pytest.fixture(scope="session")
def finished(tmp_path_factory, tiny_params, stages):
    """A project in which all stages have run, by hand, one after the other."""
    folder = run_stages(tmp_path_factory.mktemp("finished"), stages, tiny_params)
    assert not files_below(folder / "cache")
    return folder


@pytest.fixture
def run(tmp_path, monkeypatch, stages, capsys):
    """A function that runs a stage in the current, empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return lambda name: run_stage(stages[name], capsys)


@pytest.fixture
def project(run, finished):
    """The same in a copy of the finished project."""
    shutil.copytree(finished, ".", dirs_exist_ok=True)
    shutil.rmtree("logs")
    return run


def run_unchanged(run, name):
    """Run a stage that must fail, and see that it changes no file."""
    before = files_below(".")
    result = run(name)
    after = files_below(".")
    assert {path for path in after if not path.startswith("logs/")} == set(before)
    assert all(after[path] == data for path, data in before.items())
    return result


# Alone, in the wrong order, twice


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_in_an_empty_folder_is_one_line(run, stage):
    line = "params.yaml: not found; run this in a folder that has a params.yaml"
    if stage == "evaluate":  # it has no parameters
        line = "data/annotations/schema.json: "
    elif stage == "export":  # nor this
        line = "models/hourglass.keras: no such network; "
    assert_one_line(run_unchanged(run, stage), line)


MISSING = {
    "parse": (RAW, "data/raw/synthetic/"),
    "shard": (ANNOTATIONS, "data/annotations/schema.json: "),
    "train": (SHARDS, "data/tfrecords/index.json: missing; run `dvc repro shard`"),
    "predict": (MODEL, "models/hourglass.keras: no such network; train one "),
    "evaluate": (PREDICTIONS, "predictions.json: not found; run `dvc repro predict`"),
    "report": (METRICS, "reports/metrics.json: not found; run `dvc repro evaluate`"),
    "export": (MODEL, "models/hourglass.keras: no such network; train one "),
}


@pytest.mark.parametrize("stage", MISSING)
def test_a_stage_before_the_one_it_needs_is_one_line(project, stage):
    path, line = MISSING[stage]
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert_one_line(run_unchanged(project, stage), line)


@pytest.mark.parametrize("stage", MISSING)
def test_a_stage_alone_with_its_params_is_one_line(run, finished, stage):
    shutil.copy(finished / "params.yaml", ".")
    code, _, err = run_unchanged(run, stage)
    assert code == 1 and len(err) == 1 and err[0].startswith("error: ")


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_run_twice_gives_the_same_bytes(project, stage):
    before = files_below(".")
    assert project(stage)[0] == 0
    after = {path: data for path, data in files_below(".").items() if not path.startswith("logs/")}
    assert after == before


@pytest.mark.parametrize("stage", MOSTLY_QUICK)
def test_a_stage_whose_outs_are_gone_gives_the_same_bytes(project, stage):
    before = files_below(OUTS[stage])
    kept = {
        "encoder": [MODEL.name, EXPORTED.name],
        "train": [ENCODER.name, EXPORTED.name],
        "predict": ["metrics.json", "pckh.md", "plots", REPORT.name],
        "evaluate": ["figures", REPORT.name],
        "report": ["metrics.json", "pckh.md", "plots", "figures", PREDICTIONS.name],
        "export": [MODEL.name, ENCODER.name],
    }.get(stage, [])
    for path in Path(OUTS[stage]).iterdir():
        if stage == "evaluate" and path.name == PREDICTIONS.name:
            continue
        if path.name not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert project(stage)[0] == 0
    if stage != "train":
        Path("reports/plots").mkdir(exist_ok=True)
    found = files_below(OUTS[stage])
    if stage == "evaluate":  # its plots lie beside those of train
        before.pop("plots/history.csv")
    assert found == before


@pytest.mark.parametrize("stage", MOSTLY_QUICK)
def test_what_a_killed_stage_left_is_overwritten(project, stage):
    before = files_below(".")
    left = {
        "download": RAW / ".images.zip.tmp",
        "parse": ANNOTATIONS / ".train.json.tmp",
        "shard": SHARDS / ".index.json.tmp",
        "encoder": ENCODER.with_name(".encoder.npz.tmp"),
        "train": MODEL.with_name(".hourglass.keras.tmp"),
        "predict": PREDICTIONS.with_name(".predictions.json.tmp"),
        "evaluate": Path("reports/.metrics.json.tmp"),
        "report": Path("reports/.index.html.tmp"),
        "export": EXPORTED.with_name(".hourglass.onnx.tmp"),
    }
    locks = {
        "download": RAW / ".lock",
        "encoder": Path("models/.encoder.lock"),
        "train": Path("models/.train.lock"),
        "report": Path("reports/.report.lock"),
        "export": Path("models/.export.lock"),
    }
    left[stage].write_bytes(b"half a file")
    locks.get(stage, Path(OUTS[stage]).parent / f".{stage}.lock").write_text("4194303")
    assert project(stage)[0] == 0
    found = {path: data for path, data in files_below(".").items() if not path.startswith("logs/")}
    lock = f".{stage}.lock"
    if stage in ("predict", "evaluate"):  # theirs lie in reports/
        found.pop(lock)
    assert found == before


DRAW = """
from pathlib import Path
from hourglass.config import SyntheticParams
from hourglass.data.synthetic.pictures import write_dataset
if __name__ == "__main__":
    write_dataset(Path("raw"), SyntheticParams(num_train=20_000, num_val=1, seed=1))
"""


def test_a_killed_download_stage_leaves_no_process(tmp_path):
    (tmp_path / "draw.py").write_text(DRAW)
    marked = environment(MARK=str(tmp_path))
    process = subprocess.Popen([sys.executable, "draw.py"], cwd=tmp_path, env=marked)
    archive = tmp_path / "raw" / ".images.zip.tmp"
    while not archive.is_file() or archive.stat().st_size == 0:  # the workers draw
        assert process.poll() is None
        time.sleep(0.01)
    assert len(find_processes(tmp_path)) > 1
    process.kill()
    process.wait()
    assert not wait_for_none(tmp_path)


# Two at once


LOCKS = {
    "download": (RAW / ".lock", "filling data/raw/synthetic"),
    "parse": ("data/.parse.lock", "writing data/annotations"),
    "shard": ("data/.shard.lock", "writing data/tfrecords"),
    "encoder": ("models/.encoder.lock", "fetching the encoder here"),
    "train": ("models/.train.lock", "training here"),
    "predict": ("reports/.predict.lock", "predicting here"),
    "evaluate": ("reports/.evaluate.lock", "writing the scores to reports"),
    "report": ("reports/.report.lock", "writing reports/index.html"),
    "export": ("models/.export.lock", "exporting here"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_second_copy_of_a_stage_says_who_is_at_it(project, stage):
    path, what = LOCKS[stage]
    before = files_below(".")
    with files.exclusive_lock(path, "test"):
        result = project(stage)
    assert_one_line(result, "error: process ", f" is {what}: wait for it")
    found = {path: data for path, data in files_below(".").items() if not path.startswith("logs/")}
    assert found == before


@pytest.mark.slow
def test_two_folders_that_train_the_same_at_once_end_with_the_same_bytes(
    project, tmp_path, tmp_path_factory
):
    other = tmp_path_factory.mktemp("clone") / "project"
    shutil.copytree(tmp_path, other)
    outs = [folder / name for folder in (tmp_path, other) for name in (MODEL, HISTORY)]
    for path in outs:
        path.unlink()  # as DVC does
    command = [sys.executable, str(ROOT / "stages/train.py")]
    changes = environment(XDG_CACHE_HOME=str(tmp_path / "cache"))
    trainings = [
        subprocess.Popen(command, cwd=folder, env=changes, stderr=subprocess.PIPE, text=True)
        for folder in (tmp_path, other)
    ]
    said = "".join(training.communicate(timeout=200)[1] for training in trainings)
    assert [training.returncode for training in trainings] == [0, 0], said
    assert said.count("is training with the same inputs, in /") == 1
    one, history, two, others = (path.read_bytes() for path in outs)
    assert (one, history) == (two, others)


# Full disks


FULL = [
    ("parse", ANNOTATIONS / "invalid.csv"),
    ("parse", ANNOTATIONS / "train.json"),
    pytest.param("train", MODEL, marks=pytest.mark.slow),
    pytest.param("train", Path("reports/plots/history.csv"), marks=pytest.mark.slow),
    pytest.param("predict", PREDICTIONS, marks=pytest.mark.slow),
    ("evaluate", METRICS),
    ("report", REPORT),
    ("evaluate", Path("reports/plots/pckh_curve.png")),
    pytest.param("export", EXPORTED, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("stage", "path"), FULL, ids=str)
def test_a_full_disk_is_one_line_and_leaves_no_half_file(project, stage, path):
    wanted = files_below(".")
    path.unlink()
    path.with_name(f".{path.name}.tmp").symlink_to("/dev/full")
    code, out, err = project(stage)
    err = [line for line in err if "images/s" not in line]  # how long training takes
    assert_one_line((code, out, err), f"{path}: No space left on device; make room on the disk")
    assert not path.exists()
    assert project(stage)[0] == 0
    found = {path: data for path, data in files_below(".").items() if not path.startswith("logs/")}
    assert found == wanted


# Half-written and foreign input


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_last(path):
    path.write_bytes(path.read_bytes()[:-3])


def edit_json(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def reset(path, text):
    return lambda: path.write_text(text)


def cut_figure():
    path = min(FIGURES.glob("[0-9]*.jpg"))
    path.write_bytes(path.read_bytes()[:-400])


def drop_shards(pattern):
    for path in list(SHARDS.glob(pattern))[:1]:
        path.unlink()


def use_other_persons(count):
    people = load_persons(ANNOTATIONS / "validation.json")
    others = [dataclasses.replace(p, image=f"other_{p.image}") for p in people]
    save_persons(ANNOTATIONS / "validation.json", (others * 2)[:count])


def write_invalid(lost_joints, index="0", split="validation"):
    header = "split,index,image,reason,lost_joints\n"
    INVALID.write_text(f"{header}{split},{index},a.jpg,bad,{lost_joints}\n")


def change_params(section, **values):
    params = yaml.safe_load(Path("params.yaml").read_text())
    params[section] |= values
    Path("params.yaml").write_text(yaml.safe_dump(params))


# stage, damage -> (what is done, a part of the line)
HALF_WRITTEN = {
    ("parse", "train.json cut"): (lambda: cut(RAW / "train.json"), "train.json"),
    ("parse", "validation.json empty"): (
        lambda: (RAW / "validation.json").write_text(""), "validation.json",
    ),
    ("parse", "no images.zip"): ((RAW / "images.zip").unlink, "images.zip"),
    ("parse", "images.zip cut"): (lambda: cut(RAW / "images.zip"), "images.zip"),
    ("parse", "another dataset in params"): (
        lambda: change_params("data", dataset="lspet"), "data/raw/lspet",
    ),
    ("shard", "train.json cut"): (lambda: cut(ANNOTATIONS / "train.json"), "train.json"),
    ("shard", "validation.json cut at its end"): (
        lambda: cut_last(ANNOTATIONS / "validation.json"), "validation.json",
    ),
    ("shard", "no validation.json"): (
        (ANNOTATIONS / "validation.json").unlink, "validation.json",
    ),
    ("shard", "no images.zip"): ((RAW / "images.zip").unlink, "images.zip"),
    ("shard", "images.zip cut"): (lambda: cut(RAW / "images.zip"), "images.zip"),
    ("shard", "persons on other pictures"): (lambda: use_other_persons(5), "validation: 5 of 5"),
    ("train", "half the train shards"): (lambda: drop_shards("train*"), "tfrecords: missing"),
    ("train", "half the validation shards"): (lambda: drop_shards("val*"), "tfrecords: missing"),
    ("train", "no index"): ((SHARDS / "index.json").unlink, "index.json: missing"),
    ("train", "index cut"): (lambda: cut(SHARDS / "index.json"), "index.json: damaged"),
    ("predict", "network cut"): (lambda: cut(MODEL), "hourglass.keras: not a whole .keras archive"),
    ("predict", "annotations cut"): (
        lambda: cut(ANNOTATIONS / "validation.json"), "validation.json",
    ),
    ("predict", "half the shards"): (lambda: drop_shards("val*"), "tfrecords: missing"),
    ("predict", "fewer persons than records"): (
        lambda: use_other_persons(3), "made from other annotations than those of now",
    ),
    ("predict", "as many other persons"): (
        lambda: use_other_persons(5), "made from other annotations than those of now",
    ),
    ("evaluate", "predictions cut"): (lambda: cut(PREDICTIONS), "predictions.json: not JSON at"),
    ("evaluate", "predictions cut at their end"): (
        lambda: cut_last(PREDICTIONS), "predictions.json: not JSON at",
    ),
    ("evaluate", "predictions empty"): (
        lambda: PREDICTIONS.write_text(""), "predictions.json: the file is empty",
    ),
    ("evaluate", "one prediction less"): (
        lambda: edit_json(PREDICTIONS, lambda v: v["persons"].pop()), "4 entries for 5 validation",
    ),
    ("evaluate", "predictions in another order"): (
        lambda: edit_json(PREDICTIONS, lambda v: v["persons"].reverse()), "entry 0: image ",
    ),
    ("evaluate", "predictions of other pictures"): (
        lambda: use_other_persons(5), "entry 0: image ",
    ),
    ("evaluate", "annotations cut"): (
        lambda: cut(ANNOTATIONS / "validation.json"), "validation.json",
    ),
    ("evaluate", "annotations without head sizes"): (
        lambda: edit_json(ANNOTATIONS / "validation.json", lambda v: v[2].pop("head_size")),
        "validation.json: record 2: no 'head_size'; run `dvc repro parse`",
    ),
    ("evaluate", "no invalid.csv"): (
        INVALID.unlink, "invalid.csv: cannot be read: No such file or directory; run `dvc repro",
    ),
    ("evaluate", "invalid.csv empty"): (
        lambda: INVALID.write_text(""), "invalid.csv: the first line is not split,index,",
    ),
    ("evaluate", "invalid.csv without what is lost"): (
        lambda: INVALID.write_text("split,index,image,reason\n"), "invalid.csv: the first line is",
    ),
    ("evaluate", "invalid.csv cut in a row"): (
        lambda: write_invalid("0011001"), "invalid.csv: row 2 is no invalid record; run",
    ),
    ("evaluate", "invalid.csv with other flags"): (
        lambda: write_invalid("2" * 16), "invalid.csv: row 2 is no invalid record; run",
    ),
    ("evaluate", "invalid.csv with a column more"): (
        lambda: write_invalid("1" * 16 + ",7"), "invalid.csv: row 2 is no invalid record",
    ),
    ("evaluate", "invalid.csv without a number"): (
        lambda: write_invalid("1" * 16, index="one"), "invalid.csv: row 2 is no invalid record",
    ),
    ("evaluate", "invalid.csv of another split"): (
        lambda: write_invalid("1" * 16, split="val"), "invalid.csv: row 2 is no invalid record",
    ),
    ("evaluate", "invalid.csv of zeros"): (
        lambda: INVALID.write_bytes(b"\0" * 5_000), "invalid.csv: ",
    ),
    ("evaluate", "invalid.csv with a cell without end"): (
        lambda: write_invalid("1" * 500_000), "invalid.csv: cannot be read: field larger than",
    ),
    ("report", "metrics cut"): (lambda: cut(METRICS), "reports/metrics.json: not JSON at line"),
    ("report", "metrics of something else"): (
        reset(METRICS, "[1, 2]"), "reports/metrics.json: does not hold the scores of a run; run ",
    ),
    ("report", "metrics without a joint"): (
        lambda: edit_json(METRICS, lambda v: v["pckh"].pop("knee")), "metrics.json: does not hold",
    ),
    ("report", "a score above 100"): (
        lambda: edit_json(METRICS, lambda v: v.update(auc=100.5)), "metrics.json: does not hold",
    ),
    ("report", "a score that is a word"): (
        lambda: edit_json(METRICS, lambda v: v.update(auc="76")), "metrics.json: does not hold",
    ),
    ("report", "half a person"): (
        lambda: edit_json(METRICS, lambda v: v.update(num_persons=2.5)), "metrics.json: does not",
    ),
    ("report", "no history"): (HISTORY.unlink, "history.csv: not found; run `dvc repro train`"),
    ("report", "history empty"): (
        reset(HISTORY, ""), "history.csv: not a table of epoch, loss, val_pckh, val_pckh_0_1; run",
    ),
    ("report", "history without a score"): (
        reset(HISTORY, "epoch,lr,loss,val_pckh,val_pckh_0_1\n1,1,1,,1\n"),
        "history.csv: an epoch without a score; run `dvc repro train`",
    ),
    ("report", "curve of zeros"): (
        lambda: CURVE.write_bytes(b"\0" * 3_000), "pckh_curve.csv: not a table of threshold, total",
    ),
    ("report", "curve cut"): (lambda: cut(CURVE), "pckh_curve.csv: not "),
    ("report", "no figures"): (
        lambda: shutil.rmtree(FIGURES), "reports/figures: not found; run `dvc repro predict`",
    ),
    ("report", "a figure cut"): (cut_figure, ".jpg: damaged; run `dvc repro predict`"),
    ("report", "no invalid of the shards"): (
        (SHARDS / "invalid.csv").unlink, "data/tfrecords/invalid.csv: cannot be read: No such file",
    ),
    ("report", "annotations cut"): (lambda: cut(ANNOTATIONS / "train.json"), "train.json"),
    ("report", "no network"): (MODEL.unlink, "hourglass.keras: no such network; train one ("),
    ("report", "network cut"): (lambda: cut(MODEL), "hourglass.keras: damaged: "),
}  # fmt: skip


@pytest.mark.parametrize(("stage", "damage"), HALF_WRITTEN)
def test_half_written_or_foreign_input_is_one_line(project, stage, damage):
    make, part = HALF_WRITTEN[stage, damage]
    shutil.rmtree(OUTS[stage], ignore_errors=True) if stage in ("train", "parse", "shard") else None
    make()
    assert_one_line(project(stage), part)
    done = {"train": MODEL, "parse": ANNOTATIONS / "train.json", "shard": SHARDS / "train.json"}
    assert not done.get(stage, Path("nothing")).exists()


@pytest.mark.slow
def test_a_history_without_its_network_does_not_stop_training(project):
    wanted = files_below("models"), Path("reports/plots/history.csv").read_bytes()
    MODEL.unlink()
    assert project("train")[0] == 0
    assert (files_below("models"), Path("reports/plots/history.csv").read_bytes()) == wanted


STARTS = {
    "a file that is not there": ("gone.keras", "gone.keras: no such file; fix train.init_weights"),
    "a folder": ("data", "data: no such file; fix train.init_weights"),
    "no network": ("params.yaml", "params.yaml: not a whole .keras archive; train it again or "),
    "the shipped one, missing": ("shipped", "photographs.keras: missing; install hourglass again"),
    "another network's sizes": ("other.keras", "its sizes are not those of the model section of "),
}


@pytest.mark.parametrize("start", mostly_slow(STARTS, "another network's sizes"))
def test_a_start_that_cannot_be_used_is_one_line(project, monkeypatch, start):
    init_weights, part = STARTS[start]
    monkeypatch.setattr("hourglass.shipped.__file__", str(Path("nowhere/__init__.py").resolve()))
    save_network(build_model(make_params(), MPII), Path("other.keras"), ["lspet"])
    change_params("train", init_weights=init_weights)
    MODEL.unlink()
    assert_one_line(project("train"), part)
    assert not MODEL.exists()


# params.yaml


PARAMS = {
    "unknown key": lambda params: params["train"].update(learning_rate=1),
    "unknown section": lambda params: params.update(eval={}),
    "missing section": lambda params: params.pop("predict"),
    "missing key": lambda params: params["shard"].pop("seed"),
    "wrong type": lambda params: params["train"].update(epochs="many"),
    "a number as text": lambda params: params["shard"].update(num_train_shards="3"),
    "out of range": lambda params: params["parse"].update(max_invalid_fraction=1.5),
    "not finite": lambda params: params["train"].update(lr=float("nan")),
    "null section": lambda params: params.update(model=None),
    "inputs beyond the crops": lambda params: params["train"]["augment"].update(rotation=90),
}


@pytest.mark.parametrize(
    "stage", [stage for stage in STAGES if stage not in ("evaluate", "export")]
)
@pytest.mark.parametrize("fault", PARAMS)
def test_a_fault_in_params_is_one_line_before_any_work(project, stage, fault):
    params = yaml.safe_load(Path("params.yaml").read_text())
    PARAMS[fault](params)
    Path("params.yaml").write_text(yaml.safe_dump(params))
    assert_one_line(run_unchanged(project, stage), "error: params.yaml: ")


@pytest.mark.parametrize(
    "text", ["", "[]", "train: [", "\tdata: 1", "just words", "\ufeff", "data: &a [*a]"], ids=ascii
)
def test_a_params_file_that_is_none_is_one_line(project, text):
    Path("params.yaml").write_text(text, encoding="utf-8")
    assert_one_line(run_unchanged(project, "download"), "error: params.yaml: ")


@pytest.mark.slow
@pytest.mark.parametrize(
    "values",
    [
        {"precision": "mixed_float16"},
        {"precision": "mixed_bfloat16"},
        {"xla": True, "deterministic": False},
    ],
    ids=["float16", "bfloat16", "XLA"],
)
def test_a_gpu_recipe_on_a_cpu_trains(project, values):
    change_params("train", **values)
    MODEL.unlink()
    # In a process of its own: precision and determinism hold for all of one.
    run_python(ROOT / "stages" / "train.py", check=True)
    assert MODEL.exists()
