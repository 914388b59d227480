"""The Keras sides of `parity`, each backend in a process of its own."""

import importlib.util
import itertools
import os
from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from experiments.parity.task import Side, Snapshot, Task
from jaxnets import process as worker
from jaxnets.pixels import WHITE
from jaxnets.types import Dense, layer_sizes_of

BACKENDS = {"tf_keras": "tensorflow", "keras_on_jax": "jax"}


def installed() -> list[str]:
    """Those of `BACKENDS` that can run here."""
    if not importlib.util.find_spec("keras"):
        return []
    return [name for name in BACKENDS if importlib.util.find_spec(BACKENDS[name])]


def snapshots(
    program: str, steps: dict[Side, int], task: Task
) -> Generator[Snapshot, None, None]:
    """As `jax_sides.snapshots`, for the sides of one backend."""
    yield from worker.iterate(
        _train_here, program, steps, task, without=worker.KERAS_DOES_WITHOUT
    )


def _train_here(
    send: Callable[[Snapshot], None],
    program: str,
    steps: dict[Side, int],
    task: Task,
) -> None:
    keras = _load(BACKENDS[program])
    models = {}
    for side in steps:
        _set_precision(keras, side.precision)
        models[side] = _model(keras, side, task)
    for before, mark in itertools.pairwise((0, *task.marks)):
        reached: Snapshot = {}
        for side, num_steps in steps.items():
            if mark > num_steps:
                continue
            _set_precision(keras, side.precision)
            for rows in task.batches[before:mark]:
                inputs = _inputs(side, task, task.data.image[rows])
                models[side].train_on_batch(inputs, task.data.label[rows])
            weights = models[side].get_weights()
            pairs = zip(weights[0::2], weights[1::2], strict=True)
            reached[side] = tuple(Dense(*pair) for pair in pairs)
        send(reached)


def _load(backend: str) -> Any:
    """Keras on the backend; a process can have one only."""
    if backend == "tensorflow":
        from jaxnets import keras_dense

        tf = keras_dense.tf
        tf.config.experimental.enable_tensor_float_32_execution(False)
        return keras_dense.keras
    os.environ["KERAS_BACKEND"] = backend
    import jax
    import keras

    jax.config.update("jax_default_matmul_precision", "highest")
    return keras


def _set_precision(keras: Any, precision: str) -> None:
    """What Keras makes from now on is of this type, and JAX may be too."""
    keras.config.set_floatx(precision)
    keras.config.set_dtype_policy(precision)  # which floatx sets only the first time
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_enable_x64", precision == "float64")


def _model(keras: Any, side: Side, task: Task) -> Any:
    """The write-up's network; without softmax it ends in logits and says so."""
    sizes = layer_sizes_of(task.params)
    model = keras.Sequential([keras.Input(task.data.image.shape[1:])])
    model.add(keras.layers.Flatten())
    for size in sizes[1:-1]:
        model.add(keras.layers.Dense(size, activation="relu"))
    last = "softmax" if side.softmax else None
    model.add(keras.layers.Dense(sizes[-1], activation=last))
    b1, b2 = side.betas
    model.compile(
        optimizer=keras.optimizers.Adam(task.learning_rate, beta_1=b1, beta_2=b2),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=not side.softmax),
    )
    model.set_weights([array for layer in task.params for array in layer])
    return model


def _inputs(side: Side, task: Task, images: np.ndarray) -> np.ndarray:
    """Images [B, H, W] to numbers in [0, 1], as the side is to have them."""
    if side.numpy_pixels:
        return images.astype(np.float32) / WHITE  # as `keras_dense.scaled`
    return task.pixels[images]
