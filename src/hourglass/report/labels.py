"""What a training would read of a folder of annotations: counts, reasons, and a sheet of labels."""

import collections
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from hourglass.data.datasets.base import find_dataset
from hourglass.data.datasets.folder import open_folder
from hourglass.data.frames import check_frames
from hourglass.data.parse import ParsedDataset, judge_splits
from hourglass.data.person import SPLITS, Person
from hourglass.data.validation import summarize_split
from hourglass.data.zip_files import PictureSize, read_size
from hourglass.inference.person_search import crop_at
from hourglass.keypoints import PERSON_HEIGHT, KeypointSchema
from hourglass.utils.errors import UserError, printable
from hourglass.utils.files import atomic_path
from hourglass.utils.images import BadImageError, cut_crop, decode_image
from hourglass.utils.transforms import (
    apply_transform,
    crop_transform,
    invert_transform,
    person_region,
)
from hourglass.visualization.drawing import draw_contact_sheet, draw_pose

NUM_SHOWN, NUM_COLUMNS, PANEL = 24, 6, 240  # persons, and px
VAL_FRACTION = 0.1  # as in the recipes


def check_folder(folder: Path, schema: KeypointSchema, sheet: Path) -> None:
    """Print what would be read of a folder, and write the sheet.

    Args:
        schema: of the run.

    Raises:
        UserError: the folder cannot be read, or no person in it can be used.
    """
    own = open_folder(folder, schema, VAL_FRACTION)
    sizes = read_sizes(own.pictures)
    for split in own.splits.values():
        split.records = check_frames(split.records, sizes)
    raw = own.splits["train"], own.splits["validation"]
    parsed = judge_splits(find_dataset("folder"), raw, own.pictures.keys(), schema)
    print(f"{printable(str(folder))}: {own.export.tool if own.export else 'own form'}")
    for line in describe_splits(parsed, schema):
        print(printable(line))
    persons = [person for split in SPLITS for person in parsed.splits[split]]
    if not persons:
        raise UserError(f"{folder}: no person can be used; correct what is named above")
    print(describe_sizes(persons, sizes))
    write_sheet(persons, own.pictures, schema, sheet)
    print(f"{printable(str(sheet))}: labels of {min(len(persons), NUM_SHOWN)} persons")


def read_sizes(pictures: Mapping[str, Path]) -> dict[str, PictureSize]:
    """The sizes of the pictures whose headers can be read."""
    sizes = {}
    for name, path in pictures.items():
        with contextlib.suppress(BadImageError, OSError), open(path, "rb") as file:
            sizes[name] = read_size(file)
    return sizes


def describe_splits(parsed: ParsedDataset, schema: KeypointSchema) -> list[str]:
    """Lines of counts, of labelled joints by name, and of the reasons against invalid records."""
    lines = []
    for split in SPLITS:
        persons = parsed.splits[split]
        unused, notes = parsed.not_used[split], parsed.notes[split]
        lines.append(summarize_split(split, persons, parsed.invalid, schema, unused, notes))
        labels = sum((p.keypoints_visible for p in persons), np.zeros(schema.num_keypoints, int))
        counted = zip(schema.keypoints, labels.tolist(), strict=True)
        lines.append("  joints: " + ", ".join(f"{name} {number:,}" for name, number in counted))
        reasons = collections.Counter(r.reason for r in parsed.invalid if r.split == split)
        first = {r.reason: r for r in reversed(parsed.invalid) if r.split == split}
        lines += [
            f"  {number:,} x {reason}; the first is record {first[reason].index}"
            f" ({first[reason].image or 'without a picture'})"
            for reason, number in reasons.most_common()
        ]
    return lines


def describe_sizes(persons: Sequence[Person], sizes: Mapping[str, PictureSize]) -> str:
    """A line of the pictures' and the persons' sizes."""
    longer = [max(size.upright) for size in sizes.values()] or [0]
    heights = [PERSON_HEIGHT * person.scale for person in persons]
    return (
        f"{len(sizes):,} pictures of {min(longer)} to {max(longer)} px (longer side); persons of "
        f"{min(heights):.0f} to {max(heights):.0f} px, half of them below {np.median(heights):.0f}"
    )


def write_sheet(
    persons: Sequence[Person], pictures: Mapping[str, Path], schema: KeypointSchema, path: Path
) -> None:
    """Write a sheet of persons, evenly chosen, each in the crop of training."""
    places = np.unique(np.linspace(0, len(persons) - 1, NUM_SHOWN).round().astype(int))
    panels = []
    for person in (persons[k] for k in places):
        with contextlib.suppress(BadImageError):  # the shards say what is wrong with it
            panels.append(draw_labels(person, pictures[person.image], schema))
    sheet = draw_contact_sheet(panels, NUM_COLUMNS, "labels, in the crops of training")
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG" if path.suffix.lower() == ".png" else "JPEG")


def draw_labels(person: Person, path: Path, schema: KeypointSchema) -> Image.Image:
    """A person's labels on the crop that training shows.

    Raises:
        BadImageError: the picture cannot be decoded.
    """
    image, factor = decode_image(path.read_bytes())
    crop = crop_at(*person_region(person.center, person.scale))
    pixels = cut_crop(image, factor, crop, PANEL)
    to_crop = invert_transform(crop_transform(crop, PANEL))
    joints = apply_transform(to_crop, person.joints)
    return draw_pose(pixels, joints, schema, person.keypoints_visible)
