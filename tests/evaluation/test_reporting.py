import csv
import dataclasses
import hashlib
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from helpers.paths import DATA, ROOT, needs_data
from helpers.processes import loaded_after, run_python
from hourglass.data.datasets.mpii import read_mpii_json
from hourglass.data.head_size import head_size_from_scale
from hourglass.data.invalid import InvalidRecord, write_invalid
from hourglass.data.person import Person, save_persons, save_schema
from hourglass.data.validation import check_records
from hourglass.evaluation.pckh import score_persons
from hourglass.evaluation.predictions import save_predictions
from hourglass.evaluation.reporting import (
    describe_unscored,
    plot_curve,
    read_metrics,
    score_invalid,
    write_reports,
)
from hourglass.keypoints import COCO, MPII
from hourglass.utils.errors import UserError

REPORTS = ("metrics.json", "pckh.md", "plots/pckh_curve.csv", "plots/pckh_curve.png")

# Head to ankle, total, unweighted, total@0.1 and AUC of two published prediction sets.
KNOWN_SCORES = {
    "tompson.h5": (95.60, 92.71, 83.36, 76.74, 81.93, 73.36, 65.45, 82.34, 81.46, 28.97, 55.78),
    "bearpaw-hg_s1_b1.mat": (
        95.12, 93.61, 85.53, 79.56, 84.51, 78.28, 73.38, 85.08, 84.46, 22.81, 55.52,
    ),
}  # fmt: skip


def run_evaluate(folder):
    return run_python(ROOT / "stages" / "evaluate.py", cwd=folder)


def read_json(path):
    return json.loads(path.read_text())


def make_persons(num_persons, seed=1):
    rng = np.random.default_rng(seed)
    persons = []
    for n in range(num_persons):
        joints = rng.uniform(50, 450, (16, 2))
        keypoints_visible = rng.random(16) < 0.9
        joints[~keypoints_visible] = -1
        center = np.array([250.0, 250.0])
        persons.append(Person(f"{n}.jpg", joints, keypoints_visible, center, 2.0, 50.0, "scale"))
    return persons


def write_inputs(folder, persons, keypoints, invalid=()):
    save_persons(folder / "data" / "annotations" / "validation.json", persons)
    save_schema(folder / "data" / "annotations", MPII)
    write_invalid(folder / "data" / "annotations" / "invalid.csv", invalid)
    images = [person.image for person in persons]
    scores = [np.ones(16)] * len(persons)
    save_predictions(folder / "reports" / "predictions.json", images, keypoints, scores, MPII)
    shutil.copy(ROOT / "params.yaml", folder)


def perturb(persons, seed=2):
    rng = np.random.default_rng(seed)
    return [person.joints + rng.normal(0, 20, (16, 2)) for person in persons]


def read_published(name):
    """1-based keypoints [2958, 16, 2] as published."""
    if name.endswith(".mat"):
        return (
            pytest.importorskip("scipy.io")
            .loadmat(DATA / "mpii-val" / name)["preds"]
            .astype(np.float64)
        )
    with pytest.importorskip("h5py").File(DATA / "mpii-val" / name) as file:
        return np.array(file["preds"], np.float64).transpose(2, 1, 0)


def read_mpii_persons():
    """The validation records as the parse stage makes them."""
    records = read_mpii_json(DATA / "mpii-val" / "validation.json", "validation")
    return check_records(records, None, measure_head_size=head_size_from_scale)[0]


def write_published(folder, name):
    """What the stage reads, in full precision: two decimals move PCKh@0.1 by up to 0.02."""
    persons, keypoints = read_mpii_persons(), read_published(name) - 1
    write_inputs(folder, persons, [None] * len(persons))
    entries = [
        {"image": person.image, "keypoints": pairs.tolist(), "scores": [1.0] * 16}
        for person, pairs in zip(persons, keypoints, strict=True)
    ]
    write_entries(folder, entries)
    return persons, entries


def write_entries(folder, entries):
    (folder / "reports" / "predictions.json").write_text(
        json.dumps({"keypoint_names": MPII.keypoints, "persons": entries})
    )


def score(folder):
    done = run_evaluate(folder)
    assert done.returncode == 0, done.stderr
    return read_json(folder / "reports" / "metrics.json"), done


@needs_data("mpii-val")
@pytest.mark.parametrize("name", KNOWN_SCORES)
def test_published_predictions_get_their_known_scores(tmp_path, name):
    write_published(tmp_path, name)
    metrics, done = score(tmp_path)
    groups = ("head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    scores = [metrics["pckh"][key] for key in (*groups, "total", "unweighted")]
    scores += [metrics["pckh_0.1"]["total"], metrics["auc"]]
    assert tuple(round(score, 2) for score in scores) == KNOWN_SCORES[name]
    assert (metrics["num_persons"], metrics["num_joints"]) == (2958, 38430)
    for value in KNOWN_SCORES[name]:
        assert f" {value:.2f} |" in done.stdout
    assert "Head sizes: 2,958 by 25 x scale." in done.stdout


@needs_data("mpii-val")
@pytest.mark.parametrize("excluded", [0, 1234])
def test_a_published_prediction_taken_out_costs_that_persons_joints(tmp_path, excluded):
    persons, entries = write_published(tmp_path, "bearpaw-hg_s1_b1.mat")
    errors, keypoints_visible = score_persons(persons, np.array([e["keypoints"] for e in entries]))
    is_right = (errors <= 0.5) & keypoints_visible
    is_right[:, [6, 7]] = False
    num_right, num_lost = int(is_right.sum()), int(is_right[excluded].sum())
    assert num_lost > 0 and score(tmp_path)[0]["pckh"]["total"] == round(num_right / 384.30, 4)
    entries[excluded] |= {"keypoints": None, "scores": None}
    write_entries(tmp_path, entries)
    metrics, _ = score(tmp_path)
    assert metrics["pckh"]["total"] == round((num_right - num_lost) / 384.30, 4)
    assert (metrics["num_persons"], metrics["num_joints"]) == (2958, 38430)
    assert (metrics["num_invalid"], metrics["num_unreadable"]) == (1, 0)


def count_scored(keypoints_visible):
    return int(np.delete(np.asarray(keypoints_visible, bool), [6, 7], axis=-1).sum())


def test_all_that_no_stage_could_use_counts_as_wrong_where_its_labels_are_known(tmp_path):
    persons = make_persons(6)
    invalid = [
        InvalidRecord(
            "validation", 2, "no.jpg", "picture is not among the images", "1" * 6 + "0" * 10
        ),
        InvalidRecord("validation", 4, "7.jpg", "scale is not a number", "0" * 6 + "1" * 10),
        InvalidRecord("validation", 5, "0.jpg", "exact duplicate of an earlier record", "0" * 16),
        InvalidRecord("validation", 8, "", "not an object", ""),
        InvalidRecord("train", 3, "t.jpg", "no labelled joint", "1" * 16),
        InvalidRecord("train", 4, "", "not an object", ""),
    ]
    keypoints = [person.joints for person in persons]
    keypoints[3] = None
    write_inputs(tmp_path, persons, keypoints, invalid)
    metrics, done = score(tmp_path)
    # By hand: labels 0..5, and 8..15 without pelvis and thorax.
    num_right = count_scored([p.keypoints_visible for k, p in enumerate(persons) if k != 3])
    num_joints = num_right + count_scored(persons[3].keypoints_visible) + 6 + 8
    assert metrics["num_joints"] == num_joints
    for value in (metrics["pckh"]["total"], metrics["pckh_0.1"]["total"]):
        assert value == round(100 * num_right / num_joints, 4)
    assert (metrics["num_persons"], metrics["num_invalid"]) == (8, 3)
    assert metrics["num_unreadable"] == 1
    for text in (done.stdout, (tmp_path / "reports" / "pckh.md").read_text()):
        assert "3 of the persons were left out and count as wrong" in text
        assert "1 record is not counted, since no labels can be read." in text


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A folder with one invalid person, and what the stage said."""
    folder = tmp_path_factory.mktemp("evaluated")
    persons = make_persons(12)
    write_inputs(folder, persons, [None, *perturb(persons)[1:]])
    done = run_evaluate(folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_the_stage_writes_its_reports_and_nothing_else(evaluated):
    folder, done = evaluated
    files = [path for path in (folder / "reports").rglob("*") if path.is_file()]
    names = {path.relative_to(folder / "reports").as_posix() for path in files}
    assert names == {*REPORTS, "predictions.json"}
    assert done.stderr == ""


def test_an_unread_picture_counts_and_is_said(evaluated):
    folder, done = evaluated
    metrics = read_json(folder / "reports" / "metrics.json")
    assert (metrics["num_persons"], metrics["num_invalid"]) == (12, 1)
    assert metrics["num_joints"] == count_scored([p.keypoints_visible for p in make_persons(12)])
    for text in (done.stdout, (folder / "reports" / "pckh.md").read_text()):
        assert (
            "1 of the persons was left out and counts as wrong: `data/annotations/invalid.csv` and "
            "`data/tfrecords/invalid.csv` say why." in text
        )
        assert "no labels can be read" not in text


def test_metrics_have_the_promised_form(evaluated):
    metrics = read_json(evaluated[0] / "reports" / "metrics.json")
    assert list(metrics) == [
        "pckh", "pckh_0.1", "auc", "num_persons", "num_joints", "num_invalid", "num_unreadable",
    ]  # fmt: skip
    assert list(metrics["pckh"]) == [
        "total", "unweighted", "head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle",
    ]  # fmt: skip
    assert list(metrics["pckh_0.1"]) == ["total"]
    assert 0 < metrics["pckh_0.1"]["total"] < metrics["auc"] < metrics["pckh"]["total"] < 100


def test_metrics_are_read_as_they_were_written(evaluated):
    path = evaluated[0] / "reports" / "metrics.json"
    assert read_metrics(path, MPII) == read_json(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.pop("auc"), lambda m: m.update(more=1), lambda m: m["pckh"].pop("hip"),
        lambda m: m.update(pckh=50.0), lambda m: m.update(auc="50"), lambda m: m.update(auc=-0.1),
        lambda m: m.update(auc=float("nan")), lambda m: m.update(num_joints=None),
        lambda m: m.update(num_joints=1.5), lambda m: m.update(num_invalid=-1),
        lambda m: m.update(num_persons=True), lambda m: m["pckh"].update(total=[1]),
    ],
)  # fmt: skip
def test_metrics_of_another_form_are_one_line(evaluated, tmp_path, change):
    metrics = read_json(evaluated[0] / "reports" / "metrics.json")
    change(metrics)
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(UserError) as error:
        read_metrics(tmp_path / "metrics.json", MPII)
    advice = "does not hold the scores of a run; run `dvc repro evaluate`"
    assert str(error.value) == f"{tmp_path}/metrics.json: {advice}"


def test_the_curve_agrees_with_the_metrics(evaluated):
    folder, _ = evaluated
    metrics = read_json(folder / "reports" / "metrics.json")
    with open(folder / "reports" / "plots" / "pckh_curve.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["threshold"] for row in rows] == [f"{i / 100:.2f}" for i in range(51)]
    assert list(rows[0]) == [
        "threshold", "total", "head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle",
    ]  # fmt: skip
    assert float(rows[10]["total"]) == metrics["pckh_0.1"]["total"]
    for name in list(rows[0])[1:]:
        assert float(rows[50][name]) == metrics["pckh"][name]


def test_the_table_is_aligned_and_printed(evaluated):
    folder, done = evaluated
    table = (folder / "reports" / "pckh.md").read_text()
    assert done.stdout in table
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len(rows) == 3
    assert len({len(row) for row in rows}) == 1
    assert [row.count("|") for row in rows] == [12] * 3


def test_the_figure_is_a_small_picture(evaluated):
    path = evaluated[0] / "reports" / "plots" / "pckh_curve.png"
    assert path.stat().st_size < 100_000
    with Image.open(path) as image:
        assert image.size == (640, 420)
        assert len(image.convert("RGB").getcolors(1_000_000)) > 50


def test_each_of_several_sets_has_its_scores(tmp_path):
    persons = [
        dataclasses.replace(p, image=f"{name}/a.jpg")
        for name, p in zip("aabb", make_persons(4), strict=True)
    ]
    lost = InvalidRecord("validation", 0, "b/c.jpg", "no center", "1" * 16)
    write_inputs(tmp_path, persons, perturb(persons), [lost])
    params = (ROOT / "params.yaml").read_text()
    params = params.replace("dataset: mpii ", "dataset: mixed").replace(
        "sets: {} ", "sets: {a: mpii, b: lspet}"
    )
    (tmp_path / "params.yaml").write_text(params)
    assert run_evaluate(tmp_path).returncode == 0
    path = tmp_path / "reports" / "metrics.json"
    metrics = read_json(path)
    assert read_metrics(path, MPII) == metrics
    assert [metrics["sets"][name]["num_persons"] for name in "ab"] == [2, 3]
    for name, chosen, invalid in (("a", persons[:2], []), ("b", persons[2:], [lost])):
        write_inputs(
            tmp_path / name,
            chosen,
            perturb(persons)[:2] if name == "a" else perturb(persons)[2:],
            invalid,
        )
        assert run_evaluate(tmp_path / name).returncode == 0
        alone = read_json(tmp_path / name / "reports" / "metrics.json")
        assert metrics["sets"][name] == {key: alone[key] for key in metrics["sets"][name]}
    rows = [
        line.split()
        for line in (tmp_path / "reports" / "pckh.md").read_text().splitlines()
        if line.startswith("|")
    ]
    assert [row[1] for row in rows if "-" not in row[1]] == ["Set", "all", "a", "b"]


def test_two_runs_write_the_same_bytes(evaluated):
    folder, _ = evaluated

    def digests():
        return [hashlib.md5((folder / "reports" / n).read_bytes()).hexdigest() for n in REPORTS]

    before = digests()
    assert run_evaluate(folder).returncode == 0
    assert digests() == before


def test_a_group_without_labels_is_null_and_an_empty_cell(tmp_path):
    persons = make_persons(3)
    for person in persons:
        person.keypoints_visible[[10, 15]] = False
        person.keypoints_visible[9] = True
    write_inputs(tmp_path, persons, perturb(persons))
    done = run_evaluate(tmp_path)
    assert done.returncode == 0, done.stderr
    assert read_json(tmp_path / "reports" / "metrics.json")["pckh"]["wrist"] is None
    first = (tmp_path / "reports" / "plots" / "pckh_curve.csv").read_text().splitlines()[1]
    assert first.split(",")[5] == ""
    assert "nan" not in done.stdout.lower()


def test_a_fault_is_one_line_and_leaves_the_old_reports(tmp_path):
    persons = make_persons(3)
    write_inputs(tmp_path, persons, perturb(persons))
    path = tmp_path / "reports" / "predictions.json"
    path.write_text(path.read_text().replace("1.jpg", "9.jpg"))
    (tmp_path / "reports" / "metrics.json").write_text("{}")
    done = run_evaluate(tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: reports/predictions.json: entry 1: image '9.jpg', "
        "but this person is on '1.jpg'; run `dvc repro predict`"
    ]
    assert (tmp_path / "reports" / "metrics.json").read_text() == "{}"


def test_missing_annotations_are_one_line(tmp_path):
    done = run_evaluate(tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "data/annotations/schema.json" in done.stderr


def test_matplotlib_and_tensorflow_are_not_imported_at_the_start():
    code = f"import runpy; runpy.run_path({str(ROOT / 'stages' / 'evaluate.py')!r})"
    assert not loaded_after(code, "matplotlib", "tensorflow", "keras", "scipy")


def invalid_record(lost_joints):
    return InvalidRecord("validation", 0, "a.jpg", "bad", lost_joints)


def test_known_labels_are_wrong_and_the_others_counted_apart():
    invalid = [
        invalid_record("1" + "0" * 15),
        invalid_record(""),
        invalid_record("0" * 16),
        invalid_record("01" * 8),
        invalid_record(""),
    ]
    errors, keypoints_visible, num_unreadable = score_invalid(invalid, MPII)
    assert errors.shape == (2, 16) and np.isposinf(errors).all()
    assert [np.flatnonzero(row).tolist() for row in keypoints_visible] == [[0], [*range(1, 16, 2)]]
    assert num_unreadable == 2


def test_without_invalid_persons_there_is_no_row():
    errors, keypoints_visible, num_unreadable = score_invalid([invalid_record("0" * 16)], MPII)
    assert errors.shape == keypoints_visible.shape == (0, 16)
    assert (keypoints_visible.dtype, num_unreadable) == (bool, 0)


def test_the_reports_have_the_columns_of_the_schema(tmp_path):
    rng = np.random.default_rng(4)
    scored = rng.gamma(1, 0.3, (9, 17)), rng.random((9, 17)) < 0.9
    counts = {"num_invalid": 0, "num_unreadable": 0}
    table = write_reports(tmp_path, scored, COCO, counts, "as given")
    assert table.startswith("|  Face | Shoulder | Elbow |")
    assert "labelled joints. Head sizes" in table, "all are scored"
    assert read_metrics(tmp_path / "metrics.json", COCO)["pckh"].keys() > set(COCO.groups)
    with pytest.raises(UserError, match="does not hold the scores of a run"):
        read_metrics(tmp_path / "metrics.json", MPII)


def test_unscored_keypoints_are_named():
    assert describe_unscored(MPII) == "pelvis and thorax are not scored"
    assert describe_unscored(dataclasses.replace(MPII, unscored=("pelvis",))) == (
        "pelvis is not scored"
    )
    assert describe_unscored(COCO) == ""


def test_more_groups_than_colours_are_told_apart(tmp_path):
    curves = {name: [1.0, 2.0] for name in ("total", *map(str, range(20)))}
    plot_curve(tmp_path / "curve.png", np.array([0, 0.5]), curves)
    assert (tmp_path / "curve.png").stat().st_size > 10_000
