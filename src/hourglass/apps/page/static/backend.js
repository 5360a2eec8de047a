// The networks, run by onnxruntime-web on one thread, and searches run to their ends by them:
// Python's `inference/crops.py`, one crop at a time, so that the page stays awake between them.

import { cutCrop, reducePicture, UserError } from "./images.js";
import {
  FINDER_FILE, FINDER_SIZE, FINENESS, INPUT_SIZE, JOINTS, NETWORK_FILE,
} from "./settings.js";

/**
 * Load runtime and networks: a backend. Its functions take an input, a Uint8Array of RGB pixels:
 * `estimate`, of INPUT_SIZE x INPUT_SIZE, gives {keypoints: [x, y] each, px of the input, scores};
 * `findBoxes`, of FINDER_SIZE x FINDER_SIZE, {boxes: [x, y, width, height] each, scores}.
 */
export async function openBackend() {
  try {
    const ort = await import("./ort.wasm.min.mjs");
    ort.env.wasm.numThreads = 1; // more need headers that a plain web server does not send
    ort.env.wasm.wasmPaths = new URL(".", import.meta.url).href;
    const estimate = await loadNetwork(ort, NETWORK_FILE, INPUT_SIZE);
    const findBoxes = await loadNetwork(ort, FINDER_FILE, FINDER_SIZE);
    return {
      async estimate(input) {
        const { keypoints, scores } = await estimate(input);
        return { keypoints: splitRows(keypoints, JOINTS.length), scores: Array.from(scores.data) };
      },
      async findBoxes(input) {
        const { boxes, scores } = await findBoxes(input);
        return { boxes: splitRows(boxes, scores.data.length), scores: Array.from(scores.data) };
      },
    };
  } catch (error) {
    throw new UserError(`the network cannot be loaded: ${error.message}; load the page again`);
  }
}

async function loadNetwork(ort, file, size) {
  const session = await ort.InferenceSession.create(await fetchFile(file));
  return (input) => session.run({ pictures: new ort.Tensor("uint8", input, [1, size, size, 3]) });
}

function splitRows({ data }, number) {
  const length = data.length / number;
  return Array.from({ length: number }, (_, k) =>
    Array.from(data.slice(k * length, (k + 1) * length)));
}

async function fetchFile(file) {
  const response = await fetch(new URL(file, import.meta.url));
  if (!response.ok) throw new Error(`${file}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}

/**
 * What a search finds on a picture: its poses. What lies outside of the picture is black.
 *
 * `signal`, an AbortSignal, ends the search. `report` is called for each crop with its number and
 * how many this round has. `mustShow`: the answer is null if no crop of a round shows the picture.
 */
export async function runSearch(
  search, picture, backend, signal, { report = () => {}, mustShow = false } = {},
) {
  let step = search.next();
  while (!step.done) {
    const [found, isSeen] = await answer(picture, step.value, backend, signal, report);
    if (mustShow && !isSeen) return null;
    step = search.next(found);
  }
  return step.value;
}

async function answer(picture, { crops, isForFinder }, backend, signal, report) {
  const size = isForFinder ? FINDER_SIZE : INPUT_SIZE;
  const sides = crops.map(([, , side]) => side);
  const factor = Math.max(1, Math.trunc(Math.min(...sides) / size / FINENESS));
  // One mean for all crops: each would otherwise smooth the whole picture for itself.
  const reduced = factor > 1 ? reducePicture(picture, factor) : picture;
  const found = [];
  let isSeen = false;
  for (const [k, crop] of crops.entries()) {
    report(k + 1, crops.length);
    await new Promise((resolve) => { setTimeout(resolve); }); // the browser draws and listens
    signal?.throwIfAborted();
    const cut = cutCrop(reduced, factor, crop, size);
    isSeen ||= cut !== null;
    const input = cut ?? new Uint8Array(3 * size ** 2);
    found.push(await (isForFinder ? findBoxes : estimate)(backend, input, crop));
  }
  return [found, isSeen];
}

async function estimate(backend, input, crop) {
  const { keypoints, scores } = await backend.estimate(input);
  return { keypoints: keypoints.map((point) => toPicture(point, crop)), scores };
}

async function findBoxes(backend, input, [left, top, side]) {
  const { boxes, scores } = await backend.findBoxes(input);
  const ratio = side / FINDER_SIZE;
  const place = ([x, y, width, height]) =>
    [ratio * x + left, ratio * y + top, ratio * width, ratio * height];
  return { boxes: boxes.map(place), scores };
}

/** A point of an input as one of the picture that its crop was cut out of. */
function toPicture(point, [x, y, side]) {
  const ratio = side / INPUT_SIZE;
  return [ratio * point[0] + 0.5 * ratio + x - 0.5, ratio * point[1] + 0.5 * ratio + y - 0.5];
}
