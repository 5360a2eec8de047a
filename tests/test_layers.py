"""The layers of the package and what each stage depends on, held against the real imports."""

import ast
import re
import subprocess
import sys

import pytest
import yaml

from imports import PACKAGE, ROOT, all_imports, direct_imports

# Bottom up: a module imports only from modules above it in this list.
LAYERS = [
    "errors", "files", "backend", "skeleton", "params", "datasets", "archives",
    "annotations", "geometry", "images", "bodies", "cartoons", "synthetic", "downloads",
    "pckh", "drawing", "predictions", "reporting", "figures",
    "tfrecord_format", "tfrecords", "heatmaps", "losses", "model", "norms", "augment",
    "input_pipeline", "inference", "schedules", "optimizers", "states", "tracking",
    "training", "cli",
]  # fmt: skip
STAGES = ("download", "parse", "shard", "train", "predict", "evaluate")
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


def read_pipeline():
    return yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def imported_packages(path):
    tree = ast.parse(path.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
             for alias in node.names}  # fmt: skip
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in names}


def test_every_module_has_its_layer():
    assert sorted(LAYERS) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_the_layers_below_it(module):
    allowed = set(LAYERS[: LAYERS.index(module)])
    assert direct_imports(PACKAGE / f"{module}.py") <= allowed


def test_the_pipeline_has_the_six_stages():
    assert tuple(read_pipeline()) == STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_what_the_stage_imports(stage):
    needed = {f"src/hourglass/{name}.py" for name in all_imports(ROOT / f"stages/{stage}.py")}
    needed.add(f"stages/{stage}.py")
    declared = {dep for dep in read_pipeline()[stage]["deps"] if dep.endswith(".py")}
    assert declared == needed


@pytest.mark.parametrize("stage", STAGES)
def test_deps_and_params_cover_what_the_stage_reads(stage):
    entry = read_pipeline()[stage]
    source = (ROOT / f"stages/{stage}.py").read_text()
    read = set(re.findall(r"params\.(data|parse|shard|model|train|predict)\b", source))
    declared = {name.split(".")[0] for name in entry.get("params", [])}
    assert read <= declared


@pytest.mark.parametrize("stage", STAGES)
def test_stages_do_not_import_each_other(stage):
    others = {"stages", *STAGES} - {stage}
    assert not imported_packages(ROOT / f"stages/{stage}.py") & others


def test_ray_is_in_the_shard_stage_alone():
    users = [path for folder in ("stages", "src/hourglass") for path in (ROOT / folder).glob("*.py")
             if "ray" in imported_packages(path)]  # fmt: skip
    assert [path.name for path in users] == ["shard.py"]


@pytest.mark.parametrize("module", ["model", "heatmaps", "augment"])
def test_the_model_knows_no_tensorflow(module):
    path = PACKAGE / f"{module}.py"
    assert "tensorflow" not in imported_packages(path)
    assert not re.search(r"\btf\b", path.read_text())


@pytest.mark.parametrize("stage", ["download", "parse", "shard", "evaluate"])
def test_light_stages_load_no_tensorflow(stage):
    heavy = ["tensorflow", "keras", *(["ray"] if stage != "shard" else [])]
    code = (
        f"import runpy, sys; runpy.run_path('stages/{stage}.py', run_name='loaded'); "
        f"sys.exit(any(name in sys.modules for name in {heavy}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={"PYTHONPATH": "src"}, check=False
    )
    assert result.returncode == 0


@pytest.mark.parametrize("folder", ["demo", "lspet"])
def test_each_folder_runs_the_same_pipeline(folder):
    same = (ROOT / folder / "dvc.yaml").read_bytes() == (ROOT / "dvc.yaml").read_bytes()
    assert same, f"cp dvc.yaml {folder}/"
    for name in ("src", "stages"):
        assert (ROOT / folder / name).samefile(ROOT / name)
