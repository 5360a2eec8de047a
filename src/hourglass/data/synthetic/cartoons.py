"""Cartoons: dressed bodies, drawn as hulls of circles."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from hourglass.data.synthetic.bodies import FACE, Body, sample_body
from hourglass.data.synthetic.canvas import (
    Canvas,
    Circles,
    Colour,
    box,
    circle,
    interpolate,
    sample_colour,
)


class Limb(NamedTuple):
    """How a limb is drawn: radii in standing heights, and the fields of Outfit it is dressed in."""

    joints: dict[str, float]  # radii along it
    end: dict[str, float]  # radii of the hand or shoe
    cloth: str
    cloth_length: str
    end_colour: str


# fmt: off
LIMBS = {
    "arm": Limb({"shoulder": 0.036, "elbow": 0.028, "wrist": 0.02},
                {"wrist": 0.017, "palm": 0.024, "hand": 0.014}, "top", "sleeves", "skin"),
    "leg": Limb({"hip": 0.056, "knee": 0.038, "ankle": 0.024},
                {"ankle": 0.024, "heel": 0.024, "toe": 0.02}, "bottom", "trousers", "shoe"),
}
SKINS = ((255, 224, 196), (241, 194, 150), (224, 172, 118), (198, 134, 84), (141, 85, 48))
HAIRS = ((40, 32, 30), (78, 50, 34), (122, 76, 40), (196, 148, 74), (168, 74, 36), (150, 146, 144))
# fmt: on
EYE, LIP = (24, 22, 30), (160, 62, 62)


@dataclass(frozen=True)
class Outfit:
    """A figure's clothes; sleeves and trousers in limb segments, 0 (bare) to 2 (wrist, ankle)."""

    skin: Colour
    hair: Colour
    top: Colour
    trim: Colour  # of the front alone: stripes, or the shirt under an open jacket
    striped: bool
    bottom: Colour
    shoe: Colour
    sleeves: float
    trousers: float
    skirt: bool
    long_hair: bool
    girth: float


@dataclass(frozen=True)
class Figure(Body):
    """A body and its clothes."""

    outfit: Outfit

    @property
    def outline(self) -> float:
        """Width of the drawn outline, px."""
        return max(0.8, 0.006 * self.height)

    def circle(self, name: str, radius: float) -> np.ndarray:
        """A circle of `radius` px about a named point."""
        return circle(self.points[name], radius)

    def shade(self, colour: Colour, name: str) -> Colour:
        """`colour`, darker where the named point is behind the pelvis: the near limb stands out."""
        behind = (self.points["pelvis"] - self.points[name])[2] / self.height
        light = np.clip(1 - 1.6 * behind, 0.68, 1.06)
        return tuple(round(min(255, channel * light)) for channel in colour)


def sample_figure(rng: np.random.Generator, height: float) -> Figure:
    """Draw a figure of `height` px with its pelvis at (0, 0)."""
    body = sample_body(rng, height)
    return Figure(**vars(body), outfit=_sample_outfit(rng))


def _sample_outfit(rng: np.random.Generator) -> Outfit:
    return Outfit(
        skin=SKINS[rng.integers(len(SKINS))],
        hair=HAIRS[rng.integers(len(HAIRS))],
        top=sample_colour(rng, (0.45, 0.85), (0.4, 0.85)),
        trim=sample_colour(rng, (0.0, 0.15), (0.92, 1.0)),
        striped=bool(rng.random() < 0.4),
        bottom=sample_colour(rng, (0.2, 0.7), (0.25, 0.75)),
        shoe=sample_colour(rng, (0.0, 0.8), (0.2, 0.95)),
        sleeves=rng.choice([0.0, 0.5, 1.4, 2.0], p=[0.15, 0.4, 0.1, 0.35]),
        trousers=rng.choice([0.55, 1.2, 2.0], p=[0.3, 0.1, 0.6]),
        skirt=bool(rng.random() < 0.18),
        long_hair=bool(rng.random() < 0.4),
        girth=rng.uniform(0.88, 1.2),
    )


def draw_figure(canvas: Canvas, figure: Figure) -> None:
    """Draw the parts of a figure from the farthest to the nearest."""
    unit = figure.height
    if figure.pose == "sit":
        _draw_seat(canvas, figure)
    parts = [
        (figure.depth("thorax", "waist", "pelvis"), draw_trunk),
        (figure.depth("upper_neck", "head_top") + 0.02 * unit, draw_head),
    ]
    for side in "rl":
        # Arms beside the trunk are nearer than it, legs below it farther: sleeves and hem show.
        arm = figure.depth(f"{side}_elbow", f"{side}_wrist") + 0.03 * unit
        leg = figure.depth(f"{side}_knee", f"{side}_ankle") - 0.12 * unit
        parts.append((arm, partial(draw_limb, side=side, kind="arm")))
        parts.append((leg, partial(draw_limb, side=side, kind="leg")))
    # z grows toward the viewer: the nearest is drawn last.
    for _, draw in sorted(parts, key=lambda part: part[0]):
        draw(canvas, figure)


def _draw_seat(canvas: Canvas, figure: Figure) -> None:
    unit, points = figure.height, figure.points
    x, y = points["pelvis"][0], points["pelvis"][1] + 0.05 * unit
    half = np.array((0.11 * unit, max(0.1 * unit, points["r_heel"][1] - y) / 2))
    canvas.fill_shapes([(box((x, y + half[1]), half), figure.outfit.shoe)], figure.outline)


def draw_limb(canvas: Canvas, figure: Figure, side: str, kind: str) -> None:
    """Draw a limb's two segments, clothed, and the hand or shoe; the farther one first."""
    limb, outfit, unit = LIMBS[kind], figure.outfit, figure.height
    names = [f"{side}_{name}" for name in limb.joints]
    radii = [radius * unit * outfit.girth for radius in limb.joints.values()]
    root, middle, tip = (figure.circle(*pair) for pair in zip(names, radii, strict=True))
    end = [figure.circle(f"{side}_{name}", radius * unit) for name, radius in limb.end.items()]
    colours = outfit.skin, getattr(outfit, limb.cloth), getattr(outfit, limb.end_colour)
    skin, cloth, end_colour = (figure.shade(colour, names[1]) for colour in colours)
    covered = getattr(outfit, limb.cloth_length)
    upper = [([root, middle], skin)]
    lower = [([middle, tip], skin), (end, end_colour)]
    if covered > 0:
        upper.append((_cut_segment(root, middle, covered), cloth))
    if covered > 1:
        lower.append((_cut_segment(middle, tip, covered - 1), cloth))
    lower_is_near = figure.depth(names[2]) >= figure.depth(names[0])
    for shapes in (upper, lower) if lower_is_near else (lower, upper):
        canvas.fill_shapes(shapes, figure.outline)
    # The near segment's outline would cut the limb in two: the far one goes on over it.
    patch = _cut_segment(middle, root if lower_is_near else tip, 0.3)
    canvas.fill_hull(patch, cloth if covered > 1 else skin)


def _cut_segment(start: np.ndarray, end: np.ndarray, part: float) -> list[np.ndarray]:
    """The first `part` of the segment between two circles, as two circles."""
    return [start, interpolate(start, end, min(part, 1.0))]


def draw_trunk(canvas: Canvas, figure: Figure) -> None:
    """Draw chest, waist, hips and what clothes them."""
    outfit, points = figure.outfit, figure.points
    unit = figure.height * outfit.girth
    hips = [figure.circle(f"{side}_hip", 0.054 * unit) for side in "rl"]
    across = (points["l_hip"] - points["r_hip"]) * 0.42
    waist = [circle(points["waist"] + side * across, 0.056 * unit) for side in (-1, 1)]
    shoulders = [figure.circle(f"{side}_shoulder", 0.038 * unit) for side in "rl"]
    chest = circle(0.65 * points["thorax"] + 0.35 * points["waist"], 0.072 * unit)
    belt = [interpolate(*pair, 0.4) for pair in zip(hips, waist, strict=True)]
    shapes = [([*hips, *belt], outfit.bottom), ([*waist, *belt], outfit.top)]
    shapes.append(([*shoulders, chest, *waist], outfit.top))
    if outfit.skirt:
        knees = [figure.circle(f"{side}_knee", 0.07 * unit) for side in "rl"]
        hem = [interpolate(*pair, 0.6) for pair in zip(hips, knees, strict=True)]
        shapes.insert(0, ([*belt, *hips, *hem], outfit.bottom))
    canvas.fill_shapes(shapes, figure.outline)
    _draw_front(canvas, figure, shoulders, waist)
    base = "thorax" if figure.faces_viewer else "upper_neck"
    neck = [figure.circle(base, 0.03 * unit), figure.circle("upper_neck", 0.032 * unit)]
    canvas.fill_hull(neck, outfit.skin)


def _draw_front(canvas: Canvas, figure: Figure, shoulders: Circles, waist: Circles) -> None:
    """Draw the trim, which tells the front from the back, where the chest faces the viewer."""
    facing = figure.depth("collar") - figure.depth("thorax")
    if facing <= 0:
        return
    if figure.outfit.striped:
        _draw_stripes(canvas, figure.outfit.trim, shoulders, waist)
        return
    # The collar is 0.04 heights before the thorax: this is the height in px, foreshortened.
    opening = facing / 0.04
    jacket = [figure.circle("collar", 0.028 * opening), figure.circle("buckle", 0.042 * opening)]
    canvas.fill_hull(jacket, figure.outfit.trim)


def _draw_stripes(canvas: Canvas, colour: Colour, shoulders: Circles, waist: Circles) -> None:
    for part in (0.3, 0.6, 0.9):
        a, b = (interpolate(*pair, part) for pair in zip(shoulders, waist, strict=True))
        along = (b - a)[:2] / max(1.0, np.hypot(*(b - a)[:2]))
        ends = (a[:2] - 0.65 * a[2] * along, b[:2] + 0.65 * b[2] * along)
        canvas.fill_hull([circle(end, 0.25 * a[2]) for end in ends], colour)


def draw_head(canvas: Canvas, figure: Figure) -> None:
    """Draw skull, hair and face: a head seen from behind shows hair alone."""
    skin, hair_colour = figure.outfit.skin, figure.outfit.hair
    place = partial(_place_on_head, figure)
    hair = [place(0, 0, -0.06, 1.0), place(0, 0.35, -0.3, 0.72)]
    if figure.outfit.long_hair:
        hair.append(place(0, 1.2, -0.45, 0.62))
    ears = [[place(*FACE[name], 0.2)] for name in ("right_ear", "left_ear")]
    nose = [place(0, 0.25, 0.95, 0.15)]
    cheeks = [place(0, 0.16, 0.1, 0.86), place(0, 0.8, 0.2, 0.5)]
    face = [(circles, skin) for circles in (*ears, nose, cheeks)]
    crown = [(hair, hair_colour)]
    if figure.faces_viewer:
        canvas.fill_shapes(crown, figure.outline)
        canvas.fill_shapes(face, figure.outline)
        _draw_features(canvas, figure)
    else:
        canvas.fill_shapes(face + crown, figure.outline)


def _draw_features(canvas: Canvas, figure: Figure) -> None:
    """Draw fringe, eyes, lips and nose."""
    place = partial(_place_on_head, figure)
    fringe = [place(x, -0.42, 0.1, 0.3) for x in (-0.55, 0.55)] + [place(0, -0.62, 0.1, 0.38)]
    canvas.fill_hull(fringe, figure.outfit.hair)
    for name in ("right_eye", "left_eye"):
        canvas.fill_hull([place(*FACE[name], 0.14)], EYE)
    canvas.fill_hull([place(x, 0.75, 0.7, 0.07) for x in (-0.22, 0.22)], LIP)
    nose_colour = tuple(int(0.85 * channel) for channel in figure.outfit.skin)
    canvas.fill_hull([place(*FACE["nose"], 0.11)], nose_colour)


def _place_on_head(figure: Figure, x: float, y: float, z: float, size: float) -> np.ndarray:
    """A circle at a point in head axes, all in skull radii from the skull's center."""
    _, radius = figure.skull
    return circle(figure.place_on_head(x, y, z), size * radius)
