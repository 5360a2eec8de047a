"""`predictions.json`: its writer and its reader, side by side.

`{"keypoint_names": [K names], "persons": [...]}`, one entry a validation person, in their order:
`{"image": str, "keypoints": [K][2], "scores": [K]}`, keypoints in 0-based pixels of the original
image. Keypoints and scores are null for a person that is not in the shards.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.data.person import Person
from hourglass.keypoints import KeypointSchema
from hourglass.utils.errors import UserError
from hourglass.utils.files import read_json, write_text

PREDICT_AGAIN = "run `dvc repro predict`"


@dataclass(frozen=True)
class Predictions:
    """N persons' predictions, in the order of the file.

    Attributes:
        keypoints: float64 [N, K, 2], 0-based px of the original image; NaN where not predicted.
        scores: float64 [N, K]; NaN where not predicted.
        predicted: bool [N], false where the entry is null.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    predicted: np.ndarray


def save_predictions(
    path: str | Path,
    images: Iterable[str],
    keypoints: Iterable[np.ndarray | None],
    scores: Iterable[np.ndarray],
    schema: KeypointSchema,
) -> None:
    """Write one entry a person, atomically: keypoints to 3 decimals, scores to 4.

    Args:
        path: the file to write.
        images: N file names.
        keypoints: N arrays [K, 2], 0-based px of the original image; None = not predicted.
        scores: N arrays [K]; not written where the keypoints are None.
        schema: names the K keypoints.

    Raises:
        ValueError: the lengths differ, or a number is not finite.
    """
    entries = map(_encode_entry, zip(images, keypoints, scores, strict=True))
    lines = ",\n".join(json.dumps(entry, allow_nan=False) for entry in entries)
    names = json.dumps(schema.keypoints)
    write_text(path, f'{{"keypoint_names": {names},\n"persons": [\n{lines}\n]}}\n')


def load_predictions(
    path: str | Path, persons: Sequence[Person], schema: KeypointSchema
) -> Predictions:
    """Read `path` and check it against the `persons` it was made for, and their schema.

    Returns:
        `Predictions` of as many entries as there are persons, in the same order.

    Raises:
        UserError: the file is missing or not JSON; other keypoints, another number of entries,
            another image at an entry; keypoints or scores of a wrong shape or not finite; no entry
            with keypoints.
    """
    entries = _read_entries(path, schema)
    # Entries are matched to persons by their order alone, so both number and names must agree.
    if len(entries) != len(persons):
        raise UserError(
            f"{path}: {len(entries)} entries for {len(persons)} validation persons; {PREDICT_AGAIN}"
        )
    values = np.full((len(persons), schema.num_keypoints, 3), np.nan)  # x, y, score
    predicted = np.zeros(len(persons), bool)
    for i, (entry, person) in enumerate(zip(entries, persons, strict=True)):
        decoded = _decode_entry(entry, person.image, schema.num_keypoints, f"{path}: entry {i}")
        if decoded is not None:
            values[i], predicted[i] = decoded, True
    if not predicted.any():
        raise UserError(f"{path}: no person was predicted; data/tfrecords/invalid.csv says why")
    return Predictions(values[..., :2], values[..., 2], predicted)


def _read_entries(path: str | Path, schema: KeypointSchema) -> list[Any]:
    content = read_json(path, PREDICT_AGAIN)
    entries = content.get("persons") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise UserError(f"{path}: must hold keypoint_names and persons; {PREDICT_AGAIN}")
    if content.get("keypoint_names") != list(schema.keypoints):
        raise UserError(
            f"{path}: holds other keypoints than the annotations ({schema.name}); {PREDICT_AGAIN}"
        )
    return entries


def _encode_entry(entry: tuple[str, np.ndarray | None, np.ndarray]) -> dict[str, Any]:
    image, keypoints, scores = entry
    if keypoints is None:
        return {"image": image, "keypoints": None, "scores": None}
    return {
        "image": image,
        "keypoints": np.asarray(keypoints, np.float64).round(3).tolist(),
        "scores": np.asarray(scores, np.float64).round(4).tolist(),
    }


def _decode_entry(entry: Any, image: str, num_keypoints: int, where: str) -> np.ndarray | None:
    """The [K, 3] numbers x, y, score of one entry, or None where there is no prediction."""
    keys = ("image", "keypoints", "scores")
    if not isinstance(entry, dict) or any(key not in entry for key in keys):
        raise UserError(f"{where}: must be an object with {', '.join(keys)}; {PREDICT_AGAIN}")
    if entry["image"] != image:
        raise UserError(
            f"{where}: image {entry['image']!r}, but this person is on {image!r}; {PREDICT_AGAIN}"
        )
    if entry["keypoints"] is None:
        return None
    keypoints = _finite_array(entry["keypoints"], (num_keypoints, 2))
    if keypoints is None:
        raise UserError(
            f"{where} ({image}): keypoints must be {num_keypoints} finite pairs x, y; "
            f"{PREDICT_AGAIN}"
        )
    scores = _finite_array(entry["scores"], (num_keypoints,))
    if scores is None:
        raise UserError(
            f"{where} ({image}): scores must be {num_keypoints} finite numbers; {PREDICT_AGAIN}"
        )
    return np.column_stack([keypoints, scores])


def _finite_array(values: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """`values` as float64 of this shape, or None if they are not that many finite numbers."""
    try:
        array = np.array(values)
    except (ValueError, OverflowError):  # lists of unequal lengths; digits without end
        return None
    if array.shape != shape or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        return None
    return array.astype(np.float64)
