import numpy as np
import pytest

from helpers.networks import change_train
from hourglass.training.schedules import count_plateaus, learning_rate


def rates(params, num_epochs=6, steps=10, history=()):
    return [learning_rate(params.train, k, steps, list(history)) for k in range(num_epochs * steps)]


def test_warm_up_rises_in_even_steps(tiny_params):
    params = change_train(tiny_params, schedule="constant", lr=1.0, warmup_epochs=1.0)
    expected = [(k + 1) / 11 for k in range(10)] + [1.0] * 50
    np.testing.assert_allclose(rates(params), expected)


def test_warm_up_may_be_part_of_an_epoch_or_absent(tiny_params):
    half = rates(change_train(tiny_params, schedule="constant", lr=1.0, warmup_epochs=0.5))
    np.testing.assert_allclose(half[:6], [1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    none = change_train(tiny_params, schedule="constant", lr=1.0, warmup_epochs=0.0)
    assert set(rates(none)) == {1.0}


def test_cosine_falls_to_nearly_nothing(tiny_params):
    params = change_train(tiny_params, schedule="cosine", lr=2.0, warmup_epochs=1.0, epochs=6)
    values = rates(params)
    assert values[10] == 2.0
    assert values[35] == pytest.approx(1.0)
    assert 0 < values[-1] < 0.01
    assert values[10:] == sorted(values[10:], reverse=True)
    assert set(rates(params, num_epochs=8)[60:]) == {0.0}


def test_steps_fall_after_the_named_epochs(tiny_params):
    params = change_train(
        tiny_params, schedule="steps", lr=1.0, warmup_epochs=0.0, decay_epochs=[2, 4],
        decay_factor=0.1,
    )  # fmt: skip
    np.testing.assert_allclose(rates(params), [1.0] * 20 + [0.1] * 20 + [0.01] * 20)


@pytest.mark.parametrize(
    ("scores", "factor"),
    [
        ([], 1),
        ([5, 6, 7, 8], 1),
        ([5, 5], 1),
        ([5, 5, 5], 0.5),
        ([5, 6, 6, 4], 0.5),
        ([5, 4, 6, 5], 1),
        ([5, 5, 5, 5, 5], 0.25),
        ([5, 4, 4, 9, 8, 8], 0.25),
    ],
)
def test_plateau_follows_from_the_scores(tiny_params, scores, factor):
    params = change_train(
        tiny_params, schedule="plateau", lr=1.0, warmup_epochs=0.0, patience=2, decay_factor=0.5
    )
    history = [{"val_pckh": score} for score in scores]
    assert set(rates(params, history=history)) == {factor}


def test_count_plateaus_starts_again_after_each():
    assert [count_plateaus([1] * n, 2) for n in range(1, 8)] == [0, 0, 1, 1, 2, 2, 3]
