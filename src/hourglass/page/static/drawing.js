// Skeletons on canvases. Points are px of a picture, pixel centres at integers; a canvas has its
// corner at 0, so a point p is drawn at (p + 0.5) * scale.

import { jointsBox, longerSide } from "./people.js";
import { BONE_SIDES, BONES, JOINT_SIDES, JOINTS, SIDE_COLOURS } from "./settings.js";

export const STICKER_SIZE = 512; // px, as messengers want it
const DARK = "rgb(20 20 20)";
const [NECK, HEAD] = ["upper_neck", "head_top"].map((name) => JOINTS.indexOf(name));
// Arms are in front of the trunk more often than behind it: it is drawn first.
const ORDER = BONES.map((_, bone) => bone)
  .sort((bone, other) => (BONE_SIDES[bone] !== "middle") - (BONE_SIDES[other] !== "middle"));

const colourOf = (side) => `rgb(${SIDE_COLOURS[side].join(" ")})`;

/** The lines of a skeleton, in their order: {from, to, radius, colour}, radius half their width. */
function skeletonLines(points, radius) {
  const bones = ORDER.map((bone) => {
    const [from, to] = BONES[bone].map((joint) => points[joint]);
    return { from, to, radius, colour: colourOf(BONE_SIDES[bone]) };
  });
  const joints = points.map((point, joint) =>
    ({ from: point, to: point, radius: 1.6 * radius, colour: colourOf(JOINT_SIDES[joint]) }));
  return [...bones, ...joints];
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

/** Lines with a dark outline each; the later ones lie on top. */
function paintLines(context, lines, outline) {
  for (const line of lines) {
    paintLine(context, line, outline, DARK);
    paintLine(context, line, 0, line.colour);
  }
}

/** Draw a pose on a canvas that shows its picture `scale` times as large. */
export function drawPose(context, pose, scale, withNames) {
  const points = pose.keypoints.map((point) => point.map((place) => (place + 0.5) * scale));
  const { width, height } = context.canvas;
  const person = longerSide(jointsBox(points));
  const longest = Math.max(width, height);
  // Half the width of a bone follows the person, within what suits the picture.
  const radius = Math.min(Math.max(0.006 * person, 0.0025 * longest), 0.006 * longest);
  paintLines(context, skeletonLines(points, radius), Math.max(1.25, 0.4 * radius));
  if (withNames) points.forEach((point, joint) => drawName(context, point, JOINTS[joint], radius));
}

function drawName(context, [x, y], name, radius) {
  const height = Math.max(context.canvas.width, context.canvas.height) / 55;
  context.font = `600 ${height}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  // To the right of the joint, where there is room for it.
  const beside = 3 * radius + context.measureText(name).width;
  const left = x + beside < context.canvas.width ? x + 3 * radius : x - beside;
  context.lineJoin = "round";
  context.lineWidth = height / 4;
  context.strokeStyle = DARK;
  context.strokeText(name, left, y);
  context.fillStyle = "white";
  context.fillText(name, left, y);
}

/** Draw a box [x, y, width, height], px of the picture. */
export function drawBox(context, box, scale) {
  const corners = box.map((number) => number * scale);
  const width = Math.max(context.canvas.width, context.canvas.height) / 400;
  context.setLineDash([]);
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
  const radius = 0.022 * STICKER_SIZE;
  const [dark, white] = [0.25 * radius, 0.9 * radius]; // widths of the outlines
  const points = fitPoints(pose.keypoints, 1.6 * radius + white + 0.04 * STICKER_SIZE);
  const lines = [...skeletonLines(points, radius), headCircle(points, radius)];
  for (const line of lines) paintLine(context, line, white, "white");
  paintLines(context, lines, dark);
}

/** A line of no length: a circle about the head. */
function headCircle(points, radius) {
  const middle = [0, 1].map((axis) => (points[NECK][axis] + points[HEAD][axis]) / 2);
  const height = Math.hypot(...[0, 1].map((axis) => points[NECK][axis] - points[HEAD][axis]));
  const wide = Math.max(0.42 * height, 1.6 * radius);
  return { from: middle, to: middle, radius: wide, colour: colourOf("middle") };
}

/** Points moved and scaled into the middle of the sticker, `margin` px from its border. */
function fitPoints(points, margin) {
  const [low, high] = jointsBox(points);
  const scale = (STICKER_SIZE - 2 * margin) / Math.max(longerSide([low, high]), 1);
  return points.map((point) => point.map((place, axis) =>
    STICKER_SIZE / 2 + scale * (place - (low[axis] + high[axis]) / 2)));
}
