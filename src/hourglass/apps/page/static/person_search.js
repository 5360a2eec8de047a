// Where people are on a picture and how they stand: Python's `inference/person_search.py`.
//
// A search is a generator. It yields the crops that it wants to have estimated, [x, y, side] in
// whole px of the picture. It is sent what the network finds in each, {keypoints: [x, y] each, px of
// the picture, scores: a number each}. It returns poses: {keypoints, scores, crop, score}.

import {
  AGREEMENT, AROUND_JOINTS, BOX_MARGIN, CROP_FACTOR, MAX_IOU, MAX_SHARED, MAX_WIDTH, MIN_SIDE,
  PLAN, SAME_PLACE, SURE_SCORE,
} from "./settings.js";

/** A whole number; halves go to the even one, as in Python. */
function round(number) {
  const below = Math.floor(number);
  if (number - below !== 0.5) return Math.round(number);
  return below % 2 === 0 ? below : below + 1;
}

const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

/** Low and high corner of the bbox of points. */
export function keypointsBbox(points) {
  const [xs, ys] = [0, 1].map((axis) => points.map((point) => point[axis]));
  return [[Math.min(...xs), Math.min(...ys)], [Math.max(...xs), Math.max(...ys)]];
}

/** The bbox of a pose's sure keypoints; of all where none is. */
export function poseBbox({ keypoints, scores }) {
  const sure = keypoints.filter((_, joint) => scores[joint] >= SURE_SCORE);
  return keypointsBbox(sure.length ? sure : keypoints);
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
export function* findPeople(size, number = 1, plan = PLAN) {
  const first = yield* estimateCrops(tilePicture(size, plan));
  const refined = yield* estimateCrops(chooseAgain(first, number, plan.retries).map(cropAround));
  return poseNms(refined.map((pose) => rescore(pose, first))).slice(0, number);
}

/** The search of some crops: a pose each. */
export function* estimateCrops(crops) {
  const found = yield crops;
  return found.map((pose, k) => ({ ...pose, crop: crops[k], score: mean(pose.scores) }));
}

function chooseAgain(poses, number, retries) {
  const surest = sortPoses(poses).slice(0, retries);
  const apart = poseNms(poses).slice(0, number + 1);
  return [...surest, ...apart.filter((pose) => !surest.includes(pose))];
}

/** Crops of several sizes over a picture of [width, height], the largest first. */
export function tilePicture(size, plan = PLAN) {
  const crops = [wholePictureCrop(size)];
  for (let side = Math.max(...size) / plan.zoom; side >= MIN_SIDE; side /= plan.zoom) {
    const [columns, rows] = size.map((length) => spread(length, round(side), plan.step));
    if (crops.length + columns.length * rows.length > plan.max_crops) break;
    for (const y of rows) crops.push(...columns.map((x) => [x, y, round(side)]));
  }
  return crops;
}

/** Where crops start along an axis: evenly, from its start to its end. */
function spread(length, side, step) {
  if (side >= length) return [round((length - side) / 2)];
  const last = Math.ceil((length - side) / (step * side));
  return Array.from({ length: last + 1 }, (_, k) => round(k * ((length - side) / last)));
}

/** The pose with the score that its own crop and those of the first round give it. */
export function rescore(pose, others) {
  const bbox = keypointsBbox(pose.keypoints);
  const side = Math.max(longerSide(bbox), 1e-9);
  // A wider crop may show another person; a pose beyond the picture is in no crop but the widest.
  const inside = others.filter(({ crop }) => holds(crop, bbox, MAX_WIDTH * side));
  const holding = [pose, ...(inside.length ? inside : others.slice(0, 1))];
  const shares = holding.flatMap(({ keypoints, scores }) => keypoints.map((place, joint) => {
    const far = distance(place, pose.keypoints[joint]) / (AGREEMENT * side);
    return scores[joint] * Math.exp(-far * far);
  }));
  return { ...pose, score: mean(shares) };
}

function holds([x, y, side], [low, high], maxSide) {
  const [left, top] = [x - 0.5, y - 0.5];
  return side <= maxSide && low[0] >= left && low[1] >= top
    && high[0] <= left + side && high[1] <= top + side;
}

const distance = (point, other) => Math.hypot(point[0] - other[0], point[1] - other[1]);

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

/** Whether two poses share so much that they are one person's. */
function isSamePerson(pose, surer) {
  const bbox = poseBbox(surer);
  if (computeIou(poseBbox(pose), bbox) > MAX_IOU) return true;
  const near = SAME_PLACE * longerSide(bbox);
  const shared = pose.keypoints.filter((place, k) => distance(place, surer.keypoints[k]) <= near);
  return shared.length > MAX_SHARED;
}
