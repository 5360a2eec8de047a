// The camera, and one person tracked from frame to frame of it: `video/tracker.py`, for one.

import { runSearch } from "./backend.js";
import { readPixels, UserError } from "./images.js";
import {
  bboxCenter, cropAt, distance, estimateCrops, findPeople, keypointsBbox, longerSide, mean,
  poseBbox,
} from "./person_search.js";
import {
  AGREEMENT, AROUND_JOINTS, CHECK_EVERY, KEPT, LEAST_FAILED, LOST_AFTER, MIN_SIDE, ROUNDING,
  SEARCH_EVERY, SHRINKING, THRESHOLD, WIDER,
} from "./settings.js";

export class Tracker {
  #track = null; // {pose, score, size, checked, passed, numFailed}; times in s
  #searched = -Infinity; // the time of the last search, s

  /**
   * The search (`person_search.js`) of the next frame, of [width, height], at `time` s: a pose, or
   * null. A camera is not cut, and its gaps are those of a slow device: neither ends a track.
   */
  * track(size, time) {
    if (this.#track) yield* this.#follow(this.#track, time);
    if (!this.#track && hasPassed(this.#searched, time, SEARCH_EVERY)) {
      yield* this.#search(size, time);
    }
    return this.#track && !this.#track.numFailed ? this.#track.pose : null;
  }

  * #follow(track, time) {
    const isDue = track.numFailed > 0 || hasPassed(track.checked, time, CHECK_EVERY);
    const [pose, wider] = yield* estimateCrops([trackCrop(track), trackCrop(track, WIDER)]
      .slice(0, isDue ? 2 : 1));
    if (isDue) {
      track.checked = time;
      track.score = weighAgreement(pose, wider);
    }
    if (isDue && track.score < KEPT * THRESHOLD) {
      track.numFailed += 1;
      const isLost = track.numFailed >= LEAST_FAILED && hasPassed(track.passed, time, LOST_AFTER);
      if (isLost) this.#track = null;
    } else {
      track.numFailed = 0;
      track.passed = time;
      move(track, pose);
    }
  }

  * #search(size, time) {
    this.#searched = time;
    const [pose] = yield* findPeople(size, 1);
    if (!pose || pose.score < THRESHOLD) return;
    this.#track = { score: pose.score, size: 0, checked: time, passed: time, numFailed: 0 };
    move(this.#track, pose);
  }
}

/** The score of a pose after a check: Python's `weigh_agreement`. */
function weighAgreement(pose, wider) {
  const side = Math.max(longerSide(keypointsBbox(pose.keypoints)), 1e-9);
  const shares = wider.keypoints.map((place, joint) => {
    const far = distance(place, pose.keypoints[joint]) / (AGREEMENT * side);
    return wider.scores[joint] * Math.exp(-far * far);
  });
  return mean([...pose.scores, ...shares]);
}

function hasPassed(start, now, seconds) {
  return now - start >= seconds - ROUNDING;
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
 * `onResize` is called for the first frame and for each of another size: a phone may be turned.
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
    const search = tracker.track(size, performance.now() / 1000);
    onPose(await runSearch(search, picture, backend, signal));
    await new Promise((resolve) => { requestAnimationFrame(resolve); });
  }
}
