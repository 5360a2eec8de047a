"""A trained network written for another runtime, compared with Keras before it gets its name."""

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hourglass.data.datasets.base import find_network_terms
from hourglass.export.tensorflow_formats import (
    build_graph,
    open_litert,
    open_saved_model,
    write_litert,
    write_saved_model,
)
from hourglass.export.verification import FLOAT16, FLOAT32, Proof, compare_with_keras
from hourglass.inference.backends import OnnxBackend, is_sealed, load_estimator
from hourglass.models.metadata import NAME, ExportMetadata, encode_export
from hourglass.utils.backend import tf
from hourglass.utils.errors import UserError, one_line
from hourglass.utils.files import atomic_folder, atomic_path, file_digest

if TYPE_CHECKING:
    from hourglass.models.pose_estimator import PoseEstimator


def export_network(
    path: Path, target: Path, kind: str = "onnx", half: bool = False, flip_test: bool = True
) -> Proof:
    """Write the whole way from the pixels of a crop to keypoints as one file.

    It holds the network with fused norms, the flip test, and the decoder "dark".

    Args:
        path: the network's `.keras` file.
        target: pathlib.Path to write: a file, or, of "saved_model", a folder that is not there yet.
        kind: "onnx", "litert" or "saved_model".
        half: keep the kernels as float16: half the bytes, up to 0.1 px off.
        flip_test: run each picture mirrored too.

    Returns:
        How far its keypoints lie from those of Keras.

    Raises:
        UserError: `target` is another program's file, or a folder; the network cannot be loaded; or
            what was written does not find the joints that Keras finds. Nothing is left of it then.
    """
    if Path(path).suffix == ".onnx":
        raise UserError(f"{path}: is an export itself; name the .keras file")
    file_format = _find_format(kind, half)
    _check_kept(target)
    make_whole = atomic_folder if kind == "saved_model" else atomic_path
    # On the CPU, as those who run the file do: a GPU's TF32 would pass for a fault.
    with tf.device("/CPU:0"), make_whole(target) as temporary:
        estimator = load_estimator(path, flip_test)
        try:
            return _write(estimator, file_format, file_digest(path), half, temporary)
        except OSError:
            raise  # of the disk: it names its file
        except Exception as error:  # whatever a converter or a runtime makes of what it cannot do
            reason = one_line(error).removeprefix(f"{temporary}: ")[:300]
            raise UserError(
                f"{target}: not written, since it does not work: {reason}; try another --format"
            ) from error


def _write(
    estimator: "PoseEstimator", file_format: Any, made_from: str, half: bool, path: Path
) -> Proof:
    """Write the file, open it, and hold it against the estimator."""
    write, open_file = file_format
    model = estimator.network.metadata
    metadata = ExportMetadata(
        model=model,
        flip_test=estimator.flip_test,
        weights="float16" if half else "float32",
        licence=find_network_terms(model.trained_on),
        made_from=made_from,
    )
    write(build_graph(estimator), encode_export(metadata), half, path)
    return compare_with_keras(open_file(path), estimator, FLOAT16 if half else FLOAT32)


def _find_format(kind: str, half: bool) -> Any:
    """The format's writer, and what opens a file of it as a backend."""
    if kind == "litert":
        return write_litert, open_litert
    if kind == "saved_model":
        if half:
            raise UserError(
                "--half is for onnx and litert: a SavedModel keeps its weights as they are"
            )
        return write_saved_model, open_saved_model
    try:
        from hourglass.export.onnx_format import write_onnx
    except ImportError as error:
        raise UserError(
            f"no module {error.name}, which writes ONNX: `pip install onnx tf2onnx`"
        ) from None
    return write_onnx, OnnxBackend


def _check_kept(target: Path) -> None:
    if not target.exists():
        return
    if target.is_dir():
        raise UserError(f"{target}: is there already; remove it, or choose another --out")
    is_ours = is_sealed(target) or (zipfile.is_zipfile(target) and _has_metadata(target))
    if not is_ours:
        raise UserError(f"{target}: was not written by hourglass; choose another --out")


def _has_metadata(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return NAME in archive.namelist()
