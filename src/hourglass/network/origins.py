"""What a network's file says of where it is from: written with it, read without Keras."""

import json
import zipfile
import zlib

from hourglass.errors import UserError, one_line

ABOUT_MEMBER = "hourglass.json"  # what Keras does not keep
_READ_ERRORS = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def encode_origin(trained_on):
    """The text of `ABOUT_MEMBER`; `trained_on` holds the datasets' names."""
    return json.dumps({"trained_on": trained_on})


def read_trained_on(path):
    """The names of the datasets that a network was trained on; None where its file does not say.

    Raises:
        UserError: the file is missing, or damaged there.
    """
    return _read_member(path, ABOUT_MEMBER, "trained_on")


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
