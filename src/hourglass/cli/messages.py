"""The lines of `hourglass predict` and `hourglass sticker` about each file."""

import contextlib
import math
import sys
import warnings
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hourglass.utils.errors import UserError, printable

# `result`, below: a `Written`, `WrittenStickers` or `WrittenClip`; `threshold`: the least score of
# a person, None where it is known to be there.


def report(
    files: Sequence[tuple[Path, Path]],
    results: Generator[Any, None, None],
    describe: Callable[[Any], str],
    word: str = "",
) -> int:
    """Print a line for each file: its outputs on stdout, or its error on stderr.

    Args:
        files: pairs of a file and its target.
        results: for each file an object with the written paths, `files`, or a `UserError`.
        describe: the text about a result.
        word: for the progress bar; "": no bar.

    Returns:
        How many files could not be used.
    """
    failed = 0
    with warnings.catch_warnings(), contextlib.closing(results):
        warnings.simplefilter("ignore")  # Pillow's on odd files: what matters is an error
        is_disabled = None if word else True  # None: unless on a terminal
        bar = tqdm(results, word, len(files), unit="image", disable=is_disabled, leave=False)
        for (path, _), result in zip(files, bar, strict=True):
            # tqdm's own, which leaves the bar in its place.
            if isinstance(result, UserError):
                failed += 1
                tqdm.write(f"error: {printable(path)}: {printable(result)}", file=sys.stderr)
            else:
                written = [*map(printable, result.files), describe(result)]
                tqdm.write(f"{printable(path)}: {', '.join(written)}")
    return failed


def end(failed: int, number: int) -> None:
    """End with exit code 1 where some of a number of files could not be used."""
    if failed and number == 1:
        sys.exit(1)
    if failed:
        raise UserError(f"{failed} of {number} files could not be used")


def describe_people(result: Any, threshold: float | None) -> str:
    """How many people there are on a picture, how sure, and what to know of it."""
    return "; ".join([_count_people(result, threshold), *result.notes])


def _count_people(result: Any, threshold: float | None) -> str:
    scores = ", ".join(f"{score:.2f}" for score in result.scores)
    if len(result.scores) > 1:
        return f"{len(result.scores)} people, scores {scores}"
    return f"1 person, score {scores}" if scores else _describe_no_person(result.best, threshold)


def describe_stickers(result: Any, threshold: float | None) -> str:
    """The bytes of stickers, and which people they show."""
    people = describe_people(result, threshold)
    if not result.sizes:
        return people
    return f"{' + '.join(f'{size / 1000:.0f}' for size in result.sizes)} kB, {people}"


def describe_tracks(result: Any, threshold: float | None) -> str:
    """The numbers of frames, of tracked people, and of frames with people."""
    text = f"{result.num_frames} frames" if result.num_frames != 1 else "1 frame"
    if result.num_people:
        people = f"{result.num_people} people" if result.num_people > 1 else "1 person"
        text += f", {people}, in {result.num_seen} of them"
    else:
        text += f", {_describe_no_person(result.best, threshold)}"
    return "; ".join([text, *result.notes])


def _describe_no_person(best: float, threshold: float | None) -> str:
    if threshold is None:
        return "no person: --boxes has no box of it"
    # Rounded down: a score just below the threshold must not read as if it had reached it.
    best = math.floor(100 * best) / 100
    return f"no person found: best score {best:.2f} is below --threshold {threshold:g}"
