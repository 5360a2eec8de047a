// The page: what its buttons do. One thing is at work at a time, and gives way to the next.

import { closeCamera, followCamera, openCamera } from "./camera.js";
import { drawSticker } from "./drawing.js";
import { UserError } from "./errors.js";
import { openFinder } from "./finder.js";
import { runSearch } from "./looks.js";
import { boxSquare, estimatePose, findPeople } from "./people.js";
import { openFile, readPixels } from "./pictures.js";
import { describePose, fillTable, saveSticker, saveText } from "./results.js";
import { BBOX_RULE, LICENCE, THRESHOLD } from "./settings.js";
import { Stage } from "./stage.js";

const find = (id) => document.getElementById(id);
const video = find("video");
const stage = new Stage({
  element: find("stage"), picture: find("picture"), video, overlay: find("overlay"),
  onBox: (box) => start((signal) => searchBox(box, signal)), onChange: (box) => { find("box").value = box.join(","); },
});
const LOADING = "Loading the network …";
let photo = null; // {name, picture}
let found = null; // {mode, bbox, pose}
let finder = null; // the promise of a joint finder
let latest = Promise.resolve();
let controller = new AbortController();

/** Start something as soon as what is at work has given way; what is wrong becomes one line. */
function start(work) {
  controller.abort();
  controller = new AbortController();
  const { signal } = controller;
  latest = latest.then(() => signal.aborted || work(signal)).catch((error) => {
    if (!signal.aborted) say(explain(error), true);
  });
}

function explain(error) {
  return error instanceof UserError ? error.message : `something went wrong: ${error.message}`;
}

function say(text, isError = false) {
  find("message").textContent = text;
  find("message").classList.toggle("error", isError);
}

function loadFinder() {
  finder ??= openFinder().catch((error) => {
    finder = null; // the next try loads it anew
    throw error;
  });
  return finder;
}

/** Show a photograph that was chosen, and find the person on it. */
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

/** Find whoever is on the photograph. */
async function search(signal) {
  const { width, height } = photo.picture;
  stage.box = null;
  find("box").value = "";
  const poses = await look(findPeople([width, height]), signal);
  if (!poses) throw new UserError(`${photo.name}: too narrow to see anybody; draw a box`);
  const [pose] = poses;
  if (pose.score < THRESHOLD) {
    say(`Nobody found: the best score is ${pose.score.toFixed(2)}, below ${THRESHOLD}. `
      + "Draw a box around the person.");
    return;
  }
  showFound({ mode: "search", bbox: null, pose });
  say(`Found somebody, score ${pose.score.toFixed(2)}. Not right? Draw a box around the person.`);
}

/** Find the joints of the person in a box. */
async function searchBox(box, signal) {
  stage.box = box;
  const poses = await look(estimatePose(boxSquare(box)), signal);
  if (!poses) throw new UserError(`the box ${box} leaves nothing to see of the picture; fix it`);
  const [pose] = poses;
  showFound({ mode: "bbox", bbox: box, pose });
  say(`The person in the box, score ${pose.score.toFixed(2)}.`);
}

async function look(searched, signal) {
  showFound(null);
  say(LOADING);
  const findJoints = await loadFinder();
  const report = (number, all) => say(`Looking: ${number} of ${all} …`);
  return runSearch(searched, photo.picture, findJoints, signal, { report, mustShow: true });
}

function showFound(result) {
  found = result;
  stage.pose = found?.pose ?? null;
  stage.draw();
  find("result").hidden = !found;
  if (!found) return;
  drawSticker(find("sticker"), found.pose);
  fillTable(find("joints"), found.pose);
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
    const findJoints = await loadFinder();
    say("Take the picture when the skeleton fits.");
    await followCamera(video, findJoints, signal, () => stage.showVideo(), (pose) => {
      stage.pose = pose;
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
    stage.pose = null;
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

/** The four numbers of what was typed as a box. */
function parseBox(text) {
  const box = text.split(",").map((part) => (part.trim() ? Number(part) : NaN));
  const isBox = box.length === 4 && box.every((number) => Math.abs(number) < 1e6)
    && Math.min(...box.slice(2)) > 0;
  if (!isBox) throw new UserError(`${text} is no box x,y,width,height: ${BBOX_RULE}`);
  return box;
}

function typeBox(event) {
  event.preventDefault();
  start(async (signal) => searchBox(parseBox(find("box").value), signal));
}

const stem = () => photo.name.replace(/\.[^.]*$/, "") || photo.name;

function saveWith(save) {
  return () => save().catch((error) => say(explain(error), true));
}

function listen() {
  find("file").addEventListener("change", ({ target }) => {
    if (target.files.length) takeFile(target.files[0]);
    target.value = ""; // the same file may be chosen again
  });
  find("camera").addEventListener("click", toggleCamera);
  find("shutter").addEventListener("click", takeFrame);
  find("search").addEventListener("click", () => start(search));
  find("box-form").addEventListener("submit", typeBox);
  find("names").addEventListener("change", ({ target }) => {
    stage.withNames = target.checked;
    stage.draw();
  });
  for (const kind of ["png", "webp"]) {
    find(kind).addEventListener("click", saveWith(() =>
      saveSticker(find("sticker"), found.pose, stem(), kind)));
  }
  find("json").addEventListener("click", saveWith(async () => {
    saveText(describePose(photo.name, found.mode, found.bbox, found.pose), stem());
  }));
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
loadFinder().then(() => {
  if (find("message").textContent === LOADING) say("Choose a photograph, or use the camera.");
}, (error) => say(explain(error), true));
