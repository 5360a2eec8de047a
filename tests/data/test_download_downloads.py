import gzip
import shutil

import pytest

from helpers.archives import md5, names_in
from helpers.paths import DATA, needs_data
from helpers.server import BIG, RECORDS, data_params
from hourglass.data.archives import open_images
from hourglass.data.datasets import synthetic
from hourglass.data.datasets.mpii import Mpii
from hourglass.data.download import fetch_dataset
from hourglass.data.http import DownloadError, download_file, find_fault
from hourglass.utils.errors import UserError
from hourglass.utils.files import exclusive_lock

pytestmark = pytest.mark.usefixtures("quick_retries")
LSPET = DATA / "lspet-first60.zip"
SPLIT_LIST = DATA / "mpii-val" / "valid_images.txt"


# --- download


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


# --- fetch_dataset


def test_mpii_is_fetched_indexed_and_not_fetched_again(site, small_mpii, tmp_path):
    folder = tmp_path / "raw"
    fetch_dataset(small_mpii, folder)
    images = "mpii_human_pose_v1.tar.gz"
    expected = [images, f"{images}.gzidx", f"{images}.members.json"]
    expected += ["mpii_human_pose_v1_u12_2.zip", "train.json", "validation.json"]
    assert names_in(folder) == expected
    with open_images(folder / images) as archive:
        assert archive.names() == {"a.jpg", "b.jpg"} and archive.read("b.jpg") == b"bb"
    before = {path: (path.read_bytes(), path.stat().st_ino) for path in folder.iterdir()}
    assert len(site.requests) == 4
    fetch_dataset(small_mpii, folder)
    assert len(site.requests) == 4
    assert {path: (path.read_bytes(), path.stat().st_ino) for path in folder.iterdir()} == before


def test_json_host_gone_takes_the_fallback_and_keeps_it(site, small_mpii, tmp_path, capsys):
    content = site.files.pop("validation.json")
    folder = tmp_path / "raw"
    fetch_dataset(small_mpii, folder)
    assert (folder / "valid_images.txt").read_bytes() == b"a.jpg\nb.jpg\n"
    assert not (folder / "validation.json").exists()
    assert "validation.json: the server answered 404" in capsys.readouterr().err
    site.files["validation.json"] = content
    fetch_dataset(small_mpii, folder)
    assert not (folder / "validation.json").exists()
    (folder / "valid_images.txt").unlink()
    fetch_dataset(small_mpii, folder)
    assert (folder / "validation.json").exists()


def test_folder_is_packed_under_the_lock(tmp_path, monkeypatch):
    own = tmp_path / "own"
    (own / "images").mkdir(parents=True)
    (own / "images" / "a.jpg").write_bytes(b"a")
    for name in ("train.json", "validation.json"):
        (own / name).write_bytes(RECORDS)
    fetch_dataset(data_params("folder", folder=own), tmp_path / "raw")
    assert names_in(tmp_path / "raw") == ["images.zip", "train.json", "validation.json"]
    with (
        exclusive_lock(tmp_path / "raw" / ".lock", "testing"),
        pytest.raises(UserError, match="is filling"),
    ):
        fetch_dataset(data_params("folder", folder=own), tmp_path / "raw")


def test_synthetic_is_drawn_under_the_lock(tmp_path, monkeypatch):
    seen = []
    real_write = synthetic.write_dataset

    def write_and_look(folder, params):
        seen.append((folder / ".lock").exists())
        real_write(folder, params)

    monkeypatch.setattr(synthetic, "write_dataset", write_and_look)
    fetch_dataset(data_params("synthetic"), tmp_path)
    assert seen == [True]
    assert names_in(tmp_path) == ["images.zip", "train.json", "validation.json"]


@needs_data("mpii-val")
def test_the_real_split_list_verifies():
    assert find_fault(Mpii.split_list, SPLIT_LIST) is None


@needs_data("lspet-first60.zip")
def test_the_real_lspet_archive(site, tmp_path):
    site.files["lspet.zip"] = LSPET.read_bytes()
    fetch_dataset(data_params("lspet", site.url), tmp_path)
    assert names_in(tmp_path) == ["lspet.zip"]
