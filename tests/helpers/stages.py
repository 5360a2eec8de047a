"""A project folder to run the stages in, in this process."""

import contextlib
import importlib.util
import re
import shutil
import sys
import time
from pathlib import Path

import pytest
import yaml

# Keras loads Matplotlib, which writes a cache: here, not in the folder that a test looks through.
import hourglass.frameworks  # noqa: F401
from helpers.paths import ROOT
from hourglass.annotations.persons import save_persons


def load_stage(name):
    """The stage's script as a module."""
    spec = importlib.util.spec_from_file_location(f"{name}_stage", ROOT / "stages" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_stage(stage, capsys, *arguments):
    """Run a stage in the current folder: exit code, lines of stdout, lines of stderr."""
    code = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [f"{stage.__name__}.py", *arguments])
        try:
            stage.main()
        except SystemExit as end:
            code = end.code
    out, err = capsys.readouterr()
    # Ray's own notes start with a date; its errors are not among what a user should see.
    notes = re.compile(r"\d{4}-\d\d-\d\d (?!.*ERROR)|\s*$")
    lines = [line for line in err.splitlines() if not notes.match(line)]
    return code, out.splitlines(), lines


def assert_one_line(result, *parts):
    """The stage ended with exit code 1 and one line that holds all `parts`."""
    code, _, err = result
    assert code == 1 and len(err) == 1, result
    assert err[0].startswith("error: ") and all(part in err[0] for part in parts), err


def write_project(folder, raw_folder, persons, params):
    """What a finished parse stage leaves: raw files, annotations, params.yaml."""
    shutil.copytree(raw_folder, folder / "data" / "raw" / "synthetic")
    for split, people in persons.items():
        save_persons(folder / "data" / "annotations" / f"{split}.json", people)
    (folder / "params.yaml").write_text(yaml.safe_dump(params.model_dump()))
    return folder


def files_below(folder):
    """{name: bytes} of every file."""
    folder = Path(folder)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def find_processes(mark):
    """The processes that have MARK=`mark` in their environment."""
    text, found = f"MARK={mark}\0".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it has just ended
            found += [path.parent.name] if text in path.read_bytes() else []
    return found


def wait_for_none(mark, seconds=30):
    """Those of `find_processes` that are still there after so long."""
    end = time.monotonic() + seconds
    while (left := find_processes(mark)) and time.monotonic() < end:
        time.sleep(0.1)
    return left
