"""A run whose network starts from a pretrained encoder."""

import numpy as np
import pytest

from helpers.networks import make_params
from hourglass.data.tfrecords.reader import open_split
from hourglass.keypoints import MPII
from hourglass.models.graph import encoder_layers, encoder_variables
from hourglass.models.registry import build_model
from hourglass.training.devices import prepare_devices
from hourglass.training.param_groups import MuonGroup
from hourglass.training.trainer import Trainer
from hourglass.utils.errors import UserError

MODEL = make_params(1, 8, 1, 32, "efficientnet_lite0")


@pytest.fixture
def arrays():
    """What a file of pretrained weights holds, with random numbers."""
    rng = np.random.default_rng(4)
    return {
        f"{layer.name}/{k}": rng.uniform(0.1, 0.2, weight.shape).astype(np.float32)
        for layer in encoder_layers(build_model(MODEL, MPII))
        for k, weight in enumerate(layer.weights)
    }


@pytest.fixture
def make_trainer(tiny_params, shard_folder, tmp_path):
    """A function that gives a Trainer with a file of pretrained weights."""
    splits = [open_split(shard_folder, split, 32) for split in ("train", "validation")]
    params = tiny_params.model_copy(update={"model": MODEL})

    def make(arrays):
        np.savez(tmp_path / "encoder.npz", **arrays)
        strategy = prepare_devices(params.train)
        return Trainer(
            params, *splits, strategy, tmp_path / "state.npz", encoder=tmp_path / "encoder.npz"
        )

    return make


@pytest.mark.slow
def test_the_encoder_starts_from_its_weights_and_moves_at_its_own_rate(make_trainer, arrays):
    trainer = make_trainer(arrays)
    before = {variable.path: variable.numpy() for variable in trainer.trained}
    for variable in encoder_variables(trainer.network):
        layer, kind = variable.path.split("/")
        number = 1 if kind == "beta" else 0
        np.testing.assert_array_equal(before[variable.path], arrays[f"{layer}/{number}"])
    trainer.train_one_epoch(1, [])
    moves = {v.path: np.abs(v.numpy() - before[v.path]).mean() for v in trainer.trained}
    encoder = [moves[variable.path] for variable in encoder_variables(trainer.network)]
    others = [move for path, move in moves.items() if not path.startswith("encoder_")]
    assert min(encoder) > 0 and np.median(encoder) < 0.2 * np.median(others)


def test_muon_moves_none_of_it_and_its_betas_have_no_limit(make_trainer, arrays):
    trainer = make_trainer(arrays)
    pretrained = {variable.path for variable in encoder_variables(trainer.network)}
    for group in trainer.optimizer.param_groups.groups:
        ours = {variable.path for variable in group.variables} & pretrained
        assert ours in (set(), {variable.path for variable in group.variables})
        assert group.lr_factor == (trainer.params.encoder_lr if ours else 1)
        assert not (ours and isinstance(group, MuonGroup))
        assert not (ours and group.is_beta.any())


def test_other_weights_are_one_line(make_trainer, arrays):
    del arrays["encoder_stem_norm/2"]
    with pytest.raises(UserError, match=r"encoder.npz: not the weights of the encoder: .*norm/2"):
        make_trainer(arrays)
