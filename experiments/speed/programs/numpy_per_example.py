"""Backpropagation as the book does it: one example at a time, in float64.

After network.py of Nielsen, "Neural Networks and Deep Learning" (2015), chapter
1: column vectors, weights [out, in], the gradient of each example computed alone
and summed over the mini-batch, then one update. The names are his.
"""

import itertools
import time

import numpy as np

from experiments.speed.worker import Data, OnPart, Part, Task, to_vectors

Arrays = list[np.ndarray]  # one a layer: weights [out, in], biases [out, 1]
Examples = list[tuple[np.ndarray, np.ndarray]]  # x [in, 1], y [out, 1]


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z))."""
    return 1.0 / (1.0 + np.exp(-z))


def sigmoid_prime(z: np.ndarray) -> np.ndarray:
    """The sigmoid's derivative."""
    return sigmoid(z) * (1 - sigmoid(z))


def backprop(
    weights: Arrays, biases: Arrays, x: np.ndarray, y: np.ndarray
) -> tuple[Arrays, Arrays]:
    """The quadratic cost's gradient for one example: BP1 to BP4 of chapter 2."""
    activations, zs = [x], []
    for w, b in zip(weights, biases, strict=True):
        zs.append(w @ activations[-1] + b)
        activations.append(sigmoid(zs[-1]))
    delta = (activations[-1] - y) * sigmoid_prime(zs[-1])
    nabla_w, nabla_b = [delta @ activations[-2].T], [delta]
    for layer in range(len(weights) - 2, -1, -1):
        delta = (weights[layer + 1].T @ delta) * sigmoid_prime(zs[layer])
        nabla_w.insert(0, delta @ activations[layer].T)
        nabla_b.insert(0, delta)
    return nabla_w, nabla_b


def update_mini_batch(
    weights: Arrays, biases: Arrays, mini_batch: Examples, eta: float
) -> tuple[Arrays, Arrays]:
    """One step of gradient descent; the weights and biases after it."""
    nabla_w = [np.zeros(w.shape) for w in weights]
    nabla_b = [np.zeros(b.shape) for b in biases]
    for x, y in mini_batch:
        delta_w, delta_b = backprop(weights, biases, x, y)
        nabla_w = [nw + dnw for nw, dnw in zip(nabla_w, delta_w, strict=True)]
        nabla_b = [nb + dnb for nb, dnb in zip(nabla_b, delta_b, strict=True)]
    rate = eta / len(mini_batch)
    weights = [w - rate * nw for w, nw in zip(weights, nabla_w, strict=True)]
    biases = [b - rate * nb for b, nb in zip(biases, nabla_b, strict=True)]
    return weights, biases


def train_epoch(
    weights: Arrays, biases: Arrays, examples: Examples, order: np.ndarray, task: Task
) -> tuple[Arrays, Arrays]:
    """One pass over the examples in the given order."""
    for first in range(0, len(order), task.batch_size):
        batch = [examples[row] for row in order[first : first + task.batch_size]]
        weights, biases = update_mini_batch(weights, biases, batch, task.learning_rate)
    return weights, biases


def to_examples(data: Data, num_classes: int) -> Examples:
    """Pairs of columns (x, y) in float64, as his loader gives them."""
    columns = to_vectors(data.image).astype(np.float64)[:, :, None]
    return list(zip(columns, np.eye(num_classes)[data.label][:, :, None], strict=True))


def run(task: Task, data: Data, on_part: OnPart) -> None:
    """Train on and on, calling `on_part` after each part."""
    rng, sizes = np.random.default_rng(task.seed), task.layer_sizes
    weights = [rng.standard_normal((y, x)) for x, y in itertools.pairwise(sizes)]
    biases = [rng.standard_normal((y, 1)) for y in sizes[1:]]
    examples = to_examples(data, sizes[-1])

    def predict(images: np.ndarray) -> np.ndarray:
        a = to_vectors(images).T
        for w, b in zip(weights, biases, strict=True):
            a = sigmoid(w @ a + b)
        return a.argmax(axis=0)

    while True:
        began = time.perf_counter()
        for rows in task.parts(rng.permutation(len(examples))):
            weights, biases = train_epoch(weights, biases, examples, rows, task)
            on_part(Part(time.perf_counter() - began, predict))
            began = time.perf_counter()
