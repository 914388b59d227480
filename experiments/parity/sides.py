"""The programs that are compared, and their weights as they train.

The JAX sides run in this process, those of a Keras backend in a process of its own.
"""

import contextlib
import functools
import importlib.util
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnets import keras_dense, optimizers, process, relu_softmax, training
from jaxnets.types import Batch, Layers, Recipe

BACKENDS = {"tf_keras": "tensorflow", "keras_on_jax": "jax"}
PROGRAMS = (*BACKENDS, "flax", "scratch")
# Keras on TensorFlow takes the powers of Adam's betas from their float32 values, even
# where it computes in float64. These are the same numbers in both.
FLOAT32_BETAS = (float(np.float32(0.9)), float(np.float32(0.999)))


class Side(NamedTuple):
    """One program, and what may set it apart from another."""

    program: str  # of PROGRAMS
    precision: str = "float32"  # or float64: of weights, activations and optimizer
    betas: tuple[float, float] = FLOAT32_BETAS
    optax_eps: float | None = None  # JAX: Adam in the paper's form; None: in Keras's
    softmax: bool = True  # Keras: ends in probabilities, as the write-up's network
    numpy_pixels: bool = False  # Keras: pixels divided by 255 in NumPy, not by XLA


class Task(NamedTuple):
    """What all sides are given; NumPy arrays, since it travels to processes."""

    recipe: Recipe
    params: Layers  # float32
    data: Batch
    # Indices of each step's images, by the step after which the weights are compared.
    batches: dict[int, list[np.ndarray]]
    pixels: np.ndarray  # float32 [2, 256]: a pixel of 0 to 255 to XLA, and to NumPy


Steps = Mapping[Side, int]  # how long each side trains
Snapshot = dict[Side, Layers]  # the weights that the sides have reached


def installed() -> list[str]:
    """Those of `PROGRAMS` that can run here: Keras needs its backend, too."""
    has = importlib.util.find_spec
    missing = {name for name in BACKENDS if not (has("keras") and has(BACKENDS[name]))}
    return [name for name in PROGRAMS if name not in missing]


def snapshots(steps: Steps, task: Task) -> Generator[Snapshot, None, None]:
    """The weights after each part of the batches, of the sides that train so long."""
    with contextlib.ExitStack() as stack:
        streams = []
        for program in BACKENDS:
            part = {side: steps[side] for side in steps if side.program == program}
            if part:
                work = (_train_keras, program, part, task)
                stream = process.iterate(*work, without=process.KERAS_DOES_WITHOUT)
                streams.append(stack.enter_context(contextlib.closing(stream)))
        in_jax = {side: steps[side] for side in steps if side.program not in BACKENDS}
        for parts in zip(*streams, _abreast(_jax_weights, in_jax, task), strict=True):
            yield {side: weights for part in parts for side, weights in part.items()}


def _abreast(train: Callable, steps: Steps, task: Task) -> Iterator[Snapshot]:
    """The snapshots of sides whose weights `train(side, task)` yields."""
    streams = {side: train(side, task) for side in steps}
    for mark in task.batches:
        reached = {}
        for side in (side for side in steps if mark <= steps[side]):
            with jax.enable_x64(side.precision == "float64"):
                reached[side] = next(streams[side])
        yield reached


def _jax_weights(side: Side, task: Task) -> Iterator[Layers]:
    from jaxnets import flax_dense  # here, since Keras's processes need no Flax

    network = flax_dense if side.program == "flax" else relu_softmax
    make_tx = optimizers.keras_adam
    if side.optax_eps is not None:
        make_tx = functools.partial(optax.adam, eps=side.optax_eps)
    tx = make_tx(task.recipe.learning_rate, *side.betas)
    train_step = jax.jit(training.make_train_step(network.loss_fn, tx))
    convert = functools.partial(jnp.asarray, dtype=side.precision)
    state = training.start(jax.tree.map(convert, task.params), tx)
    for batches in task.batches.values():
        for rows in batches:
            batch = Batch(task.data.image[rows], task.data.label[rows])
            state, _ = train_step(state, batch)
        yield jax.device_get(state.params)


def _train_keras(send: Callable, program: str, steps: Steps, task: Task) -> None:
    keras_dense.load_keras(BACKENDS[program])
    # On accelerators, products are to be as exact as their numbers.
    if program == "tf_keras":
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(False)
    else:
        jax.config.update("jax_default_matmul_precision", "highest")
    for snapshot in _abreast(_keras_weights, steps, task):
        send(snapshot)


def _keras_weights(side: Side, task: Task) -> Iterator[Layers]:
    """The write-up's network; without softmax it ends in logits, and the loss knows."""
    backend, recipe = BACKENDS[side.program], task.recipe
    keras = keras_dense.load_keras(backend)

    def set_precision() -> None:  # of what Keras makes from now on
        keras.config.set_floatx(side.precision)
        keras.config.set_dtype_policy(side.precision)  # floatx sets it only once

    set_precision()
    shape = task.data.image.shape[1:]
    model = keras_dense.build(
        recipe.layer_sizes, shape, softmax=side.softmax, backend=backend
    )
    b1, b2 = side.betas
    model.compile(
        optimizer=keras.optimizers.Adam(recipe.learning_rate, beta_1=b1, beta_2=b2),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=not side.softmax),
    )
    keras_dense.from_dense(model, task.params)
    pixels = task.pixels[int(side.numpy_pixels)]
    for batches in task.batches.values():
        set_precision()
        for rows in batches:
            model.train_on_batch(pixels[task.data.image[rows]], task.data.label[rows])
        yield keras_dense.to_dense(model)
