// A photograph or the camera, the skeleton over it, and the person's bbox, which a mouse, a finger
// or the arrow keys draw.

import { drawBbox, drawPose } from "./drawing.js";

const LONGEST = 1600; // px of the canvases, whatever the picture has
const LEAST_DRAG = 8; // px of the screen; less is a click
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Stage {
  #size = null; // [width, height] of what is shown, px
  #scale = 1; // px of the overlay to one of the picture
  #start = null; // where a drag began

  /** `onBbox` is called with a bbox that was drawn, and `onChange` with one that changes. */
  constructor({ element, picture, video, overlay, onBbox, onChange }) {
    Object.assign(this, { element, picture, video, overlay, onBbox, onChange });
    this.bbox = null; // [x, y, width, height] of the person, whole px of the picture
    this.poses = []; // the surest first; it is drawn on top
    this.withNames = false;
    overlay.addEventListener("pointerdown", (event) => this.#begin(event));
    overlay.addEventListener("pointermove", (event) => this.#drag(event));
    overlay.addEventListener("pointerup", () => this.#end());
    overlay.addEventListener("pointercancel", () => { this.#start = null; });
    overlay.addEventListener("keydown", (event) => this.#press(event));
  }

  /** Show a bitmap, on a canvas of its own. */
  showPicture(bitmap) {
    this.#show([bitmap.width, bitmap.height]);
    const scale = Math.min(1, LONGEST / Math.max(...this.#size));
    this.picture.width = Math.max(1, Math.round(bitmap.width * scale));
    this.picture.height = Math.max(1, Math.round(bitmap.height * scale));
    const context = this.picture.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, this.picture.width, this.picture.height);
    this.element.dataset.shows = "picture";
  }

  /** Show what the <video> plays. */
  showVideo() {
    this.#show([this.video.videoWidth, this.video.videoHeight]);
    this.element.dataset.shows = "video";
  }

  #show(size) {
    this.#size = size;
    this.#scale = LONGEST / Math.max(...size);
    [this.overlay.width, this.overlay.height] = size.map((length) =>
      Math.max(1, Math.round(length * this.#scale)));
    this.element.style.setProperty("--ratio", size[0] / size[1]);
    [this.bbox, this.poses, this.#start] = [null, [], null];
    this.draw();
  }

  draw() {
    const context = this.overlay.getContext("2d");
    context.clearRect(0, 0, this.overlay.width, this.overlay.height);
    for (const pose of this.poses.toReversed()) {
      drawPose(context, pose, this.#scale, this.withNames);
    }
    if (this.bbox) drawBbox(context, this.bbox, this.#scale);
  }

  #setBbox(bbox) {
    this.bbox = bbox;
    this.onChange(bbox);
    this.draw();
  }

  /** Where a pointer is, px of the picture from its corner. */
  #place(event) {
    const shown = this.overlay.getBoundingClientRect();
    const shares = [(event.clientX - shown.left) / shown.width,
      (event.clientY - shown.top) / shown.height];
    return shares.map((share, axis) => Math.min(Math.max(share, 0), 1) * this.#size[axis]);
  }

  #begin(event) {
    if (this.element.dataset.shows !== "picture" || !event.isPrimary || event.button) return;
    this.overlay.setPointerCapture(event.pointerId);
    this.#start = { place: this.#place(event), x: event.clientX, y: event.clientY, isFar: false };
  }

  #drag(event) {
    const start = this.#start;
    if (!start) return;
    const far = Math.min(Math.abs(event.clientX - start.x), Math.abs(event.clientY - start.y));
    start.isFar ||= far >= LEAST_DRAG;
    if (start.isFar) this.#setBbox(bboxBetween(start.place, this.#place(event)));
  }

  #end() {
    const isDrawn = this.#start?.isFar;
    this.#start = null;
    if (isDrawn) this.onBbox(this.bbox);
  }

  #press(event) {
    if (this.element.dataset.shows !== "picture") return;
    const direction = KEYS[event.key];
    if (direction) this.#setBbox(this.#moved(direction, event.shiftKey));
    else if (event.key === "Enter" && this.bbox) this.onBbox(this.bbox);
    else return;
    event.preventDefault(); // the page would scroll
  }

  /** The bbox moved a step, or its far corner; the first one is in the middle of the picture. */
  #moved([right, down], isSize) {
    const [wide, high] = this.#size;
    if (!this.bbox) return bboxBetween([wide / 4, high / 4], [3 * wide / 4, 3 * high / 4]);
    const step = Math.max(1, Math.round(Math.max(wide, high) / 50));
    const [x, y, width, height] = this.bbox;
    const within = (place, least, most) => Math.min(Math.max(place, least), Math.max(most, least));
    if (isSize) {
      return [x, y, within(width + step * right, 1, wide - x),
        within(height + step * down, 1, high - y)];
    }
    return [within(x + step * right, 0, wide - width), within(y + step * down, 0, high - height),
      width, height];
  }
}

/** The bbox of whole px between two corners. */
function bboxBetween(corner, other) {
  const [low, high] = [Math.min, Math.max].map((choose) =>
    [0, 1].map((axis) => Math.round(choose(corner[axis], other[axis]))));
  return [...low, Math.max(1, high[0] - low[0]), Math.max(1, high[1] - low[1])];
}
