"""The results of a finished run, gathered from its parts; counts of what is in them."""

import contextlib
import csv
import json
import shutil
from dataclasses import dataclass

from tqdm import tqdm

from hourglass.apps.batch.chunks import CHUNKS, read_chunk
from hourglass.inference.outputs import COORDINATES
from hourglass.keypoints import JOINTS
from hourglass.utils.errors import UserError
from hourglass.utils.files import atomic_path

POSES, INVALID = "poses.jsonl", "invalid.csv"
COLUMNS = ("image", "reason")


@dataclass
class Counts:
    """What became of the pictures of a run.

    Attributes:
        num_used: pictures that could be used. num_empty: those of them without people.
        num_people: on all of them.
        num_rejects: files that could not be used. first_reject: image and reason, "" for none.
    """

    num_used: int = 0
    num_empty: int = 0
    num_people: int = 0
    num_rejects: int = 0
    first_reject: tuple = ("", "")


def is_batch_finished(plan):
    """Whether the results are there: poses.jsonl comes last."""
    return (plan.folder / POSES).exists()


def gather_chunks(plan, parts, scratch):
    """Write poses.jsonl and invalid.csv of all parts, in the order of the list.

    poses.jsonl: first a line that says what the numbers are, then one a picture. invalid.csv: a row
    a file that could not be used. The parts are left until `remove_chunks`.

    Raises:
        UserError: a part is not as it was written.
    """
    with contextlib.ExitStack() as stack:
        # The last one opened gets its name first.
        poses, invalid = (
            stack.enter_context(atomic_path(plan.folder / name, scratch))
            for name in (POSES, INVALID)
        )
        poses = stack.enter_context(open(poses, "wb"))
        # A name may hold any bytes, a "\r" too, which csv would not quote by itself.
        invalid = stack.enter_context(
            open(invalid, "w", newline="", encoding="utf-8", errors="backslashreplace")
        )
        writer = csv.writer(invalid, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(COLUMNS)
        poses.write(json.dumps(describe_run(plan)).encode() + b"\n")
        for part in tqdm(parts, "gather", unit="part", disable=None, leave=False):
            for line, about in read_chunk(plan, part):
                if "error" in about:
                    writer.writerow((about["image"], about["error"]))
                else:
                    poses.write(line)


def describe_run(plan):
    """The first line of poses.jsonl, for JSON: what holds for all pictures."""
    return {
        "coordinates": COORDINATES,
        "joints": JOINTS,
        "mode": plan.config.mode,
        "bbox": plan.config.bbox,
        "threshold": plan.config.threshold,
        "network": plan.network,
    }


def remove_chunks(plan):
    """Remove the parts; what a killed run left of them too."""
    shutil.rmtree(plan.folder / CHUNKS, ignore_errors=True)


def read_poses(plan):
    """Yield what poses.jsonl says of each picture, a dict."""
    with open(plan.folder / POSES, "rb") as file:
        next(file, None)
        for line in file:
            yield json.loads(line)


def read_run_invalid(plan):
    """Yield the rows of invalid.csv, image and reason."""
    with open(plan.folder / INVALID, newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows, None)
        yield from map(tuple, rows)


def count_results(plan, parts):
    """The `Counts` of a finished run.

    Raises:
        UserError: they do not add up to the pictures of the run.
    """
    counts = Counts()
    try:
        for picture in read_poses(plan):
            counts.num_used += 1
            counts.num_people += len(picture["people"])
            counts.num_empty += not picture["people"]
        for reject in read_run_invalid(plan):
            counts.num_rejects += 1
            counts.first_reject = counts.first_reject if any(counts.first_reject) else reject
    except (ValueError, TypeError, LookupError, csv.Error, FileNotFoundError):
        counts = Counts()
    found, total = counts.num_used + counts.num_rejects, sum(part.num_pictures for part in parts)
    if found != total:
        raise UserError(
            f"{plan.folder}: {POSES} and {INVALID} do not hold its {total:,} pictures: changed "
            "since they were written; choose another --out, or remove this one"
        )
    return counts
