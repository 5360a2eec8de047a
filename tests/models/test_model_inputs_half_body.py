"""Half bodies: which persons, the geometry of the crop, the labels that remain."""

import hashlib

import numpy as np
import pytest

from helpers.augmentation import PLAIN, draws_of, make_augment_params, make_batch
from hourglass.data.tfrecords.augmentation import HALF_BODY, sample_augmentation
from hourglass.keypoints import COCO, MPII, KeypointSchema
from hourglass.models.model_inputs import crop_half_bodies, render_inputs, transform_keypoints
from hourglass.utils.transforms import cover_side, stored_crop

STORED, SIZE, SIDE = 160, 96, 110.0
MIDDLE = (STORED - 1) / 2
SMALL = KeypointSchema(
    name="small",
    keypoints=("neck", "LHip", "hat", "RHip", "l_toe"),
    flip_pairs=(("RHip", "LHip"),),
    bones=(),
    groups={"hat": ("hat",)},
)
EACH = pytest.mark.parametrize("schema", [MPII, COCO, SMALL], ids=lambda schema: schema.name)


def crop_batch(batch, schema=MPII):
    cropped = crop_half_bodies(batch, schema.lower_indices)
    return {key: np.array(value) for key, value in cropped.items()}


def random_batch(schema, num, half, seed=0, **draw):
    """Persons somewhere in their crops; keypoints without a label lie at (-1, -1), as stored."""
    rng = np.random.default_rng(seed)
    shape = num, schema.num_keypoints
    spread = rng.uniform(1, 60, (num, 1, 2))
    keypoints = (
        MIDDLE + rng.uniform(-20, 20, (num, 1, 2)) + rng.uniform(-1, 1, (*shape, 2)) * spread
    )
    labelled = rng.random(shape) < rng.choice([0.5, 0.8, 1], (num, 1))
    keypoints[~labelled] = -1
    draws = np.repeat(draws_of({"half": half} | draw), num, axis=0)
    crops = np.zeros((num, STORED, STORED, 3), np.uint8)
    batch = make_batch(crops, draws, keypoints, labelled, side=SIDE)
    return batch | {"center": np.float32(MIDDLE + rng.uniform(-9, 9, (num, 2)))}


def is_lower(name):
    parts = ("hip", "pelvis", "knee", "ankle", "toe")
    return any(part in name.lower() for part in parts)


def crop_one(schema, half, keypoints, labelled, center, side):
    """One person's center, side and labels, in plain Python; None if it stays whole."""
    halves = {1: [], -1: []}
    for k, name in enumerate(schema.keypoints):
        halves[-1 if is_lower(name) else 1].append(k)
    for places in halves.values():
        number = sum(bool(labelled[k]) for k in places)
        if number < 2 or number < len(places) / 2:
            return None
    kept = [k for k in halves[half] if labelled[k]]
    points = keypoints[kept].astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    new_side = min(max(1.5 * max(high - low), side / 4), side)
    middle = [
        min(max((a + b) / 2, c - side / 2 + new_side / 2), c + side / 2 - new_side / 2)
        for a, b, c in zip(low, high, center, strict=True)
    ]
    return np.array(middle), new_side, [k in kept for k in range(len(labelled))]


@EACH
@pytest.mark.parametrize("half", [1, -1])
def test_the_crop_is_about_the_labelled_keypoints_of_the_half(schema, half):
    batch = random_batch(schema, 200, half)
    found = crop_batch(batch, schema)
    num_cropped = 0
    for n in range(200):
        whole = [batch[key][n] for key in ("keypoints", "keypoints_visible", "center", "side")]
        expected = crop_one(schema, half, *whole)
        center, side, labelled = expected or (whole[2], whole[3], whole[1])
        np.testing.assert_allclose(found["center"][n], center, atol=1e-4)
        np.testing.assert_allclose(found["side"][n], side, rtol=1e-5)
        np.testing.assert_array_equal(found["keypoints_visible"][n], labelled)
        num_cropped += expected is not None
    assert 50 < num_cropped < 195, "some are cropped, and some stay whole"
    sides = found["side"]
    assert (sides == SIDE / 4).any() and (sides == SIDE).any()
    assert ((sides > SIDE / 4) & (sides < SIDE)).any()
    assert found.keys() == batch.keys()
    for key in ("crops", "keypoints", "augmentation"):
        np.testing.assert_array_equal(found[key], batch[key])


def place_mpii(**places):
    """Keypoints [1, 16, 2] and labels of a person of a few named keypoints, others between."""
    keypoints = np.zeros((1, MPII.num_keypoints, 2))
    for k, name in enumerate(MPII.keypoints):
        keypoints[0, k] = places["lower" if is_lower(name) else "upper"]
    for name in places.keys() - {"upper", "lower"}:
        keypoints[0, MPII.index(name)] = places[name]
    return keypoints


@pytest.mark.parametrize(
    ("half", "center", "side"),
    # 1.5 x 40 px; 1.5 x 42 px. The lower one's middle is 103.5: moved into the person's crop.
    [(1, (75, 55), 60), (-1, (82, 103), 63)],
)
def test_a_standing_person_of_known_numbers(half, center, side):
    keypoints = place_mpii(
        upper=(80, 50), head_top=(75, 40), r_wrist=(55, 70), l_wrist=(95, 60),
        lower=(80, 100), r_ankle=(72, 124.5), pelvis=(80, 82.5), l_ankle=(92, 120),
    )  # fmt: skip
    crops = np.zeros((1, STORED, STORED, 3))
    found = crop_batch(make_batch(crops, draws_of({"half": half}), keypoints))
    np.testing.assert_allclose(found["center"], [center], rtol=1e-6)
    np.testing.assert_allclose(found["side"], [side], rtol=1e-6)
    names = {MPII.keypoints[k] for k in np.flatnonzero(found["keypoints_visible"][0])}
    lower = {"r_hip", "r_knee", "r_ankle", "l_hip", "l_knee", "l_ankle", "pelvis"}
    assert names == (set(MPII.keypoints) - lower if half == 1 else lower)


@pytest.mark.parametrize(
    ("schema", "fewest"),
    [(MPII, (5, 4)), (COCO, (6, 3)), (SMALL, (2, 2))],
    ids=lambda s: str(s)[:0],
)
def test_a_person_with_too_few_labels_of_either_half_stays_whole(schema, fewest):
    halves = [[k for k, n in enumerate(schema.keypoints) if is_lower(n) == low] for low in (0, 1)]
    for numbers in [fewest, (fewest[0] - 1, len(halves[1])), (len(halves[0]), fewest[1] - 1)]:
        batch = random_batch(schema, 1, 1)
        batch["keypoints"][:] = np.random.default_rng(1).uniform(60, 100, (schema.num_keypoints, 2))
        labelled = [k for half, n in zip(halves, numbers, strict=True) for k in half[:n]]
        batch["keypoints_visible"][:] = np.isin(np.arange(schema.num_keypoints), labelled)
        cropped = crop_batch(batch, schema)
        assert (cropped["side"] < SIDE).all() == (numbers == fewest)


def show_ramps(batch):
    """The inputs of crops in which red is a pixel's column, and green its row."""
    rows, columns = np.mgrid[:STORED, :STORED]
    ramps = np.stack([columns, rows, np.zeros_like(rows)], axis=-1)
    return np.array(render_inputs(batch | {"crops": np.uint8([ramps] * len(batch["side"]))}, SIZE))


def is_between_pixels(place, size):
    return min(place) >= 0 and max(place) < size - 1


@pytest.mark.parametrize("draw", [{}, {"flip": 1}, {"flip": 1, "turn": 0.4, "zoom": 0.8}], ids=str)
@pytest.mark.parametrize("half", [1, -1])
def test_pixels_and_keypoints_of_a_half_body_agree(half, draw):
    """Where a keypoint is in the input, the input shows the keypoint's place in the stored crop."""
    batch = random_batch(MPII, 60, half, **draw)
    cropped = crop_batch(batch)
    pictures = show_ramps(cropped)
    keypoints, visible = map(np.array, transform_keypoints(cropped, SIZE, MPII.flip_order))
    name_of = np.array(MPII.flip_order) if "flip" in draw else np.arange(MPII.num_keypoints)
    num_shown = 0
    for n, k in np.argwhere(visible):
        (x, y), place = keypoints[n, k], batch["keypoints"][n, name_of[k]]
        if is_between_pixels((x, y), SIZE) and is_between_pixels(place, STORED):
            column, row = int(x), int(y)
            a, b = x - column, y - row
            weights = np.outer([1 - b, b], [1 - a, a])[..., None]
            shown = (weights * pictures[n, row : row + 2, column : column + 2]).sum((0, 1))
            np.testing.assert_allclose(shown[:2], place, atol=0.02)
            num_shown += 1
    assert num_shown > 200


@pytest.mark.parametrize("draw", [{}, {"flip": 1}, {"flip": 1, "turn": -0.5, "zoom": 1.2}], ids=str)
def test_the_input_of_a_half_body_is_where_numpy_puts_it(draw):
    batch = random_batch(MPII, 40, 1, **draw)
    zoom, turn, flip = ((PLAIN | draw)[name] for name in ("zoom", "turn", "flip"))
    pictures = show_ramps(crop_batch(batch))
    across, down = np.meshgrid(*[np.arange(SIZE) - (SIZE - 1) / 2] * 2)
    across = -across if flip else across
    for n, picture in enumerate(pictures):
        whole = [batch[key][n] for key in ("keypoints", "keypoints_visible", "center", "side")]
        center, side, _ = crop_one(MPII, 1, *whole) or (whole[2], whole[3], None)
        step = zoom * side / SIZE  # stored px to an input px
        x = center[0] + step * (np.cos(turn) * across - np.sin(turn) * down)
        y = center[1] + step * (np.sin(turn) * across + np.cos(turn) * down)
        inside = (np.minimum(x, y) >= 0) & (np.maximum(x, y) <= STORED - 1)
        assert inside.mean() > 0.5
        np.testing.assert_allclose(picture[inside, 0], x[inside], atol=0.02)
        np.testing.assert_allclose(picture[inside, 1], y[inside], atol=0.02)


@pytest.mark.parametrize("half", [1, -1])
def test_a_flipped_half_body_keeps_its_half_and_changes_sides(half):
    batch = random_batch(MPII, 80, half, flip=1)
    cropped = crop_batch(batch)
    _, visible = transform_keypoints(cropped, SIZE, MPII.flip_order)
    np.testing.assert_array_equal(visible, cropped["keypoints_visible"][:, list(MPII.flip_order)])
    changed = (cropped["keypoints_visible"] != batch["keypoints_visible"]).any(axis=1)
    lower = np.array([is_lower(name) for name in MPII.keypoints])
    assert changed.any() and not np.array(visible)[changed][:, lower == (half == 1)].any()


@pytest.mark.parametrize("half", [1, -1])
def test_the_stored_crop_covers_the_half_body_at_any_zoom_and_turn(half):
    """White crops, as large as a whole person's inputs need: the inputs show nothing beyond."""
    scale_range, rotation_range, num = 0.25, 45, 100
    needed = cover_side(SIDE, scale_range, rotation_range)
    (x, y, side), size = stored_crop((300.5, 300.5), SIDE, 10_000, scale_range, rotation_range)
    assert side == size and size < needed + 6
    rng = np.random.default_rng(3)
    turns = np.radians(rng.choice([-45, 45, 20, 0], num))
    draws = draws_of(*[{"half": half, "zoom": 1.25, "turn": turn} for turn in turns])
    # Keypoints anywhere in the person's crop, and beyond it.
    center = np.array([300.5 - x, 300.5 - y])
    middles, spread = rng.uniform(-SIDE, SIDE, (num, 1, 2)), rng.uniform(5, SIDE / 2, (num, 1, 2))
    keypoints = center + middles + spread * rng.uniform(-1, 1, (num, MPII.num_keypoints, 2))
    crops = np.full((num, size, size, 3), 255)
    batch = make_batch(crops, draws, keypoints, center=np.tile(center, (num, 1)), side=SIDE)
    cropped = crop_batch(batch)
    assert (cropped["side"] < SIDE).mean() > 0.3
    np.testing.assert_allclose(render_inputs(cropped, SIZE), 255, atol=0.01)


def test_whole_persons_keep_every_bit():
    batch = random_batch(MPII, 100, 0)
    draws = sample_augmentation(make_augment_params(occluders=1), 1, 1, 100)
    for key, value in crop_batch(batch | {"augmentation": draws}).items():
        assert value.tobytes() == (batch | {"augmentation": draws})[key].tobytes(), key


def test_as_many_persons_are_cropped_as_asked():
    batch = random_batch(MPII, 1000, 0)
    batch["keypoints_visible"][:] = True
    batch["keypoints"] = np.random.default_rng(0).uniform(60, 100, batch["keypoints"].shape)
    batch["augmentation"] = sample_augmentation(make_augment_params(half_body=0.3), 1, 1, 1000)
    labels = crop_batch(batch)["keypoints_visible"].sum(axis=1)
    assert set(labels) == {16, 9, 7}
    np.testing.assert_array_equal(labels < 16, batch["augmentation"][:, HALF_BODY] != 0)
    assert (labels < 16).mean() == pytest.approx(0.3, abs=0.04)


# SHA-256 of pixels, keypoints and labels by the code without half bodies and patches.
BYTES_BEFORE = "3ec3b5b4ef1636a3"


def test_without_half_bodies_and_patches_the_inputs_are_those_of_before():
    # All numbers are sums of a few powers of two: no compiler can round them in another way.
    rng = np.random.default_rng(5)
    crops = rng.integers(0, 256, (8, 80, 80, 3), np.uint8)
    draws = draws_of(*[
        {"zoom": 2.0**-(n % 3), "flip": n % 2, "red": 0.5, "green": 1 + n / 8} for n in range(8)
    ])  # fmt: skip
    keypoints, center = rng.integers(0, 320, (8, 16, 2)) / 4, rng.integers(140, 180, (8, 2)) / 4
    batch = make_batch(crops, draws, keypoints, rng.random((8, 16)) < 0.8, center, side=64.0)
    batch = crop_half_bodies(batch, MPII.lower_indices)
    digest = hashlib.sha256(np.array(render_inputs(batch, 64)).tobytes())
    for values in transform_keypoints(batch, 64, MPII.flip_order):
        digest.update(np.array(values).tobytes())
    assert digest.hexdigest()[:16] == BYTES_BEFORE
