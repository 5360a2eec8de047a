"""What `experiments/smoothing.py` chooses is what the filter has."""

import itertools
import runpy
from types import SimpleNamespace

import numpy as np
import pytest

from helpers.paths import ROOT
from hourglass.apps.video.smoothing import BETA, MIN_CUTOFF

experiment = SimpleNamespace(**runpy.run_path(str(ROOT / "experiments" / "smoothing.py")))


def test_the_numbers_of_the_filter_are_those_that_the_experiment_takes():
    pairs = itertools.product(experiment.MIN_CUTOFFS, experiment.BETAS)
    rows = {pair: experiment.measure(*pair) for pair in pairs}
    assert experiment.choose(rows) == (MIN_CUTOFF, BETA)
    jitter, lag, wave, walk = rows[MIN_CUTOFF, BETA]
    assert jitter < 0.3 and lag < 20 and wave < 2 and walk < 1.5


def test_a_filter_that_lets_all_through_has_the_jitter_of_the_noise_and_no_lag():
    jitter, lag, wave, walk = experiment.measure(1e9, 0.0)
    assert jitter == pytest.approx(1) and lag == pytest.approx(0, abs=1)
    assert [wave, walk] == pytest.approx([100 * experiment.NOISE] * 2, rel=0.1)


def test_lag_is_that_of_a_wave_that_comes_late():
    # A low-pass filter of a cutoff f delays a wave of 1 Hz by arctan(1 / f).
    cutoff = 3.0
    _, lag, *_ = experiment.measure(cutoff, 0.0)
    assert lag == pytest.approx(1000 * np.arctan(1 / cutoff) / (2 * np.pi), rel=0.08)
