"""The folder of a page: its static files, the settings, an exported network and its runtime."""

import os
import shutil
from pathlib import Path

from hourglass.errors import UserError
from hourglass.files import atomic_folder, file_digest
from hourglass.page.runtime import FILES, find_runtime
from hourglass.page.settings import MARK, NETWORK_FILE, write_settings
from hourglass.prediction.onnx_finder import OnnxFinder

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
        What the network says of itself (`prediction.about`).

    Raises:
        UserError: no such network, no runtime, or the folder holds what is no page's; then nothing
            is written.
    """
    static = sorted(STATIC.iterdir())
    check_folder(folder, {path.name for path in static})
    network = find_exported(network)
    about = OnnxFinder(network).about
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
    if OnnxFinder(beside).about["made_from"] != file_digest(network):
        raise UserError(f"{beside}: was not exported of {network}; {remedy} again")
    return beside


def check_folder(folder, static):
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
        raise UserError(f"{path}: was not written by this; choose another --out")


def _is_page(folder):
    try:
        with open(folder / SETTINGS_FILE, encoding="utf-8", errors="replace") as file:
            return file.readline().rstrip() == MARK
    except OSError:
        return False
