"""What the page's scripts have from Python: the constants of the search, the joints, the network.

They are written as a module of JavaScript, so that neither side can drift from the other.

The folder of a page: its static files, the settings, an exported network and its runtime.
"""

import dataclasses
import json
import os
import shutil
from pathlib import Path

from hourglass.apps.page.runtime import FILES, find_runtime
from hourglass.apps.video import tracker
from hourglass.inference import crops, outputs, person_search
from hourglass.inference.backends import OnnxBackend
from hourglass.keypoints import MPII
from hourglass.utils import drawing, transforms
from hourglass.utils.errors import UserError
from hourglass.utils.files import atomic_folder, file_digest

# As the modules have them; `static/` holds the same functions, in scripts of the same names.
CONSTANTS = {
    person_search: (
        "THRESHOLD", "MAX_IOU", "MAX_SHARED", "SAME_PLACE", "MIN_SIDE", "AGREEMENT",
        "MAX_WIDTH", "BBOX_RULE",
    ),
    transforms: ("CROP_FACTOR", "BOX_MARGIN", "SURE_SCORE", "AROUND_JOINTS"),
    crops: ("FINENESS",),
    tracker: (
        "SEARCH_EVERY", "CHECK_EVERY", "LOST_AFTER", "WIDER", "KEPT", "SHRINKING",
    ),
    drawing: ("SIDE_COLOURS",),
    outputs: ("COORDINATES",),
}  # fmt: skip
# A tab has less memory than a program: this many pixels take it 350 MB.
MAX_PIXELS = 50_000_000
NETWORK_FILE = "network.onnx"
MARK = "// Written by `hourglass page`."


def write_settings(about):
    """The module's text.

    Args:
        about: what the exported network says of itself (`models.metadata`).
    """
    lines = [f"export const {name} = {json.dumps(value)};" for name, value in _collect(about)]
    return "\n".join([MARK, *lines, ""])


def _collect(about):
    for module, names in CONSTANTS.items():
        yield from ((name, getattr(module, name)) for name in names)
    yield "PLAN", dataclasses.asdict(person_search.PLAN)
    yield "JOINTS", MPII.keypoints
    yield "BONES", MPII.bone_indices
    yield "JOINT_SIDES", MPII.sides
    yield "BONE_SIDES", MPII.bone_sides
    yield "MAX_PIXELS", MAX_PIXELS
    yield "NETWORK_FILE", NETWORK_FILE
    yield "INPUT_SIZE", about["input_size"]
    yield "LICENCE", about["licence"]


STATIC = Path(__file__).with_name("static")
SETTINGS_FILE = "settings.js"


def build_page(network, folder, runtime=None):
    """Write the folder of a page on which the browser itself finds joints.

    Any web server shows it; nothing of it is fetched from elsewhere, and no picture leaves it.

    Args:
        network: path of a file of `hourglass export`, or of the `.keras` file beside one.
        folder: pathlib.Path to write; a page that is there already is replaced.
        runtime: the folder of onnxruntime-web's files (`runtime.find_runtime`); None: npm's.

    Returns:
        What the network says of itself (`models.metadata`).

    Raises:
        UserError: no such network, no runtime, or the folder holds what is no page's; then nothing
            is written.
    """
    static = sorted(STATIC.iterdir())
    check_page_folder(folder, {path.name for path in static})
    network = find_exported(network)
    about = OnnxBackend(network).metadata
    files = [*static, *find_runtime(runtime)]
    with atomic_folder(folder) as temporary:
        for path in files:
            shutil.copyfile(path, temporary / path.name)
        shutil.copyfile(network, temporary / NETWORK_FILE)
        (temporary / SETTINGS_FILE).write_text(write_settings(about), encoding="utf-8")
    return about


def find_exported(network):
    """The exported file of a network: itself, or what lies beside its `.keras` file.

    Raises:
        UserError: nothing was exported of it, or of an earlier one.
    """
    network = Path(network)
    if network.suffix == ".onnx":
        return network
    beside, remedy = network.with_suffix(".onnx"), f"`hourglass export --model {network}` writes it"
    if not network.is_file():
        raise UserError(f"{network}: no such network; train it, or name another by --model")
    if not beside.is_file():
        raise UserError(f"{beside}: missing; {remedy}")
    if OnnxBackend(beside).metadata["made_from"] != file_digest(network):
        raise UserError(f"{beside}: was not exported of {network}; {remedy} again")
    return beside


def check_page_folder(folder, static):
    """Refuse a folder in which something else than a page would be lost.

    Args:
        static: the names of the page's static files.

    Raises:
        UserError: names what would be lost.
    """
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise UserError(f"{folder}: is there already and no folder; choose another --out")
    names = sorted(path.name for path in folder.iterdir())
    ours = static | set(FILES) | {NETWORK_FILE, SETTINGS_FILE} if _is_page(folder) else set()
    if foreign := [name for name in names if name not in ours]:
        path = folder / foreign[0]
        raise UserError(f"{path}: was not written by hourglass; choose another --out")


def _is_page(folder):
    try:
        with open(folder / SETTINGS_FILE, encoding="utf-8", errors="replace") as file:
            return file.readline().rstrip() == MARK
    except OSError:
        return False
