"""Line charts as inline SVG, a few kilobytes each, in the colours of the page around them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hourglass.report.markup import Markup, element

_WIDTH, _HEIGHT = 400, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 12, 44  # px around the plot
_MAX_TICKS = 5


@dataclass(frozen=True)
class Style:
    """The marks that distinguish a line from the others, in grey as well."""

    colour: str = "currentColor"
    dashes: str = "none"  # px drawn, px not drawn, and so on
    width: float = 1.8  # px


@dataclass(frozen=True)
class Line:
    """The points (x, y) of a line from left to right; it is broken where y is None."""

    points: Sequence[tuple[float, float | None]]
    style: Style


@dataclass(frozen=True)
class Axis:
    """From 0 to `high`; `step` is the least distance of its ticks."""

    label: str
    high: float
    step: float = 0.0


def draw_chart(
    label: str,
    x_axis: Axis,
    y_axis: Axis,
    lines: Sequence[Line],
    marked: tuple[float, float] | None = None,
) -> Markup:
    """Lines over two axes.

    Args:
        label: the chart in words, for readers who cannot see it.
        lines: the last lies on top.
        marked: a point (x, y) with a ring around it, or None.

    Returns:
        An `svg` element that is as wide as there is room.
    """
    plot = _Plot(x_axis.high or 1.0, y_axis.high or 1.0)
    ring = () if marked is None else (plot.draw_ring(marked),)
    parts = (*plot.draw_axes(x_axis, y_axis), *map(plot.draw_line, lines), *ring)
    size = f"0 0 {_WIDTH} {_HEIGHT}"
    return element("svg", *parts, viewBox=size, role="img", aria_label=label, class_="chart")


def draw_swatch(style: Style) -> Markup:
    """A piece of a line, to stand beside its name; cut off, not thinned, where there is no room."""
    shape = {"viewBox": "0 0 36 12", "preserveAspectRatio": "xMinYMid slice", "class_": "swatch"}
    return element("svg", _path("M2 6H34", style), **shape, aria_hidden="true")


def choose_ticks(high: float, least: float = 0.0) -> tuple[list[float], int]:
    """Round numbers from 0 to `high`, six at most, and how many decimals they have."""
    rough = max(high / _MAX_TICKS, least)
    power = 10.0 ** math.floor(math.log10(rough) + 1e-9)
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= rough * (1 - 1e-9))
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return [k * step for k in range(int(high / step + 1e-9) + 1)], digits


class _Plot:
    """From the numbers of two axes to px of the chart."""

    def __init__(self, x_high: float, y_high: float) -> None:
        self.x_high, self.y_high = x_high, y_high

    def place(self, x: float, y: float) -> tuple[float, float]:
        left = _LEFT + x / self.x_high * (_WIDTH - _LEFT - _RIGHT)
        return left, _HEIGHT - _BOTTOM - y / self.y_high * (_HEIGHT - _TOP - _BOTTOM)

    def draw_axes(self, x_axis: Axis, y_axis: Axis) -> Iterator[Markup]:
        right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
        ticks, digits = choose_ticks(self.y_high, y_axis.step)
        for tick in ticks:
            y = self.place(0, tick)[1]
            yield element("path", d=f"M{_LEFT} {y:.1f}H{right}", class_="grid")
            yield _text(f"{tick:.{digits}f}", _LEFT - 6, y + 4, "end")
        ticks, digits = choose_ticks(self.x_high, x_axis.step)
        for tick in ticks:
            yield _text(f"{tick:.{digits}f}", self.place(tick, 0)[0], bottom + 17, "middle")
        yield _text(x_axis.label, (_LEFT + right) / 2, _HEIGHT - 6, "middle")
        middle = (_TOP + bottom) / 2
        yield _text(y_axis.label, 11, middle, "middle", transform=f"rotate(-90 11 {middle:g})")

    def draw_line(self, line: Line) -> Markup:
        steps, open_ = [], False
        for x, y in line.points:
            if y is not None:
                steps.append(f"{'L' if open_ else 'M'}{'{:.2f} {:.2f}'.format(*self.place(x, y))}")
            open_ = y is not None
        return _path("".join(steps), line.style)

    def draw_ring(self, point: tuple[float, float]) -> Markup:
        x, y = self.place(*point)
        return element("circle", cx=f"{x:.2f}", cy=f"{y:.2f}", r=5, class_="ring")


def _path(d: str, style: Style) -> Markup:
    return element(
        "path",
        d=d,
        fill="none",
        stroke=style.colour,
        stroke_width=style.width,
        stroke_dasharray=style.dashes,
        stroke_linejoin="round",
    )


def _text(text: str, x: float, y: float, anchor: str, **attributes: Any) -> Markup:
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor, **attributes)
