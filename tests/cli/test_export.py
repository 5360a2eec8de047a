import sys
from pathlib import Path

import pytest

from helpers.networks import make_export_metadata
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


@pytest.fixture
def page(run_command, monkeypatch):
    """Run `hourglass page` in an empty folder: what was asked for, lines of stdout and stderr."""
    asked = []

    def run(*arguments, trained_on=("lspet",)):
        def build_page(*values):
            asked.append(values)
            return make_export_metadata(trained_on=trained_on)

        monkeypatch.setattr("hourglass.cli.export.build_page", build_page)
        code, out, err = run_command("page", *arguments)
        assert code == 0
        return asked.pop(), out, err

    return run


def test_a_page_is_of_the_network_trained_here(page):
    asked, _, err = page()
    assert asked == (shipped_network(), Path("page"), None)
    assert len(err) == 1 and err[0].startswith("note: no models/hourglass.keras here")
    Path("models").mkdir()
    Path("models/hourglass.keras").touch()
    asked, _, err = page()
    assert (asked[0], err) == (Path("models/hourglass.keras"), [])


def test_the_page_is_as_its_options_say_and_how_to_see_it_is_said(page):
    asked, out, err = page("--out", "a/b", "--model", "n.onnx", "--runtime", "r")
    assert (asked, err) == ((Path("n.onnx"), Path("a/b"), Path("r")), [])
    (line,) = out
    assert line.startswith("a/b: `python -m http.server --directory a/b` shows it")


def test_a_network_of_drawings_is_warned_of(page):
    _, _, err = page("--model", "n.onnx", trained_on=("synthetic",))
    assert len(err) == 1 and "n.onnx was trained on drawn figures alone" in err[0]
