"""Decoded frames as upright RGB pixels: square, in HDTV's colours, on white. PyAV.

A display matrix says where a player puts the stored x and y axes (ISO 14496-12, 8.3.2). Right
angles and mirrors, eight of them, are applied as FFmpeg does; others as the nearest of these.
"""

from typing import Any, NamedTuple

import numpy as np
from av.sidedata.sidedata import Type

from hourglass.apps.video.hdr import find_table

HIGH = 720  # px; clips as high, that do not say how they keep colours, do it as HDTV does


class Layout(NamedTuple):
    """How the stored frames of a clip are shown.

    Attributes:
        width, height: of a stored frame in square pixels.
        is_transposed: whether its rows are shown as columns; flips come after that.
        flips: whether the columns, and whether the rows, are shown in reverse order.
    """

    width: int
    height: int
    is_transposed: bool = False
    flips: tuple[bool, bool] = (False, False)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as shown."""
        return (self.height, self.width) if self.is_transposed else (self.width, self.height)


def read_layout(frame: Any, stream: Any) -> Layout:
    """The layout of a clip whose first frame and stream these are."""
    aspect = stream.sample_aspect_ratio or 1
    width = max(1, round(frame.width * aspect)) if 0.1 < aspect < 10 else frame.width
    return Layout(width, frame.height, *_read_turn(frame))


def _read_turn(frame: Any) -> tuple[bool, tuple[bool, bool]]:
    """Whether the frame is transposed, and then flipped, by its display matrix."""
    matrices = [bytes(data) for data in frame.side_data if data.type is Type.DISPLAYMATRIX]
    if not matrices:
        return False, (False, False)
    # x shown = a * x + c * y, y shown = b * x + d * y; the matrix has a, b, u, c, d, v, ...
    a, b, _, c, d = np.frombuffer(matrices[0], np.int32)[:5].tolist()
    is_transposed = abs(b) + abs(c) > abs(a) + abs(d)
    return is_transposed, (c < 0, b < 0) if is_transposed else (a < 0, d < 0)


def to_pixels(frame: Any, layout: Layout) -> np.ndarray:
    """The pixels of a frame of a clip, uint8 [H, W, 3], RGB, to be drawn on."""
    has_alpha = any(component.is_alpha for component in frame.format.components)
    # FFmpeg alone would take HDTV's colours, where not said, for the old ones.
    is_unsaid = frame.colorspace in (0, 2)  # RGB, or unspecified (ITU-T H.273, table 4)
    matrix = "ITU709" if is_unsaid and frame.height >= HIGH else None
    form = "rgba" if has_alpha else "rgb24"
    stored = frame.reformat(layout.width, layout.height, form, src_colorspace=matrix)
    pixels = stored.to_ndarray()
    if has_alpha:
        pixels = _lay_on_white(pixels)
    if table := find_table(frame.color_trc, frame.color_primaries):
        pixels = table.apply(pixels)
    return np.ascontiguousarray(_turn(pixels, layout))


def _lay_on_white(pixels: np.ndarray) -> np.ndarray:
    alpha = pixels[..., 3:].astype(np.uint16)
    on_white = pixels[..., :3] * alpha + 255 * (255 - alpha)
    return ((on_white + 127) // 255).astype(np.uint8)


def _turn(pixels: np.ndarray, layout: Layout) -> np.ndarray:
    if layout.is_transposed:
        pixels = pixels.swapaxes(0, 1)
    columns, rows = (-1 if is_flipped else 1 for is_flipped in layout.flips)
    return pixels[::rows, ::columns]
