import dataclasses
import gzip
import hashlib
import http.server
import io
import json
import multiprocessing
import os
import pickle
import shutil
import socket
import stat
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hourglass import archives
from hourglass.archives import (
    DownloadError,
    download_file,
    fetch_dataset,
    index_archive,
    open_images,
    pack_folder,
    read_member,
)
from hourglass.datasets import DATASETS, RemoteFile
from hourglass.errors import UserError
from hourglass.params import DataParams, SyntheticParams

SHARED = Path(__file__).parents[2] / "shared" / "data"
LSPET = SHARED / "lspet-first60.zip"
SPLIT_LIST = SHARED / "mpii-val" / "valid_images.txt"

RECORDS = b'[{"image": "a.jpg"}]'


def random_bytes(size, seed=0):
    return np.random.default_rng(seed).bytes(size)


def md5(content):
    return hashlib.md5(content).hexdigest()


BIG = random_bytes(3_000_000)


# A server that serves `files`, and misbehaves once for each entry of `faults`: a dict of
# status, headers, location, offset (of a 206), no_range, cut (bytes sent before it breaks off),
# swap (the file changes to these bytes from then on), unsized.
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        site = self.server
        name = self.path.lstrip("/")
        fault = site.faults.pop(0) if site.faults else site.always
        if "swap" in fault:
            site.files[name] = fault["swap"]
        site.requests.append((name, self.headers.get("Range")))
        if "status" in fault or name not in site.files:
            self.refuse(fault)
            return
        self.serve(site.files[name], fault)

    def refuse(self, fault):
        self.send_response(fault.get("status", 404))
        for key, value in fault.get("headers", {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def serve(self, content, fault):
        etag = None if self.server.no_etag else f'"{md5(content)}"'
        asked = self.headers.get("Range")
        unchanged = self.headers.get("If-Range") in (None, etag) or fault.get("ignore_if_range")
        start = 0
        if asked and unchanged and not fault.get("no_range"):
            if int(asked.removeprefix("bytes=").rstrip("-")) >= len(content):
                self.refuse({"status": 416})
                return
            start = fault.get("offset", int(asked.removeprefix("bytes=").rstrip("-")))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if etag:
            self.send_header("ETag", etag)
        body = content[start:]
        if fault.get("unsized"):
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.send_body(body, fault)

    def send_body(self, body, fault):
        body = body[: fault.get("cut", len(body))]
        self.server.sent.append(len(body))
        self.wfile.write(body)
        if "cut" in fault or fault.get("unsized"):
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_WR)


class Site(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.faults, self.requests, self.sent = {}, [], [], []
        self.always, self.no_etag = {}, False
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_):
        pass  # a client that hangs up is part of the tests

    def remote(self, name, content, **expected):
        self.files[name] = content
        return RemoteFile(name, f"{self.url}/{name}", **expected)


@pytest.fixture
def site():
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(archives, "BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr(archives, "MAX_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(archives, "TIMEOUT_SECONDS", (2, 2))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def data_params(dataset, mirror="", folder="unused"):
    synthetic = SyntheticParams(num_train=1, num_val=1, seed=0)
    return DataParams(dataset=dataset, mirror=mirror, folder=str(folder), synthetic=synthetic)


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


# --- download


def test_download_writes_the_file_and_nothing_else(site, tmp_path):
    remote = site.remote("a.bin", BIG, md5=md5(BIG), size=len(BIG))
    assert download_file(remote, tmp_path) == md5(BIG)
    assert (tmp_path / "a.bin").read_bytes() == BIG
    assert names_in(tmp_path) == ["a.bin"]


def test_dropped_connection_resumes_with_the_remainder_only(site, tmp_path):
    remote = site.remote("a.bin", BIG, md5=md5(BIG))
    site.faults = [{"cut": 2_000_000}, {"cut": 500_000}]
    download_file(remote, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == BIG
    first, second, third = (request[1] for request in site.requests)
    assert first is None
    kept = int(second.removeprefix("bytes=").rstrip("-"))
    assert 2_000_000 - archives.CHUNK_BYTES <= kept <= 2_000_000
    last = int(third.removeprefix("bytes=").rstrip("-"))
    assert kept < last
    assert site.sent[2] == len(BIG) - last


def test_next_process_resumes_what_the_last_one_left(site, tmp_path):
    remote = site.remote("a.bin", BIG, md5=md5(BIG))
    site.faults = [{"cut": 2_000_000}] + [{"status": 503}] * 9
    with pytest.raises(DownloadError, match=r"503.*then repeat"):
        download_file(remote, tmp_path)
    assert names_in(tmp_path) == ["a.bin.part", "a.bin.part.json"]
    kept = (tmp_path / "a.bin.part").stat().st_size
    site.faults.clear()
    assert download_file(remote, tmp_path) == md5(BIG)
    assert site.requests[-1][1] == f"bytes={kept}-"
    assert site.sent[-1] == len(BIG) - kept
    assert names_in(tmp_path) == ["a.bin"]


def test_killed_before_the_renaming_asks_for_nothing(site, tmp_path):
    remote = site.remote("a.bin", BIG)
    part = archives._PartFile(tmp_path / "a.bin", remote.url)
    archives._complete_part(part, remote)
    assert (tmp_path / "a.bin.part").read_bytes() == BIG
    download_file(remote, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == BIG and len(site.requests) == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"no_range": True},
        {"offset": 1_000},
        {"offset": 2_900_000},
        {"status": 416},
    ],
)
def test_answer_from_another_place_is_mended(site, tmp_path, fault):
    remote = site.remote("a.bin", BIG)  # no md5: the place itself must be seen to be wrong
    site.faults = [{"cut": 2_000_000}, fault]
    download_file(remote, tmp_path)
    assert site.requests[1][1] is not None
    assert (tmp_path / "a.bin").read_bytes() == BIG


@pytest.mark.parametrize("ignore_if_range", [False, True])
def test_file_that_changes_between_tries_starts_anew(site, tmp_path, ignore_if_range):
    new = random_bytes(len(BIG), seed=1)
    remote = site.remote("a.bin", BIG)
    site.faults = [{"cut": 2_000_000}, {"swap": new, "ignore_if_range": ignore_if_range}]
    download_file(remote, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == new


def test_part_of_another_url_is_not_resumed(site, tmp_path):
    site.faults = [{"cut": 2_000_000}] + [{"status": 503}] * 9
    with pytest.raises(DownloadError):
        download_file(site.remote("a.bin", BIG), tmp_path)
    site.faults.clear()
    site.files["other/a.bin"] = BIG
    download_file(RemoteFile("a.bin", f"{site.url}/other/a.bin"), tmp_path)
    assert site.requests[-1] == ("other/a.bin", None)


def test_without_a_validator_it_starts_anew(site, tmp_path):
    site.no_etag = True
    site.faults = [{"cut": 2_000_000}]
    download_file(site.remote("a.bin", BIG), tmp_path)
    assert [request[1] for request in site.requests] == [None, None]
    assert (tmp_path / "a.bin").read_bytes() == BIG


def test_garbled_part_is_fetched_again_once(site, tmp_path):
    remote = site.remote("a.bin", BIG, md5=md5(BIG))
    site.faults = [{"cut": 2_000_000}] + [{"status": 503}] * 9
    with pytest.raises(DownloadError):
        download_file(remote, tmp_path)
    site.faults.clear()
    with open(tmp_path / "a.bin.part", "r+b") as part:
        part.write(b"garbled")
    download_file(remote, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == BIG


def test_server_that_always_breaks_off_and_never_resumes_ends(site, tmp_path):
    remote = site.remote("a.bin", BIG)
    site.always = {"cut": 2_000_000, "no_range": True}
    with pytest.raises(DownloadError, match=f"{site.url}/a.bin: "):
        download_file(remote, tmp_path)
    assert len(site.requests) == archives.MAX_FAILURES + 1


def test_reaching_an_old_point_again_is_no_progress(site, tmp_path):
    remote = site.remote("a.bin", BIG)
    site.faults = [{"cut": cut, "no_range": True} for cut in (2_000_000, 1_000_000)] * 5
    with pytest.raises(DownloadError):
        download_file(remote, tmp_path)
    assert len(site.requests) == archives.MAX_FAILURES + 1


def test_part_longer_than_the_file_starts_anew(site, tmp_path):
    remote = site.remote("a.bin", BIG)
    site.faults = [{"cut": 2_000_000}] + [{"status": 503}] * 9
    with pytest.raises(DownloadError):
        download_file(remote, tmp_path)
    site.faults.clear()
    with open(tmp_path / "a.bin.part", "ab") as part:
        part.write(BIG)
    download_file(remote, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == BIG


def test_wrong_md5_is_an_error_at_once_and_leaves_nothing(site, tmp_path):
    remote = site.remote("a.bin", BIG, md5="0" * 32)
    with pytest.raises(DownloadError, match=f"a.bin: has md5 {md5(BIG)}, not 0000.*data.mirror"):
        download_file(remote, tmp_path)
    assert len(site.requests) == 1 and names_in(tmp_path) == []


@pytest.mark.parametrize("size", [len(BIG) - 1, len(BIG) + 1])
def test_wrong_announced_size_is_an_error_before_the_first_byte(site, tmp_path, size):
    remote = site.remote("a.bin", BIG, size=size)
    with pytest.raises(DownloadError, match=f"has 3,000,000 bytes, not {size:,}"):
        download_file(remote, tmp_path)
    assert len(site.requests) == 1 and names_in(tmp_path) == []


def test_unannounced_size_is_checked_at_the_end(site, tmp_path):
    site.always = {"unsized": True}
    assert download_file(site.remote("a.bin", BIG, size=len(BIG)), tmp_path) == md5(BIG)
    with pytest.raises(DownloadError, match="has 3,000,000 bytes, not 3,000,001"):
        download_file(site.remote("b.bin", BIG, size=len(BIG) + 1), tmp_path)
    with pytest.raises(DownloadError, match="sent more than 2,999,999 bytes"):
        download_file(site.remote("c.bin", BIG, size=len(BIG) - 1), tmp_path)
    assert names_in(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_refusal_is_an_error_at_once(site, tmp_path, status):
    site.always = {"status": status}
    with pytest.raises(DownloadError, match=f"{site.url}/a.bin: the server answered {status} "):
        download_file(site.remote("a.bin", BIG), tmp_path)
    assert len(site.requests) == 1


def test_redirect_loop_is_an_error_at_once(site, tmp_path):
    site.always = {"status": 302, "headers": {"Location": "/a.bin"}}
    with pytest.raises(DownloadError, match="redirects"):
        download_file(site.remote("a.bin", BIG), tmp_path)
    assert len(site.requests) == archives.MAX_REDIRECTS + 1


def test_url_that_is_none_is_an_error_without_its_password(tmp_path):
    with pytest.raises(DownloadError) as error:
        download_file(RemoteFile("a.bin", "ftp://me:secret@host/a.bin"), tmp_path)
    assert str(error.value).startswith("ftp://host/a.bin: ")


@pytest.mark.parametrize(
    ("asked", "waited"),
    [("3", 3), ("9999", 60), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("soon", 0.5), (None, 0.5)],
)
def test_retry_after_is_honoured_up_to_a_cap(site, tmp_path, monkeypatch, asked, waited):
    waits = []
    monkeypatch.setattr(archives.time, "sleep", waits.append)
    monkeypatch.setattr(archives, "BACKOFF_SECONDS", 0.5)
    monkeypatch.setattr(archives, "MAX_WAIT_SECONDS", 60)
    remote = site.remote("a.bin", BIG)
    site.faults = [{"status": 503, "headers": {"Retry-After": asked} if asked else {}}]
    download_file(remote, tmp_path)
    assert waits == [waited]


def test_backoff_doubles(site, tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr(archives.time, "sleep", waits.append)
    monkeypatch.setattr(archives, "BACKOFF_SECONDS", 1)
    monkeypatch.setattr(archives, "MAX_WAIT_SECONDS", 5)
    site.always = {"status": 429}
    with pytest.raises(DownloadError, match="429"):
        download_file(site.remote("a.bin", BIG), tmp_path)
    assert waits == [1, 2, 4, 5]


def test_no_connection_is_one_line(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/a.bin"
        with pytest.raises(DownloadError) as error:
            download_file(RemoteFile("a.bin", url), tmp_path)
    assert str(error.value).startswith(url) and "\n" not in str(error.value)


def test_silent_server_times_out(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "TIMEOUT_SECONDS", (0.05, 0.05))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.bin"
        with pytest.raises(DownloadError, match="timed out"):
            download_file(RemoteFile("a.bin", url), tmp_path)


def test_no_space_is_an_error_before_the_first_byte(site, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=len(BIG) - 1)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage)
    remote = site.remote("a.bin", BIG)
    with pytest.raises(UserError, match="3,000,000 bytes are needed and 2,999,999 are free"):
        download_file(remote, tmp_path)
    assert not (tmp_path / "a.bin.part").exists()


def test_space_is_needed_for_the_remainder_only(site, tmp_path, monkeypatch):
    remote = site.remote("a.bin", BIG)
    site.faults = [{"cut": 2_000_000}] + [{"status": 503}] * 9
    with pytest.raises(DownloadError):
        download_file(remote, tmp_path)
    site.faults.clear()
    usage = shutil.disk_usage(tmp_path)._replace(free=len(BIG) // 2)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage)
    download_file(remote, tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_disk_that_fills_up_is_one_line(site, tmp_path, monkeypatch):
    real_restart = archives._PartFile.restart

    def restart_on_a_full_disk(part, response):
        real_restart(part, response)
        part.path.symlink_to("/dev/full")

    monkeypatch.setattr(archives._PartFile, "restart", restart_on_a_full_disk)
    with pytest.raises(UserError, match=r"a.bin: No space left on device; make room") as error:
        download_file(site.remote("a.bin", BIG), tmp_path)
    assert not isinstance(error.value, DownloadError)
    assert len(site.requests) == 1


# --- fetch_dataset


@pytest.fixture
def small_mpii(site, tmp_path, monkeypatch):
    """An MPII of two pictures on `site`; the archive's name stays, its md5 is its own."""
    pictures = [("./images/a.jpg", b"aaa"), ("./images/b.jpg", b"bb")]
    archive = tmp_path / "made.tar.gz"
    digest = write_tar(archive, pictures)
    mpii = DATASETS["mpii"]
    annotations, images = mpii.files
    files = (annotations, dataclasses.replace(images, md5=digest))
    monkeypatch.setitem(DATASETS, "mpii", dataclasses.replace(mpii, files=files))
    site.files |= {
        images.name: archive.read_bytes(),
        annotations.name: zip_bytes([("mpii/annotations.mat", b"mat")]),
        "train.json": RECORDS,
        "validation.json": RECORDS,
        "valid_images.txt": b"a.jpg\nb.jpg\n",
    }
    return data_params("mpii", mirror=site.url)


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


def test_damaged_file_is_fetched_again(site, small_mpii, tmp_path, capsys):
    fetch_dataset(small_mpii, tmp_path)
    (tmp_path / "train.json").write_bytes(RECORDS[:-1])
    archive = tmp_path / "mpii_human_pose_v1.tar.gz"
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-1] + b"?")
    site.requests.clear()
    fetch_dataset(small_mpii, tmp_path)
    assert [name for name, _ in site.requests] == ["train.json", archive.name]
    assert archive.read_bytes() == whole
    assert "train.json: is not a JSON list" in capsys.readouterr().err


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


def test_login_page_in_place_of_json_takes_the_fallback(site, small_mpii, tmp_path):
    site.files["train.json"] = b"<html>log in</html>"
    fetch_dataset(small_mpii, tmp_path)
    assert (tmp_path / "valid_images.txt").exists() and not (tmp_path / "train.json").exists()


def test_login_page_in_place_of_everything_is_an_error(site, small_mpii, tmp_path):
    site.files = dict.fromkeys(site.files, b"<html>log in</html>")
    with pytest.raises(DownloadError, match=r"valid_images.txt: is not a list of picture names"):
        fetch_dataset(small_mpii, tmp_path / "raw")
    assert names_in(tmp_path / "raw") == []


def test_full_disk_does_not_take_the_fallback(site, small_mpii, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="make room"):
        fetch_dataset(small_mpii, tmp_path / "raw")
    assert {name for name, _ in site.requests} == {"train.json"}


def test_leftovers_of_killed_processes_are_removed(small_mpii, tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    for name in (".lock", "old.part", "old.part.json", ".train.json.tmp"):
        (folder / name).write_text("left")
    fetch_dataset(small_mpii, folder)
    assert len(names_in(folder)) == 6 and "old.part" not in names_in(folder)


def test_zip_without_checksum_is_verified_by_its_crcs(site, tmp_path):
    content = zip_bytes([("lsp/images/a.jpg", b"picture"), ("lsp/joints.mat", b"joints")])
    site.files["lspet.zip"] = content.replace(b"picture", b"pixture")
    with pytest.raises(DownloadError, match=r"lspet.zip: is not a whole zip archive \(Bad CRC"):
        fetch_dataset(data_params("lspet", site.url), tmp_path)
    site.files["lspet.zip"] = content[:-30]
    with pytest.raises(DownloadError, match=r"lspet.zip: is not a whole zip archive"):
        fetch_dataset(data_params("lspet", site.url), tmp_path)
    site.files["lspet.zip"] = content
    fetch_dataset(data_params("lspet", site.url), tmp_path)
    assert names_in(tmp_path) == ["lspet.zip"]


def test_archive_without_pictures_is_an_error(site, tmp_path):
    site.files["lspet.zip"] = zip_bytes([("lsp/joints.mat", b"joints")])
    with pytest.raises(UserError, match="no pictures under images/"):
        fetch_dataset(data_params("lspet", site.url), tmp_path)


def hold_lock(folder, held, release):
    with archives._hold_lock(folder):
        held.set()
        release.wait(10)


def test_second_process_stops_with_a_line(site, small_mpii, tmp_path):
    context = multiprocessing.get_context("fork")
    held, release = context.Event(), context.Event()
    folder = tmp_path / "raw"
    holder = context.Process(target=hold_lock, args=(folder, held, release))
    holder.start()
    assert held.wait(10)
    with pytest.raises(UserError, match="raw: another process is filling this folder"):
        fetch_dataset(small_mpii, folder)
    assert names_in(folder) == [".lock"] and site.requests == []
    release.set()
    holder.join()
    assert names_in(folder) == []
    fetch_dataset(small_mpii, folder)


def test_lock_on_an_unlinked_file_is_not_taken_for_the_lock(tmp_path, monkeypatch):
    real_flock = archives.fcntl.flock
    path = tmp_path / ".lock"
    calls = []

    def flock_after_the_last_holder_left(file, mode):
        if not calls:
            path.unlink()
        calls.append(mode)
        real_flock(file, mode)

    monkeypatch.setattr(archives.fcntl, "flock", flock_after_the_last_holder_left)
    with archives._hold_lock(tmp_path):
        assert len(calls) == 2 and path.exists()


@pytest.mark.skipif(not SPLIT_LIST.exists(), reason=f"needs {SPLIT_LIST}")
def test_the_real_split_list_verifies():
    remote = DATASETS["mpii"].fallback
    assert archives.find_fault(remote, SPLIT_LIST, "") is None


@pytest.mark.skipif(not LSPET.exists(), reason=f"needs {LSPET}")
def test_the_real_lspet_archive(site, tmp_path):
    site.files["lspet.zip"] = LSPET.read_bytes()
    fetch_dataset(data_params("lspet", site.url), tmp_path)
    assert names_in(tmp_path) == ["lspet.zip"]
    with open_images(tmp_path / "lspet.zip") as images:
        assert images.names() == {f"im{i:05d}.jpg" for i in range(1, 61)}
        assert images.read("im00060.jpg").startswith(b"\xff\xd8\xff")
    assert read_member(tmp_path / "lspet.zip", "joints.mat").startswith(b"MATLAB 5.0")


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


def test_folder_dataset_packs_what_the_json_names(own, tmp_path):
    folder = tmp_path / "raw"
    fetch_dataset(data_params("folder", folder=own), folder)
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


def test_unreadable_json_packs_every_picture(own, tmp_path):
    (own / "train.json").write_text("[{")
    pack_folder(own, tmp_path / "raw")
    assert len(packed_names(tmp_path / "raw")) == 3


def test_only_regular_files_inside_images_are_packed(own, tmp_path):
    (tmp_path / "elsewhere.jpg").write_bytes(b"linked")
    (own / "images" / "link.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    (own / "images" / "folder.jpg").symlink_to(tmp_path)
    (own / "images" / "broken.jpg").symlink_to("nowhere")
    (own / "secret.jpg").write_bytes(b"secret")
    images = ["link.jpg", "folder.jpg", "broken.jpg", "../secret.jpg", str(own / "secret.jpg")]
    images += ["x" * 5000, "nul\0.jpg", "\ud800.jpg", "", ".", "deep//b.jpg"]
    (own / "train.json").write_text(json.dumps([{"image": image} for image in images]))
    (own / "validation.json").write_text("[]")
    pack_folder(own, tmp_path / "raw")
    with zipfile.ZipFile(tmp_path / "raw" / "images.zip") as archive:
        (info,) = archive.infolist()
        assert info.filename == "images/link.jpg" and archive.read(info) == b"linked"
        assert stat.S_ISREG(info.external_attr >> 16)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("", "own: no such folder; data.folder needs images/"),
        ("images", "images: no such folder; data.folder needs images/"),
        ("train.json", "train.json: no such file; data.folder needs images/"),
        ("validation.json", "validation.json: no such file; data.folder needs images/"),
    ],
)
def test_what_is_missing_is_named(own, tmp_path, missing, message):
    path = own / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(UserError, match=message):
        pack_folder(own, tmp_path / "raw")


def test_no_picture_of_the_json_is_an_error(own, tmp_path):
    shutil.rmtree(own / "images")
    (own / "images").mkdir()
    with pytest.raises(UserError, match="none of the pictures"):
        pack_folder(own, tmp_path / "raw")
    assert not (tmp_path / "raw" / "images.zip").exists()


def test_packing_needs_free_space(own, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="10 are free"):
        pack_folder(own, tmp_path / "raw")
    assert names_in(tmp_path / "raw") == []


# --- open_images, index_archive, read_member


def link_info(path):
    info = zipfile.ZipInfo(path)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def test_zip_lists_plain_regular_files_only(tmp_path):
    members = [
        ("x/images/a.jpg", b"a"),
        ("./x/images/deep/images/b.jpg", b"b"),
        ("x/images/", b""),
        ("x/images/../escape.jpg", b""),
        ("../images/climb.jpg", b""),
        ("/images/absolute.jpg", b""),
        ("images\\windows.jpg", b""),
        (link_info("x/images/link.jpg"), b"/etc/passwd"),
        ("x/joints.mat", b"joints"),
        ("x/images", b"a file"),
    ]
    (tmp_path / "a.zip").write_bytes(zip_bytes(members))
    with open_images(tmp_path / "a.zip") as images:
        assert images.names() == {"a.jpg", "deep/images/b.jpg"}
        assert "a.jpg" in images and "link.jpg" not in images
        assert images.read("deep/images/b.jpg") == b"b"
        with pytest.raises(UserError, match=r"a\.zip: holds no picture 'link\.jpg'"):
            images.read("link.jpg")


def test_tar_lists_plain_regular_files_only(tmp_path):
    members = [
        ("./images/a.jpg", b"a"),
        (tar_info("./images/sub", tarfile.DIRTYPE), b""),
        ("./images/sub/b.jpg", b"b"),
        ("images/../escape.jpg", b"no"),
        ("../images/climb.jpg", b"no"),
        ("/images/absolute.jpg", b"no"),
        (tar_info("images/link.jpg", tarfile.SYMTYPE, linkname="/etc/passwd"), b""),
        (tar_info("images/hard.jpg", tarfile.LNKTYPE, linkname="images/a.jpg"), b""),
        (tar_info("images/device.jpg", tarfile.CHRTYPE), b""),
        (tar_info("images/pipe.jpg", tarfile.FIFOTYPE), b""),
        ("images/" + "long" * 50 + ".jpg", b"long"),
    ]
    with open_images(index_tar(tmp_path / "a.tar.gz", members)) as images:
        assert images.names() == {"a.jpg", "sub/b.jpg", "long" * 50 + ".jpg"}
        assert [images.read(name) for name in sorted(images.names())] == [b"a", b"long", b"b"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_pictures_of_one_name_are_an_error(tmp_path):
    twice = [("x/images/a.jpg", b"1"), ("y/images/a.jpg", b"2")]
    (tmp_path / "a.zip").write_bytes(zip_bytes(twice))
    with pytest.raises(UserError, match=r"a\.zip: holds two pictures a\.jpg"):
        open_images(tmp_path / "a.zip")
    with pytest.raises(UserError, match=r"a\.tar\.gz: holds two pictures a\.jpg"):
        index_tar(tmp_path / "a.tar.gz", twice)
    assert names_in(tmp_path) == ["a.tar.gz", "a.zip"]


@pytest.fixture(scope="module")
def big_tar(tmp_path_factory):
    """200 members of random bytes, and seek points dense enough that reads start between them."""
    rng = np.random.default_rng(3)
    members = [
        (f"./images/{i:03d}.jpg", rng.bytes(int(rng.integers(0, 60_000)))) for i in range(200)
    ]
    path = tmp_path_factory.mktemp("tar") / "a.tar.gz"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archives, "SEEK_SPACING_BYTES", 1 << 18)
        patch.setattr(archives, "SCAN_BUFFER_BYTES", 1 << 20)
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


def read_pickled(images, names):
    return [images.read(name) for name in names]


def test_archives_travel_to_worker_processes(big_tar, tmp_path):
    path, expected = big_tar
    (tmp_path / "a.zip").write_bytes(
        zip_bytes([(f"images/{name}", content) for name, content in expected.items()])
    )
    names = sorted(expected)[:5]
    for archive in (path, tmp_path / "a.zip"):
        with open_images(archive) as images:
            images.read(names[3])
            twin = pickle.loads(pickle.dumps(images))
            with multiprocessing.get_context("fork").Pool(1) as pool:
                answer = pool.apply(read_pickled, (images, names))
            assert read_pickled(twin, names) == answer == [expected[name] for name in names]


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
    with pytest.raises(UserError, match=r"cannot be used .*run the download stage"):
        open_images(path)


@pytest.mark.parametrize("kept", [0, 5, 30_000, -1_000])
def test_cut_tar_is_an_error_and_is_not_indexed(tmp_path, kept):
    path = tmp_path / "a.tar.gz"
    write_tar(path, [(f"images/{i}.jpg", random_bytes(9_000, i)) for i in range(20)])
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"a\.tar\.gz: is not a whole tar\.gz .*replace it"):
        index_archive(path, md5(path.read_bytes()))
    assert names_in(tmp_path) == ["a.tar.gz"]


def gzip_blocks(path, blocks):
    path.write_bytes(gzip.compress(b"".join(blocks), mtime=0))
    return path


def test_tar_cut_between_members_or_with_a_garbled_header_is_an_error(tmp_path):
    header = tar_info("images/a.jpg", size=512).tobuf()
    whole = [header, b"x" * 512, bytes(1024)]
    index_archive(gzip_blocks(tmp_path / "a.tar.gz", whole), "md5")
    with pytest.raises(UserError, match="cut short"):
        index_archive(gzip_blocks(tmp_path / "b.tar.gz", whole[:2]), "md5")
    garbled = [*whole[:2], b"?" * 512, *whole]
    with pytest.raises(UserError, match="garbled header"):
        index_archive(gzip_blocks(tmp_path / "c.tar.gz", garbled), "md5")


def test_too_large_a_picture_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_IMAGE_BYTES", 10)
    (tmp_path / "a.zip").write_bytes(zip_bytes([("images/a.jpg", b"x" * 11)]))
    path = index_tar(tmp_path / "a.tar.gz", [("images/a.jpg", b"x" * 11)])
    for archive in (path, tmp_path / "a.zip"):
        with open_images(archive) as images, pytest.raises(UserError, match=r"a\.jpg: 11 bytes"):
            images.read("a.jpg")


def test_damaged_or_missing_archives_are_one_line(tmp_path):
    with pytest.raises(UserError, match=r"no\.zip: not found; run the download stage"):
        open_images(tmp_path / "no.zip")
    (tmp_path / "a.zip").write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"a\.zip: is not a zip archive"):
        open_images(tmp_path / "a.zip")
    content = zip_bytes([("images/a.jpg", b"picture")]).replace(b"picture", b"pixture")
    (tmp_path / "a.zip").write_bytes(content)
    damaged = pytest.raises(UserError, match=r"a\.zip: a\.jpg: damaged \(Bad CRC")
    with open_images(tmp_path / "a.zip") as images, damaged:
        images.read("a.jpg")


def test_read_member_wants_exactly_one(tmp_path, monkeypatch):
    path = tmp_path / "a.zip"
    members = [("x/joints.mat", b"joints"), ("__MACOSX/x/._joints.mat", b"?"), ("x/two", b"")]
    path.write_bytes(zip_bytes([*members, ("two", b"")]))
    assert read_member(path, "joints.mat") == b"joints"
    with pytest.raises(UserError, match=r"a\.zip: holds 2 files two, not 1"):
        read_member(path, "two")
    with pytest.raises(UserError, match=r"a\.zip: holds 0 files oints\.mat"):
        read_member(path, "oints.mat")
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 5)
    with pytest.raises(UserError, match=r"joints\.mat: more than 5 bytes"):
        read_member(path, "joints.mat")


def test_import_brings_no_tensorflow_and_no_pydantic():
    code = "import sys, hourglass.archives; print({'tensorflow', 'pydantic'} & set(sys.modules))"
    environment = {"PYTHONPATH": str(Path(archives.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
