"""`predictions.json`: its writer and its reader, side by side.

A list in the order of the validation persons, one entry a line:
`{"image": str, "keypoints": [16][2], "scores": [16]}`, keypoints in 0-based pixels of the original
image. Where the shards do not hold the person, keypoints and scores are null.
"""

import json
from dataclasses import dataclass

import numpy as np

from hourglass.keypoints import NUM_JOINTS
from hourglass.utils.errors import UserError
from hourglass.utils.files import read_json_list, write_text

PREDICT_AGAIN = "run `dvc repro predict`"


@dataclass(frozen=True)
class Predictions:
    """N persons' predictions, in the order of the file.

    Attributes:
        keypoints: float64 [N, 16, 2], 0-based px of the original image.
        scores: float64 [N, 16].
        predicted: bool [N], false where the entry is null; the two arrays hold NaN there, whose
            errors are infinite.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    predicted: np.ndarray


def save_predictions(path, images, keypoints, scores):
    """Write one entry a person, atomically: keypoints to 3 decimals, scores to 4.

    Args:
        path: the file to write.
        images: N file names.
        keypoints: N arrays [16, 2], 0-based px of the original image; None = not predicted.
        scores: N arrays [16]; what stands beside a None is not written.

    Raises:
        ValueError: the lengths differ, or a number is not finite.
    """
    lines = [
        json.dumps(_encode_entry(*entry), allow_nan=False)
        for entry in zip(images, keypoints, scores, strict=True)
    ]
    write_text(path, "[\n" + ",\n".join(lines) + "\n]\n")


def load_predictions(path, persons):
    """Read `path` and check it against the `persons` it was made for.

    Returns:
        `Predictions` of as many entries as there are persons, in the same order.

    Raises:
        UserError: the file is missing or not JSON, another number of entries, another image at an
            entry, keypoints or scores of a wrong shape or not finite, no entry with keypoints.
    """
    entries = read_json_list(path, PREDICT_AGAIN)
    # Entries are matched to persons by their order alone, so both number and names must agree.
    if len(entries) != len(persons):
        raise UserError(
            f"{path}: {len(entries)} entries for {len(persons)} validation persons; {PREDICT_AGAIN}"
        )
    pairs = enumerate(zip(entries, persons, strict=True))
    decoded = [_decode_entry(entry, p.image, f"{path}: entry {i}") for i, (entry, p) in pairs]
    predicted = np.array([values is not None for values in decoded], bool)
    if not predicted.any():
        raise UserError(f"{path}: no person was predicted; data/tfrecords/invalid.csv says why")
    absent = np.full((NUM_JOINTS, 3), np.nan)
    values = np.stack([absent if values is None else values for values in decoded])  # (N, 16, 3)
    return Predictions(values[..., :2], values[..., 2], predicted)


def _encode_entry(image, keypoints, scores):
    if keypoints is None:
        return {"image": image, "keypoints": None, "scores": None}
    return {
        "image": image,
        "keypoints": np.asarray(keypoints, np.float64).round(3).tolist(),
        "scores": np.asarray(scores, np.float64).round(4).tolist(),
    }


def _decode_entry(entry, image, where):
    """The [16, 3] numbers x, y, score of one entry, or None where there is no prediction."""
    keys = ("image", "keypoints", "scores")
    if not isinstance(entry, dict) or any(key not in entry for key in keys):
        raise UserError(f"{where}: must be an object with {', '.join(keys)}; {PREDICT_AGAIN}")
    if entry["image"] != image:
        raise UserError(
            f"{where}: image {entry['image']!r}, but this person is on {image!r}; {PREDICT_AGAIN}"
        )
    if entry["keypoints"] is None:
        return None
    keypoints = _finite_array(entry["keypoints"], (NUM_JOINTS, 2))
    if keypoints is None:
        raise UserError(
            f"{where} ({image}): keypoints must be {NUM_JOINTS} finite pairs x, y; {PREDICT_AGAIN}"
        )
    scores = _finite_array(entry["scores"], (NUM_JOINTS,))
    if scores is None:
        raise UserError(
            f"{where} ({image}): scores must be {NUM_JOINTS} finite numbers; {PREDICT_AGAIN}"
        )
    return np.column_stack([keypoints, scores])


def _finite_array(values, shape):
    """`values` as float64 of this shape, or None if they are not that many finite numbers."""
    try:
        array = np.array(values)
    except (ValueError, OverflowError):  # lists of unequal lengths; digits without end
        return None
    if array.shape != shape or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        return None
    return array.astype(np.float64)
