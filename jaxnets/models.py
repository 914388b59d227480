"""The published settings: one `Recipe` a model, each value with its source."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

import jax
import jax.numpy as jnp
import optax

from jaxnets import flax_dense, relu_softmax, row_rnn, sigmoid_mse
from jaxnets.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one network is built and trained."""

    layer_sizes: tuple[int, ...]
    """Neurons from input to output; the first fits the images, the last the classes."""
    optimizer: Literal["sgd", "adam"]
    """Adam is in Keras's form."""
    learning_rate: float
    """Step size of the optimizer, greater than 0."""
    batch_size: int
    """Examples per update."""
    num_epochs: int
    """Passes over the training set."""


SIGMOID_MSE = Recipe(
    layer_sizes=(784, 30, 10),  # Nielsen, chapter 1
    optimizer="sgd",
    learning_rate=3.0,  # eta, the write-up and Nielsen, chapter 1
    batch_size=10,  # mini_batch_size, likewise
    num_epochs=30,
)
RELU_SOFTMAX = Recipe(
    layer_sizes=(784, 100, 200, 10),  # the write-up says "multiple dense layers"
    optimizer="sgd",
    learning_rate=0.1,  # not in the write-up
    batch_size=64,  # the write-up
    num_epochs=32,  # the write-up
)
KERAS_DENSE = Recipe(
    layer_sizes=(784, 1024, 10),  # the write-up
    optimizer="adam",
    learning_rate=1e-3,  # Keras's default, which the write-up keeps
    batch_size=32,  # likewise
    num_epochs=5,  # the write-up
)
FLAX_DENSE = KERAS_DENSE  # the mirror
ROW_RNN = Recipe(  # the write-up names recurrent networks and trains none
    layer_sizes=(28, 128, 10),  # a row of pixels, the state, the classes
    optimizer="adam",
    learning_rate=5e-4,  # half of Keras's default: the last epochs are steadier
    batch_size=64,  # as relu_softmax
    num_epochs=15,
)

RECIPES = {
    "sigmoid_mse": SIGMOID_MSE,
    "relu_softmax": RELU_SOFTMAX,
    "keras_dense": KERAS_DENSE,
    "flax_dense": FLAX_DENSE,
    "row_rnn": ROW_RNN,
}
NETWORKS: dict[str, ModuleType] = {
    "sigmoid_mse": sigmoid_mse,
    "relu_softmax": relu_softmax,
    "flax_dense": flax_dense,
    "row_rnn": row_rnn,
}
REPORTED_ACCURACY = {  # the write-up's results, on MNIST's test set
    "sigmoid_mse": 0.1041,
    "relu_softmax": 0.971,
    "keras_dense": 0.972,
    "flax_dense": None,  # the write-up had no such model
    "row_rnn": None,  # likewise
}


def keras_adam(
    learning_rate: float, b1: float = 0.9, b2: float = 0.999
) -> optax.GradientTransformation:
    """Adam as tf.keras computes it.

    Keras adds its epsilon of 1e-7 outside the bias correction, Kingma and Ba's
    paper (2015, algorithm 1) and optax inside it. The two agree when optax's
    epsilon is 1e-7 / sqrt(1 - b2^t) at step t.
    """
    return optax.inject_hyperparams(optax.adam)(
        learning_rate,
        b1=b1,
        b2=b2,
        eps=lambda step: 1e-7 / jnp.sqrt(1 - b2 ** (step + 1)),
    )


OPTIMIZERS: dict[str, Callable[[float], optax.GradientTransformation]] = {
    "sgd": optax.sgd,
    "adam": keras_adam,
}


def optimizer(recipe: Recipe) -> optax.GradientTransformation:
    """The recipe's optimizer."""
    return OPTIMIZERS[recipe.optimizer](recipe.learning_rate)


def check_seed(seed: int) -> None:
    """Raise InputError unless JAX and Keras both take the seed."""
    if not 0 <= seed < 2**32:
        raise InputError(f"{seed=} must be between 0 and {2**32 - 1}")


def run_keys(seed: int) -> tuple[jax.Array, jax.Array]:
    """A run's two keys: for the initial weights and for the order of the data.

    Raises: as `check_seed`.
    """
    check_seed(seed)
    init_key, data_key = jax.random.split(jax.random.key(seed))
    return init_key, data_key


def check(name: str, recipe: Recipe) -> None:
    """Raise InputError where a setting makes no sense whatever the data."""
    if name not in RECIPES:
        raise InputError(f"unknown model {name!r}; known: {', '.join(RECIPES)}")
    rate = recipe.learning_rate
    if not (math.isfinite(rate) and rate > 0):
        raise InputError(f"{name}: learning rate {rate} must be greater than 0")
    if recipe.num_epochs < 1:
        raise InputError(f"{name}: {recipe.num_epochs} epochs; at least 1 is needed")
    if recipe.batch_size < 1:
        raise InputError(f"{name}: batch size {recipe.batch_size} must be at least 1")
    if len(recipe.layer_sizes) < 2 or min(recipe.layer_sizes) < 1:
        raise InputError(
            f"{name}: layer sizes {recipe.layer_sizes} must be two or more, each "
            "at least 1"
        )
