"""The runtimes of a network: Keras on all GPUs or the CPU, onnxruntime on the CPU.

Each runtime is loaded when a network is first opened with it: an exported network needs no
TensorFlow, a `.keras` file no onnxruntime.
"""

import contextlib
import ctypes
import functools
import hashlib
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.inference.crops import Backend
from hourglass.models.metadata import NAME, decode_detector, decode_export
from hourglass.shipped import shipped_people_detector
from hourglass.utils.errors import UserError, one_line
from hourglass.utils.files import file_digest
from hourglass.utils.parallel import count_cores

BATCH_SIZE = 16  # inputs a device


def open_backend(path: str | Path, flip_test: bool, num_inputs: int = 1) -> Backend:
    """The backend of a trained network.

    On a machine without an NVIDIA driver, the ONNX file of the same name beside a `.keras` file is
    opened in its place. It must have been exported from exactly that network, with the same flip
    test. It starts sooner, and its joints are the same to 0.01 px.

    Args:
        path: its `.keras` file, or the `.onnx` file that `hourglass export` made of it.
        flip_test: average each input's heatmaps with those of its mirror image.
        num_inputs: the expected number of inputs: many are shared by all GPUs.

    Raises:
        UserError: the file is missing or damaged, holds another kind of network, or was exported
            for another `flip_test`.
    """
    path = Path(path)
    if path.suffix == ".onnx":
        backend = OnnxBackend(path)
        if (exported := backend.metadata.flip_test) != flip_test:
            kind = "with" if exported else "without"
            raise UserError(
                f"{path}: was exported {kind} flip test; ask for that, or name the .keras file"
            )
        return backend
    if not path.is_file():  # before TensorFlow is loaded, which takes seconds
        raise UserError(f"{path}: no such network; train one (`dvc repro train`) or name another")
    beside = path.with_suffix(".onnx")
    if beside.is_file() and not has_nvidia_driver() and is_sealed(beside):
        backend = OnnxBackend(beside)
        metadata = backend.metadata
        is_same = metadata.made_from == file_digest(path) and metadata.flip_test == flip_test
        if is_same and metadata.weights == "float32":
            return backend
    return KerasBackend(load_estimator(path, flip_test, num_inputs))


def has_nvidia_driver() -> bool:
    """Whether a GPU may be there, for which TensorFlow is worth its start."""
    try:
        ctypes.CDLL("libcuda.so.1")  # what TensorFlow looks for too
    except OSError:
        return False
    return True


class _WithFinder:
    @functools.cached_property
    def finder(self) -> "PeopleFinder":
        """The shipped detector of people, loaded at the first use (`crops.Backend`)."""
        return PeopleFinder(shipped_people_detector())


class KerasBackend(_WithFinder):
    """The backend of a `PoseEstimator`; one call's inputs are shared by its devices."""

    def __init__(self, estimator: Any) -> None:
        metadata = estimator.network.metadata
        self.size, self.schema = metadata.input_size, metadata.schema
        self.trained_on = metadata.trained_on
        self._estimator = estimator
        self._num_devices = estimator.strategy.num_replicas_in_sync
        self.batch_size = BATCH_SIZE * self._num_devices

    def __call__(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The keypoints in the inputs and their scores (`crops.Backend`)."""
        # Each device needs something to do: the batch is repeated up to their number.
        number = max(len(inputs), self._num_devices)
        found = self._estimator.predict_inputs(np.resize(inputs, (number, *inputs.shape[1:])))
        keypoints, scores = (np.asarray(values)[: len(inputs)] for values in found)
        return keypoints, scores


def load_estimator(path: str | Path, flip_test: bool, num_inputs: int = 1) -> Any:
    """The `PoseEstimator` of a `.keras` file, its batch norms fused, that decodes by "dark".

    Args:
        flip_test: average each input's heatmaps with those of its mirror image.
        num_inputs: the expected number of inputs: many are shared by all GPUs.

    Raises:
        UserError: the file is missing or damaged, or holds another kind of network.
    """
    from hourglass.models.batch_norm import fuse_conv_bn
    from hourglass.models.pose_estimator import PoseEstimator
    from hourglass.models.saving import load_network
    from hourglass.utils.devices import choose_strategy, grow_memory

    # TensorFlow refuses where the caller's program has used it before: it keeps what it has.
    with contextlib.suppress(RuntimeError):
        grow_memory()
    # One batch is for one device.
    scope = choose_strategy().scope() if num_inputs > BATCH_SIZE else contextlib.nullcontext()
    with scope:
        return PoseEstimator(fuse_conv_bn(load_network(path), "float32"), flip_test, "dark")


class OnnxBackend(_WithFinder):
    """The backend of a file that `hourglass export` made.

    Attributes:
        metadata: what the file says of itself (`models.metadata.ExportMetadata`).
    """

    batch_size = BATCH_SIZE

    def __init__(self, path: str | Path) -> None:
        """Load the file.

        Raises:
            UserError: it is missing, damaged, or not of `hourglass export`.
        """
        self._session, text = open_session(path)
        self.metadata = decode_export(text, path)
        model = self.metadata.model
        self.size, self.schema, self.trained_on = model.input_size, model.schema, model.trained_on

    def __call__(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The keypoints in the inputs and their scores (`crops.Backend`)."""
        keypoints, scores = self._session.run(["keypoints", "scores"], {"pictures": inputs})
        return keypoints, scores


class PeopleFinder:
    """The detector of people (`crops.Finder`), in an ONNX file of `export.people_format`.

    Attributes:
        size: S, the side of its inputs, px.
    """

    batch_size = BATCH_SIZE

    def __init__(self, path: str | Path) -> None:
        """Load the file.

        Raises:
            UserError: it is missing, damaged, or no detector of people of this version.
        """
        self._session, text = open_session(path)
        self.size = decode_detector(text, path).input_size

    def __call__(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The boxes of people in the inputs and their scores (`crops.Finder`)."""
        boxes, scores = self._session.run(["boxes", "scores"], {"pictures": inputs})
        return boxes, scores


def open_session(path: str | Path) -> tuple[Any, str | None]:
    """The onnxruntime session of an exported file, and the text of its metadata.

    Raises:
        UserError: the file is missing, damaged, or not of this program.
    """
    data = _read(path)
    check_seal(data, path)
    session = _start_session(data, path)
    return session, session.get_modelmeta().custom_metadata_map.get(NAME)


def _start_session(data: bytes, path: str | Path) -> Any:
    # Since 1.29 it reports what it runs, unless told otherwise before its import:
    # https://github.com/microsoft/onnxruntime/pull/27379
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Ray sets OMP_NUM_THREADS to a task's cores. onnxruntime's own choice binds threads to cores
    # that this process may not have.
    asked = os.environ.get("OMP_NUM_THREADS", "")
    options.intra_op_num_threads = (int(asked) if asked.isdecimal() else 0) or count_cores()
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


# The seal of an exported file is its own SHA-256, as if zeros stood there: bytes that changed would
# move joints unseen.
SEAL = "hourglass_seal"
NO_DIGEST = "0" * 64
_SEALED = re.compile(SEAL.encode() + rb"\x12@([0-9a-f]{64})")  # in protobuf: 64 bytes of field 2
_AGAIN = "`hourglass export` writes it again"


def _read(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such network; {_AGAIN}, or name another") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; fix it or name another") from None


def seal(data: bytes) -> bytes:
    """The bytes of a file with its own digest in the place of `NO_DIGEST`."""
    empty, digest = NO_DIGEST.encode(), hashlib.sha256(data).hexdigest()
    return _SEALED.sub(lambda match: match[0].replace(empty, digest.encode()), data, count=1)


def is_sealed(path: str | Path) -> bool:
    """Whether a file has a seal, whole or broken: another program's has none."""
    return _SEALED.search(_read(path)) is not None


def check_seal(data: bytes, path: str | Path) -> None:
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
