// Where people are on a picture and how they stand: Python's `inference/person_search.py`.
//
// A search is a generator. It yields a look, {crops, isForFinder}: crops [x, y, side] in whole px of
// the picture, and which network it asks about them. It is sent what that finds in each, px of the
// picture: the people finder {boxes: [x, y, width, height] each, scores}, the surest first, the pose
// network {keypoints: [x, y] each, scores}. It returns poses: {keypoints, scores, crop, score}.

import {
  AROUND_JOINTS, BOX_MARGIN, BOX_THRESHOLD, CROP_FACTOR, MAX_IOU, MAX_LIKENESS, MAX_LOOKS,
  SAME_PLACE, SURE_SCORE,
} from "./settings.js";

/** A whole number; halves go to the even one, as in Python. */
function round(number) {
  const below = Math.floor(number);
  if (number - below !== 0.5) return Math.round(number);
  return below % 2 === 0 ? below : below + 1;
}

export const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

/** Low and high corner of the bbox of points. */
export function keypointsBbox(points) {
  const [xs, ys] = [0, 1].map((axis) => points.map((point) => point[axis]));
  return [[Math.min(...xs), Math.min(...ys)], [Math.max(...xs), Math.max(...ys)]];
}

/** Which keypoints of a pose are sure enough to be shown. */
export const findVisible = ({ scores }) => scores.map((score) => score >= SURE_SCORE);

/** The bbox of a pose's visible keypoints; of all where none is. */
export function poseBbox(pose) {
  const visible = findVisible(pose);
  const shown = pose.keypoints.filter((_, joint) => visible[joint]);
  return keypointsBbox(shown.length ? shown : pose.keypoints);
}

export const longerSide = ([low, high]) => Math.max(high[0] - low[0], high[1] - low[1]);

export const bboxCenter = ([low, high]) => [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2];

const area = ([low, high]) => (high[0] - low[0]) * (high[1] - low[1]);

/** Intersection over union of two bboxes. */
function computeIou(bbox, other) {
  const [width, height] = [0, 1].map((axis) =>
    Math.max(Math.min(bbox[1][axis], other[1][axis]) - Math.max(bbox[0][axis], other[0][axis]), 0));
  const shared = width * height;
  return shared / Math.max(area(bbox) + area(other) - shared, 1e-9);
}

/** The crop of whole px about a point, pixel centres at integers. */
export function cropAt(center, side) {
  const whole = Math.max(1, round(side));
  return [...center.map((place) => Math.floor(place - (whole - 1) / 2 + 0.5)), whole];
}

/** The crop around a whole picture of [width, height]. */
export function wholePictureCrop(size) {
  return cropAt(size.map((length) => (length - 1) / 2), Math.max(...size));
}

/** The crop around a person's bbox [x, y, width, height], with the margin of training. */
export function bboxCrop([x, y, width, height]) {
  const center = [x + (width - 1) / 2, y + (height - 1) / 2];
  return cropAt(center, CROP_FACTOR * BOX_MARGIN * Math.max(width, height));
}

/** The search for the person who is known to be in a crop, refined once. */
export function* estimatePose(crop) {
  const [first] = yield* estimateCrops([crop]);
  return yield* estimateCrops([cropAround(first)]);
}

/** The search for people anywhere on a picture of [width, height]: at most `number`. */
export function* findPeople(size, number = Infinity) {
  const boxes = yield* findBoxes(size);
  const first = yield* estimateCrops(boxes.map(({ bbox }) => bboxCrop(bbox)));
  const joined = first.map((pose, k) => ({ ...pose, sure: boxes[k].score }));
  const kept = poseNms(joined.map(joinScores));
  const refined = yield* estimateCrops(kept.map(cropAround));
  return poseNms(refined.map((pose, k) => joinScores({ ...pose, sure: kept[k].sure })))
    .slice(0, number);
}

/** The pose with the geometric mean of its score and of that of its box, `sure`. */
const joinScores = (pose) => ({ ...pose, score: Math.sqrt(Math.max(pose.score, 0) * pose.sure) });

/** The search for the boxes of people: {bbox, score} each, the surest first. */
function* findBoxes(size) {
  const [found] = yield { crops: [wholePictureCrop(size)], isForFinder: true };
  const boxes = found.boxes.map((bbox, k) => ({ bbox, score: found.scores[k] }))
    .filter(({ bbox, score }) => score > 0 && isBbox(bbox));
  const kept = [];
  for (const [k, box] of boxes.entries()) {
    const isSure = k === 0 || box.score >= BOX_THRESHOLD;
    const corners = bboxCorners(box.bbox);
    const isNew = kept.every(({ bbox }) => computeIou(corners, bboxCorners(bbox)) <= MAX_IOU);
    if (isSure && isNew) kept.push(box);
  }
  return kept.slice(0, MAX_LOOKS);
}

/** Whether [x, y, width, height] is as `BBOX_RULE` says. */
export function isBbox(numbers) {
  return numbers.every((number) => Math.abs(number) < 1e6) && Math.min(...numbers.slice(2)) > 0;
}

const bboxCorners = ([x, y, width, height]) => [[x, y], [x + width, y + height]];

/** The search of some crops: a pose each. */
export function* estimateCrops(crops) {
  if (!crops.length) return [];
  const found = yield { crops, isForFinder: false };
  return found.map((pose, k) => ({ ...pose, crop: crops[k], score: mean(pose.scores) }));
}

export const distance = (point, other) => Math.hypot(point[0] - other[0], point[1] - other[1]);

const sortPoses = (poses) => [...poses].sort((pose, other) => other.score - pose.score);

function cropAround(pose) {
  const bbox = poseBbox(pose);
  // Keypoints that all lie in one place tell of no size: a quarter of the crop, at least.
  return cropAt(bboxCenter(bbox), Math.max(AROUND_JOINTS * longerSide(bbox), pose.crop[2] / 4));
}

/** The poses without those of a person of whom there is a surer one. */
function poseNms(poses) {
  const kept = [];
  for (const pose of sortPoses(poses)) {
    if (!kept.some((other) => isSamePerson(pose, other))) kept.push(pose);
  }
  return kept;
}

/** Whether two poses are so alike that they are one person's. */
function isSamePerson(pose, surer) {
  const sure = findVisible(surer);
  const isCounted = sure.includes(true) ? sure : sure.map(() => true);
  const reach = Math.max(SAME_PLACE * longerSide(poseBbox(surer)), 1e-9);
  const alike = surer.keypoints
    .map((place, joint) => Math.exp(-((distance(place, pose.keypoints[joint]) / reach) ** 2)))
    .filter((_, joint) => isCounted[joint]);
  return mean(alike) > MAX_LIKENESS;
}
