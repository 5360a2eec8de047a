import re
import sys
from importlib.metadata import version

import pytest

from helpers.processes import run_python
from hourglass.cli import main
from hourglass.inference.person_search import THRESHOLD


@pytest.mark.parametrize(
    "arguments", [[], ["predict"], ["sticker"], ["fly"], ["export", "--half=1"], ["page", "x"]]
)
def test_wrong_usage_is_explained(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["hourglass", *arguments])
    with pytest.raises(SystemExit) as end:
        main.main()
    assert end.value.code == 1
    line = r"error: .*; `hourglass( predict| sticker| export| page)? --help` says more\n"
    assert re.fullmatch(line, capsys.readouterr().err)


def test_an_error_that_the_system_did_not_give_keeps_its_text(monkeypatch, capsys):
    def fail(options):
        raise OSError("encoder error -2 when writing image file")

    monkeypatch.setattr(main.predict, "run_predict", fail)
    monkeypatch.setattr(sys, "argv", ["hourglass", "predict", "photo.jpg"])
    with pytest.raises(SystemExit) as end:
        main.main()
    assert end.value.code == 1
    reason = "encoder error -2 when writing image file"
    line = f"error: output: {reason}; fix it, or choose another --out"
    assert capsys.readouterr().err == f"{line}\n"


def test_the_version_is_that_of_the_package(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["hourglass", "--version"])
    with pytest.raises(SystemExit) as end:
        main.main()
    assert (end.value.code, capsys.readouterr().out) == (0, f"hourglass {version('hourglass')}\n")


@pytest.mark.parametrize(
    ("command", "defaults"),
    [
        ("predict", ("all", str(THRESHOLD), "poses", "use both")),
        ("sticker", ("1", str(THRESHOLD), "stickers", "all three", "0")),
        ("export", ("onnx", "use both")),
        ("page", ("page", "npm fetches them, once")),
    ],
)
def test_help_loads_no_tensorflow(command, defaults):
    code = (
        "from hourglass.cli.main import main\n"
        f"import sys; sys.argv = ['hourglass', '{command}', '--help']\n"
        "try: main()\n"
        "except SystemExit: sys.exit('tensorflow' in sys.modules)"
    )
    result = run_python("-c", code)
    assert result.returncode == 0
    text = " ".join(result.stdout.split())
    for default in (*defaults, "models/hourglass.keras, else the shipped one"):
        assert f"(default: {default})" in text
