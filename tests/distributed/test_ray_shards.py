import csv
import json
import shutil
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from helpers.stages import load_stage
from hourglass.data.invalid import InvalidRecord, encode_joints
from hourglass.data.person import save_persons, save_schema
from hourglass.distributed import ray_shards
from hourglass.keypoints import MPII
from hourglass.utils.errors import UserError

ray = pytest.importorskip("ray", reason="the shard stage runs on Ray")


BROKEN = {"train_00003.jpg": b"no picture", "validation_00001.jpg": b""}


@pytest.fixture(scope="module")
def stage():
    return load_stage("shard")


@pytest.fixture(scope="module")
def project(tmp_path_factory, raw_folder, persons, tiny_params):
    """A folder with all that the shard stage reads; two of its pictures are broken."""
    folder = tmp_path_factory.mktemp("project")
    raw = folder / "data" / "raw" / "synthetic"
    raw.mkdir(parents=True)
    with (
        zipfile.ZipFile(raw_folder / "images.zip") as old,
        zipfile.ZipFile(raw / "images.zip", "w") as new,
    ):
        for name in old.namelist():
            new.writestr(name, BROKEN.get(Path(name).name, old.read(name)))
    for split, people in persons.items():
        save_persons(folder / "data" / "annotations" / f"{split}.json", people)
    save_schema(folder / "data" / "annotations", MPII)
    params = tiny_params.model_copy(
        update={"shard": tiny_params.shard.model_copy(update={"max_invalid_fraction": 0.25})}
    )
    (folder / "params.yaml").write_text(yaml.safe_dump(params.model_dump()))
    return folder


@pytest.fixture(scope="module")
def ray_runs(project, stage):
    """What the stage leaves behind with two workers and with one: {name: bytes}, one each.

    Ray takes long to start: for the second run its tasks take both cores, so that one runs at a
    time.
    """
    out, runs = project / "data" / "tfrecords", []
    tasks = {name: getattr(ray_shards, name) for name in ("archive_chunk_task", "shard_task")}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setattr(sys, "argv", ["shard.py", "--workers", "2"])
        patch.setattr("hourglass.data.tfrecords.plan.CHUNK_WORK", 4 * 200 << 10)  # several
        try:
            for num_cpus in (1, 2):
                for name, task in tasks.items():
                    patch.setattr(ray_shards, name, task.options(num_cpus=num_cpus))
                stage.main()
                runs.append({path.name: path.read_bytes() for path in out.iterdir()})
                shutil.rmtree(out)
                patch.setattr(stage, "start_ray", lambda _: None)
        finally:
            ray.shutdown()
    return runs


def test_the_bytes_do_not_depend_on_the_number_of_workers(ray_runs):
    two, one = ray_runs
    assert sorted(two) == [
        "index.json", "invalid.csv",
        *(f"train_000{k}_of_0003.tfrecords" for k in (1, 2, 3)),
        *(f"val_000{k}_of_0002.tfrecords" for k in (1, 2)),
    ]  # fmt: skip
    assert two == one


def test_broken_pictures_are_invalid_by_name(ray_runs, persons):
    invalid = list(csv.DictReader(ray_runs[0]["invalid.csv"].decode().splitlines()))
    people = persons["train"][3], persons["validation"][1]
    lost = [encode_joints(person.keypoints_visible) for person in people]
    assert [tuple(record.values()) for record in invalid] == [
        ("train", "3", "train_00003.jpg", "cannot be decoded: not a picture", lost[0]),
        ("validation", "1", "validation_00001.jpg", "cannot be decoded: empty file", lost[1]),
    ]


def test_the_index_counts_what_the_shards_hold(ray_runs):
    splits = json.loads(ray_runs[0]["index.json"])["splits"]
    for split, total in (("train", 14), ("validation", 5)):
        assert splits[split]["num_persons"] == total
        counts = [shard["num_records"] for shard in splits[split]["shards"].values()]
        assert sum(counts) == total - 1


def test_without_ray_the_good_shards_are_the_same(ray_runs, shard_folder):
    # Those that hold no broken picture equal what one process wrote for the shared fixture.
    same = [
        name
        for name, data in ray_runs[0].items()
        if name.endswith(".tfrecords") and (shard_folder / name).read_bytes() == data
    ]
    assert len(same) == 3


def test_the_counts_add_up_and_too_many_stop_the_stage(stage, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    invalid = [
        InvalidRecord("train", 2, "a.jpg", "bad", "0" * 16),
        InvalidRecord("validation", 3, "v.jpg", "empty file", "0" * 16),
    ]
    params = SimpleNamespace(max_invalid_fraction=0.1)
    stage.report_invalid(invalid, {"train": 20, "validation": 10}, params)
    assert capsys.readouterr().out.splitlines() == [
        "train: 20 persons = 19 records + 1 invalid",
        "validation: 10 persons = 9 records + 1 invalid",
    ]
    with pytest.raises(UserError, match=r"^validation: 1 of 4 .*empty file.* raise shard\.max_inv"):
        stage.report_invalid(invalid, {"train": 20, "validation": 4}, params)
    assert len((tmp_path / "data/tfrecords/invalid.csv").read_text().splitlines()) == 3


@pytest.fixture
def run_without_ray(stage, tmp_path, monkeypatch, capsys):
    """A function that runs the stage in an empty folder: exit code and stderr."""

    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["shard.py", *arguments])
        monkeypatch.setattr(stage, "start_ray", lambda _: pytest.fail("Ray was started"))
        with pytest.raises(SystemExit) as end:
            stage.main()
        return end.value.code, capsys.readouterr().err

    return run


def test_no_workers_is_refused_before_ray_starts(run_without_ray):
    line = "error: --workers 0: must be 1 or more\n"
    assert run_without_ray("--workers", "0") == (1, line)


def test_missing_annotations_are_one_line_before_ray_starts(run_without_ray, project, tmp_path):
    (tmp_path / "params.yaml").write_text((project / "params.yaml").read_text())
    code, text = run_without_ray()
    assert code == 1 and len(text.splitlines()) == 1
    assert text.startswith("error: data/annotations/schema.json: ")


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_an_archive_of_no_use_is_one_line_before_ray_starts(
    run_without_ray, project, tmp_path, damage
):
    shutil.copy(project / "params.yaml", tmp_path)
    shutil.copytree(project / "data", tmp_path / "data")
    archive = tmp_path / "data/raw/synthetic/images.zip"
    archive.write_bytes(archive.read_bytes()[:-100])
    if damage == "missing":
        archive.unlink()
    code, text = run_without_ray()
    assert code == 1 and len(text.splitlines()) == 1
    said = {"missing": "not found; ", "cut": "is not a whole zip archive ("}
    assert f"images.zip: {said[damage]}" in text
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["annotations", "raw"]


def test_shards_and_records_on_two_disks_are_one_line(tmp_path):
    memory = Path("/dev/shm")  # Linux
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second disk")
    ray_shards.check_one_disk(tmp_path, tmp_path)
    with pytest.raises(UserError, match=f"^{tmp_path} and {memory}: not on one disk; "):
        ray_shards.check_one_disk(tmp_path, memory)


@pytest.mark.parametrize("lacking", ["the archive", "the folder of records"])
def test_each_task_looks_for_what_it_reads_and_writes(tmp_path, lacking):
    archive, scratch = tmp_path / "images.zip", tmp_path / "records"
    if lacking == "the archive":
        scratch.mkdir()
    else:
        archive.touch()
    write_records, write_shard = (
        ray_shards.archive_chunk_task._function,
        ray_shards.shard_task._function,
    )
    with pytest.raises(UserError, match="not there, or not"):
        write_records(scratch / "chunk", [], [], archive, None)
    if lacking != "the archive":
        with pytest.raises(UserError, match="not there, or not"):
            write_shard(tmp_path / "out" / "s.tfrecords", scratch, [])
    assert not (tmp_path / "out").exists() and not (scratch / "chunk").exists()
