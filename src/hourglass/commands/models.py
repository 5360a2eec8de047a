"""Which network a command takes where none is named."""

import sys
from pathlib import Path

from hourglass.commands.messages import show_path
from hourglass.shipped import shipped_network

MODEL = Path("models/hourglass.keras")


def find_model():
    """The network trained in this folder, or else the shipped one, which is said on stderr.

    Raises:
        UserError: neither is there.
    """
    if MODEL.exists():
        return MODEL
    path = shipped_network()
    print(
        f"note: no {MODEL} here; using the shipped network (photographs of sports, Leeds Sports "
        "Pose Extended; for research use only)",
        file=sys.stderr,
    )
    return path


def warn_of_drawings(path, trained_on):
    """Warn on stderr of a network, in `path`, that has seen no photograph."""
    if trained_on == "synthetic":
        print(
            f"warning: {show_path(path)} was trained on drawn figures alone: on photographs "
            "neither its joints nor its scores mean anything",
            file=sys.stderr,
        )
