"""The Makefile's own logic: a setup that any folder stands."""

import shutil
import subprocess

from helpers.paths import ROOT

# Stands for Python, and for the pip of the environments that it makes.
RECORDER = """\
#!/bin/sh
echo "${0##*/} $*" >> calls
[ "$2" != venv ] || { mkdir -p "$3/bin" && cp "$0" "$3/bin/pip"; }
"""


def test_setup_runs_in_a_folder_with_spaces_and_only_once(tmp_path):
    folder = tmp_path / "my own  folder"
    (folder / "requirements").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements/cpu.txt", "requirements/gpu.txt"):
        shutil.copy(ROOT / name, folder / name)
    python = folder / "python"
    python.write_text(RECORDER)
    python.chmod(0o755)
    for _ in range(2):
        subprocess.run(["make", "setup", f"PYTHON={python}"], cwd=folder, check=True)
    calls = (folder / "calls").read_text().splitlines()
    assert calls[0] == "python -m venv .venv"
    assert [call.split()[:2] for call in calls[1:]] == [["pip", "install"]] * 2
    assert calls[1].split()[-2:] in (["-r", f"requirements/{kind}.txt"] for kind in ("cpu", "gpu"))
