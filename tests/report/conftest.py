"""A project whose stages have all left their files, without any network."""

import shutil

import numpy as np
import pytest
from PIL import Image

from helpers.networks import write_network_file
from helpers.paths import ROOT
from hourglass.config import load_params
from hourglass.data.invalid import InvalidRecord, write_invalid
from hourglass.data.person import Person, save_persons, save_schema
from hourglass.evaluation.reporting import write_reports
from hourglass.keypoints import MPII
from hourglass.report.results import load_results
from hourglass.utils.files import write_text

HISTORY = """\
epoch,lr,loss,val_pckh,val_pckh_0_1
1,0.01,0.05,40.25,2.5
2,0.02,0.03125,61.5,11.75
3,0.01,0.02,61.5,12.0
4,0.001,0.019,60.0,14.0
"""
INVALID = {
    "annotations": [
        InvalidRecord("validation", 2, "no.jpg", "picture is not among the images", "1" * 16),
        InvalidRecord("train", 7, "", "not an object", ""),
        InvalidRecord("train", 9, "", "not an object", ""),
    ],
    "tfrecords": [InvalidRecord("train", 0, "a.jpg", "picture cannot be decoded", "1" * 16)],
}


def write_figures(folder, names):
    rng = np.random.default_rng(3)
    folder.mkdir(parents=True)
    for name in (*names, "contact_sheet.jpg"):
        picture = rng.integers(0, 255, (29, 52, 3), np.uint8)
        Image.fromarray(picture).save(folder / name, quality=90)


def write_persons(folder, num_persons):
    """For each split: not drawn, but of the promised form."""
    for split, number in num_persons.items():
        joints = np.random.default_rng(1).uniform(50, 450, (number, 16, 2))
        labelled, center = np.ones(16, bool), np.array([250.0, 250.0])
        people = [Person(f"{k}.jpg", j, labelled, center, 2.0, 50.0, "scale")
                  for k, j in enumerate(joints)]  # fmt: skip
        save_persons(folder / f"{split}.json", people)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder of that project; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    rng = np.random.default_rng(1)
    errors, keypoints_visible = rng.gamma(1, 0.3, (20, 16)), rng.random((20, 16)) < 0.9
    counts = {"num_invalid": 3, "num_unreadable": 2}
    write_reports(folder / "reports", (errors, keypoints_visible), MPII, counts, "as given")
    write_text(folder / "reports/plots/history.csv", HISTORY)
    names = [f"{k:02d}_best_b{k}.jpg" for k in range(1, 9)]
    names += [f"{k:02d}_middle_m{k}.jpg" for k in range(9, 100)]
    names += [f"{k:02d}_worst_w{k}.jpg" for k in range(100, 108)]
    write_figures(folder / "reports/figures", names)
    write_persons(folder / "data/annotations", {"train": 14, "validation": 5})
    save_schema(folder / "data/annotations", MPII)
    for name, invalid in INVALID.items():
        write_invalid(folder / f"data/{name}/invalid.csv", invalid)
    (folder / "models").mkdir()
    write_network_file(folder / "models/hourglass.keras")
    return folder


@pytest.fixture
def project(finished, tmp_path, monkeypatch):
    """A copy of it, which is the current folder."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def load(project):
    """A function that loads the results, with changed keys of the demo's `Params` by section."""

    def load_changed(**sections):
        params = load_params(ROOT / "demo/params.yaml")
        changed = {
            name: getattr(params, name).model_copy(update=values)
            for name, values in sections.items()
        }
        return load_results(params.model_copy(update=changed))

    return load_changed
