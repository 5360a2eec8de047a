import dataclasses
import hashlib
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from helpers.networks import make_metadata, write_network_file
from helpers.pages import Page
from helpers.paths import ROOT
from hourglass.config import load_params
from hourglass.data.invalid import write_invalid
from hourglass.keypoints import COCO, KeypointSchema
from hourglass.models.metadata import encode_metadata
from hourglass.report.recipe import format_params, show_invalid, show_recipe, show_setup


@pytest.mark.parametrize("folder", [".", "demo", "lspet"])
def test_the_parameters_shown_are_those_of_the_file(folder):
    path = ROOT / folder / "params.yaml"
    wanted = YAML(typ="safe").load(path)
    del wanted["cluster"], wanted["data"]["mirror"], wanted["data"]["folder"]
    assert YAML(typ="safe").load(format_params(load_params(path))) == wanted


def test_a_schema_of_ones_own_is_shown_whole():
    params = load_params(ROOT / "demo/params.yaml")
    schema = dataclasses.replace(COCO, name="mine", bones=())
    data = params.data.model_copy(update={"keypoint_schema": schema})
    shown = YAML(typ="safe").load(format_params(params.model_copy(update={"data": data})))
    assert KeypointSchema.from_dict(shown["data"]["schema"]) == schema


def test_places_of_files_are_not_in_the_report(load):
    results = load(
        data={"mirror": "http://user:secret@host", "folder": "/home/anna/pictures"},
        train={"init_weights": "/home/anna/first.keras"},
    )
    for show in (show_setup, show_recipe):
        text = show(results)
        assert not any(word in text for word in ("secret", "/home", "anna", "pictures/"))
        assert "first.keras" in text


def test_the_setup_says_what_was_trained_on_what(load, project):
    metadata = encode_metadata(make_metadata(trained_on=("lspet", "synthetic")))
    write_network_file(project / "models/hourglass.keras", metadata)
    terms = {term: text for term, (text, _) in Page(show_setup(load())).terms.items()}
    assert terms["Data"].startswith("Drawn figures. Drawn by this program")
    assert terms["Persons"] == "13 to train on, 20 to judge by"  # 14, of one was no crop
    sizes = "encoder none, num_stacks 1, num_channels 64, num_levels 3, input_size 96"
    assert terms["Network"] == f"stacked_hourglass: {sizes}"
    assert "16 epochs at most in batches of 16, muon, learning rate 0.015" in terms["Training"]
    assert terms["Training"].endswith("from random weights")
    assert terms["Trained on"] == "Leeds Sports Pose Extended, drawn figures"
    assert terms["Licence of the network"].startswith("for research, not for commercial use")
    digest = hashlib.sha256((project / "models/hourglass.keras").read_bytes()).hexdigest()
    assert digest in terms["File"] and "saved by Keras 3.14.0" in terms["File"]


def test_another_model_is_named_with_its_parameters(load, project):
    metadata = encode_metadata(make_metadata(name="simple_baseline"))
    write_network_file(project / "models/hourglass.keras", metadata)
    results = load(model={"name": "simple_baseline", "num_channels": 32})
    terms = {term: text for term, (text, _) in Page(show_setup(results)).terms.items()}
    assert terms["Network"].startswith(
        "simple_baseline: encoder none, num_stacks 1, num_channels 32, "
    )
    assert "hourglass" not in terms["Network"]


def test_a_network_that_was_only_judged_is_called_so(load, project):
    text = show_setup(load(train={"epochs": 0, "init_weights": "shipped"}))
    assert "none: the network that comes with the package was judged as it is" in text


def test_invalid_records_are_counted_by_reason(load):
    page = Page(show_invalid(load()))
    assert page.tables["Invalid records by reason"] == [
        ["reason", "missing in the", "train", "validation"],
        ["not an object", "annotations", "2", "0"],
        ["picture is not among the images", "annotations", "0", "1"],
        ["picture cannot be decoded", "shards", "1", "0"],
    ]


def test_no_invalid_records_are_a_sentence(load):
    for folder in ("annotations", "tfrecords"):
        write_invalid(f"data/{folder}/invalid.csv", [])
    page = Page(show_invalid(load()))
    assert "None: every record and every person was used." in page.text
    assert page.tables == {}


def test_the_first_command_finds_the_commit_of_a_network(load, project):
    def git(*arguments):
        author = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        command = ["git", *author, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    md5 = hashlib.md5(Path("models/hourglass.keras").read_bytes()).hexdigest()
    git("init", "-q")
    for name, text in (("before", "md5: 0\n"), ("that", f"md5: {md5}\n"), ("after", "md5: 1\n")):
        Path("demo").mkdir(exist_ok=True)
        Path("demo/dvc.lock").write_text(text)
        git("add", "demo")
        git("commit", "-qm", name)
    commands = Page(show_recipe(load())).text
    assert f"git log --oneline -S {md5} -- '*dvc.lock' git checkout COMMIT" in commands
    found = git("log", "--oneline", "-S", md5, "--", "*dvc.lock").splitlines()
    assert [line.split()[1] for line in found] == ["after", "that"]
    assert "cd demo " in commands and "sha256sum models/hourglass.keras" in commands
