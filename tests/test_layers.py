"""The layers of the package and what each stage depends on, held against the real imports."""

import ast
import configparser
import re

import pytest
import yaml

from helpers.imports import MODULES, PACKAGE, all_imports, direct_imports, module_path
from helpers.paths import ROOT, STAGES
from helpers.processes import loaded_after
from hourglass.config import Params, load_params
from hourglass.report.recipe import format_params

# Imports go one way: a folder imports from those before it, and from the modules at the root that
# stand before it; `keypoints` is below all, `inferencer` above all but the command.
ORDER = [
    "keypoints", "utils", "visualization", "config", "shipped", "data", "models", "evaluation",
    "training", "inference", "inferencer", "export", "report", "apps", "distributed", "cli",
]  # fmt: skip


def folder_of(module):
    """The folder of the package, or the module at its root: "data" of "data.datasets.mpii"."""
    return module.split(".")[0]


def covers(dep, module):
    """Whether a dep of dvc.yaml holds a module."""
    path = module_path(module).relative_to(ROOT)
    return path.is_relative_to(dep)


def read_pipeline():
    return yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def imported_packages(path):
    tree = ast.parse(path.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
             for alias in node.names}  # fmt: skip
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in names}


def test_every_folder_and_root_module_has_its_place():
    assert {folder_of(name) for name in MODULES} == set(ORDER)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module):
    place = ORDER.index(folder_of(module))
    imported = {folder_of(name) for name in direct_imports(module_path(module))}
    assert {name for name in imported if ORDER.index(name) > place} == set()


FOLDERS = sorted(path.parent for path in PACKAGE.rglob("*/__init__.py"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_folder_says_what_it_owns(folder):
    first = ast.parse((folder / "__init__.py").read_text()).body[0]
    assert len(first.value.value.splitlines()) == 1


def test_the_pipeline_has_the_nine_stages():
    assert tuple(read_pipeline()) == STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_deps_cover_what_the_stage_imports_and_no_more(stage):
    declared = [dep for dep in read_pipeline()[stage]["deps"] if dep.startswith("src")]
    needed = all_imports(ROOT / f"stages/{stage}.py")
    assert f"stages/{stage}.py" in read_pipeline()[stage]["deps"]
    assert [name for name in needed if not any(covers(dep, name) for dep in declared)] == []
    assert [dep for dep in declared if not any(covers(dep, name) for name in needed)] == []


_READ = re.compile(
    rf"\b(?:params|load_params\(\))\.({'|'.join(Params.model_fields)})\b(?:\.(\w+))?"
)


def find_read_params(stage):
    """The parameters that a stage or a module in it reads: sections, and the keys of `data`."""
    path = ROOT / f"stages/{stage}.py"
    sources = [module_path(name).read_text() for name in all_imports(path)]
    names = {m.groups() for text in (path.read_text(), *sources) for m in _READ.finditer(text)}
    read = {f"data.{key}" if section == "data" and key else section for section, key in names}
    if stage == "report":  # it shows the others, too
        shown = yaml.safe_load(format_params(load_params(ROOT / "params.yaml")))
        read |= {f"data.{key}" for key in shown.pop("data")} | shown.keys()
    return {name.replace("keypoint_schema", "schema") for name in read} - {"cluster"}


def find_undeclared(read, declared):
    """Those parameters that dvc.yaml does not name; all of `data` is of its keys in it."""
    return {
        name for name in read
        if not {name, name.split(".")[0]} & set(declared)
        and not any(key.startswith(f"{name}.") for key in declared)
    }  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_what_the_stage_reads(stage):
    declared = read_pipeline()[stage].get("params", [])
    read = find_read_params(stage)
    assert find_undeclared(read, declared) == set()
    # None of them could go: without it something that is read would be missed.
    for name in declared:
        assert find_undeclared(read, set(declared) - {name}), name


@pytest.mark.parametrize("folder", [".", "demo", "lspet"])
def test_the_own_folder_is_no_further_dep_until_it_is_named(folder):
    # DVC takes no empty path for a dep, and one twice for one.
    params = yaml.safe_load((ROOT / folder / "params.yaml").read_text())
    deps = read_pipeline()["download"]["deps"]
    assert "${data.folder}" in deps and params["data"]["folder"] in deps


def test_the_clusters_size_is_no_parameter_of_a_result():
    names = [name for entry in read_pipeline().values() for name in entry.get("params", [])]
    assert "train" in names and not any(name.startswith("cluster") for name in names)


@pytest.mark.parametrize("stage", STAGES)
def test_stages_do_not_import_each_other(stage):
    others = {"stages", *STAGES} - {stage}
    assert not imported_packages(ROOT / f"stages/{stage}.py") & others


def test_ray_is_in_one_folder_alone():
    paths = [*(ROOT / "stages").glob("*.py"), *map(module_path, MODULES)]
    users = {path.parent.name for path in paths if "ray" in imported_packages(path)}
    assert users == {"distributed"}


@pytest.mark.parametrize(
    "module", ["models.stacked_hourglass", "models.codec", "models.model_inputs"]
)
def test_the_model_knows_no_tensorflow(module):
    path = module_path(module)
    assert "tensorflow" not in imported_packages(path)
    assert not re.search(r"\btf\b", path.read_text())


@pytest.mark.parametrize("module", ["inference.person_search", "inference.crops"])
def test_a_search_knows_no_network(module):
    # Another kind of network, an exported one, is to take the place of ours.
    imported = all_imports(module_path(module))
    assert "utils.backend" not in imported
    assert not any(folder_of(name) == "models" for name in imported)


def test_clips_know_no_network():
    for module in (name for name in MODULES if name.startswith("apps.video.")):
        imported = all_imports(module_path(module))
        assert not any(folder_of(name) == "models" for name in imported), module
        assert "utils.backend" not in imported, module


@pytest.mark.parametrize("module", ["cli.predict", "apps.video.formats"])
def test_without_clips_no_pyav_is_loaded(module):
    assert loaded_after(f"import hourglass.{module}, hourglass.cli.main", "av") == []


def test_without_a_cluster_predictions_load_neither_ray_nor_pyarrow():
    assert loaded_after("import hourglass.cli.main, hourglass.cli.batch", "ray", "pyarrow") == []


@pytest.mark.parametrize("stage", ["download", "parse", "shard", "evaluate", "report"])
def test_light_stages_load_no_tensorflow(stage):
    heavy = ["tensorflow", "keras", *(["ray"] if stage != "shard" else [])]
    code = f"import runpy; runpy.run_path({str(ROOT / 'stages' / f'{stage}.py')!r})"
    assert not loaded_after(code, *heavy)


def test_without_a_cluster_training_loads_no_ray(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    code = f"""
import runpy
from hourglass.config import load_params
stage = runpy.run_path({str(ROOT / "stages/train.py")!r})
stage["choose_devices"](load_params({str(ROOT / "demo/params.yaml")!r}))
"""
    assert loaded_after(code, "ray", "tensorflow") == ["tensorflow"]


def read_config(folder):
    """DVC's settings that all folders share; remotes are the user's own."""
    config = configparser.ConfigParser()
    config.read(ROOT / folder / ".dvc/config")
    return {name: dict(config[name]) for name in ("core", "cache")}


@pytest.mark.parametrize("folder", ["demo", "lspet", "photographs"])
def test_each_folder_runs_the_same_pipeline(folder):
    same = (ROOT / folder / "dvc.yaml").read_bytes() == (ROOT / "dvc.yaml").read_bytes()
    assert same, f"cp dvc.yaml {folder}/dvc.yaml"
    assert read_config(folder) == read_config(".")
    for name in ("src", "stages"):
        assert (ROOT / folder / name).samefile(ROOT / name)
