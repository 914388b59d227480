"""Keras's `model.fit` on the backend that KERAS_BACKEND names.

The network is that of `jaxnets.keras_network`, the settings are Keras's defaults but
for the task's options: steps_per_execution, jit_compile, tf_data (the batches are
gathered from bytes by tf.data, as many ahead as AUTOTUNE likes, or "prefetch_1"),
of_bytes (the network takes them, and divides), metric (False: none) and logits (the
loss takes them in place of probabilities). One `fit` trains all epochs, and between two
of them waits in its callback. Of epochs that are timed in part each part is a `fit` of
its own, after two shorter ones, the first of which warms up: the other and the part
tell what `fit` does once an epoch.
"""

import contextlib
import os
import random
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.speed.programs import numpy_batched
from experiments.speed.worker import (
    SHORT,
    WHITE,
    Data,
    OnPart,
    Part,
    Task,
    epoch_seconds,
    fixed_part,
    to_vectors,
)
from jaxnets.keras_network import VARIABLE, build, load_keras

BACKEND = os.environ.get(VARIABLE, "tensorflow")
keras: Any = load_keras(BACKEND)
EPOCHS = 10**6  # more than anybody waits for


class _Clock(keras.callbacks.Callback):
    """Times each epoch; a hook per batch would slow every step."""

    def __init__(self, on_part: OnPart, task: Task) -> None:
        super().__init__()
        self._on_part, self._task = on_part, task
        self._seconds: list[float] = []  # of the parts that belong together

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self._seconds.append(time.perf_counter() - self._began)
        task, part_steps = self._task, self._task.part_steps
        if part_steps and len(self._seconds) < 3:
            return  # the short ones
        seconds, fixed = self._seconds[-1], 0.0
        if part_steps:
            short_seconds = self._seconds[-2]
            fixed = fixed_part(seconds, part_steps, short_seconds, short_steps(task))
        elif task.options.get("tf_data"):  # which leaves out a short last batch
            seconds *= task.examples / (task.examples - task.examples % task.batch_size)
        self._seconds.clear()
        how = {"fixed_seconds": fixed, "device": _device()}
        self._on_part(Part(seconds, self._predict, **how))

    def _predict(self, images: np.ndarray) -> np.ndarray:
        return classes(self.model, self._task, images)


def classes(model: Any, task: Task, images: np.ndarray) -> np.ndarray:
    """What a model takes images for: uint8 [B, H, W] to int [B]."""
    scores = model(pixels(task, images), training=False)
    return keras.ops.convert_to_numpy(scores).argmax(axis=1)


def short_steps(task: Task) -> int:
    """Of the part before each part: a quarter of its steps, in whole executions."""
    size, steps = task.options.get("steps_per_execution", 1), task.part_steps or 1
    return max(1, steps // SHORT // size) * size


def _device() -> str:
    """That Keras trains on; tf.keras is left the processor alone."""
    if BACKEND != "jax":
        return "cpu"
    import jax

    return jax.devices()[0].device_kind


def pixels(task: Task, images: np.ndarray) -> np.ndarray:
    """What the network takes: float32 in [0, 1], or the bytes themselves."""
    if task.options.get("of_bytes"):
        return images
    return to_vectors(images).reshape(images.shape)


def targets(task: Task, labels: np.ndarray) -> np.ndarray:
    """What the loss compares with: labels, or for Model 1 one-hot float32 rows."""
    if task.network != "sigmoid_mse":
        return labels
    return np.eye(task.layer_sizes[-1], dtype=np.float32)[labels]


def quadratic_cost(targets: Any, activations: Any) -> Any:
    """Half the squared distance, of each example."""
    return keras.ops.sum(keras.ops.square(activations - targets), axis=-1) / 2


def loss_function(task: Task) -> Any:
    """Of targets and outputs: a number, or one for each example."""
    if task.network == "sigmoid_mse":
        return quadratic_cost
    logits = task.options.get("logits", False)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)


def compiled(task: Task, image_shape: tuple[int, ...]) -> Any:
    """The network, ready to train, with the model's own initial distribution."""
    options = task.options
    if BACKEND != "tensorflow":
        random.seed(task.seed)
        np.random.seed(task.seed)  # the order of the images
    how: dict[str, Any] = {
        "softmax": not options.get("logits"),
        "sigmoids": task.network == "sigmoid_mse",
        "of_bytes": options.get("of_bytes", False),
    }
    # Without a seed: `fit` would take the images in the same order in every epoch.
    model = build(task.layer_sizes, image_shape, backend=BACKEND, **how)
    layers = numpy_batched.init(np.random.default_rng(task.seed), task)
    model.set_weights([array for layer in layers for array in layer])
    kinds = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}
    model.compile(
        optimizer=kinds[task.optimizer](task.learning_rate),
        loss=loss_function(task),
        metrics=["accuracy"] if options.get("metric", True) else None,
        jit_compile=options.get("jit_compile", "auto"),
        steps_per_execution=options.get("steps_per_execution", 1),
    )
    return model


def fit(task: Task, data: Data, on_part: OnPart, num_parts: int = EPOCHS) -> None:
    """Train, calling `on_part` after each part, so many times."""
    model = compiled(task, data.image.shape[1:])
    how: dict[str, Any] = {"verbose": 0, "callbacks": [_Clock(on_part, task)]}
    if task.options.get("tf_data"):
        how |= {"x": _batches(task, data), "shuffle": False}
    else:
        how |= {"x": pixels(task, data.image), "y": targets(task, data.label)}
        how |= {"batch_size": task.batch_size, "shuffle": True}
    if task.part_steps is None:
        model.fit(epochs=num_parts, **how)
        return
    if BACKEND == "tensorflow" and "y" in how:  # or each `fit` would copy them
        how |= {name: keras.ops.convert_to_tensor(how[name]) for name in "xy"}
    for _ in range(num_parts):
        for steps in (short_steps(task), short_steps(task), task.part_steps):
            model.fit(steps_per_epoch=steps, **how)


def _batches(task: Task, data: Data) -> Any:
    """An epoch in a new order each time, without the last batch if it is short."""
    import tensorflow as tf

    images, labels = tf.constant(data.image), tf.constant(targets(task, data.label))
    batch_size = task.batch_size
    num_batches = len(data.image) // batch_size

    def order(_: Any) -> Any:
        rows = tf.random.shuffle(tf.range(len(images)))[: num_batches * batch_size]
        return tf.data.Dataset.from_tensor_slices(
            tf.reshape(rows, (num_batches, batch_size))
        )

    def gather(rows: Any) -> tuple[Any, Any]:
        batch = tf.gather(images, rows)
        if not task.options.get("of_bytes"):
            batch = tf.cast(batch, tf.float32) / WHITE
        return batch, tf.gather(labels, rows)

    batches = tf.data.Dataset.range(1).flat_map(order)
    if task.options["tf_data"] == "prefetch_1":
        batches = batches.map(gather).prefetch(1)
    else:
        batches = batches.map(gather, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    return batches.apply(tf.data.experimental.assert_cardinality(num_batches))


class _EnoughError(Exception):
    """Ends a trial."""


def trial(
    task: Task, data: Data, options: Mapping[str, Any], num_parts: int
) -> list[float]:
    """What an epoch takes with these options by each of so many parts.

    A first part compiles and does not count.
    """
    seconds: list[float] = []
    task = task.with_options(**options)

    def on_part(part: Part) -> None:
        turn = {"seconds": [part.seconds], "fixed_seconds": part.fixed_seconds}
        seconds.append(epoch_seconds(turn, task.steps, task.part_steps))
        if len(seconds) > num_parts:
            raise _EnoughError

    with contextlib.suppress(_EnoughError):
        fit(task, data, on_part)
    return seconds[1:]


def run(task: Task, data: Data, on_part: OnPart) -> None:
    """Train on and on, calling `on_part` after each part."""
    if BACKEND == "jax":
        import jax

        jax.config.update("jax_enable_compilation_cache", False)  # a cold start
    fit(task, data, on_part)
