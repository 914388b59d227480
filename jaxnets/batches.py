"""A data set as batches: the order of its examples, and a fold over them."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.types import Batch

Carry = TypeVar("Carry")
Rows = TypeVar("Rows")  # arrays with one row per example


def epoch_order(key: jax.Array, epoch: int | jax.Array, num_examples: int) -> jax.Array:
    """The order of an epoch's examples: int32 [num_examples], each index once.

    It depends on the run's key and the epoch's number (from 0) alone, so a
    resumed run needs no hidden state. Random numbers are sorted once, where
    `jax.random.permutation` sorts twice to rule out the effect of equal ones:
    among 60,000 32-bit numbers less than one pair.
    """
    epoch_key = jax.random.fold_in(key, epoch)
    bits = jax.random.bits(epoch_key, (num_examples,), jnp.uint32)
    if jax.default_backend() == "cpu":
        return _argsort_in_one_array(bits)
    return jnp.argsort(bits).astype(jnp.int32)


def _argsort_in_one_array(numbers: jax.Array) -> jax.Array:
    """`jnp.argsort` of uint32 numbers, int32.

    XLA's processor back end sorts one array of 64-bit numbers several times as fast as
    two of 32 bits, the numbers and their places. Elsewhere this was not measured.
    """
    with jax.enable_x64(True):
        places = lax.iota(jnp.uint64, len(numbers))
        numbered = (numbers.astype(jnp.uint64) << jnp.uint64(32)) | places
        return (lax.sort(numbered) & jnp.uint64(0xFFFFFFFF)).astype(jnp.int32)


def take(data: Batch, indices: jax.Array) -> Batch:
    """The rows of these indices, each of which must exist."""
    return jax.tree.map(lambda rows: jnp.take(rows, indices, axis=0, mode="clip"), data)


def scan_batches(
    step: Callable[[Carry, Rows], Carry],
    carry: Carry,
    data: Rows,
    batch_size: int,
    *,
    unroll: int = 1,
) -> Carry:
    """Fold `step` over consecutive batches; what is left over is a last, short one.

    Every row of `data`'s arrays is used exactly once. `step` is compiled at most
    twice: for the full batches, which `lax.scan` runs, and for the short one. A loop
    over one batch would be compiled too, only to be taken apart. `unroll` is
    `lax.scan`'s: so many steps in a turn of the loop.
    """
    num_examples = jax.tree.leaves(data)[0].shape[0]
    num_full = num_examples // batch_size * batch_size
    if num_full == batch_size:
        carry = step(carry, jax.tree.map(lambda rows: rows[:num_full], data))
    elif num_full:
        full = jax.tree.map(
            lambda rows: rows[:num_full].reshape(-1, batch_size, *rows.shape[1:]), data
        )
        carry, _ = lax.scan(
            lambda carry, rows: (step(carry, rows), None), carry, full, unroll=unroll
        )
    if num_full < num_examples:
        carry = step(carry, jax.tree.map(lambda rows: rows[num_full:], data))
    return carry
