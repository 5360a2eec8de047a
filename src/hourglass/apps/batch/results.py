"""The results of a finished batch inference, gathered from its chunks, and their counts."""

import contextlib
import csv
import itertools
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from hourglass.apps.batch.chunks import CHUNKS, read_chunk
from hourglass.apps.batch.plan import BatchPlan, Chunk
from hourglass.inference.outputs import COORDINATES
from hourglass.utils.errors import UserError
from hourglass.utils.files import atomic_path

POSES, INVALID, TABLE = "poses.jsonl", "invalid.csv", "poses.parquet"
COLUMNS = ("image", "reason")
ROWS = 10_000  # of the table that are in memory together


@dataclass
class Counts:
    """The counts of a finished run.

    Attributes:
        num_used: pictures that could be used. num_empty: those of them without people.
        num_people: on all of them.
        num_invalid: files that could not be used. first_invalid: image and reason, "" for none.
    """

    num_used: int = 0
    num_empty: int = 0
    num_people: int = 0
    num_invalid: int = 0
    first_invalid: tuple[str, str] = ("", "")


def is_batch_finished(plan: BatchPlan) -> bool:
    """Whether the results are there: poses.jsonl comes last."""
    return (plan.folder / POSES).exists()


def gather_chunks(plan: BatchPlan, chunks: Iterable[Chunk], scratch: Path) -> None:
    """Write poses.jsonl and invalid.csv of all chunks, in the order of the list.

    The first line of poses.jsonl explains the numbers; each further line is a picture. invalid.csv
    has a row for each file that could not be used. The chunks stay until `remove_chunks`.

    Raises:
        UserError: a chunk was changed after it was written.
    """
    with contextlib.ExitStack() as stack:
        # The last one opened gets its name first.
        paths = [
            stack.enter_context(atomic_path(plan.folder / name, scratch))
            for name in (POSES, INVALID)
        ]
        poses = stack.enter_context(open(paths[0], "wb"))
        # A name may hold any bytes, a "\r" too, which csv would not quote by itself.
        invalid = stack.enter_context(
            open(paths[1], "w", newline="", encoding="utf-8", errors="backslashreplace")
        )
        writer = csv.writer(invalid, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(COLUMNS)
        poses.write(json.dumps(describe_run(plan)).encode() + b"\n")
        for chunk in tqdm(chunks, "gather", unit="chunk", disable=None, leave=False):
            for line, record in read_chunk(plan, chunk):
                if "error" in record:
                    writer.writerow((record["image"], record["error"]))
                else:
                    poses.write(line)


def describe_run(plan: BatchPlan) -> dict:
    """The first line of poses.jsonl, for JSON: what holds for all pictures."""
    return {
        "coordinates": COORDINATES,
        "joints": plan.schema.keypoints,
        "mode": plan.config.mode,
        "threshold": plan.config.threshold,
        "network": plan.network,
    }


def remove_chunks(plan: BatchPlan) -> None:
    """Remove the chunks; what a killed run left of them too."""
    shutil.rmtree(plan.folder / CHUNKS, ignore_errors=True)


def read_poses(plan: BatchPlan) -> Iterator[dict]:
    """Yield what poses.jsonl says of each picture."""
    with open(plan.folder / POSES, "rb") as file:
        next(file, None)
        yield from map(json.loads, file)


def read_run_invalid(plan: BatchPlan) -> Iterator[tuple[str, str]]:
    """Yield the rows of invalid.csv, image and reason."""
    with open(plan.folder / INVALID, newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows, None)
        yield from ((image, reason) for image, reason in rows)


def count_results(plan: BatchPlan, chunks: Iterable[Chunk]) -> Counts:
    """The counts of a finished run.

    Raises:
        UserError: they do not add up to the pictures of the run.
    """
    counts = Counts()
    try:
        for picture in read_poses(plan):
            counts.num_used += 1
            counts.num_people += len(picture["people"])
            counts.num_empty += not picture["people"]
        for row in read_run_invalid(plan):
            counts.num_invalid += 1
            counts.first_invalid = counts.first_invalid if any(counts.first_invalid) else row
    except (ValueError, TypeError, LookupError, csv.Error, FileNotFoundError):
        counts = Counts()
    total = sum(chunk.num_pictures for chunk in chunks)
    if counts.num_used + counts.num_invalid != total:
        raise UserError(
            f"{plan.folder}: {POSES} and {INVALID} do not hold its {total:,} pictures: changed "
            "since they were written; choose another --out, or remove this one"
        )
    return counts


def write_table(plan: BatchPlan, scratch: Path) -> None:
    """Write poses.parquet from poses.jsonl, a row a person, unless it is there; needs pyarrow.

    Columns: `image`; its `width` and `height`, px; `person`, 0 for the surest; `score`. Each joint
    has `NAME_x` and `NAME_y`, px as in poses.jsonl, and `NAME_score`.
    """
    import pyarrow
    from pyarrow import parquet

    if (plan.folder / TABLE).exists():
        return
    kinds = {"image": pyarrow.string(), "score": pyarrow.float32()}
    kinds |= dict.fromkeys(("width", "height", "person"), pyarrow.int32())
    names = [f"{joint}_{key}" for joint in plan.schema.keypoints for key in ("x", "y", "score")]
    columns = ["image", "width", "height", "person", "score", *names]
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.float32())) for name in columns])
    rows = itertools.chain.from_iterable(map(list_rows, read_poses(plan)))
    with (
        atomic_path(plan.folder / TABLE, scratch) as temporary,
        parquet.ParquetWriter(temporary, schema) as writer,
    ):
        while group := list(itertools.islice(rows, ROWS)):
            writer.write_table(pyarrow.Table.from_pylist(group, schema))


def list_rows(picture: dict) -> Iterator[dict]:
    """Yield the table's rows of a picture's people."""
    # A name may hold any bytes, Parquet holds UTF-8.
    image = picture["image"].encode("utf-8", "backslashreplace").decode()
    size = {"width": picture["width"], "height": picture["height"]}
    for number, person in enumerate(picture["people"]):
        joints = {
            f"{name}_{key}": value
            for name, joint in person["joints"].items() for key, value in joint.items()
        }  # fmt: skip
        yield {"image": image, "person": number, "score": person["score"]} | size | joints
