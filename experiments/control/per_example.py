"""The gradient of every training example by itself: which ones surprise a network.

A network trained on most labels rightly still pulls hard at the few that it cannot
believe. An example's gradient norm says how hard.
"""

import jax
import numpy as np
import optax
from jax import lax

from jaxnets.types import Batch, LossFn, Params

CHUNK = 100  # examples whose gradients are in memory together


def gradient_norms(
    loss_fn: LossFn, params: Params, data: Batch, chunk: int = CHUNK
) -> jax.Array:
    """The length of each example's own gradient, over all weights and biases.

    `lax.map` takes `vmap(grad)` over a chunk at a time. Only norms leave a chunk:
    the gradients of 50,000 images by 100,000 weights would take 20 GB.

    Returns:
      float32 [B], 0 or more.
    """

    def norm(example: Batch) -> jax.Array:
        alone = jax.tree.map(lambda array: array[None], example)
        grads, _ = jax.grad(loss_fn, has_aux=True)(params, alone)
        return optax.tree.norm(grads)

    return lax.map(norm, data, batch_size=chunk)


def example_losses(loss_fn: LossFn, params: Params, data: Batch) -> jax.Array:
    """The loss of each example: float32 [B]. What needs no gradient to be ranked."""

    def loss(example: Batch) -> jax.Array:
        return loss_fn(params, jax.tree.map(lambda array: array[None], example))[0]

    return lax.map(loss, data, batch_size=CHUNK)


def largest(scores: np.ndarray, count: int) -> np.ndarray:
    """Rows of the largest scores, falling; the first ones where they are equal."""
    return np.argsort(-scores, kind="stable")[:count]


def plant_errors(
    labels: np.ndarray, count: int, num_classes: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """A copy of the labels, `count` of them changed to another class at random.

    Returns:
      The labels, and the rows of the changed ones, rising.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(labels), count, replace=False))
    planted = labels.copy()
    shift = rng.integers(1, num_classes, count)
    planted[rows] = (labels[rows] + shift) % num_classes
    return planted, rows


def neighbours_with_label(
    data: Batch, rows: np.ndarray, num_neighbours: int
) -> np.ndarray:
    """How many of each row's nearest other images have its label.

    A second opinion that knows no network: the nearest by Euclidean distance of
    the pixels.

    Args:
      data: NumPy images uint8 [B, H, W] and labels.
      rows: int [R], which examples to judge.
      num_neighbours: at most B - 1.

    Returns:
      int [R], 0 to `num_neighbours`.
    """
    vectors = data.image.reshape(len(data.label), -1).astype(np.float32)
    squares = np.einsum("ij,ij->i", vectors, vectors)
    # |x - y|^2 less |x|^2, which is the same for all y; whole numbers below 2^26
    distances = squares[None, :] - 2 * vectors[rows] @ vectors.T
    distances[np.arange(len(rows)), rows] = np.inf
    nearest = np.argpartition(distances, num_neighbours, axis=1)[:, :num_neighbours]
    return np.sum(data.label[nearest] == data.label[rows, None], axis=1)
