"""Backpropagation in NumPy, float32, a mini-batch at a time.

The straightforward fast version: images scaled once, one matrix product per
layer and direction, weights and activations updated in place.
"""

import itertools
import time
from collections.abc import Iterator

import numpy as np

from experiments.speed.contenders.numpy_updates import UPDATES, Adam, Layers, Sgd
from experiments.speed.contenders.task import Data, Epoch, OnEpoch, Task, to_vectors


def init(rng: np.random.Generator, task: Task) -> Layers:
    """Each model's own initial distribution, in float32."""
    layers = []
    for num_in, num_out in itertools.pairwise(task.layer_sizes):
        kernel = rng.standard_normal((num_in, num_out), np.float32)
        bias = np.zeros(num_out, np.float32)
        if task.model == "sigmoid_mse":
            bias = rng.standard_normal(num_out, np.float32)  # Nielsen: N(0, 1)
        elif task.model == "relu_softmax":
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
    sigmoids = task.model == "sigmoid_mse"
    for first in range(0, len(order), task.batch_size):
        rows = order[first : first + task.batch_size]
        scale = update.scale / len(rows)
        batch = vectors[rows], targets[rows]
        update.step(backward(layers, *batch, scale, sigmoids=sigmoids))


def one_hot(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Labels int [B] to float32 [B, classes]."""
    return np.eye(num_classes, dtype=np.float32)[labels]


def run(task: Task, data: Data, on_epoch: OnEpoch) -> None:
    """Train; see `contenders.task` for what is handed over."""
    rng = np.random.default_rng(task.seed)
    layers = init(rng, task)
    vectors = to_vectors(data.image)
    targets = one_hot(data.label, task.layer_sizes[-1])

    def predict(images: np.ndarray) -> np.ndarray:
        sigmoids = task.model == "sigmoid_mse"
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
