"""The network for photographs that comes with the package, and its model card."""

from pathlib import Path

from hourglass.utils.errors import UserError


def shipped_network() -> Path:
    """The path of the shipped network, a `.keras` file as `models.saving` reads it.

    Raises:
        UserError: this installation lacks it.
    """
    path = Path(__file__).with_name("photographs.keras")
    if not path.is_file():
        raise UserError(f"{path}: missing; install hourglass again, or name another network")
    return path


def shipped_people_detector() -> Path:
    """The path of the shipped detector of people, an ONNX file.

    Raises:
        UserError: this installation lacks it.
    """
    path = Path(__file__).with_name("people.onnx")
    if not path.is_file():
        raise UserError(f"{path}: missing; install hourglass again")
    return path
