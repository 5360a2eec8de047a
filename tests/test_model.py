import os
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from hourglass.errors import UserError
from hourglass.network.hourglass import build_hourglass, scale_heatmaps
from hourglass.network.storage import (
    load_network,
    load_weights,
    read_trained_on,
    save_network,
)
from hourglass.params import ModelParams


def make_params(num_stacks=2, num_channels=8, num_levels=2, input_size=32):
    return ModelParams(
        num_stacks=num_stacks,
        num_channels=num_channels,
        num_levels=num_levels,
        input_size=input_size,
    )


def random_pictures(number=2, size=32, seed=1):
    return np.random.default_rng(seed).uniform(0, 255, (number, size, size, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def two_stacks():
    keras.utils.set_random_seed(1)
    return build_hourglass(make_params())


def test_every_stack_gives_heatmaps_of_a_quarter_of_the_input(two_stacks):
    heatmaps = two_stacks(random_pictures())
    assert [tuple(h.shape) for h in heatmaps] == [(2, 8, 8, 16)] * 2
    assert all(h.dtype == "float32" for h in heatmaps)


def test_the_network_of_the_paper_has_its_size():
    network = build_hourglass(make_params(4, 256, 4, 256))
    assert [tuple(output.shape) for output in network.outputs] == [(None, 64, 64, 16)] * 4
    assert round(network.count_params() / 1e6, 1) == 12.9


def test_the_levels_reach_down_to_their_resolution(two_stacks):
    assert two_stacks.get_layer("stack1_level1_bottom_add").output.shape[1:] == (2, 2, 8)
    assert two_stacks.get_layer("stack1_level2_skip_add").output.shape[1:] == (8, 8, 8)


def test_heads_start_near_zero(two_stacks):
    for heatmaps in two_stacks(random_pictures(), training=True):
        assert 0 < np.abs(heatmaps).max() < 0.05


def test_residuals_start_as_their_identities(two_stacks):
    last = [layer for layer in two_stacks.layers if layer.name.endswith("_conv3")]
    added = [layer for layer in two_stacks.layers if layer.name.endswith(("_conv1", "_conv2"))]
    assert len(last) == 3 + 2 * (3 * 2 + 2)
    assert all(not np.any(layer.kernel) for layer in last)
    assert all(np.std(layer.kernel) > 0.01 for layer in added)


def test_the_merge_keeps_the_identity_branch(two_stacks):
    merge = two_stacks.get_layer("stack1_merge")
    entry = two_stacks.get_layer("stem_residual3_add")
    names = (entry.name, "stack1_merge_features", "stack1_merge_heatmaps")
    assert [id(tensor) for tensor in merge.input] == [
        id(two_stacks.get_layer(name).output) for name in names
    ]


def test_the_first_stack_reaches_the_second_by_the_identity_alone(two_stacks):
    # With both convolutions of the merge at zero the second stack still sees the picture.
    model = keras.models.clone_model(two_stacks)
    for name in ("stack1_merge_features", "stack1_merge_heatmaps"):
        layer = model.get_layer(name)
        layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    one, other = np.asarray(model(random_pictures(2))[1])
    assert np.abs(one - other).max() > 0


def test_mixed_precision_keeps_float32_heatmaps():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = build_hourglass(make_params())
    finally:
        keras.config.set_dtype_policy("float32")
    assert network.get_layer("stack1_linear").compute_dtype == "bfloat16"
    assert [output.dtype for output in network.outputs] == ["float32"] * 2


def test_saved_twice_gives_the_same_bytes(network, tmp_path):
    for name in ("a.keras", "b.keras"):
        save_network(network, tmp_path / name, "synthetic")
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.keras", "b.keras"]


def test_the_saved_file_says_nothing_of_the_day(network, tmp_path):
    save_network(network, tmp_path / "a.keras", "synthetic")
    with zipfile.ZipFile(tmp_path / "a.keras") as file:
        assert b"date" not in file.read("metadata.json")
        assert {info.date_time[0] for info in file.infolist()} == {1980}


def test_the_file_tells_what_the_network_was_trained_on(network, tmp_path):
    save_network(network, tmp_path / "a.keras", "lspet")
    assert read_trained_on(tmp_path / "a.keras") == "lspet"
    network.save(tmp_path / "b.keras")
    assert read_trained_on(tmp_path / "b.keras") is None


def test_a_failed_save_leaves_the_old_file(network, tmp_path, monkeypatch):
    path = tmp_path / "a.keras"
    path.write_text("old")
    monkeypatch.setattr("hourglass.network.storage._without_accidents", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_network(network, path, "synthetic")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_saved_network_loads_without_the_package(network, tmp_path):
    save_network(network, tmp_path / "a.keras", "synthetic")
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
    save_network(network, tmp_path / "a.keras", "synthetic")
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
    save_network(build_hourglass(make_params(1, 4, 1)), path, "synthetic")
    path.write_bytes(path.read_bytes()[:-2000])


def write_damaged_weights(path):
    save_network(build_hourglass(make_params(1, 4, 1)), path, "synthetic")
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    members["model.weights.h5"] = members["model.weights.h5"][:5000]
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)


def write_wrong_number_of_joints(path):
    pictures = keras.Input((32, 32, 3))
    keras.Model(pictures, keras.layers.Conv2D(17, 1, strides=4)(pictures)).save(path)


def write_classifier(path):
    pictures = keras.Input((32, 32, 3))
    classes = keras.layers.Dense(16)(keras.layers.GlobalAveragePooling2D()(pictures))
    keras.Model(pictures, classes).save(path)


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
    save_network(network, tmp_path / "a.keras", "synthetic")
    other = keras.models.clone_model(network)
    load_weights(other, tmp_path / "a.keras")
    np.testing.assert_array_equal(other(random_pictures())[-1], network(random_pictures())[-1])


@pytest.mark.parametrize("sizes", [{"num_channels": 16}, {"num_stacks": 2}, {"num_levels": 2}])
def test_load_weights_of_other_sizes_names_the_file(model_file, sizes):
    params = make_params(**{"num_stacks": 1, "num_levels": 1} | sizes)
    with pytest.raises(UserError, match=r"hourglass\.keras: .*init_weights"):
        load_weights(build_hourglass(params), model_file)


def test_scaled_heatmaps_share_the_weights_and_survive_saving(tmp_path, two_stacks):
    scaled = scale_heatmaps(two_stacks, 0.25)
    pictures = random_pictures()
    for plain, quarter in zip(two_stacks(pictures), scaled(pictures), strict=True):
        np.testing.assert_allclose(quarter, np.asarray(plain) / 4, rtol=1e-6)
    save_network(scaled, tmp_path / "scaled.keras", "synthetic")
    loaded = load_network(tmp_path / "scaled.keras")
    np.testing.assert_array_equal(loaded(pictures)[-1], scaled(pictures)[-1])
    load_weights(two_stacks, tmp_path / "scaled.keras")  # it can be trained on
    assert scale_heatmaps(two_stacks, 1) is two_stacks


def test_two_processes_save_the_same_bytes(tmp_path):
    program = (
        "import sys; from hourglass.frameworks import keras; "
        "from hourglass.network.hourglass import *; from hourglass.network.storage import *; "
        "from hourglass.params import ModelParams; keras.utils.set_random_seed(1); "
        "params = ModelParams(num_stacks=1, num_channels=8, num_levels=1, input_size=32); "
        "save_network(build_hourglass(params), sys.argv[1], 'synthetic')"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")}
    paths = [tmp_path / "one.keras", tmp_path / "two.keras"]
    for path in paths:
        subprocess.run([sys.executable, "-c", program, path], env=environment, check=True)
    assert paths[0].read_bytes() == paths[1].read_bytes()
