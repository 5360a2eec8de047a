"""The same few persons, written as labelling tools export them."""

import json
import xml.etree.ElementTree as ET
from itertools import chain
from urllib.parse import quote

import numpy as np
import yaml
from PIL import Image

from hourglass.keypoints import COCO

WIDTH, HEIGHT = 320, 240
NAMES = COCO.keypoints


def make_people(number=8, seed=1):
    """{picture's name: [{"bbox", "keypoints": [17][3]}]}; two people on every other picture."""
    rng = np.random.default_rng(seed)
    pictures = {}
    for k in range(number):
        people = []
        for left in (10, 170)[: 1 + k % 2]:
            places = np.round(rng.uniform((left, 20), (left + 130, 220), (17, 2)), 2)
            v = rng.choice((1, 2), 17)
            v[k % 17] = 0
            triples = [
                [float(x), float(y), int(c)] if c else [0.0, 0.0, 0]
                for (x, y), c in zip(places, v, strict=True)
            ]
            people.append({"bbox": [left - 5, 10, 145, 225], "keypoints": triples})
        pictures[f"pic {k}.jpg"] = people
    return pictures


def write_pictures(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (WIDTH, HEIGHT), (40, 80, 120)).save(folder / name)


def make_content(pictures, people):
    """A COCO keypoint file."""
    images, annotations = [], []
    for number, name in enumerate(pictures, start=1):
        images.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT})
        annotations += [
            {"id": 100 * number + k, "image_id": number, "category_id": 1, "iscrowd": 0,
             "bbox": person["bbox"], "keypoints": list(chain.from_iterable(person["keypoints"]))}
            for k, person in enumerate(people[name.rpartition("/")[2]])
        ]  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(NAMES)}
    return {"images": images, "annotations": annotations, "categories": [category]}


def write_cvat_coco(folder, people):
    write_pictures(folder / "images/default", people)
    (folder / "annotations").mkdir()
    path = folder / "annotations/person_keypoints_default.json"
    path.write_text(json.dumps(make_content(people, people)))


def write_coco(folder, people):
    names = list(people)
    (folder / "annotations").mkdir(parents=True)
    for split, part in (("train2017", names[2:]), ("val2017", names[:2])):
        write_pictures(folder / "images" / split, part)
        path = folder / f"annotations/person_keypoints_{split}.json"
        path.write_text(json.dumps(make_content(part, people)))
        (folder / f"annotations/captions_{split}.json").write_text('{"annotations": []}')


def write_roboflow(folder, people):
    names = list(people)
    for split, part in (("train", names[2:]), ("valid", names[:2])):
        write_pictures(folder / split, part)
        content = make_content(part, people)
        content["categories"].insert(0, {"id": 0, "name": "people", "supercategory": "none"})
        (folder / split / "_annotations.coco.json").write_text(json.dumps(content))


def write_cvat_xml(folder, people):
    write_pictures(folder / "images", people)
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    for number, (name, persons) in enumerate(people.items()):
        image = ET.SubElement(root, "image", id=str(number), name=name, width=str(WIDTH),
                              height=str(HEIGHT))  # fmt: skip
        for group, person in enumerate(persons, start=1):
            x, y, w, h = person["bbox"]
            ET.SubElement(image, "box", label="box", group_id=str(group), xtl=f"{x:.2f}",
                          ytl=f"{y:.2f}", xbr=f"{x + w:.2f}", ybr=f"{y + h:.2f}")  # fmt: skip
            skeleton = ET.SubElement(image, "skeleton", label="person", group_id=str(group))
            for label, (px, py, v) in zip(NAMES, person["keypoints"], strict=True):
                ET.SubElement(skeleton, "points", label=label, outside=str(int(v == 0)),
                              occluded=str(int(v == 1)), points=f"{px:.2f},{py:.2f}")  # fmt: skip
    ET.ElementTree(root).write(folder / "annotations.xml")


def write_yolo(folder, people):
    names = list(people)
    for split, part in (("train", names[2:]), ("val", names[:2])):
        write_pictures(folder / "images" / split, part)
        (folder / "labels" / split).mkdir(parents=True)
        for name in part:
            lines = [yolo_line(person) for person in people[name]]
            path = folder / "labels" / split / f"{name[:-4]}.txt"
            path.write_text("\n".join(lines) + "\n")
    values = {"path": "../datasets/own", "train": "images/train", "val": "images/val",
              "kpt_shape": [17, 3], "names": {0: "person"}}  # fmt: skip
    (folder / "data.yaml").write_text(yaml.safe_dump(values))


def yolo_line(person):
    x, y, w, h = person["bbox"]
    numbers = [(x + w / 2) / WIDTH, (y + h / 2) / HEIGHT, w / WIDTH, h / HEIGHT]
    for px, py, v in person["keypoints"]:
        numbers += [px / WIDTH, py / HEIGHT, v]
    return " ".join(["0", *(f"{number:.9g}" for number in numbers)])


def write_labelme(folder, people):
    write_pictures(folder, people)
    for name, persons in people.items():
        shapes = []
        for group, person in enumerate(persons, start=1):
            x, y, w, h = person["bbox"]
            shapes.append({"label": "person", "shape_type": "rectangle", "group_id": group,
                           "points": [[x + w, y + h], [x, y]]})  # fmt: skip
            shapes += [
                {"label": label, "shape_type": "point", "group_id": group, "points": [[px, py]]}
                for label, (px, py, v) in zip(NAMES, person["keypoints"], strict=True)
                if v
            ]
        content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": name,
                   "imageData": None, "imageWidth": WIDTH, "imageHeight": HEIGHT}  # fmt: skip
        (folder / f"{name[:-4]}.json").write_text(json.dumps(content))


def write_label_studio(folder, people):
    write_pictures(folder / "images", people)
    tasks = [
        {"id": number, "data": {"img": f"/data/upload/1/0a1b2c3d-{quote(name)}"},
         "annotations": [{"was_cancelled": False, "result": make_results(persons)}]}
        for number, (name, persons) in enumerate(people.items())
    ]  # fmt: skip
    (folder / "project-1.json").write_text(json.dumps(tasks))


def make_results(persons):
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    results = []
    for number, person in enumerate(persons):
        x, y, w, h = person["bbox"]
        box = {"x": 100 * x / WIDTH, "y": 100 * y / HEIGHT, "rotation": 0,
               "width": 100 * w / WIDTH, "height": 100 * h / HEIGHT,
               "rectanglelabels": ["Person"]}  # fmt: skip
        results.append({"id": f"r{number}", "type": "rectanglelabels", "value": box, **size})
        for label, (px, py, v) in zip(NAMES, person["keypoints"], strict=True):
            if v:
                point = {"x": 100 * px / WIDTH, "y": 100 * py / HEIGHT, "width": 0.5,
                         "keypointlabels": [label]}  # fmt: skip
                results.append({"id": f"k{number}{label}", "parentID": f"r{number}",
                                "type": "keypointlabels", "value": point, **size})  # fmt: skip
    return results


WRITERS = {
    "CVAT's COCO": write_cvat_coco, "COCO": write_coco, "Roboflow": write_roboflow,
    "CVAT's XML": write_cvat_xml, "YOLO-pose": write_yolo, "LabelMe": write_labelme,
    "Label Studio": write_label_studio,
}  # fmt: skip
