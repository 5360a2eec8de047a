"""Which package modules a script or module imports, read from its source."""

import ast
from pathlib import Path

from helpers.paths import ROOT

PACKAGE = ROOT / "src" / "hourglass"


def _is_module(path):
    """Not where it says only what its folder owns; the package's own is none of its modules."""
    is_init = path.name == "__init__.py"
    return not is_init or (path.parent != PACKAGE and len(ast.parse(path.read_text()).body) > 1)


MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if _is_module(path)
)


def module_path(name):
    """The file of a module named as in `MODULES`, for example "raw.archives"."""
    path = PACKAGE.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def direct_imports(path, with_hints=True):
    """Names of the package's modules that a file imports itself, anywhere in it.

    Without those of `if TYPE_CHECKING:` it is what runs.
    """
    tree, named = ast.parse(Path(path).read_text()), set()
    if not with_hints:
        tree.body = [node for node in tree.body if not _is_for_hints(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            named |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
    return {name.removeprefix("hourglass.") for name in named} & set(MODULES)


def _is_for_hints(node):
    return isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"


def all_imports(path, but=()):
    """What runs of it, with what those modules import in turn; no module that begins with `but`."""
    found, waiting = set(), direct_imports(path, with_hints=False)
    while waiting:
        name = waiting.pop()
        if name.startswith(tuple(but)):
            continue
        found.add(name)
        waiting |= direct_imports(module_path(name), with_hints=False) - found
    return found
