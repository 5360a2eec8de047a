import dataclasses
import gzip
import http.server
import os
import shutil
import socket
import threading
from pathlib import Path

import pytest

from hourglass import downloads
from hourglass.archives import open_images
from hourglass.datasets import DATASETS, RemoteFile
from hourglass.downloads import DownloadError, download_file, fetch_dataset
from hourglass.errors import UserError
from hourglass.files import exclusive_lock
from hourglass.params import DataParams, SyntheticParams
from test_archives import md5, names_in, random_bytes, write_tar, zip_bytes

SHARED = Path(__file__).parents[2] / "shared" / "data"
LSPET = SHARED / "lspet-first60.zip"
SPLIT_LIST = SHARED / "mpii-val" / "valid_images.txt"

RECORDS = b'[{"image": "a.jpg"}]'
BIG = random_bytes(3_000_000)


# A server that serves `files`, and misbehaves once for each entry of `faults`: a dict of
# status, headers, location, offset (of a 206), no_range, cut (bytes sent before it breaks off),
# stall (the same, but it falls silent), swap (the file changes to these bytes from then on),
# unsized.
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
        for key, value in fault.get("headers", {}).items():
            self.send_header(key, value)
        body = content[start:]
        if fault.get("unsized"):
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.send_body(body, fault)

    def send_body(self, body, fault):
        body = body[: fault.get("cut", fault.get("stall", len(body)))]
        self.server.sent.append(len(body))
        self.wfile.write(body)
        if "stall" in fault:
            self.server.stopped.wait(5)
            self.close_connection = True
        elif "cut" in fault or fault.get("unsized"):
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_WR)


class Site(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.faults, self.requests, self.sent = {}, [], [], []
        self.always, self.no_etag = {}, False
        self.stopped = threading.Event()
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
        server.stopped.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(downloads, "BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr(downloads, "MAX_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(downloads, "TIMEOUT_SECONDS", (2, 2))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def data_params(dataset, mirror="", folder="unused"):
    synthetic = SyntheticParams(num_train=1, num_val=1, seed=0)
    return DataParams(dataset=dataset, mirror=mirror, folder=str(folder), synthetic=synthetic)


# --- download


def test_download_writes_the_file_and_nothing_else(site, tmp_path):
    remote = site.remote("a.bin", BIG, md5=md5(BIG), size=len(BIG))
    download_file(remote, tmp_path)
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
    assert 2_000_000 - downloads.CHUNK_BYTES <= kept <= 2_000_000
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
    download_file(remote, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == BIG
    assert site.requests[-1][1] == f"bytes={kept}-"
    assert site.sent[-1] == len(BIG) - kept
    assert names_in(tmp_path) == ["a.bin"]


def test_killed_before_the_renaming_asks_for_nothing(site, tmp_path):
    remote = site.remote("a.bin", BIG)
    part = downloads._PartFile(tmp_path / "a.bin", remote.url)
    downloads._complete_part(part, remote)
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
    assert len(site.requests) == downloads.MAX_FAILURES + 1


def test_reaching_an_old_point_again_is_no_progress(site, tmp_path):
    remote = site.remote("a.bin", BIG)
    site.faults = [{"cut": cut, "no_range": True} for cut in (2_000_000, 1_000_000)] * 5
    with pytest.raises(DownloadError):
        download_file(remote, tmp_path)
    assert len(site.requests) == downloads.MAX_FAILURES + 1


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
    download_file(site.remote("a.bin", BIG, size=len(BIG)), tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == BIG
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
    assert len(site.requests) == downloads.MAX_REDIRECTS + 1


def test_url_that_is_none_is_an_error_without_its_password(tmp_path):
    with pytest.raises(DownloadError) as error:
        download_file(RemoteFile("a.bin", "ftp://me:secret@host/a.bin"), tmp_path)
    assert str(error.value).startswith("ftp://host/a.bin: ")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("asked", "waited"),
    [("3", 3), ("9999", 60), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("soon", 0.5), (None, 0.5)],
)
def test_retry_after_is_honoured_up_to_a_cap(site, tmp_path, monkeypatch, asked, waited):
    waits = []
    monkeypatch.setattr(downloads.time, "sleep", waits.append)
    monkeypatch.setattr(downloads, "BACKOFF_SECONDS", 0.5)
    monkeypatch.setattr(downloads, "MAX_WAIT_SECONDS", 60)
    remote = site.remote("a.bin", BIG)
    site.faults = [{"status": 503, "headers": {"Retry-After": asked} if asked else {}}]
    download_file(remote, tmp_path)
    assert waits == [waited]


def test_backoff_doubles(site, tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr(downloads.time, "sleep", waits.append)
    monkeypatch.setattr(downloads, "BACKOFF_SECONDS", 1)
    monkeypatch.setattr(downloads, "MAX_WAIT_SECONDS", 5)
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


def test_server_that_stalls_in_the_middle_is_resumed(site, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT_SECONDS", (2, 0.2))
    site.faults = [{"stall": 2_000_000}]
    download_file(site.remote("a.bin", BIG), tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == BIG
    assert site.requests[1][1] is not None and site.sent[1] < len(BIG)


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


def test_silent_server_times_out(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT_SECONDS", (0.05, 0.05))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.bin"
        with pytest.raises(DownloadError, match="timed out"):
            download_file(RemoteFile("a.bin", url), tmp_path)


def test_no_space_is_an_error_before_the_first_byte(site, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=len(BIG) - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
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
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    download_file(remote, tmp_path)


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


def test_the_fallback_takes_the_place_of_damaged_json(site, small_mpii, tmp_path):
    fetch_dataset(small_mpii, tmp_path)
    (tmp_path / "validation.json").write_text("[{")
    del site.files["validation.json"]
    fetch_dataset(small_mpii, tmp_path)
    assert (tmp_path / "valid_images.txt").exists()
    assert not (tmp_path / "train.json").exists()  # or parse would read it
    assert not (tmp_path / "validation.json").exists()


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
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="make room"):
        fetch_dataset(small_mpii, tmp_path / "raw")
    assert {name for name, _ in site.requests} == {"train.json"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_disk_that_fills_up_is_one_line(site, tmp_path, monkeypatch):
    real_restart = downloads._PartFile.restart

    def restart_on_a_full_disk(part, response):
        real_restart(part, response)
        part.path.symlink_to("/dev/full")

    monkeypatch.setattr(downloads._PartFile, "restart", restart_on_a_full_disk)
    site.files["lspet.zip"] = BIG
    with pytest.raises(UserError, match=f"^{tmp_path}: No space left.*; make room") as error:
        fetch_dataset(data_params("lspet", site.url), tmp_path)
    assert not isinstance(error.value, DownloadError)
    assert len(site.requests) == 1


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
    with pytest.raises(
        DownloadError,
        match=r"lspet.zip: .* damaged member 'lsp/images/a\.jpg'",
    ):
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


def test_second_process_stops_with_a_line(site, small_mpii, tmp_path):
    folder = tmp_path / "raw"
    with exclusive_lock(folder / ".lock", "testing"):
        with pytest.raises(UserError, match=rf"process {os.getpid()} is filling .*raw: wait"):
            fetch_dataset(small_mpii, folder)
        assert names_in(folder) == [".lock"] and site.requests == []
    fetch_dataset(small_mpii, folder)


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
    real_write = downloads.write_dataset

    def write_and_look(folder, params):
        seen.append((folder / ".lock").exists())
        real_write(folder, params)

    monkeypatch.setattr(downloads, "write_dataset", write_and_look)
    fetch_dataset(data_params("synthetic"), tmp_path)
    assert seen == [True]
    assert names_in(tmp_path) == ["images.zip", "train.json", "validation.json"]


@pytest.mark.skipif(not SPLIT_LIST.exists(), reason=f"needs {SPLIT_LIST}")
def test_the_real_split_list_verifies():
    remote = DATASETS["mpii"].fallback
    assert downloads.find_fault(remote, SPLIT_LIST) is None


@pytest.mark.skipif(not LSPET.exists(), reason=f"needs {LSPET}")
def test_the_real_lspet_archive(site, tmp_path):
    site.files["lspet.zip"] = LSPET.read_bytes()
    fetch_dataset(data_params("lspet", site.url), tmp_path)
    assert names_in(tmp_path) == ["lspet.zip"]
