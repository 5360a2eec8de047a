"""The network that a command takes, opened; what has to be said of it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from hourglass.inference.backends import open_backend
from hourglass.inference.crops import Backend
from hourglass.shipped import shipped_network
from hourglass.utils.errors import UserError, printable

MODEL = Path("models/hourglass.keras")


def open_network(options: argparse.Namespace, num_inputs: int) -> tuple[Path, Backend]:
    """The file of the network that a command takes, and its backend; makes the folder `--out`.

    Args:
        num_inputs: the expected number of model inputs.

    Raises:
        UserError: the network is missing or cannot be used; nothing is written then.
    """
    model = find_model(options.model)
    backend = open_backend(model, not options.no_flip_test, num_inputs)
    warn_of_drawings(model, backend.trained_on)
    options.out.mkdir(parents=True, exist_ok=True)
    return model, backend


def load_clips() -> ModuleType:
    """The module `clips`, which alone needs PyAV.

    Raises:
        UserError: PyAV is not installed.
    """
    try:
        from hourglass.apps.video import clips
    except ModuleNotFoundError as error:
        if error.name != "av":
            raise
        raise UserError(
            "clips and cameras need PyAV: `pip install av`, or name photographs alone"
        ) from None
    return clips


def find_model(named: Path | None = None) -> Path:
    """The network named; else the one trained in this folder, or the shipped one, with a note.

    Raises:
        UserError: none is named, and neither is there.
    """
    if named:
        return named
    if MODEL.exists():
        return MODEL
    path, lock = shipped_network(), Path("dvc.lock")
    is_locked = lock.is_file() and f"path: {MODEL}\n" in lock.read_text(errors="replace")
    remedy = " (`dvc pull` or `dvc repro` brings the one of dvc.lock)" * is_locked
    print(
        f"note: no {MODEL} here{remedy}; using the shipped network (photographs of people; "
        "for research use only)",
        file=sys.stderr,
    )
    return path


def warn_of_drawings(path: Path, trained_on: Sequence[str]) -> None:
    """Warn on stderr of a network, in `path`, that has seen no photograph."""
    if set(trained_on) == {"synthetic"}:
        print(
            f"warning: {printable(path)} was trained on drawn figures alone: on photographs "
            "neither its joints nor its scores mean anything",
            file=sys.stderr,
        )
