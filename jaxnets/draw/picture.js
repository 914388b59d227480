// From a picture file to ink: one character on paper, dark or light, perhaps a photograph.

const LARGEST_FILE = 50e6; // bytes
const WORKING_SIDE = 640; // pixels that a picture is shrunk to
const CELLS = 12; // along a side, in which the brightness of the paper is taken
const FAINTEST = 24; // levels of 255 between ink and paper
const SPECK = 0.05; // of the largest piece of ink; smaller pieces are left out

// {canvas, prepared} for the paper; raises an Error that says what is wrong.
async function readPicture(file, columns, rows) {
  const name = file.name || "the picture";
  if (file.size > LARGEST_FILE) throw new Error(`${name} has more than 50 megabytes.`);
  let bitmap;
  try {
    bitmap = await createImageBitmap(file); // turned as the camera says
  } catch {
    throw new Error(`${name} is not a picture that this browser can read.`);
  }
  const isPrepared = bitmap.width === columns && bitmap.height === rows;
  const longest = Math.max(bitmap.width, bitmap.height);
  const scale = isPrepared ? 1 : Math.min(1, WORKING_SIDE / longest);
  const width = Math.max(1, Math.round(bitmap.width * scale));
  const height = Math.max(1, Math.round(bitmap.height * scale));
  const grey = greyOf(bitmap, width, height);
  const isDark = isDarkPaper(grey, width, height);
  if (isDark) grey.forEach((value, at) => { grey[at] = 255 - value; });
  const ink = isPrepared ? grey.map((value) => 255 - value) : inkOf(grey, width, height);
  if (ink === null || ink.every((value) => value === 0)) throw new Error(`No ink was found in ${name}.`);
  return { canvas: canvasOfInk(ink, width, height), prepared: isPrepared };
}

// Brightness 0 to 255 of every pixel; what is transparent is white.
function greyOf(bitmap, width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const grey = new Float64Array(width * height);
  for (let at = 0; at < grey.length; at++) { // the weights of ITU-R BT.601
    const [red, green, blue] = data.subarray(4 * at, 4 * at + 3);
    grey[at] = 0.299 * red + 0.587 * green + 0.114 * blue;
  }
  return grey;
}

// Whether most of the picture's edge is on the dark side of its two groups of levels.
function isDarkPaper(grey, width, height) {
  const limit = otsu(grey);
  let dark = 0, seen = 0;
  grey.forEach((value, at) => {
    const x = at % width, y = Math.floor(at / width);
    if (x > 0 && y > 0 && x < width - 1 && y < height - 1) return;
    seen++;
    if (value <= limit) dark++;
  });
  return dark > seen / 2;
}

// The level that parts the values into two groups best (Otsu, 1979).
function otsu(values) {
  const counts = new Float64Array(256);
  values.forEach((value) => { counts[Math.round(value)]++; });
  const sum = counts.reduce((total, count, level) => total + count * level, 0);
  let best = 0, limit = 0, below = 0, sumBelow = 0;
  for (let level = 0; level < 255; level++) {
    below += counts[level];
    sumBelow += counts[level] * level;
    const above = values.length - below;
    if (below === 0 || above === 0) continue;
    const gap = sumBelow / below - (sum - sumBelow) / above;
    if (below * above * gap ** 2 > best) {
      best = below * above * gap ** 2;
      limit = level;
    }
  }
  return limit;
}

// Ink on bright paper: how much darker a pixel is than the paper around it. Null where
// nothing is.
function inkOf(grey, width, height) {
  const paper = paperOf(grey, width, height);
  const darker = grey.map((value, at) => Math.max(0, paper(at) - value));
  const limit = otsu(darker);
  let total = 0, count = 0;
  for (const value of darker) {
    if (value > limit) { total += value; count++; }
  }
  const full = total / count; // of what is ink, the middle darkness
  if (count === 0 || full < FAINTEST) return null;
  // From half the limit on, so that the edges of strokes stay soft.
  const ink = darker.map((value) => (255 * (value - limit / 2)) / (full - limit / 2));
  const rounded = Uint8ClampedArray.from(ink);
  return largePieces(rounded, darker.map((value) => value > limit), width, height);
}

// A function of a pixel: how bright the paper is there, shadows included. It is that of
// the brighter pixels of each cell and its neighbours, and runs smoothly between cells.
function paperOf(grey, width, height) {
  const levels = [];
  for (let row = 0; row < CELLS; row++) {
    for (let column = 0; column < CELLS; column++) {
      const values = [];
      const [left, right] = part(column, width), [top, bottom] = part(row, height);
      for (let y = top; y < bottom; y++) {
        for (let x = left; x < right; x++) values.push(grey[y * width + x]);
      }
      values.sort((a, b) => a - b);
      levels.push(values[Math.floor(0.8 * (values.length - 1))]);
    }
  }
  const wide = aroundEach(levels, (values) => Math.max(...values));
  const smooth = aroundEach(wide, (values) =>
    values.reduce((sum, value) => sum + value) / values.length);
  return (at) => {
    const x = cellOf(at % width, width), y = cellOf(Math.floor(at / width), height);
    const column = Math.min(CELLS - 2, Math.floor(x));
    const row = Math.min(CELLS - 2, Math.floor(y));
    const [u, v] = [x - column, y - row];
    const level = (down, right) => smooth[(row + down) * CELLS + column + right];
    return (1 - v) * ((1 - u) * level(0, 0) + u * level(0, 1))
      + v * ((1 - u) * level(1, 0) + u * level(1, 1));
  };
}

// Where a cell begins and ends; at least one pixel.
function part(index, length) {
  const from = Math.min(length - 1, Math.floor((index * length) / CELLS));
  return [from, Math.max(from + 1, Math.floor(((index + 1) * length) / CELLS))];
}

// A pixel's place among the cells' middles.
function cellOf(at, length) {
  return Math.min(CELLS - 1, Math.max(0, ((at + 0.5) * CELLS) / length - 0.5));
}

// For each cell the summary of it and its neighbours.
function aroundEach(levels, summary) {
  return levels.map((_, index) => levels.filter((_, other) =>
    Math.abs((other % CELLS) - (index % CELLS)) <= 1
    && Math.abs(Math.floor(other / CELLS) - Math.floor(index / CELLS)) <= 1))
    .map(summary);
}

// The ink of the largest connected piece and of those not much smaller. Pieces at the
// edge of the picture, as lines of the paper are, count where there is nothing else.
function largePieces(ink, isInk, width, height) {
  const pieces = piecesOf(isInk, width, height);
  const inside = pieces.filter((piece) => !piece.touches);
  const chosen = inside.length > 0 ? inside : pieces;
  const largest = Math.max(...chosen.map((piece) => piece.pixels.length));
  const kept = new Uint8ClampedArray(ink.length);
  for (const { pixels } of chosen) {
    if (pixels.length < SPECK * largest) continue;
    for (const at of pixels) {
      for (const near of [at, at - 1, at + 1, at - width, at + width]) {
        if (near >= 0 && near < ink.length) kept[near] = ink[near]; // soft edges too
      }
    }
  }
  return kept;
}

// Connected pieces [{pixels, touches}], by the eight neighbours of a pixel.
function piecesOf(isInk, width, height) {
  const open = Uint8Array.from(isInk);
  const pieces = [];
  for (let start = 0; start < open.length; start++) {
    if (!open[start]) continue;
    const piece = { pixels: [start], touches: false };
    open[start] = 0;
    for (let next = 0; next < piece.pixels.length; next++) {
      const at = piece.pixels[next], x = at % width, y = Math.floor(at / width);
      if (x === 0 || y === 0 || x === width - 1 || y === height - 1) piece.touches = true;
      for (let down = Math.max(0, y - 1); down <= Math.min(height - 1, y + 1); down++) {
        for (let right = Math.max(0, x - 1); right <= Math.min(width - 1, x + 1); right++) {
          const near = down * width + right;
          if (open[near]) { open[near] = 0; piece.pixels.push(near); }
        }
      }
    }
    pieces.push(piece);
  }
  return pieces;
}
