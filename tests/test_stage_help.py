"""Every stage says what it does, and does nothing else when asked or misused."""

import re

import pytest
import yaml

from helpers.paths import ROOT
from helpers.processes import run_python

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
# As `python stages/NAME.py`; then says on stderr whether TensorFlow was loaded.
RUN = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print("tensorflow" in sys.modules, file=sys.stderr)
"""


def run(stage, argument, folder):
    """Exit code, stdout, lines of stderr, in an empty folder."""
    result = run_python("-c", RUN, ROOT / "stages" / f"{stage}.py", argument, cwd=folder)
    assert not list(folder.iterdir())
    *err, has_tensorflow = result.stderr.splitlines()
    assert has_tensorflow == "False"
    return result.returncode, result.stdout, err


def outs_of(entry):
    outs = [*entry["outs"], *entry.get("metrics", [])]
    paths = [out if isinstance(out, str) else next(iter(out)) for out in outs]
    return {path.replace("${data.dataset}", "<dataset>") for path in paths}


def listed(help_text, word):
    """What a help text lists after `word`, up to the next such word or blank line."""
    text = re.search(rf"^{word} +(.*?)(?=^\w|\n\n)", help_text + "\n\n", re.M | re.S).group(1)
    return {item.strip() for item in re.split(r"[,;]", text)}


@pytest.mark.parametrize("stage", STAGES)
def test_help_names_what_dvc_yaml_names(stage, tmp_path):
    code, text, err = run(stage, "--help", tmp_path)
    assert (code, err) == (0, [])
    assert outs_of(STAGES[stage]) <= listed(text, "writes")
    assert listed(text, "params") == set(STAGES[stage].get("params", ["none"]))
    assert listed(text, "reads")


@pytest.mark.parametrize("stage", STAGES)
def test_an_unknown_argument_is_refused_in_one_line(stage, tmp_path):
    code, text, err = run(stage, "--fast\nnow", tmp_path)
    assert (code, text, len(err)) == (1, "", 1)
    assert re.fullmatch(
        r"error: unrecognized arguments: --fast now; `python .+ --help` says more", err[0]
    )
