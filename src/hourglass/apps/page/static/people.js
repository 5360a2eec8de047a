// Where people are on a picture and how they stand: `prediction/people.py`, function by function.
//
// A search is a generator. It yields the squares that it wants looked at, [x, y, side] in whole px
// of the picture, is sent what the network sees in each, {keypoints: 16 of [x, y], scores: 16
// numbers}, and returns poses: {keypoints, scores, square, score}, px of the picture.

import {
  AGREEMENT, AROUND_JOINTS, BOX_MARGIN, CROP_FACTOR, MAX_IOU, MAX_SHARED, MAX_WIDTH, MIN_SIDE,
  PLAN, SAME_PLACE, SURE_SCORE,
} from "./settings.js";

/** A whole number; halves go to the even one, as in Python. */
export function round(number) {
  const below = Math.floor(number);
  if (number - below !== 0.5) return Math.round(number);
  return below % 2 === 0 ? below : below + 1;
}

export const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

/** Low and high corner of the box around points. */
export function jointsBox(points) {
  const [xs, ys] = [0, 1].map((axis) => points.map((point) => point[axis]));
  return [[Math.min(...xs), Math.min(...ys)], [Math.max(...xs), Math.max(...ys)]];
}

/** The same around a pose's sure joints; around all where none is. */
export function poseBox({ keypoints, scores }) {
  const sure = keypoints.filter((_, joint) => scores[joint] >= SURE_SCORE);
  return jointsBox(sure.length ? sure : keypoints);
}

export const longerSide = ([low, high]) => Math.max(high[0] - low[0], high[1] - low[1]);

export const boxMiddle = ([low, high]) => [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2];

const area = ([low, high]) => (high[0] - low[0]) * (high[1] - low[1]);

/** Intersection over union of two boxes. */
export function boxOverlap(box, other) {
  const [width, height] = [0, 1].map((axis) =>
    Math.max(Math.min(box[1][axis], other[1][axis]) - Math.max(box[0][axis], other[0][axis]), 0));
  const shared = width * height;
  return shared / Math.max(area(box) + area(other) - shared, 1e-9);
}

/** The square of whole px about a point, pixel centres at integers. */
export function squareAt(middle, side) {
  const whole = Math.max(1, round(side));
  return [...middle.map((place) => Math.floor(place - (whole - 1) / 2 + 0.5)), whole];
}

/** The square around a whole picture of [width, height]. */
export function wholeSquare(size) {
  return squareAt(size.map((length) => (length - 1) / 2), Math.max(...size));
}

/** The square around a person's box [x, y, width, height], with the margin of training. */
export function boxSquare([x, y, width, height]) {
  const middle = [x + (width - 1) / 2, y + (height - 1) / 2];
  return squareAt(middle, CROP_FACTOR * BOX_MARGIN * Math.max(width, height));
}

/** The search for the person who is known to be in a square: looked at a second time. */
export function* estimatePose(square) {
  const [first] = see([square], yield [square]);
  const around = squareAround(first);
  return see([around], yield [around]);
}

/** The search for people anywhere on a picture of [width, height]: at most `number`. */
export function* findPeople(size, number = 1, plan = PLAN) {
  const squares = coverPicture(size, plan);
  const seen = see(squares, yield squares);
  const around = chooseAgain(seen, number, plan.retries).map(squareAround);
  const poses = see(around, yield around).map((pose) => weigh(pose, seen));
  return dropDoubles(poses).slice(0, number);
}

/** The search of one look at each of some squares. */
export function* lookAt(squares) {
  return see(squares, yield squares);
}

function chooseAgain(poses, number, retries) {
  const surest = sortPoses(poses).slice(0, retries);
  const apart = dropDoubles(poses).slice(0, number + 1);
  return [...surest, ...apart.filter((pose) => !surest.includes(pose))];
}

/** Squares of several sizes over a picture of [width, height], the largest first. */
export function coverPicture(size, plan = PLAN) {
  const squares = [wholeSquare(size)];
  for (let side = Math.max(...size) / plan.zoom; side >= MIN_SIDE; side /= plan.zoom) {
    const [columns, rows] = size.map((length) => spread(length, round(side), plan.step));
    if (squares.length + columns.length * rows.length > plan.max_crops) break;
    for (const y of rows) squares.push(...columns.map((x) => [x, y, round(side)]));
  }
  return squares;
}

/** Where squares start along an axis: evenly, from its start to its end. */
function spread(length, side, step) {
  if (side >= length) return [round((length - side) / 2)];
  const last = Math.ceil((length - side) / (step * side));
  return Array.from({ length: last + 1 }, (_, k) => round(k * ((length - side) / last)));
}

function see(squares, seen) {
  return seen.map((look, k) => ({ ...look, square: squares[k], score: mean(look.scores) }));
}

/** The pose with the score that its own look and those of the first round give it. */
export function weigh(pose, looks) {
  const box = jointsBox(pose.keypoints);
  const side = Math.max(longerSide(box), 1e-9);
  // A wider look may see another person; a pose beyond the picture is in no look but the widest.
  const inside = looks.filter((look) => holds(look.square, box, MAX_WIDTH * side));
  const holding = [pose, ...(inside.length ? inside : looks.slice(0, 1))];
  const shares = holding.flatMap((look) => look.keypoints.map((place, joint) => {
    const far = distance(place, pose.keypoints[joint]) / (AGREEMENT * side);
    return look.scores[joint] * Math.exp(-far * far);
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

function squareAround(pose) {
  const box = poseBox(pose);
  // Joints that all lie in one place tell of no size: a quarter of what was seen, at least.
  return squareAt(boxMiddle(box), Math.max(AROUND_JOINTS * longerSide(box), pose.square[2] / 4));
}

/** The poses without those of a person of whom there is a surer one. */
export function dropDoubles(poses) {
  const kept = [];
  for (const pose of sortPoses(poses)) {
    if (!kept.some((other) => isSamePerson(pose, other))) kept.push(pose);
  }
  return kept;
}

/** Whether two poses share so much that they are one person's. */
export function isSamePerson(pose, surer) {
  const box = poseBox(surer);
  if (boxOverlap(poseBox(pose), box) > MAX_IOU) return true;
  const near = SAME_PLACE * longerSide(box);
  const shared = pose.keypoints.filter((place, k) => distance(place, surer.keypoints[k]) <= near);
  return shared.length > MAX_SHARED;
}
