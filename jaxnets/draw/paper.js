// The paper: a drawing of strokes, with a picture below them or none.

// Lengths are in pixels of the networks' image. A drawing does not change, but for the
// stroke that is being drawn: undo goes back to the one before.
const EMPTY = { picture: null, strokes: [], moved: [0, 0] };
const LONGEST_SIDE = 560; // of the paper, in its own pixels

class Paper {
  constructor(canvas, columns, rows) {
    this.scale = Math.max(1, Math.round(LONGEST_SIDE / Math.max(columns, rows)));
    canvas.width = columns * this.scale;
    canvas.height = rows * this.scale;
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.columns = columns;
    this.rows = rows;
    this.drawing = EMPTY;
    this.earlier = [];
  }

  change(changes) {
    this.earlier.push(this.drawing);
    this.drawing = { ...this.drawing, ...changes };
  }

  undo() {
    if (this.earlier.length > 0) this.drawing = this.earlier.pop();
  }

  clear() {
    if (!this.isEmpty()) this.change(EMPTY);
  }

  isEmpty() {
    return this.drawing.picture === null && this.drawing.strokes.length === 0;
  }

  move(x, y) {
    const [left, top] = this.drawing.moved;
    this.change({ moved: [left + x, top + y] });
  }

  // Begin a stroke of such a width, to which points are added.
  begin(width, point) {
    const stroke = { width, points: [this.fixed(point)] };
    this.change({ strokes: [...this.drawing.strokes, stroke] });
    return stroke;
  }

  extend(stroke, point) {
    stroke.points.push(this.fixed(point));
  }

  // A point of the paper as one of the drawing, which may have been moved.
  fixed([x, y]) {
    return [x - this.drawing.moved[0], y - this.drawing.moved[1]];
  }

  // Where a pointer is on the paper.
  pointOf(event) {
    const box = this.canvas.getBoundingClientRect();
    return [
      ((event.clientX - box.left) / box.width) * this.columns,
      ((event.clientY - box.top) / box.height) * this.rows,
    ];
  }

  // Whether the paper shows an image of the networks' own size, as it was stored.
  isPrepared() {
    const { picture, moved } = this.drawing;
    return picture !== null && picture.prepared && moved[0] === 0 && moved[1] === 0;
  }

  paint() {
    const { context, canvas, scale } = this;
    const { picture, strokes, moved } = this.drawing;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(scale, 0, 0, scale, moved[0] * scale, moved[1] * scale);
    if (picture !== null) {
      context.imageSmoothingEnabled = !picture.prepared;
      context.imageSmoothingQuality = "high";
      const { width, height } = picture.canvas;
      const size = Math.min(this.columns / width, this.rows / height);
      const left = (this.columns - width * size) / 2;
      const top = (this.rows - height * size) / 2;
      context.drawImage(picture.canvas, left, top, width * size, height * size);
    }
    context.lineCap = context.lineJoin = "round";
    context.strokeStyle = context.fillStyle = "#fff";
    for (const stroke of strokes) this.paintStroke(stroke);
  }

  // A smooth line, through the middles between its points.
  paintStroke({ width, points }) {
    const { context } = this;
    const [first, ...others] = points;
    context.beginPath();
    if (others.length === 0) {
      context.arc(...first, width / 2, 0, 2 * Math.PI);
      context.fill();
      return;
    }
    context.lineWidth = width;
    context.moveTo(...first);
    others.forEach(([x, y], index) => {
      const next = others[index + 1];
      if (next) context.quadraticCurveTo(x, y, (x + next[0]) / 2, (y + next[1]) / 2);
      else context.lineTo(x, y);
    });
    context.stroke();
  }

  // What is on the paper: how opaque it is.
  ink() {
    const { width, height } = this.canvas;
    const pixels = this.context.getImageData(0, 0, width, height).data;
    const ink = new Uint8ClampedArray(width * height);
    for (let at = 0; at < ink.length; at++) ink[at] = pixels[4 * at + 3];
    return ink;
  }
}

// Ink [height * width] as a canvas that is as opaque as there is ink.
function canvasOfInk(ink, width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const image = new ImageData(width, height);
  ink.forEach((value, at) => image.data.set([255, 255, 255, value], 4 * at));
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

// An image of bytes in grey, 0 black and 255 white.
function paintGrey(canvas, bytes, columns, rows) {
  Object.assign(canvas, { width: columns, height: rows });
  const image = new ImageData(columns, rows);
  bytes.forEach((value, at) => image.data.set([value, value, value, 255], 4 * at));
  canvas.getContext("2d").putImageData(image, 0, 0);
}
