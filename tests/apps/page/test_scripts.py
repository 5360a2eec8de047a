"""The page's scripts against the functions of Python that they repeat: in Node, no browser."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from helpers.networks import make_export_metadata
from hourglass.apps.page.building import MARK, STATIC, write_settings
from hourglass.apps.video.tracker import Tracker
from hourglass.inference import person_search
from hourglass.inference.runner import InferenceConfig
from hourglass.utils.images import BadImageError, cut_crop

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="no node here, which runs JavaScript")
METADATA = make_export_metadata(input_size=128)
FINDER_SIZE = 160
SIZES = [(60, 40), (1, 300), (497, 512), (1280, 720), (333, 1000), (4000, 3000), (15, 15), (17, 9)]

MAIN = """
import fs from "node:fs";
const input = JSON.parse(fs.readFileSync("input.json", "utf8"));
fs.writeFileSync("output.json", JSON.stringify(await main(input)));
"""
# Replays what Python's searches were shown, and tells what JavaScript's asked for and found.
REPLAY = """
function replay(search, rounds) {
  const crops = [];
  let step = search.next();
  for (const found of rounds) {
    if (step.done) break;
    crops.push([step.value.crops, step.value.isForFinder]);
    step = search.next(found);
  }
  return { crops, done: step.done, value: step.value };
}
"""


@pytest.fixture(scope="module")
def run_script(tmp_path_factory):
    """A function that runs a script beside the page's, with `input` an object: what it returns."""
    folder = tmp_path_factory.mktemp("scripts")
    for path in STATIC.glob("*.js"):
        shutil.copy(path, folder)
    (folder / "settings.js").write_text(write_settings(METADATA, FINDER_SIZE))
    (folder / "package.json").write_text('{"type": "module"}')

    def run(script, value):
        (folder / "input.json").write_text(json.dumps(value))
        (folder / "main.js").write_text(f"{script}\n{MAIN}")
        done = subprocess.run(
            [NODE, "main.js"], check=False, cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return json.loads((folder / "output.json").read_text())

    return run


def test_the_settings_are_pythons():
    lines = write_settings(METADATA, FINDER_SIZE).splitlines()
    assert lines[0] == MARK
    values = {}
    for line in lines[1:]:
        name, _, value = line.removeprefix("export const ").partition(" = ")
        values[name] = json.loads(value.removesuffix(";"))
    assert values["THRESHOLD"] == person_search.THRESHOLD
    assert values["FINDER_SIZE"] == FINDER_SIZE
    assert (values["INPUT_SIZE"], values["LICENCE"]) == (128, "for research")
    used = "".join(path.read_text() for path in STATIC.glob("*.js"))
    assert all(used.count(name) > 1 for name in values), "imported and used"


# Pictures


def random_picture(width, height, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def as_input(pixels):
    height, width, _ = pixels.shape
    return {"width": width, "height": height, "pixels": pixels.ravel().tolist()}


@needs_node
@pytest.mark.parametrize("size", [(50, 37), (31, 64), (1, 90), (7, 5)])
@pytest.mark.parametrize("factor", [2, 3, 5, 8])
def test_a_picture_is_reduced_as_pillow_does_it(run_script, size, factor):
    pixels = random_picture(*size)
    script = """import { reducePicture } from "./images.js";
    const main = ({ picture, factor }) => {
      const { width, height, pixels } = reducePicture(picture, factor);
      return [width, height, Array.from(pixels)];
    };"""
    width, height, reduced = run_script(script, {"picture": as_input(pixels), "factor": factor})
    expected = np.array(Image.fromarray(pixels).reduce(factor))
    np.testing.assert_array_equal(np.reshape(reduced, (height, width, 3)), expected)


FAKE_CANVAS = """import { readPixels } from "./images.js";
const heights = [];
globalThis.OffscreenCanvas = class {
  constructor(width, height) {
    heights.push(height);
    this.data = new Uint8ClampedArray(4 * width * height);
    this.width = width;
  }
  getContext() { return this; }
  fillRect(x, y, width, height) {
    if (this.fillStyle === "white") this.data.fill(255, 0, 4 * width * height);
  }
  drawImage(source, left, top) {  // what is transparent in it leaves the white
    for (let at = 0; at < this.data.length; at += 4) {
      const from = at - 4 * this.width * top;
      if (source.rgba[from + 3]) this.data.set(source.rgba.slice(from, from + 4), at);
    }
  }
  getImageData(x, y, width, height) { return { data: this.data.slice(0, 4 * width * height) }; }
};
const main = (source) => {
  const { width, height, pixels } = readPixels(source);
  return { width, height, pixels: Array.from(pixels), heights };
};
"""


@needs_node
@pytest.mark.parametrize("size", [(3, 5), (2, 256), (2, 257), (3, 600)])
def test_pixels_are_read_in_bands_and_transparent_ones_are_white(run_script, size):
    width, height = size
    rgba = np.random.default_rng(height).integers(0, 255, (height, width, 4))
    rgba[..., 3] = 255 * (rgba[..., 3] > 60)
    found = run_script(
        FAKE_CANVAS, {"width": width, "height": height, "rgba": rgba.ravel().tolist()}
    )
    expected = np.where(rgba[..., 3:] > 0, rgba[..., :3], 255)
    assert (found["width"], found["height"]) == size and found["heights"] == [min(256, height)]
    np.testing.assert_array_equal(np.reshape(found["pixels"], (height, width, 3)), expected)


@needs_node
@pytest.mark.parametrize("factor", [1, 3])
def test_a_crop_is_pythons_to_the_byte(run_script, factor):
    pixels, size = random_picture(90, 70), 32
    rng = np.random.default_rng(1)
    crops = [[0, 0, 32], [5, 3, 60], [0, 0, 90], [-40, -30, 150], [60, 50, 7], [20, 20, 1]]
    crops += [[95 * factor, 0, 40], [-40, 10, 40]]  # beside the picture
    spans = (-60, 90), (-60, 70), (2, 300)
    crops += np.stack([rng.integers(*span, 30) for span in spans], axis=1).tolist()
    script = """import { cutCrop } from "./images.js";
    const main = ({ picture, factor, crops, size }) => crops.map((crop) => {
      const input = cutCrop(picture, factor, crop, size);
      return input && Array.from(input);
    });"""
    value = {"picture": as_input(pixels), "factor": factor, "crops": crops, "size": size}
    inputs = run_script(script, value)
    image, num_seen = Image.fromarray(pixels), 0
    for input, crop in zip(inputs, crops, strict=True):
        try:
            expected = np.array(cut_crop(image, factor, crop, size))
        except BadImageError:
            assert input is None, crop
            continue
        num_seen += 1
        np.testing.assert_array_equal(np.reshape(input, (size, size, 3)), expected, str(crop))
    assert 20 < num_seen < len(crops)


# Searches


@needs_node
def test_squares_are_pythons(run_script):
    rng = np.random.default_rng(2)
    boxes = np.concatenate([rng.uniform(-50, 500, (40, 2)), rng.uniform(1, 400, (40, 2))], axis=1)
    boxes = [*boxes.tolist(), *np.round(boxes).tolist(), *(np.round(2 * boxes) / 2).tolist()]
    script = """import { bboxCrop, wholePictureCrop } from "./person_search.js";
    const main = ({ sizes, boxes }) => [sizes.map(wholePictureCrop), boxes.map(bboxCrop)];"""
    wholes, crops = run_script(script, {"sizes": SIZES, "boxes": boxes})
    for size, whole in zip(SIZES, wholes, strict=True):
        assert tuple(whole) == person_search.whole_picture_crop(size)
    assert list(map(tuple, crops)) == list(map(person_search.bbox_crop, boxes))


class Recorder:
    """Shows a search what made-up networks see, and keeps it.

    People are where `joints` says; what a crop does not hold, or what is not clear, is at random.
    The finder sees each of them two or three times, and what is no person.
    """

    def __init__(self, joints, seed):
        self.joints = joints
        self.rng = np.random.default_rng(seed)
        self.crops, self.rounds = [], []

    def run(self, search):
        try:
            look = next(search)
            while True:
                see = self.find if look.is_for_finder else self.estimate
                places = "boxes" if look.is_for_finder else "keypoints"
                found = [see(np.array(crop)) for crop in look.crops]
                crops = [list(map(int, crop)) for crop in look.crops]
                self.crops.append([crops, look.is_for_finder])
                self.rounds.append([{places: p.tolist(), "scores": s.tolist()} for p, s in found])
                look = search.send(tuple(map(np.array, zip(*found, strict=True))))
        except StopIteration as end:
            return end.value

    def find(self, crop):
        """Boxes and scores, the surest first; the last ones are empty."""
        boxes = [self.rng.uniform(0, crop[2] / 2, 4) for _ in range(3)]
        scores = [*self.rng.uniform(0.1, 0.6, 3)]
        for joints in self.joints:
            low, high = joints.min(axis=0), joints.max(axis=0)
            for share in (1, 0.97, 0.5):
                boxes.append(np.concatenate([low, (high - low) * (1, share)]))
                scores.append(share * self.rng.uniform(0.7, 0.9))
        order = np.argsort(scores)[::-1]
        boxes, scores = np.array(boxes)[order], np.array(scores)[order]
        return np.pad(boxes, ((0, 5), (0, 0))), np.pad(scores, (0, 5))

    def estimate(self, crop):
        corner, side = crop[:2], crop[2]
        keypoints = corner + side * self.rng.uniform(0.1, 0.9, (16, 2))
        scores = self.rng.uniform(0, 0.4, 16)
        for joints in self.joints:
            inside = ((joints > corner) & (joints < corner + side)).all(axis=1)
            clear = inside & (np.ptp(joints, axis=0).max() > 0.2 * side)
            noise = self.rng.normal(0, 0.01 * side, (16, 2))
            keypoints[clear] = (joints + noise)[clear]
            scores[clear] = self.rng.uniform(0.4, 0.9, clear.sum())
        return keypoints, scores


def make_person(middle, height, seed=5):
    place = np.random.default_rng(seed).uniform(-0.5, 0.5, (16, 2))
    return np.array(middle) + height * place * (0.5, 1)


def assert_same_poses(found, expected):
    assert len(found) == len(expected)
    for pose, other in zip(found, expected, strict=True):
        assert tuple(pose["crop"]) == tuple(other.crop)
        np.testing.assert_allclose(pose["keypoints"], other.keypoints, rtol=0, atol=1e-9)
        assert pose["score"] == pytest.approx(other.score, abs=1e-12)


@needs_node
@pytest.mark.parametrize("number", [1, None])
@pytest.mark.parametrize("seed", range(4))
def test_a_search_asks_and_finds_as_pythons(run_script, number, seed):
    size = SIZES[2 + seed % 2]
    recorder = Recorder([make_person((110, 170), 200), make_person((380, 380), 180, 6)], seed)
    expected = recorder.run(person_search.find_people(size, number))
    script = (
        'import { findPeople } from "./person_search.js";'
        + REPLAY
        + """const main = ({ size, number, rounds }) =>
          replay(findPeople(size, number ?? Infinity), rounds);"""
    )
    done = run_script(script, {"size": size, "number": number, "rounds": recorder.rounds})
    assert done["crops"] == recorder.crops and len(recorder.crops) == 3
    assert_same_poses(done["value"], expected)
    sure = [pose for pose in expected if pose.score > person_search.THRESHOLD]
    assert len(sure) == (number or 2)


@needs_node
def test_a_box_is_refined_as_pythons(run_script):
    recorder = Recorder([make_person((150, 200), 250)], 0)
    box = (80, 60, 140, 280)
    expected = recorder.run(person_search.estimate_pose(person_search.bbox_crop(box)))
    script = (
        'import { bboxCrop, estimatePose } from "./person_search.js";'
        + REPLAY
        + "const main = ({ box, rounds }) => replay(estimatePose(bboxCrop(box)), rounds);"
    )
    done = run_script(script, {"box": box, "rounds": recorder.rounds})
    assert done["crops"] == recorder.crops and len(recorder.crops) == 2
    assert_same_poses(done["value"], expected)


@needs_node
def test_a_person_is_tracked_lost_and_found_again_as_pythons(run_script):
    size, config = (497, 512), InferenceConfig(num_people=1)
    tracker, recorder = Tracker(config, size, is_smooth=False), Recorder([], 0)
    expected, rounds = [], []
    for frame in range(70):
        # There for a while, gone, and back elsewhere.
        gone, back = 20 <= frame < 40, frame >= 40
        person = make_person((320, 240) if back else (150 + 2 * frame, 220), 260)
        recorder.joints = [] if gone else [person]
        recorder.crops, recorder.rounds = [], []
        found = recorder.run(tracker.track(frame / 30))
        expected.append((recorder.crops, [person.pose for person in found]))
        rounds.append(recorder.rounds)
    script = (
        'import { Tracker } from "./tracker.js";'
        + REPLAY
        + """const main = ({ size, frames }) => {
          const tracker = new Tracker();
          return frames.map((rounds, k) => replay(tracker.track(size, k / 30), rounds));
        };"""
    )
    frames = run_script(script, {"size": size, "frames": rounds})
    seen = []
    for done, (crops, poses) in zip(frames, expected, strict=True):
        assert done["done"] and done["crops"] == crops
        assert_same_poses([done["value"]] if done["value"] else [], poses)
        seen.append(bool(poses))
    assert seen[0] and not any(seen[35:40]) and seen[69]


@needs_node
def test_who_is_tracked_out_of_the_picture_is_lost_and_searched_for_again(run_script):
    script = """
      import { Tracker } from "./tracker.js";
      import { runSearch } from "./backend.js";
      import { FINDER_SIZE, INPUT_SIZE } from "./settings.js";
      /** A picture that is white, where somebody is, from x and y on. */
      function paint(width, height, x, y) {
        const pixels = new Uint8Array(3 * width * height);
        for (let row = y; row < height; row++) {
          pixels.fill(255, 3 * (width * row + x), 3 * width * (row + 1));
        }
        return { width, height, pixels };
      }
      const isWhite = (input) => input.reduce((sum, value) => sum + value, 0) > 40 * input.length;
      const backend = {
        async estimate(input) {
          const line = Array.from({ length: 16 }, (_, k) => (0.25 + k / 32) * INPUT_SIZE);
          const scores = line.map(() => (isWhite(input) ? 0.9 : 0));
          return { keypoints: line.map((x) => [x, x]), scores };
        },
        async findBoxes(input) {
          const box = [400, 300, 240, 240].map((place) => place * FINDER_SIZE / 640);
          return { boxes: [box], scores: [input.includes(255) ? 0.9 : 0] };
        },
      };
      async function main() {
        const tracker = new Tracker();
        const seen = [];
        for (let frame = 0; frame < 80; frame++) {
          const picture = frame < 20 ? paint(640, 480, 400, 240) : paint(100, 100, 0, 0);
          const search = tracker.track([picture.width, picture.height], frame / 30);
          seen.push((await runSearch(search, picture, backend)) !== null);
        }
        return seen;
      }
    """
    seen = run_script(script, {})
    assert seen[19] and not seen[24] and seen[79]  # it is checked five times a second
