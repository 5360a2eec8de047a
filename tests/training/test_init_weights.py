from pathlib import Path

import pytest

from hourglass.training import init_weights
from hourglass.training.init_weights import find_init_weights
from hourglass.utils.errors import UserError


def test_without_a_name_there_is_no_start():
    assert find_init_weights("") is None


def test_a_file_is_taken_as_it_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("shipped").write_text("a file of the user's")
    assert find_init_weights("./shipped") == Path("shipped")


def test_shipped_is_the_network_of_the_package(monkeypatch):
    monkeypatch.setattr(init_weights, "shipped_network", lambda: Path("package/photographs.keras"))
    assert find_init_weights("shipped") == Path("package/photographs.keras")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"a\.keras: no such file; fix train\.init_weights"):
        find_init_weights(str(tmp_path / "a.keras"))
