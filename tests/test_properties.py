"""What must hold for every input: parser, geometry, heatmaps and metric, tried on drawn ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hourglass.data.person import load_persons, save_persons
from hourglass.data.validation import check_records
from hourglass.evaluation.pckh import (
    CURVE_THRESHOLDS,
    compute_pckh,
    normalized_errors,
    pckh_curve,
    summarize,
)
from hourglass.keypoints import MPII
from hourglass.models.codec import HeatmapCodec
from hourglass.utils import transforms

repeated = settings(max_examples=60, deadline=None, derandomize=True)


def numbers(low, high, **options):
    return st.floats(low, high, allow_nan=False, **options)


def points(low, high, *shape):
    return arrays.arrays(np.float64, (*shape, 2), elements=numbers(low, high))


def flags(*shape):
    return arrays.arrays(bool, shape, elements=st.booleans())


# Parser


def spreads_its_joints(record):
    """Not a person whose joints all but lie in one place: that is taken for a scale in pixels."""
    joints = np.array(record["joints"])[np.array(record["joints_vis"], bool)]
    return np.ptp(joints, axis=0).max() > 0.03 * 200 * record["scale"]


RECORDS = st.builds(
    lambda number, offsets, keypoints_visible, center, scale: {
        "image": f"{number}.jpg",
        "joints": (center + 200 * scale * offsets).tolist(),
        "joints_vis": keypoints_visible.astype(int).tolist(),
        "center": center.tolist(),
        "scale": scale,
    },
    st.integers(0, 9),
    points(-9, 9, MPII.num_keypoints),  # person heights
    flags(MPII.num_keypoints).filter(np.any),
    points(-1e4, 1e4),
    numbers(1e-2, 40),
).filter(spreads_its_joints)


@repeated
@given(RECORDS)
def test_a_good_record_is_kept_and_moved_by_one_pixel(record):
    (person,), invalid = check_records([record], None)
    keypoints_visible = np.array(record["joints_vis"], bool)
    assert invalid == [] and (person.keypoints_visible == keypoints_visible).all()
    np.testing.assert_array_equal(
        person.joints[keypoints_visible], np.array(record["joints"])[keypoints_visible] - 1
    )
    np.testing.assert_array_equal(person.joints[~keypoints_visible], -1)
    np.testing.assert_array_equal(person.center, np.array(record["center"]) - 1)
    assert (person.scale, person.image) == (record["scale"], record["image"])


@repeated
@given(st.lists(RECORDS | st.none() | st.integers(), max_size=6), st.sets(st.integers(0, 9)))
def test_records_come_out_in_order_once_each_kept_or_invalid(records, held_out):
    names = {f"{number}.jpg" for number in held_out}
    persons, invalid = check_records(records, None, "train", names)
    assert len(persons) + len(invalid) == len(records)
    invalid_indices = [record.index for record in invalid]
    assert invalid_indices == sorted(set(invalid_indices))
    kept = [record for index, record in enumerate(records) if index not in invalid_indices]
    assert [person.image for person in persons] == [record["image"] for record in kept]
    assert names.isdisjoint(person.image for person in persons)


@repeated
@given(st.lists(RECORDS, max_size=4))
def test_saved_persons_come_back_bit_for_bit(tmp_path_factory, records):
    path = tmp_path_factory.getbasetemp() / "properties.json"
    persons, _ = check_records(records, None)
    save_persons(path, persons)
    loaded = load_persons(path, MPII)
    assert len(loaded) == len(persons)
    for person, other in zip(persons, loaded, strict=True):
        for name in ("image", "scale", "head_size", "head_source"):
            assert getattr(person, name) == getattr(other, name)
        for name in ("joints", "keypoints_visible", "center"):
            assert getattr(person, name).tobytes() == getattr(other, name).tobytes()


# Geometry

CROPS = st.tuples(st.integers(-5_000, 5_000), st.integers(-5_000, 5_000), st.integers(1, 5_000))


@repeated
@given(CROPS, st.integers(1, 1_000), points(-1e4, 1e4, 3))
def test_a_point_comes_back_from_a_stored_crop(crop, size, places):
    to_picture = transforms.crop_transform(crop, size)
    to_crop = transforms.invert_transform(to_picture)
    there = transforms.apply_transform(to_crop, places)
    back = transforms.apply_transform(to_picture, there)
    np.testing.assert_allclose(back, places, atol=1e-6)
    x, y, side = crop
    corner = transforms.apply_transform(to_picture, [[-0.5, -0.5], [size - 0.5, size - 0.5]])
    expected = np.array([[x, y], [x + side, y + side]]) - 0.5
    np.testing.assert_allclose(corner, expected, atol=1e-6)


@repeated
@given(
    points(-1e4, 1e4),
    numbers(0.1, 1e4),
    st.integers(32, 1_000),
    numbers(0, 0.9),
    numbers(0, 180),
)
def test_a_stored_square_holds_the_turned_and_widened_view(center, side, max_size, scale, rotation):
    (x, y, square_side), size = transforms.stored_crop(center, side, max_size, scale, rotation)
    assert 1 <= size <= max_size and size <= square_side
    angles = np.radians(np.linspace(0, rotation, 50))
    half = side * (1 + scale) * (np.abs(np.cos(angles)) + np.abs(np.sin(angles))).max() / 2
    low, high = np.array([x, y]) - 0.5, np.array([x, y]) + square_side - 0.5
    assert (low <= center - half).all() and (center + half <= high).all()


@repeated
@given(points(-1e4, 1e4), numbers(1e-3, 1e3))
def test_a_view_square_lies_below_the_center(center, scale):
    middle, side = transforms.person_region(center, scale)
    assert side == pytest.approx(250 * scale)
    np.testing.assert_allclose(middle, center + np.array([0, 15 * scale]))


# Heatmaps


@repeated
@given(points(-0.4, 31.4, 2, 4), st.sampled_from([("argmax", 0.5), ("shift", 0.5)]))
def test_a_decoded_keypoint_is_within_its_pixel(keypoints, method):
    name, tolerance = method
    codec = HeatmapCodec(32, 1, 1.0, name)
    found, scores = map(np.array, codec.decode(codec.encode(np.float32(keypoints))))
    assert np.abs(found - keypoints).max() <= tolerance + 1e-3
    assert (scores > 0.7).all() and (scores <= 1).all()


@repeated
@given(points(1.5, 29.5, 2, 4), numbers(0.9, 2.5), numbers(0.05, 12))
def test_decode_is_the_inverse_of_encode(keypoints, sigma, peak):
    codec = HeatmapCodec(32, 1, sigma)
    heatmaps = codec.encode(np.float32(keypoints)) * np.float32(peak)
    found, scores = map(np.array, codec.decode(heatmaps))
    np.testing.assert_allclose(found, keypoints, atol=0.05)
    assert (scores <= peak * 1.0001).all()


@repeated
@given(
    arrays.arrays(np.float32, (1, 6, 5, 3), elements=st.floats(-1e3, 1e3, width=32)),
    st.sampled_from(["argmax", "shift", "dark"]),
)
def test_any_heatmap_is_decoded_beside_its_highest_pixel(heatmaps, method):
    heatmaps = heatmaps + np.float32(0)  # no -0, which need not come after 0
    found, scores = map(np.array, HeatmapCodec(6, 1, 1.0, method).decode(heatmaps))
    flat = heatmaps.reshape(30, 3)
    best = flat.argmax(axis=0)
    np.testing.assert_array_equal(scores[0], flat.max(axis=0))
    assert np.abs(found[0] - np.stack([best % 5, best // 5], axis=-1)).max() <= 0.75


# Metric


@st.composite
def cases(draw):
    num = draw(st.integers(1, 4))
    joints = draw(points(-500, 500, num, MPII.num_keypoints))
    offsets = draw(points(-60, 60, num, MPII.num_keypoints))
    head_sizes = draw(arrays.arrays(np.float64, num, elements=numbers(2.5, 250)))
    return joints + offsets, joints, head_sizes, draw(flags(num, MPII.num_keypoints))


@repeated
@given(cases())
def test_scores_are_shares_that_rise_with_the_threshold(case):
    keypoints, joints, head_sizes, keypoints_visible = case
    errors = normalized_errors(keypoints, joints, head_sizes)
    _, curves = pckh_curve(errors, keypoints_visible, MPII)
    for values in curves.values():
        known = [value for value in values if value is not None]
        assert len(known) in (0, len(CURVE_THRESHOLDS))
        assert known == sorted(known) and all(0 <= value <= 100 for value in known)
    metrics = summarize(errors, keypoints_visible, MPII)
    auc, total = metrics["auc"], metrics["pckh"]["total"]
    assert auc is total is None or auc <= total + 1e-4


@repeated
@given(cases(), st.randoms(use_true_random=False))
def test_the_score_knows_no_order_and_nothing_unlabelled(case, random):
    keypoints, joints, head_sizes, keypoints_visible = case
    order = list(range(len(head_sizes)))
    random.shuffle(order)
    garbage = np.where(keypoints_visible[..., None], joints, np.nan)
    expected = summarize(normalized_errors(keypoints, joints, head_sizes), keypoints_visible, MPII)
    shuffled = normalized_errors(keypoints[order], garbage[order], head_sizes[order])
    assert summarize(shuffled, keypoints_visible[order], MPII) == expected


@repeated
@given(cases(), st.integers(-8, 8), numbers(0.1, 10))
def test_the_score_knows_no_place_and_no_resolution(case, shift, zoom):
    keypoints, joints, head_sizes, _ = case
    errors = normalized_errors(keypoints, joints, head_sizes)
    zoomed = normalized_errors(keypoints * zoom, joints * zoom, head_sizes * zoom)
    np.testing.assert_allclose(zoomed, errors, atol=1e-9)
    moved = normalized_errors(keypoints + shift, joints + shift, head_sizes)
    np.testing.assert_allclose(moved, errors, atol=1e-9)


@repeated
@given(cases())
def test_the_truth_scores_everything(case):
    _, joints, head_sizes, keypoints_visible = case
    score = compute_pckh(
        normalized_errors(joints, joints, head_sizes), keypoints_visible, MPII.scored_indices, 0
    )
    assert score in (100, None)
