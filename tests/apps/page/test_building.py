"""The page's folder: what lies in it, where from, and that nothing of it is elsewhere."""

import re
from pathlib import Path

import pytest

from helpers.networks import make_export_metadata
from hourglass.apps.page import building
from hourglass.apps.page.building import MARK, STATIC, build_page, write_settings
from hourglass.apps.page.runtime import FILES
from hourglass.inference.backends import OnnxBackend, PeopleFinder
from hourglass.shipped import shipped_network, shipped_people_detector

SCRIPTS = sorted(STATIC.glob("*.js"))
INDEX = (STATIC / "index.html").read_text()


@pytest.fixture
def exported():
    """The shipped network's exported file."""
    return shipped_network().with_suffix(".onnx")


def test_the_folder_holds_page_network_settings_and_runtime(tmp_path, small_runtime, exported):
    folder = tmp_path / "a" / "page"
    about = build_page(shipped_network(), folder, small_runtime)
    assert about == OnnxBackend(exported).metadata
    static = {path.name for path in STATIC.iterdir()}
    written = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(written) == static | set(FILES) | {"network.onnx", "people.onnx", "settings.js"}
    assert written["network.onnx"] == exported.read_bytes()
    finder = shipped_people_detector()
    assert written["people.onnx"] == finder.read_bytes()
    assert written["settings.js"].decode() == write_settings(about, PeopleFinder(finder).size)
    for source in [*STATIC.iterdir(), *small_runtime.iterdir()]:
        assert written[source.name] == source.read_bytes()
    assert [path.name for path in folder.parent.iterdir()] == ["page"]


def test_an_exported_file_is_taken_as_it_is(tmp_path, small_runtime, exported):
    build_page(exported, tmp_path / "page", small_runtime)
    assert (tmp_path / "page/network.onnx").read_bytes() == exported.read_bytes()
    assert "INPUT_SIZE = 160;" in (tmp_path / "page/settings.js").read_text()


def test_a_page_is_replaced_by_the_next(tmp_path, small_runtime, exported):
    folder = tmp_path / "page"
    build_page(exported, folder, small_runtime)
    (folder / "page.js").write_text("an earlier version")
    build_page(shipped_network(), folder, small_runtime)
    assert (folder / "page.js").read_bytes() == (STATIC / "page.js").read_bytes()
    assert not list(tmp_path.glob(".page.*"))


def test_a_link_to_a_page_stays_one(tmp_path, small_runtime, exported):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for _ in range(2):
        build_page(exported, tmp_path / "link", small_runtime)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real/index.html").is_file()


def test_leftovers_of_a_killed_process_do_not_disturb(tmp_path, small_runtime, exported):
    (tmp_path / ".page.tmp").mkdir()
    (tmp_path / ".page.tmp/half").touch()
    build_page(exported, tmp_path / "page", small_runtime)
    assert not (tmp_path / "page/half").exists()


# What the files say to each other


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_import_what_the_folder_has(path):
    names = re.findall(r'(?:from|import\() *"\./([^"]+)"|import\("\./([^"]+)"\)', path.read_text())
    there = {other.name for other in STATIC.iterdir()} | set(FILES) | {building.SETTINGS_FILE}
    assert {a or b for a, b in names} <= there


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_take_settings_that_there_are(path):
    text = write_settings(make_export_metadata(), 160)
    written = re.findall(r"^export const (\w+) =", text, re.MULTILINE)
    taken = re.findall(r'import \{([^}]+)\} from "\./settings\.js"', path.read_text())
    names = {name.strip() for part in taken for name in part.split(",")} - {""}
    assert names <= set(written)
    body = path.read_text().replace("".join(taken[:1]), "", 1)
    assert all(re.search(rf"\b{name}\b", body) for name in names)


def test_the_page_has_every_element_that_its_script_asks_for():
    asked = re.findall(r'find\("([\w-]+)"\)', (STATIC / "page.js").read_text())
    ids = re.findall(r'\bid="([\w-]+)"', INDEX)
    assert len(asked) > 10 and set(asked) <= set(ids) and len(set(ids)) == len(ids)


def test_nothing_of_the_page_is_elsewhere():
    for path in STATIC.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")  # a name, not a place
        assert "//" not in re.sub(r"^\s*//.*$|\s// .*$", "", text, flags=re.MULTILINE), path


def test_the_browser_is_told_to_connect_to_no_other_host():
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', INDEX)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'" and rules["connect-src"] == "'self'"
    sources = {source for rule in rules.values() for source in rule.split()}
    assert sources <= {"'none'", "'self'", "'wasm-unsafe-eval'", "blob:"}
    assert "No picture leaves this browser" in INDEX
    assert " style=" not in INDEX and "<script>" not in INDEX  # the policy forbids both


def test_settings_begin_with_the_mark_of_a_page():
    assert write_settings(make_export_metadata(), 160).startswith(MARK + "\n")
    assert Path(STATIC, "page.js").is_file()
