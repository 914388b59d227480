"""Training on examples that are read as they are needed, however many there are.

`fit_stream` takes the place of `training.fit` where the data does not fit in memory.
An epoch's examples come in parts, such as `data.stream` reads; they are cut anew into
chunks of many batches, and each chunk trains as a small epoch does, by the same
`train_step`. While one trains, the next is read and moved to the device.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from jaxnets import devices, parallel, training
from jaxnets.data.checks import NUM_CLASSES, require_batch
from jaxnets.errors import InputError
from jaxnets.parallel import Share
from jaxnets.training import Epoch
from jaxnets.types import Batch, LossFn, Step, Totals, TrainState

BATCHES = 100  # in a chunk: few calls from Python, and two chunks take little memory

# From an epoch's number, from 0, to its examples in their order, in parts of any sizes.
Read = Callable[[int], Iterable[Batch]]
TrainChunk = Callable[[TrainState, Totals, Any], Step]
Result = TypeVar("Result")


def fit_stream(
    loss_fn: LossFn,
    tx: optax.GradientTransformation,
    state: TrainState,
    read: Read,
    held_out: Sequence[Batch] = (),
    *,
    num_examples: int,
    batch_size: int,
    num_epochs: int,
    num_classes: int = NUM_CLASSES,
    mesh: jax.sharding.Mesh | None = None,
) -> Iterator[Epoch]:
    """Train until `num_epochs` are done, yielding after each, as `training.fit` does.

    What is read in the order in which `training.fit` would take it gives the same
    parameters, but for float32 rounding. Two chunks of the training set are in memory,
    and what `read` holds.

    Args:
      loss_fn, tx, state, held_out, batch_size, num_epochs, num_classes, mesh: as in
        `training.fit`.
      read: an epoch's examples by its number, from 0; each once, in an order that the
        number decides. With a mesh of several processes all of them read in the same
        order; the images that `parallel.rows_here` leaves out may be anything.
      num_examples: how many an epoch has.

    Raises:
      InputError: when called, as `training.fit`; later, where an epoch has another
        number of examples, or their images or labels make no sense.
      NonFiniteLoss: as `training.fit`.
    """
    training.require_held_out(held_out)
    training.require_settings(num_examples, batch_size, num_epochs)
    for batch in held_out:
        require_batch(batch, num_classes)
    numbers = range(training.epochs_done(state, num_examples, batch_size), num_epochs)
    mesh = None if mesh is None else devices.mesh_along(parallel.AXIS, mesh)

    def epochs() -> Iterator[Epoch]:
        compiling = Compiling()
        begin, checked, zeros = state, tuple(held_out), Totals.zeros()
        evaluate_one = training.make_evaluate(loss_fn)
        spread: parallel.Spread = parallel.alone
        place: Callable[[Batch], Any] = jax.device_put
        if mesh is not None:
            begin, checked, zeros = devices.put_everywhere(
                (begin, checked, zeros), mesh
            )
        if mesh is not None and mesh.size > 1:
            train_chunk = make_train_shares(loss_fn, tx, mesh)
            place = make_place_shares(mesh)
            evaluate_one = parallel.evaluate_shares(evaluate_one)
            spread = parallel.over(mesh)
        else:
            train_chunk = make_train_chunk(loss_fn, tx, batch_size)
        train_chunk = compiling.by_shape(train_chunk)
        evaluate = compiling.run(
            lambda: training.compile_evaluate(
                evaluate_one, begin.params, checked, spread
            )
        )
        is_finite = compiling.by_shape(training.all_finite)

        def train_epoch(state: TrainState, number: int) -> tuple:
            totals = zeros
            examples = recut(read(number), batch_size, num_classes)
            for chunk in map(place, examples):  # read while the last one trains
                jax.block_until_ready(totals)  # so that two are there at most
                state, totals = train_chunk(state, totals, chunk)
            if int(totals.seen) != num_examples:
                raise InputError(
                    f"epoch {number + 1} was read with {int(totals.seen):,} examples, "
                    f"not with {num_examples=:,}"
                )
            return state, totals, is_finite(state.params)

        before = compiling.seconds
        for epoch, finite in training.epoch_by_epoch(
            train_epoch, evaluate, begin, numbers
        ):
            training.require_finite_epoch(epoch, finite)
            within, before = compiling.seconds - before, compiling.seconds
            yield epoch._replace(
                seconds=epoch.seconds - within,
                compile_seconds=compiling.seconds,
                compile_cached=compiling.cache.all_hits,
            )

    return epochs()


class Compiling:
    """Programs that are compiled when their shapes first come, and the time it takes.

    The chunks of an epoch have two or three shapes: full ones, and what is left.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.cache = devices.CacheUse()

    def run(self, work: Callable[[], Result]) -> Result:
        """Do the work on this clock."""
        began = time.perf_counter()
        with devices.cache_use() as use:
            result = work()
        self.seconds += time.perf_counter() - began
        self.cache.update(use)
        return result

    def by_shape(self, function: Callable[..., Result]) -> Callable[..., Result]:
        """The function as compiled programs, one for each shape of its arguments."""
        programs: dict[tuple, Callable[..., Result]] = {}

        def call(*args: Any) -> Result:
            shapes = tuple(jnp.shape(leaf) for leaf in jax.tree.leaves(args))
            if shapes not in programs:
                programs[shapes] = self.run(
                    lambda: devices.compile_ahead(function, *args)
                )
            return programs[shapes](*args)

        return call


def recut(
    parts: Iterable[Batch], batch_size: int, num_classes: int = NUM_CLASSES
) -> Iterator[Batch]:
    """The same examples as batches [K, B, ...]: K full ones together, the rest at last.

    K is `BATCHES` but for the last full batches; a short batch is [1, rest, ...].
    Raises as `require_batch`.
    """
    size = BATCHES * batch_size
    waiting: list[Batch] = []
    for part in parts:
        require_batch(part, num_classes)
        # Labels of one dtype, or each would need programs of its own.
        waiting.append(Batch(np.asarray(part.image), np.asarray(part.label, np.int32)))
        while sum(len(batch.label) for batch in waiting) >= size:
            first, rest = _joined(waiting).split(size)
            yield _in_batches(first, batch_size)
            waiting = [rest] if len(rest.label) else []
    if waiting:
        rest = _joined(waiting)
        full, short = rest.split(len(rest.label) // batch_size * batch_size)
        if len(full.label):
            yield _in_batches(full, batch_size)
        if len(short.label):
            yield _in_batches(short, len(short.label))


def _joined(parts: Sequence[Batch]) -> Batch:
    if len(parts) == 1:
        return parts[0]
    return jax.tree.map(lambda *rows: np.concatenate(rows), *parts)


def _in_batches(rows: Batch, batch_size: int) -> Batch:
    return jax.tree.map(lambda a: a.reshape(-1, batch_size, *a.shape[1:]), rows)


def make_train_chunk(
    loss_fn: LossFn, tx: optax.GradientTransformation, batch_size: int
) -> TrainChunk:
    """Train on the batches [K, B, ...] of one device, as a small epoch."""
    train_epoch = training.make_epoch_fn(loss_fn, tx, batch_size, shared=False)

    def train_chunk(state: TrainState, totals: Totals, chunk: Batch) -> Step:
        rows = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), chunk)
        in_turn = jnp.arange(len(rows.label), dtype=jnp.int32)
        state, chunk_totals = train_epoch(state, rows, in_turn)
        return state, totals + chunk_totals

    return train_chunk


def make_train_shares(
    loss_fn: LossFn, tx: optax.GradientTransformation, mesh: jax.sharding.Mesh
) -> TrainChunk:
    """Train on several devices' shares [N, K, ...] of K batches."""
    train_step = training.make_train_step(
        parallel.loss_of_share(loss_fn), parallel.summing(tx)
    )

    def step(carry: Step, share: Share) -> tuple[Step, None]:
        state, totals = carry
        state, batch_totals = train_step(state, share)
        return (state, totals + batch_totals), None

    def train_own(state: TrainState, totals: Totals, shares: Share) -> Step:
        own = jax.tree.map(lambda leaf: leaf[0], shares)  # this device's, of N
        (state, mine), _ = lax.scan(step, (state, Totals.zeros()), own)
        return state, totals + parallel.summed(mine)

    return jax.shard_map(
        train_own,
        mesh=mesh,
        in_specs=(parallel.SHARED, parallel.SHARED, jax.P(parallel.AXIS)),
        out_specs=parallel.SHARED,
        check_vma=False,
    )


def make_place_shares(mesh: jax.sharding.Mesh) -> Callable[[Batch], Share]:
    """What gives this process's devices their shares [N, K, ...] of K batches."""
    sharding = jax.NamedSharding(mesh, jax.P(parallel.AXIS))

    def place(chunk: Batch) -> Share:
        shares = [
            jax.device_put(
                jax.tree.map(lambda leaf: leaf[None], share_on_host(chunk, i, mesh)),
                device,
            )
            for i, device in parallel.devices_here(mesh)
        ]

        def together(*parts: jax.Array) -> jax.Array:
            shape = (mesh.size, *parts[0].shape[1:])
            return jax.make_array_from_single_device_arrays(shape, sharding, parts)

        return jax.tree.map(together, *shares)

    return place


def share_on_host(chunk: Batch, device: int, mesh: jax.sharding.Mesh) -> Share:
    """The share of the mesh's device of this number, of each of the K batches."""
    num_batches, batch_size = chunk.label.shape
    count, rest = divmod(batch_size, mesh.size)
    first_extra = count * mesh.size + min(device, max(rest - 1, 0))
    extra_weight = 1 / batch_size if device < rest else 0.0
    weights = np.full((2, num_batches), [[count / batch_size], [extra_weight]])

    def part(start: int, size: int) -> Batch:
        return jax.tree.map(lambda rows: rows[:, start : start + size], chunk)

    return Share(
        part(device * count, count),
        part(first_extra, min(rest, 1)),
        *weights.astype(jnp.asarray(0.0).dtype),
    )
