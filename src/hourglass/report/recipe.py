"""The parts of the report in words: the training, the invalid records, how to repeat the run."""

import collections
import io
from pathlib import PurePath
from typing import Any

from ruamel.yaml import YAML

from hourglass.config import ModelParams, Params, TrainParams, list_datasets
from hourglass.data.datasets.base import find_dataset, find_network_terms, name_datasets
from hourglass.data.person import SPLITS
from hourglass.report.markup import (
    Markup,
    definitions,
    element,
    folded,
    join,
    number,
    section,
    table,
)
from hourglass.report.results import NetworkFile, Results

# They say where files lie and how many processes there are, not what the run is.
_OF_THE_PLACE: Any = {"cluster": True, "data": {"mirror", "folder"}}


def show_setup(results: Results) -> Markup:
    """The section of the data, the network and its training."""
    params, schema, file = results.params, results.schema, results.network
    persons = (
        number(results.num_train), " to train on, ",
        number(results.metrics["num_persons"]), " to judge by",
    )  # fmt: skip
    rows = [
        (
            "Data",
            join(map(_describe_dataset, list_datasets(params.data.dataset, params.data.sets))),
        ),
        ("Persons", join(persons)),
        ("Keypoints", f"{schema.num_keypoints} a person, named as in {schema.name}"),
        ("Network", _describe_network(file.metadata.name, params.model)),
        ("Training", _describe_training(params.train)),
        ("Trained on", name_datasets(file.metadata.trained_on)),
        ("Licence of the network", f"{find_network_terms(file.metadata.trained_on)}."),
        ("File", join([element("code", "models/hourglass.keras"), _describe_file(file)])),
    ]
    return section("What was trained, and on what", definitions(rows, class_="facts"))


def _describe_dataset(name: str) -> Markup:
    dataset = find_dataset(name)
    return join([element("b", _begin(dataset.title)), f". {_begin(dataset.terms)}. "])


def _begin(text: str) -> str:
    """The text as the beginning of a sentence."""
    return text[:1].upper() + text[1:]


def _describe_network(name: str, params: ModelParams) -> str:
    sizes = params.model_dump(exclude={"name"}).items()
    return f"{name}: {', '.join(f'{key} {value}' for key, value in sizes)}"


def _describe_training(train: TrainParams) -> str:
    start = {"": "random weights", "shipped": "the network that comes with the package"}
    began = start.get(train.init_weights, PurePath(train.init_weights).name)
    if not train.epochs:
        return f"none: {began} was judged as it is"
    return (
        f"{train.epochs:,} epochs at most in batches of {train.batch_size:,}, {train.optimizer}, "
        f"learning rate {train.lr:g}, schedule {train.schedule}, {train.precision}; from {began}"
    )


def _describe_file(file: NetworkFile) -> Markup:
    version = f", saved by Keras {file.keras_version}" if file.keras_version else ""
    return join([f"{version}, SHA-256 ", element("code", file.sha256)])


def show_invalid(results: Results) -> Markup:
    """The section of the invalid records: how many, for which reason."""
    counts = collections.Counter(
        (made, record.reason, record.split)
        for made, invalid in results.invalid.items()
        for record in invalid
    )
    title = "Invalid records"
    if not counts:
        return section(title, element("p", "None: every record and every person was used."))
    kinds = dict.fromkeys((made, reason) for made, reason, _ in sorted(counts))
    rows = [
        (reason, made, *(number(counts[made, reason, split]) for split in SPLITS))
        for made, reason in kinds
    ]
    about = (
        "These records could not be used. The labelled joints of validation records among them "
        "count as wrong. invalid.csv, beside annotations and shards, names them all."
    )
    header = ("reason", "missing in the", *SPLITS)
    return section(title, element("p", about), table("Invalid records by reason", header, rows))


def show_recipe(results: Results) -> Markup:
    """The section of all parameters, and of the commands that make the same network again."""
    folder = find_dataset(results.params.data.dataset).recipe
    commands = (
        f"git log --oneline -S {results.network.md5} -- '*dvc.lock'\n"
        "git checkout COMMIT                # the last one listed\n"
        "make setup && source .venv/bin/activate\n"
        f"cd {folder:<32}# another folder, if the run was made there\n"
        "dvc repro\n"
        "sha256sum models/hourglass.keras"
    )
    about = (
        "Run these in a clone of the project that made this report. The first command lists the "
        "commits whose dvc.lock names this network. dvc.lock also holds the checksums of code and "
        "data. params.yaml must hold the parameters below; others change nothing in the network."
    )
    outcome = (
        "A CPU of the same kind with as many threads gives the same network, byte for byte. On "
        "other machines its scores differ a little."
    )
    return section(
        "How to repeat it",
        element("p", about),
        element("pre", commands, tabindex=0),
        element("p", outcome),
        folded("All parameters", element("pre", format_params(results.params), tabindex=0)),
    )


def format_params(params: Params) -> str:
    """The parameters of a result as YAML, without paths: of a file its name alone."""
    values = params.model_dump(mode="json", exclude=_OF_THE_PLACE)
    values["train"]["init_weights"] = PurePath(params.train.init_weights).name
    text = io.StringIO()
    YAML().dump(values, text)
    return text.getvalue()
