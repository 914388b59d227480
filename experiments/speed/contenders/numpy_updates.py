"""What batched NumPy does with its gradients, in place: plain descent, or Adam."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

Layers = list[tuple[np.ndarray, np.ndarray]]  # kernel [in, out], bias [out]
Deltas = Iterable[tuple[int, np.ndarray, np.ndarray]]  # as `numpy_batched.backward`'s

B1, B2, EPS = 0.9, 0.999, 1e-7  # Adam's, Keras's defaults
PIECE = 2**16  # elements: 256 KiB of each array, so that a core's own cache holds all


class Sgd:
    """Plain gradient descent; the deltas bring the learning rate along."""

    def __init__(self, layers: Layers, learning_rate: float) -> None:
        self._layers = layers
        self.scale = learning_rate

    def step(self, deltas: Deltas) -> None:
        """One update of the layers."""
        for place, inputs, delta in deltas:
            kernel, bias = self._layers[place]
            kernel -= inputs.T @ delta
            bias -= delta.sum(axis=0)


class Moments(NamedTuple):
    """State of one flat array, divided by (1 - b1) and by (1 - b2).

    So scaled, a moment takes in a gradient by a product and a sum; the factors go
    into the step's one number.
    """

    mean: np.ndarray  # float32 [n], sum of b1^age * gradient
    square: np.ndarray  # float32 [n], sum of b2^age * gradient^2


class Adam:
    """Adam in Keras's form; gradients go into arrays made once."""

    scale = 1.0  # of the deltas

    def __init__(self, layers: Layers, learning_rate: float) -> None:
        self._layers = layers
        self._rate = learning_rate
        self._steps = 0
        self._grads = [tuple(map(np.empty_like, layer)) for layer in layers]
        self._moments = [
            [Moments(*np.zeros((2, array.size), np.float32)) for array in layer]
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
    moments: Moments,
    learning_rate: float,
    step: int,
) -> None:
    """Adam's update of float32 [n] arrays, a piece after the other.

    weights -= rate * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + eps), the order
    of computation at the end of section 2 of Kingma and Ba (2015), as in Keras.

    Args:
      weights: changed in place.
      grads: the gradient; it is overwritten.
      moments: changed in place.
      learning_rate: Adam's.
      step: t, 1 for the first.
    """
    root = np.sqrt(1 - B2)
    rate = learning_rate * np.sqrt(1 - B2**step) / (1 - B1**step)
    factor, eps = np.float32(rate * (1 - B1) / root), np.float32(EPS / root)
    for first in range(0, len(weights), PIECE):
        piece = slice(first, first + PIECE)
        grad, mean, square = grads[piece], moments.mean[piece], moments.square[piece]
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


UPDATES = {"sgd": Sgd, "adam": Adam}
