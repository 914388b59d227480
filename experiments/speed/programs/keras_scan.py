"""Keras's own layers, loss and optimizer on JAX, with a `scan` in place of `fit`.

A layer, a loss and an optimizer of Keras are pure functions of their variables by
`stateless_call` and `stateless_apply`. So an epoch is one compiled program, over bytes
that stay on the device, as with jaxnets, and what remains is what Keras computes.
"""

from typing import Any

import jax
import numpy as np

from experiments.speed.programs import keras_fit
from experiments.speed.programs.jaxnets_scan import TrainEpoch, timed_epochs
from experiments.speed.worker import Data, OnPart, Part, Task
from jaxnets import training
from jaxnets.types import Batch


def make_train_epoch(model: Any, task: Task) -> TrainEpoch:
    """An epoch of a compiled model: state, data and order to the state and its losses.

    The state is the values of the model's trainable variables, of the others, and of
    the optimizer's.
    """
    loss_fn = keras_fit.loss_function(task)

    def loss(trainable: Any, others: Any, batch: Batch) -> tuple[jax.Array, Any]:
        outputs, others = model.stateless_call(
            trainable, others, batch.image, training=True
        )
        return keras_fit.keras.ops.mean(loss_fn(batch.label, outputs)), others

    def train_epoch(state: Any, train: Batch, order: jax.Array) -> tuple[Any, Any]:
        def step(state: Any, rows: jax.Array) -> tuple[Any, jax.Array]:
            trainable, others, optimizer = state
            batch = Batch(*(array[rows] for array in train))
            (mean_loss, others), gradients = jax.value_and_grad(loss, has_aux=True)(
                trainable, others, batch
            )
            trainable, optimizer = model.optimizer.stateless_apply(
                optimizer, gradients, trainable
            )
            return (trainable, others, optimizer), mean_loss

        whole = len(order) // task.batch_size * task.batch_size
        rows = order[:whole].reshape(-1, task.batch_size)
        state, losses = jax.lax.scan(step, state, rows)
        if whole < len(order):
            state, _ = step(state, order[whole:])
        return state, losses

    return train_epoch


def start(task: Task, data: Data) -> tuple[Any, Any, Batch]:
    """The compiled model, the state to begin with, and what to train on."""
    model = keras_fit.compiled(task, data.image.shape[1:])
    model.optimizer.build(model.trainable_variables)
    variables = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
    )
    state = tuple([v.value for v in part] for part in variables)
    return model, state, Batch(data.image, keras_fit.targets(task, data.label))


def run(task: Task, data: Data, on_part: OnPart) -> None:
    """Train on and on, calling `on_part` after each part."""
    jax.config.update("jax_enable_compilation_cache", False)  # a cold start
    model, state, train = start(task, data)
    key = training.run_keys(task.seed).data
    arguments = (make_train_epoch(model, task), state, train)
    predict = jax.jit(lambda state, images: model.stateless_call(*state[:2], images)[0])
    device = jax.devices()[0].device_kind
    for trained in timed_epochs(*arguments, key=key, task=task):
        state, seconds, compile_seconds, fixed_seconds = trained

        def classes(images: np.ndarray, state: Any = state) -> np.ndarray:
            return np.asarray(predict(state, images)).argmax(axis=1)

        on_part(Part(seconds, classes, compile_seconds, fixed_seconds, device))
