import functools
import io
import json
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.clips import BarBackend, bars
from helpers.fake_backends import EverywhereBackend, WholeFinder, run_search
from helpers.fake_networks import SIZE, make_estimator
from hourglass.inference import runner
from hourglass.inference.backends import BATCH_SIZE, KerasBackend
from hourglass.inference.outputs import write_poses
from hourglass.inference.runner import (
    InferenceConfig,
    OpenedPhoto,
    describe_bboxes,
    group_photos,
    map_photos,
    open_photo,
    start_photo,
)
from hourglass.keypoints import MPII
from hourglass.models.pose_estimator import PoseEstimator
from hourglass.utils import image_headers
from hourglass.utils import images as images_module
from hourglass.utils.errors import UserError
from hourglass.utils.images import Picture, decode_image


def encode(image, kind="PNG"):
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


WHOLE = InferenceConfig("whole", threshold=None)


def predict_photo(estimator, data, config=WHOLE):
    """What becomes of a file, eagerly: picture, keypoints in its px, scores."""
    image, _ = decode_image(data)

    def find_keypoints(inputs):
        return map(np.asarray, estimator.find_keypoints(inputs.astype(np.float32)))

    (pose,) = run_search(config.start(image.size), image, find_keypoints, estimator.size)
    return image, pose.keypoints, pose.scores


def picture_with_dot(size, dot, radius):
    """A black picture with a soft white dot, as PNG bytes."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    distance = (x - dot[0]) ** 2 + (y - dot[1]) ** 2
    grey = np.uint8(255 * np.exp(-distance / (2 * radius**2)))
    return encode(Image.fromarray(grey))


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "flip_test"])
def dot_backend(request):
    return make_estimator(flip_test=request.param)


@pytest.mark.parametrize(
    ("size", "dot", "box"),
    [
        ((120, 120), (40, 70), None),
        ((300, 90), (250, 52), None),
        ((300, 90), (3, 45), None),
        ((70, 260), (50, 210), None),
        ((31, 17), (20, 9), None),
        ((400, 300), (220, 130), (180, 60, 100, 160)),
        ((400, 300), (30, 40), (-60, -20, 160, 120)),
        ((400, 300), (370, 280), (300, 200, 150, 180)),
        ((400, 300), (203.5, 101.5), (150.25, 60.75, 99.5, 80.5)),
    ],
    ids=str,
)
def test_a_dot_is_found_in_the_pictures_own_pixels(dot_backend, size, dot, box):
    side = max(size if box is None else box[2:])
    margin = 1 if box is None else 1.25
    stride = 4 * margin * side / SIZE  # px of the picture to a heatmap pixel
    data = picture_with_dot(size, dot, radius=max(1.5, stride))
    config = InferenceConfig("bbox", (box,), threshold=None) if box else WHOLE
    image, keypoints, scores = predict_photo(dot_backend, data, config)
    assert image.size == size and image.mode == "RGB"
    assert keypoints.shape == (16, 2) and scores.shape == (16,)
    np.testing.assert_allclose(keypoints, np.tile(dot, (16, 1)), atol=0.15 * stride + 0.1)
    assert (scores > 0.5).all()


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 2), (3, 3)])
def test_the_smallest_pictures_are_read(size):
    # The middle of the heatmap is the middle of the crop around the picture.
    heatmaps = np.zeros((1, 16, 16, 16), np.float32)
    heatmaps[:, 7:9, 7:9] = 1
    estimator = make_estimator(lambda _: heatmaps, decoder="argmax")
    _, keypoints, scores = predict_photo(estimator, encode(Image.new("RGB", size, "white")))
    middle = (np.array(size) - 1) / 2
    # Heatmap pixel 7 is half a stride from the middle; a crop may be half a pixel off as well.
    tolerance = 0.5 * 4 * max(size) / SIZE + 0.5
    assert np.abs(keypoints - middle).max() <= tolerance
    assert (scores == 1).all()


def test_a_whole_picture_is_letterboxed_not_squashed():
    estimator = make_estimator()
    predict_photo(estimator, encode(Image.new("RGB", (200, 100), "white")))
    pictures = np.asarray(estimator.network.seen[0])[0]
    assert (pictures[17:47] == 255).all()
    assert (pictures[:15] == 0).all() and (pictures[49:] == 0).all()


def test_around_a_box_there_is_the_margin_of_training():
    estimator = make_estimator()
    ramp = np.tile(np.arange(256, dtype=np.uint8), (120, 1))  # as bright as x
    predict_photo(
        estimator, encode(Image.fromarray(ramp)), InferenceConfig("bbox", ((100, 40, 80, 30),))
    )
    shown = np.asarray(estimator.network.seen[0])[0, SIZE // 2, :, 0]
    np.testing.assert_allclose(shown[[0, -1]], [139.5 - 55, 139.5 + 55], atol=1.5)


def test_exif_orientation_is_applied():
    data = picture_with_dot((120, 80), (30, 20), 6)
    image = Image.open(io.BytesIO(data)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees to the right
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif, quality=95)
    upright, keypoints, _ = predict_photo(make_estimator(), buffer.getvalue())
    assert upright.size == (80, 120)
    np.testing.assert_allclose(keypoints[0], (79 - 20, 30), atol=1)


@pytest.mark.parametrize(
    "box", [(500, 10, 50, 50), (-100, 10, 50, 50), (10, 400, 20, 20), (10, -90, 20, 20)], ids=str
)
def test_a_box_outside_of_the_picture_is_refused(box):
    config = InferenceConfig("bbox", ((20, 20, 50, 50), box))
    picture = Picture(encode(Image.new("RGB", (400, 300))))
    photo = OpenedPhoto(Path("a.png"), Path("a"), config, picture, (400, 300), 120_000, 1)
    text = ",".join(map(str, box))
    with pytest.raises(UserError, match=rf"the box {text} .* of 400 x 300 px; fix the box"):
        start_photo(photo, EverywhereBackend(0.25))


def test_what_is_no_picture_is_refused(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(b"no picture")
    with pytest.raises(UserError, match="not a picture"):
        open_photo((path, tmp_path / "out"), WHOLE)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gone.png", "cannot be read: No such file or directory"),
        ("x" * 300, "cannot be read: File name too long"),
        ("", "is a folder, a device or a pipe, not a file"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, name, reason):
    with pytest.raises(UserError, match=f"^{reason}$"):
        open_photo((tmp_path / name, tmp_path / "out"), WHOLE)


def test_what_is_made_of_photographs_comes_in_order_their_faults_with_it(tmp_path):
    sizes = [(40 + k, 30) for k in range(9)]
    paths = [tmp_path / f"{k}.png" for k in range(9)]
    for path, size in zip(paths, sizes, strict=True):
        path.write_bytes(encode(Image.new("RGB", size)))
    paths.insert(4, tmp_path / "gone.png")

    def describe(photo):
        (pose,) = photo.search.poses
        assert pose.score == 0.25 and photo.target == photo.path.with_suffix("")
        return photo.search.image.size

    files = [(path, path.with_suffix("")) for path in paths]
    results = list(map_photos(describe, EverywhereBackend(0.25), files, WHOLE, num_threads=1))
    assert str(results.pop(4)).startswith("cannot be read")
    assert results == sizes


def test_argmax_gives_the_middle_of_a_heatmap_pixel():
    heatmaps = np.zeros((1, 16, 16, 16), np.float32)
    heatmaps[0, 3, 5] = 1
    estimator = make_estimator(lambda _: heatmaps, decoder="argmax")
    _, keypoints, _ = predict_photo(estimator, encode(Image.new("RGB", (SIZE, SIZE))))
    expected = np.asarray(estimator.codec.heatmap_to_input(np.array([5.0, 3.0])))
    np.testing.assert_allclose(keypoints, np.tile(expected, (16, 1)), atol=1e-4)
    assert expected.tolist() == [21.5, 13.5]


@pytest.fixture(scope="module")
def backend(network):
    backend = KerasBackend(PoseEstimator(network, flip_test=True, decoder="dark"))
    backend.finder = WholeFinder()
    return backend


def save_pictures(folder, number):
    """Pictures of noise, each of a size of its own; their paths in order."""
    rng = np.random.default_rng(1)
    paths = [folder / f"{k:02d}.png" for k in range(number)]
    for k, path in enumerate(paths):
        Image.fromarray(rng.integers(0, 256, (40 + k, 50, 3), np.uint8)).save(path)
    return paths


def predict_files(backend, files, config):
    return map_photos(functools.partial(write_poses, schema=MPII), backend, files, config)


def read_joints(target):
    """The numbers of the first person: x, y, score of each joint."""
    record = json.loads(target.with_name(f"{target.name}.json").read_text())
    joints = record["people"][0]["joints"]
    return np.array([[joint[key] for key in ("x", "y", "score")] for joint in joints.values()])


# A network of random weights is sure of nothing.
CONFIGS = {
    "search": InferenceConfig(threshold=0.0),
    "bbox": InferenceConfig("bbox", ((5, 10, 30, 25),), threshold=None),
    "whole": WHOLE,
}


@pytest.mark.parametrize("mode", CONFIGS)
def test_in_batches_the_joints_are_those_of_each_alone(tmp_path, backend, mode):
    number = 5 if mode == "search" else 2 * BATCH_SIZE + 3
    paths = save_pictures(tmp_path, number)
    files = [(path, tmp_path / "all" / path.stem) for path in paths]
    results = list(predict_files(backend, files, CONFIGS[mode]))
    for (path, target), written in zip(files, results, strict=True):
        assert [file.stem for file in written.files] == [path.stem] * 2  # in order
        alone = tmp_path / "alone" / path.stem
        (again,) = predict_files(backend, [(path, alone)], CONFIGS[mode])
        assert again.scores == pytest.approx(written.scores, abs=1e-5)
        assert again.best == pytest.approx(written.best, abs=1e-5)
        # Rounded to 0.01 px and 0.0001, to either side.
        np.testing.assert_allclose(read_joints(target), read_joints(alone), atol=0.0101)
        with Image.open(written.files[0]) as drawn, Image.open(path) as photo:
            assert drawn.size == photo.size


def test_bad_files_keep_their_places_among_good_ones(tmp_path, backend):
    paths = save_pictures(tmp_path, 20)
    bad = [0, 7, 8, 19]
    for k in bad:
        paths[k].write_bytes(b"no picture")
    files = [(path, tmp_path / "out" / path.stem) for path in paths]
    results = list(predict_files(backend, files, WHOLE))
    assert [k for k, result in enumerate(results) if isinstance(result, UserError)] == bad
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    good = [path.stem for k, path in enumerate(paths) if k not in bad]
    assert written == [f"{stem}.{kind}" for stem in good for kind in ("json", "png")]


@pytest.mark.parametrize("is_good", [True, False], ids=["good", "bad"])
def test_the_number_under_way_does_not_grow_with_the_number_of_files(tmp_path, backend, is_good):
    (path,) = save_pictures(tmp_path, 1)
    if not is_good:
        path.write_bytes(b"no picture")
    taken = []

    def files():
        for number in range(200):
            taken.append(number)
            yield path, tmp_path / "out" / str(number)

    for given, _ in enumerate(predict_files(backend, files(), WHOLE), start=1):
        # A batch being opened, one decoded, one in the network, one being written.
        assert len(taken) <= given + 4 * BATCH_SIZE


def opened(num_inputs, size=(40, 30)):
    number = size[0] * size[1]
    return OpenedPhoto(Path("a.png"), Path("a"), WHOLE, Picture(b""), size, number, num_inputs)


@pytest.mark.parametrize(
    ("photos", "numbers"),
    [
        ([], [0]),
        ([opened(1)] * 5, [4, 1]),  # no more than a batch holds
        ([opened(20)] * 5, [2, 2, 1]),  # no more than the first inputs of several batches
        ([opened(1, (500, 200))] * 4, [3, 1]),  # no more than so many pixels
        ([opened(1), opened(1, (900, 900)), opened(1)], [1, 1, 1]),  # one alone may have more
        ([UserError("bad"), *[opened(31)] * 2, UserError("bad")], [3, 1]),
    ],
    ids=["none", "batch", "inputs", "pixels", "a large one", "bad ones"],
)
def test_photographs_are_searched_together_while_they_are_few(monkeypatch, photos, numbers):
    monkeypatch.setattr(runner, "PIXELS_TOGETHER", 300_000)
    groups = list(group_photos(iter(photos), 4))
    assert [len(group) for group in groups] == numbers
    assert [photo for group in groups for photo in group] == photos


def test_a_picture_is_opened_and_decoded_once_and_few_are_in_memory(tmp_path, backend, monkeypatch):
    calls, images, most = [], [], []
    open_image, load_upright = images_module.open_image, images_module.load_upright

    def open_and_count(data):
        calls.append("open")
        return open_image(data)

    def load_and_count(image):
        calls.append("decode")
        image = load_upright(image)
        images.append(weakref.ref(image))
        most.append(sum(image() is not None for image in images))
        return image

    monkeypatch.setattr(images_module, "open_image", open_and_count)
    monkeypatch.setattr(images_module, "load_upright", load_and_count)
    monkeypatch.setattr(runner, "PIXELS_TOGETHER", 2 * 40 * 60)
    files = [(path, tmp_path / "out" / path.stem) for path in save_pictures(tmp_path, 20)]
    config = InferenceConfig(threshold=0.0)
    assert not any(isinstance(r, UserError) for r in predict_files(backend, files, config))
    assert (calls.count("open"), calls.count("decode")) == (20, 20)
    assert max(most) <= 3 * 2


def test_a_picture_decoded_at_a_fraction_gives_joints_in_its_full_pixels(tmp_path, monkeypatch):
    backend = BarBackend()
    path = tmp_path / "a.jpg"
    pixels = bars((960, 640), (400, 320), width=160, height=400)
    Image.fromarray(pixels).save(path, quality=95)
    found = {}
    for limit in (960 * 640, 300_000):
        monkeypatch.setattr(image_headers, "MAX_PIXELS", limit)
        config = InferenceConfig("bbox", ((300.0, 100.0, 200.0, 440.0),), threshold=None)
        (photo,) = runner.map_photos(lambda photo: photo, backend, [(path, tmp_path / "a")], config)
        assert photo.size == (960, 640)
        found[limit] = photo.search.poses[0].keypoints
        on_image = photo.to_image(photo.search.poses[0]).keypoints
    assert photo.search.image.size == (480, 320) and photo.notes == ("decoded at 1/2 of its size",)
    np.testing.assert_allclose(found[300_000], found[960 * 640], atol=4)
    np.testing.assert_allclose(on_image, (found[300_000] + 0.5) / 2 - 0.5)


def test_a_box_beside_the_picture_is_told():
    size = (400, 300)
    assert list(describe_bboxes([(10, 10, 100, 200), (-20, 10, 100, 200)], size)) == []
    (text,) = describe_bboxes([(100, 100, 100, 400)], size)
    assert text == "the box 100,100,100,400 reaches outside of its 400 x 300 px"
