"""Backpropagation in NumPy, float32, a mini-batch at a time.

The straightforward fast version: images scaled once, one matrix product per layer and
direction, everything updated in place, in arrays that are made once.
"""

import itertools
import time

import numpy as np

from experiments.speed.worker import Data, OnPart, Part, Task, to_vectors

Layers = list[tuple[np.ndarray, np.ndarray]]  # kernel [in, out], bias [out]

B1, B2, EPS = 0.9, 0.999, 1e-7  # Adam's, Keras's defaults
# Moments below this, which move no weight, become 0 now and then: they would end as
# denormal numbers, with which a processor takes many times as long.
NEGLIGIBLE, CLEARING = 1e-30, 100  # in so many steps a mean falls to 1e-35 at least
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


class Network:
    """The layers, and what changes them."""

    def __init__(self, layers: Layers, task: Task) -> None:
        self.layers = layers
        self._task = task
        self._sigmoids = task.network == "sigmoid_mse"
        self._steps = 0
        self._grads = [tuple(map(np.empty_like, layer)) for layer in layers]
        self._moments = [
            [np.zeros((2, array.size), np.float32) for array in layer]
            for layer in layers
        ]

    def forward(self, vectors: np.ndarray) -> list[np.ndarray]:
        """All activations, the input's first; the last are sigmoids or logits."""
        activations = [vectors]
        for place, (kernel, bias) in enumerate(self.layers, start=1):
            z = activations[-1] @ kernel
            z += bias
            if self._sigmoids:  # 1 / (1 + exp(-z))
                np.negative(z, out=z)
                with np.errstate(over="ignore"):  # exp(89) is infinite, 1 / inf right
                    np.exp(z, out=z)
                z += 1
                np.reciprocal(z, out=z)
            elif place < len(self.layers):
                np.maximum(z, 0, out=z)
            activations.append(z)
        return activations

    def train_step(self, vectors: np.ndarray, targets: np.ndarray) -> None:
        """Backpropagate vectors float32 [B, in] and targets [B, out], and update."""
        *activations, delta = self.forward(vectors)
        if self._sigmoids:  # (a - y) a (1 - a), Nielsen's BP1 for the quadratic cost
            slope = delta * (1 - delta)
            delta -= targets
            delta *= slope
        else:  # softmax minus one-hot
            delta -= delta.max(axis=1, keepdims=True)
            np.exp(delta, out=delta)
            delta /= delta.sum(axis=1, keepdims=True)
            delta -= targets
        rate, is_adam = self._task.learning_rate, self._task.optimizer == "adam"
        # Mean and SGD's rate: this is the smallest array to scale.
        delta *= np.float32((1 if is_adam else rate) / len(vectors))
        self._steps += 1
        for place in reversed(range(len(self.layers))):
            layer, grads, inputs = (
                self.layers[place],
                self._grads[place],
                activations[place],
            )
            np.matmul(inputs.T, delta, out=grads[0])
            np.sum(delta, axis=0, out=grads[1])
            if place:
                delta = delta @ layer[0].T
                delta *= inputs * (1 - inputs) if self._sigmoids else inputs > 0
            for array, grad, moments in zip(
                layer, grads, self._moments[place], strict=True
            ):
                if is_adam:  # of views
                    adam(
                        array.reshape(-1), grad.reshape(-1), moments, rate, self._steps
                    )
                else:
                    np.subtract(array, grad, out=array)

    def train_epoch(
        self, vectors: np.ndarray, targets: np.ndarray, order: np.ndarray
    ) -> None:
        """One pass in the given order; the last batch may be short."""
        for first in range(0, len(order), self._task.batch_size):
            rows = order[first : first + self._task.batch_size]
            self.train_step(vectors[rows], targets[rows])


def adam(
    weights: np.ndarray,
    grads: np.ndarray,
    moments: np.ndarray,
    learning_rate: float,
    step: int,
) -> None:
    """Adam's update of float32 [n] arrays in place, a piece after the other.

    weights -= rate * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + eps), the order
    of computation at the end of section 2 of Kingma and Ba (2015), as in Keras.

    `grads` is overwritten. `moments`, float32 [2, n], are m / (1 - b1) and
    v / (1 - b2): so scaled, a moment takes in a gradient by a product and a sum, and
    the factors go into the step's one number. `step` is t, 1 for the first.
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
        if step % CLEARING == 0:
            moments[:, piece][np.abs(moments[:, piece]) < NEGLIGIBLE] = 0
        np.sqrt(square, out=grad)
        grad += eps
        np.divide(mean, grad, out=grad)
        grad *= factor
        weights[piece] -= grad


def run(task: Task, data: Data, on_part: OnPart) -> None:
    """Train on and on, calling `on_part` after each part."""
    rng = np.random.default_rng(task.seed)
    network = Network(init(rng, task), task)
    vectors = to_vectors(data.image)
    targets = np.eye(task.layer_sizes[-1], dtype=np.float32)[data.label]  # one-hot

    def predict(images: np.ndarray) -> np.ndarray:
        return network.forward(to_vectors(images))[-1].argmax(axis=1)

    while True:
        began = time.perf_counter()
        for rows in task.parts(rng.permutation(len(vectors))):
            network.train_epoch(vectors, targets, rows)
            on_part(Part(time.perf_counter() - began, predict))
            began = time.perf_counter()
