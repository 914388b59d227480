"""The perceptron learning rule, for one neuron.

After each example: weights += (target - output) * inputs, and likewise the bias.
Nothing changes where the output is right. Rosenblatt (1958); it makes finitely many
mistakes where the classes can be separated by a plane (Novikoff, 1962), and goes on
for ever where they cannot. With inputs of 0 and 1 all weights are whole numbers, so
the rule is exact in float32.

With the sigmoid in place of the step, and a rate, the same line is gradient descent
on the cross-entropy: `learn_pass` does both.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.neurons.perceptron import Neuron, step, weighted_sum
from jaxnets.types import Array

NO_EXAMPLE = -1  # the target, or label, of a row that only fills up


def silent(num_inputs: int) -> Neuron:
    """Weights and bias 0: every sum is at the threshold, so no input fires it."""
    return Neuron(jnp.zeros(num_inputs, jnp.float32), jnp.float32(0))


def learn_pass(
    neuron: Neuron,
    inputs: Array,
    targets: Array,
    *,
    activation: Callable[[jax.Array], jax.Array] = step,
    rate: float = 1.0,
) -> tuple[Neuron, jax.Array]:
    """One pass over inputs [N, n] with targets int32 [N], in their order.

    Returns the neuron and int32 [], how many examples it got wrong on its way. Rows
    with the target NO_EXAMPLE change and count nothing.
    """

    def learn_one(carry: tuple[Neuron, jax.Array], example: tuple):
        neuron, mistakes = carry
        row, target = example
        row, is_example = row.astype(jnp.float32), target != NO_EXAMPLE
        sums = weighted_sum(neuron, row)
        error = target.astype(jnp.float32) - activation(sums)
        change = rate * jnp.where(is_example, error, 0.0)
        wrong = is_example & (step(sums) != target.astype(jnp.float32))
        neuron = Neuron(neuron.weights + change * row, neuron.bias + change)
        return (neuron, mistakes + wrong.astype(jnp.int32)), None

    (neuron, mistakes), _ = lax.scan(
        learn_one, (neuron, jnp.int32(0)), (jnp.asarray(inputs), jnp.asarray(targets))
    )
    return neuron, mistakes
