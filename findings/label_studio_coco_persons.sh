#!/usr/bin/env bash
# Label Studio's COCO export writes other persons than were labelled. Seen with label-studio-sdk
# 2.1.2, whose converter is the one that Label Studio calls. Two people on a picture, each with a
# rectangle and two wrists below it (`parentID`):
#
# - One set of keypoints comes out, with the left wrist of one person and the right wrist of the
#   other: of two labels of a name the last one counts, whoever it belongs to.
# - The category lists the names in the order of the labelling config, but the numbers are in the
#   order of `model_index`: where these differ, left and right change places without a sign.
#
# A good engineer would expect one annotation a person, and numbers in the order of the names.
# (Label Studio's own JSON export has all of it.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check label-studio-sdk==2.1.2
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import json
import os

from label_studio_sdk.converter import Converter
from PIL import Image

Image.new("RGB", (200, 100)).save("a.png")
SIZE = {"original_width": 200, "original_height": 100, "image_rotation": 0, "to_name": "image"}


def rectangle(key, x):
    value = {"x": x, "y": 10, "width": 30, "height": 80, "rotation": 0}
    value["rectanglelabels"] = ["person"]
    return {**SIZE, "id": key, "from_name": "box", "type": "rectanglelabels", "value": value}


def keypoint(parent, name, x, y):
    value = {"x": x, "y": y, "width": 1, "keypointlabels": [name]}
    common = {"id": f"{parent}-{name}", "from_name": "points", "type": "keypointlabels"}
    return {**SIZE, **common, "parentID": parent, "value": value}


def export(indices, results):
    """The exported file; `indices`: model_index of the left and the right wrist."""
    config = f"""<View><Image name="image" value="$image"/>
      <RectangleLabels name="box" toName="image"><Label value="person"/></RectangleLabels>
      <KeyPointLabels name="points" toName="image">
        <Label value="left_wrist" model_index="{indices[0]}"/>
        <Label value="right_wrist" model_index="{indices[1]}"/>
      </KeyPointLabels></View>"""
    task = {"id": 1, "data": {"image": os.path.abspath("a.png")}}
    task["annotations"] = [{"id": 1, "was_cancelled": False, "result": results}]
    with open("tasks.json", "w") as file:
        json.dump([task], file)
    Converter(config=config, project_dir=".").convert_to_coco("tasks.json", "out", is_dir=False)
    with open("out/result.json") as file:
        return json.load(file)


first, second = rectangle("one", 5), rectangle("two", 60)
wrists = [keypoint("one", "left_wrist", 10, 50), keypoint("one", "right_wrist", 20, 50),
          keypoint("two", "left_wrist", 70, 50)]
content = export((0, 1), [first, second, *wrists])
poses = [a["keypoints"] for a in content["annotations"] if a.get("keypoints")]
boxes = [a["bbox"] for a in content["annotations"] if not a.get("keypoints")]
print(f"two people, {len(boxes)} rectangles, one pose: {poses}")
assert len(boxes) == 2 and poses == [[140, 50, 2, 40, 50, 2]], "the behaviour has changed"

content = export((1, 0), [first, *wrists[:2]])
(category,) = [c for c in content["categories"] if c.get("keypoints")]
(pose,) = [a["keypoints"] for a in content["annotations"] if a.get("keypoints")]
print(f"the left wrist is at 20, 50; written: {category['keypoints']} {pose}")
assert category["keypoints"] == ["left_wrist", "right_wrist"], "the behaviour has changed"
assert pose == [40, 50, 2, 20, 50, 2], "the behaviour has changed"
PYTHON
