// What the networks answer: bars side by side, a verdict, neurons that light up.

const COUNTS = ["No", "The", "Both", "All three", "All four", "All five", "All six"];
const MOST_TILES = 60;

// An element with properties, data of its style (--name) and children.
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("--")) element.style.setProperty(name, value);
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function inWords(names) {
  return names.length < 2
    ? names.join("")
    : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

// In per cent, for people: neither sure nor impossible where it is not.
function percent(share) {
  if (share >= 0.995) return ">99";
  return share < 0.005 ? "" : String(Math.round(100 * share));
}

// A table with a row a class and a column a network; returns how to show answers in it,
// the class that most of them give, and the true one where it is known.
function makeBars(table, networks, labels) {
  const isLong = labels.some((label) => label.length > 2);
  table.classList.toggle("long", isLong);
  if (isLong) table.style.setProperty("--label-width", "4.5rem");
  table.append(make("caption", { className: "hidden", textContent:
    "Probabilities in per cent: a row a class, a column a network" }));
  const columns = networks.map((network) => {
    const answer = make("span", { className: "answer", textContent: "–" });
    const remark = make("span", { className: "remark" });
    const sizes = make("span", { className: "sizes", textContent: network.sizes });
    const about = make("span", { className: "about" }, sizes, network.accuracy ?? "");
    const name = make("span", { className: "network", "--color": network.color });
    for (const part of network.name.split(/(?<=_)/)) name.append(part, make("wbr"));
    const head = make("th", { scope: "col" }, name, about, answer, remark);
    return { answer, remark, head };
  });
  table.append(
    make("colgroup", {}, make("col"), ...networks.map(() => make("col"))),
    make("thead", {}, make("tr", {}, make("td"), ...columns.map(({ head }) => head))));
  const cells = labels.map((label) => networks.map(({ color }) => {
    const bar = make("span", { className: "bar", "--color": color });
    const share = make("span", { className: "share" });
    const cell = make("td", {}, make("div", { className: "cell" },
      make("div", { className: "track" }, bar), share));
    return { cell, bar, share };
  }));
  table.append(make("tbody", {}, ...labels.map((label, row) => make("tr", {},
    make("th", { scope: "row", textContent: label, title: label }),
    ...cells[row].map(({ cell }) => cell)))));

  return function showBars(answers, common, truth) {
    networks.forEach((network, column) => {
      const result = answers && answers[column];
      const { head, answer, remark } = columns[column];
      const differs = Boolean(result) && result.label !== common;
      head.classList.toggle("differs", differs);
      answer.textContent = result ? labels[result.label] : "–";
      const isRight = result && result.label === truth ? "right" : "wrong";
      const judgement = truth === undefined ? differs && "differs" : result && isRight;
      remark.textContent = [network.isUntrained && "untrained", judgement]
        .filter(Boolean).join(", ");
      labels.forEach((_, row) => {
        const { cell, bar, share } = cells[row][column];
        const probability = result ? result.probability[row] : 0;
        cell.classList.toggle("top", Boolean(result) && result.label === row);
        bar.style.setProperty("--share", probability.toFixed(4));
        share.textContent = result ? percent(probability) : "";
      });
    });
  };
}

// The class that more networks answer than any other; null where there is none.
function commonAnswer(answers) {
  const counts = new Map();
  for (const { label } of answers) counts.set(label, (counts.get(label) ?? 0) + 1);
  const most = Math.max(...counts.values());
  const leaders = [...counts.keys()].filter((label) => counts.get(label) === most);
  return leaders.length === 1 ? leaders[0] : null;
}

// The verdict's parts: who answers what, [label, names], the largest group first.
function groupsOf(networks, answers) {
  const groups = new Map();
  answers.forEach(({ label }, index) => {
    groups.set(label, [...(groups.get(label) ?? []), networks[index].name]);
  });
  return [...groups].sort((a, b) => b[1].length - a[1].length);
}

// Write the verdict where it has changed, since screen readers read each change aloud.
function showVerdict(place, networks, labels, answers) {
  const bold = (text) => make("b", { textContent: text });
  const words = [];
  let agreement = "none";
  if (!answers) {
    words.push("Draw with mouse, pen or finger, or choose a test image below.");
  } else {
    const groups = groupsOf(networks, answers);
    agreement = groups.length > 1 ? "differ" : "agree";
    if (groups.length > 1) {
      words.push("They disagree: ");
      groups.forEach(([label, names], index) => {
        words.push(index ? "; " : "", bold(labels[label]), ` by ${inWords(names)}`);
      });
      words.push(".");
    } else if (networks.length === 1) {
      words.push(`${networks[0].name} answers `, bold(labels[groups[0][0]]), ".");
    } else {
      const count = COUNTS[networks.length] ?? `All ${networks.length}`;
      words.push(`${count} networks answer `, bold(labels[groups[0][0]]), ".");
    }
  }
  const text = make("p", {}, ...words).textContent;
  if (place.textContent !== text) {
    place.className = agreement;
    place.replaceChildren(...words);
  }
}

// First-layer weights as small images; returns how to light them up.
function makeTiles(place, network, columns, rows, labels) {
  const tiles = [];
  const layers = network.isUntrained ? network.untrained : network.trained;
  const { kernel, bias } = layers[0];
  const count = Math.min(bias.length, MOST_TILES);
  const sizes = kernel.map(Math.abs).sort();
  const limit = sizes[Math.floor(0.995 * (sizes.length - 1))] || 1;
  for (let neuron = 0; neuron < count; neuron++) {
    const canvas = make("canvas", { width: columns, height: rows });
    const image = new ImageData(columns, rows);
    for (let at = 0; at < columns * rows; at++) {
      const weight = kernel[at * bias.length + neuron] / limit;
      const color = weight > 0 ? [213, 94, 0] : [0, 114, 178];
      image.data.set([...color, Math.min(255, 255 * Math.abs(weight))], 4 * at);
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    const caption = layers.length === 1 ? [make("p", { textContent: labels[neuron] })] : [];
    tiles.push(make("div", { className: "tile" }, canvas, make("span"), ...caption));
  }
  place.replaceChildren(...tiles);

  function light(activations) {
    tiles.forEach((tile, neuron) => {
      const activation = activations ? activations[neuron] : 0;
      tile.style.setProperty("--on", activation.toFixed(3));
    });
  }
  return { light, limit, count };
}
