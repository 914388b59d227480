"""The first steps of each epoch of `training`, for epochs too long to time whole.

The order of a whole epoch is made on the device, as `training.fit` does, and its
first batches are trained on. What an epoch takes once, however many its steps (the
shuffling, the layout of the weights), is told by a second, shorter part.
"""

import time
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np
import optax

from experiments.speed.contenders.task import Task
from jaxnets import training
from jaxnets.devices import compile_ahead
from jaxnets.types import Batch, LossFn, Params, TrainState

SHORT = 10  # the second part has so many times fewer steps


class PartEpoch(NamedTuple):
    """The first steps of an epoch."""

    params: Params  # donated to the next one
    seconds: float  # shuffling all and training a part
    fixed_seconds: float  # of these, what does not grow with the steps
    compile_seconds: float  # the same in every epoch


def fit_part(
    loss_fn: LossFn,
    tx: optax.GradientTransformation,
    state: TrainState,
    train: Batch,
    *,
    key: jax.Array,
    task: Task,
) -> Iterator[PartEpoch]:
    """Train the short part and then `task.part_steps` steps of each epoch."""
    train = jax.device_put(train)
    num_examples = len(train.label)
    steps = task.part_steps
    short_steps = max(2, steps // SHORT)  # a loop of one step would be no loop

    def first_rows(key, epoch):
        order = training.epoch_order(key, epoch, num_examples)
        return order[: steps * task.batch_size], order[: short_steps * task.batch_size]

    began = time.perf_counter()
    shuffle = compile_ahead(first_rows, key, np.int32(0))
    order, short_order = shuffle(key, np.int32(0))
    train_epoch = training.make_train_epoch(loss_fn, tx, task.batch_size)
    run_part = compile_ahead(train_epoch, state, train, order, donate_argnums=0)
    compile_seconds = time.perf_counter() - began
    run_short = compile_ahead(train_epoch, state, train, short_order, donate_argnums=0)

    for epoch in range(task.num_epochs):
        began = time.perf_counter()
        order, short_order = jax.block_until_ready(shuffle(key, np.int32(epoch)))
        shuffled = time.perf_counter()
        state, totals = run_short(state, train, short_order)
        jax.block_until_ready((state, totals))
        short_ended = time.perf_counter()
        state, totals = run_part(state, train, order)
        jax.block_until_ready((state, totals))
        seconds = time.perf_counter() - short_ended
        fixed = fixed_part(seconds, steps, short_ended - shuffled, short_steps)
        shuffling = shuffled - began
        yield PartEpoch(
            state.params, shuffling + seconds, shuffling + fixed, compile_seconds
        )


def fixed_part(
    seconds: float, steps: int, short_seconds: float, short_steps: int
) -> float:
    """Of `seconds`, what two parts of different length have in common; 0 or more."""
    per_step = (seconds - short_seconds) / (steps - short_steps)
    return min(seconds, max(0.0, seconds - steps * per_step))
