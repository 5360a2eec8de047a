import io

import numpy as np
import pytest
from PIL import Image

from helpers.scenes import make_scene
from hourglass.data import scenes as scenes_module
from hourglass.data.person import Person
from hourglass.data.scenes import (
    INCOMPLETE,
    draw_view,
    mirror_view,
    person_square,
    read_scenes,
    scale_squares,
    whole_view,
)
from hourglass.utils.transforms import bbox_region, person_region


def find_white(view):
    """Middle and side of what is white in a view."""
    rows, columns = np.nonzero(view.pixels.max(axis=-1) > 60)
    middle = [(columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2]
    return [*middle, max(np.ptp(columns), np.ptp(rows)) + 1]


def test_the_whole_picture_lies_in_the_middle_of_a_square():
    view = whole_view(make_scene(), 64)
    assert view.pixels.shape == (64, 64, 3)
    assert view.squares == pytest.approx(np.array([find_white(view)]), abs=1)
    # From 200 px to 64, after 50 rows of black.
    assert view.squares[0] == pytest.approx([150.5 * 0.32 - 0.5, 90.5 * 0.32 - 0.5, 16])


@pytest.mark.parametrize("seed", range(8))
def test_squares_move_with_the_pixels(seed):
    scene = make_scene(squares=((100, 50, 40),))
    view = draw_view([scene], 96, np.random.default_rng(seed))
    if len(view.squares) and find_white(view)[2] < 60:  # all of it is in the view
        assert view.squares == pytest.approx(np.array([find_white(view)]), abs=1.5)


def test_the_same_seed_draws_the_same_view():
    scene = make_scene()
    first, same, other = (draw_view([scene], 64, np.random.default_rng(k)) for k in (1, 1, 2))
    assert (first.pixels == same.pixels).all() and (first.pixels != other.pixels).any()


def test_four_scenes_share_a_view():
    scenes = [make_scene((100, 100), ((50, 50, 40),), k % 2 == 0) for k in range(4)]
    view = draw_view(scenes, 96, np.random.default_rng(3))
    corners = {(int(x > 47), int(y > 47)) for x, y, _ in view.squares}
    assert len(view.squares) == 4 and len(corners) == 4
    assert sorted(view.unknown[:, 4]) == [INCOMPLETE] * 2


def test_who_is_cut_off_or_tiny_is_unknown():
    squares = ((100, 50, 40), (-40, 50, 90), (30, 30, 3))
    view = whole_view(make_scene((200, 200), squares), 64)
    assert len(view.squares) == 1
    assert (view.unknown[:, 4] == 0).all() and len(view.unknown) == 2


def test_nobody_knows_who_else_is_in_an_incomplete_picture():
    view = whole_view(make_scene(is_complete=False), 64)
    assert view.unknown.tolist() == [[-0.5, -0.5, 63.5, 63.5, INCOMPLETE]]


def test_a_mirror_of_a_mirror_is_the_view():
    view = whole_view(make_scene(is_complete=False), 64)
    twice = mirror_view(mirror_view(view))
    assert (twice.pixels == view.pixels).all() and np.allclose(twice.squares, view.squares)
    assert mirror_view(view).squares == pytest.approx(
        np.array([find_white(mirror_view(view))]), abs=1
    )


def test_a_square_grows_about_the_pictures_corner():
    assert scale_squares(np.array([[-0.5, 9.5, 4]]), 2).tolist() == [[-0.5, 19.5, 8]]


def test_a_square_of_a_box_gives_the_crop_of_training():
    # A box of 110 px around (50, 60), as COCO's reader makes center and scale of it.
    scale = 1.1 * 110 / 200
    person = Person("a.jpg", np.zeros((16, 2)), np.ones(16, bool),
                    np.array([50, 60 - 15 * scale]), scale, 10, "given")  # fmt: skip
    x, y, side = person_square(person, has_box=True)
    assert (x, y, side) == pytest.approx((50, 60, 110))
    middle, crop_side = bbox_region((x - 54.5, y - 54.5, side, side))
    expected, expected_side = person_region(person.center, person.scale)
    assert middle == pytest.approx(expected) and crop_side == pytest.approx(expected_side)


def test_without_a_box_the_labels_tell():
    joints = np.tile([[10.0, 20.0]], (16, 1))
    joints[1], joints[2] = (30, 60), (1000, 1000)
    visible = np.ones(16, bool)
    visible[2] = False
    person = Person("a.jpg", joints, visible, np.zeros(2), 1.0, 10, "given")
    assert person_square(person, has_box=False) == pytest.approx((20, 40, 1.04 * 40))


class Pictures:
    """An archive of one picture, 800 x 400 px, all of it grey."""

    def read(self, _name):
        encoded = io.BytesIO()
        Image.new("L", (800, 400), 128).save(encoded, "PNG")
        return encoded.getvalue()


def make_person(image, x):
    """One whose box is 110 px around (x, 200), and whose joints lie in its middle 50 px."""
    joints = np.tile([[x - 25.0, 200.0]], (16, 1))
    joints[0] = (x + 25, 200)
    scale = 1.1 * 110 / 200
    center = np.array([x, 200 - 15 * scale])
    return Person(image, joints, np.ones(16, bool), center, scale, 10, "given")


@pytest.fixture
def read(monkeypatch):
    """`read_scenes` of persons (image, x), of which the set `coco` is complete."""

    def read_persons(*persons):
        made = [make_person(*person) for person in persons]
        monkeypatch.setattr(scenes_module, "load_persons", lambda _: made)
        monkeypatch.setattr(scenes_module, "open_images", lambda _: Pictures())
        return read_scenes(None, None, ["coco"])

    return read_persons


def test_a_pictures_people_are_one_scene_wherever_they_stand_in_the_file(read):
    found = read(("coco/a.jpg", 100), ("coco/b.jpg", 300), ("coco/a.jpg", 500))["coco"]
    assert [len(scene.squares) for scene in found] == [2, 1]


def test_scenes_are_shrunk_and_their_squares_with_them(read):
    (scene,) = read(("coco/a.jpg", 100))["coco"]
    assert Image.open(io.BytesIO(scene.jpeg)).size == (384, 192)
    expected = [100.5 * 0.48 - 0.5, 200.5 * 0.48 - 0.5, 110 * 0.48]
    assert scene.squares == pytest.approx(np.array([expected])) and scene.is_complete


def test_boxes_are_read_of_complete_sets_alone(read):
    found = read(("sports/a.jpg", 100), ("coco/a.jpg", 100))
    assert {name: (len(of), of[0].is_complete) for name, of in found.items()} == {
        "sports": (1, False), "coco": (1, True),
    }  # fmt: skip
    assert found["sports"][0].squares[0, 2] == pytest.approx(1.04 * 50 * 0.48)
