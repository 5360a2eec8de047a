import numpy as np
import pytest
from PIL import Image

from hourglass.keypoints import COCO, MPII
from hourglass.visualization.drawing import (
    SIDE_COLOURS,
    draw_comparison,
    draw_contact_sheet,
    draw_legend,
    draw_pose,
    paint_pose,
)

GREY = (120, 120, 120)
ALL = np.ones(16, bool)

# A person who faces the camera: the right side is on the picture's left.
STANDING = np.array(
    [
        [160, 370], [160, 300], [160, 220], [240, 220], [240, 300], [240, 370],
        [200, 220], [200, 110], [200, 90], [200, 40],
        [100, 220], [110, 165], [150, 110], [250, 110], [290, 165], [300, 220],
    ],
    float,
)  # fmt: skip


def grey_image(size=(400, 400), mode="RGB"):
    return Image.new("RGB", size, GREY).convert(mode)


def middle_of(*joints):
    return tuple(int(v) for v in STANDING[list(joints)].mean(axis=0))


def changed_pixels(image):
    return (np.asarray(image) != GREY).any(axis=-1)


def test_right_left_and_middle_bones_have_their_own_colours():
    drawn = draw_pose(grey_image(), STANDING, MPII)
    assert drawn.getpixel(middle_of(0, 1)) == SIDE_COLOURS["right"]
    assert drawn.getpixel(middle_of(4, 5)) == SIDE_COLOURS["left"]
    assert drawn.getpixel(middle_of(6, 7)) == SIDE_COLOURS["middle"]
    assert len(set(SIDE_COLOURS.values())) == 3


@pytest.mark.parametrize("bone", range(len(MPII.bones)))
def test_every_bone_is_drawn_in_its_side_colour(bone):
    ends = MPII.bone_indices[bone]
    drawn = draw_pose(grey_image(), STANDING, MPII, np.isin(np.arange(16), ends))
    assert drawn.getpixel(middle_of(*ends)) == SIDE_COLOURS[MPII.bone_sides[bone]]


def test_the_bones_and_colours_are_the_schemas():
    keypoints = np.full((17, 2), np.nan)
    keypoints[[COCO.index("left_hip"), COCO.index("right_hip")]] = (300, 200), (100, 200)
    keypoints[COCO.index("right_knee")] = 100, 350
    drawn = draw_pose(grey_image(), keypoints, COCO)
    assert drawn.getpixel((200, 200)) == SIDE_COLOURS["middle"], "from one side to the other"
    assert drawn.getpixel((100, 270)) == SIDE_COLOURS["right"]
    assert drawn.getpixel((300, 200)) == SIDE_COLOURS["left"]


def test_a_bone_has_a_dark_outline_and_a_soft_edge():
    levels = np.asarray(draw_pose(grey_image(), STANDING, MPII).convert("L"), int)
    row = levels[335, 145:176]  # across the right shin, far from any joint
    assert row.min() < 60
    assert ((row > 60) & (row < row.max()) & (row != levels[0, 0])).any()
    assert abs(row.argmax() - 15) <= 2
    assert (row != levels[0, 0]).sum() < 12, "a bone must not cover the limb"


def test_joints_that_are_not_visible_are_not_drawn():
    visible = np.ones(16, bool)
    visible[[0, 9]] = False
    drawn = draw_pose(grey_image(), STANDING, MPII, visible)
    assert drawn.getpixel(middle_of(0, 1)) == GREY
    assert drawn.getpixel(tuple(STANDING[9].astype(int))) == GREY
    assert drawn.getpixel(middle_of(1, 2)) != GREY


def test_what_is_undefined_where_a_joint_is_missing_has_no_effect():
    visible = np.ones(16, bool)
    visible[3] = False
    drawn = []
    for value in (np.nan, -1.0, 1e9, np.inf):
        keypoints = STANDING.copy()
        keypoints[3] = value
        drawn.append(draw_pose(grey_image(), keypoints, MPII, visible).tobytes())
    assert len(set(drawn)) == 1


def test_no_visible_joint_leaves_the_picture_as_it_is():
    drawn = draw_pose(grey_image(), STANDING, MPII, np.zeros(16, bool))
    assert drawn.tobytes() == grey_image().tobytes()


def test_the_input_is_not_changed():
    image, keypoints, visible = grey_image(), STANDING.copy(), np.ones(16, bool)
    draw_pose(image, keypoints, MPII, visible)
    draw_comparison(image, (keypoints, visible), keypoints, MPII, "PCKh 93 %")
    assert image.tobytes() == grey_image().tobytes()
    np.testing.assert_array_equal(keypoints, STANDING)
    assert visible.all()


def test_painting_changes_the_pixels_themselves_as_drawing_a_copy():
    pixels = np.array(grey_image())
    paint_pose(pixels, STANDING, MPII)
    np.testing.assert_array_equal(pixels, draw_pose(grey_image(), STANDING, MPII))


def cover_by_samples(start, end, half_width, size, samples=8):
    """How much of each pixel [H, W] lies within a line of round ends, by samples of it."""
    places = (np.arange(size * samples) + 0.5) / samples - 0.5
    points = np.stack(np.meshgrid(places, places), axis=-1)  # (x, y)
    along = (points - start) @ (end - start) / max(np.square(end - start).sum(), 1e-9)
    nearest = start + np.clip(along, 0, 1)[..., None] * (end - start)
    inside = np.linalg.norm(points - nearest, axis=-1) <= half_width
    return inside.reshape(size, samples, size, samples).mean(axis=(1, 3))


@pytest.mark.parametrize("end", [(70, 31), (33, 90), (12.3, 40.9), (90, 90)])
def test_a_bone_and_its_joints_cover_the_pixels_that_they_lie_over(end):
    keypoints = np.full((16, 2), np.nan)
    keypoints[[0, 1]] = (30.5, 25.25), end
    drawn = np.asarray(draw_pose(Image.new("RGB", (100, 100), "white"), keypoints, MPII), float)
    # The right side's orange has less blue than the outline.
    covered = np.clip((255 - drawn[..., 2]) / (255 - 20), 0, 1)
    radius, outline = 0.6, 1.25  # px, in so small a picture
    shapes = [cover_by_samples(*keypoints[:2], radius + outline, 100)]
    shapes += [cover_by_samples(k, k, 1.6 * radius + outline, 100) for k in keypoints[:2]]
    np.testing.assert_allclose(covered, np.max(shapes, axis=0), atol=0.25)


def test_a_bone_that_leaves_the_picture_is_drawn_up_to_its_edge():
    keypoints = STANDING.copy()
    keypoints[0] = [160, 1000]
    drawn = draw_pose(grey_image(), keypoints, MPII)
    assert drawn.getpixel((160, 399)) == SIDE_COLOURS["right"]


@pytest.mark.parametrize("offset", [-5000, 5000, 1e18, -1e300])
def test_a_person_wholly_outside_leaves_no_trace(offset):
    drawn = draw_pose(grey_image(), STANDING + offset, MPII)
    assert not changed_pixels(drawn).any()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 2), (3, 3)])
def test_tiny_and_narrow_pictures(size):
    drawn = draw_pose(grey_image(size), STANDING * 0.005, MPII)
    assert drawn.size == size
    comparison = draw_comparison(
        grey_image(size), (STANDING * 0.005, ALL), STANDING, MPII, "PCKh 0 %"
    )
    assert max(comparison.size) < 3000


def test_coincident_keypoints_make_one_dot():
    drawn = draw_pose(grey_image(), np.full((16, 2), 50.0), MPII)
    changed = changed_pixels(drawn)
    assert changed[50, 50]
    assert changed.sum() < 100


def test_lines_grow_with_the_person_but_stay_thin():
    counts = []
    for factor in (0.25, 0.5, 1):
        image = grey_image((1600, 1600))
        counts.append(changed_pixels(draw_pose(image, STANDING * 4 * factor, MPII)).sum())
    small, medium, large = counts
    assert small < medium < large < 0.06 * 1600 * 1600


def test_lines_of_a_person_larger_than_the_picture_stay_thin():
    drawn = draw_pose(grey_image(), (STANDING - STANDING[7]) * 50 + (200, 100), MPII)
    assert 0 < changed_pixels(drawn).mean() < 0.06


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1", "LA"])
def test_every_mode_becomes_rgb(mode):
    drawn = draw_pose(grey_image(mode=mode), STANDING, MPII)
    assert drawn.mode == "RGB"
    assert drawn.getpixel(middle_of(0, 1)) == SIDE_COLOURS["right"]


def test_the_same_input_gives_the_same_pixels():
    def draw():
        panels = [
            draw_comparison(grey_image(), (STANDING, ALL), STANDING + 9, MPII, f"PCKh {n} %")
            for n in range(3)
        ]
        return draw_contact_sheet(panels, 2, "Worst").tobytes()

    assert draw() == draw()


def test_the_legend_shows_every_side():
    colours = {colour for _, colour in draw_legend().getcolors(100_000)}
    assert set(SIDE_COLOURS.values()) <= colours


def test_each_sample_of_the_legend_is_a_level_line():
    pixels = np.asarray(draw_legend())
    for colour in SIDE_COLOURS.values():
        rows, columns = np.nonzero((pixels == colour).all(axis=-1))
        assert abs(rows.mean() - len(pixels) / 2) < 1
        assert np.ptp(rows) < np.ptp(columns) / 2


def test_a_comparison_scales_keypoints_with_the_picture():
    keypoints_visible = np.isin(np.arange(16), (0, 1))
    comparison = draw_comparison(
        grey_image((800, 800)),
        (STANDING * 2, keypoints_visible),
        STANDING * 2,
        MPII,
        "PCKh 93 %",
        height=400,
    )
    x, y = middle_of(0, 1)
    second = comparison.width - 400
    assert comparison.height > 400 and second >= 400
    assert comparison.getpixel((x, y)) == SIDE_COLOURS["right"]
    assert comparison.getpixel((second + x, y)) == SIDE_COLOURS["right"]
    x, y = middle_of(4, 5)
    assert comparison.getpixel((x, y)) == GREY, "not labelled"
    assert comparison.getpixel((second + x, y)) == SIDE_COLOURS["left"]


def test_a_comparison_holds_its_caption():
    arguments = grey_image(), (STANDING, ALL), STANDING, MPII
    short, other = (draw_comparison(*arguments, text) for text in ("PCKh 93 %", "PCKh 21 %"))
    assert short.size == other.size
    assert short.tobytes() != other.tobytes()
    assert short.crop((0, 0, short.width, 360)) == other.crop((0, 0, short.width, 360))
    wide = draw_comparison(*arguments, "a long caption " * 9)
    assert wide.width > short.width


def test_a_contact_sheet_has_equal_cells():
    panels = [Image.new("RGB", (200, 100 + n), (n, 200, n)) for n in range(7)]
    sheet = draw_contact_sheet(panels, 3, "Seven")
    assert sheet.width == 3 * 200 + 4 * 16
    pixels = np.asarray(sheet)
    corners = []
    for n in range(7):
        rows, columns = np.nonzero((pixels == (n, 200, n)).all(axis=-1))
        assert len(rows) == 200 * (100 + n), "each panel is whole"
        corners.append((columns.min(), (rows.min() + rows.max()) // 2))
    assert [x for x, _ in corners] == [16, 232, 448, 16, 232, 448, 16]
    assert np.ptp([y for _, y in corners[:3]]) <= 1
    assert corners[3][1] - corners[0][1] == pytest.approx(106 + 16, abs=1)


def test_a_long_title_widens_the_sheet_and_one_panel_needs_one_column():
    panel = Image.new("RGB", (50, 50))
    short = draw_contact_sheet([panel], 4, "One")
    assert draw_contact_sheet([panel], 4, "One " * 50).width > short.width
    assert draw_contact_sheet([], 4, "One").width == short.width


def test_a_caption_is_centred_under_its_panel():
    comparison = draw_comparison(grey_image(), (STANDING, ALL), STANDING, MPII, "PCKh 93 %")
    below = np.asarray(comparison.convert("L"))[360:]
    for left in (0, 360 + 6):
        columns = np.flatnonzero((below[:, left : left + 360] < 128).any(axis=0))
        assert (columns[0] + columns[-1]) / 2 == pytest.approx(180, abs=2)


def test_a_wide_picture_gets_a_lower_panel():
    comparison = draw_comparison(
        grey_image((900, 100)), (STANDING, ALL), STANDING, MPII, "", height=100
    )
    assert comparison.size == (200 + 6 + 200, 22 + 30)
