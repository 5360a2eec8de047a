"""A project folder to run the stages in, in this process."""

import importlib.util
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml

# Keras loads Matplotlib, which writes a cache: here, not in the folder that a test looks through.
import hourglass.utils.backend  # noqa: F401
from helpers.paths import ROOT, STAGES
from helpers.shards import write_shards
from hourglass.data.person import save_persons, save_schema


def load_stage(name):
    """The stage's script as a module."""
    spec = importlib.util.spec_from_file_location(f"{name}_stage", ROOT / "stages" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_stages():
    """{name: module} of the stages; the shard stage writes its shards here, without Ray."""
    modules = {name: load_stage(name) for name in STAGES}
    modules["shard"].start_ray = lambda _: None
    modules["shard"].write_shards = write_shards
    return modules


def run_stages(folder, stages, params):
    """Run all stages in a folder, one after the other, for one epoch on 14 + 5 drawn figures."""
    values = params.model_dump(mode="json")
    values["data"]["synthetic"] = {"num_train": 14, "num_val": 5, "seed": 3}
    values["train"]["epochs"] = 1
    values["predict"]["num_figures"] = 2
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        for name in STAGES:
            assert end_stage(stages[name]) == 0, name
    return folder


def end_stage(stage, *arguments):
    """Run a stage in the current folder: its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [f"{stage.__name__}.py", *arguments])
        try:
            return stage.main() or 0
        except SystemExit as end:
            return end.code


def run_stage(stage, capsys, *arguments):
    """Run a stage in the current folder: exit code, lines of stdout, lines of stderr."""
    code = end_stage(stage, *arguments)
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
    save_schema(folder / "data" / "annotations", params.data.keypoint_schema)
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
