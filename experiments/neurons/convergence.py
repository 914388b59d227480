"""The perceptron learning rule until it makes no mistake, or to a cap."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets.errors import InputError
from jaxnets.neurons.learning import NO_EXAMPLE, silent
from jaxnets.neurons.perceptron import Neuron, check_bits, step, weighted_sum
from jaxnets.types import Array

BLOCK = 32  # examples looked at together for the next mistake


class Examples(NamedTuple):
    """Examples in blocks, for `learn`; made by `make_examples`."""

    inputs: Array  # uint8 [blocks, BLOCK, n], 0 or 1
    targets: Array  # int32 [blocks, BLOCK], 0 or 1, or NO_EXAMPLE


class Learned(NamedTuple):
    """Where the rule ended."""

    neuron: Neuron
    passes: Array  # int32 [], passes over the examples that were made
    mistakes: Array  # int32 [max_passes], a pass each; -1 after the last

    @property
    def converged(self) -> bool:
        """Whether the last pass was without a mistake."""
        return int(self.mistakes[int(self.passes) - 1]) == 0


def learn(examples: Examples, max_passes: int) -> Learned:
    """Apply the rule until a pass has no mistake, `max_passes` times at most.

    It does what `learning.learn_pass` does again and again, weight for weight, but
    looks for the next mistake in a block of examples at once: as most are right, it
    is many times faster.
    """

    def one_pass(state: Learned) -> Learned:
        (neuron, mistakes), _ = lax.scan(
            _learn_block, (state.neuron, jnp.int32(0)), examples
        )
        noted = state.mistakes.at[state.passes].set(mistakes)
        return Learned(neuron, state.passes + 1, noted)

    def goes_on(state: Learned) -> jax.Array:
        last = state.mistakes[jnp.maximum(state.passes - 1, 0)]
        return (state.passes < max_passes) & (last != 0)

    examples = jax.tree.map(jnp.asarray, examples)
    nothing_yet = jnp.full(max_passes, -1, jnp.int32)
    start = Learned(silent(examples.inputs.shape[-1]), jnp.int32(0), nothing_yet)
    return lax.while_loop(goes_on, one_pass, start)


def _learn_block(carry: tuple[Neuron, jax.Array], block: Examples):
    """From mistake to mistake through one block."""
    inputs = block.inputs.astype(jnp.float32)
    places = jnp.arange(BLOCK)

    def next_mistake(neuron: Neuron, place: jax.Array) -> jax.Array:
        """The first wrong example from `place` on; BLOCK where there is none."""
        outputs = step(weighted_sum(neuron, inputs))
        is_example = block.targets != NO_EXAMPLE
        wrong = is_example & (outputs != block.targets) & (places >= place)
        return jnp.min(jnp.where(wrong, places, BLOCK))

    def learn_one(state: tuple[Neuron, jax.Array, jax.Array]):
        (weights, bias), mistakes, place = state
        error = jnp.where(block.targets[place] == 1, 1.0, -1.0)
        neuron = Neuron(weights + error * inputs[place], bias + error)
        return neuron, mistakes + 1, next_mistake(neuron, place + 1)

    neuron, mistakes = carry
    state = (neuron, mistakes, next_mistake(neuron, jnp.int32(0)))
    neuron, mistakes, _ = lax.while_loop(lambda s: s[2] < BLOCK, learn_one, state)
    return (neuron, mistakes), None


def make_examples(
    inputs: np.ndarray, targets: np.ndarray, num_rows: int | None = None
) -> Examples:
    """Check examples on the host and lay them out in blocks.

    Args:
      inputs: [N, n], 0 or 1.
      targets: [N], 0 or 1.
      num_rows: fill up to so many, so that sets of several sizes share a program.

    Raises:
      InputError: another value or length, no example, or more than `num_rows`.
    """
    inputs, targets = np.asarray(inputs), np.asarray(targets)
    if inputs.ndim != 2 or len(inputs) == 0:
        raise InputError(
            f"inputs of shape {list(inputs.shape)} must be [examples, inputs], with at "
            "least one example"
        )
    check_bits(inputs)
    if targets.shape != inputs.shape[:1]:
        raise InputError(f"{len(inputs)} examples but targets {list(targets.shape)}")
    if not np.isin(targets, (0, 1)).all():
        raise InputError("a perceptron's targets must be 0 or 1")
    num_rows = len(inputs) if num_rows is None else num_rows
    if num_rows < len(inputs):
        raise InputError(f"{num_rows=} must be at least {len(inputs)}, the examples")
    missing = -(-num_rows // BLOCK) * BLOCK - len(inputs)
    filled = np.pad(inputs.astype(np.uint8), ((0, missing), (0, 0)))
    marked = np.pad(targets.astype(np.int32), (0, missing), constant_values=NO_EXAMPLE)
    return Examples(
        filled.reshape(-1, BLOCK, inputs.shape[1]), marked.reshape(-1, BLOCK)
    )
