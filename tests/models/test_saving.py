import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from helpers.networks import make_metadata, make_params, random_pictures
from helpers.paths import ROOT
from helpers.processes import run_python
from hourglass.keypoints import MPII
from hourglass.models.batch_norm import clone_network
from hourglass.models.registry import build_model
from hourglass.models.saving import load_network, load_weights, save_network
from hourglass.utils.errors import UserError


def test_saved_twice_gives_the_same_bytes(network, tmp_path):
    for name in ("a.keras", "b.keras"):
        save_network(network, tmp_path / name, ["synthetic"])
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.keras", "b.keras"]


def test_the_saved_file_says_nothing_of_the_day(network, tmp_path):
    save_network(network, tmp_path / "a.keras", ["synthetic"])
    with zipfile.ZipFile(tmp_path / "a.keras") as file:
        assert b"date" not in file.read("metadata.json")
        assert {info.date_time[0] for info in file.infolist()} == {1980}


def test_a_failed_save_leaves_the_old_file(network, tmp_path):
    path = tmp_path / "a.keras"
    path.write_text("old")
    (tmp_path / ".a.keras.tmp").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        save_network(network, path, ["synthetic"])
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_the_saved_network_loads_without_the_package(network, tmp_path):
    save_network(network, tmp_path / "a.keras", ["synthetic"])
    np.save(tmp_path / "pictures.npy", random_pictures())
    code = (
        "import sys, keras, numpy as np; model = keras.models.load_model('a.keras');"
        "np.save('heatmaps.npy', model(np.load('pictures.npy'))[-1]);"
        "sys.exit('hourglass' in sys.modules)"
    )
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True)
    expected = np.asarray(network(random_pictures())[-1])
    np.testing.assert_allclose(np.load(tmp_path / "heatmaps.npy"), expected, atol=1e-6)


def test_load_model_gives_the_saved_weights(network, tmp_path):
    save_network(network, tmp_path / "a.keras", ["synthetic"])
    for old, new in zip(
        network.get_weights(), load_network(tmp_path / "a.keras").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(old, new)


def write_nothing(path):
    pass


def write_garbage(path):
    path.write_bytes(b"\x00garbage" * 100)


def write_empty(path):
    path.write_bytes(b"")


def write_other_zip(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "no model")


def write_damaged_config(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("metadata.json", "{}")
        file.writestr("config.json", "{")
        file.writestr("model.weights.h5", "")


def write_truncated(path):
    save_network(build_model(make_params(1, 4, 1), MPII), path, ["synthetic"])
    path.write_bytes(path.read_bytes()[:-2000])


def write_damaged_weights(path):
    save_network(build_model(make_params(1, 4, 1), MPII), path, ["synthetic"])
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    members["model.weights.h5"] = members["model.weights.h5"][:5000]
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)


def save_as_ours(network, path):
    """Save with metadata that are not of this network."""
    network.metadata = make_metadata()
    save_network(network, path, ["synthetic"])


def write_wrong_number_of_joints(path):
    pictures = keras.Input((32, 32, 3))
    save_as_ours(keras.Model(pictures, keras.layers.Conv2D(17, 1, strides=4)(pictures)), path)


def write_classifier(path):
    pictures = keras.Input((32, 32, 3))
    classes = keras.layers.Dense(16)(keras.layers.GlobalAveragePooling2D()(pictures))
    save_as_ours(keras.Model(pictures, classes), path)


def write_unbuilt(path):
    keras.Sequential([keras.layers.Dense(16)]).save(path)


@pytest.mark.parametrize(
    "write",
    [
        write_nothing, write_garbage, write_empty, write_other_zip, write_damaged_config,
        write_truncated, write_damaged_weights, write_wrong_number_of_joints, write_classifier,
        write_unbuilt,
    ],
)  # fmt: skip
def test_what_is_no_network_of_ours_is_one_line(write, tmp_path):
    path = tmp_path / "model.keras"
    write(path)
    with pytest.raises(UserError) as caught:
        load_network(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1


def test_load_weights_copies_all(network, tmp_path):
    save_network(network, tmp_path / "a.keras", ["synthetic"])
    other = clone_network(network, lambda layer: layer.__class__.from_config(layer.get_config()))
    load_weights(other, tmp_path / "a.keras")
    np.testing.assert_array_equal(other(random_pictures())[-1], network(random_pictures())[-1])


@pytest.mark.parametrize("sizes", [{"num_channels": 16}, {"num_stacks": 2}, {"num_levels": 2}])
def test_load_weights_of_other_sizes_names_the_file(model_file, sizes):
    params = make_params(**{"num_stacks": 1, "num_levels": 1} | sizes)
    with pytest.raises(UserError, match=r"hourglass\.keras: .*init_weights"):
        load_weights(build_model(params, MPII), model_file)


@pytest.mark.slow
def test_two_processes_save_the_same_bytes(tmp_path):
    program = (
        "import sys; from hourglass.utils.backend import keras; "
        "from hourglass.models.registry import *; from hourglass.models.saving import *; "
        "from helpers.networks import *; keras.utils.set_random_seed(1); "
        "save_network(build_model(make_params(), MPII), sys.argv[1], ['synthetic'])"
    )
    paths = [tmp_path / "one.keras", tmp_path / "two.keras"]
    for path in paths:
        run_python("-c", program, path, check=True, cwd=ROOT / "tests")
    assert paths[0].read_bytes() == paths[1].read_bytes()
