"""jaxnets: `training.fit` itself, an epoch per turn of its generator.

Where an epoch is too long to time whole, its first steps are timed. The order of the
whole epoch is made on the device, as `fit` does, and its first batches are trained on.
What an epoch takes once, however many its steps (the shuffling, the layout of the
weights), is told by a second, shorter part.
"""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
import optax

from experiments.speed.task import Data, Epoch, OnEpoch, Task
from jaxnets import batches, models, optimizers, processor, training
from jaxnets.devices import compile_ahead
from jaxnets.training import TrainEpoch
from jaxnets.types import Batch, LossFn, Network, Params, Prediction, Recipe, TrainState

SHORT = 10  # the second part has so many times fewer steps


class Setup(NamedTuple):
    """What whole epochs and parts of them begin with."""

    network: Network
    tx: optax.GradientTransformation
    state: TrainState
    train: Batch
    key: jax.Array  # of the order


def run(task: Task, data: Data, on_epoch: OnEpoch) -> None:
    """Train, calling `on_epoch` after each epoch."""
    jax.config.update("jax_enable_compilation_cache", False)  # a cold start
    network = models.get(task.network).network
    recipe = Recipe(
        layer_sizes=task.layer_sizes,
        optimizer=task.optimizer,
        learning_rate=task.learning_rate,
        batch_size=task.batch_size,
        num_epochs=task.num_epochs,
    )
    tx = optimizers.make(recipe)
    keys = training.run_keys(task.seed)
    state = training.start(network.init(keys.init, task.layer_sizes), tx)
    setup = Setup(network, tx, state, Batch(*data), keys.data)
    epochs = whole_epochs if task.part_steps is None else part_epochs
    device = jax.devices()[0].device_kind
    for epoch in epochs(setup, task):
        on_epoch(epoch._replace(device=device))


def whole_epochs(setup: Setup, task: Task) -> Iterator[Epoch]:
    """`fit` itself."""
    predict_batch = jax.jit(setup.network.predict)
    for epoch in training.fit(
        setup.network.loss_fn,
        setup.tx,
        setup.state,
        setup.train,
        key=setup.key,
        batch_size=task.batch_size,
        num_epochs=task.num_epochs,
    ):
        predict = _predict(predict_batch, epoch.state.params)
        yield Epoch(epoch.seconds, predict, epoch.compile_seconds)


def part_epochs(setup: Setup, task: Task) -> Iterator[Epoch]:
    """Train the short part and then `task.part_steps` steps of each epoch."""
    assert task.part_steps is not None
    network, tx, state, train, key = setup
    train = jax.device_put(train)
    num_examples = len(train.label)
    steps = task.part_steps
    short_steps = max(2, steps // SHORT)  # a loop of one step would be no loop

    def first_rows(key: jax.Array, epoch: int) -> tuple[jax.Array, jax.Array]:
        order = batches.epoch_order(key, epoch, num_examples)
        return order[: steps * task.batch_size], order[: short_steps * task.batch_size]

    began = time.perf_counter()
    shuffle = compile_ahead(first_rows, key, 0)
    order, short_order = shuffle(key, 0)
    train_epoch = _train_epoch(network.loss_fn, tx, state, task.batch_size)
    run_part = compile_ahead(train_epoch, state, train, order)
    compile_seconds = time.perf_counter() - began
    run_short = compile_ahead(train_epoch, state, train, short_order)
    predict_batch = jax.jit(network.predict)
    for epoch in range(task.num_epochs):
        began = time.perf_counter()
        order, short_order = jax.block_until_ready(shuffle(key, epoch))
        shuffled = time.perf_counter()
        state, _ = jax.block_until_ready(run_short(state, train, short_order))
        short_ended = time.perf_counter()
        state, _ = jax.block_until_ready(run_part(state, train, order))
        seconds = time.perf_counter() - short_ended
        fixed = fixed_part(seconds, steps, short_ended - shuffled, short_steps)
        shuffling = shuffled - began
        predict = _predict(predict_batch, state.params)
        yield Epoch(shuffling + seconds, predict, compile_seconds, shuffling + fixed)


def _train_epoch(
    loss_fn: LossFn, tx: optax.GradientTransformation, state: TrainState, size: int
) -> TrainEpoch:
    """An epoch in a given order, as `fit` compiles it for the device at hand."""
    if processor.suits(tx, state):
        step = training.make_train_step(processor.on_transposed(loss_fn), tx)
        return processor.make_train_epoch(step, size)
    return training.make_train_epoch(training.make_train_step(loss_fn, tx), size)


def fixed_part(
    seconds: float, steps: int, short_seconds: float, short_steps: int
) -> float:
    """Of `seconds`, what two parts of different length have in common; 0 or more."""
    per_step = (seconds - short_seconds) / (steps - short_steps)
    return min(seconds, max(0.0, seconds - steps * per_step))


def _predict(
    predict_batch: Callable[[Params, np.ndarray], Prediction], params: Params
) -> Callable[[np.ndarray], np.ndarray]:
    """The classes of images."""
    return lambda images: np.asarray(predict_batch(params, images).label)
