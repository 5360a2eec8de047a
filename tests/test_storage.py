"""Two machines share data and a network by an S3-like storage, as docs/sharing.md says."""

import shutil
import sys

import pytest

from helpers.paths import ROOT
from helpers.projects import run, try_to_run
from helpers.storage import (
    REMOTE_COMMANDS,
    all_outs,
    ask_dvc,
    clone,
    files_of_outs,
    key_of,
    pulled_files,
)

PUSH, PULL = "dvc push train export", "dvc pull train export"
PREDICT = "from hourglass.cli.main import main; main()"


@pytest.fixture(scope="module")
def pulled_project(pushed_project, tmp_path_factory):
    """A clone of the project, with all that `dvc pull` brings."""
    project = clone(pushed_project, tmp_path_factory.mktemp("second") / "project")
    ask_dvc(project, "pull")
    return project


def test_the_docs_have_these_commands():
    text = (ROOT / "docs/sharing.md").read_text()
    for command in (*REMOTE_COMMANDS, PUSH, PULL):
        assert f"\n    {command}" in text


def test_all_that_dvc_keeps_goes_up_and_comes_down(pushed_project, pulled_project, bucket):
    assert files_of_outs(pulled_project) == pulled_files(pushed_project)
    objects, outs = bucket.read(), all_outs()
    for path, content in files_of_outs(pushed_project).items():
        kept = any(kept for out, kept in outs.items() if path.startswith(out))
        assert (key_of(content) in objects) == kept, path


def test_no_stage_runs_where_all_was_pulled(pushed_project, pulled_project):
    assert "Running stage" not in ask_dvc(pulled_project, "repro", "--allow-missing")
    shutil.copytree(pushed_project / "data/raw", pulled_project / "data/raw")
    assert ask_dvc(pulled_project, "status") == "Data and pipelines are up to date.\n"
    assert "Running stage" not in ask_dvc(pulled_project, "repro")
    assert run(pulled_project, "git", "status", "--porcelain") == ""


def test_a_machine_without_data_predicts_with_the_network_of_another(pushed_project, tmp_path):
    other = clone(pushed_project, tmp_path / "project")
    ask_dvc(other, *PULL.split()[1:])
    assert not (other / "data").exists()
    assert ask_dvc(other, "status", "export") == "Data and pipelines are up to date.\n"
    photo = str(ROOT / "docs/walking.jpg")
    done = try_to_run(other, sys.executable, "-c", PREDICT, "predict", photo, PYTHONPATH="src")
    assert done.returncode == 0 and "shipped" not in done.stderr, done.stderr
    assert (other / "poses/walking.json").is_file()
