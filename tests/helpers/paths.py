"""Where the repository lies, and the real data that some tests read where it is at hand.

HOURGLASS_TEST_DATA names the folder of that data (CONTRIBUTING.md says what goes into it).
"""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("HOURGLASS_TEST_DATA") or ROOT.parent / "shared" / "data")


def needs_data(*names):
    """A mark that skips a test where the real data does not hold these files or folders."""
    absent = [name for name in names if not (DATA / name).exists()]
    reason = f"no {', '.join(absent)} in {DATA}: set HOURGLASS_TEST_DATA"
    return pytest.mark.skipif(bool(absent), reason=reason)


# Of the pipeline, in the order of dvc.yaml.
STAGES = (
    "download", "parse", "shard", "encoder", "train", "predict", "evaluate", "report", "export",
)  # fmt: skip
