"""How the One Euro filter's numbers trade jitter of what rests against lag of what moves.

usage: python experiments/smoothing.py

A joint of a person of size 1 is seen with noise: at rest; in a wave, to and fro once a second; in a
walk across the frame. Prints, for each pair of `min_cutoff` and `beta`:

    jitter       root mean square step from frame to frame at rest, to that of the raw joint
    lag          ms that the wave comes late
    wave, walk   root mean square distance from the true place, in hundredths of the person's size

The pair taken has the least jitter of those whose lag and distances are at most `MAX_LAG` and
`MAX_ERROR`.
"""

import itertools

import numpy as np

from hourglass.apps.video.smoothing import OneEuroFilter

RATE = 30  # frames/s
NUM_FRAMES = 600
NOISE = 0.015  # of the person's size, a coordinate: the shipped network's on a clip (README.md)
WAVE = 0.2  # of the person's size to either side, once a second: a wrist
WALK = 0.6  # sizes a second: 1 m/s
MAX_LAG = 20  # ms
MAX_ERROR = 2  # hundredths of the person's size; half a head is 6
MIN_CUTOFFS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)  # Hz
BETAS = (0.0, 1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 20.0)


def main():
    rows = {pair: measure(*pair) for pair in itertools.product(MIN_CUTOFFS, BETAS)}
    print("min_cutoff  beta  jitter  lag/ms  wave  walk")
    for (min_cutoff, beta), row in rows.items():
        jitter, lag, wave, walk = row
        print(f"{min_cutoff:10g} {beta:5g} {jitter:7.3f} {lag:7.1f} {wave:5.2f} {walk:5.2f}")
    print("taken:", choose(rows))


def measure(min_cutoff, beta):
    """Jitter, lag (ms) and the errors of wave and walk; see above."""
    times = np.arange(NUM_FRAMES) / RATE
    rest, wave, walk = np.zeros_like(times), WAVE * np.sin(2 * np.pi * times), WALK * times
    noise = np.random.default_rng(0).normal(0, NOISE, (3, NUM_FRAMES))
    smoothed = [
        smooth(times, motion + noise[k], min_cutoff, beta)
        for k, motion in enumerate((rest, wave, walk))
    ]
    settled = slice(2 * RATE, None)
    jitter = rms(np.diff(smoothed[0][settled])) / rms(np.diff(noise[0][settled]))
    wheel = np.exp(-2j * np.pi * times[settled])
    phase = np.angle((wave[settled] * wheel).sum() / (smoothed[1][settled] * wheel).sum())
    errors = [100 * rms((smoothed[k] - motion)[settled]) for k, motion in ((1, wave), (2, walk))]
    return jitter, 1000 * phase / (2 * np.pi), *errors


def smooth(times, values, min_cutoff, beta):
    """The values [T] as the filter leaves them."""
    one_euro = OneEuroFilter(min_cutoff, beta)
    return np.array([one_euro(value, time, 1.0) for value, time in zip(values, times, strict=True)])


def rms(values):
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def choose(rows):
    """The pair of `measure`'s rows that is taken."""
    fitting = [
        pair for pair, (_, lag, *errors) in rows.items()
        if lag <= MAX_LAG and max(errors) <= MAX_ERROR
    ]  # fmt: skip
    return min(fitting, key=lambda pair: rows[pair][0], default=None)


if __name__ == "__main__":
    main()
