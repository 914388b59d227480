"""The Keras sides, each backend in a process of its own."""

import importlib.util
import itertools
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING

from experiments.parity.task import Side, Snapshot, Task
from jaxnets import keras_dense, process

if TYPE_CHECKING:
    import keras

BACKENDS = {"tf_keras": "tensorflow", "keras_on_jax": "jax"}


def installed() -> list[str]:
    """Those of `BACKENDS` that can run here."""
    if not importlib.util.find_spec("keras"):
        return []
    return [name for name in BACKENDS if importlib.util.find_spec(BACKENDS[name])]


def snapshots(
    program: str, steps: Mapping[Side, int], task: Task
) -> Generator[Snapshot, None, None]:
    """As `jax_sides.snapshots`, for the sides of one backend."""
    yield from process.iterate(
        _train_here, program, steps, task, without=process.KERAS_DOES_WITHOUT
    )


def _train_here(
    send: Callable[[Snapshot], None],
    program: str,
    steps: Mapping[Side, int],
    task: Task,
) -> None:
    _compute_exactly(BACKENDS[program])
    models = {side: _model(side, task) for side in steps}
    for before, mark in itertools.pairwise((0, *task.marks)):
        reached: Snapshot = {}
        for side in (side for side in steps if mark <= steps[side]):
            _set_precision(side)
            for rows in task.batches[before:mark]:
                images = task.data.image[rows]
                scaled = task.pixels[images]
                if side.numpy_pixels:
                    scaled = keras_dense.scaled(images)
                models[side].train_on_batch(scaled, task.data.label[rows])
            reached[side] = keras_dense.to_dense(models[side])
        send(reached)


def _compute_exactly(backend: str) -> None:
    """Load Keras, with products in the precision of their numbers on accelerators."""
    keras_dense.load_keras(backend)
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(False)
    else:
        import jax

        jax.config.update("jax_default_matmul_precision", "highest")


def _set_precision(side: Side) -> None:
    """What Keras makes from now on is of this type, and JAX may be too."""
    keras = keras_dense.load_keras(BACKENDS[side.program])
    keras.config.set_floatx(side.precision)
    keras.config.set_dtype_policy(side.precision)  # floatx sets it the first time only
    if side.program == "keras_on_jax":
        import jax

        jax.config.update("jax_enable_x64", side.precision == "float64")


def _model(side: Side, task: Task) -> "keras.Model":
    """The write-up's network; without softmax it ends in logits, and the loss knows."""
    _set_precision(side)
    backend = BACKENDS[side.program]
    keras = keras_dense.load_keras(backend)
    model = keras_dense.build(
        task.layer_sizes,
        task.data.image.shape[1:],
        softmax=side.softmax,
        backend=backend,
    )
    b1, b2 = side.betas
    model.compile(
        optimizer=keras.optimizers.Adam(task.learning_rate, beta_1=b1, beta_2=b2),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=not side.softmax),
    )
    keras_dense.from_dense(model, task.params)
    return model
