import hashlib
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

import hourglass
from hourglass.errors import UserError
from hourglass.raw import archives, tar_index
from hourglass.raw.archives import open_images, picture_name, read_member
from hourglass.raw.packing import pack_folder
from hourglass.raw.tar_index import index_archive

LSPET = Path(__file__).parents[2] / "shared" / "data" / "lspet-first60.zip"


def random_bytes(size, seed=0):
    return np.random.default_rng(seed).bytes(size)


def md5(content):
    return hashlib.md5(content).hexdigest()


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def zip_bytes(members):
    """A zip of (path, content) pairs, as an attacker may write it: nothing is normalised."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in members:
            info = path if isinstance(path, zipfile.ZipInfo) else zipfile.ZipInfo(path)
            archive.writestr(info, content)
    return buffer.getvalue()


def tar_info(name, kind=tarfile.REGTYPE, size=0, linkname=""):
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, linkname
    return info


def write_tar(path, members):
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for member, content in members:
            named = isinstance(member, str)
            info = tar_info(member, size=len(content)) if named else member
            archive.addfile(info, io.BytesIO(content))
    return md5(path.read_bytes())


def index_tar(path, members):
    index_archive(path, write_tar(path, members))
    return path


# --- pack_folder


@pytest.fixture
def own(tmp_path):
    source = tmp_path / "own"
    (source / "images" / "deep").mkdir(parents=True)
    (source / "images" / "a.jpg").write_bytes(b"a")
    (source / "images" / "deep" / "b.jpg").write_bytes(b"bb")
    (source / "images" / "unused.jpg").write_bytes(b"unused")
    (source / "train.json").write_text('[{"image": "a.jpg"}, {"image": ["?"]}, {}]')
    (source / "validation.json").write_text('[{"image": "deep/b.jpg"}, {"image": "gone.jpg"}]')
    return source


def packed_names(folder):
    with zipfile.ZipFile(folder / "images.zip") as archive:
        return archive.namelist()


def test_packs_what_the_json_names(own, tmp_path):
    folder = tmp_path / "raw"
    pack_folder(own, folder)
    assert names_in(folder) == ["images.zip", "train.json", "validation.json"]
    assert packed_names(folder) == ["images/a.jpg", "images/deep/b.jpg"]
    for name in ("train.json", "validation.json"):
        assert (folder / name).read_bytes() == (own / name).read_bytes()
    with open_images(folder / "images.zip") as images:
        assert images.names() == {"a.jpg", "deep/b.jpg"} and images.read("deep/b.jpg") == b"bb"


def test_packed_bytes_depend_on_content_alone(own, tmp_path):
    pack_folder(own, tmp_path / "one")
    twin = tmp_path / "twin"
    for name in ("images/deep/b.jpg", "images/a.jpg", "validation.json", "train.json"):
        (twin / name).parent.mkdir(parents=True, exist_ok=True)
        (twin / name).write_bytes((own / name).read_bytes())
        (twin / name).chmod(0o600)
        os.utime(twin / name, (10**9, 10**9))
    pack_folder(twin, tmp_path / "two")
    one, two = ((tmp_path / name / "images.zip").read_bytes() for name in ("one", "two"))
    assert one == two
    (twin / "images" / "a.jpg").write_bytes(b"A")
    pack_folder(twin, tmp_path / "two")
    assert (tmp_path / "two" / "images.zip").read_bytes() != one


def test_odd_records_are_left_to_the_parser(own, tmp_path):
    (own / "train.json").write_text(f'[{{"image": "a.jpg", "scale": {"9" * 5000}}}, null, 7]')
    pack_folder(own, tmp_path / "raw")
    assert "images/a.jpg" in packed_names(tmp_path / "raw")


# --- open_images, index_archive, read_member


@pytest.fixture(scope="module")
def big_tar(tmp_path_factory):
    """200 members of random bytes, and seek points dense enough that reads start between them."""
    rng = np.random.default_rng(3)
    members = [
        (f"./images/{i:03d}.jpg", rng.bytes(int(rng.integers(0, 60_000)))) for i in range(200)
    ]
    path = tmp_path_factory.mktemp("tar") / "a.tar.gz"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tar_index, "SEEK_SPACING_BYTES", 1 << 18)
        patch.setattr(tar_index, "SCAN_BUFFER_BYTES", 1 << 20)
        index_tar(path, members)
        seek_points = path.with_name("a.tar.gz.gzidx").read_bytes()
        path.with_name("a.tar.gz.gzidx").unlink()
        index_archive(path, md5(path.read_bytes()))
        assert path.with_name("a.tar.gz.gzidx").read_bytes() == seek_points
    assert len(seek_points) > 10 * 32_768
    return path, {name.removeprefix("./images/"): content for name, content in members}


def test_random_access_equals_sequential_reading(big_tar):
    path, expected = big_tar
    with open_images(path) as images:
        assert images.names() == set(expected)
        for name in np.random.default_rng(4).permutation(sorted(expected)):
            assert images.read(str(name)) == expected[name]


def test_index_is_kept_where_it_matches_and_made_anew_where_not(tmp_path):
    path = index_tar(tmp_path / "a.tar.gz", [("images/a.jpg", b"a")])
    index = tmp_path / "a.tar.gz.members.json"
    inode = index.stat().st_ino
    index_archive(path, md5(path.read_bytes()))
    assert index.stat().st_ino == inode
    index_tar(path, [("images/b.jpg", b"b")])
    with open_images(path) as images:
        assert images.names() == {"b.jpg"}
    (tmp_path / "a.tar.gz.gzidx").unlink()
    with pytest.raises(UserError, match=r"cannot be used .*run `dvc repro download`"):
        open_images(path)


def test_read_member_wants_exactly_one(tmp_path, monkeypatch):
    path = tmp_path / "a.zip"
    members = [("x/joints.mat", b"joints"), ("__MACOSX/x/._joints.mat", b"?"), ("x/two", b"")]
    path.write_bytes(zip_bytes([*members, ("two", b"")]))
    assert read_member(path, "joints.mat") == b"joints"
    with pytest.raises(UserError, match=r"a\.zip: holds 2 files two, one was expected"):
        read_member(path, "two")
    with pytest.raises(UserError, match=r"a\.zip: holds no file oints\.mat"):
        read_member(path, "oints.mat")
    with pytest.raises(UserError, match=r"no\.zip: not found; run `dvc repro download`"):
        read_member(tmp_path / "no.zip", "joints.mat")
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 5)
    with pytest.raises(UserError, match=r"joints\.mat: 6 bytes, more than 5"):
        read_member(path, "joints.mat")


@pytest.mark.parametrize(
    ("member", "name"),
    [
        ("images/a.jpg", "a.jpg"),
        ("./x/images//deep/./images/b.jpg", "deep/images/b.jpg"),
        ("x/images", None),
        ("my_images/a.jpg", None),
        ("/images/a.jpg", None),
        ("images/../a.jpg", None),
        ("images/a\\b.jpg", None),
        ("images/nul\0.jpg", None),
        ("images/\ud800.jpg", None),
    ],
)
def test_picture_name(member, name):
    assert picture_name(member) == name


@pytest.mark.skipif(not LSPET.exists(), reason=f"needs {LSPET}")
def test_the_real_lspet_archive():
    with open_images(LSPET) as images:
        assert images.names() == {f"im{i:05d}.jpg" for i in range(1, 61)}
        assert images.read("im00060.jpg").startswith(b"\xff\xd8\xff")
    assert read_member(LSPET, "joints.mat").startswith(b"MATLAB 5.0")


def test_import_brings_no_tensorflow_and_no_pydantic():
    code = (
        "import sys, hourglass.raw.archives; print({'tensorflow', 'pydantic'} & set(sys.modules))"
    )
    environment = {"PYTHONPATH": str(Path(hourglass.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
