"""The folder of a page: static files, settings, an exported network, the people finder, a runtime.

The settings are a module of JavaScript. It holds Python's constants of the person search, the
keypoints and the network: both sides use the same numbers.
"""

import json
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from hourglass.apps.page.runtime import FILES, find_runtime
from hourglass.apps.video import tracker
from hourglass.inference import crops, outputs, person_search
from hourglass.inference.backends import OnnxBackend, PeopleFinder
from hourglass.models.metadata import ExportMetadata
from hourglass.shipped import shipped_people_detector
from hourglass.utils import transforms
from hourglass.utils.errors import UserError
from hourglass.utils.files import atomic_folder, file_digest
from hourglass.visualization import drawing

# As the modules have them; `static/` holds the same functions, under the same names.
CONSTANTS = {
    person_search: (
        "THRESHOLD", "BOX_THRESHOLD", "MAX_IOU", "MAX_LIKENESS", "SAME_PLACE", "MAX_LOOKS",
        "MIN_SIDE", "BBOX_RULE",
    ),
    transforms: ("CROP_FACTOR", "BOX_MARGIN", "SURE_SCORE", "AROUND_JOINTS"),
    crops: ("FINENESS",),
    tracker: (
        "SEARCH_EVERY", "CHECK_EVERY", "LOST_AFTER", "LEAST_FAILED", "ROUNDING", "WIDER", "KEPT",
        "SHRINKING", "AGREEMENT",
    ),
    drawing: ("SIDE_COLOURS",),
    outputs: ("COORDINATES",),
}  # fmt: skip
# A tab has less memory than a program: this many pixels take it 350 MB.
MAX_PIXELS = 50_000_000
NETWORK_FILE, FINDER_FILE = "network.onnx", "people.onnx"
SETTINGS_FILE = "settings.js"
MARK = "// Written by `hourglass page`."
STATIC = Path(__file__).with_name("static")


def write_settings(metadata: ExportMetadata, finder_size: int) -> str:
    """The text of the settings for a network of this metadata.

    Args:
        finder_size: px a side of the inputs of the people finder.
    """
    settings = [*_collect(metadata), ("FINDER_SIZE", finder_size)]
    lines = [f"export const {name} = {json.dumps(value)};" for name, value in settings]
    return "\n".join([MARK, *lines, ""])


def _collect(metadata: ExportMetadata) -> Iterator[tuple[str, Any]]:
    schema = metadata.model.schema
    for module, names in CONSTANTS.items():
        yield from ((name, getattr(module, name)) for name in names)
    yield "JOINTS", schema.keypoints
    yield "BONES", schema.bone_indices
    yield "HEAD_SEGMENT", schema.indices(schema.head_segment)
    yield "JOINT_SIDES", schema.sides
    yield "BONE_SIDES", schema.bone_sides
    yield "MAX_PIXELS", MAX_PIXELS
    yield "NETWORK_FILE", NETWORK_FILE
    yield "FINDER_FILE", FINDER_FILE
    yield "INPUT_SIZE", metadata.model.input_size
    yield "LICENCE", metadata.licence


def build_page(network: Path, folder: Path, runtime: Path | None = None) -> ExportMetadata:
    """Write the folder of a page on which the browser itself finds keypoints.

    Any web server shows it; nothing of it is fetched from elsewhere, and no picture leaves it.

    Args:
        network: a file of `hourglass export`, or the `.keras` file beside one.
        folder: to write; an earlier page in it is replaced.
        runtime: the folder of onnxruntime-web's files; None: npm fetches them, once.

    Returns:
        The metadata of the exported network.

    Raises:
        UserError: no such network, no runtime, or the folder holds what is no page's; then nothing
            is written.
    """
    static = sorted(STATIC.iterdir())
    _check_page_folder(folder, {path.name for path in static})
    network = _exported_file(network)
    metadata, finder = OnnxBackend(network).metadata, shipped_people_detector()
    finder_size = PeopleFinder(finder).size
    files = [*static, *find_runtime(runtime)]
    with atomic_folder(folder) as temporary:
        for path in files:
            shutil.copyfile(path, temporary / path.name)
        shutil.copyfile(network, temporary / NETWORK_FILE)
        shutil.copyfile(finder, temporary / FINDER_FILE)
        settings = write_settings(metadata, finder_size)
        (temporary / SETTINGS_FILE).write_text(settings, encoding="utf-8")
    return metadata


def _exported_file(network: Path) -> Path:
    """The exported file of a network: itself, or what lies beside its `.keras` file."""
    if network.suffix == ".onnx":
        return network
    beside, remedy = network.with_suffix(".onnx"), f"`hourglass export --model {network}` writes it"
    if not network.is_file():
        raise UserError(f"{network}: no such network; train it, or name another by --model")
    if not beside.is_file():
        raise UserError(f"{beside}: missing; {remedy}")
    if OnnxBackend(beside).metadata.made_from != file_digest(network):
        raise UserError(f"{beside}: was not exported from {network}; {remedy} again")
    return beside


def _check_page_folder(folder: Path, static: Collection[str]) -> None:
    """Refuse a folder in which something else than a page would be lost."""
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise UserError(f"{folder}: is there already and no folder; choose another --out")
    names = sorted(path.name for path in folder.iterdir())
    ours = (
        {*static, *FILES, NETWORK_FILE, FINDER_FILE, SETTINGS_FILE} if _is_page(folder) else set()
    )
    if foreign := [name for name in names if name not in ours]:
        path = folder / foreign[0]
        raise UserError(f"{path}: was not written by hourglass; choose another --out")


def _is_page(folder: Path) -> bool:
    try:
        with open(folder / SETTINGS_FILE, encoding="utf-8", errors="replace") as file:
            return file.readline().rstrip() == MARK
    except OSError:
        return False
