"""Chunks of a batch inference: each predicted by itself, into one file, whole or not at all.

No chunk shares a batch of the network with another: its bytes do not depend on what was predicted
before, nor where. A line a picture, JSON, in the order of the list: what was found, or the reason
why the picture cannot be used:

    {"image": ..., "width": ..., "height": ..., "people": [...]}, perhaps with "notes"
    {"image": ..., "error": ...}
"""

import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from hourglass.apps.batch.plan import PICTURES, BatchPlan, Chunk
from hourglass.apps.video.formats import is_clip
from hourglass.inference.crops import Backend
from hourglass.inference.outputs import draw_poses, list_people
from hourglass.inference.runner import Photo, map_photos
from hourglass.utils.errors import UserError
from hourglass.utils.files import atomic_path

CHUNKS, DRAWN = "chunks", "drawn"


def chunk_path(plan: BatchPlan, chunk: Chunk) -> Path:
    """The file of a chunk's results."""
    return plan.folder / CHUNKS / f"{chunk.number:06}.jsonl"


def find_missing(plan: BatchPlan, chunks: Iterable[Chunk]) -> list[Chunk]:
    """The chunks without a file of results."""
    return [chunk for chunk in chunks if not chunk_path(plan, chunk).exists()]


def predict_chunk(
    backend: Backend,
    plan: BatchPlan,
    chunk: Chunk,
    scratch: Path,
    num_threads: int | None = None,
    advance: Callable[[], object] = lambda: None,
) -> None:
    """Write the results of a chunk, and its drawn pictures if the plan says so.

    Args:
        scratch: a folder on the same disk for unfinished files.
        num_threads: that read and draw; None for one a core.
        advance: is called after each picture.
    """
    paths = read_chunk_paths(plan, chunk)
    drawn = plan.folder / DRAWN / f"{chunk.number:06}"
    files = (
        # It would be read whole before it is found to be no picture.
        UserError("is a clip; predict it without --records") if is_clip(plan.base / path)
        else (plan.base / path, drawn / f"{number:06}")
        for number, path in enumerate(paths)
    )  # fmt: skip
    describe = functools.partial(describe_photo, plan=plan, scratch=scratch)
    results = map_photos(describe, backend, files, plan.config, num_threads)
    with (
        contextlib.closing(results),
        atomic_path(chunk_path(plan, chunk), scratch) as temporary,
        open(temporary, "w", encoding="utf-8") as file,
    ):
        for path, result in zip(paths, results, strict=True):
            found = {"error": str(result)} if isinstance(result, UserError) else result
            file.write(json.dumps({"image": str(path)} | found, allow_nan=False) + "\n")
            advance()


def read_chunk_paths(plan: BatchPlan, chunk: Chunk) -> list[Path]:
    """The paths of a chunk's pictures, as they were named."""
    with open(plan.folder / PICTURES, "rb") as file:
        file.seek(chunk.offset)
        names = file.read(chunk.length).split(b"\0")[:-1]
    return [Path(os.fsdecode(name)) for name in names]


def describe_photo(photo: Photo, plan: BatchPlan, scratch: Path) -> dict:
    """The JSON entry of a photograph, after its search; draws the photograph if asked to."""
    poses = photo.config.choose_people(photo.search.poses)
    line: dict = {"width": photo.size[0], "height": photo.size[1]}
    if photo.notes:
        line["notes"] = photo.notes
    line["people"] = list_people(photo, poses, plan.schema)
    if plan.draw:
        drawn = draw_poses(photo, poses, plan.schema, scratch)
        line["drawn"] = str(drawn.relative_to(plan.folder))
    return line


def read_chunk(plan: BatchPlan, chunk: Chunk) -> Iterator[tuple[bytes, dict]]:
    """Yield the lines of a chunk's file, each with the JSON object in it.

    Raises:
        UserError: the file is not as `predict_chunk` left it.
    """
    path, number = chunk_path(plan, chunk), 0
    again = "remove it, then repeat"
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                record = json.loads(line)
                record["image"], record.get("error")
            except (ValueError, TypeError, LookupError, AttributeError):
                raise UserError(f"{path}: line {number} is no record; {again}") from None
            yield line, record
    if number != chunk.num_pictures:
        raise UserError(
            f"{path}: holds {number} of {chunk.num_pictures} records: changed since; {again}"
        )
