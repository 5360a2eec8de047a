"""What an exported file says of itself: its writer and its reader, side by side. JSON.

`crop` and `keypoints` tell a person what to do; the program goes by the other keys.
"""

import json

from hourglass import geometry
from hourglass.errors import UserError
from hourglass.skeleton import BONES, JOINTS

NAME = "hourglass.json"  # of the entry, wherever the format keeps it
BOX_TO_SQUARE = geometry.CROP_FACTOR * geometry.BOX_MARGIN
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
LICENCES = {
    "mpii": "for research, not for commercial use, as is MPII Human Pose (CVPR 2014), their data",
    "lspet": "for research, not for commercial use, as is Leeds Sports Pose Extended (CVPR 2011), "
    "their data",
    "synthetic": "MIT, as the program that drew their data",
}
OTHER_LICENCE = "for what the data allow that they were trained on"
_KINDS = {
    "input_size": int, "joints": list, "flip_test": bool, "weights": str, "made_from": str,
}  # fmt: skip


def describe_export(size, flip_test, half, trained_on, made_from):
    """The JSON text of an exported file.

    Args:
        size: px of the square pictures that go in.
        half: whether the weights are rounded to float16.
        trained_on: the datasets' names, as `origins.read_trained_on` gives them.
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
        "licence": find_licence(trained_on),
        "made_from": made_from,
    }
    return json.dumps(about, indent=1)


def find_licence(trained_on):
    """What the weights may be used for: what all of their data allow."""
    names = (trained_on or "").split(", ")
    return "; ".join(dict.fromkeys(LICENCES.get(name, OTHER_LICENCE) for name in names))


def read_about(text, path):
    """What `describe_export` wrote, as a dict.

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
