"""`hourglass predict --records`: kills, full disks, lists and folders of any kind, a cluster."""

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from helpers.batch_runs import fake_network, save_dot, save_dots
from helpers.paths import ROOT
from helpers.processes import environment, run_python
from helpers.stages import files_below
from hourglass.apps.batch import chunks
from hourglass.cli import batch
from hourglass.utils import files

RESULTS = ["invalid.csv", "pictures.txt", "plan.json", "poses.jsonl"]


@pytest.fixture
def predict(run_command, monkeypatch):
    """Run `hourglass predict --records` with a fake network, in chunks of four pictures."""
    fake_network(monkeypatch, 4)
    save_dots(Path("in"), 6)

    def run(*arguments, model="net.keras"):
        return run_command("predict", "--records", "--whole", "--model", model, *arguments)

    return run


def assert_one_line(result, *parts):
    code, out, err = result
    assert (code, out, len(err)) == (1, [], 1), result
    assert err[0].startswith("error: ") and all(part in err[0] for part in parts), err


def read_invalid(folder="poses"):
    with open(Path(folder, "invalid.csv"), newline="") as file:
        return list(csv.reader(file))[1:]


# Kills and full disks


def test_killed_at_any_step_it_goes_on_to_the_same_bytes(tmp_path):
    paths = save_dots(tmp_path / "in", 10)
    paths[7].write_text("junk")
    (tmp_path / "net.keras").write_text("a network")
    program = ROOT / "tests/helpers/killed_records.py"
    path = os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    process = run_python(program, cwd=tmp_path, PYTHONPATH=path, RAY_ADDRESS="")
    assert process.returncode == 0, process.stderr
    runs = [path for path in tmp_path.iterdir() if path.name.startswith("step")]
    # Plan, list, three chunks, two results, and what is removed, before and after.
    assert len(runs) > 20
    whole = files_below(tmp_path / "whole")
    assert sorted(whole) == RESULTS
    assert [path.name for path in runs if files_below(path) != whole] == []


def test_a_full_disk_is_one_line_and_costs_a_chunk(predict, monkeypatch):
    whole = predict("in", "--out", "whole")[0], files_below("whole")
    usual, left = os.fsync, [3]  # for the plan, the list and one chunk

    def fsync(number):
        if not left[0]:
            raise OSError(28, "No space left on device")
        left[0] -= 1
        usual(number)

    monkeypatch.setattr(files.os, "fsync", fsync)
    assert_one_line(predict("in"), "000001.jsonl: No space left on device; fix it, or")
    assert sorted(files_below("poses")) == ["chunks/000000.jsonl", *RESULTS[1:3]]
    left[0] = 2  # the same plan is not written again: the list and the other chunk
    assert_one_line(predict("in"), "invalid.csv: No space left on device; fix it, or")
    left[0] = -1
    assert (predict("in")[0], files_below("poses")) == whole


def test_a_full_disk_while_drawing_is_one_line(predict, monkeypatch):
    Path("poses/drawn/000000").mkdir(parents=True)
    assert_one_line(predict("in", "--draw"), "poses: holds other files; choose another --out")
    shutil.rmtree("poses")
    predict("in", "--draw")
    for path in (*Path("poses/drawn").rglob("*.png"), Path("poses/poses.jsonl")):
        path.unlink()
    save = Image.Image.save

    def save_first(image, path, **settings):
        """Full from the second picture of the second chunk on."""
        save(image, "/dev/full" if ".000001.png." in path.name else path, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", save_first)
        assert_one_line(predict("in", "--draw"), "000001.png: No space left on device; ")
    assert not list(Path("poses").rglob("*.tmp"))
    assert predict("in", "--draw")[0] == 0
    assert len(list(Path("poses/drawn").rglob("*.png"))) == 6


def test_two_runs_in_one_folder_are_one_line(predict):
    Path("poses").mkdir()
    with files.exclusive_lock(Path("poses/.lock"), "predicting into poses"):
        line = f"process {os.getpid()} is predicting into poses: wait for it, or end it"
        assert_one_line(predict("in"), line)
    assert predict("in")[0] == 0


def test_pictures_that_go_away_meanwhile_have_their_reason(predict, monkeypatch):
    usual = batch.predict_chunk

    def remove_and_predict(*arguments, **settings):
        Path("in/004.png").unlink(missing_ok=True)
        usual(*arguments, **settings)

    monkeypatch.setattr(batch, "predict_chunk", remove_and_predict)
    assert predict("in")[0] == 0
    assert read_invalid() == [["in/004.png", "cannot be read: No such file or directory"]]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]\n", bytes(500)])
def test_a_damaged_part_is_one_line_and_made_again(predict, damage):
    predict("in", "--out", "whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "gather_chunks", lambda *_: sys.exit(130))
        predict("in")
    chunk = Path("poses/chunks/000001.jsonl")
    chunk.write_bytes(damage)
    assert_one_line(predict("in"), "chunks/000001.jsonl: ", "remove it, then repeat")
    chunk.unlink()
    assert predict("in")[0] == 0
    assert files_below("poses") == files_below("whole")


# What is named


LISTS = {
    "missing": (None, "list: cannot be read: No such file or directory; fix it or name another"),
    "a folder": ("folder", "list: cannot be read: Is a directory; fix it or name another list"),
    "a picture": (b"\xff\xd8\xff\xe0\0\x10JFIF\0\1", "list: is no list of paths, one a line or"),
    "in UTF-16": ("a.jpg\n".encode("utf-16"), "list: is a list in UTF-16; save it as UTF-8"),
    "zeros": (bytes(100_000) + b"x", "list: is no list of paths"),
    "one endless line": (b"x" * 3_000_000, "list: is no list of paths"),
    "empty": (b"", "no pictures in what is named; name others"),
    "empty lines": (b"\n \r\n", "no pictures in what is named; name others"),
}


@pytest.mark.parametrize("case", LISTS)
def test_a_list_of_no_use_is_one_line(predict, case):
    data, reason = LISTS[case]
    if data == "folder":
        Path("list").mkdir()
    elif data is not None:
        Path("list").write_bytes(data)
    assert_one_line(predict("--list", "list"), reason)
    assert files_below("poses") == {}
    Path("list").unlink() if Path("list").is_file() else None
    assert predict("in")[0] == 0  # the folder is no run yet


def test_missing_files_of_a_list_have_their_reason(predict):
    Path("list").write_text("in/000.png\ngone.png\nin\nin/001.png\n")
    code, (line,), _ = predict("--list", "list")
    assert code == 0 and "2 pictures, 2 people, no person on 0; 2 files could not be used" in line
    reasons = [
        "cannot be read: No such file or directory",
        "is a folder, a device or a pipe, not a file",
    ]
    assert read_invalid() == [["gone.png", reasons[0]], ["in", reasons[1]]]


def test_files_of_which_none_can_be_used_are_one_line(predict):
    Path("list").write_text("gone.png\nfar.png\n")
    line = "none of 2 files could be used, the first, gone.png: cannot be read: No such file"
    assert_one_line(predict("--list", "list"), line, "poses/invalid.csv); fix that")
    assert len(read_invalid()) == 2


def test_a_picture_named_twice_counts_once(predict):
    Path("list").write_text("./in//000.png\nin/000.png\n" * 3)
    code, (line,), (note,) = predict("in", "in/001.png", "--list", "list")
    assert code == 0 and " 6 pictures, " in line
    assert note == "note: named again, and counted once: 7"


@pytest.mark.parametrize(
    "name",
    [
        b"caf\xe9.png",
        b"line\nbreak.png",
        b"line\rbreak.png",
        b"-dash.png",
        "\u202e\u5199.png".encode(),
        b" .p",
    ],
)
def test_names_of_any_bytes_are_kept(predict, name):
    path = Path("odd", os.fsdecode(name))
    try:
        save_dot(path)
    except OSError as error:
        pytest.skip(f"this file system takes UTF-8 names alone: {error}")
    path.with_name("x" + path.name).write_text("junk")
    for _ in range(2):
        assert predict("odd")[0] == 0
    _, line = Path("poses/poses.jsonl").read_text().splitlines()
    assert json.loads(line)["image"] == str(path)
    ((image, _),) = read_invalid()
    assert image == str(path.with_name("x" + path.name)).encode(
        "utf-8", "backslashreplace"
    ).decode()  # fmt: skip


def test_a_pipe_and_an_endless_device_have_their_reason(predict):
    os.mkfifo("in/pipe")
    code, *_ = predict("in", "/dev/zero")
    assert code == 0
    assert [image for image, _ in read_invalid()] == ["in/pipe", "/dev/zero"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--camera", "0"], "--records is for pictures, not for a --camera; leave one out"),
        (["gone"], "gone: no such file"),
        (["--box", "1,2,3,4"], "--box and --whole exclude each other"),
    ],
)
def test_options_of_no_use_are_one_line(predict, options, reason):
    assert_one_line(predict("in", *options), reason)
    assert files_below("poses") == {} if Path("poses").exists() else True


@pytest.mark.parametrize("option", [["--draw"], ["--list", "net.keras"]])
def test_options_of_records_alone_are_one_line(predict, run_command, option):
    line = f"{option[0]} is for --records; add that, or leave it out"
    assert_one_line(run_command("predict", "in", *option), line)


# The folder


def test_a_folder_of_other_files_is_left_alone(predict):
    save_dot(Path("poses/a.png"))
    before = files_below("poses")
    assert_one_line(predict("in"), "poses: holds other files; choose another --out")
    assert files_below("poses") == before


@pytest.mark.parametrize("change", ["pictures", "network", "options", "folder"])
def test_the_folder_of_another_run_is_one_line(predict, monkeypatch, change):
    predict("in")
    before, options = files_below("poses"), ["in"]
    if change == "pictures":
        save_dot(Path("in/new.png"))
    elif change == "network":
        Path("net.keras").write_text("another")
    elif change == "options":
        options += ["--no-flip-test"]
    else:
        options += ["--out", "../poses"]
        monkeypatch.chdir("in")
        Path("net.keras").write_text("a network")
        options[0] = "."
    lines = {"folder": "was begun in the folder ", "options": "was begun with other options; "}
    line = lines.get(change, f"is of {'an' if change == 'network' else ''}other {change}")
    assert_one_line(predict(*options), "poses: holds a run that ", line, "choose another --out")
    assert files_below(Path("poses") if change != "folder" else Path("../poses")) == before


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "\0" * 50])
def test_a_damaged_plan_is_one_line(predict, text):
    predict("in")
    Path("poses/plan.json").write_text(text)
    assert_one_line(predict("in"), "poses/plan.json: ", "choose another --out, or remove this one")


@pytest.mark.parametrize("name", ["poses.jsonl", "invalid.csv"])
def test_results_that_were_cut_are_one_line(predict, name):
    Path("in/junk.jpg").write_text("junk")
    predict("in")
    path = Path("poses", name)
    path.write_bytes(path.read_bytes()[:-10] if name == "poses.jsonl" else b"")
    assert_one_line(predict("in"), "do not hold its 7 pictures: changed since they were written")


def test_a_file_in_the_place_of_the_folder_is_one_line(predict):
    Path("poses").touch()
    assert_one_line(predict("in"), "poses: File exists; fix it, or choose another --out")


# The cluster


def test_an_address_where_nothing_answers_is_one_line(predict, monkeypatch):
    pytest.importorskip("ray", reason="the cluster is Ray's")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert_one_line(predict("in"), f"RAY_ADDRESS {address}: no answer", "unset RAY_ADDRESS")
    monkeypatch.delenv("RAY_ADDRESS")
    assert predict("in")[0] == 0  # here, then


def test_without_ray_an_address_is_one_line(predict, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    for name in [
        n for n in sys.modules if n.split(".")[0] == "ray" or "hourglass.distributed" in n
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert_one_line(predict("in"), "RAY_ADDRESS is set, which needs Ray: `pip install ray`, or un")


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("ray", reason="the cluster is Ray's")
    from helpers.clusters import two_node_cluster

    with two_node_cluster() as cluster:
        yield cluster


@pytest.fixture
def start(tmp_path):
    """A function (out, address) that starts the command in `tmp_path`, with the shipped network."""
    code = "from hourglass.apps.batch import plan; plan.CHUNK_SIZE = 10\n"
    code += "from hourglass.cli.main import main; main()"

    def run(out, address):
        return subprocess.Popen(
            [sys.executable, "-c", code, "predict", "in", "--records", "--out", out],
            cwd=tmp_path, env=environment(RAY_ADDRESS=address), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    return run


def end(process):
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, err
    return out


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", ["none", "a node lost", "the command killed", "the command terminated"]
)
def test_on_a_cluster_the_bytes_are_those_of_one_machine(start, cluster, tmp_path, fault):
    from helpers.clusters import NODE

    save_dots(tmp_path / "in", 30 if fault == "none" else 200)
    (tmp_path / "in/005.png").write_text("junk")
    one = end(start("one", ""))
    process = start("two", cluster.address)
    try:
        if fault != "none":
            wait_for_parts(process, tmp_path / "two")
        if fault == "a node lost":
            cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        elif fault == "the command killed":
            process.kill()
            process.communicate()
            process = start("two", cluster.address)
        elif fault == "the command terminated":
            process.terminate()
            assert process.communicate(timeout=60)[1].splitlines()[-1] == "terminated"
            assert process.returncode == 143 and not list((tmp_path / "two").rglob("*.lock"))
            process = start("two", cluster.address)
        *_, line = end(process).splitlines()  # Ray may tell of the node before
        assert [line] == one.replace("one/", "two/").splitlines()
    finally:
        process.kill()
        if not cluster.worker_nodes:
            cluster.add_node(**NODE)
    assert sorted(files_below(tmp_path / "two")) == RESULTS
    assert files_below(tmp_path / "two") == files_below(tmp_path / "one")


def wait_for_parts(process, out):
    """Wait until two chunks are done and others are not."""
    while len(list(out.glob(f"{chunks.CHUNKS}/*.jsonl"))) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    assert not (out / "poses.jsonl").exists()
