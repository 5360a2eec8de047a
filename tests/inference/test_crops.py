import numpy as np
import pytest
from PIL import Image

from helpers.fake_backends import WholeFinder, run_search
from hourglass.inference.crops import Search, cut_inputs, run_searches
from hourglass.inference.person_search import Look
from hourglass.keypoints import MPII

SIZE = 64  # px of a model input


def as_bright_as_they_lie(size):
    """A picture whose red is as bright as x and whose green as y, 0..255 from end to end."""
    x, y = np.meshgrid(*(np.linspace(0, 255, length) for length in size))
    return Image.fromarray(np.stack([x, y, np.full_like(x, 255)], axis=-1).round().astype(np.uint8))


def read_places(inputs):
    """Joints all in the middle of each input; their scores tell what is seen there."""
    middle = inputs[:, SIZE // 2 - 1 : SIZE // 2 + 1, SIZE // 2 - 1 : SIZE // 2 + 1]
    colours = middle.mean(axis=(1, 2))  # (n, 3)
    keypoints = np.full((len(inputs), 16, 2), (SIZE - 1) / 2)
    return keypoints, np.repeat(colours[:, :1], 16, axis=1)


def ask(*rounds):
    """A search that asks for crops round by round, and returns all answers."""
    answers = []
    for crops in rounds:
        answers.append((yield crops if isinstance(crops, Look) else Look(crops)))
    return answers


def test_joints_come_back_to_the_picture():
    crops = [(10, 20, 64), (-30, 5, 128), (100, 60, 33), (0, 0, 1)]
    ((keypoints, scores),) = run_search(
        ask(crops), as_bright_as_they_lie((256, 200)), read_places, SIZE
    )
    for (x, y, side), points, seen in zip(crops, keypoints, scores, strict=True):
        middle = np.array([x, y]) + (side - 1) / 2
        np.testing.assert_allclose(points, np.tile(middle, (16, 1)))
        # What was seen there: red is x.
        np.testing.assert_allclose(seen, middle[0], atol=1.5)


def test_a_search_goes_on_with_what_was_seen():
    def follow(start):
        keypoints, scores = yield Look([start])
        assert scores.shape == (1, 16)
        x, y = keypoints[0, 0]
        keypoints, _ = yield Look([(int(x), int(y), 10), (int(x) + 5, int(y), 10)])
        assert keypoints.shape == (2, 16, 2)
        return keypoints[:, 0]

    image = as_bright_as_they_lie((256, 200))
    found = run_search(follow((50, 60, 21)), image, read_places, SIZE)
    np.testing.assert_allclose(found, [(64.5, 74.5), (69.5, 74.5)])


def test_what_lies_outside_is_black_and_still_an_input():
    image = Image.new("RGB", (100, 100), "white")
    inputs, is_seen = cut_inputs(image, [(0, 0, 100), (5000, 0, 100), (-50, 0, 100)], SIZE)
    whole, outside, half = inputs
    assert is_seen.tolist() == [True, False, True] and (whole == 255).all() and (outside == 0).all()
    assert (half[:, : SIZE // 2] == 0).all() and (half[:, SIZE // 2 :] == 255).all()


def test_it_is_told_where_nothing_is_to_be_seen():
    image = Image.new("RGB", (100, 100), "white")
    search = Search(ask([(500, 0, 100), (0, 900, 9), (0, 90, 9)]), image, Counter())
    assert search.is_seen.tolist() == [False, False, True]


def test_large_pictures_are_cut_in_their_place():
    size = (3001, 2003)  # no multiple of anything
    crops = [(0, 0, 2900), (1500, 1000, 1000), (2001, 1003, 1000), (-500, -400, 1700)]
    inputs, _ = cut_inputs(as_bright_as_they_lie(size), crops, SIZE)
    for (x, y, side), pixels in zip(crops, inputs.astype(float), strict=True):
        ratio = side / SIZE
        places = (np.arange(SIZE) + 0.5) * ratio - 0.5  # px of the crop
        for axis, start in enumerate((x, y)):
            seen = pixels[SIZE // 2, :, 0] if axis == 0 else pixels[:, SIZE // 2, 1]
            expected = (start + places) * 255 / (size[axis] - 1)
            inside = (start + places > 2 * ratio) & (start + places < size[axis] - 2 * ratio)
            assert np.abs(seen - expected)[inside].max() < 2.5


def test_without_a_shared_mean_a_crop_is_what_it_is_alone():
    image = as_bright_as_they_lie((900, 700))
    crops = [(0, 0, 40), (10, 20, 600), (5, 5, 300), (30, 20, 599)]
    inputs, _ = cut_inputs(image, crops, SIZE, share_mean=False)
    alone = [cut_inputs(image, [crop], SIZE)[0][0] for crop in crops]
    np.testing.assert_array_equal(inputs, alone)
    assert (cut_inputs(image, crops, SIZE)[0] != inputs).any()


@pytest.mark.parametrize(("side", "factors"), [(255, []), (256, [2]), (400, [3])])
def test_a_picture_is_shrunk_once_for_all_crops_and_only_a_large_one(monkeypatch, side, factors):
    seen, usual = [], Image.Image.reduce

    def reduce(image, factor):
        seen.append(factor)
        return usual(image, factor)

    monkeypatch.setattr(Image.Image, "reduce", reduce)
    cut_inputs(as_bright_as_they_lie((500, 400)), [(0, 0, 900), (9, 9, side), (5, 5, 950)], SIZE)
    assert seen == factors


class Counter:
    """`read_places`, and how many inputs each call had."""

    size, batch_size, schema = SIZE, 4, MPII

    def __init__(self):
        self.finder, self.numbers = WholeFinder(), []

    def __call__(self, inputs):
        self.numbers.append(len(inputs))
        return read_places(inputs)


def test_the_crops_of_many_pictures_share_batches():
    # Three pictures whose searches have one, two and three rounds of different lengths.
    rounds = [
        ([(0, 0, 40), (5, 5, 20)],),
        ([(1, 2, 50)], [(3, 4, 30)] * 5),
        ([(9, 9, 9)] * 4, [(8, 8, 8)], [(20, 10, 64), (2, 1, 70)]),
    ]
    images = [as_bright_as_they_lie((100 + 50 * k, 90)) for k in range(3)]
    counter = Counter()
    searches = [
        Search(ask(*crops), image, counter) for crops, image in zip(rounds, images, strict=True)
    ]
    run_searches(searches, counter)
    assert counter.numbers == [4, 3, 4, 2, 2]  # rounds of 7, 6 and 2
    for search, crops, image in zip(searches, rounds, images, strict=True):
        alone = run_search(ask(*crops), image, read_places, SIZE)
        assert len(alone) == len(search.poses) == len(crops)
        for answer, expected in zip(search.poses, alone, strict=True):
            for values, others in zip(answer, expected, strict=True):
                np.testing.assert_array_equal(values, others)
        assert search.look.crops == []


def test_boxes_come_back_to_the_picture():
    crops = [(10, 20, 64), (-30, 5, 128)]
    look = Look(crops, is_for_finder=True)
    ((boxes, scores),) = run_search(ask(look), as_bright_as_they_lie((256, 200)), None, SIZE)
    assert boxes.shape == (2, 50, 4) and scores.shape == (2, 50)
    # The finder sees a person all over its input: as --box has it, the crop itself.
    np.testing.assert_allclose(boxes[:, 0], [(10, 20, 64, 64), (-30, 5, 128, 128)])
    assert (scores[:, 0] == 0.9).all() and not scores[:, 1:].any()


def test_the_inputs_have_the_size_of_the_network_that_is_asked():
    image, backend = as_bright_as_they_lie((256, 200)), Counter()
    search = Search(ask(Look([(0, 0, 99)], True), [(0, 0, 99)] * 3), image, backend)
    assert search.network is backend.finder and search.inputs.shape == (1, 32, 32, 3)
    search.take_found(*search.network(search.inputs))
    assert search.network is backend and search.inputs.shape == (3, SIZE, SIZE, 3)


def test_pictures_that_are_searched_share_batches_of_both_networks():
    image, backend = as_bright_as_they_lie((256, 200)), Counter()
    rounds = Look([(0, 0, 99)], True), [(0, 0, 99)]
    searches = [Search(ask(*rounds), image, backend) for _ in range(3)]
    searches.append(Search(ask([(5, 5, 50)]), image, backend))
    run_searches(searches, backend)
    assert (backend.finder.batches, backend.numbers) == ([3], [4])


def test_no_search_is_no_batch():
    run_searches([], counter := Counter())
    assert counter.numbers == []


def test_a_search_may_end_before_any_crop():
    def search():
        return ["no person"]
        yield

    ended = Search(search(), Image.new("RGB", (9, 9)), Counter())
    assert (ended.look.crops, ended.poses) == ([], ["no person"])
    run_searches([ended], counter := Counter())
    assert counter.numbers == []
