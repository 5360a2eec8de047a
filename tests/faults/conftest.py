"""`pytest tests/faults --faults-table FILE`: what was tried and what held, as a Markdown table."""

from collections import Counter
from pathlib import Path

import pytest

from helpers.stages import end_stage, load_stage

HEADER = """\
# Faults

Every promise about faults and bad input is a test in `tests/faults`. `make faults` runs them all,
`make test` the quick ones. `make faults TABLE=docs/faults.md` writes this table.

A case is one fault. It holds if the program handles it, or sets the record aside with the reason,
or ends with one line. That line says which file, what is wrong, and what to do. Nothing is lost,
and nothing is half-written.

| family | what is tried | cases tried | held |
|---|---|---:|---:|
"""


def pytest_addoption(parser):
    parser.addoption("--faults-table", metavar="FILE", help="write the table of faults to FILE")


def pytest_configure(config):
    # The default: where pytest meets this file late, it has read the command line without it.
    if path := config.getoption("faults_table", default=None):
        config.pluginmanager.register(FaultsTable(Path(path).resolve()))


class FaultsTable:
    """Counts the test items of each file here, which is a family; its docstring says of what."""

    def __init__(self, path):
        self.path = path
        self.family = {}  # of each item that was not skipped
        self.about = {}
        self.failed, self.passed = set(), set()

    def pytest_collection_finish(self, session):
        for item in session.items:
            name = item.path.stem.removeprefix("test_").removesuffix("_faults")
            self.family[item.nodeid] = name
            self.about[name] = item.module.__doc__.splitlines()[0].rstrip(".")

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed.add(report.nodeid)
        elif report.skipped:
            self.family.pop(report.nodeid)
        elif report.when == "call":
            self.passed.add(report.nodeid)

    def pytest_sessionfinish(self, exitstatus):
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return
        tried = Counter(self.family.values())
        held = Counter(self.family[item] for item in self.passed - self.failed)
        rows = [f"| {name} | {self.about[name]} | {tried[name]} | {held[name]} |" for name in tried]
        rows.append(f"| **total** | | **{tried.total()}** | **{held.total()}** |")
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(HEADER + "\n".join(rows) + "\n")


@pytest.fixture
def run_stage(tmp_path, monkeypatch, capsys):
    """A function that runs a stage in `tmp_path`, in this process: exit code, stdout, stderr."""

    def run(name, *arguments):
        stage = load_stage(name)
        monkeypatch.chdir(tmp_path)
        capsys.readouterr()
        return end_stage(stage, *arguments), *capsys.readouterr()

    return run
