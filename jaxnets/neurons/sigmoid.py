"""A sigmoid neuron: a perceptron whose step is smooth."""

import jax
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
    _require_unit_interval(inputs)
    return jax.nn.sigmoid(weighted_sum(neuron, inputs))


def predicted_change(neuron: Neuron, inputs: Array, change: Neuron) -> jax.Array:
    """What a small change of weights and bias does to the output, to first order.

    sum_j (d output / d w_j) Δw_j + (d output / d b) Δb: Nielsen, chapter 1,
    equation 5, as the derivative along `change`.
    """
    return jax.jvp(lambda moved: output(moved, inputs), (neuron,), (change,))[1]


def _require_unit_interval(inputs: Array) -> None:
    """Raise InputError unless every value is between 0 and 1; traced values pass."""
    if isinstance(inputs, jax.core.Tracer):
        return
    values = np.asarray(inputs)
    wrong = values[~((values >= 0) & (values <= 1))]
    if wrong.size:
        raise InputError(
            f"a sigmoid neuron's inputs must be between 0 and 1, not {wrong[0]}; "
            "divide 8-bit pixels by 255"
        )
