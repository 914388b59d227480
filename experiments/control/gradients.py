"""The gradient of every training example by itself: which ones surprise a network.

A network trained on most labels rightly still pulls hard at the few that it cannot
believe. An example's gradient norm says how hard.
"""

from collections.abc import Generator, Iterator
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax import lax

from experiments.control.timing import Timed, timed
from experiments.kit.numbers import finite
from experiments.kit.run import Row
from jaxnets import models, optimizers, training
from jaxnets import relu_softmax as network
from jaxnets.data import NUM_CLASSES, Dataset
from jaxnets.types import Batch, LossFn, Params, Recipe

CHUNK = 100  # examples whose gradients are in memory together
NUM_SHOWN = 16  # images of each kind in the gallery
NUM_NEIGHBOURS = 10  # nearest images asked for a second opinion
RANKING_HEADER = ("record", "label", "answer", "gradient_norm", "loss")


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
    """The loss of each example: float32 [B]. It needs no gradient."""

    def loss(example: Batch) -> jax.Array:
        return loss_fn(params, jax.tree.map(lambda array: array[None], example))[0]

    return lax.map(loss, data, batch_size=CHUNK)


def largest(scores: np.ndarray, count: int) -> np.ndarray:
    """Rows of the largest scores, falling; the first ones where they are equal."""
    return np.argsort(-scores, kind="stable")[:count]


def norms_and_losses(params: Params, data: Batch) -> tuple[Timed, Timed]:
    """Both of every example, on the host."""
    norms = timed(partial(gradient_norms, network.loss_fn), params, data)
    return norms, timed(partial(example_losses, network.loss_fn), params, data)


class Scores(NamedTuple):
    """What the examined network makes of every training image, NumPy."""

    norm: np.ndarray  # float32 [B], of its gradient
    loss: np.ndarray  # float32 [B]
    answer: np.ndarray  # int32 [B]


def rank(params: Params, train: Batch) -> Generator[Row, None, Scores]:
    """One row: the gradient norms of all images, the largest with a second opinion."""
    norms, losses = norms_and_losses(params, train)
    answers = timed(training.make_predict(network.predict), params, train.image)
    scores = Scores(norms.value, losses.value, answers.value.label)
    num_neighbours = min(NUM_NEIGHBOURS, len(train.label) - 1)
    yield {
        "part": "gradients",
        "images": len(train.label),
        "seconds": norms.seconds,
        "compile_seconds": norms.compile_seconds,
        "norm_median": finite(np.median(scores.norm)),
        "norm_largest": finite(scores.norm.max()),
        "neighbours": num_neighbours,
        "largest_norms": _entries(train, scores, scores.norm, num_neighbours),
        "largest_losses": _entries(train, scores, scores.loss, num_neighbours),
    }
    return scores


def _entries(
    train: Batch, scores: Scores, ranked_by: np.ndarray, num_neighbours: int
) -> list[dict[str, Any]]:
    """The training images that come first, as they stand in results.json."""
    records = largest(ranked_by, NUM_SHOWN)
    agreeing = neighbours_with_label(train, records, num_neighbours)
    return [
        {
            "record": int(record),
            "label": int(train.label[record]),
            "answer": int(scores.answer[record]),
            "norm": finite(scores.norm[record]),
            "loss": finite(scores.loss[record]),
            "neighbours_with_label": int(count),
        }
        for record, count in zip(records, agreeing, strict=True)
    ]


def ranking(scores: Scores, labels: np.ndarray) -> Iterator[tuple[object, ...]]:
    """The lines below `RANKING_HEADER`: every training image, largest norm first."""
    for record in largest(scores.norm, len(labels)):
        norm, loss = (f"{score[record]:.6g}" for score in (scores.norm, scores.loss))
        yield record, labels[record], scores.answer[record], norm, loss


def neighbours_with_label(
    data: Batch, records: np.ndarray, num_neighbours: int
) -> np.ndarray:
    """How many of each image's nearest other images have its label.

    A second opinion that knows no network: the nearest by Euclidean distance of
    the pixels.

    Args:
      data: NumPy images uint8 [B, H, W] and labels.
      records: int [R], which images to judge.
      num_neighbours: at most B - 1.

    Returns:
      int [R], 0 to `num_neighbours`.
    """
    vectors = data.image.reshape(len(data.label), -1).astype(np.float32)
    squares = np.einsum("ij,ij->i", vectors, vectors)
    # |x - y|^2 less |x|^2, which is the same for all y; whole numbers below 2^26
    distances = squares[None, :] - 2 * vectors[records] @ vectors.T
    distances[np.arange(len(records)), records] = np.inf
    nearest = np.argpartition(distances, num_neighbours, axis=1)[:, :num_neighbours]
    return np.sum(data.label[nearest] == data.label[records, None], axis=1)


def find_planted(
    recipe: Recipe, dataset: Dataset, share: float, seed: int
) -> Iterator[Row]:
    """One row: make some labels wrong, train, and look for them by their norms.

    How many of them are among as many of the largest says how good the ranking is.
    Ranking by the loss alone, and by chance, stand beside it.
    """
    labels = dataset.train.label
    count = max(1, round(share * len(labels)))
    planted, records = plant_errors(labels, count, NUM_CLASSES, seed)
    train = Batch(dataset.train.image, planted)
    keys, tx = training.run_keys(seed), optimizers.make(recipe)
    epochs = training.fit(
        network.loss_fn,
        tx,
        training.start(network.init(keys.init, recipe.layer_sizes), tx),
        train,
        batch_size=recipe.batch_size,
        num_epochs=recipe.num_epochs,
        key=keys.data,
    )
    with models.divergence_named("relu_softmax", recipe):
        *earlier, last = epochs
    norms, losses = norms_and_losses(last.state.params, train)
    yield {
        "part": "planted",
        "planted": count,
        "images": len(labels),
        "found_by_norm": int(np.isin(largest(norms.value, count), records).sum()),
        "found_by_loss": int(np.isin(largest(losses.value, count), records).sum()),
        "found_by_chance": count * count / len(labels),
        "epoch_seconds": median(epoch.seconds for epoch in (*earlier, last)),
    }


def plant_errors(
    labels: np.ndarray, count: int, num_classes: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """A copy of the labels, `count` of them changed to another class at random.

    Returns:
      The labels, and the records of the changed ones, rising.
    """
    rng = np.random.default_rng(seed)
    records = np.sort(rng.choice(len(labels), count, replace=False))
    planted = labels.copy()
    shift = rng.integers(1, num_classes, count)
    planted[records] = (labels[records] + shift) % num_classes
    return planted, records
