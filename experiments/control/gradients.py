"""The gradient of every training example by itself: which ones surprise a network.

A network trained on most labels rightly still pulls hard at the few that it cannot
believe. An example's gradient norm says how hard.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import optax
from jax import lax
from scipy.spatial.distance import cdist

from experiments.kit.numbers import finite
from experiments.kit.run import Row, Run
from jaxnets import models, training
from jaxnets import relu_softmax as network
from jaxnets.data import NUM_CLASSES
from jaxnets.losses import softmax_cross_entropy
from jaxnets.types import Batch, Layers, LossFn, Params

CHUNK = 100  # examples whose gradients are in memory together
NUM_SHOWN = 16  # images of each kind in the gallery
NUM_NEIGHBOURS = 10  # nearest images asked for a second opinion


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


def scores(params: Layers, data: Batch) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Each example's gradient norm, its loss, and what it is read as."""
    logits = network.apply(params, data.image)
    losses = softmax_cross_entropy(logits, data.label)
    return gradient_norms(network.loss_fn, params, data), losses, logits.argmax(axis=1)


def rank(run: Run[Any], params: Layers) -> Iterator[Row]:
    """One row: the images with the largest gradients and losses; all go into a CSV."""
    train = run.data.train
    norms, losses, answers = jax.device_get(jax.jit(scores)(params, train))
    num_neighbours = min(NUM_NEIGHBOURS, len(norms) - 1)

    def entries(values: np.ndarray) -> list[dict[str, Any]]:
        records = largest(values, NUM_SHOWN)
        agreeing = neighbours_with_label(train, records, num_neighbours)
        return [
            {
                "record": int(record),
                "label": int(train.label[record]),
                "answer": int(answers[record]),
                "norm": finite(norms[record]),
                "loss": finite(losses[record]),
                "neighbours_with_label": int(num_agreeing),
            }
            for record, num_agreeing in zip(records, agreeing, strict=True)
        ]

    order = largest(norms, len(norms))
    numbers = (
        [f"{score:.6g}" for score in column[order]] for column in (norms, losses)
    )
    run.write_csv(
        "gradient_norms.csv",
        ("record", "label", "answer", "gradient_norm", "loss"),
        zip(order, train.label[order], answers[order], *numbers, strict=True),
    )
    yield {
        "part": "gradients",
        "images": len(norms),
        "norm_median": finite(np.median(norms)),
        "norm_largest": finite(norms.max()),
        "neighbours": num_neighbours,
        "largest_norms": entries(norms),
        "largest_losses": entries(losses),
    }


def largest(scores: np.ndarray, count: int) -> np.ndarray:
    """Rows of the largest scores, falling; the first ones where they are equal."""
    return np.argsort(-scores, kind="stable")[:count]


def neighbours_with_label(
    data: Batch, records: np.ndarray, num_neighbours: int
) -> np.ndarray:
    """How many of the other images nearest to each of `records` have its label.

    A second opinion that knows no network: the Euclidean distance of the pixels.
    """
    vectors = data.image.reshape(len(data.label), -1)
    distances = cdist(vectors[records], vectors, "sqeuclidean")
    distances[np.arange(len(records)), records] = np.inf
    nearest = np.argpartition(distances, num_neighbours, axis=1)[:, :num_neighbours]
    return np.sum(data.label[nearest] == data.label[records, None], axis=1)


def find_planted(run: Run[Any]) -> Iterator[Row]:
    """One row: make some labels wrong, train, and look for them by their norms.

    How many of them are among as many of the largest says how good the ranking is.
    Ranking by the loss alone, and by chance, stand beside it.
    """
    config, labels = run.config, run.data.train.label
    count = max(1, round(config.planted * len(labels)))
    planted, records = plant_errors(labels, count, config.seed)
    train = run.data.train._replace(label=planted)
    events = models.train_and_test(
        "relu_softmax", config.recipe, run.data._replace(train=train), config.seed
    )
    *_, last = itertools.islice(events, config.epochs)  # without the test set
    assert isinstance(last, training.Epoch)
    norms, losses, _ = jax.device_get(jax.jit(scores)(last.state.params, train))
    yield {
        "part": "planted",
        "planted": count,
        "images": len(labels),
        "found_by_norm": int(np.isin(largest(norms, count), records).sum()),
        "found_by_loss": int(np.isin(largest(losses, count), records).sum()),
        "found_by_chance": count * count / len(labels),
    }


def plant_errors(
    labels: np.ndarray, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The labels, `count` of them made wrong at random, and these ones' records."""
    rng = np.random.default_rng(seed)
    records = np.sort(rng.choice(len(labels), count, replace=False))
    planted = labels.copy()
    planted[records] += rng.integers(1, NUM_CLASSES, count)
    return planted % NUM_CLASSES, records
