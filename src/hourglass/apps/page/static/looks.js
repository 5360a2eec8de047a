// Searches at work: squares cut out of a picture, seen by the network, and taken back.
// `prediction/looks.py`, one look at a time, so that the page stays awake between them.

import { cropSquare, reducePicture } from "./pictures.js";
import { FINENESS, INPUT_SIZE } from "./settings.js";

/**
 * What a search finds on a picture: its poses. What lies outside of the picture is black.
 *
 * `findJoints` is a function of a view (`finder.js`); `signal`, an AbortSignal, ends the search;
 * `report` is told of each look: its number, and how many this round has. `mustShow`: null is the
 * answer where squares show nothing of the picture.
 */
export async function runSearch(
  search, picture, findJoints, signal, { report = () => {}, mustShow = false } = {},
) {
  let step = search.next();
  while (!step.done) {
    const [seen, isAny] = await seeSquares(picture, step.value, findJoints, signal, report);
    if (mustShow && !isAny) return null;
    step = search.next(seen);
  }
  return step.value;
}

async function seeSquares(picture, squares, findJoints, signal, report) {
  const sides = squares.map(([, , side]) => side);
  const factor = Math.max(1, Math.trunc(Math.min(...sides) / INPUT_SIZE / FINENESS));
  // One mean for all squares: each would otherwise smooth the whole picture for itself.
  const reduced = factor > 1 ? reducePicture(picture, factor) : picture;
  const seen = [];
  let isAny = false;
  for (const [k, square] of squares.entries()) {
    report(k + 1, squares.length);
    await breathe();
    signal?.throwIfAborted();
    const view = cropSquare(reduced, factor, square, INPUT_SIZE);
    isAny ||= view !== null;
    const { keypoints, scores } = await findJoints(view ?? new Uint8Array(3 * INPUT_SIZE ** 2));
    seen.push({ keypoints: keypoints.map((point) => toPicture(point, square)), scores });
  }
  return [seen, isAny];
}

/** Let the browser draw and listen. */
const breathe = () => new Promise((resolve) => { setTimeout(resolve); });

/** A point of a view as one of the picture that its square was cut out of. */
function toPicture(point, [x, y, side]) {
  const ratio = side / INPUT_SIZE;
  return [ratio * point[0] + 0.5 * ratio + x - 0.5, ratio * point[1] + 0.5 * ratio + y - 0.5];
}
