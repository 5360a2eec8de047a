import json
import math

import keras
import pytest

from helpers.networks import make_export_metadata, make_metadata, write_network_file
from helpers.processes import loaded_after
from hourglass.keypoints import COCO, KeypointSchema
from hourglass.models import metadata
from hourglass.models.metadata import (
    FORMAT_VERSION,
    Calibration,
    decode_export,
    encode_export,
    encode_metadata,
    read_keras_version,
    read_metadata,
)
from hourglass.models.saving import save_network
from hourglass.utils import transforms
from hourglass.utils.errors import UserError

OWN = KeypointSchema(
    "two", ("left", "right"), (("right", "left"),), (("left", "right"),), {"ends": ("left",)}
)

LINE = Calibration((0.0, 0.25), (0.0, 1.0))


@pytest.mark.parametrize("schema", [COCO, OWN], ids=["coco", "own"])
def test_what_is_written_is_read(tmp_path, schema):
    metadata = make_metadata(
        schema=schema, encoder="stem_add", trained_on=("lspet", "own"), calibration=LINE
    )
    write_network_file(tmp_path / "a.keras", encode_metadata(metadata))
    assert read_metadata(tmp_path / "a.keras") == metadata


def test_a_saved_network_tells_its_metadata_and_what_saved_it(network, tmp_path):
    save_network(network, tmp_path / "a.keras", ["lspet"])
    assert read_metadata(tmp_path / "a.keras") == make_metadata(trained_on=("lspet",))
    assert network.metadata == make_metadata(trained_on=()), "saving changes no network"
    assert read_keras_version(tmp_path / "a.keras") == keras.__version__


def bend(heights, probabilities):
    return {"heights": heights, "probabilities": probabilities}


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
        ("{}", "cannot be used: format version None, not 2"),
        (change(format_version=FORMAT_VERSION + 1), "cannot be used: format version 3, not 2"),
        (change(stride=None), "cannot be used: stride is no int"),
        (change(heads="head"), "cannot be used: heads is no list"),
        (change(more=1), "cannot be used: .*unexpected keyword argument 'more'"),
        (change(calibration={}), "cannot be used: 'heights'"),
        (change(calibration=bend((0.1, 0.1), (0, 1))), "calibration is no rising line"),
        (change(calibration=bend((0, 1), (0.5, 0.4))), "calibration is no rising line"),
        (change(calibration=bend((0, 1), (0, 1.1))), "calibration is no rising line"),
        (change(calibration=bend((0, math.inf), (0, 1))), "calibration is no rising line"),
        (change(calibration=bend((0, 1), (0,))), "cannot be used: zip"),
        (change(schema={}), "cannot be used: .*groups"),
        (change(schema=OWN.to_dict() | {"bones": [["left", "top"]]}), "top: not among"),
    ],
)
def test_metadata_of_no_use_are_one_line(tmp_path, text, part):
    path = tmp_path / "a.keras"
    write_network_file(path, text)
    with pytest.raises(UserError, match=rf"^{path}: .*{part}.*; train it again") as error:
        read_metadata(path)
    assert len(str(error.value).splitlines()) == 1


def test_a_plain_keras_file_is_one_line(network, tmp_path):
    network.save(tmp_path / "a.keras")
    with pytest.raises(UserError, match=r"a\.keras: does not say what network it is; train it"):
        read_metadata(tmp_path / "a.keras")


def test_no_network_and_no_archive_are_one_line(tmp_path):
    with pytest.raises(UserError, match="no such network; train one"):
        read_metadata(tmp_path / "a.keras")
    (tmp_path / "a.keras").write_bytes(b"PK" * 40)
    with pytest.raises(UserError, match="damaged: File is not a zip file; train it again"):
        read_keras_version(tmp_path / "a.keras")


def test_keras_is_not_needed():
    assert not loaded_after("import hourglass.models.metadata", "keras", "tensorflow")


# Exports


TEXT = encode_export(make_export_metadata())


@pytest.mark.parametrize("schema", [COCO, OWN], ids=["coco", "own"])
def test_what_is_exported_is_read(schema):
    metadata = make_export_metadata(False, schema=schema, trained_on=("lspet", "own"))
    text = encode_export(metadata)
    assert decode_export(text, "a.onnx") == decode_export(text.encode(), "a.onnx") == metadata


def test_the_way_back_to_the_picture_is_the_one_that_is_told():
    # As the text has it, in the numbers of a crop of 30 px at 5, seen at 64 px.
    told = json.loads(TEXT)
    assert "1.375 times" in told["input"]
    assert "left + (x + 0.5) * side / input_size - 0.5" in told["output"]
    (x, y), expected = (10, 20), [5 + 10.5 * 30 / 64 - 0.5, 7 + 20.5 * 30 / 64 - 0.5]
    to_picture = transforms.crop_transform((5, 7, 30), 64)
    assert transforms.apply_transform(to_picture, [x, y]) == pytest.approx(expected)


def without(key):
    return json.dumps({name: value for name, value in json.loads(TEXT).items() if name != key})


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (None, "Expecting value"), ("", "Expecting value"), ("{", "Expecting"), ("[]", "no object"),
        ("7", "no object"), ("null", "no object"), (without("made_from"), "made_from is no str"),
        (without("schema"), "schema is no dict"), (TEXT.replace("32,", '"32",'), "input_size is"),
        (TEXT.replace('"format_version": 2', '"format_version": 3'), "format version 3, not 2"),
        ('{"joints": [], "input_size": 32}', "flip_test is no bool"),
    ],
)  # fmt: skip
def test_an_export_of_another_program_or_version_is_one_line(text, part):
    expected = rf"^a\.onnx: not a network of this version of `hourglass export`: .*{part}"
    with pytest.raises(UserError, match=expected) as error:
        decode_export(text, "a.onnx")
    assert len(str(error.value).splitlines()) == 1


def test_a_file_that_may_not_be_read_is_not_called_damaged(monkeypatch, tmp_path):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(metadata.zipfile, "ZipFile", refuse)
    with pytest.raises(UserError, match=r"a\.keras: Permission denied; fix it or name another"):
        read_metadata(tmp_path / "a.keras")
