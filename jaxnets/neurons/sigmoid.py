"""A sigmoid neuron: a perceptron whose step is smooth."""

import jax

from jaxnets.neurons.perceptron import Neuron, require_inputs, weighted_sum
from jaxnets.types import Array


def output(neuron: Neuron, inputs: Array) -> jax.Array:
    """`1 / (1 + exp(-(inputs @ weights + bias)))`, float32 [...].

    Inputs are [..., n], between 0 and 1. Raises InputError for another length, or
    (outside of jit only) another value.
    """
    require_inputs(
        inputs,
        lambda values: (values >= 0) & (values <= 1),
        "between 0 and 1, not {}; divide 8-bit pixels by 255",
    )
    return jax.nn.sigmoid(weighted_sum(neuron, inputs))


def predicted_change(neuron: Neuron, inputs: Array, change: Neuron) -> jax.Array:
    """What a small change of weights and bias does to the output, to first order.

    sum_j (d output / d w_j) Δw_j + (d output / d b) Δb: Nielsen, chapter 1,
    equation 5, as the derivative along `change`.
    """
    return jax.jvp(lambda moved: output(moved, inputs), (neuron,), (change,))[1]
