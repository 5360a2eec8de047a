"""The records' bytes, held against TensorFlow's own."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from hourglass.data.tfrecords.record import FEATURES
from hourglass.data.tfrecords.tfrecord_format import serialize_example, write_record

FLOATS = st.floats(width=32, allow_nan=False)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
FEATURE = st.one_of(
    st.tuples(st.just("string"), st.lists(st.binary(max_size=300), min_size=1)),
    st.tuples(st.just("float32"), st.lists(FLOATS, min_size=1)),
    st.tuples(st.just("int64"), st.lists(INTEGERS, min_size=1)),
)


def tensorflows(features):
    kinds = {
        "string": lambda values: {"bytes_list": tf.train.BytesList(value=values)},
        "float32": lambda values: {"float_list": tf.train.FloatList(value=values)},
        "int64": lambda values: {"int64_list": tf.train.Int64List(value=values)},
    }
    lists = {
        name: tf.train.Feature(**kinds[dtype](values)) for name, (dtype, values) in features.items()
    }
    example = tf.train.Example(features=tf.train.Features(feature=lists))
    return example.SerializeToString(deterministic=True)


# protobuf and Python do not sort alike where one name begins another.
@given(st.dictionaries(st.sampled_from(sorted(FEATURES)), FEATURE, min_size=1))
def test_examples_are_those_of_tensorflow(features):
    assert serialize_example(features) == tensorflows(features)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 2**31, 2**63 - 1, -1, -128, -(2**63)])
def test_integers_at_the_limits(value):
    features = {"a": ("int64", [value, 5])}
    assert serialize_example(features) == tensorflows(features)


def test_arrays_are_taken_as_lists_are():
    values = np.array([0.1, -3e38, 1e-40])
    assert serialize_example({"a": ("float32", values)}) == tensorflows({"a": ("float32", values)})
    assert serialize_example({"a": ("int64", np.arange(3))}) == tensorflows(
        {"a": ("int64", range(3))}
    )


def test_files_are_those_of_tensorflow(tmp_path):
    rng = np.random.default_rng(0)
    records = [b"", b"a", *(rng.bytes(int(size)) for size in rng.integers(1, 100_000, 30))]
    with open(tmp_path / "ours", "wb") as file:
        for record in records:
            write_record(file, record)
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in records:
            writer.write(record)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    read = tf.data.TFRecordDataset(str(tmp_path / "ours"))
    assert [record.numpy() for record in read] == records
