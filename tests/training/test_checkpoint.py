import os
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers.networks import change_train
from hourglass.training.checkpoint import (
    Checkpoint,
    cache_folder,
    checkpoint_key,
    remove_old_checkpoints,
)
from hourglass.utils.errors import UserError


def test_the_state_comes_back_as_it_was(tmp_path):
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=(2, 3)).astype(np.float32) for _ in range(12)]
    history = [{"epoch": 1, "lr": 0.1, "loss": 1 / 3, "val_pckh": 2 / 3, "val_pckh_0_1": 0.0}]
    state = Checkpoint(arrays, [np.array(5), *arrays[:3]], arrays[::-1], history)
    state.save(tmp_path / "state.npz")
    loaded = Checkpoint.load(tmp_path / "state.npz")
    assert loaded.history == history
    for name in ("weights", "optimizer", "best_weights"):
        for new, old in zip(getattr(loaded, name), getattr(state, name), strict=True):
            np.testing.assert_array_equal(new, old)
            assert new.dtype == old.dtype
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]


def test_the_key_follows_params_and_data(tiny_params):
    key = checkpoint_key(tiny_params, "data", ["CPU"])
    assert checkpoint_key(tiny_params, "data", ["CPU"]) == key
    others = [
        checkpoint_key(tiny_params, "other data", ["CPU"]),
        checkpoint_key(change_train(tiny_params, lr=1e-4), "data", ["CPU"]),
        checkpoint_key(change_train(tiny_params, epochs=4), "data", ["CPU"]),
        checkpoint_key(
            tiny_params.model_copy(
                update={"model": tiny_params.model.model_copy(update={"num_stacks": 2})}
            ),
            "data",
            ["CPU"],
        ),
        checkpoint_key(tiny_params, "data", ["CPU", "CPU"]),
        checkpoint_key(tiny_params, "data", ["CPU CPU"]),
    ]
    assert len({key, *others}) == 7


def test_the_key_follows_what_does_not_concern_training_not(tiny_params):
    predict = tiny_params.predict.model_copy(update={"num_figures": 1})
    cluster = tiny_params.cluster.model_copy(update={"num_workers": 3})
    changed = tiny_params.model_copy(update={"predict": predict, "cluster": cluster})
    assert checkpoint_key(changed, "data", ["CPU"]) == checkpoint_key(tiny_params, "data", ["CPU"])


def test_the_key_follows_the_code(tiny_params, tmp_path, monkeypatch):
    key = checkpoint_key(tiny_params, "data", ["CPU"])
    copy = tmp_path / "files.py"
    source = Path(sys.modules["hourglass.utils.files"].__file__).read_text()
    monkeypatch.setattr(sys.modules["hourglass.utils.files"], "__file__", str(copy))
    copy.write_text(source)
    assert checkpoint_key(tiny_params, "data", ["CPU"]) == key
    copy.write_text(source + "# changed\n")
    assert checkpoint_key(tiny_params, "data", ["CPU"]) != key


def test_the_key_follows_the_first_weights(tiny_params, tmp_path):
    path = tmp_path / "first.keras"
    params = change_train(tiny_params, init_weights=str(path))
    with pytest.raises(UserError, match=r"first.keras: no such file; fix train.init_weights"):
        checkpoint_key(params, "data", ["CPU"])
    path.write_text("one")
    key = checkpoint_key(params, "data", ["CPU"])
    path.write_text("two")
    assert checkpoint_key(params, "data", ["CPU"]) != key


def test_states_lie_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "hourglass"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "hourglass"


def test_states_that_were_given_up_are_removed(tmp_path):
    old, new = tmp_path / "old.npz", tmp_path / "new.npz"
    half, own = tmp_path / ".other.npz.tmp", tmp_path / "key.npz"
    for path in (old, new, half, own):
        path.touch()
    for path in (old, half, own):
        os.utime(path, (0, 0))
    remove_old_checkpoints(tmp_path, "key")
    assert {path.name for path in tmp_path.iterdir()} == {"new.npz", "key.npz"}


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04", b"text", None], ids=["empty", "zip", "text", "cut"]
)
def test_a_damaged_state_is_one_line(data, tmp_path):
    path = tmp_path / "state.npz"
    Checkpoint([np.ones((30, 30))], [], [], [{"epoch": 1}]).save(path)
    path.write_bytes(path.read_bytes()[:-200] if data is None else data)
    with pytest.raises(UserError, match=r"state.npz: damaged; delete it, and training starts anew"):
        Checkpoint.load(path)


def test_the_key_follows_the_program(tiny_params, tmp_path, monkeypatch):
    program = tmp_path / "train.py"
    program.write_text("one")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(program), raising=False)
    key = checkpoint_key(tiny_params, "data", ["CPU"])
    program.write_text("two")
    assert checkpoint_key(tiny_params, "data", ["CPU"]) != key
