// The network, run by onnxruntime-web on one thread, and searches run to their ends by it:
// Python's `inference/crops.py`, one crop at a time, so that the page stays awake between them.

import { cutCrop, reducePicture, UserError } from "./images.js";
import { FINENESS, INPUT_SIZE, JOINTS, NETWORK_FILE } from "./settings.js";

/**
 * Load runtime and network: a backend, a function of an input, a Uint8Array of
 * INPUT_SIZE x INPUT_SIZE RGB pixels, to {keypoints: [x, y] each, px of the input, scores}.
 */
export async function openBackend() {
  try {
    const ort = await import("./ort.wasm.min.mjs");
    ort.env.wasm.numThreads = 1; // more need headers that a plain web server does not send
    ort.env.wasm.wasmPaths = new URL(".", import.meta.url).href;
    const session = await ort.InferenceSession.create(await fetchNetwork());
    return async (input) => {
      const pictures = new ort.Tensor("uint8", input, [1, INPUT_SIZE, INPUT_SIZE, 3]);
      const { keypoints: { data }, scores } = await session.run({ pictures });
      const keypoints = JOINTS.map((_, joint) => [data[2 * joint], data[2 * joint + 1]]);
      return { keypoints, scores: Array.from(scores.data) };
    };
  } catch (error) {
    throw new UserError(`the network cannot be loaded: ${error.message}; load the page again`);
  }
}

async function fetchNetwork() {
  const response = await fetch(new URL(NETWORK_FILE, import.meta.url));
  if (!response.ok) throw new Error(`${NETWORK_FILE}: ${response.status} ${response.statusText}`);
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
    const [found, isSeen] = await estimate(picture, step.value, backend, signal, report);
    if (mustShow && !isSeen) return null;
    step = search.next(found);
  }
  return step.value;
}

async function estimate(picture, crops, backend, signal, report) {
  const sides = crops.map(([, , side]) => side);
  const factor = Math.max(1, Math.trunc(Math.min(...sides) / INPUT_SIZE / FINENESS));
  // One mean for all crops: each would otherwise smooth the whole picture for itself.
  const reduced = factor > 1 ? reducePicture(picture, factor) : picture;
  const found = [];
  let isSeen = false;
  for (const [k, crop] of crops.entries()) {
    report(k + 1, crops.length);
    await new Promise((resolve) => { setTimeout(resolve); }); // the browser draws and listens
    signal?.throwIfAborted();
    const input = cutCrop(reduced, factor, crop, INPUT_SIZE);
    isSeen ||= input !== null;
    const { keypoints, scores } = await backend(input ?? new Uint8Array(3 * INPUT_SIZE ** 2));
    found.push({ keypoints: keypoints.map((point) => toPicture(point, crop)), scores });
  }
  return [found, isSeen];
}

/** A point of an input as one of the picture that its crop was cut out of. */
function toPicture(point, [x, y, side]) {
  const ratio = side / INPUT_SIZE;
  return [ratio * point[0] + 0.5 * ratio + x - 0.5, ratio * point[1] + 0.5 * ratio + y - 0.5];
}
