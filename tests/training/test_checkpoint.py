import ast
import hashlib
from pathlib import Path

import numpy as np
import pytest

from helpers.networks import change_train
from helpers.paths import ROOT
from hourglass.training import checkpoint
from hourglass.training.checkpoint import (
    RUN_VERSION,
    Checkpoint,
    checkpoint_key,
    find_init_weights,
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


def test_the_key_follows_the_first_weights(tiny_params, tmp_path):
    path = tmp_path / "first.keras"
    params = change_train(tiny_params, init_weights=str(path))
    with pytest.raises(UserError, match=r"first.keras: no such file; fix train.init_weights"):
        checkpoint_key(params, "data", ["CPU"])
    path.write_text("one")
    key = checkpoint_key(params, "data", ["CPU"])
    path.write_text("two")
    assert checkpoint_key(params, "data", ["CPU"]) != key


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04", b"text", None], ids=["empty", "zip", "text", "cut"]
)
def test_a_damaged_state_is_one_line(data, tmp_path):
    path = tmp_path / "state.npz"
    Checkpoint([np.ones((30, 30))], [], [], [{"epoch": 1}]).save(path)
    path.write_bytes(path.read_bytes()[:-200] if data is None else data)
    with pytest.raises(UserError, match=r"state.npz: damaged; delete it, and training starts anew"):
        Checkpoint.load(path)


def test_without_a_name_there_is_no_start():
    assert find_init_weights("") is None


def test_a_file_is_taken_as_it_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("shipped").write_text("a file of the user's")
    assert find_init_weights("./shipped") == Path("shipped")


def test_shipped_is_the_network_of_the_package(monkeypatch):
    monkeypatch.setattr(checkpoint, "shipped_network", lambda: Path("package/photographs.keras"))
    assert find_init_weights("shipped") == Path("package/photographs.keras")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"a\.keras: no such file; fix train\.init_weights"):
        find_init_weights(str(tmp_path / "a.keras"))


def test_the_key_follows_the_version(tiny_params, monkeypatch):
    key = checkpoint_key(tiny_params, "data", ["CPU"])
    monkeypatch.setattr(checkpoint, "RUN_VERSION", RUN_VERSION + 1)
    assert checkpoint_key(tiny_params, "data", ["CPU"]) != key


# What decides the bytes of a run: the folders and modules of src/hourglass whose code it executes.
RUN_CODE = (
    "keypoints.py", "utils/backend.py", "utils/devices.py", "utils/transforms.py",
    "data/tfrecords/augmentation.py", "data/tfrecords/pipeline.py", "data/tfrecords/reader.py",
    "data/tfrecords/record.py", "models", "evaluation/pckh.py", "training/accumulation.py",
    "training/checkpoint.py", "training/devices.py", "training/losses.py",
    "training/optimizers.py", "training/param_groups.py", "training/schedules.py",
    "training/trainer.py",
)  # fmt: skip
RUN_DIGEST = "0ba96bacbd5c69c7"


def strip_words(tree):
    """A module's code without docstrings and type hints; comments are in no tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            for argument in ast.walk(node.args):
                if isinstance(argument, ast.arg):
                    argument.annotation = None
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
    return ast.dump(tree)


def digest_run_code():
    package, digest = ROOT / "src/hourglass", hashlib.sha256()
    for name in RUN_CODE:
        path = package / name
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            digest.update(strip_words(ast.parse(file.read_text())).encode())
    return digest.hexdigest()[:16]


def test_a_change_of_a_runs_code_is_a_decision_about_its_version():
    assert (RUN_VERSION, digest_run_code()) == (4, RUN_DIGEST), (
        "the code of a run has changed. If a run ends with other bytes now, raise RUN_VERSION of "
        "training/checkpoint.py; in any case write the new version and digest here"
    )


def test_comments_docstrings_and_hints_are_no_change():
    first = strip_words(
        ast.parse('"""A."""\ndef f(x: int) -> int:\n    """B."""\n    return x + 1')
    )
    assert first == strip_words(ast.parse("# C\ndef f(x):\n    return x + 1"))
    assert first != strip_words(ast.parse("def f(x):\n    return x + 2"))
