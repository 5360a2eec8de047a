import numpy as np
from PIL import Image

from hourglass.data.synthetic.canvas import Canvas
from hourglass.data.synthetic.cartoons import sample_figure
from hourglass.data.synthetic.scenery import draw_occluder, paint_backdrop

SEED = 7


def test_occluder_hides_a_joint():
    figure = sample_figure(np.random.default_rng(SEED), 200.0).move((200, 200))
    for index in range(20):
        canvas = Canvas(Image.new("RGB", (400, 400), "white"))
        draw_occluder(canvas, np.random.default_rng((SEED, index)), figure)
        picture = np.asarray(canvas.finish())
        x, y = figure.keypoints.round().astype(int).T
        assert (picture[y, x] < 250).any()


def test_backdrop_has_the_size_asked_for_and_quiet_colours():
    for index in range(20):
        picture = paint_backdrop(np.random.default_rng((SEED, index)), (60, 40))
        assert picture.size == (60, 40)
        red, green, blue = np.asarray(picture, float).mean(axis=(0, 1))
        assert max(red, green, blue) - min(red, green, blue) < 0.3 * 255
