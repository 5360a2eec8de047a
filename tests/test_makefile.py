"""The Makefile's own logic: environments that any folder stands."""

import re
import shutil
import subprocess

from helpers.paths import ROOT

# Stands for Python, and for the pip of the environments that it makes.
RECORDER = """\
#!/bin/sh
echo "${0##*/} $*" >> calls
[ "$2" != venv ] || { mkdir -p "$3/bin" && cp "$0" "$3/bin/pip"; }
"""


def prepare_folder(folder):
    """A folder with what `make setup` reads, and a Python that only writes down its calls."""
    (folder / "requirements").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements/cpu.txt", "requirements/gpu.txt"):
        shutil.copy(ROOT / name, folder / name)
    python = folder / "python"
    python.write_text(RECORDER)
    python.chmod(0o755)
    return f"PYTHON={python}"


def test_setup_runs_in_a_folder_with_spaces_and_only_once(tmp_path):
    folder = tmp_path / "my own  folder"
    python = prepare_folder(folder)
    for _ in range(2):
        # `make test` has its own make say which folder it leaves.
        command = ["make", "--no-print-directory", "setup", python]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        assert done.stdout.splitlines()[-1].startswith("next: source .venv/bin/activate")
    calls = (folder / "calls").read_text().splitlines()
    assert calls[0] == "python -m venv .venv"
    assert [call.split()[:2] for call in calls[1:]] == [["pip", "install"]] * 2
    assert calls[1].split()[-2:] in (["-r", f"requirements/{kind}.txt"] for kind in ("cpu", "gpu"))


def test_the_gpu_check_adds_one_wheel_to_the_environment(tmp_path):
    folder = tmp_path / "my own  folder"
    python = prepare_folder(folder)
    subprocess.run(["make", ".venv-gpu/installed", python], cwd=folder, check=True)
    call = (folder / "calls").read_text().splitlines()[-1]
    assert "--no-deps --require-hashes --target .venv-gpu -r .venv-gpu/tensorflow.txt" in call
    lines = (folder / ".venv-gpu" / "tensorflow.txt").read_text().splitlines()
    assert lines[0].startswith("tensorflow==") and len(lines) > 2
    assert all(line.startswith("    ") for line in lines[1:]), "no other package"


def test_the_field_is_named_by_its_variables(tmp_path):
    folder = tmp_path / "my own  folder"
    python = prepare_folder(folder)
    for variables, arguments in (
        ([], '"lspet"'),
        (
            ["FOLDER=my own", "MODEL=a b", "BLAZEPOSE=c", "MOVENET=d e"],
            '"my own" --model "a b" --blazepose "c" --movenet "d e"',
        ),
    ):
        command = ["make", "--no-print-directory", "--dry-run", "field", python, *variables]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        assert (
            done.stdout.splitlines()[-1].split()
            == f"python benchmarks/field.py {arguments}".split()
        )


def test_the_tests_of_optional_packages_are_named():
    # Not in the locks; Ray, PyAV and what belongs to the tests themselves is.
    optional = re.compile(
        r"""(importorskip|find_spec)\(\s*"(jax|moto|pdoc|pillow_heif|pyarrow)|storage import"""
    )
    needing = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("test_*.py")
        if optional.search(path.read_text()) and path.name != "test_makefile.py"
    }
    lines = (ROOT / "Makefile").read_text().replace("\\\n", " ").splitlines()
    (named,) = (line for line in lines if line.startswith("EXTRA_TESTS := "))
    assert set(named.split()[2:]) == needing


def test_what_is_slow_runs_with_the_extras_or_the_faults():
    lines = (ROOT / "Makefile").read_text().replace("\\\n", " ").splitlines()
    (named,) = (line.split()[2:] for line in lines if line.startswith("SLOW_TESTS := "))
    for path in (ROOT / "tests").rglob("test_*.py"):
        name = str(path.relative_to(ROOT))
        if "mark.slow" in path.read_text() and path.name != "test_makefile.py":
            assert name.startswith(("tests/faults/", *named)), name
