"""A server that breaks off, lies, stalls, changes the file; a full disk; `kill -9`; two at once."""

import errno
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml

from helpers.archives import md5, names_in, random_bytes, zip_bytes
from helpers.paths import ROOT
from helpers.processes import environment
from helpers.server import BIG, RECORDS, data_params
from hourglass.data import http
from hourglass.data.download import fetch_dataset
from hourglass.data.http import DownloadError, RemoteFile, download_file
from hourglass.utils import files
from hourglass.utils.errors import UserError
from hourglass.utils.files import exclusive_lock

pytestmark = pytest.mark.usefixtures("quick_retries")
DOWN = [{"status": 503}] * 9  # longer than anyone asks
LSPET = zip_bytes([("lsp/images/a.jpg", b"picture" + bytes(7_000)), ("lsp/joints.mat", b"joints")])
BIG_LSPET = zip_bytes([("lsp/images/a.jpg", BIG)])
PLACES = np.random.default_rng(1).integers(1, len(BIG), (4, 2)).tolist()


# A server whose faults are fixed by asking again


@pytest.mark.parametrize(
    "faults",
    [
        *([{"cut": first}, {"cut": second // 2}] for first, second in PLACES),
        [{"cut": 0}],
        [{"cut": len(BIG) - 1}],
        [{"cut": 300_000}] * 8,
        [{"status": 429, "headers": {"Retry-After": "1"}}],
        [{"status": 503, "headers": {"Retry-After": "1"}}],
        [{"status": 500}, {"status": 502}, {"status": 504}],
        [{"cut": 2_000_000, "unsized": True}],
        [{"raw": b""}],
        [{"raw": b"no HTTP at all\r\n\r\n"}],
        [{"raw": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\nshort"}],
        [{"raw": b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\nshort"}],
        [{"raw": b"HTTP/1.1 206 Partial Content\r\nContent-Length: 2\r\n\r\nhm"}],
    ],
    ids=[
        *(f"dropped twice at random bytes {number}" for number in range(len(PLACES))),
        "dropped before the first byte",
        "dropped before the last byte",
        "dropped eight times",
        "429 with Retry-After",
        "503 with Retry-After",
        "500, 502 and 504",
        "dropped, length not told",
        "hangs up at once",
        "answers no HTTP",
        "chunk cut short",
        "no validator and cut short",
        "206 unasked and unnamed",
    ],
)
def test_asking_again_ends_with_the_right_bytes(site, tmp_path, faults):
    remote = site.remote("a.bin", BIG, md5=md5(BIG))
    site.faults = list(faults)
    download_file(remote, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == BIG
    assert names_in(tmp_path) == ["a.bin"]
    assert not site.faults


def test_dropped_connection_resumes_with_the_remainder_only(site, tmp_path):
    remote = site.remote("a.bin", BIG, md5=md5(BIG))
    site.faults = [{"cut": 2_000_000}, {"cut": 500_000}]
    download_file(remote, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == BIG
    first, second, third = (request[1] for request in site.requests)
    assert first is None
    kept = int(second.removeprefix("bytes=").rstrip("-"))
    assert 2_000_000 - http.CHUNK_BYTES <= kept <= 2_000_000
    last = int(third.removeprefix("bytes=").rstrip("-"))
    assert kept < last
    assert site.sent[2] == len(BIG) - last


def test_next_process_resumes_what_the_last_one_left(site, tmp_path):
    remote = site.remote("a.bin", BIG, md5=md5(BIG))
    site.faults = [{"cut": 2_000_000}, *DOWN]
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


def test_killed_before_the_renaming_asks_for_nothing(site, tmp_path, monkeypatch):
    remote, replace = site.remote("a.bin", BIG), os.replace

    def be_killed(source, target):
        if source.suffix == ".part":
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", be_killed)
        download_file(remote, tmp_path)
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
    ids=[
        "200 in place of 206",
        "206 from an earlier place",
        "206 from a later place",
        "416 in place of 206",
    ],
)
def test_answer_from_another_place_is_mended(site, tmp_path, fault):
    remote = site.remote("a.bin", BIG)  # no md5: the place itself must be seen to be wrong
    site.faults = [{"cut": 2_000_000}, fault]
    download_file(remote, tmp_path)
    assert site.requests[1][1] is not None
    assert (tmp_path / "a.bin").read_bytes() == BIG


@pytest.mark.parametrize(
    ("size", "ignore_if_range"),
    [(len(BIG), False), (len(BIG), True), (2_500_000, True), (1_000_000, True), (4_000_000, True)],
    ids=[
        "another ETag",
        "another ETag, 206 nonetheless",
        "another size, 206 nonetheless",
        "now shorter than what we have",
        "now longer",
    ],
)
def test_file_that_changes_between_tries_starts_anew(site, tmp_path, size, ignore_if_range):
    new = random_bytes(size, seed=1)
    remote = site.remote("a.bin", BIG)
    site.faults = [{"cut": 2_000_000}, {"swap": new, "ignore_if_range": ignore_if_range}]
    download_file(remote, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == new


def test_part_of_another_url_is_not_resumed(site, tmp_path):
    site.faults = [{"cut": 2_000_000}, *DOWN]
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
    site.faults = [{"cut": 2_000_000}, *DOWN]
    with pytest.raises(DownloadError):
        download_file(remote, tmp_path)
    site.faults.clear()
    with open(tmp_path / "a.bin.part", "r+b") as part:
        part.write(b"garbled")
    download_file(remote, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == BIG


def test_part_longer_than_the_file_starts_anew(site, tmp_path):
    remote = site.remote("a.bin", BIG)
    site.faults = [{"cut": 2_000_000}, *DOWN]
    with pytest.raises(DownloadError):
        download_file(remote, tmp_path)
    site.faults.clear()
    with open(tmp_path / "a.bin.part", "ab") as part:
        part.write(BIG)
    download_file(remote, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == BIG


@pytest.mark.parametrize(
    ("asked", "waited"),
    [("3", 3), ("9999", 60), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("soon", 0.5), (None, 0.5)],
    ids=["seconds", "hours", "a date that is past", "garbled", "absent"],
)
def test_retry_after_is_honoured_up_to_a_cap(site, tmp_path, monkeypatch, asked, waited):
    waits = []
    monkeypatch.setattr(http.time, "sleep", waits.append)
    monkeypatch.setattr(http, "BACKOFF_SECONDS", 0.5)
    monkeypatch.setattr(http, "MAX_WAIT_SECONDS", 60)
    remote = site.remote("a.bin", BIG)
    site.faults = [{"status": 503, "headers": {"Retry-After": asked} if asked else {}}]
    download_file(remote, tmp_path)
    assert waits == [waited]


def test_server_that_stalls_in_the_middle_is_resumed(site, tmp_path, monkeypatch):
    monkeypatch.setattr(http, "TIMEOUT_SECONDS", (2, 0.2))
    site.faults = [{"stall": 2_000_000}]
    download_file(site.remote("a.bin", BIG), tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == BIG
    assert site.requests[1][1] is not None and site.sent[1] < len(BIG)


def test_a_byte_garbled_on_the_way_is_fetched_again(site, tmp_path):
    remote = site.remote("a.bin", BIG, md5=md5(BIG))
    site.faults = [{"cut": 2_000_000, "flip": 5_000}]
    download_file(remote, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == BIG
    assert [name for name, _ in site.requests] == ["a.bin"] * 3  # two parts, and all anew


# A server that does not give the file


def refusal(call, *arguments):
    """The one line of the UserError that `call` ends with."""
    with pytest.raises(UserError) as error:
        call(*arguments)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


@pytest.mark.parametrize(
    ("always", "expected", "reason", "num_requests"),
    [
        *(({"status": s}, {}, f"the server answered {s} ", 1) for s in (401, 403, 404, 410)),
        ({"status": 503}, {}, "answered 503 .*then repeat", 5),
        ({"status": 302, "headers": {"Location": "/a.bin"}}, {}, "10 redirects", 11),
        ({"status": 302, "headers": {"Location": "file:///etc/passwd"}}, {}, "file:///etc", 1),
        ({"status": 302, "headers": {"Location": "http://["}}, {}, "check data.mirror", 1),
        ({"status": 302}, {}, "answered 302", 1),
        ({"flip": 7}, {"md5": md5(BIG)}, f"has md5 .*, not {md5(BIG)}; set data.mirror", 1),
        ({}, {"md5": md5(BIG[:-1])}, "has md5 .*; set data.mirror", 1),
        ({}, {"md5": md5(BIG + b"a")}, "has md5 .*; set data.mirror", 1),
        ({"unsized": True}, {"md5": md5(BIG + b"a")}, "has md5 .*; set data.mirror", 2),
        ({"unsized": True}, {"md5": md5(BIG[:-1])}, "has md5 .*; set data.mirror", 2),
        ({"offset": 5_000, "raw": b"HTTP/1.1 206 OK\r\nContent-Range: bytes 5-9/10\r\n\r\n12345"},
         {}, "sent another part .bytes 5-9/10. than asked for", 5),
        ({"raw": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5_000 + b"\r\n"}, {}, "headers", 5),
        ({"raw": b"\0" * 70_000}, {}, "then repeat", 5),
        ({"cut": 0}, {}, "Connection broken", 5),
    ],
    ids=[
        "401", "403", "404", "410", "503 for ever", "redirect loop", "redirect to a local file",
        "redirect to nonsense", "redirect to nowhere", "corrupted bytes", "longer than it must be",
        "shorter than it must be", "too short, length not told", "too long, length not told",
        "206 from another place for ever", "headers without end", "zeros without end",
        "empty body for ever",
    ],
)  # fmt: skip
def test_a_wrong_or_refused_file_ends_in_one_line(
    site, tmp_path, always, expected, reason, num_requests
):
    remote = site.remote("a.bin", BIG, **expected)
    site.always = always
    line = refusal(download_file, remote, tmp_path)
    assert line.startswith(f"{remote.url}: ") and re.search(reason, line)
    assert len(site.requests) == num_requests
    assert not (tmp_path / "a.bin").exists()


def test_server_that_always_breaks_off_and_never_resumes_ends(site, tmp_path):
    remote = site.remote("a.bin", BIG)
    site.always = {"cut": 2_000_000, "no_range": True}
    with pytest.raises(DownloadError, match=f"{site.url}/a.bin: "):
        download_file(remote, tmp_path)
    assert len(site.requests) == http.MAX_FAILURES + 1


def test_reaching_an_old_point_again_is_no_progress(site, tmp_path):
    remote = site.remote("a.bin", BIG)
    site.faults = [{"cut": cut, "no_range": True} for cut in (2_000_000, 1_000_000)] * 5
    with pytest.raises(DownloadError):
        download_file(remote, tmp_path)
    assert len(site.requests) == http.MAX_FAILURES + 1


def test_backoff_doubles(site, tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr(http.time, "sleep", waits.append)
    monkeypatch.setattr(http, "BACKOFF_SECONDS", 1)
    monkeypatch.setattr(http, "MAX_WAIT_SECONDS", 5)
    site.always = {"status": 429}
    with pytest.raises(DownloadError, match="429"):
        download_file(site.remote("a.bin", BIG), tmp_path)
    assert waits == [1, 2, 4, 5]


def test_a_server_that_is_not_there(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/a.bin"
        line = refusal(download_file, RemoteFile("a.bin", url), tmp_path)
    assert (
        line.startswith(f"{url}: ")
        and "refused; check the network and data.mirror, then repeat" in line
    )


def test_a_server_that_never_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(http, "TIMEOUT_SECONDS", (0.05, 0.05))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.bin"
        assert "timed out" in refusal(download_file, RemoteFile("a.bin", url), tmp_path)


@pytest.mark.parametrize(
    "url", ["ftp://me:secret@host/a.bin", "me:secret@host", "http://me:secret@[/a.bin", ""]
)
def test_a_mirror_that_is_no_url(tmp_path, url):
    line = refusal(download_file, RemoteFile("a.bin", url), tmp_path)
    assert line.endswith("; check data.mirror")
    assert "//" not in url or "secret" not in line


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<html>log in</html>", "lspet.zip: is not a whole zip archive"),
        (b"", "lspet.zip: is not a whole zip archive"),
        (LSPET[:-30], "lspet.zip: is not a whole zip archive"),
        (LSPET.replace(b"picture", b"pixture"), "damaged member 'lsp/images/a.jpg'"),
        (zip_bytes([("lsp/joints.mat", b"joints")]), "lspet.zip: no pictures under images/"),
    ],
    ids=["login page", "empty", "truncated", "damaged member", "no pictures"],
)
def test_a_zip_without_checksum_must_vouch_for_itself(site, tmp_path, content, reason):
    site.files["lspet.zip"] = content
    assert reason in refusal(fetch_dataset, data_params("lspet", site.url), tmp_path / "raw")


def test_login_page_in_place_of_everything_is_an_error(site, small_mpii, tmp_path):
    site.files = dict.fromkeys(site.files, b"<html>log in</html>")
    line = refusal(fetch_dataset, small_mpii, tmp_path / "raw")
    assert "valid_images.txt: is not a list of picture names" in line
    assert names_in(tmp_path / "raw") == []


# A disk that is full, a folder that is not as it was left


def test_no_space_is_an_error_before_the_first_byte(site, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=len(BIG) - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    remote = site.remote("a.bin", BIG)
    with pytest.raises(UserError, match="3,000,000 bytes are needed and 2,999,999 are free"):
        download_file(remote, tmp_path)
    assert not (tmp_path / "a.bin.part").exists()


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


def test_full_disk_does_not_take_the_fallback(site, small_mpii, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
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


def test_second_process_stops_with_a_line(site, small_mpii, tmp_path):
    folder = tmp_path / "raw"
    with exclusive_lock(folder / ".lock", "testing"):
        with pytest.raises(UserError, match=rf"process {os.getpid()} is filling .*raw: wait"):
            fetch_dataset(small_mpii, folder)
        assert names_in(folder) == [".lock"] and site.requests == []
    fetch_dataset(small_mpii, folder)


class FullDisk(io.FileIO):
    """A file on a disk that has room for half of it."""

    def write(self, chunk):
        if self.tell() + len(chunk) > len(LSPET) // 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(chunk)


def fail(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        ((http, "open"), FullDisk),
        ((os, "fsync"), fail),
        ((os, "replace"), fail),
        ((files, "write_json"), fail),
    ],
    ids=["half-way", "at the last sync", "at the renaming", "at the first byte"],
)
def test_disk_that_fills_up_is_one_line_and_the_next_run_goes_on(
    site, tmp_path, monkeypatch, place, fault
):
    site.files["lspet.zip"] = LSPET
    monkeypatch.setattr(http, "CHUNK_BYTES", 1_000)
    with monkeypatch.context() as full:
        full.setattr(*place, fault, raising=False)
        line = refusal(fetch_dataset, data_params("lspet", site.url), tmp_path)
    assert re.fullmatch(
        f"{tmp_path}.*: No space left on device; make room or .*, then repeat", line
    )
    assert not (tmp_path / "lspet.zip").exists()
    fetch_dataset(data_params("lspet", site.url), tmp_path)
    assert (tmp_path / "lspet.zip").read_bytes() == LSPET
    assert names_in(tmp_path) == ["lspet.zip"]


# The whole stage: killed, and twice at once


@pytest.fixture
def start_stage(site, tmp_path, monkeypatch):
    """A function that starts the download stage of `lspet` in `tmp_path`."""
    recipe = yaml.safe_load((ROOT / "lspet" / "params.yaml").read_text())
    recipe["data"]["mirror"] = site.url
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(recipe))
    site.files["lspet.zip"] = BIG_LSPET

    def start():
        return subprocess.Popen(
            [sys.executable, ROOT / "stages" / "download.py"],
            cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    return start


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("place", [1, *(first for first, _ in PLACES[:2])])
def test_killed_half_way_the_next_run_goes_on(site, start_stage, tmp_path, place):
    part = tmp_path / "data" / "raw" / "lspet" / "lspet.zip.part"
    site.faults = [{"stall": place}]
    stage = start_stage()
    wait_until(lambda: len(site.sent) == 1)
    # What is less than a piece may still be on its way.
    wait_until(lambda: part.exists() and part.stat().st_size >= place - http.CHUNK_BYTES)
    stage.kill()
    assert stage.wait() == -signal.SIGKILL
    assert names_in(part.parent) == [".lock", "lspet.zip.part", "lspet.zip.part.json"]
    kept = part.stat().st_size
    stage = start_stage()
    assert stage.communicate()[1] == "" and stage.returncode == 0
    assert site.requests[1] == ("lspet.zip", f"bytes={kept}-" if kept else None)
    assert (part.parent / "lspet.zip").read_bytes() == BIG_LSPET
    assert names_in(part.parent) == ["lspet.zip"]


def test_a_second_copy_says_who_is_at_it(site, start_stage, tmp_path):
    site.faults = [{"stall": 1_000_000}]
    first = start_stage()
    wait_until(lambda: site.sent)
    second = start_stage()
    assert second.communicate()[1] == (
        f"error: process {first.pid} is filling data/raw/lspet: wait for it, or end it\n"
    )
    assert second.returncode == 1
    site.stopped.set()  # the server breaks off, and the first copy asks for the rest
    first.communicate()
    assert first.returncode == 0
    assert (tmp_path / "data" / "raw" / "lspet" / "lspet.zip").read_bytes() == BIG_LSPET


# A mirror that is a folder


MIRRORS = {
    "nothing there": (lambda file: file.unlink(), "no such file, and no URL; check data.mirror"),
    "no folder": (lambda file: shutil.rmtree(file.parent), "no such file, and no URL; check"),
    "damaged": (lambda file: file.write_bytes(b"wrong"), "; set data.mirror to a good copy"),
}


@pytest.mark.parametrize(("damage", "reason"), MIRRORS.values(), ids=MIRRORS)
def test_a_folder_without_the_file_is_one_line(tmp_path, damage, reason):
    mirror, raw = tmp_path / "mirror", tmp_path / "raw"
    mirror.mkdir()
    raw.mkdir()
    (mirror / "a.bin").write_bytes(b"right")
    damage(mirror / "a.bin")
    remote = RemoteFile("a.bin", "https://localhost/a.bin", md5=md5(b"right"))
    with pytest.raises(DownloadError) as caught:
        download_file(remote.at_mirror(str(mirror)), raw)
    line = str(caught.value)
    assert line.startswith(f"{mirror}/a.bin: ") and reason in line and names_in(raw) == []
