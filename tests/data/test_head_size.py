import numpy as np
import pytest

from helpers.annotations import make_record, with_joint
from helpers.paths import DATA, needs_data
from hourglass.data.datasets.mpii import read_mpii_json
from hourglass.data.head_size import (
    describe_head_sizes,
    head_size_from_labels,
    head_size_from_scale,
)
from hourglass.data.person import SPLITS
from hourglass.data.validation import check_records


def head_of(record, measure_head_size=head_size_from_labels):
    ((person,), _) = check_records([record], None, measure_head_size=measure_head_size)
    return person.head_size, person.head_source


def with_head(neck, top, **changes):
    record = with_joint(8, neck, **changes)
    record["joints"][9] = top
    return record


def test_a_head_size_is_as_given_then_of_the_labels_then_of_the_scale():
    record = with_head([100.0, 50.0], [70.0, 10.0])  # 50 px apart
    assert head_of(record | {"head_size": 40}) == (40, "given")
    assert head_of(record) == (37.5, "segment")
    for missing in (8, 9):
        record["joints_vis"] = [int(joint != missing) for joint in range(16)]
        assert head_of(record) == (31.25, "scale")


def test_a_scale_made_of_the_head_goes_before_the_labels():
    record = with_head([100.0, 50.0], [70.0, 10.0])
    assert head_of(record, head_size_from_scale) == (31.25, "scale")
    assert head_of(record | {"head_size": 40}, head_size_from_scale) == (40, "given")


@pytest.mark.parametrize(
    ("length", "source"),
    [(0, "scale"), (6.6, "scale"), (6.7, "segment"), (333, "segment"), (334, "scale")],
)
def test_labels_on_one_spot_or_far_apart_are_no_head(length, source):
    # 0.75 x the length is 0.02 or 1 of the person's height, 250 px.
    assert head_of(with_head([100.0, 50.0], [100.0, 50.0 + length]))[1] == source


def test_the_sources_are_counted_in_words():
    records = [make_record(head_size=30.0), make_record(joints_vis=[1] * 8 + [0] * 8)]
    persons, _ = check_records(records, None)
    assert describe_head_sizes(persons) == "1 as given, 1 by 25 x scale"
    assert describe_head_sizes([]) == ""


@needs_data("mpii-val")
def test_mpii_means_the_same_by_its_scale_and_by_its_labels():
    records = read_mpii_json(DATA / "mpii-val" / "validation.json", "validation")
    of_scale = check_records(records, None, measure_head_size=head_size_from_scale)[0]
    assert [p.head_size for p in of_scale] == [25 * record["scale"] for record in records]
    of_labels = check_records(records, None)[0]
    ratios = np.array([
        scale.head_size / labels.head_size
        for scale, labels in zip(of_scale, of_labels, strict=True)
        if labels.head_source == "segment"
    ])  # fmt: skip
    assert len(ratios) == 2930  # of 2,932 with both labels; two are clicked amiss
    np.testing.assert_allclose(np.quantile(ratios, (0.01, 0.5, 0.99)), 1, atol=0.01)


@needs_data("lspet-mini")
def test_a_box_made_scale_knows_no_head():
    records = [r for s in SPLITS for r in read_mpii_json(DATA / "lspet-mini" / f"{s}.json", s)]
    persons, _ = check_records(records, None)
    ratios = [25 * p.scale / p.head_size for p in persons if p.head_source == "segment"]
    low, high = np.quantile(ratios, (0.05, 0.95))
    assert low < 0.6 and high > 1.8
