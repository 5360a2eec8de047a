"""pyproject.toml declares what the code imports, and the locks hold what it declares."""

import ast
import re
import sys

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from helpers.imports import MODULES, all_imports, module_path
from helpers.paths import ROOT

tomllib = pytest.importorskip("tomllib")  # Python 3.11

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PACKAGES = {"PIL": "pillow", "ruamel": "ruamel-yaml", "yaml": "pyyaml"}  # not named as imported
PROGRAMS = {"tensorboard"}  # declared for its command


def declared(texts):
    """{name: Requirement}, but for this project's own extras."""
    requirements = {canonicalize_name(r.name): r for r in map(Requirement, texts)}
    return {name: r for name, r in requirements.items() if name != PROJECT["name"]}


BASE = declared(PROJECT["dependencies"])
VIDEO = declared(EXTRAS["video"])
OPTIONAL = declared(EXTRAS["parquet"] + EXTRAS["heic"])
PIPELINE = BASE | declared(EXTRAS["pipeline"])
ALL = PIPELINE | VIDEO | declared(EXTRAS["dev"])


def imported(paths, own=("hourglass",)):
    """The packages that files import, anywhere in them, by the names they are installed under."""
    names = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module.split(".")[0])
    names -= sys.stdlib_module_names | set(own)
    return {canonicalize_name(PACKAGES.get(name, name)) for name in names}


def test_prediction_needs_the_base_and_nothing_more():
    path = module_path("cli.main")
    needed = {"cli.main"} | all_imports(path, but=("export.", "distributed.", "report."))
    clips = {module for module in needed if module.startswith("apps.video.")}
    assert imported(map(module_path, needed - clips)) == {*BASE, *OPTIONAL}
    assert imported(map(module_path, clips)) - set(BASE) == set(VIDEO)


def test_the_pipeline_needs_its_extra_and_nothing_more():
    modules = [name for name in MODULES if not name.startswith("apps.video.")]
    paths = [*map(module_path, modules), *(ROOT / "stages").glob("*.py")]
    assert imported(paths) - set(OPTIONAL) == set(PIPELINE) - PROGRAMS


def test_what_the_tests_import_is_declared():
    paths = list((ROOT / "tests").rglob("*.py"))
    own = {"hourglass", "helpers"}
    assert imported(paths, own) <= {*ALL, *OPTIONAL}


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_the_lock_holds_what_is_declared(kind):
    text = (ROOT / f"requirements/{kind}.txt").read_text()
    locked = re.findall(r"^([\w.-]+)(?:\[[^]]+\])?==([^\s;]+)", text, re.MULTILINE)
    for name, requirement in ALL.items():
        versions = [version for found, version in locked if found == name]
        assert versions and all(map(requirement.specifier.contains, versions)), "run `make lock`"
