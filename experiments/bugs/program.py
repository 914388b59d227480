"""Model 1 cut into pieces, so that a mistake is one piece replaced.

Healthy, the pieces together are `sigmoid_mse` with its recipe's optimizer and an
evaluation that counts every image.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnets import models as recipes
from jaxnets import sigmoid_mse
from jaxnets.losses import quadratic_cost
from jaxnets.models import Recipe
from jaxnets.pixels import to_vectors
from jaxnets.types import Batch, LossFn, Params, Totals, count

Inputs = Callable[[jax.Array], jax.Array]  # uint8 images [B, H, W] to [B, H * W]


def arg_max(outputs: np.ndarray) -> np.ndarray:
    """The class of the largest output: [N, classes] to int [N]."""
    return outputs.argmax(axis=-1)


def share_right(answers: np.ndarray, labels: np.ndarray) -> float:
    """The share of answers [N] that are the label [N]."""
    return float(np.mean(answers == labels))


def as_it_is(train: Batch) -> Batch:
    """The training set, unchanged."""
    return train


class Program(NamedTuple):
    """A program that trains and tests Model 1, right or wrong."""

    name: str
    mistake: str  # in words
    sign: str | None = None  # kind of `diagnose`'s first finding
    init: Callable[[jax.Array, tuple[int, ...]], Params] = sigmoid_mse.init
    inputs: Inputs = to_vectors
    cost: Callable[[jax.Array, jax.Array], jax.Array] = quadratic_cost  # per example
    reduce: Callable[[jax.Array], jax.Array] = jnp.mean  # what is minimised
    optimizer: Callable[[Recipe], optax.GradientTransformation] = recipes.optimizer
    training_data: Callable[[Batch], Batch] = as_it_is
    answer: Callable[[np.ndarray], np.ndarray] = arg_max
    score: Callable[[np.ndarray, np.ndarray], float] = share_right

    def learns_as(self, other: "Program") -> bool:
        """Whether both train the same way, and differ in the evaluation alone."""
        pieces = ("init", "inputs", "cost", "reduce", "optimizer", "training_data")
        return all(getattr(self, name) == getattr(other, name) for name in pieces)


def layers(inputs: Inputs, params: Params, images: jax.Array) -> list[jax.Array]:
    """Activations [B, size] of every layer, hidden ones first, of uint8 images."""
    activations = [inputs(images)]
    for layer in params:
        weighted = activations[-1] @ layer.kernel + layer.bias[None, :]
        activations.append(jax.nn.sigmoid(weighted))
    return activations[1:]


def make_loss_fn(program: Program) -> LossFn:
    """As `sigmoid_mse.loss_fn`, with the program's own pieces."""

    def loss_fn(params: Params, batch: Batch) -> tuple[jax.Array, Totals]:
        outputs = layers(program.inputs, params, batch.image)[-1]
        losses = program.cost(outputs, batch.label)
        return program.reduce(losses), count(outputs, losses, batch.label)

    return loss_fn
