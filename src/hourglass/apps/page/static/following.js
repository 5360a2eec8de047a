// One person followed from frame to frame of the camera: `video/following.py`, for one.

import { boxMiddle, findPeople, longerSide, lookAt, poseBox, squareAt, weigh } from "./people.js";
import {
  AROUND_JOINTS, CHECK_EVERY, KEPT, LOST_AFTER, MIN_SIDE, SEARCH_EVERY, SHRINKING, THRESHOLD, WIDER,
} from "./settings.js";

export class Follower {
  #track = null; // {pose, score, size, checked, numFailed}
  #frame = -1;
  #searched = -Infinity; // the frame of the last search

  /** The search (`people.js`) of the next frame, of [width, height]: a pose, or null. */
  * follow(size) {
    this.#frame += 1;
    if (this.#track) yield* this.#followTrack(this.#track);
    if (!this.#track && this.#frame - this.#searched >= SEARCH_EVERY) yield* this.#search(size);
    return this.#track && !this.#track.numFailed ? this.#track.pose : null;
  }

  * #followTrack(track) {
    const isDue = track.numFailed > 0 || this.#frame - track.checked >= CHECK_EVERY;
    const squares = [squareOf(track), ...(isDue ? [squareOf(track, WIDER)] : [])];
    const [pose, wider] = yield* lookAt(squares);
    if (isDue) {
      track.checked = this.#frame;
      track.score = weigh(pose, [wider]).score;
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
    const track = { score: pose.score, size: 0, checked: this.#frame, numFailed: 0 };
    move(track, pose);
    this.#track = track;
  }
}

function squareOf({ pose, size }, factor = 1) {
  return squareAt(boxMiddle(poseBox(pose)), Math.max(factor * AROUND_JOINTS * size, MIN_SIDE));
}

/** The track's person is where `pose` is. */
function move(track, pose) {
  const size = longerSide(poseBox(pose));
  track.size = Math.max(size, track.size + SHRINKING * (size - track.size));
  track.pose = { ...pose, score: track.score };
}
