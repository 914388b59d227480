"""A sigmoid neuron: a perceptron whose step is smooth."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.errors import InputError
from jaxnets.neurons.perceptron import Neuron, weighted_sum
from jaxnets.types import Array


def output(neuron: Neuron, inputs: Array) -> jax.Array:
    """`1 / (1 + exp(-(inputs @ weights + bias)))`: float32 [...], inputs [..., n].

    Args:
      neuron: weights and bias, any real numbers.
      inputs: between 0 and 1.

    Raises:
      InputError: another length, or (seen outside of jit only) another value.
    """
    check_inputs(inputs)
    return jax.nn.sigmoid(weighted_sum(neuron, inputs))


def predicted_change(neuron: Neuron, inputs: Array, change: Neuron) -> jax.Array:
    """What a small change of weights and bias does to the output, to first order.

    sum_j (d output / d w_j) Δw_j + (d output / d b) Δb: Nielsen, chapter 1,
    equation 5, as the derivative along `change`.
    """
    return jax.jvp(lambda moved: output(moved, inputs), (neuron,), (change,))[1]


def moved(neuron: Neuron, change: Neuron, size: float | jax.Array = 1.0) -> Neuron:
    """The neuron after `size` times the change."""
    return jax.tree.map(lambda value, delta: value + size * delta, neuron, change)


def scaled(neuron: Neuron, factor: float | jax.Array) -> Neuron:
    """Weights and bias times a factor: the perceptron is the limit of large ones."""
    return jax.tree.map(lambda value: factor * value, neuron)


def check_inputs(inputs: Array) -> None:
    """Raise InputError unless every value is between 0 and 1; traced values pass."""
    if isinstance(inputs, jax.core.Tracer):
        return
    values = np.asarray(inputs).astype(np.float64)
    wrong = values[~((values >= 0) & (values <= 1))]
    if wrong.size:
        raise InputError(
            f"a sigmoid neuron's inputs must be between 0 and 1, not {wrong[0]}; "
            "divide 8-bit pixels by 255"
        )


def smallest_rounded_to_one() -> float | None:
    """The smallest sum below 40, to 0.01, with an output of exactly 1 in float32."""
    sums = jnp.arange(0, 40, 0.01)
    is_one = np.asarray(jax.nn.sigmoid(sums)) == 1
    return float(sums[is_one.argmax()]) if is_one.any() else None
