"""jaxnets: `training.fit` itself, an epoch per part.

Where an epoch is too long to time whole, its first steps are timed. The order of the
whole epoch is made on the device, as `fit` does, and its first batches are trained on.
What an epoch takes once, however many its steps (the shuffling, the layout of the
weights), is told by a second, shorter part.

With the option "plain" the processor's tricks are off: kernels stay [out, in] as they
are, batches are gathered one by one, and XLA gets no option. Pixels remain bytes.
"""

import itertools
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import optax

from experiments.speed.worker import Data, OnPart, Part, Task
from jaxnets import batches, devices, models, optimizers, processor, training
from jaxnets.devices import compile_ahead
from jaxnets.types import Batch, LossFn, Params, TrainState

SHORT = 10  # the second part has so many times fewer steps
EPOCHS = 10**6  # more than anybody waits for

# The parameters after an epoch, and `Part`'s seconds, compile_seconds, fixed_seconds.
Trained = tuple[Params, float, float, float]


def run(task: Task, data: Data, on_part: OnPart) -> None:
    """Train on and on, calling `on_part` after each part."""
    jax.config.update("jax_enable_compilation_cache", False)  # a cold start
    if task.options.get("plain"):
        devices.CPU_OPTIONS.clear()
        processor.suits = lambda tx, state: False
    network, train = models.get(task.network).network, Batch(*data)
    tx = optimizers.make(task)  # type: ignore[arg-type]  # it has a recipe's fields
    keys = training.run_keys(task.seed)
    state = training.start(network.init(keys.init, task.layer_sizes), tx)
    arguments = (network.loss_fn, tx, state, train)
    epochs = part_epochs(*arguments, key=keys.data, task=task)
    if task.part_steps is None:
        how: Any = {"batch_size": task.batch_size, "num_epochs": EPOCHS}
        epochs = (
            (epoch.state.params, epoch.seconds, epoch.compile_seconds, 0.0)
            for epoch in training.fit(*arguments, key=keys.data, **how)
        )
    predict = jax.jit(network.predict)
    device = jax.devices()[0].device_kind
    for params, seconds, compile_seconds, fixed_seconds in epochs:

        def classes(images: np.ndarray, params: Params = params) -> np.ndarray:
            return np.asarray(predict(params, images).label)

        on_part(Part(seconds, classes, compile_seconds, fixed_seconds, device))


def part_epochs(
    loss_fn: LossFn,
    tx: optax.GradientTransformation,
    state: TrainState,
    train: Batch,
    *,
    key: jax.Array,
    task: Task,
) -> Iterator[Trained]:
    """Train the short part and then `task.part_steps` steps of each epoch."""
    train, steps = jax.device_put(train), task.part_steps or 0
    short_steps = max(2, steps // SHORT)  # a loop of one step would be no loop

    def first_rows(key: jax.Array, epoch: int) -> list[jax.Array]:
        order = batches.epoch_order(key, epoch, len(train.label))
        return [order[: count * task.batch_size] for count in (steps, short_steps)]

    train_epoch = training.make_epoch_fn(loss_fn, tx, task.batch_size, shared=False)
    began = time.perf_counter()
    shuffle = compile_ahead(first_rows, key, 0)
    order, short_order = shuffle(key, 0)
    run_part = compile_ahead(train_epoch, state, train, order)
    compile_seconds = time.perf_counter() - began
    run_short = compile_ahead(train_epoch, state, train, short_order)
    for epoch in itertools.count():
        began = time.perf_counter()
        order, short_order = jax.block_until_ready(shuffle(key, epoch))
        shuffled = time.perf_counter()
        state, _ = jax.block_until_ready(run_short(state, train, short_order))
        short_ended = time.perf_counter()
        state, _ = jax.block_until_ready(run_part(state, train, order))
        seconds = time.perf_counter() - short_ended
        fixed = fixed_part(seconds, steps, short_ended - shuffled, short_steps)
        shuffling = shuffled - began
        yield state.params, shuffling + seconds, compile_seconds, shuffling + fixed


def fixed_part(
    seconds: float, steps: int, short_seconds: float, short_steps: int
) -> float:
    """Of `seconds`, what two parts of different length have in common; 0 or more."""
    per_step = (seconds - short_seconds) / (steps - short_steps)
    return min(seconds, max(0.0, seconds - steps * per_step))
