"""A learning rate of its own for every layer, and all combinations trained at once.

`ensemble.fit_many` makes one program of all the networks: the same initial weights,
the same order of the images, other rates.
"""

import itertools
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
import optax

from experiments.control import curvature
from experiments.kit.numbers import finites
from experiments.kit.run import Row
from jaxnets import ensemble, models, training
from jaxnets import relu_softmax as network
from jaxnets.data import Dataset
from jaxnets.training import Epoch
from jaxnets.types import Batch, Layers, Params, Recipe

Rates = Sequence[tuple[float, ...]]  # [C, layers], input to output


def combinations(choices: Sequence[float], num_layers: int) -> Rates:
    """Every way to give each layer one of the rates."""
    return list(itertools.product(choices, repeat=num_layers))


def layerwise_sgd(rates: jax.Array) -> optax.GradientTransformation:
    """SGD with one learning rate a layer, input to output: float32 [layers]."""

    def update(grads: Layers, opt_state: Any, params: Any = None) -> Any:
        updates = tuple(
            jax.tree.map(lambda grad, rate=rate: -rate * grad, layer)
            for rate, layer in zip(rates, grads, strict=True)
        )
        return updates, opt_state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def fit_rates(
    recipe: Recipe,
    rates: Rates,
    train: Batch,
    held_out: Sequence[Batch] = (),
    *,
    seed: int,
) -> Iterator[Epoch]:
    """Train a network for each of C combinations; arrays have a first axis of them."""
    return ensemble.fit_many(
        lambda key: network.init(key, recipe.layer_sizes),
        network.loss_fn,
        layerwise_sgd,
        train,
        held_out,
        seeds=[seed] * len(rates),
        learning_rates=np.array(rates, np.float32),
        batch_size=recipe.batch_size,
        num_epochs=recipe.num_epochs,
    )


def train_all(
    recipe: Recipe,
    dataset: Dataset,
    rates: Rates,
    *,
    seed: int,
    curved: Batch,
    key: jax.Array,
) -> Generator[Row, None, Layers]:
    """Train a network for each combination of rates, and test all of them at the end.

    Yields rows "rates", one a network and epoch, and "test", one a network; of those
    with one rate in all layers also "sharpness", before the first epoch and after each.

    Args:
      recipe: its learning rate is that of the last network, in all layers.
      curved: images that give the loss whose sharpness is taken.
      key: decides where Lanczos's method starts.

    Returns:
      The last network, NumPy.

    Raises:
      NonFiniteLoss: the last network diverged.
    """
    uniform = [index for index, row in enumerate(rates) if len(set(row)) == 1]
    curved = jax.device_put(curved)
    measure = jax.jit(
        jax.vmap(partial(curvature.sharpness, network.loss_fn), in_axes=(0, None, None))
    )

    def sharpness_rows(params: Params, number: int) -> Iterator[Row]:
        # Through the host: the networks may lie on several devices.
        chosen = jax.tree.map(lambda leaf: np.asarray(leaf)[uniform], params)
        measured = measure(chosen, curved, jax.random.fold_in(key, number))
        for index, entry in zip(uniform, curvature.entries(measured), strict=True):
            row = {"part": "sharpness", "epoch": number, "network": index}
            yield {**row, "rates": rates[index], "images": len(curved.label), **entry}

    params = network.init(training.run_keys(seed).init, recipe.layer_sizes)
    yield from sharpness_rows(curvature.repeated(params, len(rates)), 0)
    held_out = (dataset.validation,)
    for epoch in fit_rates(recipe, rates, dataset.train, held_out, seed=seed):
        yield from _epoch_rows(epoch, rates)
        with models.divergence_named("relu_softmax", recipe):
            training.require_finite(epoch.number, epoch.train.loss[-1])
        yield from sharpness_rows(epoch.state.params, epoch.number)
    evaluate = jax.vmap(training.make_evaluate(network.loss_fn), in_axes=(0, None))
    totals = jax.device_get(jax.jit(evaluate)(epoch.state.params, dataset.test))
    for index, choice in enumerate(rates):
        row = {"part": "test", "network": index, "rates": choice}
        yield row | {
            "correct": int(totals.correct[index]),
            "seen": int(totals.seen[index]),
        }
    return jax.tree.map(lambda leaf: np.array(leaf[-1]), epoch.state.params)


def _epoch_rows(epoch: Epoch, rates: Rates) -> Iterator[Row]:
    [held_out] = epoch.held_out
    losses = finites(epoch.train.mean_loss)
    for index, choice in enumerate(rates):
        correct, seen = int(held_out.correct[index]), int(held_out.seen[index])
        yield {
            "part": "rates",
            "epoch": epoch.number,
            "network": index,
            "networks": len(rates),
            "rates": choice,
            "train_loss": losses[index],
            "validation_accuracy": correct / seen if seen else None,
            "seconds": epoch.seconds,  # of all networks together
            "compile_seconds": epoch.compile_seconds,
        }
