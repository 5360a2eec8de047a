"""Which package modules a script or module imports, read from its source."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "hourglass"


def direct_imports(path):
    """Names of the package's modules that a file imports itself, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(Path(path).read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "hourglass":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hourglass."):
            names.add(node.module.removeprefix("hourglass."))
        elif isinstance(node, ast.Import):
            names |= {
                alias.name.removeprefix("hourglass.")
                for alias in node.names
                if alias.name.startswith("hourglass.")
            }
    return names


def all_imports(path):
    """The same with what those modules import in turn."""
    found, waiting = set(), direct_imports(path)
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= direct_imports(PACKAGE / f"{name}.py") - found
    return found
