"""The people of a run as a Parquet file, a row a person; needs pyarrow."""

import itertools

import pyarrow
from pyarrow import parquet

from hourglass.apps.batch.results import read_poses
from hourglass.keypoints import JOINTS
from hourglass.utils.files import atomic_path

GROUP = 10_000  # rows that are in memory together
TABLE = "poses.parquet"
SCHEMA = pyarrow.schema(
    [
        ("image", pyarrow.string()), ("width", pyarrow.int32()), ("height", pyarrow.int32()),
        ("person", pyarrow.int32()), ("score", pyarrow.float32()),
        *((f"{joint}_{key}", pyarrow.float32()) for joint in JOINTS for key in ("x", "y", "score")),
    ]
)  # fmt: skip


def write_table(plan, scratch):
    """Write poses.parquet from poses.jsonl, where it is not there yet.

    Columns: `image`; its `width` and `height`, px; `person`, 0 the surest of the picture; `score`;
    of each joint `NAME_x` and `NAME_y`, px, as poses.jsonl has them, and `NAME_score`.
    """
    if (plan.folder / TABLE).exists():
        return
    rows = (row for picture in read_poses(plan) for row in list_rows(picture))
    with (
        atomic_path(plan.folder / TABLE, scratch) as temporary,
        parquet.ParquetWriter(temporary, SCHEMA) as writer,
    ):
        while group := list(itertools.islice(rows, GROUP)):
            writer.write_table(pyarrow.Table.from_pylist(group, SCHEMA))


def list_rows(picture):
    """The rows of a picture's people."""
    # A name may hold any bytes, Parquet holds UTF-8.
    image = picture["image"].encode("utf-8", "backslashreplace").decode()
    about = {"image": image, "width": picture["width"], "height": picture["height"]}
    for number, person in enumerate(picture["people"]):
        joints = {
            f"{name}_{key}": value
            for name, joint in person["joints"].items() for key, value in joint.items()
        }  # fmt: skip
        yield about | {"person": number, "score": person["score"]} | joints
