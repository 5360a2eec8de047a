// The network, run by onnxruntime-web on one thread.

import { UserError } from "./errors.js";
import { INPUT_SIZE, JOINTS, NETWORK_FILE } from "./settings.js";

/**
 * Load runtime and network: a function of a view, a Uint8Array of INPUT_SIZE x INPUT_SIZE RGB
 * pixels, to {keypoints: 16 of [x, y], px of the view, scores: 16 numbers}.
 */
export async function openFinder() {
  try {
    const ort = await import("./ort.wasm.min.mjs");
    ort.env.wasm.numThreads = 1; // more need headers that a plain web server does not send
    ort.env.wasm.wasmPaths = new URL(".", import.meta.url).href;
    const session = await ort.InferenceSession.create(await fetchNetwork());
    return (view) => findJoints(ort, session, view);
  } catch (error) {
    throw new UserError(`the network cannot be loaded: ${error.message}; load the page again`);
  }
}

async function fetchNetwork() {
  const response = await fetch(new URL(NETWORK_FILE, import.meta.url));
  if (!response.ok) throw new Error(`${NETWORK_FILE}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}

async function findJoints(ort, session, view) {
  const pictures = new ort.Tensor("uint8", view, [1, INPUT_SIZE, INPUT_SIZE, 3]);
  const { keypoints, scores } = await session.run({ pictures });
  const numbers = keypoints.data;
  return {
    keypoints: JOINTS.map((_, joint) => [numbers[2 * joint], numbers[2 * joint + 1]]),
    scores: Array.from(scores.data),
  };
}
