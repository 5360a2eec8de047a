"""What the documentation says of files, stages and messages, and how it says it."""

import ast
import csv
import json
import re

import pytest
import yaml

from helpers.paths import ROOT
from helpers.prose import find_long, find_stumbles
from hourglass.keypoints import MPII, KeypointSchema

PAGES = [
    path.relative_to(ROOT)
    for path in [
        *ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("*/*/README.md"),
        *(ROOT / "docs").glob("*.md"), *(ROOT / "src").rglob("*.md"),
    ]
]  # fmt: skip
DOCSTRINGS = [ROOT / "src/hourglass/__init__.py", *(ROOT / "stages").glob("*.py")]
# Messages in docs/troubleshooting.md that are not ours.
OF_OTHERS = {
    "ensurepip is not available", "hourglass: command not found", "out of memory",
    "[Errno 2] No such file or directory",
}  # fmt: skip


def read_page(page):
    return (ROOT / page).read_text()


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_what_a_page_links_to_is_there(page):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read_page(page))
    assert [link for link in links if not (ROOT / page.parent / link).exists()] == []


def anchor(heading):
    """The name by which a link finds a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_the_headings_that_a_page_links_to_are_there(page):
    for link, wanted in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", read_page(page)):
        text = (ROOT / page.parent / link).read_text() if link else read_page(page)
        assert wanted in map(anchor, re.findall(r"^#+ (.*)$", text, re.MULTILINE)), wanted


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_the_files_that_a_page_names_are_there(page):
    names = re.findall(r"`((?:docs|tests|experiments|benchmarks)/[\w/]+\.\w+)`", read_page(page))
    assert [name for name in names if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_page_is_plain_english(page):
    assert find_long(read_page(page)) == []
    assert find_stumbles(read_page(page)) == []


@pytest.mark.parametrize("path", DOCSTRINGS, ids=lambda path: path.name)
def test_a_stage_says_what_it_does_in_plain_english(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Module | ast.FunctionDef) and (text := ast.get_docstring(node)):
            assert find_long(text) == []
            assert find_stumbles(text) == []


def test_the_readme_is_short():
    assert len(read_page("README.md").splitlines()) <= 150


def test_each_family_of_faults_has_its_row():
    files = (ROOT / "tests/faults").glob("test_*_faults.py")
    families = {path.stem.removeprefix("test_").removesuffix("_faults") for path in files}
    rows = re.findall(r"^\| (\w+) \|", read_page("docs/faults.md"), re.MULTILINE)
    assert set(rows) - {"family"} == families


def read_reruns():
    """{path in the package: stages} of the table in docs/reproducibility.md."""
    section = read_page("docs/reproducibility.md").partition("## What reruns")[2].partition("\n##")
    rows = re.findall(r"^\| (`.*?) \| (.*) \|$", section[0], re.MULTILINE)
    stages = {paths: [] if names == "nothing" else names.split(", ") for paths, names in rows}
    return {path: names for paths, names in stages.items() for path in re.findall("`(.*?)`", paths)}


def test_the_table_of_reruns_is_that_of_the_pipeline():
    pipeline = yaml.safe_load(read_page("dvc.yaml"))["stages"]
    reruns = read_reruns()
    for path, stages in reruns.items():
        changed = f"src/hourglass/{path}".rstrip("/")
        assert (ROOT / changed).exists(), path
        needing = [
            name
            for name, entry in pipeline.items()
            if any(f"{dep}/".startswith(f"{changed}/") or f"{changed}/".startswith(f"{dep}/")
                   for dep in entry["deps"])
        ]  # fmt: skip
        assert sorted(stages) == sorted(needing), path
    parts = {path.split("/")[0] for path in reruns} | {"shipped", "__init__.py", "py.typed"}
    assert {path.name for path in (ROOT / "src/hourglass").iterdir()} - {"__pycache__"} <= parts


def read_messages():
    """All texts of the code, `…` where a value stands in them."""
    texts = [read_page("Makefile")]
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "stages").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = (
                    part.value if isinstance(part, ast.Constant) else "…" for part in node.values
                )
                texts.append("".join(parts))
    return texts


def test_the_messages_of_the_troubleshooting_page_are_those_of_the_code():
    symptoms = re.findall(r"^\| ([^|]+) \|", read_page("docs/troubleshooting.md"), re.MULTILINE)
    quoted = [text for symptom in symptoms for text in re.findall("`(.*?)`", symptom)]
    ours = [text for text in quoted if text not in OF_OTHERS and not text.startswith("dvc ")]
    messages = read_messages()
    assert len(ours) > 15
    assert [text for text in ours if not any(text in message for message in messages)] == []


def read_scores(folder):
    """The scores of a recipe by the names that the pages give them, per cent."""
    metrics = json.loads(read_page(f"{folder}/reports/metrics.json"))
    scores = {"PCKh@0.5": metrics["pckh"]["total"], "PCKh@0.1": metrics["pckh_0.1"]["total"]}
    return scores | metrics["pckh"] | {"persons": metrics["num_persons"]}


def is_rounded(text, value):
    """Whether a number of a page is that value, to as many decimals as it has."""
    return text == f"{value:.{len(text.partition('.')[2])}f}"


@pytest.mark.parametrize(
    ("command", "folder"), [("make demo", "demo"), ("cd photographs", "photographs")]
)
def test_the_readmes_scores_are_those_of_the_pipeline(command, folder):
    header, *rows = re.findall(r"^\| (.*) \|$", read_page("README.md"), re.MULTILINE)
    (row,) = [row.split(" | ") for row in rows if row.startswith(f"`{command}")]
    scores = read_scores(folder)
    cells = dict(zip(header.split(" | "), row, strict=True))
    assert set(MPII.groups) | {"PCKh@0.5", "PCKh@0.1"} <= cells.keys()
    wrong = {n: c for n, c in cells.items() if n in scores and not is_rounded(c, scores[n])}
    assert wrong == {}
    assert re.search(r"(\d+) (?:drawn figures|photographs)", row[0])[1] == str(scores["persons"])


def test_the_readmes_console_is_what_the_demo_printed():
    lines = {line.strip() for line in read_page("README.md").splitlines()}
    table = read_page("demo/reports/pckh.md").splitlines()
    assert {line for line in table if line.startswith("|") and "--" not in line} <= lines
    (epoch,) = [line for line in lines if line.startswith("epoch ")]
    *_, last = csv.DictReader(read_page("demo/reports/plots/history.csv").splitlines())
    printed = re.search(r"loss ([\d.]+) +PCKh@0.5 ([\d.]+) +@0.1 ([\d.]+)", epoch).groups()
    values = [float(last[name]) for name in ("loss", "val_pckh", "val_pckh_0_1")]
    assert all(map(is_rounded, printed, values)), values


@pytest.mark.parametrize("folder", ["lspet", "photographs"])
def test_what_a_recipe_says_of_its_score_is_its_score(folder):
    scores, page = read_scores(folder), read_page(f"{folder}/params.yaml")
    stated = re.search(r"score +([\d.]+) PCKh@0\.5, ([\d.]+) @0\.1", page).groups()
    assert all(map(is_rounded, stated, (scores["PCKh@0.5"], scores["PCKh@0.1"])))


def test_the_schema_in_the_docs_is_one():
    section = read_page("docs/own_data.md").partition("A mapping stands in")[2].partition("\n##")[0]
    lines = [line for line in section.splitlines() if line.startswith("    ")]
    values = yaml.safe_load("\n".join(lines))["data"]["schema"]
    schema = KeypointSchema.from_dict(values)
    assert schema.flip_order == (0, 2, 1, 3) and schema.sides[1:3] == ("right", "left")
    assert {*values} == {*schema.to_dict()}
