"""Parts of a run: each predicted by itself, into one file that appears whole or not at all.

No part shares a batch with another: its bytes do not depend on what was predicted before, nor
where. A line a picture, JSON, in the order of the list: what was found, or the reason why it cannot
be used:

    {"image": ..., "width": ..., "height": ..., "people": [...]}
    {"image": ..., "error": ...}
"""

import contextlib
import functools
import json
import os
from pathlib import Path

from hourglass.apps.batch.plan import PICTURES
from hourglass.apps.video.formats import is_clip
from hourglass.inference.outputs import describe_person, draw_poses
from hourglass.inference.runner import map_photos, read_photo
from hourglass.utils.errors import UserError
from hourglass.utils.files import atomic_path

CHUNKS, DRAWN = "parts", "drawn"


def chunk_path(plan, part):
    """The file of a part's results."""
    return plan.folder / CHUNKS / f"{part.number:06}.jsonl"


def find_missing(plan, parts):
    """Those of the parts that are not there yet."""
    return [part for part in parts if not chunk_path(plan, part).exists()]


def predict_chunk(backend, plan, part, scratch, num_threads=None, advance=lambda: None):
    """Write the results of a part, and its drawn pictures where the plan says so.

    Args:
        backend: a backend (`backends.py`). plan: of the run.
        scratch: a folder on the same disk, for what is not whole yet.
        num_threads: that read and draw; None for one a core.
        advance: is called after each picture.
    """
    paths = read_chunk_paths(plan, part)
    drawn = plan.folder / DRAWN / f"{part.number:06}"
    files = [
        (plan.base / path, drawn / f"{number:06}" if plan.draw else None)
        for number, path in enumerate(paths)
    ]
    describe = functools.partial(describe_photo, plan=plan, scratch=scratch)
    results = map_photos(describe, backend, files, plan.config, read_still, num_threads)
    with (
        contextlib.closing(results),
        atomic_path(chunk_path(plan, part), scratch) as temporary,
        open(temporary, "w", encoding="utf-8") as file,
    ):
        for path, result in zip(paths, results, strict=True):
            found = {"error": str(result)} if isinstance(result, UserError) else result
            file.write(json.dumps({"image": str(path)} | found, allow_nan=False) + "\n")
            advance()


def read_chunk_paths(plan, part):
    """The paths of a part's pictures, as they were named."""
    with open(plan.folder / PICTURES, "rb") as file:
        file.seek(part.offset)
        names = file.read(part.length).split(b"\0")[:-1]
    return [Path(os.fsdecode(name)) for name in names]


def read_still(file, config, size):
    """`photos.read_photo`, which would read a clip whole before it says that it is no picture."""
    if is_clip(file[0]):
        raise UserError("is a clip; predict it without --records")
    return read_photo(file, config, size)


def describe_photo(photo, plan, scratch):
    """What is written of a photograph whose search has ended, for JSON; draws it where asked."""
    poses = plan.config.choose_people(photo.search.poses)
    width, height = photo.size
    about = {"width": width, "height": height, "people": [describe_person(pose) for pose in poses]}
    if plan.draw:
        about["drawn"] = str(draw_poses(photo, poses, scratch).relative_to(plan.folder))
    return about


def read_chunk(plan, part):
    """Yield the lines of a part's file, bytes, each with what it says.

    Raises:
        UserError: the file is not as `predict_chunk` left it.
    """
    path, number = chunk_path(plan, part), 0
    again = "remove it, then repeat"
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                about = json.loads(line)
                about["image"], about.get("error")
            except (ValueError, TypeError, LookupError, AttributeError):
                raise UserError(f"{path}: line {number} is no record; {again}") from None
            yield line, about
    if number != part.num_pictures:
        raise UserError(
            f"{path}: holds {number} of {part.num_pictures} records: changed since; {again}"
        )
