import numpy as np
import pytest
from PIL import Image

from helpers.people import ALL, drawn_figures, standing
from hourglass.apps.stickers.cutouts import Cutout, cut_body, measure_distance
from hourglass.apps.stickers.framing import SIZE, cut_window, place_windows
from hourglass.apps.stickers.lifting import lift_body
from hourglass.data.synthetic.canvas import Canvas
from hourglass.data.synthetic.cartoons import draw_figure
from hourglass.data.synthetic.scenery import draw_scenery, paint_backdrop
from hourglass.keypoints import MPII
from hourglass.utils.errors import UserError

NAMES = frozenset(MPII.keypoints)


def draw_scene(figure, index):
    """A drawn figure before scenery, [440, 440, 3], and where it is, bool."""
    rng = np.random.default_rng((5, index))
    canvas = Canvas(paint_backdrop(rng, (440, 440)))
    draw_scenery(canvas, rng, figure)
    before = np.asarray(canvas.finish()).astype(int)
    draw_figure(canvas, figure)
    picture = canvas.finish()
    return np.asarray(picture), np.abs(np.asarray(picture) - before).max(axis=-1) > 12


def overlap(first, second):
    return np.count_nonzero(first & second) / np.count_nonzero(first | second)


def cut_scene(figure, picture):
    """What is cut out, bool, on the pixels of the picture; and by the hulls of circles alone."""
    body = lift_body(figure.keypoints, ALL)
    whole = (-0.0, -0.0, 440.0)
    cut = Cutout(picture, body, NAMES).render(whole)[1]
    hulls = Cutout(np.full_like(picture, 128), body, NAMES).render(whole)[1]
    shrink = [Image.fromarray(mask).resize((440, 440)) for mask in (cut, hulls)]
    return [np.asarray(mask) > 127 for mask in shrink]


def test_drawn_people_are_cut_out_along_their_edges():
    told, plain = [], []
    for index, figure in enumerate(drawn_figures(5)):
        picture, truth = draw_scene(figure, index)
        cut, hulls = cut_scene(figure, picture)
        told.append(overlap(cut, truth))
        plain.append(overlap(hulls, truth))
    assert np.median(told) > 0.8
    # Colours tell more than the joints do.
    assert np.median(told) > np.median(plain) + 0.03


def test_what_is_cut_out_shows_the_picture_and_white_around_it():
    figure = next(drawn_figures(1))
    picture, _ = draw_scene(figure, 0)
    cutout = Cutout(picture, lift_body(figure.keypoints, ALL), NAMES)
    window = place_windows([0.0], [cutout.box])[0]
    pixels, coverage = cutout.render(window)
    assert pixels.shape == (SIZE, SIZE, 3) and coverage.shape == (SIZE, SIZE)
    assert (pixels[coverage == 0] == 255).all() and (coverage == 255).mean() > 0.05
    shown = np.asarray(cut_window(Image.fromarray(picture), window)).astype(int)
    differences = np.abs(pixels - shown)[coverage == 255]
    assert differences.mean() < 4  # both are resampled, once and twice


def test_limbs_of_joints_that_are_not_seen_are_left_out():
    picture = np.full((290, 200, 3), 128, np.uint8)
    keypoints = standing()
    body = lift_body(keypoints, ALL)
    boxes = [Cutout(picture, body, names).box for names in (NAMES, NAMES - {"r_wrist"})]
    assert boxes[0][0, 0] < 25 and boxes[1][0, 0] > 30


def test_beyond_the_picture_nothing_is_cut_out():
    picture = np.full((150, 200, 3), 128, np.uint8)  # it ends at the hips
    box = Cutout(picture, lift_body(standing(), ALL), NAMES).box
    assert box[1, 1] <= 150.5


def test_a_body_outside_of_the_picture_is_one_line():
    body = lift_body(standing(offset=(5000, 0)), ALL)
    with pytest.raises(UserError, match="lies outside of the picture; name a --box"):
        Cutout(np.zeros((50, 50, 3), np.uint8), body, NAMES)


def test_distances_are_those_from_the_hull():
    hulls = [np.array([(20.0, 30.0, 5.0), (60.0, 30.0, 5.0)]), np.array([(40.0, 80.0, 8.0)])]
    distance = measure_distance(hulls, 100, 30.0)
    y, x = np.mgrid[:100, :100]
    capsule = np.hypot(np.maximum(np.abs(x - 40) - 20, 0), y - 30) - 5
    expected = np.minimum(capsule, np.hypot(x - 40, y - 80) - 8)
    outside = (expected > 0) & (expected < 30)
    np.testing.assert_allclose(distance[outside], expected[outside], atol=0.15)
    assert (distance[expected < -0.2] < 0).all() and distance.max() == 30


def test_a_person_of_one_colour_is_told_from_another_to_the_pixel():
    y, x = np.mgrid[:384, :384]
    truth = (np.abs(x - 192) < 44) & (np.abs(y - 192) < 130)
    crop = np.where(truth[..., None], (30, 90, 200), (190, 180, 60)).astype(np.uint8)
    # The hull is thinner, and off by some px.
    hull = np.array([(200.0, 90.0, 36.0), (200.0, 294.0, 36.0)])
    coverage = cut_body(crop, [hull], 400.0, np.ones_like(truth)) > 127
    assert overlap(coverage, truth) > 0.9


def test_what_does_not_hang_together_with_the_body_is_left_out():
    crop = np.full((384, 384, 3), 200, np.uint8)
    crop[100:280, 170:210] = (200, 30, 30)
    crop[180:200, 226:240] = (200, 30, 30)  # of the same colour, near, apart
    hull = np.array([(190.0, 115.0, 15.0), (190.0, 265.0, 15.0)])
    coverage = cut_body(crop, [hull], 400.0, np.ones((384, 384), bool))
    assert coverage[190, 190] == 255 and coverage[180:200, 228:240].max() == 0
