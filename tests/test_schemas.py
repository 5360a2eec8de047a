"""COCO's keypoints and a schema of one's own: the whole pipeline, and what uses its network."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.stages import assert_one_line, end_stage, load_stages, run_stage, run_stages
from hourglass import load
from hourglass.apps.page.building import write_settings
from hourglass.apps.stickers.lifting import find_conversion
from hourglass.data.tfrecords.index import read_index
from hourglass.inference.backends import OnnxBackend
from hourglass.keypoints import COCO, KeypointSchema
from hourglass.models.saving import load_network
from hourglass.utils.errors import UserError

LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
# Twelve limb joints and the nose, by MPII's names and an order of its own; no head segment.
OWN = KeypointSchema(
    name="thirteen",
    keypoints=("nose", *(f"{side}_{limb}" for limb in LIMBS for side in "lr")),
    flip_pairs=tuple((f"r_{limb}", f"l_{limb}") for limb in LIMBS),
    bones=tuple(
        (f"{side}_{a}", f"{side}_{b}")
        for side in "lr"
        for a, b in [LIMBS[:2], LIMBS[1:3], LIMBS[3:5], LIMBS[4:]]
    ),
    groups={limb: (f"r_{limb}", f"l_{limb}") for limb in LIMBS},
    unscored=("nose",),
)


pytestmark = pytest.mark.slow  # half a minute each


@pytest.fixture(scope="module")
def stages():
    return load_stages()


@pytest.fixture(scope="module", params=[COCO, OWN], ids=lambda schema: schema.name)
def finished(request, stages, tiny_params, tmp_path_factory):
    """A folder in which all stages have run, and the schema."""
    schema = request.param
    data = tiny_params.data.model_copy(update={"keypoint_schema": schema})
    params = tiny_params.model_copy(update={"data": data})
    return run_stages(tmp_path_factory.mktemp(schema.name), stages, params), schema


def test_each_file_of_a_run_carries_the_schema(finished):
    folder, schema = finished
    annotations = json.loads((folder / "data/annotations/schema.json").read_text())
    assert KeypointSchema.from_dict(annotations) == schema
    assert read_index(folder / "data/tfrecords")["schema"] == schema
    assert load_network(folder / "models/hourglass.keras").metadata.schema == schema
    assert OnnxBackend(folder / "models/hourglass.onnx").metadata.model.schema == schema


def test_scores_are_those_of_the_schema(finished):
    folder, schema = finished
    scores = json.loads((folder / "reports/metrics.json").read_text())
    assert list(scores["pckh"]) == ["total", "unweighted", *schema.groups]
    persons = json.loads((folder / "data/annotations/validation.json").read_text())
    scored = list(schema.scored_indices)
    labels = np.array([person["joints_vis"] for person in persons])
    assert labels.shape == (5, schema.num_keypoints)
    assert scores["num_joints"] == labels[:, scored].sum()
    for name in schema.groups:
        assert name in (folder / "reports/index.html").read_text()


def test_predictions_and_figures_are_there(finished):
    folder, schema = finished
    predictions = json.loads((folder / "reports/predictions.json").read_text())
    assert predictions["keypoint_names"] == list(schema.keypoints)
    assert np.shape(predictions["persons"][0]["keypoints"]) == (schema.num_keypoints, 2)
    assert (folder / "reports/figures/contact_sheet.jpg").is_file()


def test_the_command_names_the_keypoints(finished, hourglass):
    folder, schema = finished
    Image.new("RGB", (90, 60), "grey").save("a.png")
    model = folder / "models/hourglass.keras"
    code, _, err = hourglass("a.png", "--box", "10,5,40,50", model=model)
    (person,) = json.loads(Path("poses/a.json").read_text())["people"]
    assert (code, len(err), list(person["joints"])) == (0, 1, list(schema.keypoints))
    assert "drawn figures" in err[0]


def test_a_program_finds_the_keypoints_of_the_schema(finished):
    folder, schema = finished
    picture = np.zeros((60, 90, 3), np.uint8)
    for name in ("hourglass.keras", "hourglass.onnx"):
        network = load(folder / "models" / name)
        (pose,) = network.predict(picture, bboxes=[(10, 5, 40, 50)])
        assert network.schema == schema and pose.keypoints.shape == (schema.num_keypoints, 2)


def test_the_page_draws_the_schema(finished):
    folder, schema = finished
    settings = write_settings(OnnxBackend(folder / "models/hourglass.onnx").metadata)
    assert f"export const JOINTS = {json.dumps(schema.keypoints)};" in settings


def test_stickers_say_which_keypoints_they_lack(finished):
    with pytest.raises(UserError, match=r"^stickers need .*head_top.*--model$"):
        find_conversion(finished[1])


def test_a_network_of_other_keypoints_is_not_judged(finished, stages, monkeypatch, capsys):
    folder, schema = finished
    monkeypatch.chdir(folder)
    path = folder / "data/annotations/schema.json"
    content = path.read_text()
    path.write_text(json.dumps(schema.to_dict() | {"name": "other"}))
    try:
        result = run_stage(stages["predict"], capsys)
    finally:
        path.write_text(content)
    assert_one_line(result, "data/annotations: its keypoints are those of other", "dvc repro shard")
    assert end_stage(stages["predict"]) == 0
