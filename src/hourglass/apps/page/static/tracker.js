// The camera, and one person tracked from frame to frame of it: `video/tracker.py`, for one.

import { runSearch } from "./backend.js";
import { readPixels, UserError } from "./images.js";
import {
  bboxCenter, cropAt, estimateCrops, findPeople, longerSide, poseBbox, rescore,
} from "./person_search.js";
import {
  AROUND_JOINTS, CHECK_EVERY, KEPT, LOST_AFTER, MIN_SIDE, SEARCH_EVERY, SHRINKING, THRESHOLD, WIDER,
} from "./settings.js";

export class Tracker {
  #track = null; // {pose, score, size, checked, numFailed}
  #frame = -1;
  #searched = -Infinity; // the frame of the last search

  /** The search (`person_search.js`) of the next frame, of [width, height]: a pose, or null. */
  * track(size) {
    this.#frame += 1;
    if (this.#track) yield* this.#follow(this.#track);
    if (!this.#track && this.#frame - this.#searched >= SEARCH_EVERY) yield* this.#search(size);
    return this.#track && !this.#track.numFailed ? this.#track.pose : null;
  }

  * #follow(track) {
    const isDue = track.numFailed > 0 || this.#frame - track.checked >= CHECK_EVERY;
    const [pose, wider] = yield* estimateCrops([trackCrop(track), trackCrop(track, WIDER)]
      .slice(0, isDue ? 2 : 1));
    if (isDue) {
      track.checked = this.#frame;
      track.score = rescore(pose, [wider]).score;
    }
    const hasFailed = isDue && track.score < KEPT * THRESHOLD;
    track.numFailed = hasFailed ? track.numFailed + 1 : 0;
    if (!hasFailed) move(track, pose);
    if (track.numFailed >= LOST_AFTER) this.#track = null;
  }

  * #search(size) {
    this.#searched = this.#frame;
    const [pose] = yield* findPeople(size);
    if (pose.score < THRESHOLD) return;
    this.#track = { score: pose.score, size: 0, checked: this.#frame, numFailed: 0 };
    move(this.#track, pose);
  }
}

function trackCrop({ pose, size }, factor = 1) {
  return cropAt(bboxCenter(poseBbox(pose)), Math.max(factor * AROUND_JOINTS * size, MIN_SIDE));
}

/** Take the pose of the next frame. */
function move(track, pose) {
  const size = longerSide(poseBbox(pose));
  track.size = Math.max(size, track.size + SHRINKING * (size - track.size));
  track.pose = { ...pose, score: track.score };
}

/** Have a <video> play what the camera films. */
export async function openCamera(video) {
  if (!navigator.mediaDevices) {
    throw new UserError("the camera is for pages of localhost or https alone; serve it so");
  }
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: 640 } });
    await video.play();
  } catch (error) {
    closeCamera(video);
    throw new UserError(`no camera: ${error.message}; allow it, or choose a photograph`);
  }
}

export function closeCamera(video) {
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
}

/**
 * Call `onPose` with the pose in each frame of the camera, or null, until `signal` ends it.
 *
 * `onResize` is called for the first frame and for each of another size, as of a turned phone.
 */
export async function trackCamera(video, backend, signal, onResize, onPose) {
  let tracker, size = [];
  while (!signal.aborted) {
    const picture = readPixels(video);
    if (picture.width !== size[0] || picture.height !== size[1]) {
      size = [picture.width, picture.height];
      tracker = new Tracker();
      onResize();
    }
    onPose(await runSearch(tracker.track(size), picture, backend, signal));
    await new Promise((resolve) => { requestAnimationFrame(resolve); });
  }
}
