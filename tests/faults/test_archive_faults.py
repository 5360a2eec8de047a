"""Members with hostile paths, kinds, sizes and names; archives cut, damaged or of another kind."""

import gzip
import io
import json
import re
import shutil
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from helpers.archives import index_tar, md5, names_in, random_bytes, tar_info, write_tar, zip_bytes
from hourglass.data import archives, block_reader, tar_index
from hourglass.data.archives import open_images
from hourglass.data.datasets.folder import pack_folder
from hourglass.data.http import RemoteFile, find_fault
from hourglass.data.tar_index import index_archive
from hourglass.data.zip_files import read_member
from hourglass.keypoints import MPII
from hourglass.utils.errors import UserError

GOOD = ("x/images/a.jpg", b"a picture")
HUNDRED_GB = 100 * 10**9


@pytest.fixture(autouse=True)
def tree_stays(tmp_path, monkeypatch):
    """Work in a folder of its own; at the end nothing has appeared around it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    yield
    assert names_in(tmp_path) == ["outside", "work"] and names_in(outside) == []


def refusal(call, *arguments):
    """The one line of the UserError that `call` ends with."""
    with pytest.raises(UserError) as error:
        call(*arguments)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


# Members that are skipped


def zip_info(path, mode):
    info = zipfile.ZipInfo(path)
    info.external_attr = mode << 16
    return info


PATHS = {
    "climbs before images": "../images/b.jpg",
    "climbs inside images": "x/images/../../../outside/b.jpg",
    "absolute": "/images/b.jpg",
    "backslash": "images\\..\\b.jpg",
    "surrogate": "images/\udc80.jpg",
    "beside images": "x/joints.jpg",
    "images is a part of a name": "my_images/b.jpg",
    "named images": "x/images",
}
ZIP_KINDS = {
    "symbolic link": zip_info("x/images/b.jpg", stat.S_IFLNK | 0o777),
    "device": zip_info("x/images/b.jpg", stat.S_IFCHR | 0o666),
    "pipe": zip_info("x/images/b.jpg", stat.S_IFIFO | 0o666),
    "folder": "x/images/b.jpg/",
}
TAR_KINDS = {
    "symbolic link": tar_info("images/b.jpg", tarfile.SYMTYPE, linkname="/etc/passwd"),
    "hard link": tar_info("images/b.jpg", tarfile.LNKTYPE, linkname="x/images/a.jpg"),
    "character device": tar_info("images/b.jpg", tarfile.CHRTYPE),
    "block device": tar_info("images/b.jpg", tarfile.BLKTYPE),
    "pipe": tar_info("images/b.jpg", tarfile.FIFOTYPE),
    "folder": tar_info("images/b.jpg", tarfile.DIRTYPE),
}


def make_zip(*members):
    path = Path("a.zip")
    path.write_bytes(zip_bytes(members))
    return path


def assert_only_the_good_one(archive):
    with open_images(archive) as images:
        assert images.names() == {"a.jpg"}
        assert images.read("a.jpg") == b"a picture"
        line = refusal(images.read, "b.jpg")
        assert line == f"not in {archive.name}"


# A zip's names are UTF-8 or of an old code page: there are no surrogates in them.
ZIP_MEMBERS = {name: path for name, path in PATHS.items() if name != "surrogate"} | ZIP_KINDS


@pytest.mark.parametrize("member", ZIP_MEMBERS.values(), ids=[f"zip, {id}" for id in ZIP_MEMBERS])
def test_a_member_of_a_zip_that_is_no_plain_picture_is_skipped(member):
    assert_only_the_good_one(make_zip(GOOD, (member, b"/etc/passwd")))


TAR_MEMBERS = PATHS | TAR_KINDS


@pytest.mark.parametrize("member", TAR_MEMBERS.values(), ids=[f"tar, {id}" for id in TAR_MEMBERS])
def test_a_member_of_a_tar_that_is_no_plain_picture_is_skipped(member):
    assert_only_the_good_one(index_tar(Path("a.tar.gz"), [GOOD, (member, b"")]))


def test_long_and_nested_names_stay_pictures():
    names = ["long" * 60 + ".jpg", "deep/images/b.jpg", "a b 가.jpg"]
    members = [(f"./images/{name}", name.encode()) for name in names]
    for archive in (make_zip(*members), index_tar(Path("a.tar.gz"), members)):
        with open_images(archive) as images:
            assert [images.read(name).decode() for name in names] == names


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("twin", ["x/images/a.jpg", "y/images/a.jpg", "./x//images/./a.jpg"])
def test_two_pictures_of_one_name_are_an_error(twin):
    members = [GOOD, (twin, b"another")]
    line = refusal(open_images, make_zip(*members))
    assert line == "a.zip: holds two pictures a.jpg; delete it and run `dvc repro download`"
    line = refusal(index_tar, Path("a.tar.gz"), members)
    assert line == "a.tar.gz: holds two pictures a.jpg; delete it and run `dvc repro download`"
    assert names_in(Path()) == ["a.tar.gz", "a.zip"]


# Members that are too large


def claim_size(data, size):
    """A zip whose last member claims another size once inflated."""
    place = data.rindex(b"PK\1\2")
    return data[: place + 24] + struct.pack("<I", size) + data[place + 28 :]


def zip_of_zeros(size):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(*GOOD)
        archive.writestr("images/b.jpg", bytes(size))
    return buffer.getvalue()


def test_a_zip_member_that_claims_4_gb_is_not_inflated():
    Path("a.zip").write_bytes(claim_size(zip_of_zeros(1_000), 2**32 - 2))
    with open_images("a.zip") as images:
        line = refusal(images.read, "b.jpg")
        assert line == "4,294,967,294 bytes, more than 100,000,000 in a.zip"
        assert images.read("a.jpg") == b"a picture"


def test_a_downloaded_zip_with_too_large_a_member_is_not_even_checked(monkeypatch):
    monkeypatch.setattr(zipfile.ZipFile, "testzip", lambda _: pytest.fail("inflated"))
    Path("a.zip").write_bytes(claim_size(zip_of_zeros(1_000), 2**32 - 2))
    fault = find_fault(RemoteFile("a.zip", "url"), Path("a.zip"))
    assert fault == "holds 'images/b.jpg' of 4,294,967,294 bytes, more than 500,000,000"


def test_a_zip_member_that_is_larger_than_it_claims_stops_there():
    Path("a.zip").write_bytes(claim_size(zip_of_zeros(50_000_000), 1_000))
    with open_images("a.zip") as images:
        assert "damaged (Bad CRC-32" in refusal(images.read, "b.jpg")


def gzip_blocks(*blocks):
    path = Path("a.tar.gz")
    path.write_bytes(gzip.compress(b"".join(blocks), mtime=0))
    return path


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (tarfile.REGTYPE, "images/b.jpg"),
        (tarfile.REGTYPE, "elsewhere"),
        (tarfile.GNUTYPE_LONGNAME, "././@LongLink"),
        (tarfile.GNUTYPE_LONGLINK, "././@LongLink"),
        (tarfile.XHDTYPE, "pax_header"),
        (tarfile.XGLTYPE, "pax_global_header"),
    ],
    ids=["a picture", "another file", "a name", "a link's name", "a header", "a global header"],
)
def test_a_tar_member_of_100_gb_of_zeros_is_refused_by_its_header(monkeypatch, kind, name):
    header = tar_info(name, kind, size=HUNDRED_GB).tobuf(tarfile.GNU_FORMAT)
    path = gzip_blocks(header, bytes(20_000_000))  # as much of the zeros as would be noticed
    line = refusal(index_archive, path, "md5")
    assert f"a.tar.gz: is not a whole tar.gz ({name}: 100,000,000,000 bytes, more than " in line
    assert names_in(Path()) == ["a.tar.gz"]


def test_too_large_a_picture_is_refused(monkeypatch):
    monkeypatch.setattr(archives, "MAX_IMAGE_BYTES", 8)
    for archive in (make_zip(GOOD), index_tar(Path("a.tar.gz"), [GOOD])):
        with open_images(archive) as images:
            assert refusal(images.read, "a.jpg") == f"9 bytes, more than 8 in {archive.name}"


# Archives that are cut, damaged, or of another kind


@pytest.mark.parametrize(
    ("name", "kept"),
    [("empty", 0), ("in its header", 5), ("in a member", 30_000), ("in its tail", -1_000),
     ("in its checksum", -4)],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_cut_tar_is_an_error_and_is_not_indexed(name, kept):
    path = Path("a.tar.gz")
    write_tar(path, [(f"images/{i}.jpg", random_bytes(9_000, i)) for i in range(20)])
    path.write_bytes(path.read_bytes()[:kept])
    line = refusal(index_archive, path, md5(path.read_bytes()))
    assert line.startswith("a.tar.gz: is not a whole tar.gz (") and line.endswith(
        "; delete it and run `dvc repro download`"
    )
    assert names_in(Path()) == ["a.tar.gz"]


WHOLE = [tar_info("images/a.jpg", size=512).tobuf(), b"x" * 512, bytes(1024)]


@pytest.mark.parametrize(
    ("blocks", "fault"),
    [(WHOLE[:2], "cut short"), ([*WHOLE[:2], b"?" * 512, *WHOLE], "garbled header"),
     ([b"?" * 512, *WHOLE], "garbled header|invalid header"), ([bytes(512), *WHOLE], "garbled"),
     ([b"text, and no tar"], "truncated header|cut short|empty")],
    ids=["cut between two members", "garbled header", "garbled first header", "zeros between",
         "gzip of a text"],
)  # fmt: skip
def test_a_tar_that_ends_too_early_is_an_error(blocks, fault):
    index_archive(gzip_blocks(*WHOLE), "md5")
    line = refusal(index_archive, gzip_blocks(*blocks), "another md5")
    assert re.search(rf"a\.tar\.gz: is not a whole tar\.gz \(({fault})", line)


@pytest.mark.parametrize("kept", [0, 10, 300, -10], ids=["empty", "header", "half", "tail"])
def test_a_cut_zip_is_an_error(kept):
    path = make_zip(GOOD, ("images/b.jpg", random_bytes(500)))
    path.write_bytes(path.read_bytes()[:kept])
    line = refusal(open_images, path)
    assert line.startswith("a.zip: is not a whole zip archive (") and line.endswith(
        "; delete it and run `dvc repro download`"
    )


def encrypted(data):
    """The zip with the flag of an encrypted member, in both of its headers."""
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        place = data.index(signature) + offset
        data = data[:place] + b"\1\0" + data[place + 2 :]
    return data


@pytest.mark.parametrize(
    ("mangle", "fault"),
    [
        (lambda data: data.replace(b"a picture", b"a pixture"), "Bad CRC-32"),
        (lambda data: data.replace(b"PK\3\4", b"PK\3\5"), "Bad magic number"),
        (encrypted, "encrypted"),
        (lambda data: data.replace(b"PK\1\2\x14\x03\x14\0\0\0\0\0", b"PK\1\2\x14\x03\x14\0\0\0c\0"),
         "compression"),
        (lambda data: data.replace(b"x/images/a.jpg", b"x/images/b.jpg", 1), "differ"),
    ],
    ids=["a byte changed", "no member where the list says", "encrypted", "unknown compression",
         "another name in the list"],
)  # fmt: skip
def test_a_damaged_zip_member_is_named(mangle, fault):
    path = make_zip(GOOD)
    data = mangle(path.read_bytes())
    assert data != path.read_bytes()
    path.write_bytes(data)
    with open_images(path) as images:
        line = refusal(images.read, "a.jpg")
    assert line.startswith("damaged (") and line.endswith(") in a.zip")
    assert fault in line


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"archive": {}}', b"\xff"])
def test_a_damaged_list_of_members_sends_to_the_download_stage(content):
    path = index_tar(Path("a.tar.gz"), [GOOD])
    Path("a.tar.gz.members.json").write_bytes(content)
    line = refusal(open_images, path)
    assert line.startswith("a.tar.gz.members.json: cannot be used (")
    assert line.endswith("; delete it and run `dvc repro download`")


@pytest.mark.parametrize("content", [None, b"", b"no seek points"])
def test_damaged_seek_points_send_to_the_download_stage(content):
    path = index_tar(Path("a.tar.gz"), [GOOD])
    Path("a.tar.gz.gzidx").unlink()
    if content is not None:
        Path("a.tar.gz.gzidx").write_bytes(content)
    assert refusal(open_images, path).endswith("; delete it and run `dvc repro download`")


def test_the_index_of_another_archive_is_refused():
    path = index_tar(Path("a.tar.gz"), [GOOD])
    path.write_bytes(path.read_bytes() + b"more")
    assert "cannot be used (made for another archive)" in refusal(open_images, path)


def test_a_picture_cut_off_by_the_end_is_damaged():
    path = index_tar(Path("a.tar.gz"), [GOOD])
    index = Path("a.tar.gz.members.json")
    content = json.loads(index.read_text())
    content["members"]["a.jpg"][1] = 1_000_000
    index.write_text(json.dumps(content))
    with open_images(path) as images:
        assert re.match(r"damaged \(.* of 1,000,000", refusal(images.read, "a.jpg"))


def read_all(archive, names, announce):
    """Each picture's bytes, or why it has none; announced, as shards are made, or one by one."""
    with open_images(archive) as images:
        images.announce(names if announce else [])
        found = {}
        for name in names:
            try:
                found[name] = images.read(name)
            except UserError as error:
                found[name] = str(error)
    return found


def zero_bytes(data, place):
    data[place : place + 300] = bytes(300)


def flip_bits(data, place):
    data[place] ^= 0xFF


@pytest.mark.parametrize("damage", [zero_bytes, flip_bits])
@pytest.mark.parametrize("part", [0.3, 0.5, 0.7])
def test_damage_inside_a_tar_costs_the_pictures_it_touches(monkeypatch, damage, part):
    monkeypatch.setattr(tar_index, "SEEK_SPACING_BYTES", 1 << 16)
    monkeypatch.setattr(block_reader, "BLOCK_BYTES", 200_000)
    # Half of each cannot be compressed, as in a JPEG; half can.
    members = {f"{k:02}.jpg": random_bytes(9_000, k) + b"%d, " % k * 3_000 for k in range(60)}
    path = index_tar(Path("a.tar.gz"), [(f"images/{n}", data) for n, data in members.items()])
    data = bytearray(path.read_bytes())
    damage(data, int(part * len(data)))
    path.write_bytes(data)
    announced, singly = (read_all(path, members, announce) for announce in (True, False))
    assert announced == singly
    wrong = {name for name, found in announced.items() if found != members[name]}
    assert 1 <= len(wrong) <= 8  # up to the next seek point, those after it are lost too


@pytest.mark.parametrize("call", [open_images, lambda path: read_member(path, "joints.mat")])
def test_a_missing_archive_sends_to_the_download_stage(call):
    line = refusal(call, Path("no.zip"))
    assert line == "no.zip: not found; run `dvc repro download`"


# The user's own folder


@pytest.fixture
def own():
    source = Path("own")
    (source / "images" / "deep").mkdir(parents=True)
    (source / "images" / "a.jpg").write_bytes(b"a")
    (source / "images" / "deep" / "b.jpg").write_bytes(b"bb")
    (source / "train.json").write_text('[{"image": "a.jpg"}]')
    (source / "validation.json").write_text('[{"image": "deep/b.jpg"}]')
    return source


@pytest.mark.parametrize("missing", ["", "images", "train.json", "validation.json"])
def test_what_is_missing_of_an_own_folder_is_named(own, missing):
    path = own / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    line = refusal(pack_folder, own, Path("raw"), MPII)
    assert line == (
        f"{path}: not found; data.folder needs images/, train.json and validation.json, or a "
        "labelling tool's export"
    )


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"[{", "not JSON at line 1 column 3, where the file ends"),
        (b"", "the file is empty"),
        (b"\xff", "not UTF-8 at byte 0"),
        ('[{"image": "a.jpg"}]'.encode("utf-16"), "not UTF-8 at byte 0"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"image": "a.jpg"}', "line 1: a list of records was expected"),
    ],
    ids=["cut", "empty", "Latin-1", "UTF-16", "nested", "an object"],
)
def test_an_unreadable_own_json_is_an_error(own, content, fault):
    (own / "train.json").write_bytes(content)
    line = refusal(pack_folder, own, Path("raw"), MPII)
    assert line.startswith("own/train.json: ") and line.endswith("; correct it") and fault in line
    assert not Path("raw").exists()


@pytest.mark.parametrize(
    "image",
    ["link to a folder", "broken link", "../secret.jpg", "/etc/passwd", "x" * 5_000, "nul\0.jpg",
     "\ud800.jpg", "", ".", "deep//b.jpg", "deep/../a.jpg"],
    ids=["link to a folder", "broken link", "climbs", "absolute", "too long", "NUL", "surrogate",
         "empty", "dot", "two slashes", "climbs and returns"],
)  # fmt: skip
def test_only_regular_files_inside_images_are_packed(own, image):
    (own / "images" / "link to a folder").symlink_to("deep")
    (own / "images" / "broken link").symlink_to("nowhere")
    (own / "secret.jpg").write_bytes(b"secret")
    (own / "train.json").write_text(json.dumps([{"image": image}]))
    pack_folder(own, Path("raw"), MPII)
    with open_images("raw/images.zip") as images:
        assert images.names() == {"deep/b.jpg"}


def test_a_linked_picture_is_packed_as_its_content(own):
    (own / "images" / "link.jpg").symlink_to(Path("own/images/a.jpg").resolve())
    (own / "train.json").write_text('[{"image": "link.jpg"}]')
    pack_folder(own, Path("raw"), MPII)
    with open_images("raw/images.zip") as images:
        assert images.read("link.jpg") == b"a"


def test_none_of_the_pictures_is_there(own):
    shutil.rmtree(own / "images")
    (own / "images").mkdir()
    line = refusal(pack_folder, own, Path("raw"), MPII)
    assert line.startswith("own/images: holds none of the pictures that the JSON files name")
    assert not Path("raw/images.zip").exists()


@pytest.mark.parametrize("name", ["train.json", "validation.json"])
def test_an_own_split_without_records_is_named(own, name):
    (own / name).write_text("[]")
    line = refusal(pack_folder, own, Path("raw"), MPII)
    assert line == f"own/{name}: holds no record of a person; correct it"
    assert not Path("raw").exists()


def test_packing_needs_free_space(own, monkeypatch):
    usage = shutil.disk_usage(own)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert "and 10 are free; make room" in refusal(pack_folder, own, Path("raw"), MPII)
    assert names_in(Path("raw")) == []
