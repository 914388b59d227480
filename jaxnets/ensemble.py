"""Many networks at once: the training of `training`, over seeds and devices.

One compiled program trains several networks side by side: `vmap` over their states
on each device, and the devices side by side. A network trained here is
statistically, not bit for bit, the one that `training.fit` trains from its seed:
sums round in another order.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnets import devices, training
from jaxnets.data.checks import NUM_CLASSES
from jaxnets.errors import InputError
from jaxnets.training import Epoch
from jaxnets.types import Array, Batch, LossFn, Params, TrainState

AXIS = "seed"
PER_SEED, SHARED = jax.P(AXIS), jax.P()
# States of the networks on one processor core that are touched in turn, step after
# step, should stay in its cache: with 4 MB on a core, an epoch of Model 2 took twice as
# long a network as with 2 MB.
CACHE_BYTES = 2 * 2**20
MEMORY_SHARE = 0.8  # of an accelerator's memory, for one program

Init = Callable[[jax.Array], Params]  # layer sizes closed over
MakeOptimizer = Callable[[jax.Array], optax.GradientTransformation]


def fit_many(
    init: Init,
    loss_fn: LossFn,
    tx: optax.GradientTransformation | MakeOptimizer,
    train: Batch,
    held_out: Sequence[Batch] = (),
    *,
    seeds: Sequence[int],
    batch_size: int,
    num_epochs: int,
    learning_rates: Array | None = None,
    num_classes: int = NUM_CLASSES,
) -> Iterator[Epoch]:
    """Train a network from each of S seeds, all at once, yielding after each epoch.

    A loss that is not finite stops nobody: it is in the totals.

    Args:
      init: from a key to parameters.
      loss_fn, train, held_out, batch_size, num_epochs, num_classes: as in
        `training.fit`. Each network sees the data in an order of its own.
      tx: the optimizer of all networks; or, with `learning_rates`, what makes the
        optimizer of one from its entry there, such as `optax.sgd`.
      seeds: one network each, S of them; memory grows with their number. Equal seeds
        give networks with equal beginnings and orders.
      learning_rates: float32 [S, ...], a rate or an array of rates a network.

    Returns:
      An iterator of epochs whose arrays have a first axis of S networks.

    Raises:
      InputError: when called: data or settings make no sense, there is no seed or one
        is out of range, or there is not a rate for each.
    """
    training.require_data(
        train,
        held_out,
        batch_size=batch_size,
        num_epochs=num_epochs,
        num_classes=num_classes,
    )
    _require_seeds(seeds)
    if learning_rates is not None and len(learning_rates) != len(seeds):
        raise InputError(
            f"{len(learning_rates)} learning rates for {len(seeds)} seeds; give one "
            "for each"
        )
    network = _Networks(init, loss_fn, tx, batch_size, learning_rates is not None)
    return _epochs(
        network,
        train,
        tuple(held_out),
        seeds=seeds,
        learning_rates=learning_rates,
        num_epochs=num_epochs,
    )


def _require_seeds(seeds: Sequence[int]) -> None:
    if not len(seeds):
        raise InputError("seeds is empty; name one or more")
    for seed in seeds:
        training.require_seed(seed)


class _Networks:
    """The functions of one network, which `vmap` spreads over all of them.

    `own` is what a network has for itself beside its state: the key of its data, and
    its learning rates or a 0 in their place.
    """

    def __init__(
        self,
        init: Init,
        loss_fn: LossFn,
        tx: optax.GradientTransformation | MakeOptimizer,
        batch_size: int,
        has_rates: bool,
    ) -> None:
        self.init, self.loss_fn, self.batch_size = init, loss_fn, batch_size
        self.evaluate_all = training.make_evaluate_all(loss_fn)
        self.make_tx: MakeOptimizer = tx if has_rates else lambda _: tx  # type: ignore

    def begin(self, seed: int, rates: Array) -> tuple[TrainState, jax.Array]:
        keys = training.run_keys(seed)
        state = training.start(self.init(keys.init), self.make_tx(rates))
        return state, keys.data

    def run_epoch(
        self,
        state: TrainState,
        own: tuple[jax.Array, jax.Array],
        epoch: jax.Array,
        train: Batch,
    ) -> Any:
        key, rates = own
        run_epoch = training.make_run_epoch(
            self.loss_fn, self.make_tx(rates), self.batch_size
        )
        return run_epoch(state, key, epoch, train)


def _epochs(
    network: _Networks,
    train: Batch,
    held_out: tuple[Batch, ...],
    *,
    seeds: Sequence[int],
    learning_rates: Array | None,
    num_epochs: int,
) -> Iterator[Epoch]:
    mesh = _mesh(len(seeds))
    rates = np.zeros(len(seeds), np.float32)
    if learning_rates is not None:
        rates = np.asarray(learning_rates, np.float32)
    # One after the other: a program for all would take seconds to compile.
    begun = [network.begin(seed, rate) for seed, rate in zip(seeds, rates, strict=True)]
    networks = jax.tree.map(lambda *leaves: jnp.stack(leaves), *begun)
    per_seed = jax.NamedSharding(mesh, PER_SEED)
    (states, data_keys), rates = jax.device_put(
        jax.tree.map(partial(_pad, mesh), (networks, rates)), per_seed
    )
    data = jax.device_put((train, held_out), jax.NamedSharding(mesh, SHARED))
    for epoch, _ in training.run_epochs(
        _spread(network.run_epoch, mesh, 2),
        _spread(network.evaluate_all, mesh, 1),
        states,
        (data_keys, rates),
        data=data,
        numbers=range(num_epochs),
    ):
        if len(seeds) % mesh.size == 0:
            yield epoch
        else:
            arrays = (epoch.state, epoch.train, epoch.held_out)
            state, totals, checked = jax.tree.map(lambda a: a[: len(seeds)], arrays)
            yield epoch._replace(state=state, train=totals, held_out=checked)


def _mesh(num_networks: int) -> jax.sharding.Mesh:
    """All devices, or as many as there are networks."""
    chosen = jax.devices()[:num_networks]
    automatic = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((len(chosen),), (AXIS,), automatic, devices=chosen)


def _pad(mesh: jax.sharding.Mesh, array: Array) -> Array:
    """Repeat the first networks at the end, so that every device gets equally many."""
    return array[np.arange(-(-len(array) // mesh.size) * mesh.size) % len(array)]


def _spread(
    function: Callable[..., Any], mesh: jax.sharding.Mesh, num_per_seed: int
) -> Callable[..., Any]:
    """The function over networks: its first arguments differ, the others are shared."""

    def over_networks(*args: Any) -> Any:
        shared = len(args) - num_per_seed
        mapped = jax.shard_map(
            jax.vmap(function, in_axes=(0,) * num_per_seed + (None,) * shared),
            mesh=mesh,
            in_specs=(PER_SEED,) * num_per_seed + (SHARED,) * shared,
            out_specs=PER_SEED,
            check_vma=False,
        )
        return mapped(*args)

    return over_networks


def num_at_once(
    init: Init,
    loss_fn: LossFn,
    tx: optax.GradientTransformation,
    train: Batch,
    held_out: Sequence[Batch] = (),
    *,
    batch_size: int,
    memory_bytes: int | None = None,
) -> int:
    """How many networks to train at once; a multiple of the number of devices.

    On a processor as many as fit a core's cache. On an accelerator as many as fit its
    memory: the compiler says what the program of one network takes, and what that of
    two takes more.

    Args:
      init, loss_fn, tx, train, held_out, batch_size: as in `fit_many`.
      memory_bytes: of one device; left out: what the device has, and the rule for
        processors where it does not tell.
    """
    if memory_bytes is None:
        memory_bytes = devices.device_bytes()
    if memory_bytes is None:
        state = jax.eval_shape(lambda: training.start(init(jax.random.key(0)), tx))
        size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
        return max(1, CACHE_BYTES // size) * len(jax.devices())
    network = _Networks(init, loss_fn, tx, batch_size, has_rates=False)
    one, two = (_program_bytes(network, train, count) for count in (1, 2))
    room = memory_bytes * MEMORY_SHARE - one
    return (1 + max(0, int(room // max(1, two - one)))) * len(jax.devices())


def _program_bytes(network: _Networks, train: Batch, count: int) -> int:
    """Memory of the program that trains `count` networks on one device."""
    one = jax.eval_shape(lambda: network.begin(0, np.float32(0)))
    states, data_keys = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((count, *leaf.shape), leaf.dtype), one
    )
    rates = np.zeros(count, np.float32)
    over_networks = jax.vmap(network.run_epoch, in_axes=(0, 0, None, None))
    program = devices.compile_ahead(
        over_networks, states, (data_keys, rates), np.int32(0), train
    )
    return devices.program_bytes(program) or 0


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
