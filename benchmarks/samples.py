"""The measured data: pictures with their persons, as shards, and as folders of either project."""

import io
import json
import zipfile
from dataclasses import dataclass, replace

import numpy as np
import yaml
from PIL import Image
from tqdm import tqdm

from hourglass.data.conversion import MPII_AS_IT_IS, Conversion
from hourglass.data.person import save_persons, save_schema
from hourglass.data.synthetic.pictures import FIGURE, draw_picture
from hourglass.data.tfrecords.index import write_index
from hourglass.data.tfrecords.plan import plan_shards
from hourglass.data.tfrecords.reader import open_split
from hourglass.data.tfrecords.writer import list_invalid, write_chunk
from hourglass.data.validation import check_records
from hourglass.keypoints import MPII

MPII_WIDTH = 1280  # px, as most of MPII's
ENLARGED = 4  # lspet-mini becomes as large as MPII
REPEATED = 250  # records that a few photographs are repeated to


@dataclass(frozen=True)
class Sample:
    """Persons, one a picture, and the bytes of their pictures by name."""

    persons: list
    pictures: dict

    def read(self, name):
        """A picture's bytes: a Sample reads like an archive."""
        return self.pictures[name]


def draw_sample(number, width=None):
    """Drawn figures, enlarged to `width` px where that is given."""
    drawn = (draw_picture(1, index) for index in range(number))
    items = [
        (record | {"image": f"{index}.jpg"}, image, width / image.width if width else 1)
        for index, (image, (record, *_)) in enumerate(tqdm(drawn, "draw", number, disable=None))
    ]
    return _make_sample(items, Conversion(FIGURE, MPII))


def enlarge_photographs(folder, number):
    """The first photographs of a folder in MPII's form, enlarged."""
    records = json.loads((folder / "train.json").read_text())[:number]
    return _make_sample(
        (record, Image.open(folder / "images" / record["image"]).convert("RGB"), ENLARGED)
        for record in records
    )


def read_pictures(folder, number):
    """The first pictures of a folder in MPII's form, as they are: {name: bytes}."""
    paths = sorted((folder / "images").iterdir())[:number]
    return {path.name: path.read_bytes() for path in paths}


def read_photographs(folder):
    """The photographs of a folder's validation split, as they are, some hundred times over.

    Shards want more records than MPII's samples are.
    """
    records = json.loads((folder / "validation.json").read_text())
    persons, invalid = check_records(records, image_names=None)
    assert not invalid, invalid[0]
    pictures = {person.image: (folder / "images" / person.image).read_bytes() for person in persons}
    return repeat_sample(Sample(persons, pictures), -(-REPEATED // len(persons)))


def _make_sample(items, conversion=MPII_AS_IT_IS):
    records, pictures = [], {}
    for record, image, factor in items:
        pictures[record["image"]] = _encode(image, factor)
        records.append(_scale_record(record, factor))
    persons, invalid = check_records(records, image_names=None, conversion=conversion)
    assert not invalid, invalid[0]
    return Sample(persons, pictures)


def _encode(image, factor):
    size = tuple(round(side * factor) for side in image.size)
    with io.BytesIO() as buffer:
        image.resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=92)
        return buffer.getvalue()


def _scale_record(record, factor):
    visible = np.array(record["joints_vis"], bool)[:, None]
    joints = np.where(visible, np.array(record["joints"]) * factor, -1).tolist()
    center = [value * factor for value in record["center"]]
    return record | {"joints": joints, "center": center, "scale": record["scale"] * factor}


def repeat_sample(sample, times):
    """The sample repeated `times` times, each copy under its own name."""
    copies = [
        (replace(person, image=f"{k}_{person.image}"), person.image)
        for k in range(times)
        for person in sample.persons
    ]
    pictures = {person.image: sample.pictures[name] for person, name in copies}
    return Sample([person for person, _ in copies], pictures)


def write_split(folder, sample, shard_params, num_shards=8):
    """Write the sample as train shards; the paths, and the split as the pipeline opens it."""
    shards = plan_shards("train", "train", len(sample.persons), num_shards, seed=1)
    results = []
    for shard in tqdm(shards, desc=folder.name, disable=None):
        persons = [sample.persons[k] for k in shard.indices]
        path = folder / shard.name
        written = write_chunk(path, shard.indices, persons, sample, shard_params)
        results.append(list_invalid(shard.indices, persons, written))
    write_index(folder, shards, results, {"train": len(sample.persons)}, MPII, shard_params)
    return open_split(folder, "train", 256)


def write_splits(folder, sample, shard_params):
    """The sample as person crops, and whole, as the tutorial has it."""
    whole = shard_params.model_copy(update={"crop_size": 0})
    crops = write_split(folder / "crops", sample, shard_params)
    return crops, write_split(folder / "whole", sample, whole)


def write_our_project(folder, sample, params):
    """All that `stages/shard.py` reads."""
    values = params.model_dump()
    values["data"]["dataset"] = "folder"
    raw = folder / "data" / "raw" / "folder"
    raw.mkdir(parents=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    with zipfile.ZipFile(raw / "images.zip", "w") as archive:
        for name, data in sample.pictures.items():
            archive.writestr(f"images/{name}", data)
    for split, persons in _halves(sample).items():
        save_persons(folder / "data" / "annotations" / f"{split}.json", persons)
    save_schema(folder / "data" / "annotations", MPII)


def write_tutorial_project(folder, sample):
    """All that the tutorial's tfrecords_mpii.py reads."""
    images, labels = folder / "images", folder / "mpii_human_pose_v1_u12_2"
    images.mkdir(parents=True)
    for name, data in sample.pictures.items():
        (images / name).write_bytes(data)
    for split, persons in _halves(sample).items():
        save_persons(labels / f"{split}.json", persons)


def _halves(sample):
    """Train and validation, 8 to 1 as in MPII."""
    number = len(sample.persons) // 9
    return {"train": sample.persons[number:], "validation": sample.persons[:number]}
