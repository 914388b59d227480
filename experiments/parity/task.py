"""What the programs that are compared are given, and what they hand back."""

import itertools
from typing import NamedTuple

import jax
import numpy as np

from jaxnets import training
from jaxnets.batches import epoch_order
from jaxnets.data import Dataset
from jaxnets.pixels import WHITE, to_vectors
from jaxnets.types import Batch, Layers, Recipe

BETAS = (0.9, 0.999)  # of Adam, Keras's and optax's default
# Keras on TensorFlow takes the powers of the betas from their float32 values, even
# where it computes in float64. These are the same numbers in both.
FLOAT32_BETAS = (float(np.float32(0.9)), float(np.float32(0.999)))


class Side(NamedTuple):
    """One program, and what may set it apart from another."""

    program: str  # tf_keras, keras_on_jax, flax or scratch
    precision: str = "float32"  # or float64: of weights, activations and optimizer
    betas: tuple[float, float] = FLOAT32_BETAS
    optax_eps: float | None = None  # JAX: Adam in the paper's form; None: in Keras's
    softmax: bool = True  # Keras: ends in probabilities, as the write-up's network
    numpy_pixels: bool = False  # Keras: pixels divided by 255 in NumPy, not by XLA


class Task(NamedTuple):
    """What all sides are given; NumPy arrays, since it travels to processes."""

    params: Layers  # float32
    layer_sizes: tuple[int, ...]
    learning_rate: float
    data: Batch
    batches: list[np.ndarray]  # indices of each step's images
    marks: tuple[int, ...]  # steps after which the weights are compared
    pixels: np.ndarray  # float32 [256]: what a pixel of 0 to 255 is to the networks


Snapshot = dict[Side, Layers]  # the weights that the sides have reached


def make_task(recipe: Recipe, data: Dataset, seed: int, num_steps: int) -> Task:
    """The task of so many updates, its weights and its order decided by the seed."""
    from jaxnets import flax_dense  # which the processes of Keras do without

    keys = training.run_keys(seed)
    num_examples = len(data.train.label)
    return Task(
        params=jax.device_get(flax_dense.init(keys.init, recipe.layer_sizes)),
        layer_sizes=recipe.layer_sizes,
        learning_rate=recipe.learning_rate,
        data=data.train,
        batches=batches(keys.data, num_examples, recipe.batch_size, num_steps),
        marks=marks(num_steps),
        pixels=pixel_values(),
    )


def marks(num_steps: int) -> tuple[int, ...]:
    """Round numbers of steps, evenly on a logarithmic axis, and the last step."""
    decades = (digit * 10**power for power in range(8) for digit in (1, 2, 3, 5, 7))
    return (*(step for step in decades if step < num_steps), num_steps)


def batches(
    key: jax.Array, num_examples: int, batch_size: int, num_steps: int
) -> list[np.ndarray]:
    """The indices of so many steps' images, epoch after epoch, as in training."""
    indices: list[np.ndarray] = []
    for epoch in itertools.count():
        order = np.asarray(epoch_order(key, epoch, num_examples))
        indices += np.split(order, range(batch_size, num_examples, batch_size))
        if len(indices) >= num_steps:
            break
    return indices[:num_steps]


def pixel_values() -> np.ndarray:
    """float32 [256]: what `to_vectors` makes of a pixel inside a compiled program.

    XLA multiplies by 1/255 where NumPy divides by 255: about half of the values differ
    in the last bit, which is enough to keep two programs apart.
    """
    every_value = np.arange(WHITE + 1, dtype=np.uint8).reshape(1, 16, 16)
    return np.asarray(jax.jit(to_vectors)(every_value)).ravel()


def rounded_otherwise() -> int:
    """How many of `pixel_values` differ from NumPy's quotients."""
    quotients = np.arange(WHITE + 1, dtype=np.float32) / np.float32(WHITE)
    return int(np.sum(pixel_values() != quotients))
