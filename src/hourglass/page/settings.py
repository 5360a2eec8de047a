"""What the page's scripts have from Python: the constants of the search, the joints, the network.

They are written as a module of JavaScript, so that neither side can drift from the other.
"""

import dataclasses
import json

from hourglass import geometry, skeleton
from hourglass.prediction import drawing, looks, people, writing
from hourglass.video import following

# As the modules have them; `static/` holds the same functions, in scripts of the same names.
CONSTANTS = {
    people: (
        "THRESHOLD", "MAX_OVERLAP", "MAX_SHARED", "SAME_PLACE", "MIN_SIDE", "AGREEMENT",
        "MAX_WIDTH", "BOX_RULE",
    ),
    geometry: ("CROP_FACTOR", "BOX_MARGIN", "SURE_SCORE", "AROUND_JOINTS"),
    looks: ("FINENESS",),
    following: (
        "SEARCH_EVERY", "CHECK_EVERY", "LOST_AFTER", "WIDER", "KEPT", "SHRINKING",
    ),
    skeleton: ("JOINTS", "BONES"),
    drawing: ("SIDE_COLOURS",),
    writing: ("COORDINATES",),
}  # fmt: skip
# A tab has less memory than a program: this many pixels take it 350 MB.
MAX_PIXELS = 50_000_000
NETWORK_FILE = "network.onnx"
MARK = "// Written by `hourglass page`."


def write_settings(about):
    """The module's text.

    Args:
        about: what the exported network says of itself (`prediction.about`).
    """
    lines = [f"export const {name} = {json.dumps(value)};" for name, value in _collect(about)]
    return "\n".join([MARK, *lines, ""])


def _collect(about):
    for module, names in CONSTANTS.items():
        yield from ((name, getattr(module, name)) for name in names)
    yield "PLAN", dataclasses.asdict(people.PLAN)
    yield "JOINT_SIDES", [drawing.joint_side(joint) for joint in range(skeleton.NUM_JOINTS)]
    yield "BONE_SIDES", [drawing.bone_side(bone) for bone in skeleton.BONES]
    yield "MAX_PIXELS", MAX_PIXELS
    yield "NETWORK_FILE", NETWORK_FILE
    yield "INPUT_SIZE", about["input_size"]
    yield "LICENCE", about["licence"]
