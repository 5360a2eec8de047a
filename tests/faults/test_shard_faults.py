"""Shards: workers killed or starved, tasks that fail, full disks, damage before and while read."""

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from helpers.marks import mostly_slow
from helpers.paths import ROOT
from helpers.processes import environment, run_python, wait_for_none
from helpers.stages import (
    assert_one_line,
    files_below,
    load_stage,
    run_stage,
    write_project,
)
from hourglass.data.archives import open_images
from hourglass.data.tfrecords.pipeline import eval_batches, train_batches
from hourglass.data.tfrecords.reader import name_damage, open_split, read_crops, read_truth
from hourglass.data.tfrecords.writer import write_chunk, write_shard
from hourglass.distributed import ray_shards
from hourglass.distributed.ray_tasks import RETRIES
from hourglass.utils.errors import UserError

ray = pytest.importorskip("ray", reason="the shard stage runs on Ray")
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import it
OUT = Path("data/tfrecords")
SCRATCH = Path("data/.chunks")
VICTIM = "train_0002_of_0003.tfrecords"
ALWAYS = 99


@pytest.fixture
def project(tmp_path, monkeypatch, raw_folder, persons, tiny_params):
    """The current folder, with all that the shard stage reads."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return write_project(tmp_path, raw_folder, persons, tiny_params)


@pytest.fixture
def sharded(project, shard_folder):
    """The same with the shards."""
    shutil.copytree(shard_folder, OUT)
    return project


# Workers and disks


@pytest.fixture(scope="module")
def shard_stage():
    """The shard stage on a Ray of four workers, which starts once."""
    stage = load_stage("shard")
    start_ray = stage.start_ray
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setattr(stage, "start_ray", lambda _: ray.is_initialized() or start_ray(4))
        yield stage
    ray.shutdown()


def fail_by_kill():
    os.kill(os.getpid(), signal.SIGKILL)


def fail_by_memory():
    raise MemoryError


def fail_by_io():
    raise OSError(errno.EIO, os.strerror(errno.EIO), "a file")


FAULTS = {
    "killed": fail_by_kill,
    "out of memory": fail_by_memory,
    "input/output error": fail_by_io,
    "disk full": None,  # the kernel itself says that there is no space, from the first byte on
}


# What a phase's task is called, which of its files is to fail, and what an error calls that.
PHASES = {
    "chunk": ("archive_chunk_task", "chunk_00001", "images.zip, "),
    "shard": ("shard_task", VICTIM, f"{OUT / VICTIM}: "),
}


class FaultyImages:
    """Reads as the archive does, but fails at its third picture: half a file is written."""

    def __init__(self, images, fail):
        self.images, self.fail, self.count = images, fail, 0

    def read(self, name):
        self.count += 1
        if self.count == 3:
            self.fail()
        return self.images.read(name)


def write_faulty_chunk(fail, path, indices, persons, archive, params):
    with open_images(archive) as images:
        return write_chunk(path, indices, persons, FaultyImages(images, fail), params)


def write_gathered(fail, path, folder, ranges):
    def fail_half_way():
        yield from ranges[: len(ranges) // 2]
        fail()
        yield from ranges[len(ranges) // 2 :]

    return write_shard(path, folder, fail_half_way())


def make_task(phase, fault, times, tally, num_workers):
    """A Ray task that fails the first so many `times` at the victim of `phase`."""
    write = {"chunk": write_faulty_chunk, "shard": write_gathered}[phase]

    def task(path, *arguments):
        fails = False
        if path.name == PHASES[phase][1]:
            with open(tally, "ab") as file:
                file.write(b".")
            fails = tally.stat().st_size <= times
        if fails and fault == "disk full":
            return write_to_full_disk(path, *arguments)
        return write(FAULTS[fault] if fails else lambda: None, path, *arguments)

    def write_to_full_disk(path, *arguments):
        scratch = arguments[0] if phase == "shard" else path.parent
        (scratch / f".{path.name}.full.tmp").symlink_to("/dev/full")
        with pytest.MonkeyPatch.context() as patch:
            name = SimpleNamespace(hex="full")
            patch.setattr("hourglass.utils.files.uuid", SimpleNamespace(uuid4=lambda: name))
            return write(lambda: None, path, *arguments)

    return ray.remote(num_cpus=4 / num_workers, **RETRIES)(task)


@pytest.fixture
def run_with_fault(shard_stage, project, monkeypatch, capsys):
    """A function that runs the shard stage with a faulty task; how often its victim was tried."""
    monkeypatch.setattr("hourglass.data.tfrecords.plan.CHUNK_WORK", 6 * 200 << 10)  # four chunks

    def run(phase, fault, times, num_workers=2):
        tally = project / "tally"
        tally.write_bytes(b"")
        task = make_task(phase, fault, times, tally, num_workers)
        monkeypatch.setattr(ray_shards, PHASES[phase][0], task)
        result = run_stage(shard_stage, capsys), tally.stat().st_size
        assert not SCRATCH.exists()
        return result

    return run


def assert_right_shards(shard_folder):
    found = files_below(OUT)
    assert found.pop("invalid.csv") == b"split,index,image,reason,lost_joints\n"
    assert found == files_below(shard_folder)


@pytest.mark.slow
@pytest.mark.parametrize(("phase", "num_workers"), [*((p, n) for p in PHASES for n in (1, 2, 4))])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_task_that_fails_twice_is_repeated(
    run_with_fault, shard_folder, phase, fault, num_workers
):
    (code, _, err), tries = run_with_fault(phase, fault, 2, num_workers)
    assert (code, err, tries) == (0, [], 3)
    assert_right_shards(shard_folder)


@pytest.mark.slow
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_task_that_always_fails_is_one_line_and_the_next_run_ends(
    run_with_fault, shard_folder, phase, fault
):
    result, tries = run_with_fault(phase, fault, ALWAYS)
    _, file, name = PHASES[phase]
    said = {
        "killed": ["its worker was killed"],
        "out of memory": ["too little memory; if memory is short, run stages/shard.py with fewer"],
        "input/output error": ["Input/output error (a file); make room on the disk or fix its"],
        "disk full": ["No space left on device (/", f"/{file}); make room on the disk or fix its"],
    }
    assert_one_line(result, name, *said[fault], "then repeat")
    assert tries == 4
    assert not (OUT / VICTIM).exists() and not (OUT / "index.json").exists()
    assert run_with_fault(phase, fault, 0)[0][0] == 0
    assert_right_shards(shard_folder)


def test_a_worker_that_the_memory_monitor_ends_is_one_line(project, monkeypatch, capsys):
    stage = load_stage("shard")

    def get(task):
        raise ray.exceptions.OutOfMemoryError("Task was killed due to the node running low")

    monkeypatch.setattr(stage, "start_ray", lambda _: None)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 1})
    monkeypatch.setattr(ray_shards.archive_chunk_task, "remote", lambda *arguments: object())
    monkeypatch.setattr(ray, "wait", lambda tasks: (tasks[:1], tasks[1:]))
    monkeypatch.setattr(ray, "get", get)
    result = run_stage(stage, capsys)
    assert_one_line(
        result, "images.zip, train_00000.jpg to ", "Task was killed due to", "fewer --workers"
    )
    assert not (OUT / "index.json").exists()


NOT_STARTED = {
    "times out": (
        Exception("The current node timed out during startup. This could happen because"),
        "wait until the machine is less busy",
    ),
    "no cluster": (
        ConnectionError("Could not find any running Ray instance.\nMore about it."),
        "wait until the machine is less busy",
    ),
    "another version": (RuntimeError("Version mismatch"), "use one version of Ray"),
    "a long TMPDIR": (
        ValueError("validate_socket_filename failed: AF_UNIX path length cannot exceed 107 bytes"),
        "set RAY_TMPDIR to a folder with a short path",
    ),
    "letters in TMPDIR": (
        UnicodeEncodeError("ascii", "\xfc", 0, 1, "ordinal not in range(128)"),
        "set RAY_TMPDIR to a folder with a short path of plain letters",
    ),
    "a file as TMPDIR": (NotADirectoryError(20, "Not a directory", "/a/ray"), "fix that folder"),
    "a full disk": (OSError(28, "No space left on device", "/tmp/ray"), "make room there"),
    "no more processes": (RuntimeError("can't start new thread"), "end other programs"),
    "no shared memory": (ValueError("The object store exceeds"), "give the machine or container"),
    "too few files": (OSError(24, "Too many open files"), "raise the limit of open files"),
}


@pytest.mark.parametrize(("error", "advice"), NOT_STARTED.values(), ids=NOT_STARTED)
def test_a_ray_that_does_not_start_is_one_line(project, monkeypatch, capsys, error, advice):
    stage = load_stage("shard")

    def init(**_):
        raise error

    monkeypatch.setattr(ray, "init", init)
    first = str(error).splitlines()[0].split(". ")[0].rstrip(".")
    assert_one_line(run_stage(stage, capsys), f"Ray does not start: {first}; {advice}")
    assert not OUT.exists()


@pytest.mark.slow
def test_a_defect_keeps_its_traceback(run_with_fault, monkeypatch):
    monkeypatch.setitem(FAULTS, "defect", lambda: {}["defect"])
    with pytest.raises(ray.exceptions.RayTaskError, match="KeyError"):
        run_with_fault("chunk", "defect", ALWAYS)
    assert not SCRATCH.exists()


class OddError(Exception):
    """Cannot be made again from its arguments, and so comes through no pickle."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def fail_oddly():
    raise OddError("this", "that")


@pytest.mark.slow
def test_a_defect_whose_exception_does_not_travel_keeps_its_text(run_with_fault, monkeypatch):
    monkeypatch.setitem(FAULTS, "defect", fail_oddly)
    with pytest.raises(ray.exceptions.RayError, match="OddError: this and that"):
        run_with_fault("chunk", "defect", ALWAYS)
    assert not SCRATCH.exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["index.json", "invalid.csv"])
def test_a_disk_that_is_full_for_the_last_files_is_one_line(
    run_with_fault, shard_folder, name, project
):
    (OUT / f".{name}.tmp").parent.mkdir(parents=True)
    (OUT / f".{name}.tmp").symlink_to("/dev/full")
    result, _ = run_with_fault("chunk", "none", 0)
    assert_one_line(result, f"{name}: No space left on device; make room")
    assert not (OUT / name).exists()
    assert run_with_fault("chunk", "none", 0)[0][0] == 0
    assert_right_shards(shard_folder)


def cut_archive(archive):
    archive.write_bytes(archive.read_bytes()[:-100])


def spoil_pictures(archive):
    with zipfile.ZipFile(archive) as old:
        names = old.namelist()
    with zipfile.ZipFile(archive, "w") as new:
        for name in names:
            new.writestr(name, b"no picture")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (Path.unlink, ("images.zip: not found; run `dvc repro download`",)),
        (cut_archive, ("images.zip: is not a whole zip archive (", "; delete it and run `dvc")),
        (spoil_pictures, ("train: 14 of 14 records are invalid", "not a picture", "invalid.csv")),
    ],
    ids=["archive gone", "archive cut", "no picture in it"],
)
def test_an_archive_of_no_use_is_one_line_and_no_index(project, damage, parts):
    damage(Path("data/raw/synthetic/images.zip"))
    result = run_python(ROOT / "stages" / "shard.py", "--workers", 2)
    assert_one_line((result.returncode, [], result.stderr.splitlines()), *parts)
    assert not (OUT / "index.json").exists()


KILLED_AT = {
    "before the archive is read": OUT.is_dir,
    "while the archive is read": lambda: list(SCRATCH.glob("*/.chunk_*.tmp")),
    "before the first shard": lambda: [*SCRATCH.glob("*/chunk_*"), *OUT.glob("*.tfrecords")],
    "after the first": lambda: list(OUT.glob("*.tfrecords")),
    "after the third": lambda: len(list(OUT.glob("*.tfrecords"))) >= 3,
}


def kill_at(place, victim, command, env):
    """Start the stage and kill it there; False where it had ended before."""
    shutil.rmtree(OUT, ignore_errors=True)
    process = subprocess.Popen(command, env=env, start_new_session=True)
    while not KILLED_AT[place]() and process.poll() is None:
        time.sleep(0.002)
    if victim == "the stage":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return not (OUT / "index.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("place", KILLED_AT)
@pytest.mark.parametrize("victim", ["the stage", "the stage and its workers"])
def test_a_killed_stage_is_made_good_by_the_next(project, shard_folder, place, victim):
    marked = environment(MARK=str(project))
    command = [sys.executable, str(ROOT / "stages" / "shard.py"), "--workers", "1"]
    # The stage may be past the place between two looks: then it is tried again.
    assert any(kill_at(place, victim, command, marked) for _ in range(5))
    subprocess.run(command, env=marked, check=True)
    assert_right_shards(shard_folder)
    assert not SCRATCH.exists()
    # Two agents of Ray's, which write nothing here, look once a minute whether they are needed.
    assert not wait_for_none(project, seconds=100)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["while Ray starts", "while tasks run"])
def test_a_terminated_stage_cleans_up_and_says_so(project, moment):
    # Ray's own handler of SIGTERM would abort the stage three seconds later.
    shutil.rmtree(OUT, ignore_errors=True)
    command = [sys.executable, str(ROOT / "stages" / "shard.py"), "--workers", "1"]
    is_there = {"while Ray starts": Path("data/.shard.lock"), "while tasks run": SCRATCH}[moment]
    process = subprocess.Popen(
        command, env=environment(MARK=str(project)), stderr=subprocess.PIPE, text=True
    )
    while not is_there.exists():
        assert process.poll() is None
        time.sleep(0.002)
    time.sleep(1 if moment == "while Ray starts" else 0)  # until Ray has set its handler
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.splitlines()[-1]) == (128 + signal.SIGTERM, "terminated")
    assert not SCRATCH.exists() and not Path("data/.shard.lock").exists()
    assert not wait_for_none(project, seconds=100)


# Damage


def flip(path, offset, bit=1):
    data = bytearray(path.read_bytes())
    data[offset] ^= bit
    path.write_bytes(data)


def rewrite(path, change):
    """Replace the file's bytes by change(bytes)."""
    path.write_bytes(change(path.read_bytes()))


def swap(one, other):
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


def edit_index(path, change):
    index = json.loads(path.read_text())
    change(index)
    path.write_text(json.dumps(index))


def lie_about_records(index):
    for split in index["splits"].values():
        for shard in split["shards"].values():
            shard["num_records"] -= 1


# A record: 8 bytes length, 4 bytes its checksum, the payload, 4 bytes its checksum.
SHARD_DAMAGES = {
    "last byte cut off": lambda path: rewrite(path, lambda data: data[:-1]),
    "cut in half": lambda path: rewrite(path, lambda data: data[: len(data) // 2]),
    "cut after its first record": lambda path: rewrite(path, first_record),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: rewrite(path, lambda data: bytes(len(data))),
    "bytes after its end": lambda path: rewrite(path, lambda data: data + b"\0"),
    "bit in a length": lambda path: flip(path, 1),
    "bit in a length's checksum": lambda path: flip(path, 9),
    "bit in a payload": lambda path: flip(path, 500),
    "bit in a picture": lambda path: flip(path, path.stat().st_size // 2, 128),
    "bit in a payload's checksum": lambda path: flip(path, path.stat().st_size - 1),
    "another shard's bytes": lambda path: swap(path, *path.parent.glob(f"{path.name[:3]}*2_of*")),
    "a text file": lambda path: path.write_text("shard\n"),
    "missing": lambda path: path.unlink(),
    "a folder": replace_by_folder,
}  # fmt: skip
INDEX_DAMAGES = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut in half": lambda path: rewrite(path, lambda data: data[: len(data) // 2]),
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe{}"),
    "a list": lambda path: path.write_text("[]"),
    "an empty object": lambda path: path.write_text("{}"),
    "nested without end": lambda path: path.write_text("[" * 100_000),
    "a section missing": lambda path: edit_index(path, lambda index: index.pop("crop")),
    "a split missing": lambda path: edit_index(path, lambda index: index["splits"].clear()),
    "a shard left out": lambda path: edit_index(path, leave_out_shards),
    "other counts": lambda path: edit_index(path, lie_about_records),
    "another crop size": lambda path: edit_index(path, lambda i: i["crop"].update(crop_size=48)),
    "no checksum of its own": lambda path: edit_index(path, lambda index: index.pop("sha256")),
    "a folder": replace_by_folder,
}


def first_record(data):
    return data[: 16 + int.from_bytes(data[:8], "little")]


def leave_out_shards(index):
    for split in index["splits"].values():
        split["shards"].popitem()


@pytest.fixture(scope="module")
def stages():
    return {name: load_stage(name) for name in ("train", "predict")}


@pytest.fixture
def damaged(sharded, stages, model_file, capsys):
    """A function that runs a stage on damaged shards, and sees that it writes nothing."""

    def run(name):
        if name == "predict":
            Path("models").mkdir()
            shutil.copy(model_file, "models/hourglass.keras")
        before = set(files_below("."))
        result = run_stage(stages[name], capsys)
        written = {path for path in files_below(".") if not path.startswith("logs/")}
        assert written == before
        return result

    return run


SHARDS_READ = {
    ("train", "train_0001_of_0003.tfrecords"),
    ("train", "val_0001_of_0002.tfrecords"),
    ("predict", "val_0001_of_0002.tfrecords"),
}


@pytest.mark.parametrize(("stage", "name"), sorted(SHARDS_READ))
@pytest.mark.parametrize("damage", mostly_slow(SHARD_DAMAGES, "bit in a payload", "missing"))
def test_a_damaged_shard_is_named_before_it_is_read(damaged, stage, name, damage):
    SHARD_DAMAGES[damage](OUT / name)
    missing = damage in ("missing", "a folder")
    assert_one_line(damaged(stage), f"{OUT / name}: ", "missing" if missing else "damaged",
                    "run `dvc repro shard`")  # fmt: skip


@pytest.mark.parametrize("stage", ["train", "predict"])
@pytest.mark.parametrize(
    "damage", mostly_slow(INDEX_DAMAGES, "missing", "a section missing", "other counts")
)
def test_a_damaged_index_is_named_before_anything_is_read(damaged, stage, damage):
    INDEX_DAMAGES[damage](OUT / "index.json")
    word = "missing" if damage == "missing" else "damaged"
    assert_one_line(damaged(stage), f"{OUT}/index.json: {word}", "run `dvc repro shard`")


def test_a_shard_of_another_run_is_named(damaged, write_shards, tiny_params, tmp_path):
    other = tiny_params.shard.model_copy(update={"seed": 2})
    folder = write_shards(tmp_path / "other", other)
    shutil.copy(folder / VICTIM, OUT / VICTIM)
    assert_one_line(damaged("train"), f"{OUT / VICTIM}: damaged")


def test_an_index_of_another_run_is_noticed(damaged, write_shards, tiny_params, tmp_path):
    other = tiny_params.shard.model_copy(update={"seed": 2})
    shutil.copy(write_shards(tmp_path / "other", other) / "index.json", OUT)
    assert_one_line(damaged("train"), f"{OUT}/train_0001_of_0003.tfrecords: damaged")


WHILE_READ = [
    "cut in half", "cut after its first record", "empty", "bit in a length", "bit in a payload",
    "bit in a payload's checksum", "missing",
]  # fmt: skip


def read_train_batches(split, params):
    return train_batches(split, 4, params.train.augment, seed=1, epoch=1)


READERS = {
    "train_batches": read_train_batches,
    "eval_batches": lambda split, _: eval_batches(split, 2),
    "eval_batches filled up": lambda split, _: eval_batches(split, 2, fill_last=True),
    "read_truth": lambda split, _: read_truth(split),
    "read_crops": lambda split, _: read_crops(split, [0, 4]),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("damage", WHILE_READ)
def test_a_shard_damaged_after_it_was_opened_is_named(sharded, tiny_params, reader, damage):
    split = open_split(OUT, "train", 32)
    SHARD_DAMAGES[damage](OUT / VICTIM)
    word = "missing" if damage == "missing" else "damaged"
    with pytest.raises(UserError, match=f"{VICTIM}: {word}"), name_damage(split):
        list(READERS[reader](split, tiny_params))


def test_a_failure_that_no_damage_explains_is_not_renamed(sharded):
    import tensorflow as tf

    split = open_split(OUT, "train", 32)
    with pytest.raises(tf.errors.ResourceExhaustedError), name_damage(split):
        raise tf.errors.ResourceExhaustedError(None, None, "GPU out of memory")


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "name"), sorted(SHARDS_READ))
def test_a_stage_stops_where_a_shard_is_damaged_while_it_is_read(damaged, monkeypatch, stage, name):
    def open_then_damage(folder, split, size):
        opened = open_split(folder, split, size)
        if name.startswith(split[:3]):
            SHARD_DAMAGES["bit in a payload"](folder / name)
        return opened

    for place in (
        "training.work_dir",
        "data.tfrecords.reader",
    ):  # each has a name of its own for it
        monkeypatch.setattr(f"hourglass.{place}.open_split", open_then_damage)
    assert_one_line(damaged(stage), f"{OUT / name}: damaged", "run `dvc repro shard`")
