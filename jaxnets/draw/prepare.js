"use strict";

// From what is drawn to the image that the networks see, as jaxnets/picture does it.
// Ink has a value a pixel, row after row, from 0 (paper) to 255 (ink).

// The smallest box that holds all ink; null where there is none.
function inkBox(ink, width, height) {
  let left = width, right = -1, top = height, bottom = -1;
  for (let row = 0, at = 0; row < height; row++) {
    for (let column = 0; column < width; column++, at++) {
      if (ink[at] === 0) continue;
      if (column < left) left = column;
      if (column > right) right = column;
      if (row < top) top = row;
      bottom = row;
    }
  }
  if (bottom < 0) return null;
  return { left, top, width: right - left + 1, height: bottom - top + 1 };
}

// Area averaging: each of columns * rows pixels is the mean of the part of the box
// that it covers, parts of pixels included.
function averaged(ink, width, box, columns, rows) {
  const across = new Float64Array(box.height * columns);
  for (let row = 0; row < box.height; row++) {
    const start = (box.top + row) * width + box.left;
    averageLine(ink, start, 1, box.width, across, row * columns, 1, columns);
  }
  const image = new Float64Array(rows * columns);
  for (let column = 0; column < columns; column++) {
    averageLine(across, column, columns, box.height, image, column, columns, rows);
  }
  return image;
}

// `length` values of the source, `step` apart, become `count` of the target.
function averageLine(source, start, step, length, target, first, stride, count) {
  const part = length / count;
  for (let index = 0; index < count; index++) {
    const from = index * part, to = Math.min(from + part, length);
    let sum = 0;
    for (let at = Math.floor(from); at < to; at++) {
      const covered = Math.min(at + 1, to) - Math.max(at, from);
      sum += source[start + at * step] * covered;
    }
    target[first + index * stride] = sum / part;
  }
}

// The whole drawing at the size of the networks' image.
function shrunk(ink, width, height, columns, rows) {
  const all = { left: 0, top: 0, width, height };
  return Uint8ClampedArray.from(averaged(ink, width, all, columns, rows));
}

// MNIST's way: the box of the ink fits into a box of the image's own proportions whose
// longer side has `fit` pixels, and the centre of mass lies in the pixel just beyond the
// middle, 14 of 0 to 27, as it does in all of MNIST's images; or as near to it as all of
// the ink allows.
function centred(ink, width, height, columns, rows, fit) {
  const image = new Uint8ClampedArray(columns * rows);
  const box = inkBox(ink, width, height);
  if (box === null) return image;
  const scale = (fit / Math.max(columns, rows))
    * Math.min(columns / box.width, rows / box.height);
  const across = Math.max(1, Math.round(box.width * scale));
  const down = Math.max(1, Math.round(box.height * scale));
  const digit = averaged(ink, width, box, across, down);
  let mass = 0, massX = 0, massY = 0;
  for (let y = 0, at = 0; y < down; y++) {
    for (let x = 0; x < across; x++, at++) {
      mass += digit[at];
      massX += digit[at] * x;
      massY += digit[at] * y;
    }
  }
  const within = (place, room) => Math.min(Math.max(Math.round(place), 0), room);
  const left = within(columns / 2 - massX / mass, columns - across);
  const top = within(rows / 2 - massY / mass, rows - down);
  for (let y = 0; y < down; y++) {
    const line = digit.subarray(y * across, (y + 1) * across);
    image.set(line, (top + y) * columns + left);
  }
  return image;
}
