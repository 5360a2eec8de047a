"""A batch inference: its pictures, its chunks, and the file that says what it does.

Its folder holds, while it is under way:

    plan.json      what it does: another one in the same folder is refused
    pictures.txt   the paths of its pictures, each with a NUL after it
    chunks/        what was found so far (`chunks.py`)
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hourglass.apps.batch.lists import read_paths, write_paths
from hourglass.inference.runner import InferenceConfig
from hourglass.keypoints import KeypointSchema
from hourglass.utils.errors import UserError
from hourglass.utils.files import atomic_path, file_digest, read_json, write_json

PLAN, PICTURES = "plan.json", "pictures.txt"
# Pictures of a chunk: what a kill costs at most, on each worker. With fewer, the last batches of
# the chunks, which are not full, would cost time.
CHUNK_SIZE = 500
ANEW = "choose another --out, or remove this one"


@dataclass(frozen=True)
class BatchPlan:
    """The settings of a batch inference, equal for all pictures.

    Attributes:
        folder: absolute, gets the results. base: absolute, what the paths are relative to.
        network: the SHA-256 of its file. flip_test: average each input's heatmaps with
            those of its mirror image.
        finder: the SHA-256 of the people finder's file; None: it is not asked.
        schema: of the network's keypoints.
        config: which people it looks for.
        draw: draw the people on the pictures, too.
    """

    folder: Path
    base: Path
    network: str
    schema: KeypointSchema
    flip_test: bool
    config: InferenceConfig
    draw: bool
    finder: str | None = None

    def describe(self) -> dict:
        """The plan for JSON, without its pictures."""
        settings = {"flip_test": self.flip_test, "draw": self.draw, "chunk_size": CHUNK_SIZE}
        config = dataclasses.replace(self.config, photo_bboxes=None)
        options = dataclasses.asdict(config) | settings
        if (boxes := self.config.photo_bboxes) is not None:
            options["photo_bboxes"] = hashlib.sha256(repr(boxes).encode()).hexdigest()
        networks = {"network": self.network, "finder": self.finder}
        return {"base": str(self.base), **networks, "options": options}

    def keep_boxes(self, paths: Iterable[Path]) -> "BatchPlan":
        """The plan with the boxes of these pictures alone, small enough for another machine."""
        if (boxes := self.config.photo_bboxes) is None:
            return self
        full = (self.base / path for path in paths)
        kept = {path: boxes[path] for path in full if path in boxes}
        return dataclasses.replace(self, config=dataclasses.replace(self.config, photo_bboxes=kept))


@dataclass(frozen=True)
class Chunk:
    """Pictures that follow one another in the list.

    Attributes:
        number: from 0.
        offset, length: the bytes of the list that hold their paths.
        num_pictures: CHUNK_SIZE, or fewer in the last chunk.
    """

    number: int
    offset: int
    length: int
    num_pictures: int


def check_work_dir(folder: Path) -> None:
    """Refuse a folder that is neither a batch inference's nor empty, hidden files aside.

    Raises:
        UserError: names it.
    """
    if not folder.is_dir() or (folder / PLAN).exists():
        return
    if any(not path.name.startswith(".") for path in folder.iterdir()):
        raise UserError(f"{folder}: holds other files; choose another --out")


def begin_run(plan: BatchPlan, paths: Iterable[Path], scratch: Path) -> int:
    """Write the list and the plan, or see that they are those of the run in the folder.

    Args:
        paths: of its pictures. scratch: a folder on the same disk.

    Returns:
        How many paths named a picture again, and were skipped.

    Raises:
        UserError: there are none; or the folder holds another run.
    """
    with atomic_path(plan.folder / PICTURES, scratch) as temporary:
        number, num_again = write_paths(temporary, paths, plan.base)
        if not number:
            raise UserError("no pictures in what is named; name others")
        pictures = {"number": number, "list": file_digest(temporary)}
        _compare_plan(plan.folder, plan.describe() | {"pictures": pictures})
    return num_again


def _compare_plan(folder: Path, described: dict) -> None:
    file = folder / PLAN
    described = json.loads(json.dumps(described))  # lists for tuples
    if not file.exists():
        write_json(file, described)
        return
    before = read_json(file, ANEW)
    if not isinstance(before, dict) or before.keys() != described.keys():
        raise UserError(f"{file}: was not written by hourglass; {ANEW}")
    reasons = {
        "base": f"was begun in the folder {before['base']}; repeat it there, or {ANEW}",
        "network": f"is of another network; repeat it with that, or {ANEW}",
        "finder": f"found people by another people.onnx; repeat it with that, or {ANEW}",
        "options": f"was begun with other options; repeat it with those, or {ANEW}",
        "pictures": f"is of other pictures: to go on with those, `--list {folder / PICTURES}` "
        f"alone; else {ANEW}",
    }
    for key, reason in reasons.items():
        if before[key] != described[key]:
            raise UserError(f"{folder}: holds a run that {reason}")


def split_chunks(plan: BatchPlan) -> list[Chunk]:
    """The chunks of a run, in order; only these are kept in memory, not the paths."""
    chunks: list[Chunk] = []
    offset = length = number = 0
    for path in read_paths(plan.folder / PICTURES):
        length, number = length + len(bytes(path)) + 1, number + 1
        if number == CHUNK_SIZE:
            chunks.append(Chunk(len(chunks), offset, length, number))
            offset, length, number = offset + length, 0, 0
    if number:
        chunks.append(Chunk(len(chunks), offset, length, number))
    return chunks
