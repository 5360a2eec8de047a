from pathlib import Path

import pytest

from hourglass.shipped import shipped_network


@pytest.fixture
def page(run_command, monkeypatch):
    """Run `hourglass page` in an empty folder: what was asked for, lines of stdout and stderr."""
    asked = []

    def run(*arguments, trained_on="lspet"):
        def build_page(*values):
            asked.append(values)
            return {"trained_on": trained_on}

        monkeypatch.setattr("hourglass.cli.page.build_page", build_page)
        code, out, err = run_command("page", *arguments)
        assert code == 0
        return asked.pop(), out, err

    return run


def test_the_network_trained_here_is_taken_first(page):
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
    _, _, err = page("--model", "n.onnx", trained_on="synthetic")
    assert len(err) == 1 and "n.onnx was trained on drawn figures alone" in err[0]
