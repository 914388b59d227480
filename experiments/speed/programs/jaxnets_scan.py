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
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from experiments.speed.worker import SHORT, Data, OnPart, Part, Task, fixed_part
from jaxnets import batches, devices, models, optimizers, processor, training
from jaxnets.devices import compile_ahead
from jaxnets.types import Batch, Params

EPOCHS = 10**6  # more than anybody waits for

# The state after a part, and `Part`'s seconds, compile_seconds, fixed_seconds.
Trained = tuple[Any, float, float, float]
TrainEpoch = Callable[[Any, Batch, jax.Array], tuple[Any, Any]]  # state, data, order


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
    if task.part_steps is None:
        how: Any = {"batch_size": task.batch_size, "num_epochs": EPOCHS}
        arguments = (network.loss_fn, tx, state, train)
        epochs: Iterator[Trained] = (
            (epoch.state, epoch.seconds, epoch.compile_seconds, 0.0)
            for epoch in training.fit(*arguments, key=keys.data, **how)
        )
    else:
        train_epoch = training.make_epoch_fn(
            network.loss_fn, tx, task.batch_size, shared=False
        )
        epochs = timed_epochs(train_epoch, state, train, key=keys.data, task=task)
    predict = jax.jit(network.predict)
    device = jax.devices()[0].device_kind
    for state, seconds, compile_seconds, fixed_seconds in epochs:

        def classes(images: np.ndarray, params: Params = state.params) -> np.ndarray:
            return np.asarray(predict(params, images).label)

        on_part(Part(seconds, classes, compile_seconds, fixed_seconds, device))


def timed_epochs(
    train_epoch: TrainEpoch, state: Any, train: Batch, *, key: jax.Array, task: Task
) -> Iterator[Trained]:
    """Whole epochs; with `task.part_steps`, of each two short parts and one of these.

    The first of the short ones warms up.

    Args:
      train_epoch: from state, data and order to the state and something more.
      state: to begin with.
      train: on the host.
      key: of the orders.
      task: with the size of batches and parts.
    """
    train, steps = jax.device_put(train), task.part_steps
    sizes = [len(train.label)]
    if steps:  # a loop of one step would be no loop
        short_steps = max(2, steps // SHORT)
        sizes = [steps * task.batch_size, short_steps * task.batch_size]

    def first_rows(key: jax.Array, epoch: int) -> list[jax.Array]:
        order = batches.epoch_order(key, epoch, len(train.label))
        return [order[:size] for size in sizes]

    began = time.perf_counter()
    shuffle = compile_ahead(first_rows, key, 0)
    order, *short_orders = shuffle(key, 0)
    run_part = compile_ahead(train_epoch, state, train, order)
    compile_seconds = time.perf_counter() - began
    if short_orders:
        run_short = compile_ahead(train_epoch, state, train, *short_orders)
    for epoch in itertools.count():
        began = time.perf_counter()
        order, *short_orders = jax.block_until_ready(shuffle(key, epoch))
        fixed = shuffling = time.perf_counter() - began
        for _ in range(2 if steps else 0):
            began = time.perf_counter()
            state, _ = jax.block_until_ready(run_short(state, train, *short_orders))
            short_seconds = time.perf_counter() - began
        began = time.perf_counter()
        state, _ = jax.block_until_ready(run_part(state, train, order))
        seconds = time.perf_counter() - began
        if steps:
            fixed += fixed_part(seconds, steps, short_seconds, short_steps)
        yield state, shuffling + seconds, compile_seconds, fixed
