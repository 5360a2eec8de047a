"""What a network's file says of where it is from: written with it, read without Keras.

What an exported file says of itself: its writer and its reader, side by side. JSON.

`crop` and `keypoints` tell a person what to do; the program goes by the other keys.
"""

import json
import zipfile
import zlib

from hourglass.keypoints import BONES, JOINTS
from hourglass.utils import transforms
from hourglass.utils.errors import UserError, one_line

METADATA_MEMBER = "hourglass.json"  # what Keras does not keep
_READ_ERRORS = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def encode_metadata(trained_on):
    """The text of `METADATA_MEMBER`; `trained_on` holds the datasets' names."""
    return json.dumps({"trained_on": trained_on})


def read_trained_on(path):
    """The names of the datasets that a network was trained on; None where its file does not say.

    Raises:
        UserError: the file is missing, or damaged there.
    """
    return _read_member(path, METADATA_MEMBER, "trained_on")


def read_keras_version(path):
    """The version of Keras that saved a network; None where its file does not say.

    Raises:
        UserError: the file is missing, or damaged there.
    """
    return _read_member(path, "metadata.json", "keras_version")


def _read_member(path, member, key):
    try:
        with zipfile.ZipFile(path) as archive:
            if member not in archive.namelist():
                return None
            return json.loads(archive.read(member))[key]
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such network; train one (`dvc repro train`) or name another"
        ) from None
    except _READ_ERRORS as error:
        raise UserError(f"{path}: damaged: {one_line(error)}; train it again") from None


NAME = "hourglass.json"  # of the entry, wherever the format keeps it
BOX_TO_SQUARE = transforms.CROP_FACTOR * transforms.BOX_MARGIN
CROP = (
    f"the square around one whole person, its side {BOX_TO_SQUARE:g} times the longer side "
    "of the person's box, its middle the box's; black where it reaches beyond the picture; resized "
    "to input_size by a filter that smooths what it shrinks; RGB, 0 to 255"
)
KEYPOINTS = (
    "x, y in pixels of the square as it was resized, x to the right, y down; the centre of its top "
    "left pixel is (0, 0). A joint at x lies at left + (x + 0.5) * side / input_size - 0.5 of the "
    "picture, where the square's first column is left; y likewise"
)
_KINDS = {
    "input_size": int, "joints": list, "flip_test": bool, "weights": str, "made_from": str,
}  # fmt: skip


def export_metadata(size, flip_test, half, trained_on, licence, made_from):
    """The JSON text of an exported file.

    Args:
        size: px of the square pictures that go in.
        half: whether the weights are rounded to float16.
        trained_on: the datasets' names, as `origins.read_trained_on` gives them.
        licence: what the weights may be used for.
        made_from: the SHA-256 of the `.keras` file.
    """
    about = {
        "input_size": size,
        "crop": CROP,
        "keypoints": KEYPOINTS,
        "joints": JOINTS,
        "bones": BONES,
        "flip_test": flip_test,
        "weights": "float16" if half else "float32",
        "trained_on": trained_on,
        "licence": licence,
        "made_from": made_from,
    }
    return json.dumps(about, indent=1)


def read_metadata(text, path):
    """What `export_metadata` wrote, as a dict.

    Raises:
        UserError: it is not such a text; `path` is the file that holds it.
    """
    try:
        about = json.loads(text)
        is_ours = all(type(about[key]) is kind for key, kind in _KINDS.items())
    except (TypeError, ValueError, LookupError):
        is_ours = False
    if not is_ours or about["joints"] != list(JOINTS):
        raise UserError(f"{path}: not a network that `hourglass export` wrote for these joints")
    return about
