import json

import keras
import pytest

from helpers.networks import make_metadata, write_network_file
from helpers.processes import loaded_after
from hourglass.keypoints import COCO, KeypointSchema
from hourglass.models.metadata import (
    FORMAT_VERSION,
    encode_metadata,
    read_keras_version,
    read_model_metadata,
)
from hourglass.models.saving import save_network
from hourglass.utils.errors import UserError

OWN = KeypointSchema(
    "two", ("left", "right"), (("right", "left"),), (("left", "right"),), {"ends": ("left",)}
)


@pytest.mark.parametrize("schema", [COCO, OWN], ids=["coco", "own"])
def test_what_is_written_is_read(tmp_path, schema):
    metadata = make_metadata(schema=schema, encoder="stem_add", trained_on=("lspet", "own"))
    write_network_file(tmp_path / "a.keras", encode_metadata(metadata))
    assert read_model_metadata(tmp_path / "a.keras") == metadata


def test_a_saved_network_tells_its_metadata_and_what_saved_it(network, tmp_path):
    save_network(network, tmp_path / "a.keras", ["lspet"])
    assert read_model_metadata(tmp_path / "a.keras") == make_metadata(trained_on=("lspet",))
    assert network.metadata == make_metadata(trained_on=()), "saving changes no network"
    assert read_keras_version(tmp_path / "a.keras") == keras.__version__


def change(**values):
    return json.dumps(make_metadata().to_dict() | values)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "damaged: "),
        ("{", "damaged: "),
        ("null", "does not say what network it is"),
        ("[]", "cannot be used: no object"),
        ('"text"', "cannot be used: no object"),
        ("{}", "cannot be used: format version None, not 1"),
        (change(format_version=FORMAT_VERSION + 1), "cannot be used: format version 2, not 1"),
        (change(stride=None), "cannot be used: stride is no int"),
        (change(heads="head"), "cannot be used: heads is no list"),
        (change(more=1), "cannot be used: .*unexpected keyword argument 'more'"),
        (change(schema={}), "cannot be used: .*groups"),
        (change(schema=OWN.to_dict() | {"bones": [["left", "top"]]}), "top: not among"),
    ],
)
def test_metadata_of_no_use_are_one_line(tmp_path, text, part):
    path = tmp_path / "a.keras"
    write_network_file(path, text)
    with pytest.raises(UserError, match=rf"^{path}: .*{part}.*; train it again") as error:
        read_model_metadata(path)
    assert len(str(error.value).splitlines()) == 1


def test_a_plain_keras_file_is_one_line(network, tmp_path):
    network.save(tmp_path / "a.keras")
    with pytest.raises(UserError, match=r"a\.keras: does not say what network it is; train it"):
        read_model_metadata(tmp_path / "a.keras")


def test_no_network_and_no_archive_are_one_line(tmp_path):
    with pytest.raises(UserError, match="no such network; train one"):
        read_model_metadata(tmp_path / "a.keras")
    (tmp_path / "a.keras").write_bytes(b"PK" * 40)
    with pytest.raises(UserError, match="damaged: File is not a zip file; train it again"):
        read_keras_version(tmp_path / "a.keras")


def test_keras_is_not_needed():
    assert not loaded_after("import hourglass.models.metadata", "keras", "tensorflow")
