// Picture files to upright RGB pixels, and crops of them: Python's `utils/images.py`.
//
// A picture is {width, height, pixels: Uint8Array of RGB, row by row}. Crops are resized as Pillow
// does it, to the byte: a canvas smooths otherwise in every browser, and keypoints would move by it.

import { MAX_PIXELS } from "./settings.js";

/** What the reader of the page can fix. Its text is one line: which file, what is wrong, the remedy. */
export class UserError extends Error {}

const BAND = 256; // rows; a phone's canvas holds no picture of 50 megapixels at once

/** Decode a file, a `Blob` with a name: {bitmap, picture}. */
export async function openFile(file) {
  const [width, height] = await measure(file);
  if (width * height > MAX_PIXELS) {
    throw new UserError(`${file.name}: ${width} x ${height} px, more than `
      + `${MAX_PIXELS / 1e6} megapixels; make it smaller`);
  }
  const options = { imageOrientation: "from-image", colorSpaceConversion: "none" };
  const bitmap = await createImageBitmap(file, options).catch(() => refuse(file));
  return { bitmap, picture: readPixels(bitmap) };
}

/** Width and height: an <img> tells them from the file's header, before any pixel is decoded. */
function measure(file) {
  const url = URL.createObjectURL(file);
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve([image.naturalWidth, image.naturalHeight]);
    image.onerror = reject;
    image.src = url;
  }).catch(() => refuse(file)).finally(() => URL.revokeObjectURL(url));
}

function refuse(file) {
  throw new UserError(`${file.name}: not a picture that this browser can decode; save it as a JPEG of `
    + `less than ${MAX_PIXELS / 1e6} megapixels`);
}

/** The picture of a bitmap or of a video's frame; what is transparent lies on white. */
export function readPixels(source) {
  const width = source.videoWidth ?? source.width;
  const height = source.videoHeight ?? source.height;
  const pixels = new Uint8Array(3 * width * height);
  const context = new OffscreenCanvas(width, Math.min(BAND, height))
    .getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  for (let top = 0; top < height; top += BAND) {
    const rows = Math.min(BAND, height - top);
    context.fillRect(0, 0, width, rows);
    context.drawImage(source, 0, -top);
    dropAlpha(context.getImageData(0, 0, width, rows).data, pixels, 3 * width * top);
  }
  return { width, height, pixels };
}

function dropAlpha(rgba, pixels, start) {
  for (let from = 0, to = start; from < rgba.length; from += 4, to += 3) {
    pixels[to] = rgba[from];
    pixels[to + 1] = rgba[from + 1];
    pixels[to + 2] = rgba[from + 2];
  }
}

/** The picture at 1 / `factor` of its size, each pixel the mean of its own: Pillow's `reduce`. */
export function reducePicture({ width, height, pixels }, factor) {
  const [columns, rows] = [Math.ceil(width / factor), Math.ceil(height / factor)];
  const reduced = new Uint8Array(3 * columns * rows);
  for (let row = 0; row < rows; row++) {
    const bottom = Math.min((row + 1) * factor, height);
    for (let column = 0; column < columns; column++) {
      const right = Math.min((column + 1) * factor, width);
      const number = (bottom - row * factor) * (right - column * factor);
      const share = Math.floor(2 ** 24 / number); // Pillow divides by whole numbers
      for (let channel = 0; channel < 3; channel++) {
        let sum = number >> 1;
        for (let y = row * factor; y < bottom; y++) {
          for (let x = column * factor; x < right; x++) sum += pixels[3 * (y * width + x) + channel];
        }
        reduced[3 * (row * columns + column) + channel] = Math.floor(sum * share / 2 ** 24);
      }
    }
  }
  return { width: columns, height: rows, pixels: reduced };
}

/**
 * Cut a crop out of a picture that was reduced by `factor`, and resize it; black outside of it.
 *
 * Returns a Uint8Array of size * size * 3, or null where the crop does not touch the picture.
 */
export function cutCrop(picture, factor, [x, y, side], size) {
  const ratio = side / size; // px of the picture to one of the result
  const columns = inside(x, picture.width * factor, side, size);
  const rows = inside(y, picture.height * factor, side, size);
  if (columns[1] <= columns[0] || rows[1] <= rows[0]) return null;
  const weigh = (start, [first, last], length) => findWeights(
    // Rounding may carry the bounds a hair outside the picture.
    Math.max((start + first * ratio) / factor, 0),
    Math.min((start + last * ratio) / factor, length), length, last - first);
  const across = weigh(x, columns, picture.width);
  const down = weigh(y, rows, picture.height);
  const { width, height, pixels } = resizeRows(resizeRows(picture, across), down);
  const input = new Uint8Array(3 * size * size);
  for (let row = 0; row < height; row++) {
    const line = pixels.subarray(3 * width * row, 3 * width * (row + 1));
    input.set(line, 3 * ((rows[0] + row) * size + columns[0]));
  }
  return input;
}

/** First and last + 1 of the result's pixels that lie wholly in a picture of `length` px. */
function inside(start, length, side, size) {
  const first = -Math.floor(start * size / side);
  return [Math.max(0, first), Math.min(size, Math.floor((length - start) * size / side))];
}

// Pillow's resampling in whole numbers, src/libImaging/Resample.c: weights of 22 bits.
const WEIGHT_BITS = 22;
const HALF = 1 << (WEIGHT_BITS - 1);

/** Keys' cubic with a = -1/2. */
function bicubic(x) {
  const far = Math.abs(x);
  if (far < 1) return (1.5 * far - 2.5) * far * far + 1;
  return far < 2 ? (((far - 5) * far + 8) * far - 4) * -0.5 : 0;
}

/**
 * What each of `number` pixels has of `length` ones, between two places of these.
 *
 * Returns a list of {first, weights}: the pixels from `first` on, each with its weight.
 */
function findWeights(low, high, length, number) {
  const start = Math.fround(low); // Pillow takes them as float32
  const scale = Math.fround(Math.fround(high) - start) / number;
  const reach = Math.max(scale, 1); // what shrinks is smoothed
  return Array.from({ length: number }, (_, k) => {
    const center = start + (k + 0.5) * scale;
    const first = Math.max(Math.trunc(center - 2 * reach + 0.5), 0);
    const last = Math.min(Math.trunc(center + 2 * reach + 0.5), length);
    const weights = Array.from({ length: last - first }, (_, i) =>
      bicubic((i + first - center + 0.5) * (1 / reach)));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return { first, weights: Float64Array.from(weights, (weight) => wholeWeight(weight / total)) };
  });
}

function wholeWeight(weight) {
  return Math.trunc(weight * 2 ** WEIGHT_BITS + (weight < 0 ? -0.5 : 0.5));
}

/** Every row of a picture at another width, turned into a column: done twice, both sizes change. */
function resizeRows({ width, height, pixels }, columns) {
  const resized = new Uint8ClampedArray(3 * columns.length * height);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < columns.length; column++) {
      const { first, weights } = columns[column];
      let [red, green, blue] = [HALF, HALF, HALF];
      for (let k = 0, place = 3 * (row * width + first); k < weights.length; k++, place += 3) {
        red += pixels[place] * weights[k];
        green += pixels[place + 1] * weights[k];
        blue += pixels[place + 2] * weights[k];
      }
      const to = 3 * (column * height + row);
      resized[to] = red >> WEIGHT_BITS;
      resized[to + 1] = green >> WEIGHT_BITS;
      resized[to + 2] = blue >> WEIGHT_BITS;
    }
  }
  return { width: height, height: columns.length, pixels: resized };
}
