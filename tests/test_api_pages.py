"""`make docs`: the pages of the package, from its docstrings."""

import html
import re
import subprocess
import sys

import pytest

import hourglass
from helpers.imports import MODULES
from helpers.paths import ROOT

pytest.importorskip("pdoc", reason="not there: `make docs` installs it")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The folder of pages, written without a word of warning."""
    folder = tmp_path_factory.mktemp("pages")
    command = [sys.executable, "docs/api.py", str(folder)]
    environment = {"PYTHONPATH": "src", "PATH": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout + done.stderr == ""
    return folder


def read_text(path):
    """The words of a page, without marks."""
    return html.unescape(re.sub(r"<[^>]+>", "", path.read_text()))


def test_every_module_has_its_page(pages):
    written = {str(path.relative_to(pages))[:-5] for path in pages.rglob("*.html")}
    modules = {f"hourglass/{name.replace('.', '/')}" for name in MODULES if name}
    assert modules - written <= {"hourglass/apps/batch/parquet"}  # where pyarrow is missing


def test_the_first_page_has_the_api(pages):
    text = read_text(pages / "hourglass.html")
    for name in hourglass.__all__:
        assert re.search(rf"^\s*(def\s+)?{name}\b", text, re.MULTILINE), name
    assert "Find people on a picture" in read_text(pages / "hourglass/inferencer.html")


def test_arguments_are_lists_and_not_indented_code(pages):
    page = (pages / "hourglass/inferencer.html").read_text()
    assert re.search(r"<h6[^>]*>Arguments:</h6>\s*<ul>\s*<li><strong>picture:", page)


def test_nothing_is_loaded_from_elsewhere(pages):
    for path in pages.rglob("*.html"):
        assert re.findall(r'(?:src|@import)\s*=?\s*["\']https?://', path.read_text()) == [], path
