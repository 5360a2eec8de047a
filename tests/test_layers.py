"""The layers of the package and what each stage depends on, held against the real imports."""

import ast
import configparser
import re

import pytest
import yaml

from helpers.imports import MODULES, PACKAGE, all_imports, direct_imports, module_path
from helpers.paths import ROOT
from helpers.processes import loaded_after

# Between the folders of the package imports go one way; each imports the package's root and:
FOLDERS = {
    "synthetic": set(),
    "raw": {"synthetic"},
    "annotations": {"raw"},
    "network": set(),
    "records": {"network"},
    "cluster": {"bulk", "prediction", "raw", "records", "training"},
    "evaluation": set(),
    "training": {"evaluation", "network", "records"},
    "prediction": {"evaluation", "network", "records"},
    "report": {"annotations", "evaluation", "network", "prediction"},
    "exports": {"network", "prediction", "records", "synthetic"},
    "video": {"prediction", "records"},
    "bulk": {"prediction", "video"},
    "stickers": {"prediction", "records", "synthetic", "video"},
    "page": {"prediction", "video"},
    "commands": {"bulk", "cluster", "exports", "page", "prediction", "stickers", "video"},
}
# The modules at the root, bottom up; only what users call, the last two, imports from the folders.
ROOT_MODULES = [
    "errors", "shipped", "files", "skeleton", "geometry", "frameworks", "rejects", "params",
    "api", "cli",
]  # fmt: skip
STAGES = ("download", "parse", "shard", "train", "predict", "evaluate", "report", "export")


def folder_of(module):
    return module.rpartition(".")[0]


def deps_of(modules):
    """The modules as paths for dvc.yaml: a folder in the place of all of its modules."""
    whole = {folder for folder in FOLDERS
             if all(name in modules for name in MODULES if folder_of(name) == folder)}  # fmt: skip
    files = {str(module_path(name).relative_to(ROOT)) for name in modules
             if folder_of(name) not in whole}  # fmt: skip
    return files | {f"src/hourglass/{folder}" for folder in whole}


def read_pipeline():
    return yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def imported_packages(path):
    tree = ast.parse(path.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
             for alias in node.names}  # fmt: skip
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in names}


def test_every_folder_and_root_module_has_its_place():
    assert {folder_of(name) for name in MODULES} == {"", *FOLDERS}
    assert sorted(ROOT_MODULES) == [name for name in MODULES if not folder_of(name)]


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module):
    imported = direct_imports(module_path(module))
    folder, root = folder_of(module), {name for name in imported if not folder_of(name)}
    others = {folder_of(name) for name in imported} - {"", folder}
    if folder:
        assert others <= FOLDERS[folder] and not {"api", "cli"} & root
    else:
        assert root <= set(ROOT_MODULES[: ROOT_MODULES.index(module)])
        assert module in ("api", "cli") or not others


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_says_what_it_owns_and_nothing_more(folder):
    (docstring,) = ast.parse((PACKAGE / folder / "__init__.py").read_text()).body
    assert len(docstring.value.value.splitlines()) == 1


def test_the_pipeline_has_the_eight_stages():
    assert tuple(read_pipeline()) == STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_what_the_stage_imports(stage):
    needed = deps_of(all_imports(ROOT / f"stages/{stage}.py")) | {f"stages/{stage}.py"}
    declared = {dep for dep in read_pipeline()[stage]["deps"] if dep.startswith(("src", "stages"))}
    assert declared == needed


@pytest.mark.parametrize("stage", STAGES)
def test_deps_and_params_cover_what_the_stage_reads(stage):
    entry = read_pipeline()[stage]
    source = (ROOT / f"stages/{stage}.py").read_text()
    read = set(re.findall(r"params\.(data|parse|shard|model|train|predict)\b", source))
    declared = {name.split(".")[0] for name in entry.get("params", [])}
    assert read <= declared


def test_the_clusters_size_is_no_parameter_of_a_result():
    names = [name for entry in read_pipeline().values() for name in entry.get("params", [])]
    assert "train" in names and not any(name.startswith("cluster") for name in names)


@pytest.mark.parametrize("stage", STAGES)
def test_stages_do_not_import_each_other(stage):
    others = {"stages", *STAGES} - {stage}
    assert not imported_packages(ROOT / f"stages/{stage}.py") & others


def test_ray_is_in_the_cluster_folder_alone():
    paths = [*(ROOT / "stages").glob("*.py"), *map(module_path, MODULES)]
    users = {path.parent.name for path in paths if "ray" in imported_packages(path)}
    assert users == {"cluster"}


@pytest.mark.parametrize("module", ["network.hourglass", "network.heatmaps", "network.views"])
def test_the_model_knows_no_tensorflow(module):
    path = module_path(module)
    assert "tensorflow" not in imported_packages(path)
    assert not re.search(r"\btf\b", path.read_text())


@pytest.mark.parametrize("module", ["prediction.people", "prediction.looks"])
def test_a_search_knows_no_network(module):
    # Another kind of network, an exported one, is to take the place of ours.
    imported = all_imports(module_path(module))
    assert not {"frameworks"} & imported
    assert not any(folder_of(name) == "network" for name in imported)


def test_clips_know_no_network():
    for module in (name for name in MODULES if folder_of(name) == "video"):
        imported = all_imports(module_path(module))
        assert not any(folder_of(name) == "network" for name in imported), module
        assert "frameworks" not in imported, module


@pytest.mark.parametrize("module", ["commands.clips", "video.forms"])
def test_without_clips_no_pyav_is_loaded(module):
    assert loaded_after(f"import hourglass.{module}, hourglass.cli", "av") == []


def test_without_a_cluster_predictions_load_neither_ray_nor_pyarrow():
    assert loaded_after("import hourglass.cli, hourglass.commands.records", "ray", "pyarrow") == []


@pytest.mark.parametrize("stage", ["download", "parse", "shard", "evaluate", "report"])
def test_light_stages_load_no_tensorflow(stage):
    heavy = ["tensorflow", "keras", *(["ray"] if stage != "shard" else [])]
    code = f"import runpy; runpy.run_path({str(ROOT / 'stages' / f'{stage}.py')!r})"
    assert not loaded_after(code, *heavy)


def test_without_a_cluster_training_loads_no_ray(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    code = f"""
import runpy
from hourglass.params import load_params
stage = runpy.run_path({str(ROOT / "stages/train.py")!r})
stage["choose_devices"](load_params({str(ROOT / "demo/params.yaml")!r}))
"""
    assert loaded_after(code, "ray", "tensorflow") == ["tensorflow"]


def read_config(folder):
    """DVC's settings that all folders share; remotes are the user's own."""
    config = configparser.ConfigParser()
    config.read(ROOT / folder / ".dvc/config")
    return {name: dict(config[name]) for name in ("core", "cache")}


@pytest.mark.parametrize("folder", ["demo", "lspet"])
def test_each_folder_runs_the_same_pipeline(folder):
    same = (ROOT / folder / "dvc.yaml").read_bytes() == (ROOT / "dvc.yaml").read_bytes()
    assert same, f"cp dvc.yaml {folder}/dvc.yaml"
    assert read_config(folder) == read_config(".")
    for name in ("src", "stages"):
        assert (ROOT / folder / name).samefile(ROOT / name)
