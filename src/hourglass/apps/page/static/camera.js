// The camera, and the person before it, from frame to frame.

import { UserError } from "./errors.js";
import { Follower } from "./following.js";
import { runSearch } from "./looks.js";
import { readPixels } from "./pictures.js";

/** Have a <video> play what the camera sees. */
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
 * Tell `onPose` whom the camera sees in each frame, a pose or null, until `signal` ends it.
 *
 * `onResize` is told of a first frame and of each of another size, as of a phone that is turned.
 */
export async function followCamera(video, findJoints, signal, onResize, onPose) {
  let follower, size = [];
  while (!signal.aborted) {
    const picture = readPixels(video);
    if (picture.width !== size[0] || picture.height !== size[1]) {
      size = [picture.width, picture.height];
      follower = new Follower();
      onResize();
    }
    onPose(await runSearch(follower.follow(size), picture, findJoints, signal));
    await new Promise((resolve) => { requestAnimationFrame(resolve); });
  }
}
