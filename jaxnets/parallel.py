"""One network on several devices: each takes its part of every batch.

The batches are those of one device: the same examples in the same order. Of a batch of
B examples each of the N devices takes B // N, one after the other, and the first B % N
devices take one more. Every device has all parameters. It computes the gradient of its
part, weighted by its size; the parts are summed over the devices, in one all-reduce a
step of as many bytes as the gradients have; and every device makes the same update.

The functions here are for the inside of `jax.shard_map` over a mesh with the one axis
`AXIS`; `over` puts them there. What they compute is that of one device but for the
order in which float32 sums are rounded.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.flatten_util import ravel_pytree

from jaxnets.batches import take
from jaxnets.types import Array, Batch, Params, Totals

AXIS = "data"
SHARED = jax.P()

Rows = TypeVar("Rows")  # arrays with one row per example
# Of a function and how many of its arguments are one network's own: one of many
# networks, or devices.
Spread = Callable[[Callable[..., Any], int], Callable[..., Any]]
Evaluate = Callable[[Params, Batch], Totals]


class Share(NamedTuple):
    """One device's examples of a batch of B, on N devices."""

    equal: Batch  # B // N examples, as many as every device has; may be none
    extra: Batch  # one more, where N does not divide B; else none
    equal_weight: Array  # float [], the first ones' share of the whole batch
    extra_weight: Array  # float [], 1 / B; or 0, where the extra one is another's


def alone(function: Callable[..., Any], num_own: int) -> Callable[..., Any]:
    """The function as it is, for one device."""
    del num_own
    return function


def over(mesh: jax.sharding.Mesh) -> Spread:
    """What makes a function run on every device of the mesh, with equal arguments."""

    def spread(function: Callable[..., Any], num_own: int) -> Callable[..., Any]:
        del num_own  # all arguments are shared
        return jax.shard_map(
            function, mesh=mesh, in_specs=SHARED, out_specs=SHARED, check_vma=False
        )

    return spread


def cut(rows: Rows) -> tuple[Rows, Rows, jax.Array]:
    """This device's rows: as many as every device has; one more or none; if it counts.

    Where N does not divide their number, the first devices have one more each; to the
    others the last of these is given again, and does not count.
    """
    count, rest = divmod(jax.tree.leaves(rows)[0].shape[0], lax.axis_size(AXIS))
    device = lax.axis_index(AXIS)

    def part(start: jax.Array, size: int) -> Rows:
        return jax.tree.map(
            lambda leaf: lax.dynamic_slice_in_dim(leaf, start, size), rows
        )

    first_extra = count * lax.axis_size(AXIS)
    extra = part(first_extra + jnp.minimum(device, max(rest - 1, 0)), min(rest, 1))
    return part(device * count, count), extra, device < rest


def take_share(data: Batch, indices: jax.Array) -> Share:
    """This device's share of the batch of these indices, int32 [B]."""
    equal, extra, counts = cut(indices)
    num_examples = len(indices)
    return Share(
        take(data, equal),
        take(data, extra),
        jnp.asarray(len(equal) / num_examples, float),
        jnp.where(counts, jnp.asarray(1 / num_examples, float), 0),
    )


def loss_of_share(
    loss_fn: Callable[..., tuple[jax.Array, Totals]],
) -> Callable[..., tuple[jax.Array, Totals]]:
    """What a share adds to the mean loss of its batch, and the totals of the share.

    `loss_fn` gives the mean over the examples that it is given. Where it takes a key,
    so does the new one, and makes of it one for each device and part.
    """

    def share_loss(
        params: Params, share: Share, *keys: jax.Array
    ) -> tuple[jax.Array, Totals]:
        own = [jax.random.fold_in(key, lax.axis_index(AXIS)) for key in keys]
        equal_key = [jax.random.fold_in(key, 0) for key in own]
        extra_key = [jax.random.fold_in(key, 1) for key in own]
        loss, totals = jnp.float32(0), Totals.zeros()
        if len(share.equal.label):
            mean, totals = loss_fn(params, share.equal, *equal_key)
            loss = mean * share.equal_weight.astype(mean.dtype)
        if len(share.extra.label):
            mean, more = loss_fn(params, share.extra, *extra_key)
            loss = loss + mean * share.extra_weight.astype(mean.dtype)
            totals = totals + counted(more, share.extra_weight > 0)
        return loss, totals

    return share_loss


def counted(totals: Totals, counts: jax.Array) -> Totals:
    """The totals, or zeros where they do not count."""
    return Totals(*(jnp.where(counts, n, jnp.zeros_like(n)) for n in totals))


def summing(tx: optax.GradientTransformation) -> optax.GradientTransformation:
    """The optimizer, given each device's part of the gradients."""

    def update(
        grads: Params, state: optax.OptState, params: Params | None = None
    ) -> tuple[Params, optax.OptState]:
        vector, from_vector = ravel_pytree(grads)  # one all-reduce, not one a leaf
        return tx.update(from_vector(lax.psum(vector, AXIS)), state, params)

    return optax.GradientTransformation(tx.init, update)


def summed(totals: Totals) -> Totals:
    """Totals of all devices together."""
    return Totals(*lax.psum(tuple(totals), AXIS))


def evaluate_shares(evaluate: Evaluate) -> Evaluate:
    """The same totals, of which each device computes those of its part."""

    def evaluate_all(params: Params, data: Batch) -> Totals:
        equal, extra, counts = cut(data)
        more = counted(evaluate(params, extra), counts)
        return summed(evaluate(params, equal) + more)

    return evaluate_all


def devices_here(mesh: jax.sharding.Mesh) -> list[tuple[int, jax.Device]]:
    """This process's devices of the mesh, with their numbers in it."""
    here = jax.process_index()
    numbered = enumerate(mesh.devices.flat)
    return [(i, device) for i, device in numbered if device.process_index == here]


def rows_here(batch_size: int, mesh: jax.sharding.Mesh) -> np.ndarray:
    """bool [B]: which examples of a batch this process's devices take."""
    count, rest = divmod(batch_size, mesh.size)
    wanted = np.zeros(batch_size, bool)
    for device, _ in devices_here(mesh):
        wanted[device * count : (device + 1) * count] = True
        if rest:
            wanted[count * mesh.size + min(device, rest - 1)] = True
    return wanted
