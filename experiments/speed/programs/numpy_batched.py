"""Backpropagation in NumPy, float32, a mini-batch at a time.

The straightforward fast version: images scaled once, one matrix product per
layer and direction, weights and activations updated in place.
"""

import itertools
import time
from collections.abc import Iterable, Iterator

import numpy as np

from experiments.speed.task import Data, Epoch, OnEpoch, Task, to_vectors

Layers = list[tuple[np.ndarray, np.ndarray]]  # kernel [in, out], bias [out]
Deltas = Iterable[tuple[int, np.ndarray, np.ndarray]]  # as those of `backward`

B1, B2, EPS = 0.9, 0.999, 1e-7  # Adam's, Keras's defaults
PIECE = 2**16  # elements: 256 KiB of each array, so that a core's own cache holds all


def init(rng: np.random.Generator, task: Task) -> Layers:
    """Each model's own initial distribution, in float32."""
    layers = []
    for num_in, num_out in itertools.pairwise(task.layer_sizes):
        kernel = rng.standard_normal((num_in, num_out), np.float32)
        bias = np.zeros(num_out, np.float32)
        if task.network == "sigmoid_mse":
            bias = rng.standard_normal(num_out, np.float32)  # Nielsen: N(0, 1)
        elif task.network == "relu_softmax":
            kernel *= np.float32(np.sqrt(2 / (num_in + num_out)))
        else:  # Keras: Glorot uniform
            limit = np.sqrt(6 / (num_in + num_out))
            kernel = rng.uniform(-limit, limit, kernel.shape).astype(np.float32)
        layers.append((kernel, bias))
    return layers


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z)), in place."""
    np.negative(z, out=z)
    with np.errstate(over="ignore"):  # exp(89) is infinite, and 1 / inf is right
        np.exp(z, out=z)
    z += 1
    return np.reciprocal(z, out=z)


def forward(layers: Layers, vectors: np.ndarray, *, sigmoids: bool) -> list[np.ndarray]:
    """All activations, the input's first; the last are sigmoids or logits."""
    activations = [vectors]
    for place, (kernel, bias) in enumerate(layers, start=1):
        z = activations[-1] @ kernel
        z += bias
        if sigmoids:
            sigmoid(z)
        elif place < len(layers):
            np.maximum(z, 0, out=z)
        activations.append(z)
    return activations


def _output_delta(output: np.ndarray, targets: np.ndarray, sigmoids: bool):
    """The cost's derivative by the last layer's weighted input, in place."""
    if sigmoids:  # (a - y) a (1 - a), Nielsen's BP1 for the quadratic cost
        slope = output * (1 - output)
        output -= targets
        output *= slope
        return output
    output -= output.max(axis=1, keepdims=True)
    np.exp(output, out=output)
    output /= output.sum(axis=1, keepdims=True)
    output -= targets  # softmax minus one-hot
    return output


def backward(
    layers: Layers,
    vectors: np.ndarray,
    targets: np.ndarray,
    scale: float,
    *,
    sigmoids: bool,
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Backpropagation: vectors float32 [B, in], targets float32 [B, out].

    Yields each layer's place, its inputs [B, in] and its deltas [B, out], times
    `scale`, the last layer first. A layer may change once it has been yielded.
    """
    *activations, output = forward(layers, vectors, sigmoids=sigmoids)
    delta = _output_delta(output, targets, sigmoids)
    delta *= np.float32(scale)  # the smallest array to scale
    for place in reversed(range(len(layers))):
        inputs = activations[place]
        before = delta
        if place:
            delta = delta @ layers[place][0].T
            delta *= inputs * (1 - inputs) if sigmoids else inputs > 0
        yield place, inputs, before


class Sgd:
    """Plain gradient descent, in place; the deltas bring the learning rate along."""

    def __init__(self, layers: Layers, learning_rate: float) -> None:
        self._layers = layers
        self.scale = learning_rate

    def step(self, deltas: Deltas) -> None:
        """One update of the layers."""
        for place, inputs, delta in deltas:
            kernel, bias = self._layers[place]
            kernel -= inputs.T @ delta
            bias -= delta.sum(axis=0)


class Adam:
    """Adam in Keras's form, in place; gradients go into arrays made once."""

    scale = 1.0  # of the deltas

    def __init__(self, layers: Layers, learning_rate: float) -> None:
        self._layers = layers
        self._rate = learning_rate
        self._steps = 0
        self._grads = [tuple(map(np.empty_like, layer)) for layer in layers]
        self._moments = [
            [np.zeros((2, array.size), np.float32) for array in layer]
            for layer in layers
        ]

    def step(self, deltas: Deltas) -> None:
        """One update of the layers."""
        self._steps += 1
        for place, inputs, delta in deltas:
            kernel_grad, bias_grad = self._grads[place]
            np.matmul(inputs.T, delta, out=kernel_grad)
            np.sum(delta, axis=0, out=bias_grad)
            arrays = (self._layers[place], self._grads[place], self._moments[place])
            for weights, grads, moments in zip(*arrays, strict=True):
                flat, flat_grads = weights.reshape(-1), grads.reshape(-1)  # views
                adam(flat, flat_grads, moments, self._rate, self._steps)


def adam(
    weights: np.ndarray,
    grads: np.ndarray,
    moments: np.ndarray,
    learning_rate: float,
    step: int,
) -> None:
    """Adam's update of float32 [n] arrays, a piece after the other.

    weights -= rate * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + eps), the order
    of computation at the end of section 2 of Kingma and Ba (2015), as in Keras.

    Args:
      weights: changed in place.
      grads: the gradient; it is overwritten.
      moments: float32 [2, n], changed in place: m / (1 - b1) and v / (1 - b2). So
        scaled, a moment takes in a gradient by a product and a sum; the factors go
        into the step's one number.
      learning_rate: Adam's.
      step: t, 1 for the first.
    """
    root = np.sqrt(1 - B2)
    rate = learning_rate * np.sqrt(1 - B2**step) / (1 - B1**step)
    factor, eps = np.float32(rate * (1 - B1) / root), np.float32(EPS / root)
    for first in range(0, len(weights), PIECE):
        piece = slice(first, first + PIECE)
        grad, (mean, square) = grads[piece], moments[:, piece]
        mean *= np.float32(B1)
        mean += grad
        np.multiply(grad, grad, out=grad)
        square *= np.float32(B2)
        square += grad
        np.sqrt(square, out=grad)
        grad += eps
        np.divide(mean, grad, out=grad)
        grad *= factor
        weights[piece] -= grad


UPDATES: dict[str, type[Sgd] | type[Adam]] = {"sgd": Sgd, "adam": Adam}


def train_epoch(
    layers: Layers,
    update: Sgd | Adam,
    vectors: np.ndarray,
    targets: np.ndarray,
    order: np.ndarray,
    *,
    task: Task,
) -> None:
    """One pass in the given order; the last batch may be short."""
    sigmoids = task.network == "sigmoid_mse"
    for first in range(0, len(order), task.batch_size):
        rows = order[first : first + task.batch_size]
        scale = update.scale / len(rows)
        batch = vectors[rows], targets[rows]
        update.step(backward(layers, *batch, scale, sigmoids=sigmoids))


def run(task: Task, data: Data, on_epoch: OnEpoch) -> None:
    """Train, calling `on_epoch` after each epoch."""
    rng = np.random.default_rng(task.seed)
    layers = init(rng, task)
    vectors = to_vectors(data.image)
    targets = np.eye(task.layer_sizes[-1], dtype=np.float32)[data.label]  # one-hot

    def predict(images: np.ndarray) -> np.ndarray:
        sigmoids = task.network == "sigmoid_mse"
        return forward(layers, to_vectors(images), sigmoids=sigmoids)[-1].argmax(axis=1)

    update = UPDATES[task.optimizer](layers, task.learning_rate)
    last = task.part_steps and task.part_steps * task.batch_size  # None: all
    for _ in range(task.num_epochs):
        began = time.perf_counter()
        order = rng.permutation(len(vectors))[:last]
        shuffled = time.perf_counter()
        train_epoch(layers, update, vectors, targets, order, task=task)
        ended = time.perf_counter()
        on_epoch(Epoch(ended - began, predict, fixed_seconds=shuffled - began))
