"""Seeded mutations of good files through the code that reads them, as a process of its own.

    python corpus.py pictures|annotations COUNT FOLDER REAL

A file that takes longer than LIMIT_SECONDS ends the process by a signal, as a crash of a decoder
does. Prints the counts as JSON; REAL is a folder of real pictures, used where it exists.
"""

import copy
import json
import os
import signal
import sys
import warnings
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 60


def mutate(data, rng, donor):
    """Good bytes, changed in one to four ways: cut, flipped, overwritten, spliced, repeated."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        if not data:
            break
        # Half of the changes fall into the first bytes, where formats are decided.
        end = len(data) if rng.random() < 0.5 else min(len(data), 600)
        start = int(rng.integers(end))
        stop = min(len(data), start + int(rng.integers(1, 64)))
        kind = rng.integers(7)
        if kind == 0:
            del data[start:]
        elif kind == 1:
            data[start] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            data[start:stop] = rng.bytes(stop - start)
        elif kind == 3:
            del data[start:stop]
        elif kind == 4:
            data[start:start] = data[start:stop] * int(rng.integers(1, 20))
        elif kind == 5:
            place = int(rng.integers(len(donor)))
            data[start:] = donor[place:]
        else:
            data[start] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
    return bytes(data)


def draw_pictures(folder):
    """JPEGs of drawn figures of several kinds, and what real ones there are."""
    import io

    from PIL import Image

    from hourglass.config import SyntheticParams
    from hourglass.data.archives import open_images
    from hourglass.data.synthetic.pictures import write_dataset

    write_dataset(folder, SyntheticParams(num_train=6, num_val=1, seed=5))
    with open_images(folder / "images.zip") as images:
        drawn = [images.read(name) for name in sorted(images.names())]
    exif = Image.Exif()
    exif[0x0112] = 6
    saved = []
    for options in ({"progressive": True}, {"exif": exif}, {"subsampling": 0}):
        with Image.open(io.BytesIO(drawn[0])) as picture, io.BytesIO() as buffer:
            picture.save(buffer, "JPEG", **options)
            saved.append(buffer.getvalue())
    with Image.open(io.BytesIO(drawn[0])) as picture:
        for mode in ("L", "CMYK"):
            with io.BytesIO() as buffer:
                picture.convert(mode).save(buffer, "JPEG")
                saved.append(buffer.getvalue())
    return drawn + saved


class MutatedPictures:
    """Read by name as an archive is: the name is the number of the mutation."""

    def __init__(self, originals):
        self.originals = originals

    def read(self, name):
        signal.alarm(LIMIT_SECONDS)
        rng = np.random.default_rng([1, int(name)])
        first, donor = (self.originals[int(i)] for i in rng.integers(len(self.originals), size=2))
        return mutate(first, rng, donor)


def run_pictures(count, folder, real):
    """Every mutated picture through the writer of shards, half as crops and half whole."""
    from hourglass.config import load_params
    from hourglass.data.tfrecords.record import parse_record
    from hourglass.data.tfrecords.writer import write_chunk
    from hourglass.data.validation import check_records
    from hourglass.utils.backend import tf

    originals = draw_pictures(folder)
    originals += [path.read_bytes() for path in sorted(real.glob("*.jpg"))[:10]]
    images = MutatedPictures(originals)
    joints = [[60.0 + 10 * k, 50.0 + 7 * k] for k in range(16)]
    shape = {"joints": joints, "joints_vis": [1] * 16, "center": [150.0, 120.0], "scale": 0.8}
    persons, _ = check_records([{"image": f"{k}", **shape} for k in range(count)], None)
    shard = load_params(ROOT / "demo" / "params.yaml").shard
    num_read, reasons = 0, []
    for first, crop_size in ((0, shard.crop_size), (count // 2, 0)):
        last = count // 2 if first == 0 else count
        path = folder / "mutated.tfrecords"
        params = shard.model_copy(update={"crop_size": crop_size})
        results = write_chunk(path, range(first, last), persons[first:last], images, params)
        reasons += [result for result in results if isinstance(result, str)]
        for raw in tf.data.TFRecordDataset(str(path)):
            signal.alarm(LIMIT_SECONDS)
            tf.io.decode_jpeg(parse_record(raw, 16)["encoded"], channels=3)  # as train does
            num_read += 1
    return num_read, reasons


# 7e77 stands for what Python would not write.
ODD_VALUES = (
    None, True, 0, 1, -1, 2, 0.5, 1e5, -1e9, 7e77, float("nan"), float("inf"), "", "1", "a.jpg",
    "../a.jpg", "\ud800", "\0", [], {}, [[]], [1, 2], [1.0] * 16, {"image": "a.jpg"},
)  # fmt: skip


def mutate_records(text, rng):
    """Good records, one to four of their values, or values' values, changed, lost or repeated."""
    records = json.loads(text)
    for _ in range(rng.integers(1, 5)):
        root = [records]
        parent, key = root, 0
        while isinstance(parent[key], list | dict) and parent[key] and rng.random() < 0.7:
            parent = parent[key]
            key = (
                rng.choice(list(parent)) if isinstance(parent, dict) else rng.integers(len(parent))
            )
        kind = rng.integers(3)
        if kind == 0 and parent is not root:
            del parent[key]
        elif kind == 1 and isinstance(parent, list) and parent is not root:
            parent.insert(key, parent[key])
        else:
            parent[key] = copy.deepcopy(ODD_VALUES[rng.integers(len(ODD_VALUES))])
        (records,) = root
    text = json.dumps(records)
    return text.replace("7e+77", str(rng.choice(["1e400", "-1e400", "9" * 5_000]))).encode()


def run_annotations(count, folder, _):
    """Every mutated train.json through the parser, its persons saved and loaded again.

    A file that is refused as a whole is rejected; of one that is read, its records must add up.
    Two in three have odd values, the others changed bytes.
    """
    from hourglass.config import SyntheticParams
    from hourglass.data.invalid import read_invalid, write_invalid
    from hourglass.data.parse import parse_dataset
    from hourglass.data.person import load_persons, save_persons
    from hourglass.data.synthetic.pictures import FIGURE, write_dataset
    from hourglass.utils.errors import UserError

    write_dataset(folder, SyntheticParams(num_train=4, num_val=2, seed=5))
    records = json.loads((folder / "train.json").read_text())
    good = json.dumps([record | {"head_size": 25 * record["scale"]} for record in records]).encode()
    donor = (folder / "validation.json").read_bytes() + b'{"scale": NaN, 1e999, "\\ud800\xff", -[]'
    num_read, reasons, record_reasons = 0, [], set()
    for number in range(count):
        signal.alarm(LIMIT_SECONDS)
        rng = np.random.default_rng([2, number])
        data = mutate_records(good, rng) if number % 3 else mutate(good, rng, donor)
        (folder / "train.json").write_bytes(data)
        try:
            splits, invalid, *_ = parse_dataset(folder, "folder", FIGURE)
        except UserError as error:
            reasons.append(str(error))
            continue
        num_records = len(json.loads(data.decode("utf-8-sig"), parse_int=float))
        assert len(splits["train"]) + len(invalid) == num_records, number
        write_invalid(folder / "invalid.csv", invalid)
        assert read_invalid(folder / "invalid.csv", 21, "") == invalid, number
        save_persons(folder / "persons.json", splits["train"])
        assert len(load_persons(folder / "persons.json", FIGURE)) == len(splits["train"]), number
        num_read += 1
        record_reasons.update(record.reason for record in invalid)
    assert len(record_reasons) > 10, record_reasons
    return num_read, reasons


def main(kind, count, folder, real):
    warnings.simplefilter("ignore")  # Pillow's, about what is odd in a picture
    os.fsync = lambda _: None  # no power fails here, and 20,000 of them take minutes
    run = {"pictures": run_pictures, "annotations": run_annotations}[kind]
    num_read, reasons = run(int(count), Path(folder), Path(real))
    assert all(len(reason.splitlines()) == 1 for reason in reasons)
    print(json.dumps({"read": num_read, "rejected": len(reasons), "reasons": sorted(set(reasons))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
