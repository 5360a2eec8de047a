"""What the documentation says of files and faults, held against them."""

import re

import pytest

from helpers.paths import ROOT

PAGES = [
    path.relative_to(ROOT)
    for path in [*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *(ROOT / "docs").glob("*.md")]
]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_what_a_page_links_to_is_there(page):
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text())
    assert [link for link in links if not (ROOT / page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_the_files_that_a_page_names_are_there(page):
    names = re.findall(
        r"`((?:docs|tests|experiments|benchmarks)/[\w/]+\.\w+)`", (ROOT / page).read_text()
    )
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_each_family_of_faults_has_its_row():
    files = (ROOT / "tests/faults").glob("test_*_faults.py")
    families = {path.stem.removeprefix("test_").removesuffix("_faults") for path in files}
    rows = re.findall(r"^\| (\w+) \|", (ROOT / "docs/faults.md").read_text(), re.MULTILINE)
    assert set(rows) - {"family"} == families
