import colorsys
from dataclasses import replace

import numpy as np
from PIL import Image

from helpers.people import ALL, drawn_figures, pose_of, standing
from hourglass.apps.stickers.drawings import SKIN, dress_body, find_outfit
from hourglass.apps.stickers.lifting import lift_body
from hourglass.apps.stickers.styles import Portrait
from hourglass.data.synthetic.canvas import Canvas
from hourglass.data.synthetic.cartoons import SKINS, draw_figure


def draw_dressed(figure, **clothes):
    """Pixels of a drawn figure in these clothes, on grey."""
    outfit = replace(
        figure.outfit, skin=SKINS[0], striped=False, skirt=False, trim=(30, 60, 200), **clothes
    )
    canvas = Canvas(Image.new("RGB", (440, 440), (128, 128, 128)))
    draw_figure(canvas, replace(figure, outfit=outfit))
    return np.asarray(canvas.finish())


def hue(colour):
    return colorsys.rgb_to_hsv(*(np.array(colour) / 255))[0]


def test_clothes_are_those_of_the_picture():
    covered, bare = {"sleeves": 2.0, "trousers": 2.0}, {"sleeves": 0.0, "trousers": 0.55}
    blue, green, right = (30, 60, 200), (20, 120, 40), 0
    upright = [f for f in drawn_figures(30) if f.pose in ("stand", "walk") and f.faces_viewer][:4]
    assert len(upright) == 4
    for figure in upright:
        body = lift_body(figure.keypoints, ALL)
        outfits = [
            find_outfit(draw_dressed(figure, top=blue, bottom=green, **how), body)
            for how in (covered, bare)
        ]
        for outfit in outfits:
            assert abs(hue(outfit.top) - hue(blue)) < 0.05
            assert abs(hue(outfit.bottom) - hue(green)) < 0.05
            assert outfit.skin == SKIN
        right += outfits[0].sleeves == outfits[0].trousers == 2
        right += outfits[1].sleeves < 2 and outfits[1].trousers < 2
    assert right >= 6  # of 8


def test_colours_beyond_the_picture_are_those_at_its_border():
    body = lift_body(standing(offset=(0, -150)), ALL)  # chest and head above the picture
    outfit = find_outfit(np.full((100, 200, 3), (10, 200, 10), np.uint8), body)
    assert abs(hue(outfit.top) - 1 / 3) < 0.02


def test_the_head_is_larger_and_stays_on_its_neck():
    body = lift_body(standing(), ALL)
    outfit = find_outfit(np.zeros((290, 200, 3), np.uint8), body)
    character = dress_body(body, outfit)
    assert character.points["head_top"][1] < body.points["head_top"][1] - 5
    np.testing.assert_array_equal(character.points["upper_neck"], body.points["upper_neck"])


def test_a_cartoon_keeps_its_clothes_through_a_clip():
    portrait = Portrait("cartoon")
    for time, level in enumerate((40, 220)):
        picture = np.full((290, 200, 3), (level, 30, 30), np.uint8)
        portrait.add(picture, pose_of(standing()), time / 15)
    first, second = map(np.asarray, portrait.make_stickers())
    np.testing.assert_array_equal(first, second)


def test_a_face_looks_out_of_the_sticker():
    portrait = Portrait("cartoon")
    portrait.add(np.full((290, 200, 3), (40, 60, 200), np.uint8), pose_of(standing()))
    (sticker,) = portrait.make_stickers()
    head = np.asarray(sticker)[:130].reshape(-1, 4)
    assert (head == (*SKIN, 255)).all(axis=1).sum() > 800
    back = standing()[[5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 15, 14, 13, 12, 11, 10]]  # seen from behind
    portrait = Portrait("cartoon")
    portrait.add(np.full((290, 200, 3), (40, 60, 200), np.uint8), pose_of(back))
    (sticker,) = portrait.make_stickers()
    head = np.asarray(sticker)[:100].reshape(-1, 4)
    assert (head == (*SKIN, 255)).all(axis=1).sum() < 300
