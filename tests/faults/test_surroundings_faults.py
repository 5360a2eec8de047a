"""Surroundings: caches, links, settings of home and environment, signals, two copies at once."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers.paths import ROOT
from helpers.processes import run_python
from helpers.stages import files_below
from hourglass.config import load_params
from hourglass.data.download import fetch_dataset
from hourglass.data.invalid import write_invalid
from hourglass.data.person import save_persons, save_schema
from hourglass.evaluation.predictions import save_predictions
from hourglass.keypoints import MPII
from hourglass.utils import devices
from hourglass.utils.errors import UserError

FOLDERS = (".", "demo", "lspet")
DVC_YAML = "stages: {copy: {cmd: cp in out, deps: [in], outs: [out]}}\n"


@pytest.fixture
def dvc(tmp_path, monkeypatch):
    """A function that runs DVC in `tmp_path`, a project with one stage and demo/'s settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))

    def run(*arguments):
        subprocess.run(["dvc", *arguments, "--quiet"], check=True)

    subprocess.run(["git", "init", "-q"], check=True)
    run("init")
    Path(".dvc/config").write_text((ROOT / "demo/.dvc/config").read_text())
    Path("dvc.yaml").write_text(DVC_YAML)
    Path("in").write_text("right")
    run("repro")
    Path("out").unlink()
    run("checkout")  # an out that comes from the cache may be a link into it
    return run


def test_an_edit_of_an_out_does_not_reach_the_cache(dvc):
    # Root may write to a file without write permission, and would through a link into the cache.
    Path("out").write_text("wrong")
    dvc("repro")
    assert Path("out").read_text() == "right"


def test_the_projects_have_the_same_settings_of_dvc():
    first, *others = ((ROOT / folder / ".dvc/config").read_text() for folder in FOLDERS)
    assert others == [first] * 2


def test_a_damaged_cache_is_found_and_made_again(dvc, tmp_path):
    # As an earlier version's hard links left it: DVC takes a read-only file for what its name says.
    (cached,) = Path(".dvc/cache/files/md5").glob("??/[!.]*")
    cached.chmod(0o644)
    cached.write_text("wrong")
    cached.chmod(0o444)
    Path("out").unlink()
    dvc("checkout")
    assert Path("out").read_text() == "wrong"
    found = check_caches(tmp_path)
    assert found.returncode != 0 and not cached.exists()
    assert found.stdout.splitlines()[0] == ".: 1 files, 1 of them damaged and removed"
    dvc("repro", "--force")
    assert Path("out").read_text() == "right"
    assert check_caches(tmp_path).stdout == ".: 1 files, 0 of them damaged and removed\n"


@pytest.mark.parametrize("link", ["images", "images/deep"])
def test_pictures_behind_a_link_to_a_folder_are_refused(tmp_path, link):
    # DVC hashes what it finds in data.folder, and passes such a link over.
    own, elsewhere = tmp_path / "own", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (own / link).parent.mkdir(parents=True)
    (own / link).symlink_to(elsewhere)
    data = load_params(ROOT / "demo/params.yaml").data
    data = data.model_copy(update={"dataset": "folder", "folder": str(own)})
    with pytest.raises(UserError, match=f"^{own / link}: is a link to a folder, and DVC"):
        fetch_dataset(data, tmp_path / "raw")


def check_caches(folder):
    """`make check-cache` in a folder, with the packages that are here."""
    (folder / ".venv").mkdir(exist_ok=True)
    for name in ("Makefile", "pyproject.toml", "requirements/cpu.txt", "requirements/gpu.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / ".venv/installed").touch()
    return subprocess.run(
        ["make", "--no-print-directory", "check-cache"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def start_keras(tmp_path, settings=None, code="", **changes):
    """A new Python that imports Keras by ours, with a keras.json of these settings at home."""
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras/keras.json").write_text(json.dumps(settings))
    program = tmp_path / "program.py"
    program.write_text(f"""
from hourglass.utils.errors import exit_on_user_error
@exit_on_user_error
def main():
    from hourglass.utils.backend import keras
    {code}
main()
""")
    return run_python(program, HOME=str(tmp_path), **changes)


@pytest.mark.slow
def test_the_keras_json_of_home_changes_nothing(tmp_path):
    settings = {"floatx": "float16", "epsilon": 1e-3, "image_data_format": "channels_first"}
    names = "backend", "floatx", "epsilon", "image_data_format"
    code = "print(" + ", ".join(f"keras.config.{name}()" for name in names) + ")"
    done = start_keras(tmp_path, settings | {"backend": "nonsense"}, code)
    assert done.stdout == "tensorflow float32 1e-07 channels_last\n", done.stderr


@pytest.mark.parametrize(
    ("settings", "changes", "reason", "named"),
    [
        ([], {}, "'list' object has no attribute 'get'", "/.keras/keras.json"),
        ({"floatx": "float8"}, {}, "Invalid `floatx` configuration", "/.keras/keras.json"),
        ({"nnx_enabled": True}, {}, "you must install `flax`", "/.keras/keras.json"),
        ({}, {"KERAS_BACKEND": "nonsense"}, "nonsense", "KERAS_BACKEND=nonsense"),
        ({}, {"KERAS_MAX_EPOCHS": "many"}, "'many'", "KERAS_MAX_EPOCHS=many"),
    ],
    ids=["a list", "a type", "nnx", "backend", "epochs"],
)
def test_settings_that_keras_does_not_start_with_are_named(
    tmp_path, settings, changes, reason, named
):
    done = start_keras(tmp_path, settings, **changes)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and line.startswith("error: Keras does not start: ")
    assert reason in line and named in line


def test_another_backend_of_keras_is_refused_where_tensorflow_is_needed(monkeypatch):
    monkeypatch.setattr(devices.keras.backend, "backend", lambda: "jax")
    with pytest.raises(UserError, match=r"^KERAS_BACKEND=jax: this needs TensorFlow; unset"):
        devices.grow_memory()


@pytest.mark.parametrize(
    "changes",
    [
        {"MPLBACKEND": "nonsense"},
        {"PYTHONOPTIMIZE": "2"},
        {"PYTHONWARNINGS": "error"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"HOME": "/nonexistent", "TZ": "nowhere"},
        {"COLUMNS": "3"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_settings_of_the_environment_change_no_report(evaluated, changes, tmp_path):
    run_evaluate(evaluated, tmp_path, **changes)
    assert files_below(tmp_path / "reports") == files_below(evaluated / "reports")


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory, persons):
    """A folder with annotations, predictions that are half right, and their scores."""
    folder = tmp_path_factory.mktemp("evaluated")
    for split, people in persons.items():
        save_persons(folder / f"data/annotations/{split}.json", people)
    shutil.copy(ROOT / "params.yaml", folder)
    save_schema(folder / "data/annotations", MPII)
    write_invalid(folder / "data/annotations/invalid.csv", [])
    people = persons["validation"]
    joints = [person.joints + 9 * (k % 2) for k, person in enumerate(people)]
    names = [person.image for person in people]
    scores = np.ones((len(people), 16))
    save_predictions(folder / "reports/predictions.json", names, joints, scores, MPII)
    run_evaluate(folder, folder)
    return folder


def run_evaluate(source, folder, **changes):
    """Run the evaluate stage in `folder` on what is in `source`."""
    if folder != source:
        shutil.copytree(source / "data", folder / "data")
        shutil.copy(source / "params.yaml", folder)
        (folder / "reports").mkdir()
        shutil.copy(source / "reports/predictions.json", folder / "reports")
    done = run_python(ROOT / "stages/evaluate.py", cwd=folder, **changes)
    assert (done.returncode, done.stderr) == (0, "")
