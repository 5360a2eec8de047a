"""YAML files, read as DVC reads them; a fault is one line with its place."""

import reprlib
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import AliasEvent

from hourglass.utils.errors import UserError, one_line

Model = TypeVar("Model", bound=BaseModel)
Examples = Mapping[str | int, str]


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


def read_checked(path: Path, model: type[Model], example: str, examples: Examples) -> Model:
    """The values of a YAML file, checked by a pydantic model.

    Args:
        example: a file that shows every key, for messages.
        examples: {key: another such file for what lies below this key}.

    Raises:
        UserError: the file is missing or not YAML, or a key is unknown, missing, of a wrong type
            or out of range; one line with the key's full name.
    """
    values = read_yaml(path)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        text = _describe_invalid(error, example, examples)
        raise UserError(f"{path}: {one_line(text)}") from None


def _describe_invalid(error: ValidationError, example: str, examples: Examples) -> str:
    """The first fault as 'key: fault (got value)', and the number of further ones."""
    unknown = ("extra_forbidden", "unexpected_keyword_argument")
    # A misspelt key is missing too: its wrong name tells more.
    faults = sorted(error.errors(), key=lambda fault: fault["type"] not in unknown)
    first = faults[0]
    key = ".".join(str(part) for part in first["loc"])
    text = first["msg"].removeprefix("Value error, ")
    if first["type"] == "model_type" and not key:
        return f"holds no sections; add them ({example} shows every key)"
    if first["type"] == "model_type":
        text = f"must hold keys (got {_show(first['input'])})"
    elif first["type"] in unknown:
        text = "unknown key; remove it or fix its spelling"
    elif first["type"] == "missing":
        example = next((examples[part] for part in first["loc"] if part in examples), example)
        text = f"missing; add it ({example} shows every key)"
    elif first["type"] == "tuple_type":
        text = f"must be a list (got {_show(first['input'])})"
    # The input of a fault between two keys is their whole section, which is too long to show.
    elif not isinstance(first["input"], dict | BaseModel):
        text = f"{text} (got {_show(first['input'])})"
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{key}: {text}{more}" if key else f"{text}{more}"


def _show(value: Any) -> str:
    return textwrap.shorten(reprlib.repr(value), 80, placeholder=" ...")
