"""The training images that surprise a trained network, and whether rightly so."""

from collections.abc import Iterator
from statistics import median
from typing import Any

import jax
import numpy as np

from experiments.control.per_example import (
    example_losses,
    gradient_norms,
    largest,
    neighbours_with_label,
    plant_errors,
)
from experiments.control.study import Study, timed
from experiments.kit.numbers import finite
from jaxnets import models as recipes
from jaxnets import relu_softmax as network
from jaxnets import training
from jaxnets.data import NUM_CLASSES
from jaxnets.devices import compile_ahead
from jaxnets.types import Batch, Params

SHOWN = 16  # images of each kind in the gallery
NEIGHBOURS = 10  # nearest images asked for a second opinion


def _scores(params: Params, data: Batch) -> dict[str, Any]:
    """Each example's gradient norm and loss, with the times of the first."""
    data = jax.device_put(data)
    compiled, compile_seconds = timed(
        lambda: compile_ahead(
            lambda *args: gradient_norms(network.loss_fn, *args), params, data
        )
    )
    norms, seconds = timed(compiled, params, data)
    losses = jax.jit(lambda *args: example_losses(network.loss_fn, *args))
    return {
        "norms": norms,
        "losses": np.asarray(losses(params, data)),
        "seconds": seconds,
        "compile_seconds": compile_seconds,
    }


def rank(study: Study) -> Iterator[str]:
    """Gradient norms of all training images; the largest with a second opinion."""
    train = study.dataset.train
    scores = _scores(study.params, train)
    predict = jax.jit(network.predict)
    study.answers = np.asarray(predict(study.params, train.image).label)
    study.norms, study.losses = scores["norms"], scores["losses"]
    study.found["gradients"] = {
        "images": len(train.label),
        "seconds": scores["seconds"],
        "compile_seconds": scores["compile_seconds"],
        "norm_median": finite(np.median(study.norms)),
        "norm_largest": finite(study.norms.max()),
        "neighbours": min(NEIGHBOURS, len(train.label) - 1),
        "largest_norms": _entries(study, scores["norms"]),
        "largest_losses": _entries(study, scores["losses"]),
    }
    yield (
        f"gradient norms of {len(train.label):,} images  {scores['seconds']:.2f} s, "
        f"median {np.median(study.norms):.3f}, largest {study.norms.max():.1f}"
    )


def _entries(study: Study, scores: np.ndarray) -> list[dict[str, Any]]:
    """The training images with the largest scores, as they stand in results.json."""
    assert study.norms is not None and study.losses is not None
    assert study.answers is not None
    train = study.dataset.train
    rows = largest(scores, SHOWN)
    num_neighbours = min(NEIGHBOURS, len(train.label) - 1)
    agreeing = neighbours_with_label(train, rows, num_neighbours)
    return [
        {
            "record": int(row),
            "label": int(train.label[row]),
            "answer": int(study.answers[row]),
            "norm": finite(study.norms[row]),
            "loss": finite(study.losses[row]),
            "neighbours_with_label": int(count),
        }
        for row, count in zip(rows, agreeing, strict=True)
    ]


def find_planted(study: Study, share: float) -> Iterator[str]:
    """Make some labels wrong, train again, and look for them by their norms.

    How many of them are among as many of the largest says how good the ranking is.
    Ranking by the loss alone, and by chance, stand beside it.
    """
    train, recipe = study.dataset.train, study.recipe
    count = max(1, round(share * len(train.label)))
    labels, rows = plant_errors(train.label, count, NUM_CLASSES, study.seed)
    spoilt = Batch(train.image, labels)
    tx = recipes.optimizer(recipe)
    params, data_key = study.start()
    epochs = training.fit(
        network.loss_fn,
        tx,
        training.start(params, tx),
        spoilt,
        study.dataset.validation,
        batch_size=recipe.batch_size,
        num_epochs=recipe.num_epochs,
        key=data_key,
    )
    *earlier, last = epochs
    scores = _scores(last.state.params, spoilt)

    def found(values: np.ndarray) -> int:
        return int(np.isin(largest(values, count), rows).sum())

    part = study.found["planted"] = {
        "planted": count,
        "images": len(labels),
        "found_by_norm": found(scores["norms"]),
        "found_by_loss": found(scores["losses"]),
        "found_by_chance": count * count / len(labels),
        "epoch_seconds": median(epoch.seconds for epoch in (*earlier, last)),
    }
    yield (
        f"{count:,} wrong labels planted: {part['found_by_norm']:,} are among the "
        f"{count:,} largest norms"
    )
