"""The backend that onnxruntime runs on the CPU, of an exported file: without TensorFlow."""

import hashlib
import os
import re
from pathlib import Path

from hourglass.models.metadata import NAME, read_metadata
from hourglass.utils.errors import UserError, one_line
from hourglass.utils.parallel import count_cores

BATCH_SIZE = 16
# The file's own SHA-256, as if zeros stood here: bytes that changed would move joints unseen.
SEAL = "hourglass_seal"
NO_DIGEST = "0" * 64
_SEALED = re.compile(SEAL.encode() + rb"\x12@([0-9a-f]{64})")  # in protobuf: 64 bytes of field 2
_AGAIN = "`hourglass export` writes it again"


class OnnxBackend:
    """A backend (`backends.py`) of an exported file.

    Attributes:
        about: what the file says of itself (`about.py`).
    """

    batch_size = BATCH_SIZE

    def __init__(self, path):
        """Load the file.

        Raises:
            UserError: it is missing, damaged, or not of `hourglass export`.
        """
        data = _read(path)
        check_seal(data, path)
        self._session = _start(data, path)
        self.about = read_metadata(
            self._session.get_modelmeta().custom_metadata_map.get(NAME), path
        )
        self.size = self.about["input_size"]
        self.trained_on = self.about["trained_on"]

    def __call__(self, inputs):
        """The keypoints of the inputs and their scores."""
        return tuple(self._session.run(["keypoints", "scores"], {"pictures": inputs}))


def _read(path):
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such network; {_AGAIN}, or name another") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; fix it or name another") from None


def seal(data):
    """The bytes of a file with its own digest in the place of `NO_DIGEST`."""
    empty, digest = NO_DIGEST.encode(), hashlib.sha256(data).hexdigest()
    return _SEALED.sub(lambda match: match[0].replace(empty, digest.encode()), data, count=1)


def is_sealed(path):
    """Whether a file has a seal, whole or broken: another program's has none."""
    return _SEALED.search(_read(path)) is not None


def check_seal(data, path):
    """Refuse bytes that are not as `seal` left them.

    Raises:
        UserError: no exported file, or one that has changed since.
    """
    found = _SEALED.search(data)
    if found is None:
        raise UserError(f"{path}: not a whole network of `hourglass export`; {_AGAIN}")
    start, end = found.span(1)
    unsealed = data[:start] + NO_DIGEST.encode() + data[end:]
    if hashlib.sha256(unsealed).hexdigest().encode() != found[1]:
        raise UserError(f"{path}: damaged, or changed since its export; {_AGAIN}")


def import_onnxruntime():
    """onnxruntime, told to keep to itself: since 1.29 it reports what it runs, unless asked not to.

    Source: https://github.com/microsoft/onnxruntime/pull/27379
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the import, which reads it
    import onnxruntime

    return onnxruntime


def count_threads():
    """As OMP_NUM_THREADS says, which Ray sets to a task's cores; else one a core."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    # Its own choice binds threads to cores that this process may not have.
    return count_cores()


def _start(data, path):
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = count_threads()
    # Threads that wait would keep the cores from what decodes, draws and encodes beside them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # fatal: what goes wrong is raised
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own have no common class
        reason, version = one_line(error)[:200], onnxruntime.__version__
        raise UserError(
            f"{path}: onnxruntime {version} cannot load it: {reason}; try another version"
        ) from None
