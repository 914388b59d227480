"""Training and testing a program's networks, many seeds at once."""

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.bugs.programs import HEALTHY, Program
from experiments.bugs.rows import UNTRAINED, end_of, epoch_row
from experiments.kit.run import Row
from jaxnets import ensemble, training
from jaxnets.data import Dataset
from jaxnets.diagnose import Run
from jaxnets.types import Batch, Layers, Recipe

NUM_INPUTS = 100  # images whose inputs are looked at


def train(
    programs: Sequence[Program], recipe: Recipe, dataset: Dataset, seeds: Sequence[int]
) -> Iterator[Row]:
    """Train programs that learn alike, once for all of them.

    Yields a row of every program and seed after each epoch; where there is no image to
    train on, of epoch 0.

    Args:
      programs: they differ in their evaluation alone.
      recipe: how they train.
      dataset: the test set is evaluated after each epoch, and not chosen by.
      seeds: a network each.
    """
    learner, (images, labels) = programs[0], dataset.test
    data = learner.training_data(dataset.train)
    num_epochs = recipe.num_epochs if len(data.label) else 0

    @jax.jit
    def layers(params: Layers, images: jax.Array) -> list[jax.Array]:
        network = functools.partial(learner.layers, learner.inputs)
        return jax.vmap(network, in_axes=(0, None))(params, images)

    first = initial_params(learner, recipe, seeds)
    first_outputs = np.asarray(layers(first, images)[-1])
    inputs = np.asarray(learner.inputs(jnp.asarray(images[:NUM_INPUTS])))
    for last, losses in _epochs(learner, recipe, data, seeds, first):
        *hidden, outputs = jax.device_get(layers(last, images))
        for program, (index, seed) in itertools.product(programs, enumerate(seeds)):
            answers = program.answer(outputs[index])
            accuracy = program.score(answers, labels)
            loss = losses[-1][index] if losses else None
            row = epoch_row(program.name, seed, len(losses), loss, accuracy)
            if len(losses) < num_epochs:
                yield row
                continue
            run = Run(
                cost=program.right_cost,
                labels=labels,
                answers=answers,
                accuracy=accuracy,
                seen=len(labels),
                loss=float(np.mean(program.cost(outputs[index], labels))),
                train_loss=[float(loss[index]) for loss in losses],
                train_seen=len(data.label),
                first=_network(first, index),
                last=_network(last, index),
                outputs=outputs[index],
                first_outputs=first_outputs[index],
                hidden=[layer[index] for layer in hidden],
                inputs=inputs,
            )
            yield row | end_of(run)


def train_in_parts(
    program: Program, recipe: Recipe, dataset: Dataset, seeds: Sequence[int]
) -> Iterator[Row]:
    """As `train`, with as many seeds at once as suit the device."""
    at_once = ensemble.num_at_once(
        *_learner(program, recipe), dataset.train, batch_size=recipe.batch_size
    )
    for part in ensemble.chunks(seeds, at_once):
        yield from train([program], recipe, dataset, part)


def initial_params(program: Program, recipe: Recipe, seeds: Sequence[int]) -> Layers:
    """The parameters before training, leaves [S, ...], as `fit_many` starts."""
    networks = [
        program.init(training.run_keys(seed).init, recipe.layer_sizes) for seed in seeds
    ]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *networks)


def _network(params: Layers, index: int) -> Layers:
    return jax.tree.map(lambda leaf: leaf[index], params)


def _learner(program: Program, recipe: Recipe) -> tuple[Any, Any, Any]:
    """What `ensemble` takes first: initial parameters, loss, optimizer."""

    def init(key: jax.Array) -> Layers:
        return program.init(key, recipe.layer_sizes)

    return init, program.loss_fn, program.optimizer(recipe)


def _epochs(
    program: Program,
    recipe: Recipe,
    data: Batch,
    seeds: Sequence[int],
    first: Layers,
) -> Iterator[tuple[Layers, list[np.ndarray]]]:
    """Parameters after each epoch, and the losses [S] of all epochs so far.

    Where there is no image to train on, the first parameters once.
    """
    losses: list[np.ndarray] = []
    if not len(data.label):
        yield first, losses
        return
    for epoch in ensemble.fit_many(
        *_learner(program, recipe),
        data,
        seeds=seeds,
        batch_size=recipe.batch_size,
        num_epochs=recipe.num_epochs,
    ):
        losses.append(epoch.train.mean_loss)
        yield jax.device_get(epoch.state.params), losses


def untrained_rows(recipe: Recipe, test: Batch, num_networks: int) -> Iterator[Row]:
    """A row of each of the healthy program's networks as they start, seeds 0, 1, ..."""

    @jax.jit
    def accuracies(params: Layers, test: Batch) -> jax.Array:
        def accuracy(network: Layers) -> jax.Array:
            return HEALTHY.loss_fn(network, test)[1].accuracy

        return jax.lax.map(accuracy, params)

    seeds = range(num_networks)
    values = np.asarray(accuracies(initial_params(HEALTHY, recipe, seeds), test))
    for seed, value in zip(seeds, values, strict=True):
        yield epoch_row(UNTRAINED, seed, 0, None, value)
