"""What `hourglass predict` says of each file."""

import math
import sys

from tqdm import tqdm

from hourglass.errors import UserError


def report(path, result, describe, threshold):
    """Say on stdout what was written, or on stderr what is wrong with the file.

    Args:
        result: what became of the file, its first two fields the paths written; or a `UserError`.
        describe: a function from `result` and `threshold` to what is said of them.
        threshold: the least score of a person.
    """
    # tqdm's own, which leaves the bar in its place.
    if isinstance(result, UserError):
        tqdm.write(f"error: {show_path(path)}: {result}", file=sys.stderr)
        return
    written = ", ".join(map(show_path, result[:2]))
    tqdm.write(f"{show_path(path)}: {written}, {describe(result, threshold)}")


def describe_people(result, threshold):
    """How many people a photograph shows, and how sure they are; `result` is a `Written`."""
    scores = ", ".join(f"{score:.2f}" for score in result.scores)
    if len(result.scores) > 1:
        return f"{len(result.scores)} people, scores {scores}"
    if result.scores:
        return f"1 person, score {scores}"
    return describe_nobody(result.best, threshold)


def describe_tracks(result, threshold):
    """How many people were followed in how many frames; `result` is a `WrittenClip`."""
    frames = f"{result.num_frames} frames" if result.num_frames != 1 else "1 frame"
    text = f"{frames}, {result.num_people} people, somebody in {result.num_seen} frames"
    if result.num_people == 1:
        text = f"{frames}, 1 person, in {result.num_seen} of them"
    if result.num_people == 0:
        text = f"{frames}, {describe_nobody(result.best, threshold)}"
    if result.num_damaged:
        text += f"; damaged: {result.num_damaged} packets left out"
    return text


def describe_nobody(best, threshold):
    """That the best score of a search is too low."""
    # Rounded down: a score just below the threshold must not read as if it had reached it.
    best = math.floor(100 * best) / 100
    return f"nobody found: best score {best:.2f} is below --threshold {threshold:g}"


def show_path(path):
    """The path as one line: line breaks and what else cannot be printed are escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(path))
