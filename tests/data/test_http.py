import gzip
import shutil

import pytest

from helpers.archives import md5, names_in
from helpers.paths import DATA, needs_data
from helpers.server import BIG
from hourglass.data.datasets.mpii import Mpii
from hourglass.data.http import DownloadError, RemoteFile, download_file, find_fault

pytestmark = pytest.mark.usefixtures("quick_retries")
SPLIT_LIST = DATA / "mpii-val" / "valid_images.txt"


def test_download_writes_the_file_and_nothing_else(site, tmp_path):
    remote = site.remote("a.bin", BIG, md5=md5(BIG))
    download_file(remote, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == BIG
    assert names_in(tmp_path) == ["a.bin"]


def test_gzip_named_as_an_encoding_stays_gzip(site, tmp_path):
    """Apache's AddEncoding does so to every .gz file."""
    content = gzip.compress(BIG)
    remote = site.remote("a.tar.gz", content, md5=md5(content))
    site.always = {"headers": {"Content-Encoding": "x-gzip"}}
    site.faults = [{"cut": 2_000_000, **site.always}]
    download_file(remote, tmp_path)
    assert (tmp_path / "a.tar.gz").read_bytes() == content
    assert site.requests[1][1] is not None


def test_retries_are_told_in_a_line_each(site, tmp_path, capsys):
    site.faults = [{"status": 503}, {"cut": 2_000_000}]
    download_file(site.remote("a.bin", BIG), tmp_path)
    refused, broken = capsys.readouterr().err.splitlines()
    assert refused == "a.bin: the server answered 503 Service Unavailable; next try in 0 s"
    assert broken.startswith("a.bin: Connection broken: ") and broken.count("IncompleteRead") == 1


def test_space_is_needed_for_the_remainder_only(site, tmp_path, monkeypatch):
    remote = site.remote("a.bin", BIG)
    site.faults = [{"cut": 2_000_000}] + [{"status": 503}] * 9
    with pytest.raises(DownloadError):
        download_file(remote, tmp_path)
    site.faults.clear()
    usage = shutil.disk_usage(tmp_path)._replace(free=len(BIG) // 2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    download_file(remote, tmp_path)


@pytest.mark.parametrize("form", ["{}", "{}/", "file://{}", "relative"])
def test_a_mirror_may_be_a_folder(tmp_path, monkeypatch, form):
    mirror, raw = tmp_path / "my mirror", tmp_path / "raw"
    mirror.mkdir()
    raw.mkdir()
    (mirror / "a.bin").write_bytes(BIG)
    monkeypatch.chdir(tmp_path)
    text = "my mirror" if form == "relative" else form.format(mirror)
    text = text.replace(" ", "%20") if text.startswith("file:") else text
    remote = RemoteFile("a.bin", "https://localhost/a.bin", md5=md5(BIG)).at_mirror(text)
    download_file(remote, raw)
    assert (raw / "a.bin").read_bytes() == BIG and names_in(raw) == ["a.bin"]


@needs_data("mpii-val")
def test_the_real_split_list_verifies():
    assert find_fault(Mpii.split_list, SPLIT_LIST) is None
