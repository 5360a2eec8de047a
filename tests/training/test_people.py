import numpy as np
import pytest

from helpers.scenes import make_scene
from hourglass.data.scenes import View
from hourglass.models.people_detector import REFERENCE, STRIDE, build_people_detector
from hourglass.training.people import (
    PeopleParams,
    check_sets,
    choose_scenes,
    encode_view,
    load_encoder_layers,
    make_batches,
    people_loss,
    train_people_detector,
)
from hourglass.utils.backend import tf
from hourglass.utils.errors import UserError
from hourglass.utils.parallel import open_pool

SIZE = 64
PARAMS = PeopleParams(
    complete=["a"], input_size=SIZE, num_channels=8, epochs=2, batch_size=4,
    views={"a": 16, "b": 8}, mosaics=0.3, lr=1e-2, encoder_lr=0.05, weight_decay=0.0, seed=1,
)  # fmt: skip
SCENES = {"a": [make_scene(squares=((60 + 10 * k, 50, 40),)) for k in range(5)],
          "b": [make_scene(is_complete=False)]}  # fmt: skip


def encode(squares, unknown=()):
    unknown = np.array(unknown, np.float64).reshape(-1, 5)
    view = View(np.zeros((SIZE, SIZE, 3), np.uint8), np.array(squares, np.float64), unknown)
    return encode_view(view, SIZE)


def test_a_person_is_one_cell_and_its_surroundings():
    targets = encode([[20.5, 36.5, 32]])
    assert (targets[..., 0] == 1).sum() == 1 and targets[4, 2, 0] == 1
    # The cell's middle is at 19.5, 35.5.
    assert targets[4, 2, 2:5] == pytest.approx([1 / STRIDE, 1 / STRIDE, np.log(32 / REFERENCE)])
    beside = targets[4, 3]
    assert 0.3 < beside[0] < 1 or beside[5] == 0
    if beside[5]:
        assert beside[2] == pytest.approx(1 / STRIDE - 1), "the same middle from the next cell"


def test_what_is_unknown_counts_less_but_near_a_person():
    targets = encode([[20, 20, 16]], [[-0.5, -0.5, 63.5, 63.5, 0.2]])
    assert targets[2, 2, 1] == 1 and targets[7, 7, 1] == np.float32(0.2)
    assert encode([], [[32, 32, 64, 64, 0]])[..., 1].sum() == 64 - 16


def test_the_loss_by_hand():
    targets = encode([[19.5, 19.5, REFERENCE]])[None]
    outputs = np.zeros((1, 8, 8, 4), np.float32)
    outputs[..., 0] = -20
    outputs[0, 2, 2, 0] = 0  # half sure of the one middle
    assert float(people_loss(outputs, targets)) == pytest.approx(0.25 * np.log(2), rel=1e-3)
    outputs[0, 2, 2, 1] = 0.5  # and half a cell off, of all cells that tell of the person
    near = targets[..., 5]
    expected = 0.25 * np.log(2) + 0.5 * near[0, 2, 2] / near.sum()
    others = (near * np.abs(targets[..., 2:4]).sum(axis=-1)).sum() / near.sum()
    assert float(people_loss(outputs, targets)) == pytest.approx(expected + others, rel=1e-3)


def test_nobody_where_nobody_knows_costs_nothing():
    targets = encode([], [[-0.5, -0.5, 63.5, 63.5, 0]])[None]
    outputs = np.full((1, 8, 8, 4), 3, np.float32)
    assert float(people_loss(outputs, targets)) == 0
    assert float(people_loss(outputs, encode([])[None])) > 10


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"views": {"c": 16}}, "people.views: no pictures of a set 'c'; there are a, b"),
        ({"complete": ["a", "c"]}, "people.complete: no pictures of a set 'c'; there are a, b"),
        ({"batch_size": 25}, "people.views: 24 views an epoch are no batch of 25; ask for more"),
    ],
)
def test_a_run_without_its_sets_or_a_batch_is_one_line(changes, line, tmp_path):
    params = PARAMS.model_copy(update=changes)
    with pytest.raises(UserError) as error:
        train_people_detector(SCENES, params, tmp_path / "none.npz")
    assert str(error.value).startswith(line)


def test_a_run_may_be_of_one_batch_an_epoch():
    check_sets(PARAMS.model_copy(update={"batch_size": 24}), SCENES)


def test_an_epoch_shows_as_many_of_each_set_as_asked_for():
    views = choose_scenes(SCENES, PARAMS, epoch=1)
    firsts = [view[0] for view in views]
    assert len(views) == 24
    assert sum(scene is SCENES["b"][0] for scene in firsts) == 8
    counts = [sum(scene is chosen for scene in firsts) for chosen in SCENES["a"]]
    assert sum(counts) == 16 and set(counts) == {3, 4}
    assert {len(view) for view in views} == {1, 4}


def test_an_epoch_is_the_same_each_time_and_others_differ():
    with open_pool(2) as pool:
        first, same = (list(make_batches(SCENES, PARAMS, 1, pool)) for _ in range(2))
        other = list(make_batches(SCENES, PARAMS, 2, pool))
    assert len(first) == 6
    for (pictures, targets), (again, targets_again) in zip(first, same, strict=True):
        assert (pictures == again).all() and (targets == targets_again).all()
    assert (first[0][0] != other[0][0]).any()


def write_encoder(path):
    """What the stage `encoder` writes, of the detector's own random layers."""
    network = build_people_detector(SIZE, PARAMS.num_channels)
    arrays = {
        f"{layer.name}/{k}": array + 0.01
        for layer in network.layers
        if layer.name.startswith("encoder_")
        for k, array in enumerate(layer.get_weights())
    }
    with open(path, "wb") as file:
        np.savez(file, **arrays)
    return arrays


def test_the_encoder_starts_from_its_weights(tmp_path):
    arrays = write_encoder(tmp_path / "encoder.npz")
    network = build_people_detector(SIZE, PARAMS.num_channels)
    load_encoder_layers(network, tmp_path / "encoder.npz")
    (kernel,) = network.get_layer("encoder_stem_conv").get_weights()
    assert (kernel == arrays["encoder_stem_conv/0"]).all()


@pytest.mark.slow
def test_training_finds_white_squares(tmp_path, capsys):
    write_encoder(tmp_path / "encoder.npz")
    params = PARAMS.model_copy(update={"epochs": 6, "views": {"a": 64}, "mosaics": 0.0})
    train_people_detector(SCENES, params, tmp_path / "encoder.npz")
    losses = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines()]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.slow
def test_the_same_run_gives_the_same_weights(tmp_path):
    tf.config.experimental.enable_op_determinism()  # as `prepare_devices` does
    write_encoder(tmp_path / "encoder.npz")
    params = PARAMS.model_copy(update={"epochs": 1})

    def train(seed):
        changed = params.model_copy(update={"seed": seed})
        return train_people_detector(SCENES, changed, tmp_path / "encoder.npz").get_weights()

    first, same, other = train(1), train(1), train(2)
    assert all((a == b).all() for a, b in zip(first, same, strict=True))
    assert any((a != b).any() for a, b in zip(first, other, strict=True))
