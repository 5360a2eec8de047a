"""TFRecord files of tf.train.Example messages, written without TensorFlow.

Importing it costs each process that writes shards seconds and 400 MB. Sources of the two formats:
tensorflow/core/example/feature.proto, in protobuf's wire format, and
tensorflow/core/lib/io/record_writer.h.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import google_crc32c
import numpy as np

LENGTH_DELIMITED = 2  # the wire type of all fields of an Example
CRC_MASK = 0xA282EAD8


def serialize_example(features: Mapping[str, tuple[str, Sequence | np.ndarray]]) -> bytes:
    """A tf.train.Example, in the bytes that TensorFlow serializes it to deterministically.

    Args:
        features: {name: (dtype, values)}, dtype "string" (values are bytes), "float32" or "int64";
            one value at least.
    """
    entries = [
        # An entry of the map Features.feature: 1 its key, 2 its value.
        _field(1, _field(1, name.encode()) + _field(2, _feature(*features[name])))
        # A map has no order of its own; sorted, the same record gives the same bytes.
        for name in sorted(features)
    ]
    return _field(1, b"".join(entries))


def _feature(dtype: str, values: Any) -> bytes:
    if dtype == "string":
        return _field(1, b"".join(_field(1, value) for value in values))
    if dtype == "float32":
        # Packed, as int64 below: all values in one field.
        return _field(2, _field(1, np.asarray(values, "<f4").tobytes()))
    return _field(3, _field(1, b"".join(_varint(int(value)) for value in values)))


def _field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | LENGTH_DELIMITED]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; a negative number as its 64-bit complement."""
    value &= 2**64 - 1
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def write_record(file: BinaryIO, data: bytes) -> None:
    """Append a record to an open TFRecord file, with the checksums of its length and its data."""
    length = struct.pack("<Q", len(data))
    file.write(length + _masked_crc(length) + data + _masked_crc(data))


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    # A CRC of data that holds CRCs is weak, so TensorFlow rotates it and adds a constant; the bits
    # above 32 fall away.
    rotated = crc >> 15 | crc << 17
    return struct.pack("<I", (rotated + CRC_MASK) & 0xFFFFFFFF)
