"""Many networks at once: the training of `training`, over seeds and devices.

One compiled program trains several networks side by side: `vmap` over their states
on each device, and the devices side by side. A network trained here is
statistically, not bit for bit, the one that `training.fit` trains from its seed:
sums round in another order.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnets import devices, training
from jaxnets.data.checks import NUM_CLASSES
from jaxnets.errors import InputError
from jaxnets.training import Epoch
from jaxnets.types import (
    Array,
    Batch,
    KeyedLossFn,
    LossFn,
    Params,
    TrainState,
)

AXIS = "seed"
PER_SEED, SHARED = jax.P(AXIS), jax.P()
# States of the networks on one processor core that are touched in turn, step after
# step, should stay in its cache: with 4 MB on a core, an epoch of Model 2 took twice as
# long a network as with 2 MB.
CACHE_BYTES = 2 * 2**20
MEMORY_SHARE = 0.8  # of an accelerator's memory, for one program

Member = TypeVar("Member")
Init = Callable[[jax.Array], Params]  # layer sizes closed over
MakeOptimizer = Callable[[jax.Array], optax.GradientTransformation]


class Own(NamedTuple):
    """What is a network's own, beside its state."""

    data_key: jax.Array
    loss_key: jax.Array
    rate: Array  # its entry of `learning_rates`


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
    mesh: jax.sharding.Mesh | None = None,
    state: TrainState | None = None,
    train_loss_fn: KeyedLossFn | None = None,
) -> Iterator[Epoch]:
    """Train a network from each of S seeds, all at once, yielding after each epoch.

    The arrays of an epoch have a first axis of S networks. A loss that is not finite
    stops nobody: it is in the totals.

    Args:
      init: from a key to parameters.
      loss_fn, train, held_out, batch_size, num_epochs, num_classes, train_loss_fn: as
        in `training.fit`. Each network sees the data in an order of its own, and draws
        by a key of its own.
      tx: the optimizer of all networks; or, with `learning_rates`, what makes the
        optimizer of one from its entry there, such as `optax.sgd`.
      seeds: one network each, S of them; memory grows with their number. Equal seeds
        give networks with equal beginnings and orders.
      learning_rates: float32 [S, ...], a rate or an array of rates a network.
      mesh: this process's devices to train on, the networks cut along its one axis
        "seed". Left out: all devices, as many as there are networks.
      state: of an earlier epoch, to go on from and to end as if nothing had happened;
        left out: each network begins.

    Raises InputError when called: data or settings make no sense, there is no seed or
    one is out of range, there is not a rate or a state for each, or the states stand in
    the middle of an epoch.
    """
    training.require_data(train, held_out, batch_size, num_epochs, num_classes)
    if not len(seeds):
        raise InputError("seeds is empty; name one or more")
    for seed in seeds:
        training.require_seed(seed)
    rates = np.zeros(len(seeds)) if learning_rates is None else learning_rates
    make_tx: MakeOptimizer = tx if learning_rates is not None else lambda _: tx  # type: ignore
    if len(rates) != len(seeds):
        raise InputError(
            f"{len(rates)} learning rates for {len(seeds)} seeds; give one for each"
        )
    if mesh is not None:
        mesh = devices.mesh_along(AXIS, mesh)
        if not jax.NamedSharding(mesh, PER_SEED).is_fully_addressable:
            raise InputError(
                "the mesh has devices of other processes; give each process seeds of "
                "its own and a mesh of jax.local_devices()"
            )
    first = 0
    if state is not None:
        if np.shape(state.step) != (len(seeds),):
            raise InputError(
                f"the state is of networks {np.shape(state.step)}, not of {len(seeds)}"
            )
        first = training.epochs_done(state, len(train.label), batch_size)
    run_epoch = _make_run_epoch(
        train_loss_fn or loss_fn, make_tx, batch_size, keyed=train_loss_fn is not None
    )

    def epochs() -> Iterator[Epoch]:
        chosen = mesh or jax.local_devices()[: len(seeds)]
        across = devices.mesh_along(AXIS, chosen)
        pairs = [*zip(seeds, np.asarray(rates, np.float32), strict=True)]
        begin, own = state, _stacked([_own(*pair) for pair in pairs])
        if begin is None:
            # One after the other: a program for all would take seconds to compile.
            begin = _stacked([_begin(init, make_tx, *pair) for pair in pairs])
        # The first again at the end, so that every device gets equally many.
        places = np.arange(-(-len(seeds) // across.size) * across.size) % len(seeds)
        networks = jax.tree.map(lambda a: a[places], (begin, own))
        begin, own = jax.device_put(networks, jax.NamedSharding(across, PER_SEED))
        data = devices.put_everywhere((train, tuple(held_out)), across)
        for epoch, _ in training.run_epochs(
            run_epoch,
            training.make_evaluate(loss_fn),
            begin,
            own,
            data,
            numbers=range(first, num_epochs),
            spread=partial(_spread, across),
        ):
            if len(seeds) % across.size == 0:
                yield epoch
            else:
                arrays = (epoch.state, epoch.train, epoch.held_out)
                after, totals, checked = jax.tree.map(lambda a: a[: len(seeds)], arrays)
                yield epoch._replace(state=after, train=totals, held_out=checked)

    return epochs()


def _own(seed: int, rate: Array) -> Own:
    keys = training.run_keys(seed)
    return Own(keys.data, keys.extra, rate)


def _begin(init: Init, make_tx: MakeOptimizer, seed: int, rate: Array) -> TrainState:
    return training.start(init(training.run_keys(seed).init), make_tx(rate))


def _stacked(trees: Sequence[Any]) -> Any:
    """Trees alike as one, whose leaves have a first axis of them.

    On the host: a program of a thousand arguments takes seconds to compile.
    """

    def stack(*leaves: Any) -> Any:
        if not jax.dtypes.issubdtype(jnp.result_type(leaves[0]), jax.dtypes.prng_key):
            return np.stack(jax.device_get(leaves))
        data = jax.device_get([jax.random.key_data(key) for key in leaves])
        impl = jax.random.key_impl(leaves[0])
        return jax.random.wrap_key_data(jnp.asarray(np.stack(data)), impl=impl)

    return jax.tree.map(stack, *trees)


def _make_run_epoch(
    loss_fn: LossFn | KeyedLossFn,
    make_tx: MakeOptimizer,
    batch_size: int,
    *,
    keyed: bool = False,
) -> training.RunEpoch:
    """As `training.make_run_epoch`, with what is a network's own in the keys' place."""

    def run_epoch(
        state: TrainState, own: Own, epoch: jax.Array, train: Batch
    ) -> training.Reached:
        keys = own.data_key, own.loss_key if keyed else None
        run_one = training.make_run_epoch(loss_fn, make_tx(own.rate), batch_size)
        return run_one(state, keys, epoch, train)

    return run_epoch


def _spread(
    mesh: jax.sharding.Mesh, function: Callable[..., Any], num_own: int
) -> Callable[..., Any]:
    """The function over networks: the first arguments are their own, others shared."""

    def over_networks(*args: Any) -> Any:
        num_shared = len(args) - num_own
        mapped = jax.shard_map(
            jax.vmap(function, in_axes=(0,) * num_own + (None,) * num_shared),
            mesh=mesh,
            in_specs=(PER_SEED,) * num_own + (SHARED,) * num_shared,
            out_specs=PER_SEED,
            check_vma=False,
        )
        return mapped(*args)

    return over_networks


def make_evaluate(loss_fn: LossFn) -> training.Evaluate:
    """`training.make_evaluate` of networks; parameters and totals have their axis."""
    return jax.vmap(training.make_evaluate(loss_fn), in_axes=(0, None))


def num_at_once(
    init: Init,
    loss_fn: LossFn,
    tx: optax.GradientTransformation,
    train: Batch,
    *,
    batch_size: int,
    train_loss_fn: KeyedLossFn | None = None,
    memory_bytes: int | None = None,
) -> int:
    """How many networks to train at once; a multiple of this process's devices.

    On a processor as many as fit a core's cache. On an accelerator as many as fit its
    memory: the compiler says what the program of one network takes, and what that of
    two takes more.

    Arguments are as in `fit_many`, but for `memory_bytes` of one device; left out:
    what the device has, and the rule for processors where it or the compiler does not
    tell.
    """
    if memory_bytes is None:
        memory_bytes = devices.device_bytes()
    one_network = two_networks = None
    if memory_bytes is not None:
        work = (init, loss_fn, tx, train)
        one_network, two_networks = (
            bytes_of(
                *work,
                batch_size=batch_size,
                num_networks=count,
                train_loss_fn=train_loss_fn,
            )
            for count in (1, 2)
        )
    if memory_bytes is None or one_network is None or two_networks is None:
        leaves = jax.tree.leaves(_shapes_of_one(init, tx)[0])
        size = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
        return max(1, CACHE_BYTES // size) * jax.local_device_count()
    room = memory_bytes * MEMORY_SHARE - one_network
    num_more = max(0, int(room // max(1, two_networks - one_network)))
    return (1 + num_more) * jax.local_device_count()


def _shapes_of_one(
    init: Init, tx: optax.GradientTransformation
) -> tuple[TrainState, Own]:
    """Shapes and dtypes of a network's state, and of what else is its own."""
    pair = 0, np.float32(0)
    return jax.eval_shape(lambda: (_begin(init, lambda _: tx, *pair), _own(*pair)))


def bytes_of(
    init: Init,
    loss_fn: LossFn,
    tx: optax.GradientTransformation,
    train: Batch,
    *,
    batch_size: int,
    num_networks: int,
    train_loss_fn: KeyedLossFn | None = None,
) -> int | None:
    """Memory of the program that trains so many networks side by side on one device.

    The training examples are included. None where the compiler does not tell; arguments
    are as in `fit_many`.
    """
    used_loss, keyed = train_loss_fn or loss_fn, train_loss_fn is not None
    run_epoch = _make_run_epoch(used_loss, lambda _: tx, batch_size, keyed=keyed)
    over_networks = jax.vmap(run_epoch, in_axes=(0, 0, None, None))
    state, own = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((num_networks, *leaf.shape), leaf.dtype),
        _shapes_of_one(init, tx),
    )
    program = devices.compile_ahead(over_networks, state, own, np.int32(0), train)
    return devices.program_bytes(program)


def chunks(seeds: Sequence[Member], at_once: int) -> list[Sequence[Member]]:
    """The seeds in order, in parts as equal as can be of at most `at_once`.

    Whatever tells networks apart stands for a seed.
    """
    if at_once < 1:
        raise InputError(f"{at_once=} must be at least 1")
    num_chunks = max(1, -(-len(seeds) // at_once))
    size = max(1, -(-len(seeds) // num_chunks))
    num_devices = jax.local_device_count()
    if size > num_devices:  # no device should wait for another
        size = min(at_once, -(-size // num_devices) * num_devices)
    return [seeds[first : first + size] for first in range(0, len(seeds), size)]
