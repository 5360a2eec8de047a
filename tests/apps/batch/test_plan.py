import dataclasses
import json
from pathlib import Path

import pytest

from helpers.batch_runs import begin_chunks, make_plan
from hourglass.apps.batch import plan as plans
from hourglass.inference.runner import InferenceConfig
from hourglass.utils.errors import UserError

NAMES = [Path(f"{k}.jpg") for k in range(7)]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(plans, "CHUNK_SIZE", 3)


def test_chunks_follow_one_another_in_the_list(tmp_path):
    names = [*NAMES, Path("line\nbreak.jpg")]
    chunks, _ = begin_chunks(make_plan(tmp_path), names)
    assert [(chunk.number, chunk.num_pictures) for chunk in chunks] == [(0, 3), (1, 3), (2, 2)]
    data = (tmp_path / "out/pictures.txt").read_bytes()
    cut = [data[chunk.offset : chunk.offset + chunk.length] for chunk in chunks]
    assert b"".join(cut) == data
    assert cut[2] == b"6.jpg\0line\nbreak.jpg\0"


def test_the_same_run_may_begin_again_and_writes_the_same(tmp_path):
    plan = make_plan(tmp_path, config=InferenceConfig("bbox", ((1, 2.5, 3, 4),), threshold=None))
    before = []
    for _ in range(2):
        begin_chunks(plan, NAMES)
        before.append({p.name: p.read_bytes() for p in plan.folder.iterdir() if p.is_file()})
    assert before[0] == before[1] and set(before[0]) == {"plan.json", "pictures.txt"}
    assert json.loads(before[0]["plan.json"])["pictures"]["number"] == 7


CHANGES = {
    "base": ("was begun in the folder ", {"base": Path("/elsewhere")}),
    "network": ("is of another network; ", {"network": "def"}),
    "flip test": ("was begun with other options; ", {"flip_test": False}),
    "drawing": ("was begun with other options; ", {"draw": True}),
    "people": ("was begun with other options; ", {"config": InferenceConfig(num_people=2)}),
    "threshold": ("was begun with other options; ", {"config": InferenceConfig(threshold=0.2)}),
    "boxes": ("was begun with other options; ", {"config": InferenceConfig(photo_bboxes={})}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_run_in_the_same_folder_is_refused(tmp_path, change):
    reason, values = CHANGES[change]
    plan = make_plan(tmp_path, config=InferenceConfig())
    begin_chunks(plan, NAMES)
    before = (plan.folder / "plan.json").read_bytes()
    with pytest.raises(UserError) as error:
        begin_chunks(dataclasses.replace(plan, **values), NAMES)
    assert str(error.value).startswith(f"{plan.folder}: holds a run that {reason}")
    assert str(error.value).endswith("choose another --out, or remove this one")
    assert (plan.folder / "plan.json").read_bytes() == before


def boxes_config(**boxes):
    return InferenceConfig("bbox", photo_bboxes={Path(f"/{k}.jpg"): (b,) for k, b in boxes.items()})


def test_other_boxes_are_another_run_the_same_ones_are_not(tmp_path):
    plan = make_plan(tmp_path, config=boxes_config(a=(1, 2, 3, 4)))
    begin_chunks(plan, NAMES)
    begin_chunks(dataclasses.replace(plan, config=boxes_config(a=(1, 2, 3, 4))), NAMES)
    with pytest.raises(UserError, match="was begun with other options"):
        begin_chunks(dataclasses.replace(plan, config=boxes_config(a=(1, 2, 3, 5))), NAMES)


@pytest.mark.parametrize("names", [NAMES[1:], NAMES[::-1], [*NAMES, Path("8.jpg")]])
def test_other_pictures_are_refused_and_those_of_the_run_named(tmp_path, names):
    plan = make_plan(tmp_path)
    begin_chunks(plan, NAMES)
    with pytest.raises(UserError, match=r"of other pictures: .* `--list \S+/out/pictures.txt`"):
        begin_chunks(plan, names)
    begin_chunks(plan, list(plans.read_paths(plan.folder / "pictures.txt")))


def test_no_pictures_are_no_run(tmp_path):
    plan = make_plan(tmp_path)
    with pytest.raises(UserError, match="no pictures in what is named; name others"):
        begin_chunks(plan, [])
    assert not (plan.folder / "plan.json").exists()


def test_a_kill_between_plan_and_list_leaves_a_run_that_begins_again(tmp_path):
    plan = make_plan(tmp_path)
    begin_chunks(plan, NAMES)
    (plan.folder / "pictures.txt").unlink()
    plans.check_work_dir(plan.folder)
    assert len(begin_chunks(plan, NAMES)[0]) == 3


def test_a_folder_of_other_files_is_refused(tmp_path):
    plans.check_work_dir(tmp_path / "none")
    (tmp_path / ".lock").touch()
    plans.check_work_dir(tmp_path)
    (tmp_path / "poses.jsonl").touch()
    with pytest.raises(UserError, match="holds other files; choose another --out"):
        plans.check_work_dir(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"base": 1}', "{"])
def test_a_plan_of_another_program_is_one_line(tmp_path, text):
    plan = make_plan(tmp_path)
    (plan.folder / "plan.json").write_text(text)
    with pytest.raises(UserError, match=r"^\S+plan\.json: .*choose another --out") as error:
        begin_chunks(plan, NAMES)
    assert "\n" not in str(error.value)
    assert (plan.folder / "plan.json").read_text() == text
