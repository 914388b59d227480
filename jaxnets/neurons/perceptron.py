"""A perceptron: binary inputs, weights, a threshold; the output is 0 or 1."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.errors import InputError
from jaxnets.types import Array


class Neuron(NamedTuple):
    """One neuron: a perceptron fires where weighted sum and bias are above 0."""

    weights: Array  # float32 [n], one an input
    bias: Array  # float32 [], minus the threshold


def weighted_sum(neuron: Neuron, inputs: Array) -> jax.Array:
    """`inputs @ weights + bias`, float32 [...] of inputs [..., n].

    Sums of whole numbers below 2^24 are exact: "highest" rules out the short
    products of some accelerators. Raises InputError for another length.
    """
    inputs = jnp.asarray(inputs)
    num_inputs = neuron.weights.shape[-1]
    if inputs.ndim == 0 or inputs.shape[-1] != num_inputs:
        raise InputError(
            f"inputs of shape {list(inputs.shape)}: the last axis must hold "
            f"{num_inputs} values, one a weight"
        )
    inputs = inputs.astype(jnp.float32)
    return jnp.dot(inputs, neuron.weights, precision="highest") + neuron.bias


def step(sums: jax.Array) -> jax.Array:
    """1.0 above 0, else 0.0: float32 of the same shape.

    The write-up leaves open what a sum equal to the threshold gives. Here it is 0,
    as in Nielsen's chapter 1, equation 1.
    """
    return (sums > 0).astype(jnp.float32)


def fire(neuron: Neuron, inputs: Array) -> jax.Array:
    """The perceptron's output, int32 [...], of inputs 0 or 1, [..., n].

    Raises InputError for another length, or (outside of jit only) another value.
    """
    require_inputs(
        inputs,
        lambda values: (values == 0) | (values == 1),
        "0 or 1, not {}; compare them with a level first, as in `image > 127`",
    )
    return step(weighted_sum(neuron, inputs)).astype(jnp.int32)


def require_inputs(
    inputs: Array, is_sound: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    """Raise InputError for the first value that is not sound; traced values pass."""
    if not isinstance(inputs, jax.core.Tracer):
        values = np.asarray(inputs)
        wrong = values[~is_sound(values)]
        if wrong.size:
            raise InputError("a neuron's inputs must be " + message.format(wrong[0]))
