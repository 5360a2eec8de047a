import colorsys
from dataclasses import replace

import numpy as np
from PIL import Image

from helpers.people import ALL, drawn_figures, pose_of, standing
from hourglass.apps.stickers.drawings import (
    COLOURS,
    SKIN,
    Drawing,
    draw_bold_figure,
    dress_body,
    find_outfit,
)
from hourglass.apps.stickers.framing import EDGE, MARGIN, OUTLINE, SIZE, add_outline, place_windows
from hourglass.apps.stickers.lifting import lift_body
from hourglass.apps.stickers.making import Portrait
from hourglass.data.synthetic.canvas import OUTLINE as LINE
from hourglass.data.synthetic.canvas import Canvas
from hourglass.data.synthetic.cartoons import SKINS, draw_figure
from hourglass.keypoints import MPII
from hourglass.utils.transforms import apply_transform, crop_transform, invert_transform

K = MPII.index


def make_sticker(keypoints):
    """Pixels [S, S, 4], and a function from px of the picture to those of the sticker."""
    drawing = Drawing(lift_body(keypoints, ALL), draw_bold_figure)
    window = place_windows([0.0], [drawing.box])[0]
    transform = invert_transform(crop_transform(window, SIZE))
    sticker = np.asarray(add_outline(*drawing.render(window)))
    return sticker, lambda points: apply_transform(transform, points)


def test_the_figure_stands_on_its_joints_in_its_colours():
    keypoints = standing()
    sticker, place = make_sticker(keypoints)
    joints = np.rint(place(keypoints)).astype(int)

    def colour_between(first, second):
        x, y = (joints[K(first)] + joints[K(second)]) // 2
        return tuple(sticker[y, x].tolist())

    for side in "rl":
        for pair in (("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")):
            names = [f"{side}_{name}" for name in pair]
            assert colour_between(*names) == (*COLOURS[side], 255), names
    assert colour_between("pelvis", "thorax") == (*COLOURS["middle"], 255)
    x, y = joints[K("r_wrist")]
    assert tuple(sticker[y, x].tolist()) == (255, 255, 255, 255)


def test_limbs_have_a_dark_line_then_white_then_nothing():
    sticker, place = make_sticker(standing())
    x, y = place(np.array((88.5, 215)))  # the right shank, from its middle to the left
    row = sticker[round(y), : round(x)][::-1]
    dark = np.flatnonzero((row[:, :3] == LINE).all(axis=1))
    white = np.flatnonzero((row == 255).all(axis=1))
    assert 5 <= dark[0] < dark[-1] < white[0] and len(dark) >= 3
    assert abs(len(white) - OUTLINE) <= 2
    assert row[white[-1] + EDGE + 6, 3] == 0


def test_any_drawn_person_is_whole_in_the_middle_and_the_corners_are_transparent():
    for figure in drawn_figures(4):
        sticker, _ = make_sticker(figure.keypoints)
        rows, columns = (np.flatnonzero(sticker[..., 3].any(axis=axis)) for axis in (1, 0))
        low, high = np.array((columns[0], rows[0])), np.array((columns[-1], rows[-1]))
        # The box is measured on a rough drawing: some px.
        assert (low >= MARGIN - 8).all() and (high <= SIZE - 1 - MARGIN + 8).all()
        assert max(high - low) >= SIZE - 2 * MARGIN - 16
        np.testing.assert_allclose((low + high) / 2, (SIZE - 1) / 2, atol=8)
        assert (sticker[[0, 0, -1, -1], [0, -1, 0, -1], 3] == 0).all()


def test_the_nearer_arm_covers_the_trunk_and_the_farther_is_behind_it():
    keypoints = standing()
    keypoints[:, 0] = 100 + 0.15 * (keypoints[:, 0] - 100)  # nearly from the side
    for side in "rl":
        keypoints[K(f"{side}_knee"), 0] += 15  # turned to the right: the right side is nearer
        keypoints[K(f"{side}_elbow")] = (100, 118)
        keypoints[K(f"{side}_wrist")] = (100, 145)
    sticker, place = make_sticker(keypoints)
    x, y = np.rint(place(np.array((100, 130)))).astype(int)
    assert tuple(sticker[y, x, :3].tolist()) == COLOURS["r"]


# Cartoons


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
    portrait = Portrait("cartoon", MPII)
    for time, level in enumerate((40, 220)):
        picture = np.full((290, 200, 3), (level, 30, 30), np.uint8)
        portrait.add(picture, pose_of(standing()), time / 15)
    first, second = map(np.asarray, portrait.make_stickers())
    np.testing.assert_array_equal(first, second)


def test_a_face_looks_out_of_the_sticker():
    portrait = Portrait("cartoon", MPII)
    portrait.add(np.full((290, 200, 3), (40, 60, 200), np.uint8), pose_of(standing()))
    (sticker,) = portrait.make_stickers()
    head = np.asarray(sticker)[:130].reshape(-1, 4)
    assert (head == (*SKIN, 255)).all(axis=1).sum() > 800
    back = standing()[[5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 15, 14, 13, 12, 11, 10]]  # seen from behind
    portrait = Portrait("cartoon", MPII)
    portrait.add(np.full((290, 200, 3), (40, 60, 200), np.uint8), pose_of(back))
    (sticker,) = portrait.make_stickers()
    head = np.asarray(sticker)[:100].reshape(-1, 4)
    assert (head == (*SKIN, 255)).all(axis=1).sum() < 300
