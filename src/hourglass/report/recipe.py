"""The parts of the report in words: what was trained on what, left out, and how to repeat it."""

import collections
import io
from pathlib import PurePath

from ruamel.yaml import YAML

from hourglass.data.datasets.base import find_dataset, find_network_terms, name_datasets
from hourglass.data.person import SPLITS
from hourglass.report.markup import definitions, element, folded, join, number, section, table

# Where files lie and how many processes there are: of the place, not of the run.
_OF_THE_PLACE = {"cluster": True, "data": {"mirror", "folder"}}


def show_setup(results):
    """The section that says what was trained, how, and on what."""
    params, schema, file = results.params, results.schema, results.network
    dataset = find_dataset(params.data.dataset)
    persons = (
        number(results.num_train), " to train on, ",
        number(results.metrics["num_persons"]), " to judge by",
    )  # fmt: skip
    rows = [
        (
            "Data",
            join([element("b", _begin(dataset.title)), f". {_begin(dataset.terms)}."]),
        ),
        ("Persons", join(persons)),
        ("Keypoints", f"{schema.num_keypoints} a person, named as in {schema.name}"),
        ("Network", _describe_network(params.model)),
        ("Training", _describe_training(params.train)),
        ("Trained on", name_datasets(file.trained_on)),
        ("Licence of the network", f"{find_network_terms(file.trained_on)}."),
        ("File", join([element("code", "models/hourglass.keras"), _describe_file(file)])),
    ]
    return section("What was trained, and on what", definitions(rows, class_="facts"))


def _begin(text):
    """The text as the beginning of a sentence."""
    return text[:1].upper() + text[1:]


def _describe_network(model):
    stacks = "1 stack" if model.num_stacks == 1 else f"{model.num_stacks} stacks"
    return (
        f"stacked hourglass: {stacks}, {model.num_channels} channels, {model.num_levels} levels, "
        f"views of {model.input_size} px"
    )


def _describe_training(train):
    start = {"": "random weights", "shipped": "the network that comes with the package"}
    began = start.get(train.init_weights, PurePath(train.init_weights).name)
    if not train.epochs:
        return f"none: {began} was judged as it is"
    return (
        f"{train.epochs:,} epochs at most in batches of {train.batch_size:,}, {train.optimizer}, "
        f"learning rate {train.lr:g}, schedule {train.schedule}, {train.precision}; from {began}"
    )


def _describe_file(file):
    version = f", saved by Keras {file.keras_version}" if file.keras_version else ""
    return join([f"{version}, SHA-256 ", element("code", file.sha256)])


def show_invalid(results):
    """The section of what no stage could use: how many records, for which reason."""
    counts = collections.Counter(
        (made, reject.reason, reject.split)
        for made, invalid in results.invalid.items()
        for reject in invalid
    )
    title = "Left out"
    if not counts:
        return section(title, element("p", "Nothing: every record and every person was used."))
    kinds = dict.fromkeys((made, reason) for made, reason, _ in sorted(counts))
    rows = [
        (reason, made, *(number(counts[made, reason, split]) for split in SPLITS))
        for made, reason in kinds
    ]
    about = (
        "What could not be used. Validation records among it count as wrong in each labelled joint "
        "that is lost with them. invalid.csv, beside annotations and shards, names them all."
    )
    header = ("reason", "missing in the", *SPLITS)
    return section(title, element("p", about), table("Records left out, by reason", header, rows))


def show_recipe(results):
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
        "In a clone of the project that made this report. The first command lists the commits "
        "whose dvc.lock names this network, where it is kept in git; dvc.lock also holds the "
        "checksums of code and data. params.yaml must say what stands below; where its files lie "
        "and how many processes work is its own affair."
    )
    outcome = (
        "On a CPU of the same kind that gives the same network, byte for byte; elsewhere its "
        "scores differ a little."
    )
    return section(
        "How to repeat it",
        element("p", about),
        element("pre", commands, tabindex=0),
        element("p", outcome),
        folded("All parameters", element("pre", format_params(results.params), tabindex=0)),
    )


def format_params(params):
    """The parameters of a result as YAML: all but the place's own; of a path its name alone."""
    values = params.model_dump(mode="json", exclude=_OF_THE_PLACE)
    values["train"]["init_weights"] = PurePath(params.train.init_weights).name
    text = io.StringIO()
    YAML().dump(values, text)
    return text.getvalue()
