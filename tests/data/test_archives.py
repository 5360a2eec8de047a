import errno
import os

import numpy as np
import pytest

from helpers.archives import index_tar, md5, zip_bytes
from helpers.paths import DATA, needs_data
from helpers.processes import loaded_after
from hourglass.data import tar_index, zip_files
from hourglass.data.archives import open_images
from hourglass.data.tar_index import index_archive
from hourglass.data.zip_files import picture_name, read_member
from hourglass.utils.errors import UserError

LSPET = DATA / "lspet-first60.zip"


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
    monkeypatch.setattr(zip_files, "MAX_MEMBER_BYTES", 5)
    with pytest.raises(UserError, match=r"joints\.mat: 6 bytes, more than 5"):
        read_member(path, "joints.mat")


DEVICE_ERRORS = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT)


@pytest.mark.parametrize("number", [*DEVICE_ERRORS, errno.EINVAL, None])
@pytest.mark.parametrize("is_tar", [False, True])
def test_a_disk_that_fails_is_no_damage(tmp_path, monkeypatch, is_tar, number):
    path, members = tmp_path / ("a.tar.gz" if is_tar else "a.zip"), [("images/a.jpg", b"a")]
    index_tar(path, members) if is_tar else path.write_bytes(zip_bytes(members))

    def fail(*_):
        raise OSError(number, os.strerror(number)) if number else OSError("zran_read failed")

    with open_images(path) as images:
        monkeypatch.setattr(images, "_read", fail)
        if number in DEVICE_ERRORS:
            with pytest.raises(OSError, match=os.strerror(number)) as error:
                images.read("a.jpg")
            assert error.value.filename == str(path)
        else:
            with pytest.raises(UserError, match=r"^damaged \(.*\) in a\."):
                images.read("a.jpg")


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


@needs_data("lspet-first60.zip")
def test_the_real_lspet_archive():
    with open_images(LSPET) as images:
        assert images.names() == {f"im{i:05d}.jpg" for i in range(1, 61)}
        assert images.read("im00060.jpg").startswith(b"\xff\xd8\xff")
    assert read_member(LSPET, "joints.mat").startswith(b"MATLAB 5.0")


def test_import_brings_no_tensorflow_and_no_pydantic():
    assert not loaded_after("import hourglass.data.archives", "tensorflow", "pydantic")
