"""10,000 mutated pictures and 10,000 mutated annotation files: no crash, no hang, counts add up."""

import json
from pathlib import Path

import pytest

from helpers.paths import DATA
from helpers.processes import run_python

CORPUS = Path(__file__).with_name("corpus.py")
REAL = DATA / "lspet-mini" / "images"


@pytest.mark.parametrize("count", [100, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["pictures", "annotations"])
def test_every_mutated_file_is_read_or_rejected(tmp_path, kind, count):
    done = run_python(CORPUS, kind, count, tmp_path, REAL)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    result = json.loads(done.stdout)
    print(result)
    assert result["read"] + result["rejected"] == count
    assert result["read"] > count / 10 and result["rejected"] > count / 10
    assert len(result["reasons"]) >= 5
