"""The files of a finished run, read for its report."""

import csv
import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hourglass.config import Params
from hourglass.data.head_size import describe_head_sizes
from hourglass.data.invalid import InvalidRecord, read_invalid
from hourglass.data.person import load_persons, load_schema
from hourglass.evaluation.pckh import CURVE_THRESHOLDS, TOTAL
from hourglass.evaluation.predictions import PREDICT_AGAIN
from hourglass.evaluation.reporting import EVALUATE_AGAIN, read_metrics
from hourglass.keypoints import KeypointSchema
from hourglass.models.metadata import ModelMetadata, read_keras_version, read_metadata
from hourglass.utils.errors import UserError
from hourglass.utils.files import file_digest

Columns = dict[str, list[Any]]  # floats, or None

FIGURE_GROUPS = ("best", "middle", "worst")
_FIGURE = re.compile(rf"(\d+)_({'|'.join(FIGURE_GROUPS)})_(.*)\.jpg", re.DOTALL)
HISTORY = ("epoch", "loss", "val_pckh", "val_pckh_0_1")


@dataclass(frozen=True)
class PersonFigure:
    """One of the files of `evaluation.figures.render_figures`."""

    rank: int  # from 1, the best
    group: str  # of `FIGURE_GROUPS`
    picture: str  # the name of the person's picture
    path: Path


@dataclass(frozen=True)
class NetworkFile:
    """A network's file: its metadata and checksums."""

    metadata: ModelMetadata
    keras_version: str | None
    sha256: str
    md5: str  # as in dvc.lock


@dataclass(frozen=True)
class Results:
    """The outputs of the stages of one run.

    Attributes:
        metrics: the content of metrics.json (`evaluation.reporting`).
        schema: of the keypoints.
        curves: {"threshold", "total" and each group: 51 numbers, or None}, per cent.
        history: {name of `HISTORY`: a number or None for each epoch}.
        num_train: persons in the train shards.
        head_sizes: how those of the validation persons were measured, in words.
        invalid: {"annotations" or "shards": the records that they lack}.
        figures: the best person first.
    """

    params: Params
    schema: KeypointSchema
    metrics: dict[str, Any]
    curves: Columns
    history: Columns
    num_train: int
    head_sizes: str
    invalid: dict[str, list[InvalidRecord]]
    figures: list[PersonFigure]
    network: NetworkFile

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the scores: "total" and the schema's groups."""
        return TOTAL, *self.schema.groups

    @property
    def best_epoch(self) -> int:
        """The epoch of the best score, the first of them on a tie: its weights were kept."""
        scores = self.history["val_pckh"]
        return int(self.history["epoch"][scores.index(max(scores))])


def load_results(params: Params) -> Results:
    """Read the files of the run in the current folder.

    Raises:
        UserError: a file is missing or damaged; names the stage to run.
    """
    schema = load_schema("data/annotations")
    number = schema.num_keypoints
    invalid = {
        "annotations": read_invalid(
            "data/annotations/invalid.csv", number, "run `dvc repro parse`"
        ),
        "shards": read_invalid("data/tfrecords/invalid.csv", number, "run `dvc repro shard`"),
    }
    num_lost = sum(record.split == "train" for record in invalid["shards"])
    return Results(
        params=params,
        schema=schema,
        metrics=read_metrics("reports/metrics.json", schema),
        curves=_read_curves("reports/plots/pckh_curve.csv", schema),
        history=_read_history("reports/plots/history.csv"),
        num_train=len(load_persons("data/annotations/train.json")) - num_lost,
        head_sizes=describe_head_sizes(load_persons("data/annotations/validation.json")),
        invalid=invalid,
        figures=list_figures("reports/figures"),
        network=_read_network("models/hourglass.keras"),
    )


def _read_curves(path: str, schema: KeypointSchema) -> Columns:
    curves = read_columns(path, ("threshold", TOTAL, *schema.groups), EVALUATE_AGAIN)
    if curves["threshold"] != CURVE_THRESHOLDS.tolist():
        raise UserError(f"{path}: not the thresholds from 0 to 0.5; {EVALUATE_AGAIN}")
    return curves


def _read_history(path: str) -> Columns:
    history = read_columns(path, HISTORY, "run `dvc repro train`")
    if None in (*history["epoch"], *history["val_pckh"]):
        raise UserError(f"{path}: an epoch without a score; run `dvc repro train`")
    return history


def _read_network(path: str) -> NetworkFile:
    described = read_metadata(path), read_keras_version(path)
    md5 = hashlib.md5(Path(path).read_bytes(), usedforsecurity=False).hexdigest()
    return NetworkFile(*described, file_digest(path), md5)


def list_figures(folder: str | Path) -> list[PersonFigure]:
    """The figures in a folder, the best person first; the list can be empty.

    Raises:
        UserError: there is no such folder.
    """
    if not Path(folder).is_dir():
        raise UserError(f"{folder}: not found; {PREDICT_AGAIN}")
    matches = [(_FIGURE.fullmatch(path.name), path) for path in Path(folder).iterdir()]
    figures = [PersonFigure(int(m[1]), m[2], m[3], path) for m, path in matches if m]
    return sorted(figures, key=lambda figure: figure.rank)


def read_columns(path: str | Path, names: Iterable[str], advice: str) -> Columns:
    """The named columns of a CSV of numbers.

    Returns:
        {name: list of float}, at least one each; None where the cell is empty or not finite.

    Raises:
        UserError: the file is missing, a column is, or a cell is no number; ends with `advice`.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        columns = {name: [_read_number(row[name]) for row in rows] for name in names}
    except FileNotFoundError:
        raise UserError(f"{path}: not found; {advice}") from None
    except (OSError, csv.Error, KeyError, TypeError, ValueError):
        rows = []
    if not rows:
        raise UserError(f"{path}: not a table of {', '.join(names)}; {advice}")
    return columns


def _read_number(text: str) -> float | None:
    number = float("nan" if text == "" else text)
    return number if math.isfinite(number) else None
