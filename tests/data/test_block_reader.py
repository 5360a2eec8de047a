import numpy as np
import pytest

from helpers.archives import index_tar
from hourglass.data import block_reader, tar_index
from hourglass.data.archives import locate_pictures, open_images
from hourglass.data.block_reader import plan_blocks
from hourglass.utils.errors import UserError


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(block_reader, "BLOCK_BYTES", 100)
    monkeypatch.setattr(block_reader, "MAX_GAP_BYTES", 30)


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], []),
        ([(7, 5)], [(7, 5)]),
        ([(0, 40), (50, 40), (95, 5)], [(0, 100)]),
        ([(0, 40), (50, 40), (95, 6)], [(0, 90), (95, 6)]),
        ([(0, 10), (40, 10), (81, 10)], [(0, 50), (81, 10)]),
        ([(0, 500), (500, 10)], [(0, 500), (500, 10)]),
        ([(0, 0), (0, 0)], [(0, 0)]),
    ],
    ids=["nothing", "one", "one block", "a block is full", "a gap", "larger than a block", "empty"],
)
def test_blocks_hold_what_is_asked_for_and_pass_over_gaps(small_blocks, spans, expected):
    assert list(plan_blocks(spans)) == expected


@pytest.fixture(scope="module")
def members():
    rng = np.random.default_rng(3)
    return {f"{k:03}.jpg": rng.bytes(int(rng.integers(0, 60_000))) for k in range(100)}


@pytest.fixture
def archive(tmp_path, members, monkeypatch):
    """3 MB, a seek point each 256 kB, read in blocks of 500 kB."""
    monkeypatch.setattr(tar_index, "SEEK_SPACING_BYTES", 1 << 18)
    monkeypatch.setattr(block_reader, "BLOCK_BYTES", 500_000)
    monkeypatch.setattr(block_reader, "MAX_GAP_BYTES", 100_000)
    return index_tar(tmp_path / "a.tar.gz", [(f"images/{n}", d) for n, d in members.items()])


def count_reads(images, monkeypatch):
    """The lengths of all reads that inflate."""
    lengths, file = [], images._file

    class Counted:
        def pread(self, length, offset):
            lengths.append(length)
            return file.pread(length, offset)

        def close(self):
            file.close()

    monkeypatch.setattr(images._read.__self__, "_file", Counted())
    return lengths


def test_announced_pictures_are_read_many_at_a_time(archive, members, monkeypatch):
    with open_images(archive) as images:
        reads = count_reads(images, monkeypatch)
        images.announce(members)
        assert {name: images.read(name) for name in members} == members
    assert len(reads) <= 8 and max(reads) <= 500_000


def test_what_is_not_announced_is_read_as_well(archive, members):
    with open_images(archive) as images:
        images.announce(["000.jpg", "no.jpg", "050.jpg", "051.jpg"])
        for name in np.random.default_rng(1).permutation(list(members)):
            assert images.read(str(name)) == members[name]
        with pytest.raises(UserError, match="not in a"):
            images.read("no.jpg")


def test_an_announced_picture_above_the_limit_is_not_inflated(archive, members, monkeypatch):
    monkeypatch.setattr("hourglass.data.archives.MAX_IMAGE_BYTES", 30_000)
    with open_images(archive) as images:
        reads = count_reads(images, monkeypatch)
        images.announce(members)
        for name, data in members.items():
            if len(data) <= 30_000:
                assert images.read(name) == data
            else:
                with pytest.raises(UserError, match=r"bytes, more than 30,000 in a\.tar\.gz"):
                    images.read(name)
    assert len(reads) <= 20


def test_pictures_are_located_as_the_archive_holds_them(archive, members):
    places = locate_pictures(archive)
    assert {name: size for name, (_, size) in places.items()} == {
        name: len(data) for name, data in members.items()
    }
    assert sorted(places, key=lambda name: places[name][0]) == list(members)
