import keras
import pytest

from helpers.networks import write_network_file
from helpers.processes import loaded_after
from hourglass.models.metadata import read_keras_version, read_trained_on
from hourglass.models.saving import save_network
from hourglass.utils.errors import UserError


def test_the_file_tells_what_the_network_was_trained_on_and_what_saved_it(network, tmp_path):
    save_network(network, tmp_path / "a.keras", "lspet")
    assert read_trained_on(tmp_path / "a.keras") == "lspet"
    assert read_keras_version(tmp_path / "a.keras") == keras.__version__
    network.save(tmp_path / "b.keras")
    assert read_trained_on(tmp_path / "b.keras") is None


@pytest.mark.parametrize("about", ["", "[]", '"text"', "{}", "{"])
def test_a_damaged_entry_is_one_line(tmp_path, about):
    path = tmp_path / "a.keras"
    write_network_file(path, about=about)
    with pytest.raises(UserError, match=r"a\.keras: damaged: .*; train it again") as error:
        read_trained_on(path)
    assert len(str(error.value).splitlines()) == 1


def test_no_network_and_no_archive_are_one_line(tmp_path):
    with pytest.raises(UserError, match="no such network; train one"):
        read_trained_on(tmp_path / "a.keras")
    (tmp_path / "a.keras").write_bytes(b"PK" * 40)
    with pytest.raises(UserError, match="damaged: File is not a zip file; train it again"):
        read_keras_version(tmp_path / "a.keras")


def test_keras_is_not_needed():
    assert not loaded_after("import hourglass.models.metadata", "keras", "tensorflow")
