import numpy as np

from helpers.people import ALL, drawn_figures, standing
from hourglass.apps.stickers.drawings import COLOURS, Drawing, draw_bold_figure
from hourglass.apps.stickers.framing import EDGE, MARGIN, OUTLINE, SIZE, add_outline, place_windows
from hourglass.apps.stickers.lifting import lift_body
from hourglass.data.synthetic.canvas import OUTLINE as LINE
from hourglass.keypoints import JOINTS
from hourglass.utils.transforms import apply_transform, crop_transform, invert_transform

K = JOINTS.index


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
