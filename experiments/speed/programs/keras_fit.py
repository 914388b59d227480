"""Keras's `model.fit` on the backend that KERAS_BACKEND names.

The network is that of `jaxnets.keras_network`, the settings are Keras's defaults but
for the task's options: steps_per_execution, jit_compile, tf_data (the batches are
gathered from bytes by tf.data), metric (False: none) and logits (the loss takes them
in place of probabilities). Between two epochs `fit` waits in its callback. One `fit`
trains all epochs, or the parts of one, as steps_per_epoch has it.
"""

import os
import random
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.speed.programs import numpy_batched
from experiments.speed.worker import WHITE, Data, OnPart, Part, Task, to_vectors
from jaxnets.keras_network import VARIABLE, build, load_keras

BACKEND = os.environ.get(VARIABLE, "tensorflow")
keras: Any = load_keras(BACKEND)
EPOCHS = 10**6  # more than anybody waits for


class _Clock(keras.callbacks.Callback):
    """Times each epoch; a hook per batch would slow every step."""

    def __init__(self, on_part: OnPart) -> None:
        super().__init__()
        self._on_part = on_part

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self._began
        self._on_part(Part(seconds, self._predict, device=_device()))

    def _predict(self, images: np.ndarray) -> np.ndarray:
        vectors = to_vectors(images).reshape(images.shape)
        scores = self.model(vectors, training=False)
        return keras.ops.convert_to_numpy(scores).argmax(axis=1)


def _device() -> str:
    """That Keras trains on; tf.keras is left the processor alone."""
    if BACKEND != "jax":
        return "cpu"
    import jax

    return jax.devices()[0].device_kind


def quadratic_cost(targets: Any, activations: Any) -> Any:
    """Half the squared distance, of each example."""
    return keras.ops.sum(keras.ops.square(activations - targets), axis=-1) / 2


def compiled(task: Task, image_shape: tuple[int, ...]) -> Any:
    """The network, ready to train, with the model's own initial distribution."""
    options, is_quadratic = task.options, task.network == "sigmoid_mse"
    if BACKEND != "tensorflow":
        random.seed(task.seed)
        np.random.seed(task.seed)  # the order of the images
    softmax = not options.get("logits")
    how: dict[str, Any] = {"softmax": softmax, "sigmoids": is_quadratic}
    # Without a seed: `fit` would take the images in the same order in every epoch.
    model = build(task.layer_sizes, image_shape, backend=BACKEND, **how)
    layers = numpy_batched.init(np.random.default_rng(task.seed), task)
    model.set_weights([array for layer in layers for array in layer])
    kinds = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=not softmax)
    model.compile(
        optimizer=kinds[task.optimizer](task.learning_rate),
        loss=quadratic_cost if is_quadratic else loss,
        metrics=["accuracy"] if options.get("metric", True) else None,
        jit_compile=options.get("jit_compile", "auto"),
        steps_per_execution=options.get("steps_per_execution", 1),
    )
    return model


def fit(task: Task, data: Data, on_part: OnPart, num_parts: int = EPOCHS) -> None:
    """Train, calling `on_part` after each part, so many times at least."""
    model = compiled(task, data.image.shape[1:])
    targets: np.ndarray = data.label
    if task.network == "sigmoid_mse":
        targets = np.eye(task.layer_sizes[-1], dtype=np.float32)[data.label]
    how: dict[str, Any] = {"verbose": 0, "callbacks": [_Clock(on_part)]}
    if task.options.get("tf_data"):
        batches = _batches(task, data.image, targets)
        how |= {"shuffle": False, "steps_per_epoch": task.part_steps}
        model.fit(batches, epochs=num_parts, **how)
        return
    images = to_vectors(data.image).reshape(data.image.shape)
    how |= {"batch_size": task.batch_size, "shuffle": True}
    if task.part_steps is None:
        model.fit(images, targets, epochs=num_parts, **how)
        return
    # `fit` goes on where a part ended, and stops where its data does.
    parts = task.examples // task.batch_size // task.part_steps
    for _ in range(0, num_parts, parts):
        steps = task.part_steps
        model.fit(images, targets, epochs=parts, steps_per_epoch=steps, **how)


def _batches(task: Task, images: np.ndarray, targets: np.ndarray) -> Any:
    """An epoch in a new order each time, without the last batch if it is short.

    For parts, one epoch after the other without an end.
    """
    import tensorflow as tf

    pixels, targets = tf.constant(images), tf.constant(targets)
    batch_size = task.batch_size
    num_batches = len(images) // batch_size

    def order(_: Any) -> Any:
        rows = tf.random.shuffle(tf.range(len(images)))[: num_batches * batch_size]
        return tf.data.Dataset.from_tensor_slices(
            tf.reshape(rows, (num_batches, batch_size))
        )

    def gather(rows: Any) -> tuple[Any, Any]:
        pixels_of_batch = tf.cast(tf.gather(pixels, rows), tf.float32)
        return pixels_of_batch / WHITE, tf.gather(targets, rows)

    batches = tf.data.Dataset.range(EPOCHS if task.part_steps else 1).flat_map(order)
    batches = batches.map(gather, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    if task.part_steps:
        return batches
    return batches.apply(tf.data.experimental.assert_cardinality(num_batches))


def trial(task: Task, data: Data, options: Mapping[str, Any], num_parts: int) -> float:
    """The fastest part's seconds with these options; the first one compiles."""
    seconds: list[float] = []
    task = task.with_options(**options)
    fit(task, data, lambda part: seconds.append(part.seconds), 1 + num_parts)
    return min(seconds[1:])


def run(task: Task, data: Data, on_part: OnPart) -> None:
    """Train on and on, calling `on_part` after each part."""
    if BACKEND == "jax":
        import jax

        jax.config.update("jax_enable_compilation_cache", False)  # a cold start
    fit(task, data, on_part)
