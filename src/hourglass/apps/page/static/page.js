// The page: what its buttons do. One thing is at work at a time, and gives way to the next.

import { openBackend, runSearch } from "./backend.js";
import { drawSticker } from "./drawing.js";
import { openFile, readPixels, UserError } from "./images.js";
import { bboxCrop, estimatePose, findPeople, isBbox } from "./person_search.js";
import { describePeople, fillTable, saveSticker, saveText } from "./results.js";
import { BBOX_RULE, LICENCE, THRESHOLD } from "./settings.js";
import { Stage } from "./stage.js";
import { closeCamera, openCamera, trackCamera } from "./tracker.js";

const find = (id) => document.getElementById(id);
const video = find("video");
const stage = new Stage({
  element: find("stage"), picture: find("picture"), video, overlay: find("overlay"),
  onBbox: (bbox) => start((signal) => searchBbox(bbox, signal)),
  onChange: (bbox) => { find("box").value = bbox.join(","); },
});
const LOADING = "Loading the network …";
let photo = null; // {name, picture}
let found = null; // {mode, bbox, poses}, the surest first
let backend = null; // the promise of a backend
let latest = Promise.resolve();
let controller = new AbortController();

/** Start something as soon as what is at work has given way; what is wrong becomes one line. */
function start(work) {
  controller.abort();
  controller = new AbortController();
  const { signal } = controller;
  latest = latest.then(() => signal.aborted || work(signal)).catch((error) => {
    if (!signal.aborted) complain(error);
  });
}

function say(text, isError = false) {
  find("message").textContent = text;
  find("message").classList.toggle("error", isError);
}

function complain(error) {
  const isKnown = error instanceof UserError;
  say(isKnown ? error.message : `something went wrong: ${error.message}`, true);
}

function loadBackend() {
  backend ??= openBackend().catch((error) => {
    backend = null; // the next try loads it anew
    throw error;
  });
  return backend;
}

/** Show a photograph that was chosen, and find the people on it. */
function takeFile(file) {
  start(async (signal) => {
    leaveCamera();
    say(`Opening ${file.name} …`);
    const { bitmap, picture } = await openFile(file);
    if (signal.aborted) return;
    showPhoto({ name: file.name, picture }, bitmap);
    await search(signal);
  });
}

function showPhoto(taken, bitmap) {
  photo = taken;
  showFound(null);
  stage.showPicture(bitmap);
  bitmap.close();
  find("search").disabled = find("box").disabled = false;
}

/** Find all people on the photograph. */
async function search(signal) {
  const { width, height } = photo.picture;
  stage.bbox = null;
  find("box").value = "";
  const poses = await estimate(findPeople([width, height]), signal);
  if (!poses) throw new UserError(`${photo.name}: too narrow to show a person; draw a box`);
  const people = poses.filter(({ score }) => score >= THRESHOLD);
  if (!people.length) {
    const best = (poses[0]?.score ?? 0).toFixed(2);
    say(`No person found: the best score is ${best}, below ${THRESHOLD}. `
      + "Draw a box around the person.");
    return;
  }
  showFound({ mode: "search", bbox: null, poses: people });
  const scores = people.map(({ score }) => score.toFixed(2)).join(", ");
  const who = people.length > 1 ? `${people.length} people, scores` : "a person, score";
  say(`Found ${who} ${scores}. Not right? Draw a box around the person.`);
}

/** Find the keypoints of the person in a bbox. */
async function searchBbox(bbox, signal) {
  stage.bbox = bbox;
  const poses = await estimate(estimatePose(bboxCrop(bbox)), signal);
  if (!poses) throw new UserError(`the box ${bbox} leaves nothing to see of the picture; fix it`);
  const [pose] = poses;
  showFound({ mode: "bbox", bbox, poses });
  say(`The person in the box, score ${pose.score.toFixed(2)}.`);
}

async function estimate(searched, signal) {
  showFound(null);
  say(LOADING);
  const loaded = await loadBackend();
  const report = (number, all) => say(`Searching: crop ${number} of ${all} …`);
  return runSearch(searched, photo.picture, loaded, signal, { report, mustShow: true });
}

function showFound(result) {
  found = result;
  stage.poses = found?.poses ?? [];
  stage.draw();
  find("result").hidden = !found;
  if (!found) return;
  drawSticker(find("sticker"), found.poses[0]);
  fillTable(find("joints"), found.poses[0]);
}

function toggleCamera() {
  if (video.srcObject) {
    controller.abort();
    leaveCamera();
    say("The camera is off.");
    return;
  }
  start(async (signal) => {
    say("Opening the camera …");
    await openCamera(video);
    if (signal.aborted) return leaveCamera();
    showCamera();
    const loaded = await loadBackend();
    say("Take the picture when the skeleton fits.");
    await trackCamera(video, loaded, signal, () => stage.showVideo(), (pose) => {
      stage.poses = pose ? [pose] : [];
      stage.draw();
    });
  });
}

function showCamera() {
  showFound(null);
  photo = null;
  find("box").value = "";
  stage.showVideo();
  find("search").disabled = find("box").disabled = true;
  find("camera").textContent = "Stop the camera";
  find("shutter").hidden = false;
}

function leaveCamera() {
  if (stage.element.dataset.shows === "video") {
    stage.poses = [];
    stage.draw();
    delete stage.element.dataset.shows;
  }
  closeCamera(video);
  find("camera").textContent = "Use the camera";
  find("shutter").hidden = true;
}

/** Make the camera's frame the photograph. */
function takeFrame() {
  start(async (signal) => {
    const bitmap = await createImageBitmap(video);
    leaveCamera();
    showPhoto({ name: "camera", picture: readPixels(bitmap) }, bitmap);
    await search(signal);
  });
}

/** Find the person in the box that was typed. */
function typeBbox(event) {
  event.preventDefault();
  const text = find("box").value;
  const bbox = text.split(",").map((number) => (number.trim() ? Number(number) : NaN));
  start(async (signal) => {
    if (bbox.length !== 4 || !isBbox(bbox)) throw new UserError(`${text} is no box x,y,width,height: ${BBOX_RULE}`);
    await searchBbox(bbox, signal);
  });
}

function saveAs(kind) {
  const stem = photo.name.replace(/\.[^.]*$/, "") || photo.name;
  if (kind !== "json") return saveSticker(find("sticker"), found.poses[0], stem, kind);
  return saveText(describePeople(photo, found.mode, found.bbox, found.poses), stem);
}

function listen() {
  find("file").addEventListener("change", ({ target }) => {
    if (target.files.length) takeFile(target.files[0]);
    target.value = ""; // the same file may be chosen again
  });
  find("camera").addEventListener("click", toggleCamera);
  find("shutter").addEventListener("click", takeFrame);
  find("search").addEventListener("click", () => start(search));
  find("box-form").addEventListener("submit", typeBbox);
  find("names").addEventListener("change", ({ target }) => {
    stage.withNames = target.checked;
    stage.draw();
  });
  for (const kind of ["png", "webp", "json"]) {
    find(kind).addEventListener("click", async () => {
      try { await saveAs(kind); } catch (error) { complain(error); }
    });
  }
}

/** A photograph may be dropped anywhere: elsewhere the browser would open it in the page's place. */
function listenForDrops() {
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    stage.element.classList.add("dropping");
  });
  document.addEventListener("dragleave", () => stage.element.classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    stage.element.classList.remove("dropping");
    const [file] = event.dataTransfer.files;
    if (file) takeFile(file);
    else say("What was dropped is no file: save the picture first, then drop it.", true);
  });
}

find("licence").textContent = LICENCE;
listen();
listenForDrops();
find("file").disabled = find("camera").disabled = false;
say(LOADING);
loadBackend().then(() => {
  if (find("message").textContent === LOADING) say("Choose a photograph, or use the camera.");
}, complain);
