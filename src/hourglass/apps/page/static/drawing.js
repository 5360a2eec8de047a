// Skeletons on canvases. Points are px of a picture, pixel centres at integers; a canvas has its
// corner at 0, so a point p is drawn at (p + 0.5) * scale.

import { bboxCenter, findVisible, longerSide, poseBbox } from "./person_search.js";
import { BONE_SIDES, BONES, HEAD_SEGMENT, JOINT_SIDES, JOINTS, SIDE_COLOURS } from "./settings.js";

export const STICKER_SIZE = 512; // px, as messengers want it
const DARK = "rgb(20 20 20)";
// Arms are in front of the trunk more often than behind it: it is drawn first.
const ORDER = BONES.map((_, bone) => bone)
  .sort((bone, other) => (BONE_SIDES[bone] !== "middle") - (BONE_SIDES[other] !== "middle"));

const colourOf = (side) => `rgb(${SIDE_COLOURS[side].join(" ")})`;

/** The lines of visible bones, in their order: {from, to, radius, colour}, radius half their width. */
function boneLines(bones, points, visible, radius) {
  const shown = bones.filter((bone) => BONES[bone].every((joint) => visible[joint]));
  return shown.map((bone) => {
    const [from, to] = BONES[bone].map((joint) => points[joint]);
    return { from, to, radius, colour: colourOf(BONE_SIDES[bone]) };
  });
}

function paintLine(context, { from, to, radius }, wider, colour) {
  context.lineCap = "round";
  context.lineWidth = 2 * (radius + wider);
  context.strokeStyle = colour;
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(to[0] + 0.01, to[1]); // a joint is a line of no length, which would not be drawn
  context.stroke();
}

/** Lines in one dark outline. */
function paintLines(context, lines, outline) {
  for (const line of lines) paintLine(context, line, outline, DARK);
  for (const line of lines) paintLine(context, line, 0, line.colour);
}

/** Px of a canvas to one of the screen. */
const screenPixel = ({ width, clientWidth }) => width / (clientWidth || width);

/** Draw a pose on a canvas that shows its picture `scale` times as large. */
export function drawPose(context, pose, scale, withNames) {
  const points = pose.keypoints.map((point) => point.map((place) => (place + 0.5) * scale));
  const visible = findVisible(pose);
  const bbox = poseBbox({ keypoints: points, scores: pose.scores });
  const pixel = screenPixel(context.canvas);
  const radius = Math.min(Math.max(0.006 * longerSide(bbox), 1.25 * pixel), 4 * pixel);
  const joints = points.map((point, joint) =>
    ({ from: point, to: point, radius: 1.6 * radius, colour: colourOf(JOINT_SIDES[joint]) }))
    .filter((_, joint) => visible[joint]);
  for (const line of [...boneLines(ORDER, points, visible, radius), ...joints]) {
    paintLines(context, [line], Math.max(1.25 * pixel, 0.4 * radius));
  }
  if (withNames) drawNames(context, points, visible, bboxCenter(bbox)[0], 3 * radius);
}

/** The joints' names beside them, on the side that is away from the middle of the person. */
function drawNames(context, points, visible, middle, distance) {
  const height = 13 * screenPixel(context.canvas);
  context.font = `600 ${height}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  context.lineJoin = "round";
  context.lineWidth = height / 4;
  context.strokeStyle = DARK;
  context.fillStyle = "white";
  points.forEach(([x, y], joint) => {
    if (!visible[joint]) return;
    const length = context.measureText(JOINTS[joint]).width + distance;
    const hasRoom = x + length < context.canvas.width;
    const left = hasRoom && (x >= middle || x < length) ? x + distance : x - length;
    context.strokeText(JOINTS[joint], left, y);
    context.fillText(JOINTS[joint], left, y);
  });
}

/** Draw a bbox [x, y, width, height], px of the picture. */
export function drawBbox(context, bbox, scale) {
  const corners = bbox.map((number) => number * scale);
  const width = 1.5 * screenPixel(context.canvas);
  for (const [colour, wide] of [[DARK, 3 * width], ["white", width]]) {
    context.lineWidth = wide;
    context.strokeStyle = colour;
    context.strokeRect(...corners);
  }
}

/** The sticker of a pose on a canvas: a bold figure with a white outline, transparent around it. */
export function drawSticker(canvas, pose) {
  canvas.width = canvas.height = STICKER_SIZE; // which empties it
  const context = canvas.getContext("2d");
  const radius = 0.036 * STICKER_SIZE;
  const [dark, white] = [0.2 * radius, 0.6 * radius]; // widths of the outlines
  const points = fitPoints(pose, radius + white + 0.03 * STICKER_SIZE);
  const visible = findVisible(pose);
  // A head takes the place of its bone.
  const bones = ORDER.filter((bone) => !BONES[bone].every((end) => HEAD_SEGMENT.includes(end)));
  const groups = ["middle", "right", "left"].map((side) =>
    boneLines(bones.filter((bone) => BONE_SIDES[bone] === side), points, visible, radius));
  const hasHead = HEAD_SEGMENT.length && HEAD_SEGMENT.every((joint) => visible[joint]);
  if (hasHead) groups[0].push(headCircle(points, radius));
  for (const line of groups.flat()) paintLine(context, line, white, "white");
  for (const lines of groups) paintLines(context, lines, dark);
}

/** The head: a line of no length, which is a circle. */
function headCircle(points, radius) {
  const [neck, head] = HEAD_SEGMENT.map((joint) => points[joint]);
  const middle = bboxCenter([neck, head]);
  const height = Math.hypot(neck[0] - head[0], neck[1] - head[1]);
  const size = Math.max(height / 2, 1.3 * radius);
  return { from: middle, to: middle, radius: size, colour: colourOf("middle") };
}

/** A pose's points, moved and scaled into the middle of the sticker, `margin` px from its border. */
function fitPoints(pose, margin) {
  const bbox = poseBbox(pose);
  const [center, side] = [bboxCenter(bbox), Math.max(longerSide(bbox), 1)];
  const scale = (STICKER_SIZE - 2 * margin) / side;
  return pose.keypoints.map((point) => point.map((place, axis) =>
    STICKER_SIZE / 2 + scale * (place - center[axis])));
}
