"""Many networks at once: the training of `training`, over seeds and devices.

One compiled program trains several networks side by side: `vmap` over key and
state on each device, and the devices side by side. A network trained here is
statistically, not bit for bit, the one that `training.fit` trains from its seed:
sums round in another order.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from jaxnets import models as recipes
from jaxnets import training
from jaxnets.devices import compile_ahead
from jaxnets.errors import InputError
from jaxnets.types import Batch, LossFn, Params, Totals

AXIS = "seed"
PER_SEED, SHARED = jax.P(AXIS), jax.P()
# States of the networks on one device that are touched in turn, step after step. On
# a processor they should stay in the core's cache: with 4 MB on a core, an epoch of
# Model 2 took twice as long a network as with 2 MB.
STATE_BYTES = {"cpu": 2 * 2**20}
ACCELERATOR_STATE_BYTES = 2**30  # leaves room for activations and gradients


class ManyEpoch(NamedTuple):
    """An epoch of all networks; S is the number of seeds, in the order given."""

    number: int  # 1 for the first
    params: Params  # leaves [S, ...]; donated to the next epoch: copy what must last
    train: Totals  # NumPy [S], summed while the weights moved
    held_out: tuple[Totals, ...]  # NumPy [S] each, after the epoch's last step
    seconds: float  # training and evaluation, without compilation
    compile_seconds: float  # the same in every epoch


def num_at_once(
    init: Callable[[jax.Array], Params], tx: optax.GradientTransformation
) -> int:
    """How many networks to train at once, from the memory of one's state.

    A multiple of the number of devices, at least one on each.
    """
    state = jax.eval_shape(lambda: training.start(init(jax.random.key(0)), tx))
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    room = STATE_BYTES.get(jax.default_backend(), ACCELERATOR_STATE_BYTES)
    return max(1, room // size) * len(jax.devices())


def chunks(seeds: Sequence[int], at_once: int) -> list[Sequence[int]]:
    """The seeds in order, at most `at_once` together, in parts as equal as can be.

    Raises:
      InputError: `at_once` is less than 1.
    """
    if at_once < 1:
        raise InputError(f"{at_once=} must be at least 1")
    num_chunks = max(1, -(-len(seeds) // at_once))
    size = max(1, -(-len(seeds) // num_chunks))
    num_devices = len(jax.devices())
    if size > num_devices:  # no device should wait for another
        size = min(at_once, -(-size // num_devices) * num_devices)
    return [seeds[first : first + size] for first in range(0, len(seeds), size)]


def fit_seeds(
    init: Callable[[jax.Array], Params],
    loss_fn: LossFn,
    tx: optax.GradientTransformation,
    train: Batch,
    held_out: Sequence[Batch],
    *,
    seeds: Sequence[int],
    batch_size: int,
    num_epochs: int,
) -> Iterator[ManyEpoch]:
    """Train a network from each seed, all at once, yielding after each epoch.

    A loss that is not finite stops nobody: it is in the totals.

    Args:
      init: from a key to parameters, the layer sizes closed over.
      loss_fn, tx, batch_size, num_epochs: as in `training.fit`.
      train: what all of them train on, each in an order of its own.
      held_out: data sets on which all are evaluated after each epoch.
      seeds: one network each; memory grows with their number.

    Raises:
      InputError: the batch size does not fit, or a seed is out of range.
    """
    training.check_batch_size(batch_size, train.label.shape[0])
    for seed in seeds:
        recipes.check_seed(seed)
    mesh, keys = _keys_on_mesh(seeds)
    data = jax.device_put((train, tuple(held_out)), jax.NamedSharding(mesh, SHARED))

    def begin(key: jax.Array) -> tuple[Any, jax.Array]:
        init_key, data_key = jax.random.split(key)  # as `recipes.run_keys`
        return training.start(init(init_key), tx), data_key

    one_epoch = _make_epoch(loss_fn, tx, batch_size)
    began = time.perf_counter()
    states, data_keys = jax.jit(_spread(begin, mesh, 1))(keys)
    run_epoch = compile_ahead(
        _spread(one_epoch, mesh, 2),
        *(states, data_keys, data, np.int32(0)),
        donate_argnums=0,
    )
    compile_seconds = time.perf_counter() - began

    for epoch in range(num_epochs):
        began = time.perf_counter()
        states, totals, checked = run_epoch(states, data_keys, data, np.int32(epoch))
        jax.block_until_ready(states)
        seconds = time.perf_counter() - began
        params, totals, checked = jax.tree.map(
            lambda leaf: leaf[: len(seeds)],
            (states.params, *jax.device_get((totals, checked))),
        )
        yield ManyEpoch(epoch + 1, params, totals, checked, seconds, compile_seconds)


def fit_alone(
    init: Callable[[jax.Array], Params],
    loss_fn: LossFn,
    tx: optax.GradientTransformation,
    train: Batch,
    held_out: Sequence[Batch],
    *,
    seed: int,
    batch_size: int,
    num_epochs: int,
) -> Iterator[ManyEpoch]:
    """The work of `fit_seeds` for one seed, through `training.fit`: its yardstick.

    Raises: as `training.fit`.
    """
    init_key, data_key = recipes.run_keys(seed)
    state = training.start(init(init_key), tx)
    parts = jax.device_put(tuple(held_out))
    evaluate = training.make_evaluate(loss_fn)

    def evaluate_all(params: Params, parts: tuple[Batch, ...]) -> tuple[Totals, ...]:
        return tuple(evaluate(params, part) for part in parts)

    began = time.perf_counter()
    check = compile_ahead(evaluate_all, state.params, parts)
    compile_seconds = time.perf_counter() - began
    epochs = training.fit(
        loss_fn,
        tx,
        state,
        train,
        Batch(train.image[:0], train.label[:0]),
        batch_size=batch_size,
        num_epochs=num_epochs,
        key=data_key,
    )
    for epoch in epochs:
        began = time.perf_counter()
        checked = jax.device_get(check(epoch.state.params, parts))
        seconds = epoch.seconds + time.perf_counter() - began
        params = jax.tree.map(lambda leaf: leaf[None], epoch.state.params)
        totals, checked = jax.tree.map(np.atleast_1d, (epoch.train, checked))
        yield ManyEpoch(
            epoch.number,
            params,
            totals,
            checked,
            seconds,
            epoch.compile_seconds + compile_seconds,
        )


def _make_epoch(
    loss_fn: LossFn, tx: optax.GradientTransformation, batch_size: int
) -> Callable[..., Any]:
    """One network's epoch: shuffle, train, evaluate."""
    train_epoch = training.make_train_epoch(loss_fn, tx, batch_size)
    evaluate = training.make_evaluate(loss_fn)

    def one_epoch(state, key, data, epoch):
        train, held_out = data
        order = training.epoch_order(key, epoch, train.label.shape[0])
        state, totals = train_epoch(state, train, order)
        return state, totals, tuple(evaluate(state.params, part) for part in held_out)

    return one_epoch


def _keys_on_mesh(seeds: Sequence[int]) -> tuple[jax.sharding.Mesh, jax.Array]:
    """A mesh of the devices, and the seeds' keys; every device gets equally many.

    To that end the first seeds may come a second time, at the end.
    """
    devices = jax.devices()[: len(seeds)]
    automatic = (jax.sharding.AxisType.Auto,)
    mesh = jax.make_mesh((len(devices),), (AXIS,), automatic, devices=devices)
    per_device = -(-len(seeds) // len(devices))
    padded = np.resize(np.asarray(seeds, np.uint32), per_device * len(devices))
    return mesh, jax.vmap(jax.random.key)(padded)


def _spread(
    function: Callable[..., Any], mesh: jax.sharding.Mesh, num_per_seed: int
) -> Callable[..., Any]:
    """The function over seeds: its first arguments differ, the others are shared."""

    def over_seeds(*args: Any) -> Any:
        shared = len(args) - num_per_seed
        mapped = jax.shard_map(
            jax.vmap(function, in_axes=(0,) * num_per_seed + (None,) * shared),
            mesh=mesh,
            in_specs=(PER_SEED,) * num_per_seed + (SHARED,) * shared,
            out_specs=PER_SEED,
            check_vma=False,
        )
        return mapped(*args)

    return over_seeds
