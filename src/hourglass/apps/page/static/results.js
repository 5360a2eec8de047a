// What was found: a table of the keypoints, the sticker, and both as files.

import { drawSticker } from "./drawing.js";
import { UserError } from "./images.js";
import { findVisible } from "./person_search.js";
import { COORDINATES, JOINT_SIDES, JOINTS } from "./settings.js";

const KINDS = { png: "image/png", webp: "image/webp" };

/** Fill a table's body with the keypoints of a pose. */
export function fillTable(body, pose) {
  body.replaceChildren(...JOINTS.map((name, joint) => {
    const row = document.createElement("tr");
    const [x, y] = pose.keypoints[joint].map((place) => place.toFixed(1));
    const heading = makeCell("th", name);
    heading.scope = "row";
    heading.className = JOINT_SIDES[joint];
    row.append(heading, makeCell("td", x), makeCell("td", y),
      makeCell("td", pose.scores[joint].toFixed(2)));
    return row;
  }));
}

function makeCell(kind, text) {
  const cell = document.createElement(kind);
  cell.textContent = text;
  return cell;
}

/** What `hourglass predict` writes of a photograph, as text of JSON. */
export function describePeople({ name: image, picture: { width, height } }, mode, bbox, poses) {
  const people = poses.map((pose) => describePerson(pose, bbox));
  const record = { image, coordinates: COORDINATES, width, height, mode, people };
  return JSON.stringify(record, null, 1) + "\n";
}

function describePerson(pose, bbox) {
  const visible = findVisible(pose);
  const joints = JOINTS.map((name, joint) => {
    const [x, y] = pose.keypoints[joint].map((place) => rounded(place, 2));
    return [name, { x, y, score: rounded(pose.scores[joint], 4), visible: visible[joint] }];
  });
  const given = bbox ? { bbox } : {};
  return { score: rounded(pose.score, 4), ...given, joints: Object.fromEntries(joints) };
}

const rounded = (number, digits) => Number(number.toFixed(digits));

/** Save a pose's sticker, drawn on a canvas, as "png" or "webp"; lossless, where WebP can be. */
export async function saveSticker(canvas, pose, name, kind) {
  drawSticker(canvas, pose);
  const blob = await new Promise((resolve) => { canvas.toBlob(resolve, KINDS[kind], 1); });
  if (blob?.type !== KINDS[kind]) {
    throw new UserError(`this browser cannot write ${kind.toUpperCase()}; save the other one`);
  }
  saveFile(blob, `${name}.sticker.${kind}`);
}

export function saveText(text, name) {
  saveFile(new Blob([text], { type: "application/json" }), `${name}.json`);
}

function saveFile(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // once it is surely written
}
