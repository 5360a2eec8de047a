"""The shipped network and its card: whole, of the recipe of photographs/, in the package."""

import csv
import dataclasses
import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import hourglass
from helpers.paths import ROOT
from hourglass.apps.page.building import STATIC
from hourglass.config import load_params
from hourglass.export.verification import FLOAT32, compare_with_keras
from hourglass.inference.backends import OnnxBackend, PeopleFinder, load_estimator
from hourglass.keypoints import MPII
from hourglass.models.metadata import read_metadata
from hourglass.models.registry import build_model
from hourglass.models.saving import load_network
from hourglass.shipped import shipped_network, shipped_people_detector
from hourglass.utils.files import file_digest

CARD = (ROOT / "src/hourglass/shipped/MODEL_CARD.md").read_text()
REPORTS = ROOT / "photographs" / "reports"
MAX_BYTES = 15_000_000
NETWORKS = ("photographs.keras", "photographs.onnx", "people.onnx")


def cells_of(row, text):
    """The numbers of the first table row that begins so."""
    (line,) = re.findall(rf"^\| {re.escape(row)} \|(.*)\|$", text, re.MULTILINE)
    return [float(cell) for cell in re.findall(r"[\d.]+", line)]


def read_curve(threshold):
    """PCKh of the joint groups and the total at a threshold, as photographs/ has it."""
    with open(REPORTS / "plots" / "pckh_curve.csv") as file:
        (row,) = [row for row in csv.DictReader(file) if row["threshold"] == threshold]
    return [float(row[name]) for name in (*MPII.groups, "total")]


def test_it_is_no_larger_than_a_repository_stands():
    for name in NETWORKS:
        assert shipped_network().with_name(name).stat().st_size <= MAX_BYTES


def test_it_is_what_the_pipeline_made():
    lock = yaml.safe_load((ROOT / "photographs/dvc.lock").read_text())["stages"]["train"]
    (made,) = [out["md5"] for out in lock["outs"] if out["path"] == "models/hourglass.keras"]
    assert hashlib.md5(shipped_network().read_bytes()).hexdigest() == made


def test_it_is_of_the_recipe_for_photographs():
    params = load_params(ROOT / "photographs/params.yaml")
    shipped, recipe = (
        load_network(shipped_network()),
        build_model(params.model, params.data.keypoint_schema),
    )
    expected = dataclasses.replace(
        recipe.metadata,
        trained_on=("lspet", "folder"),
        calibration=shipped.metadata.calibration,
    )
    assert shipped.metadata == expected and expected.sigma == params.train.sigma
    assert shipped.metadata.calibration.heights, "its scores are probabilities"
    recipe.set_weights(shipped.get_weights())  # a ValueError, were they of other sizes


def test_what_was_exported_of_it_finds_what_it_finds():
    exported = OnnxBackend(shipped_network().with_suffix(".onnx"))
    remake = "hourglass export --model src/hourglass/shipped/photographs.keras"
    assert exported.metadata.made_from == file_digest(shipped_network()), remake
    assert exported.metadata.flip_test and exported.metadata.weights == "float32"
    assert exported.metadata.model == read_metadata(shipped_network())
    assert "research" in exported.metadata.licence
    proof = compare_with_keras(exported, load_estimator(shipped_network(), True), FLOAT32)
    assert proof.distance <= 0.01 and proof.num_firm > 0.9 * proof.num_joints


def test_the_detector_is_of_its_recipe():
    recipe = yaml.safe_load((ROOT / "photographs/people/params.yaml").read_text())["people"]
    assert PeopleFinder(shipped_people_detector()).size == recipe["input_size"]


def test_it_finds_the_woman_of_the_readme():
    with Image.open(ROOT / "docs/walking.jpg") as photo:
        (pose,) = hourglass.load().predict(np.array(photo))
    # By eye, px; her head is some 55 px high.
    seen = {
        "head_top": (240, 60),
        "upper_neck": (250, 118),
        "pelvis": (255, 235),
        "r_wrist": (140, 245),
    }
    for name, place in seen.items():
        assert np.linalg.norm(pose.keypoints[MPII.index(name)] - place) < 30, name


@pytest.mark.parametrize(("row", "threshold"), [("PCKh@0.5", "0.50"), ("PCKh@0.1", "0.10")])
def test_the_cards_scores_are_those_of_the_pipeline(row, threshold):
    assert cells_of(row, CARD) == pytest.approx(read_curve(threshold), abs=0.051)


def test_an_installation_has_the_network_its_card_and_the_page(tmp_path):
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "photographs.*", "people.onnx")
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=ignore)
    for name in NETWORKS:
        (tmp_path / "src/hourglass/shipped" / name).write_bytes(b"weights")
    command = [sys.executable, "-m", "pip", "wheel", ".", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--disable-pip-version-check", "--wheel-dir", "dist"]
    subprocess.run(command, cwd=tmp_path, check=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if "/shipped/" in name}
        static = {Path(name).name for name in archive.namelist() if "/page/static/" in name}
        assert all(archive.read(f"hourglass/shipped/{name}") == b"weights" for name in NETWORKS)
    assert names == {
        f"hourglass/shipped/{name}" for name in ("__init__.py", "MODEL_CARD.md", *NETWORKS)
    }
    assert static == {path.name for path in STATIC.iterdir()}
