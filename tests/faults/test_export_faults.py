"""`hourglass export`, and exported files: damaged, foreign, of other networks; all refused."""

import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

import hourglass
from hourglass.export import exporter, onnx_format, tensorflow_formats
from hourglass.inference import backends
from hourglass.inference.backends import NO_DIGEST, SEAL, seal
from hourglass.utils.errors import UserError


@pytest.fixture
def run(run_command, monkeypatch):
    """Run the command in a folder of one photograph: exit code, lines of stdout and stderr."""
    monkeypatch.setattr(backends, "has_nvidia_driver", lambda: False)
    Image.fromarray(np.full((80, 60, 3), 128, np.uint8)).save("photo.jpg")
    return run_command


def assert_one_line(result, *parts):
    code, out, err = result
    assert (code, out, len(err)) == (1, [], 1), result
    assert err[0].startswith("error: ") and all(part in err[0] for part in parts), err


# Exported files to predict with


def change_byte(place):
    def change(path):
        data = bytearray(path.read_bytes())
        data[int(place * (len(data) - 1))] ^= 1
        path.write_bytes(data)

    return change


def rewrite(change):
    """Change the graph, and seal what comes of it: a file of another program that imitates ours."""

    def write(path):
        model = onnx.load(path)
        values = {entry.key: entry.value for entry in model.metadata_props} | {SEAL: NO_DIGEST}
        helper.set_model_props(model, change(model, values) or values)
        path.write_bytes(seal(model.SerializeToString()))

    return write


def write_foreign(path):
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3]) for n in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "foreign", [x], [y])
    onnx.save(helper.make_model(graph), path)


DAMAGES = {
    "missing": (lambda path: path.unlink(), "no such network"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "Is a directory"),
    "empty": (lambda path: path.write_bytes(b""), "not a whole network"),
    "a text": (lambda path: path.write_text("network"), "not a whole network"),
    "a picture": (lambda path: shutil.copy("photo.jpg", path), "not a whole network"),
    "another program's network": (write_foreign, "not a whole network"),
    "cut in half": (
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        "not a whole network",
    ),
    "last byte cut off": (
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        "not a whole network",
    ),
    "a byte more": (lambda path: path.write_bytes(path.read_bytes() + b"\0"), "damaged"),
    "first byte changed": (change_byte(0), "damaged"),
    "a weight changed": (change_byte(0.5), "damaged"),
    "its last byte changed": (change_byte(1), "damaged"),
    "an unknown operation": (
        rewrite(lambda model, _: setattr(model.graph.node[0], "op_type", "Think")),
        "cannot load it: ",
    ),
    "nothing told of it": (rewrite(lambda _, values: {SEAL: NO_DIGEST}), "not a network of this "),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_one_line_before_anything_is_written(run, onnx_file, damage):
    change, reason = DAMAGES[damage]
    path = Path(shutil.copy(onnx_file, "net.onnx"))
    change(path)
    assert_one_line(run("predict", "photo.jpg", "--model", "net.onnx"), "net.onnx: ", reason)
    assert not Path("poses").exists()
    with pytest.raises(UserError, match=r"^net\.onnx: "):
        hourglass.load("net.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("damage", sorted(set(DAMAGES) - {"missing", "a folder"}))
def test_a_damaged_file_beside_the_network_is_named(run, onnx_file, model_file, damage):
    shutil.copy(model_file, "net.keras")
    change, reason = DAMAGES[damage]
    change(Path(shutil.copy(onnx_file, "net.onnx")))
    result = run("predict", "photo.jpg", "--model", "net.keras")
    if reason == "not a whole network":  # nothing tells that it was ours: the network itself works
        assert result[0] == 0 and Path("poses/photo.json").is_file()
    else:
        assert_one_line(result, "net.onnx: ")
        assert not Path("poses").exists()


def test_a_flip_test_that_the_file_has_not_is_one_line(run, onnx_file):
    result = run("predict", "photo.jpg", "--model", onnx_file, "--no-flip-test")
    assert_one_line(result, "hourglass.onnx: was exported with flip test; ask for that")
    assert not Path("poses").exists()


# Exports


def broken_conversion(monkeypatch):
    # As tf2onnx leaves a graph: with a type that ONNX does not have there.
    monkeypatch.setattr(onnx_format, "_cast_booleans", lambda graph: None)


def other_joints(monkeypatch):
    def find_keypoints(find):
        return lambda inputs: (find(inputs)[0] + np.float32(0.02), find(inputs)[1])

    opened = exporter.OnnxBackend
    monkeypatch.setattr(exporter, "OnnxBackend", lambda path: find_keypoints(opened(path)))


def lost_weights(monkeypatch):
    # What LiteRT's converter makes of Keras' variables.
    monkeypatch.setattr("hourglass.export.tensorflow_formats.freeze_graph", lambda module: module)


def failing_converter(monkeypatch):
    def fail(*_, **__):
        raise ValueError("make_sure failure: Opset 21 is\nnot supported")

    monkeypatch.setattr("tf2onnx.convert.from_function", fail)


def one_view_alone(monkeypatch):
    # N is fixed, as converters like to have it.
    build = tensorflow_formats.build_graph

    def build_for_one(estimator):
        import tensorflow as tf

        module = build(estimator)
        spec = tf.TensorSpec((1, 32, 32, 3), tf.uint8, name="pictures")
        find = module.find_keypoints.python_function
        module.find_keypoints = tf.function(find, input_signature=[spec], autograph=False)
        return module

    monkeypatch.setattr(exporter, "build_graph", build_for_one)


FAILURES = {
    "a type that ONNX does not have there": ("onnx", broken_conversion, "work: onnxruntime "),
    "joints 0.02 px off": ("onnx", other_joints, "its joints lie up to 0.028 px from those of Ker"),
    "a converter that fails": ("onnx", failing_converter, "make_sure failure: Opset 21 is not sup"),
    "a number of pictures that is fixed": ("onnx", one_view_alone, "net.onnx: not written"),
    "lost weights": ("litert", lost_weights, "its scores nan; 0.01 px and 0.0001 are allowed"),
}


# Each takes seconds to trace; one is enough for every day.
MOSTLY_SLOW = [
    pytest.param(name, marks=[pytest.mark.slow] if number else [])
    for number, name in enumerate(FAILURES)
]


@pytest.mark.parametrize("failure", MOSTLY_SLOW)
def test_an_export_that_is_not_the_network_is_one_line_and_leaves_nothing(
    run, model_file, monkeypatch, failure
):
    kind, fail, reason = FAILURES[failure]
    fail(monkeypatch)
    name = {"onnx": "net.onnx", "litert": "net.tflite"}[kind]
    result = run("export", "--model", model_file, "--format", kind, "--out", name)
    assert_one_line(result, f"{name}: not written, since it does not work: ", reason)
    assert [path.name for path in Path().iterdir()] == ["photo.jpg"]


def test_what_was_there_before_stays(run, model_file, monkeypatch):
    failing_converter(monkeypatch)
    before = b"hourglass_seal\x12@" + b"0" * 64  # of an earlier export
    Path("net.onnx").write_bytes(before)
    result = run("export", "--model", model_file, "--out", "net.onnx")
    assert_one_line(result, "net.onnx: not written, since it does not work")
    assert Path("net.onnx").read_bytes() == before


@pytest.mark.parametrize("name", ["net.onnx", "net.tflite"])
def test_another_programs_file_is_kept(run, model_file, name):
    with zipfile.ZipFile(name, "w") as archive:
        archive.writestr("labels.txt", "cat")
    before = Path(name).read_bytes()
    kind = {"net.onnx": "onnx", "net.tflite": "litert"}[name]
    result = run("export", "--model", model_file, "--format", kind, "--out", name)
    assert_one_line(result, f"{name}: was not written by hourglass; choose another --out")
    assert Path(name).read_bytes() == before


OPTIONS = {
    "no such network": (["--model", "absent.keras"], "absent.keras: no such network"),
    "no network": (["--model", "photo.jpg"], "photo.jpg: not a whole .keras archive"),
    "an exported one": (["--model", "net.onnx"], "net.onnx: is an export itself; name the .keras"),
    "another name": (["--out", "net.tflite"], "--out net.tflite: a file of --format onnx ends in "),
    "no ending": (["--format", "litert", "--out", "net"], "a file of --format litert ends in .tfl"),
    "an unknown format": (["--format", "int8"], "argument --format: invalid choice: 'int8'"),
    "a halved SavedModel": (["--format", "saved_model", "--half"], "--half is for onnx and litert"),
    "a folder that is there": (
        ["--format", "saved_model", "--out", "taken"],
        "taken: is there already; remove it, or choose another --out",
    ),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_a_wrong_option_is_one_line(run, model_file, case):
    options, reason = OPTIONS[case]
    Path("taken").mkdir()
    if "--model" not in options:
        options = [*options, "--model", model_file]
    assert_one_line(run("export", *options), reason)
    assert sorted(path.name for path in Path().iterdir()) == ["photo.jpg", "taken"]


def test_a_full_disk_is_one_line(run, model_file):
    Path(".net.onnx.tmp").symlink_to("/dev/full")
    result = run("export", "--model", model_file, "--out", "net.onnx")
    assert_one_line(result, "net.onnx: No space left on device")
    assert [path.name for path in Path().iterdir()] == ["photo.jpg"]


def test_without_what_writes_onnx_it_is_one_line(run, model_file, monkeypatch):
    monkeypatch.delitem(sys.modules, "hourglass.export.onnx_format", raising=False)
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    result = run("export", "--model", model_file, "--out", "net.onnx")
    assert_one_line(result, "tf2onnx", "`pip install onnx tf2onnx`")
    assert not Path("net.onnx").exists()
