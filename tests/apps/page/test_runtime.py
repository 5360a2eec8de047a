"""onnxruntime-web's files: fetched by npm once, or out of a folder, and always checked."""

import re
import shutil

import pytest

from helpers.archives import write_tar
from hourglass.apps.page.runtime import FILES, PACKAGE, find_runtime


@pytest.fixture
def npm(fake_npm, tmp_path, small_runtime):
    """An npm that packs `small_runtime`; the file in which it notes its calls."""
    members = [(f"package/dist/{path.name}", path.read_bytes()) for path in small_runtime.iterdir()]
    write_tar(tmp_path / "packed.tgz", members)
    cp, calls = shutil.which("cp", path="/bin:/usr/bin"), tmp_path / "calls"
    fake_npm(f'echo "$@" >> {calls}\n{cp} {tmp_path}/packed.tgz . && echo packed.tgz')
    return calls


def test_npm_fetches_it_once_into_a_folder_of_its_own(npm, small_runtime, tmp_path):
    for _ in range(2):
        paths = find_runtime()
    assert npm.read_text() == f"pack --silent {PACKAGE}\n"
    assert [path.name for path in paths] == list(FILES)
    for path in paths:
        assert path.parent == tmp_path / "cache/hourglass/npm" / PACKAGE
        assert path.read_bytes() == (small_runtime / path.name).read_bytes()


def test_a_damaged_file_of_the_cache_is_fetched_again(npm, small_runtime):
    path = find_runtime()[0]
    path.write_text("damaged")
    assert find_runtime()[0].read_bytes() == (small_runtime / path.name).read_bytes()
    assert npm.read_text().count("pack") == 2


def test_files_at_hand_need_no_npm(small_runtime, fake_npm):
    assert find_runtime(small_runtime) == [small_runtime / name for name in FILES]


def test_the_version_is_pinned():
    assert re.fullmatch(r"onnxruntime-web@\d+\.\d+\.\d+", PACKAGE)
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in FILES.values())
