from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_erosion, map_coordinates

from helpers.pictures import draw_coverage
from hourglass.data.synthetic import cartoons
from hourglass.data.synthetic.canvas import Canvas

SEED = 7


def sample_figures(count, height=200.0):
    """`count` figures in the middle of a square of twice their height."""
    rngs = [np.random.default_rng((SEED, index)) for index in range(count)]
    return [cartoons.sample_figure(rng, height).move((height, height)) for rng in rngs]


def draw_black(figure, draw):
    """Coverage of 400 x 400 pixels by what `draw(canvas, figure)` draws, all of it in black."""
    outfit = replace(figure.outfit, skin=(0, 0, 0), hair=(0, 0, 0), top=(0, 0, 0), bottom=(0, 0, 0))
    black = replace(figure, outfit=outfit)
    return draw_coverage((400, 400), lambda canvas: draw(canvas, black))


def profile_offset(coverage, start, end):
    """Signed distance of the drawn limb's axis from the midpoint of start-end, px."""
    along = (end - start) / np.linalg.norm(end - start)
    offsets = np.arange(-16, 16.01, 0.25)
    x, y = (start + end)[:, None] / 2 + np.outer((-along[1], along[0]), offsets)
    values = map_coordinates(coverage, (y, x), order=1)
    return (offsets * values).sum() / values.sum()


@pytest.mark.parametrize("kind", ["arm", "leg"])
def test_lower_limbs_lie_on_the_line_between_their_joints(kind):
    checked = 0
    for figure in sample_figures(40):
        names = ("shoulder", "elbow", "wrist") if kind == "arm" else ("hip", "knee", "ankle")
        root, middle, end = (figure.points[f"r_{name}"][:2] for name in names)
        upper, lower = middle - root, end - middle
        if lower @ upper < 6 * np.hypot(*lower) or np.hypot(*lower) < 25:
            continue  # folded over itself, or pointing at the viewer: no free axis to see
        coverage = draw_black(figure, partial(cartoons.draw_limb, side="r", kind=kind))
        assert abs(profile_offset(coverage, middle, end)) < 0.5
        checked += 1
    assert checked >= 10


def test_head_top_is_the_top_of_the_drawn_head():
    upright = [f for f in sample_figures(60) if f.head_axes[1, 1] > 0.995]
    assert len(upright) >= 5
    for figure in upright:
        x, y, _ = figure.points["head_top"]
        coverage = draw_black(figure, cartoons.draw_head)
        above = coverage[: int(y) + 10, round(x)]
        edge = len(above) - above.sum() - 0.5
        assert edge == pytest.approx(y - figure.outline, abs=0.5)


def test_only_a_face_toward_the_viewer_has_eyes():
    for figure in sample_figures(60):
        if abs(figure.head_axes[2, 2]) < 0.5:
            continue
        canvas = Canvas(Image.new("RGB", (400, 400), "white"))
        cartoons.draw_head(canvas, figure)
        eyes = (np.asarray(canvas.finish()) == cartoons.EYE).all(axis=2).sum()
        assert (eyes > 2) == figure.faces_viewer


def test_the_keypoints_of_the_face_lie_where_it_is_drawn():
    seen = [f for f in sample_figures(60) if f.head_axes[2, 2] > 0.8 and f.head_axes[1, 1] > 0.8]
    assert len(seen) >= 10
    for figure in seen:
        canvas = Canvas(Image.new("RGB", (400, 400), "white"))
        cartoons.draw_head(canvas, figure)
        picture = np.asarray(canvas.finish())
        eyes = np.argwhere((picture == cartoons.EYE).all(axis=2))[:, ::-1]  # x, y
        for name in ("left_eye", "right_eye"):
            assert np.linalg.norm(eyes - figure.face[name][:2], axis=1).min() < 1
        ears_x = [figure.face[name][0] for name in ("right_ear", "left_ear")]
        columns = np.flatnonzero((picture != 255).any(axis=(0, 2)))
        assert columns[0] < ears_x[0] < figure.face["nose"][0] < ears_x[1] < columns[-1]


def test_moved_figure_keeps_its_outfit():
    figure = sample_figures(1)[0]
    assert figure.move((5, 5)).outfit == figure.outfit


def count_colour(canvas, colour):
    return (np.asarray(canvas.finish()) == colour).all(axis=2).sum()


@pytest.mark.parametrize("striped", [True, False])
def test_trim_is_on_the_front_alone(striped):
    checked = {True: 0, False: 0}
    for figure in sample_figures(40):
        facing = figure.depth("collar") - figure.depth("thorax")
        if abs(facing) < 4:
            continue
        front = bool(facing > 0)
        trim = (1, 255, 2)
        canvas = Canvas(Image.new("RGB", (400, 400), "white"))
        outfit = replace(figure.outfit, striped=striped, trim=trim)
        cartoons.draw_trunk(canvas, replace(figure, outfit=outfit))
        assert (count_colour(canvas, trim) > 20) == front
        checked[front] += 1
    assert min(checked.values()) >= 5


def test_longer_sleeves_cover_more():
    figure = sample_figures(1)[0]
    cloth = []
    for sleeves in (0.0, 0.5, 1.4, 2.0):
        canvas = Canvas(Image.new("RGB", (400, 400), "white"))
        outfit = replace(figure.outfit, skin=(255, 255, 255), top=(0, 0, 0), sleeves=sleeves)
        cartoons.draw_limb(canvas, replace(figure, outfit=outfit), side="l", kind="arm")
        cloth.append(count_colour(canvas, (0, 0, 0)))
    assert cloth[0] == 0
    assert np.all(np.diff(cloth) > 10)


def test_near_arm_is_over_the_trunk():
    figure = next(f for f in sample_figures(60) if f.depth("r_wrist", "r_elbow") > 40)
    figure = replace(figure, outfit=replace(figure.outfit, sleeves=2.0, top=(1, 255, 2)))
    whole, arm = (Canvas(Image.new("RGB", (400, 400), "white")) for _ in range(2))
    cartoons.draw_figure(whole, figure)
    cartoons.draw_limb(arm, figure, side="r", kind="arm")
    arm, whole = np.asarray(arm.finish()), np.asarray(whole.finish())
    inside = binary_erosion((arm != 255).any(axis=2), iterations=2)
    assert inside.sum() > 100
    assert np.array_equal(arm[inside], whole[inside])
