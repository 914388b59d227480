// The networks, as jaxnets defines them, from the weights in this page.

const SMALLEST = 1.1754943508222875e-38; // of float32's normal numbers

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

// Little-endian float16 or float32 numbers as Float32Array.
function numbersOf(base64, precision) {
  const view = new DataView(bytesOf(base64).buffer);
  const size = precision === "float16" ? 2 : 4;
  const numbers = new Float32Array(view.byteLength / size);
  for (let index = 0; index < numbers.length; index++) {
    numbers[index] = size === 4
      ? view.getFloat32(4 * index, true)
      : fromHalf(view.getUint16(2 * index, true));
  }
  return numbers;
}

// A float16 by its bits: a sign, 5 bits of exponent, 10 of fraction.
function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

// Layers [{kernel, bias}] whose kernels have the shapes [in, out].
function layersOf(base64, shapes, precision) {
  const numbers = numbersOf(base64, precision);
  let start = 0;
  return shapes.map(([inputs, outputs]) => {
    const kernel = numbers.subarray(start, start + inputs * outputs);
    const bias = numbers.subarray(start + kernel.length, start + kernel.length + outputs);
    start += kernel.length + outputs;
    return { kernel, bias };
  });
}

// inputs @ kernel + bias; paper, whose inputs are 0, costs nothing.
function dense(inputs, { kernel, bias }) {
  const sums = Float64Array.from(bias);
  const size = sums.length;
  for (let input = 0; input < inputs.length; input++) {
    const value = inputs[input];
    if (value === 0) continue;
    const start = input * size;
    for (let output = 0; output < size; output++) {
      sums[output] += value * kernel[start + output];
    }
  }
  return sums;
}

const sigmoid = (value) => 1 / (1 + Math.exp(-value));
const relu = (value) => Math.max(0, value);

function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - largest));
  const total = powers.reduce((sum, power) => sum + power);
  return powers.map((power) => power / total);
}

// Activations that share out their sum; where all vanish, all are alike.
function shares(activations) {
  const total = activations.reduce((sum, activation) => sum + activation);
  if (total < SMALLEST) return activations.map(() => 1 / activations.length);
  return activations.map((activation) => activation / total);
}

// From inputs [rows * columns] to {label, probability, first}: the class, all
// probabilities, and the first layer's activations where they are shown.
const FORWARD = {
  sigmoid(layers, inputs) { // jaxnets/sigmoid_mse.py
    const activations = layers.reduce(
      (lists, layer) => [...lists, dense(lists.at(-1), layer).map(sigmoid)], [inputs]);
    // In float32 the smallest are 0, and the first of equal ones is the answer.
    const outputs = activations.at(-1).map(Math.fround);
    return answer(outputs, shares(outputs), activations[1]);
  },
  softmax(layers, inputs) { // jaxnets/relu_softmax.py, flax_dense.py, keras_dense.py
    let activations = inputs;
    for (const layer of layers.slice(0, -1)) {
      activations = dense(activations, layer).map(relu);
    }
    const logits = dense(activations, layers.at(-1));
    return answer(logits, softmax(logits));
  },
  rows(layers, inputs, columns) { // jaxnets/row_rnn.py
    let rows = [];
    for (let start = 0; start < inputs.length; start += columns) {
      rows.push(inputs.subarray(start, start + columns));
    }
    for (const layer of layers.slice(0, -1)) {
      let state = new Float64Array(layer.bias.length);
      rows = rows.map((row) => {
        const both = new Float64Array(row.length + state.length);
        both.set(row);
        both.set(state, row.length);
        state = dense(both, layer).map(relu);
        return state;
      });
    }
    const logits = dense(rows.at(-1), layers.at(-1));
    return answer(logits, softmax(logits));
  },
};

function answer(outputs, probability, first = null) {
  return { label: outputs.indexOf(Math.max(...outputs)), probability, first };
}

// What the page's data says of a network, with its weights read.
function readNetwork(record, precision) {
  const read = (text) => text && layersOf(text, record.shapes, precision);
  return {
    ...record,
    weights: undefined,
    trained: read(record.weights),
    untrained: read(record.untrained),
  };
}
