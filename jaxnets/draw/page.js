// The page: what is drawn, chosen, dropped or pressed, and what is shown of it.

const data = JSON.parse(document.getElementById("data").textContent);
const [rows, columns] = data.shape;
const { labels, precision } = data;
const networks = data.networks.map((record) => readNetwork(record, precision));
const byId = (id) => document.getElementById(id);
const paper = new Paper(byId("paper"), columns, rows);
const showBars = makeBars(byId("bars"), networks, labels);
const glowing = networks.find(({ kind }) => kind === "sigmoid");
let tiles = null; // first-layer weights of `glowing`
let stroke = null; // that is being drawn, and by which pointer
let waiting = false; // for the screen's next frame
let seen = null; // the networks' image, bytes [rows * columns]; null of empty paper
let answers = null; // [{label, probability, first}], in the networks' order

function preparedImage() {
  const ink = paper.ink();
  const { width, height } = paper.canvas;
  if (inkBox(ink, width, height) === null) return null;
  const image = byId("centre").checked && !paper.isPrepared()
    ? centred(ink, width, height, columns, rows, data.fit)
    : shrunk(ink, width, height, columns, rows);
  return byId("inverted").checked ? image.map((value) => 255 - value) : image;
}

// Every network's answer to an image of bytes.
function answersTo(image) {
  const white = byId("raw").checked ? 1 : 255;
  const inputs = Float32Array.from(image, (value) => value / white);
  return networks.map(({ kind, trained, untrained, isUntrained }) =>
    FORWARD[kind](isUntrained ? untrained : trained, inputs, columns));
}

function update() {
  waiting = false;
  paper.paint();
  seen = preparedImage();
  answers = seen && answersTo(seen);
  paintGrey(byId("seen"), seen ?? new Uint8Array(rows * columns), columns, rows);
  const sample = paper.drawing.picture?.sample;
  showBars(answers, answers && commonAnswer(answers), sample?.label);
  showVerdict(byId("verdict"), networks, labels, answers);
  byId("truth").textContent = sample
    ? `Test image ${sample.number} is labelled ${labels[sample.label]}.` : "";
  byId("undo").disabled = paper.earlier.length === 0;
  byId("clear").disabled = paper.isEmpty();
  for (const button of document.querySelectorAll(".thumbs button")) {
    const isShown = Boolean(sample) && Number(button.dataset.number) === sample.number;
    button.setAttribute("aria-pressed", isShown);
  }
  if (tiles) showTiles();
}

function showTiles() {
  const first = answers && answers[networks.indexOf(glowing)].first;
  tiles.light(first);
  const on = first ? Array.from(first).filter((activation) => activation > 0.5).length : 0;
  byId("neurons-now").textContent = first
    ? `${on} of ${first.length} are above one half now.` : "";
}

// Update with the screen's next frame, however many events come before it.
function schedule() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(update);
}

function say(message) {
  byId("message").textContent = message;
}

function change(action) {
  say("");
  action();
  schedule();
}

// Put bytes [rows * columns] on the paper, as test images are stored.
function putImage(bytes, sample = null) {
  const picture = { canvas: canvasOfInk(bytes, columns, rows), prepared: true, sample };
  change(() => paper.change({ ...EMPTY, picture }));
}

async function putFile(file) {
  try {
    const picture = await readPicture(file, columns, rows);
    change(() => paper.change({ ...EMPTY, picture }));
  } catch (error) {
    say(error.message);
  }
}

function listenToPointer() {
  const { canvas } = paper;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || stroke !== null) return;
    canvas.setPointerCapture(event.pointerId);
    const width = Number(byId("pen").value) * (Math.max(columns, rows) / 28);
    change(() => {
      stroke = { id: event.pointerId, line: paper.begin(width, paper.pointOf(event)) };
    });
  });
  canvas.addEventListener("pointermove", (event) => {
    if (stroke === null || event.pointerId !== stroke.id) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length > 0 ? events : [event]) {
      paper.extend(stroke.line, paper.pointOf(each));
    }
    schedule();
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => {
      if (stroke !== null && event.pointerId === stroke.id) stroke = null;
    });
  }
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("select, input:not([type=checkbox])") || stroke) return;
    const { key } = event;
    const isCommand = event.ctrlKey || event.metaKey;
    if (isCommand ? key.toLowerCase() === "z" : key === "Backspace") {
      change(() => paper.undo());
    } else if (isCommand || event.altKey) {
      return;
    } else if (key === "Escape") {
      change(() => paper.clear());
    } else if (key in ARROWS && event.target === paper.canvas && !paper.isEmpty()) {
      change(() => paper.move(...ARROWS[key]));
    } else {
      const example = document.querySelector(`.example[data-key="${CSS.escape(key.toLowerCase())}"]`);
      if (example === null) return;
      example.click();
    }
    event.preventDefault();
  });
}

function listenToFiles() {
  byId("file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    if (file) putFile(file);
    event.target.value = ""; // so that the same file can be chosen again
  });
  document.addEventListener("paste", (event) => {
    const [file] = event.clipboardData.files;
    if (file) putFile(file);
  });
  const mark = (isOver) => document.body.classList.toggle("dropping", isOver);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(true);
  });
  document.addEventListener("dragleave", () => mark(false));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    const [file] = event.dataTransfer.files;
    if (file) putFile(file);
    else say("What was dropped is no file.");
  });
}

// Test images as buttons, a group after the other.
function makeSamples() {
  for (const group of data.samples) {
    const bytes = bytesOf(group.images);
    const size = rows * columns;
    const buttons = group.numbers.map((number, index) => {
      const image = bytes.subarray(index * size, (index + 1) * size);
      const sample = { number, label: group.labels[index] };
      const name = labels[sample.label];
      const canvas = make("canvas", {});
      paintGrey(canvas, image, columns, rows);
      const button = make("button", {
        type: "button",
        "aria-label": `Test image ${number}, labelled ${name}`,
        "data-number": number,
      }, canvas, name);
      if (group.keys) {
        button.classList.add("example");
        button.dataset.key = name.toLowerCase();
      }
      button.addEventListener("click", () => putImage(image, sample));
      return button;
    });
    byId("samples").append(make("div", { className: "group" },
      make("h2", { textContent: group.title }), make("p", { textContent: group.note }),
      make("div", { className: "thumbs" }, ...buttons)));
  }
  byId("samples").hidden = data.samples.length === 0;
}

function listenToChanges() {
  for (const id of ["centre", "inverted", "raw"]) {
    byId(id).addEventListener("change", schedule);
  }
  const candidates = networks.filter(({ untrained }) => untrained);
  byId("untrained-label").hidden = candidates.length === 0;
  byId("untrained").append(make("option", { value: "", textContent: "No network" }),
    ...candidates.map(({ name }) => make("option", { value: name, textContent: name })));
  byId("untrained").addEventListener("change", (event) => {
    for (const network of networks) network.isUntrained = network.name === event.target.value;
    showNeurons();
    schedule();
  });
}

function showNeurons() {
  if (!glowing) return;
  tiles = makeTiles(byId("tiles"), glowing, columns, rows, labels);
  const shown = glowing.trained[0].bias.length;
  const which = tiles.count < shown ? `The first ${tiles.count} of ${shown} neurons` : "Neurons";
  byId("neurons").hidden = false;
  byId("neurons-title").textContent = `What the neurons of ${glowing.name} look for`;
  byId("neurons-note").replaceChildren(
    `${which} of its first layer, as images of their weights: ink on orange excites, ink `
    + `on blue inhibits, full colour is ±${tiles.limit.toPrecision(2)}. A neuron lights `
    + "up with its activation. ", make("span", { id: "neurons-now" }));
}

function chooseTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const button = byId("theme");
  const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  const name = () => { button.textContent = isDark() ? "Light" : "Dark"; };
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    name();
  });
  dark.addEventListener("change", name);
  name();
}

function fillInWords() {
  document.title = data.title;
  byId("title").textContent = data.title;
  byId("lead").textContent = data.lead;
  byId("facts").textContent = data.facts;
  byId("size").textContent = `${columns} × ${rows} pixels, as the networks see them`;
  byId("pen").value = data.pen;
  byId("centre-note").textContent = `The ink fits into ${data.fit} × ${data.fit} pixels, its `
    + "centre of mass in the middle. Test images are left as they are.";
  byId("untrained-note").textContent = `Its random weights before training, seed ${data.seed}.`;
  const keys = [...document.querySelectorAll(".example")]
    .map((button) => button.dataset.key).filter((key) => key.length === 1);
  byId("label-keys").hidden = keys.length === 0;
  byId("label-keys").append(make("kbd", { textContent: keys[0] }), " to ",
    make("kbd", { textContent: keys.at(-1) }), " an example");
}

makeSamples();
fillInWords();
chooseTheme();
listenToChanges();
listenToPointer();
listenToKeys();
listenToFiles();
byId("undo").addEventListener("click", () => change(() => paper.undo()));
byId("clear").addEventListener("click", () => change(() => paper.clear()));
showNeurons();
update();
