"""jaxnets: `training.fit` itself, an epoch per part.

Where an epoch is too long to time whole, its first steps are timed. The order of the
whole epoch is made on the device, as `fit` does, and its first batches are trained on.
What an epoch takes once, however many its steps, is the shuffling and the layout of the
weights.

With the option "plain" the processor's tricks are off: kernels stay [in, out] as they
are, batches are gathered one by one, as images, and XLA gets no option. Pixels remain
bytes, and the order is sorted as ever.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from experiments.speed.worker import (
    Data,
    OnPart,
    Part,
    Task,
    part_sizes,
    time_epochs,
)
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
    """Whole epochs or parts, by `worker.time_epochs`.

    Args:
      train_epoch: from state, data and order to the state and something more.
      state: to begin with.
      train: on the host.
      key: of the orders.
      task: with the size of batches and parts.
    """
    train, sizes = jax.device_put(train), part_sizes(task)

    def first_rows(key: jax.Array, epoch: int) -> list[jax.Array]:
        order = batches.epoch_order(key, epoch, len(train.label))
        return [order[:size] for size in sizes]

    began = time.perf_counter()
    make_orders = compile_ahead(first_rows, key, 0)
    orders = make_orders(key, 0)
    run = {len(orders[0]): compile_ahead(train_epoch, state, train, orders[0])}
    compile_seconds = time.perf_counter() - began
    for order in orders[1:]:
        run[len(order)] = compile_ahead(train_epoch, state, train, order)

    def shuffle(epoch: int) -> list[jax.Array]:
        return jax.block_until_ready(make_orders(key, epoch))

    def train_part(order: jax.Array) -> None:
        nonlocal state
        state, _ = jax.block_until_ready(run[len(order)](state, train, order))

    for seconds, fixed in time_epochs(task, shuffle, train_part):
        yield state, seconds, compile_seconds, fixed
