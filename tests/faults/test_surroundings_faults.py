"""Surroundings: caches, links, settings of home and environment, signals, two copies at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.paths import ROOT
from hourglass.config import load_params
from hourglass.data.download import fetch_dataset
from hourglass.utils.errors import UserError

FOLDERS = (".", "demo", "lspet")
DVC_YAML = "stages: {copy: {cmd: cp in out, deps: [in], outs: [out]}}\n"


@pytest.fixture
def dvc(tmp_path, monkeypatch):
    """A function that runs DVC in `tmp_path`, a project with one stage and demo/'s settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))

    def run(*arguments):
        subprocess.run(["dvc", *arguments, "--quiet"], check=True)

    subprocess.run(["git", "init", "-q"], check=True)
    run("init")
    Path(".dvc/config").write_text((ROOT / "demo/.dvc/config").read_text())
    Path("dvc.yaml").write_text(DVC_YAML)
    Path("in").write_text("right")
    run("repro")
    Path("out").unlink()
    run("checkout")  # an out that comes from the cache may be a link into it
    return run


def test_an_edit_of_an_out_does_not_reach_the_cache(dvc):
    # Root may write to a file without write permission: through a hard link into the cache it would.
    Path("out").write_text("wrong")
    dvc("repro")
    assert Path("out").read_text() == "right"


def test_the_projects_have_the_same_settings_of_dvc():
    first, *others = ((ROOT / folder / ".dvc/config").read_text() for folder in FOLDERS)
    assert others == [first] * 2


def test_a_damaged_cache_is_found_and_made_again(dvc, tmp_path):
    # As an earlier version's hard links left it: DVC takes a read-only file for what its name says.
    (cached,) = Path(".dvc/cache/files/md5").glob("??/[!.]*")
    cached.chmod(0o644)
    cached.write_text("wrong")
    cached.chmod(0o444)
    Path("out").unlink()
    dvc("checkout")
    assert Path("out").read_text() == "wrong"
    found = check_caches(tmp_path)
    assert found.returncode != 0 and not cached.exists()
    assert found.stdout.splitlines()[0] == ".: 1 files, 1 of them damaged and removed"
    dvc("repro", "--force")
    assert Path("out").read_text() == "right"
    assert check_caches(tmp_path).stdout == ".: 1 files, 0 of them damaged and removed\n"


@pytest.mark.parametrize("link", ["images", "images/deep"])
def test_pictures_behind_a_link_to_a_folder_are_refused(tmp_path, link):
    # DVC hashes what it finds in data.folder, and passes such a link over.
    own, elsewhere = tmp_path / "own", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (own / link).parent.mkdir(parents=True)
    (own / link).symlink_to(elsewhere)
    data = load_params(ROOT / "demo/params.yaml").data
    data = data.model_copy(update={"dataset": "folder", "folder": str(own)})
    with pytest.raises(UserError, match=f"^{own / link}: is a link to a folder, and DVC"):
        fetch_dataset(data, tmp_path / "raw")


def check_caches(folder):
    """`make check-cache` in a folder, with the packages that are here."""
    (folder / ".venv").mkdir(exist_ok=True)
    for name in ("Makefile", "pyproject.toml", "requirements/cpu.txt", "requirements/gpu.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / ".venv/installed").touch()
    return subprocess.run(
        ["make", "--no-print-directory", "check-cache"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
