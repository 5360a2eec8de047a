"""Which network a command takes, and what has to be said of it."""

import sys
from pathlib import Path

from hourglass.cli.clips import load_clips
from hourglass.inference.backends import open_backend
from hourglass.shipped import shipped_network
from hourglass.utils.errors import printable

MODEL = Path("models/hourglass.keras")


def open_network(path, flip_test, num_inputs):
    """The backend of a network, as of `backends.open_backend`; a warning where it needs one."""
    backend = open_backend(path, flip_test, num_inputs)
    warn_of_drawings(path, backend.trained_on)
    return backend


def open_finding(options, config, photos, clips):
    """The backend for pairs (path, target) of photographs and clips; makes their folder.

    Raises:
        UserError: the network, or what clips need, is missing or of no use; nothing is made then.
    """
    if clips:
        load_clips()
    model = find_model(options.model)
    backend = open_network(model, not options.no_flip_test, len(photos) * config.num_inputs)
    options.out.mkdir(parents=True, exist_ok=True)
    return backend


def find_model(named=None):
    """The network named; else the one trained in this folder, or the shipped one, with a note.

    Raises:
        UserError: none is named, and neither is there.
    """
    if named:
        return named
    if MODEL.exists():
        return MODEL
    path = shipped_network()
    print(
        f"note: no {MODEL} here{_describe_remedy()}; using the shipped network (photographs of "
        "sports, Leeds Sports Pose Extended; for research use only)",
        file=sys.stderr,
    )
    return path


def _describe_remedy():
    lock = Path("dvc.lock")
    if lock.is_file() and f"path: {MODEL}\n" in lock.read_text(errors="replace"):
        return " (`dvc pull` or `dvc repro` brings the one of dvc.lock)"
    return ""


def warn_of_drawings(path, trained_on):
    """Warn on stderr of a network, in `path`, that has seen no photograph."""
    if trained_on == "synthetic":
        print(
            f"warning: {printable(path)} was trained on drawn figures alone: on photographs "
            "neither its joints nor its scores mean anything",
            file=sys.stderr,
        )
