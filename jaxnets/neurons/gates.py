"""Logic from one perceptron: NAND, and everything else from NAND.

Nielsen, chapter 1: weights -2, -2 and bias 3 make a NAND gate, and NAND gates make
any circuit. Every function below takes and gives 0 or 1, int32, of any shape.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets.neurons.perceptron import Neuron, fire
from jaxnets.types import Array

NAND = Neuron(np.array([-2, -2], np.float32), np.float32(3))


def nand(first: Array, second: Array) -> jax.Array:
    """The one perceptron: 0 where both inputs are 1."""
    bits = (jnp.asarray(bit, jnp.float32) for bit in (first, second))
    return fire(NAND, jnp.stack(jnp.broadcast_arrays(*bits), axis=-1))


def not_gate(bit: Array) -> jax.Array:
    """One perceptron."""
    return nand(bit, bit)


def and_gate(first: Array, second: Array) -> jax.Array:
    """Two perceptrons."""
    return not_gate(nand(first, second))


def or_gate(first: Array, second: Array) -> jax.Array:
    """Three perceptrons."""
    return nand(not_gate(first), not_gate(second))


def nor_gate(first: Array, second: Array) -> jax.Array:
    """Four perceptrons."""
    return not_gate(or_gate(first, second))


def xor_gate(first: Array, second: Array) -> jax.Array:
    """Four perceptrons in three layers; one perceptron alone cannot do it."""
    return _xor_and_nand(first, second)[0]


def _xor_and_nand(first: Array, second: Array) -> tuple[jax.Array, jax.Array]:
    not_both = nand(first, second)
    return nand(nand(first, not_both), nand(second, not_both)), not_both


def half_adder(first: Array, second: Array) -> tuple[jax.Array, jax.Array]:
    """The sum's bit and the carry: five perceptrons (Nielsen's circuit)."""
    total, not_both = _xor_and_nand(first, second)
    return total, not_gate(not_both)


def full_adder(
    first: Array, second: Array, carry: Array
) -> tuple[jax.Array, jax.Array]:
    """The sum's bit and the next carry: nine perceptrons."""
    partial, not_both = _xor_and_nand(first, second)
    total, not_carried = _xor_and_nand(partial, carry)
    return total, nand(not_both, not_carried)


def add_bits(first: Array, second: Array) -> jax.Array:
    """The sum int32 [n + 1, ...] of numbers in bits [n, ...], lowest bit first."""

    def add_one(carry: jax.Array, pair: tuple[jax.Array, jax.Array]):
        total, carry = full_adder(*pair, carry)
        return carry, total

    first, second = jnp.asarray(first), jnp.asarray(second)
    no_carry = jnp.zeros(first.shape[1:], jnp.int32)
    carry, totals = lax.scan(add_one, no_carry, (first, second))
    return jnp.concatenate([totals, carry[None]])
