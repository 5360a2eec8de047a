import dataclasses
import json

import pytest

from helpers.batch_runs import begin_chunks, make_plan, save_dots
from helpers.fake_backends import BrightestBackend
from hourglass.inference.runner import InferenceConfig
from hourglass.utils.errors import UserError
from hourglass.utils.files import file_digest

ray = pytest.importorskip("ray", reason="tasks run on Ray")
from hourglass.distributed import ray_batch  # noqa: E402


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A plan, its chunks, the folder of what is not whole, and a network's file."""
    monkeypatch.setattr("hourglass.apps.batch.plan.CHUNK_SIZE", 3)
    monkeypatch.setattr(ray_batch, "open_backend", lambda *_: BrightestBackend())
    ray_batch.open_backend_once.cache_clear()
    model = tmp_path / "net.keras"
    model.write_text("a network")
    plan = make_plan(tmp_path, network=file_digest(model))
    paths = [path.relative_to(tmp_path) for path in save_dots(tmp_path / "in", 5)]
    (tmp_path / paths[3]).unlink()
    return plan, *begin_chunks(plan, paths), model


def test_a_task_writes_its_part(run):
    plan, chunks, scratch, model = run
    for chunk in chunks:
        job = ray_batch.make_chunk_job(plan, chunk, scratch, model)
        assert job.num_items == chunk.num_pictures
        ray_batch.photo_chunk_task._function(*job.arguments)
    names = sorted(path.name for path in (plan.folder / "chunks").iterdir())
    assert names == ["000000.jsonl", "000001.jsonl"]


def test_a_job_names_its_pictures_and_one_that_is_there(run, tmp_path):
    plan, chunks, scratch, model = run
    job = ray_batch.make_chunk_job(plan, chunks[1], scratch, model)
    assert job.name == "in/003.png to in/004.png"
    assert job.arguments[3] == [tmp_path / "in/004.png"]
    (tmp_path / "in/004.png").unlink()
    assert ray_batch.make_chunk_job(plan, chunks[1], scratch, model).arguments[3] == []


def test_a_job_takes_the_boxes_of_its_pictures_alone(run, tmp_path):
    plan, chunks, scratch, model = run
    boxes = {tmp_path / f"in/{k:03}.png": ((k, 2.0, 9.0, 9.0),) for k in (0, 3)}
    config = InferenceConfig("bbox", threshold=None, photo_bboxes=boxes)
    plan = dataclasses.replace(plan, config=config)
    taken = [
        ray_batch.make_chunk_job(plan, chunk, scratch, model).arguments[0].config.photo_bboxes
        for chunk in chunks
    ]
    assert taken == [{path: boxes[path]} for path in boxes]
    job = ray_batch.make_chunk_job(plan, chunks[0], scratch, model)
    ray_batch.photo_chunk_task._function(*job.arguments)
    lines = (plan.folder / "chunks/000000.jsonl").read_text().splitlines()
    found = [[person["bbox"] for person in json.loads(line)["people"]] for line in lines]
    assert found == [[[0, 2, 9, 9]], [], []]


@pytest.mark.parametrize("lacking", ["pictures", "results", "network"])
def test_a_machine_that_does_not_see_the_files_is_one_line(run, lacking):
    plan, chunks, scratch, model = run
    job = ray_batch.make_chunk_job(plan, chunks[0], scratch, model)
    if lacking == "pictures":
        (plan.base / "in").rename(plan.base / "away")
    elif lacking == "results":
        scratch.rmdir()
    else:
        model.unlink()
    with pytest.raises(UserError, match=r"not there, or .*; network, pictures and --out must lie"):
        ray_batch.photo_chunk_task._function(*job.arguments)
    assert not (plan.folder / "chunks").exists()


def test_another_network_on_a_machine_is_one_line(run):
    plan, chunks, scratch, model = run
    plan = dataclasses.replace(plan, network="abc")
    job = ray_batch.make_chunk_job(plan, chunks[0], scratch, model)
    with pytest.raises(UserError, match=r"net\.keras: is another network on another machine"):
        ray_batch.photo_chunk_task._function(*job.arguments)


@pytest.mark.parametrize(("resources", "num_gpus"), [({"CPU": 4}, 0), ({"CPU": 4, "GPU": 2}, 1)])
def test_where_there_are_gpus_each_task_has_one(run, monkeypatch, resources, num_gpus):
    plan, chunks, scratch, model = run
    monkeypatch.setattr(ray, "cluster_resources", lambda: resources)
    tried = []

    def run_tasks(task, jobs, title, unit, advice, num_done):
        tried.append((task._default_options.get("num_gpus"), len(jobs), num_done))

    class Task:
        def options(self, num_gpus):
            self._default_options = {"num_gpus": num_gpus}
            return self

    monkeypatch.setattr(ray_batch, "photo_chunk_task", Task())
    monkeypatch.setattr(ray_batch, "run_tasks", run_tasks)
    ray_batch.predict_chunks(plan, chunks, 7, scratch, model)
    assert tried == [(num_gpus, 2, 7)]
