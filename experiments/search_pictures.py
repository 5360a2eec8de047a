"""Pictures to search for people: of two persons, and of no person."""

import dataclasses

import numpy as np
from PIL import Image

from hourglass.data.synthetic.canvas import Canvas
from hourglass.data.synthetic.pictures import place_main_figure
from hourglass.data.synthetic.scenery import draw_occluder, draw_scenery, paint_backdrop
from hourglass.inference.person_search import keypoints_bbox

CLEARANCE = 0.15  # of the longer side of the joints' bbox, kept free around it
MIN_PART = 64  # px, the shorter side of a part of a photograph
SCENERY_SEED = 1


def labels_bbox(person):
    return keypoints_bbox(person.joints[person.keypoints_visible])


def join_pairs(images, persons):
    """Photographs two by two, side by side: the joined ones, and every person where it lies now."""
    joined, moved = [], []
    for left, right in zip(images[::2], images[1::2], strict=False):
        picture = Image.new("RGB", (left.width + right.width, max(left.height, right.height)))
        picture.paste(left, (0, 0))
        picture.paste(right, (left.width, 0))
        joined.append(picture)
        first, second = persons[len(moved) : len(moved) + 2]
        moved += [first, dataclasses.replace(second, joints=np.add(second.joints, (left.width, 0)))]
    return joined, moved


def draw_scenery_alone(index):
    """A drawn picture without its figure."""
    rng = np.random.default_rng((SCENERY_SEED, index))
    main, size = place_main_figure(rng)
    canvas = Canvas(paint_backdrop(rng, size))
    draw_scenery(canvas, rng, main)
    draw_occluder(canvas, rng, main)
    return canvas.finish()


def cut_empty_part(image, person):
    """The largest part of a photograph beside, above or below the person; None: all too small."""
    low, high = labels_bbox(person)
    free = CLEARANCE * (high - low).max()
    left, top = np.clip(low - free, 0, image.size).astype(int).tolist()
    right, bottom = np.clip(np.ceil(high + free), 0, image.size).astype(int).tolist()
    width, height = image.size
    beside = [(0, 0, left, height), (right, 0, width, height)]
    parts = [*beside, (0, 0, width, top), (0, bottom, width, height)]
    sizes = [(x1 - x0, y1 - y0) for x0, y0, x1, y1 in parts]
    largest = max(range(len(parts)), key=lambda k: (min(sizes[k]) >= MIN_PART, np.prod(sizes[k])))
    return image.crop(parts[largest]) if min(sizes[largest]) >= MIN_PART else None
