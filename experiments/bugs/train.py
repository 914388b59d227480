"""Training and testing a program's networks, many seeds at once.

A row is one network after one epoch:

    program, seed   of the network
    epoch           1 for the first; 0 for a network as it starts
    train_loss      mean, as the program reports it; null where it is not finite, or
                    where there is nothing to train on
    test_accuracy   as the program reports it

The last row of a network holds also what it looks like in the end:

    flat_hidden, error_slope     measures of `jaxnets.diagnose`, Model 1 alone
    parameter_change             root mean square
    answers                      how often each class is answered
    diagnosis                    findings of `jaxnets.diagnose`, kind and text
    first_loss                   on the test images, before training
    first_flat_hidden            as `flat_hidden`, before training
    activations, slopes          how many of Model 1's hidden activations, and of the
                                 logarithms of their slopes, fall into each of BINS
                                 equal parts of [0, 1] and of SLOPES
    first_activations, first_slopes      and before training

Keras's last rows hold nothing of the last six, nor do those of version 0.1.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.bugs.programs import HEALTHY, Inputs, Outputs, Program
from experiments.kit.numbers import finite
from experiments.kit.run import Row
from jaxnets import ensemble, training
from jaxnets.data import Dataset
from jaxnets.diagnose import Cost, Run, change, diagnose, error_slope, flat_share
from jaxnets.types import Batch, Layers, Recipe

UNTRAINED = "untrained"  # the program of networks that are tested as they start
NUM_INPUTS = 100  # images whose inputs are looked at
BINS = 20  # of a histogram
SLOPES = (-8, 0)  # powers of 10; float32 knows no activation nearer to 1 than 6e-8


def epoch_row(
    program: str, seed: int, epoch: int, train_loss: float | None, accuracy: float
) -> dict[str, Any]:
    """The row of a network after an epoch."""
    return {
        "program": program,
        "seed": seed,
        "epoch": epoch,
        "train_loss": finite(train_loss),
        "test_accuracy": float(accuracy),
    }


def end_of(run: Run) -> dict[str, Any]:
    """What the last row of a network holds beside its epoch."""
    slope = None
    if run.cost == "quadratic" and run.outputs is not None:
        slope = error_slope(run.outputs, run.labels)
    return {
        "flat_hidden": finite(flat_share(run.cost, run.hidden)),
        "error_slope": finite(slope),
        "parameter_change": finite(change(run.first, run.last)),
        "answers": np.bincount(run.answers, minlength=10).tolist(),
        "diagnosis": [finding._asdict() for finding in diagnose(run)],
    }


def histograms(cost: Cost, hidden: Sequence[np.ndarray]) -> dict[str, Any]:
    """Of sigmoid activations; the logarithm is to base 10, least ones in the first bin.

    None of ReLUs, which have no upper end.
    """
    if cost != "quadratic" or not hidden:
        return {"activations": None, "slopes": None}
    values = np.concatenate([np.ravel(layer) for layer in hidden])
    values = np.asarray(values, np.float64)
    logs = np.log10(np.maximum(values * (1 - values), 10.0 ** SLOPES[0]))
    return {
        "activations": np.histogram(values, BINS, (0, 1))[0].tolist(),
        "slopes": np.histogram(logs, BINS, SLOPES)[0].tolist(),
    }


def is_end(row: Row) -> bool:
    """Whether it is the last row of a network."""
    return "diagnosis" in row or row["program"] == UNTRAINED


def train(
    programs: Sequence[Program],
    recipe: Recipe,
    dataset: Dataset,
    seeds: Sequence[int],
    *,
    rates: Mapping[int, float] | None = None,
    ends_only: bool = False,
) -> Iterator[Row]:
    """Train programs that differ in their evaluation alone, once for all of them.

    Each seed has its learning rate in `rates`, or the recipe's. Yields a row of every
    program and seed after each epoch, or after the last only; where there is no image
    to train on, of epoch 0. The test set is evaluated then, and not chosen by.
    """
    learner, (images, labels) = programs[0], dataset.test
    data = learner.data(dataset.train)
    epochs: Iterator[training.Epoch | None] = iter([None])
    if len(data.label):
        init, loss_fn, _ = learner.network(recipe)
        rates = rates or dict.fromkeys(seeds, recipe.learning_rate)
        epochs = ensemble.fit_many(
            *(init, loss_fn),
            lambda rate: learner.optimizer(replace(recipe, learning_rate=rate)),  # type: ignore
            data,
            seeds=seeds,
            batch_size=recipe.batch_size,
            num_epochs=recipe.num_epochs,
            learning_rates=np.array([rates[seed] for seed in seeds]),
        )

    layers = partial(layers_of, learner.layers, learner.inputs)
    first = last = initial_params(learner, recipe, seeds)
    *first_hidden, first_outputs = jax.device_get(layers(first, images))
    inputs = np.asarray(learner.inputs(jnp.asarray(images[:NUM_INPUTS])))
    losses: list[np.ndarray] = []
    for epoch in epochs:
        if epoch is not None:
            last = jax.device_get(epoch.state.params)
            losses.append(epoch.train.mean_loss)
        is_last = epoch is None or epoch.number == recipe.num_epochs
        if ends_only and not is_last:
            continue
        *hidden, outputs = jax.device_get(layers(last, images))
        for program, (index, seed) in itertools.product(programs, enumerate(seeds)):
            answers = program.answer(outputs[index])
            accuracy = program.score(answers, labels)
            loss = losses[-1][index] if losses else None
            row = epoch_row(program.name, seed, len(losses), loss, accuracy)
            if is_last:
                run = Run(
                    cost=program.right_cost,
                    labels=labels,
                    answers=answers,
                    accuracy=accuracy,
                    seen=len(labels),
                    loss=float(np.mean(program.cost(outputs[index], labels))),
                    train_loss=[float(loss[index]) for loss in losses],
                    train_seen=len(data.label),
                    first=_one(first, index),
                    last=_one(last, index),
                    outputs=outputs[index],
                    first_outputs=first_outputs[index],
                    hidden=_one(hidden, index),
                    inputs=inputs,
                )
                start, before = _one(first_hidden, index), first_outputs[index]
                counts = histograms(run.cost, start)
                row |= {
                    **end_of(run),
                    "first_loss": finite(np.mean(program.cost(before, labels))),
                    "first_flat_hidden": finite(flat_share(run.cost, start)),
                    **histograms(run.cost, run.hidden),
                    **{f"first_{name}": values for name, values in counts.items()},
                }
            yield row


def train_in_parts(
    programs: Sequence[Program],
    recipe: Recipe,
    dataset: Dataset,
    seeds: Sequence[int],
    **options: Any,
) -> Iterator[Row]:
    """As `train`, with as many seeds at once as suit the device."""
    network, batch_size = programs[0].network(recipe), recipe.batch_size
    at_once = ensemble.num_at_once(*network, dataset.train, batch_size=batch_size)
    for part in ensemble.chunks(seeds, at_once):
        yield from train(programs, recipe, dataset, part, **options)


@partial(jax.jit, static_argnums=(0, 1))
def layers_of(
    layers: Callable[[Inputs, Layers, jax.Array], Outputs],
    inputs: Inputs,
    params: Layers,
    images: jax.Array,
) -> Outputs:
    """What `Program.layers` gives, of networks with leaves [S, ...]."""
    return jax.vmap(partial(layers, inputs), in_axes=(0, None))(params, images)


def _one(networks: Any, index: int) -> Any:
    """One network's part of arrays [S, ...]."""
    return jax.tree.map(lambda leaf: leaf[index], networks)


def initial_params(program: Program, recipe: Recipe, seeds: Sequence[int]) -> Layers:
    """The parameters before training, leaves [S, ...], as `fit_many` starts."""
    init, *_ = program.network(recipe)
    networks = [init(training.run_keys(seed).init) for seed in seeds]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *networks)


def untrained(recipe: Recipe, test: Batch, num_networks: int) -> Iterator[Row]:
    """A row of each of the healthy program's networks as they start, seeds 0, 1, ..."""

    @jax.jit
    def accuracies(params: Layers, test: Batch) -> jax.Array:
        return jax.lax.map(lambda p: HEALTHY.loss_fn(p, test)[1].accuracy, params)

    params = initial_params(HEALTHY, recipe, range(num_networks))
    for seed, accuracy in enumerate(np.asarray(accuracies(params, test))):
        yield epoch_row(UNTRAINED, seed, 0, None, accuracy)
