import sys
from pathlib import Path

import pytest

from hourglass.cli import main
from hourglass.shipped import shipped_network


@pytest.fixture
def export(monkeypatch, capsys, tmp_path):
    """Run `hourglass export` in an empty folder: what was asked for, stdout, stderr."""
    from hourglass.export.verification import Proof

    monkeypatch.chdir(tmp_path)
    asked = []

    def export_network(*arguments):
        asked.append(arguments)
        return Proof(0.000123, 1e-7, 190, 192)

    monkeypatch.setattr("hourglass.export.exporter.export_network", export_network)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["hourglass", "export", *map(str, arguments)])
        main.main()
        return asked.pop(), *capsys.readouterr()

    return run


def test_an_export_lies_beside_its_network(export):
    asked, out, err = export("--model", "models/net.keras")
    assert asked == (Path("models/net.keras"), Path("models/net.onnx"), "onnx", False, True)
    line = "models/net.onnx: at most 0.0001 px from Keras, in 190 of 192 joints of drawn figures\n"
    assert (out, err) == (line, "")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--format", "litert", "--half"], ("net_half.tflite", "litert", True, True)),
        (["--format", "saved_model"], ("net", "saved_model", False, True)),
        (["--no-flip-test"], ("net_no_flip_test.onnx", "onnx", False, False)),
        (["--no-flip-test", "--out", "a/b.onnx"], ("a/b.onnx", "onnx", False, False)),
    ],
)
def test_an_export_is_as_its_options_say(export, options, expected):
    (_, target, *asked), _, _ = export("--model", "net.keras", *options)
    assert (str(target), *asked) == expected


def test_the_network_trained_in_this_folder_is_exported_first(export):
    (model, target, *_), _, err = export()
    assert (model, target) == (shipped_network(), Path("photographs.onnx"))
    assert err.startswith("note: no models/hourglass.keras here; using the shipped network")
    Path("models").mkdir()
    Path("models/hourglass.keras").touch()
    (model, target, *_), _, err = export()
    assert (str(model), str(target), err) == ("models/hourglass.keras", "models/hourglass.onnx", "")
