"""Colours of high dynamic range and wide gamut, shown as BT.709's.

Light is measured by the white of a page or a shirt, 203 cd/m2 in HDR (ITU-R BT.2408), which becomes
SDR's white. What is brighter, lamps and reflections, is compressed. A pixel keeps its hue.

Sources: ITU-R BT.2100 (HLG and PQ), BT.2087 (the matrix), BT.1886 (SDR's screen); numbers of
transfers and primaries: ITU-T H.273.
"""

import functools
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

PQ, HLG, BT2020 = 16, 18, 9  # transfers, primaries
WHITE = 203.0  # cd/m2
HLG_PEAK = 1000.0  # cd/m2, of the screen that HLG is made for; its gamma is then 1.2
SCREEN_GAMMA = 2.4
KNEE = 0.8  # of white: less light stays as it is
NODES = 33  # of each axis of the table; colours between them are interpolated
LUMINANCE = np.array([0.2627, 0.6780, 0.0593])  # of BT.2020's red, green, blue
BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)


class ColourTable:
    """Turns pixels of one kind into BT.709's, by a table of three axes.

    Args:
        convert: from signals [N, 3], 0..1, to signals [N, 3].
    """

    def __init__(self, convert: Callable[[np.ndarray], np.ndarray]) -> None:
        axis = np.linspace(0, 1, NODES)
        blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")  # red changes fastest
        signals = np.stack([red.ravel(), green.ravel(), blue.ravel()], axis=1)
        table = convert(signals).astype(np.float32).ravel()
        self._filter = ImageFilter.Color3DLUT(NODES, table)  # type: ignore[arg-type]

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """The pixels, uint8 [H, W, 3], in BT.709's colours."""
        return np.array(Image.fromarray(pixels).filter(self._filter))


@functools.cache
def find_table(transfer: int, primaries: int) -> ColourTable | None:
    """The table for pixels of a transfer and primaries; None where they need none."""
    to_light = {PQ: pq_to_light, HLG: hlg_to_light}.get(transfer)
    if to_light is None and primaries != BT2020:
        return None
    return ColourTable(functools.partial(to_sdr, to_light=to_light))


def to_sdr(
    signals: np.ndarray, to_light: Callable[[np.ndarray], np.ndarray] | None = None
) -> np.ndarray:
    """Signals [N, 3] of BT.2020's primaries, 0..1, as BT.709's.

    Args:
        to_light: from signals to light on the screen, 1 for white; None: SDR's.
    """
    light = to_light(signals) if to_light else signals**SCREEN_GAMMA
    light = np.maximum(light @ BT2020_TO_BT709.T, 0)
    if to_light:
        light *= _compress(light.max(axis=1, keepdims=True))
    return np.minimum(light, 1) ** (1 / SCREEN_GAMMA)


def _compress(brightest: np.ndarray) -> np.ndarray:
    """What light is multiplied by, so that none is brighter than white."""
    above = np.maximum(brightest - KNEE, 0) / (1 - KNEE)
    target = np.minimum(brightest, KNEE) + (1 - KNEE) * (1 - np.exp(-above))
    return target / np.maximum(brightest, 1e-9)


def hlg_to_light(signals: np.ndarray) -> np.ndarray:
    """Hybrid Log-Gamma's signals [N, 3] as light on the screen, 1 for white (BT.2100, table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signals <= 0.5, signals**2 / 3, (np.exp((signals - c) / a) + b) / 12)
    gain = (scene @ LUMINANCE)[:, None] ** 0.2
    return scene * gain * (HLG_PEAK / WHITE)


def pq_to_light(signals: np.ndarray) -> np.ndarray:
    """PQ's signals [N, 3] as light on the screen, 1 for white (BT.2100, table 4)."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    powers = signals ** (1 / m2)
    return (np.maximum(powers - c1, 0) / (c2 - c3 * powers)) ** (1 / m1) * (10_000 / WHITE)
