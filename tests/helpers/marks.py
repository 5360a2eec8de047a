"""Marks of tests."""

from collections.abc import Iterable

import pytest


def mostly_slow(cases: Iterable, *quick) -> list:
    """The cases of a test, those that are not `quick` marked slow: `make faults` runs them too."""
    cases = list(cases)
    assert set(quick) <= set(cases), "a quick case that is none"
    return [case if case in quick else _mark_slow(case) for case in cases]


def _mark_slow(case) -> object:
    values = case if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=pytest.mark.slow)
