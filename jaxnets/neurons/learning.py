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

NO_EXAMPLE = -1  # the target of a row that only fills up


def silent(num_inputs: int) -> Neuron:
    """Weights and bias 0: every sum is at the threshold, so no input fires it."""
    return Neuron(jnp.zeros(num_inputs), jnp.float32(0))


def learn_pass(
    neuron: Neuron,
    inputs: Array,
    targets: Array,
    *,
    activation: Callable[[jax.Array], jax.Array] = step,
    rate: float = 1.0,
) -> tuple[Neuron, jax.Array]:
    """One pass over inputs [N, n] with targets int32 [N], in their order.

    Returns:
      The neuron and the number of examples that it got wrong on its way. Rows with
      the target NO_EXAMPLE change and count nothing.
    """

    def learn_one(
        carry: tuple[Neuron, jax.Array], example: tuple[jax.Array, jax.Array]
    ):
        (weights, bias), mistakes = carry
        row, target = example
        row = row.astype(jnp.float32)
        sums = weighted_sum(Neuron(weights, bias), row)
        is_example = target != NO_EXAMPLE
        error = jnp.where(is_example, target - activation(sums), 0.0)
        wrong = is_example & (step(sums) != target)
        neuron = Neuron(weights + rate * error * row, bias + rate * error)
        return (neuron, mistakes + wrong), None

    (neuron, mistakes), _ = lax.scan(
        learn_one, (neuron, jnp.int32(0)), (jnp.asarray(inputs), jnp.asarray(targets))
    )
    return neuron, mistakes


def neurons_by_pass(inputs: Array, targets: Array, num_passes: int) -> Neuron:
    """The perceptron after each pass: weights [passes, n], bias [passes]."""

    def one_pass(neuron: Neuron, _: None):
        learned = learn_pass(neuron, inputs, targets)[0]
        return learned, learned

    return lax.scan(one_pass, silent(inputs.shape[1]), None, num_passes)[1]
