"""YAML files, read as DVC reads them; a fault is one line with its place."""

import textwrap
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import AliasEvent

from hourglass.utils.errors import UserError, one_line


def read_yaml(path: Path) -> Any:
    """The values of a YAML file.

    Raises:
        UserError: the file is missing, not YAML, or has an alias.
    """
    try:
        return _parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run this in a folder that has a {path.name}") from None
    except Exception as error:  # odd tags, `!!bool 7`, get KeyError and more out of the library
        raise UserError(f"{path}: cannot be read: {_describe_fault(error)}; fix it") from None


def _parse(text: str) -> Any:
    """The values, as DVC reads them.

    Aliases alone are refused: with merges (`<<`), ten lines of them fill the memory.
    """
    # As events first: the parser makes them one by one and follows no alias.
    for event in YAML(typ="safe").parse(text):
        if isinstance(event, AliasEvent):
            problem = "an alias is not allowed"
            raise MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
    return YAML(typ="safe").load(text)


def _describe_fault(error: Exception) -> str:
    """The fault of a file that is no YAML, with its place, in one line."""
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    if isinstance(error, OSError):
        return error.strerror or one_line(error)
    # Lines and columns count from 0 in a mark.
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if not mark:
        return one_line(error)
    what = (getattr(error, name, None) for name in ("context", "problem"))
    text = textwrap.shorten(", ".join(filter(None, what)), 160, placeholder=" ...")
    return f"line {mark.line + 1} column {mark.column + 1}: {text}"
