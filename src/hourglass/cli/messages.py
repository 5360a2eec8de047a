"""What `hourglass predict` and `hourglass sticker` say of each file."""

import contextlib
import math
import sys
import warnings

from tqdm import tqdm

from hourglass.utils.errors import UserError, printable


def report(path, result, describe, threshold):
    """Say on stdout what was written, or on stderr what is wrong with the file.

    Args:
        result: what became of the file, with the paths written, `files`; or a `UserError`.
        describe: a function from `result` and `threshold` to what is said of them.
        threshold: the least score of a person.
    """
    # tqdm's own, which leaves the bar in its place.
    if isinstance(result, UserError):
        tqdm.write(f"error: {printable(path)}: {printable(result)}", file=sys.stderr)
        return
    written = [*map(printable, result.files), describe(result, threshold)]
    tqdm.write(f"{printable(path)}: {', '.join(written)}")


def report_photos(files, results, describe, threshold, word):
    """Report the results of pairs (photo, target) as they come: how many could not be used.

    Args:
        word: what is done to them, for the progress bar.
    """
    failed = 0
    with warnings.catch_warnings(), contextlib.closing(results):
        warnings.simplefilter("ignore")  # Pillow's on odd files: what matters is an error
        bar = tqdm(results, word, len(files), unit="image", disable=None, leave=False)
        for (photo, _), result in zip(files, bar, strict=True):
            failed += isinstance(result, UserError)
            report(photo, result, describe, threshold)
    return failed


def report_clips(files, results, describe, threshold):
    """The same of pairs (clip or camera, target), which have bars of their own."""
    failed = 0
    for (clip, _), result in zip(files, results, strict=True):
        failed += isinstance(result, UserError)
        report(clip, result, describe, threshold)
    return failed


def end(failed, number):
    """End with exit code 1 where some of a number of files could not be used."""
    if failed and number == 1:
        sys.exit(1)
    if failed:
        raise UserError(f"{failed} of {number} files could not be used")


def describe_people(result, threshold):
    """How many people there are, and how sure; `result` is a `Written` or `WrittenStickers`."""
    scores = ", ".join(f"{score:.2f}" for score in result.scores)
    if len(result.scores) > 1:
        return f"{len(result.scores)} people, scores {scores}"
    if result.scores:
        return f"1 person, score {scores}"
    return describe_nobody(result.best, threshold)


def describe_stickers(result, threshold):
    """The bytes of stickers, and whom they show; `result` is a `WrittenStickers`."""
    people = describe_people(result, threshold)
    if not result.sizes:
        return people
    return f"{' + '.join(f'{size / 1000:.0f}' for size in result.sizes)} kB, {people}"


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
