"""Training as pure functions. Nothing here knows which network it trains.

`train_step` is the whole of learning; `train_epoch` scans it over a data set in
one compiled program; `fit` runs epochs and yields after each.
"""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from jaxnets.devices import cache_use, compile_ahead
from jaxnets.errors import InputError, NonFiniteLoss
from jaxnets.types import Batch, LossFn, Params, Totals, TrainState

EVALUATION_BATCH = 1000  # images per step of an evaluation; bounds its memory
GATHERED = 100  # batches whose rows are gathered together; fits a processor's cache

Carry = TypeVar("Carry")
Rows = TypeVar("Rows")  # arrays with one row per example
TrainStep = Callable[[TrainState, Batch], tuple[TrainState, Totals]]
TrainEpoch = Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Totals]]
Evaluate = Callable[[Params, Batch], Totals]


class Epoch(NamedTuple):
    """What `fit` yields."""

    number: int  # 1 for the first
    state: TrainState  # donated to the next epoch: copy what must last
    train: Totals  # host numbers, summed while the weights moved
    validation: Totals | None  # host numbers, after the epoch's last step
    seconds: float  # the training alone, without validation or compilation
    compile_seconds: float  # tracing and compiling, the same in every epoch
    compile_cached: bool  # an earlier start had left the programs on disk


def start(params: Params, tx: optax.GradientTransformation) -> TrainState:
    """The state before the first step."""
    return TrainState(jnp.int32(0), params, tx.init(params))


def make_train_step(loss_fn: LossFn, tx: optax.GradientTransformation) -> TrainStep:
    """One update: gradient of the batch's mean loss, then the optimizer's rule."""

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Totals]:
        grads, totals = jax.grad(loss_fn, has_aux=True)(state.params, batch)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        return TrainState(state.step + 1, params, opt_state), totals

    return train_step


def scan_batches(
    step: Callable[[Carry, Rows], Carry], carry: Carry, data: Rows, batch_size: int
) -> Carry:
    """Fold `step` over consecutive batches; what is left over is a last, short one.

    Every row of `data`'s arrays is used exactly once. `step` is compiled at most
    twice: for the full batches, which `lax.scan` runs, and for the short one.
    """
    num_examples = jax.tree.leaves(data)[0].shape[0]
    num_full = num_examples // batch_size * batch_size
    if num_full:
        full = jax.tree.map(
            lambda rows: rows[:num_full].reshape(-1, batch_size, *rows.shape[1:]), data
        )
        carry, _ = lax.scan(lambda carry, rows: (step(carry, rows), None), carry, full)
    if num_full < num_examples:
        carry = step(carry, jax.tree.map(lambda rows: rows[num_full:], data))
    return carry


def _transpose(tree: chex.ArrayTree) -> chex.ArrayTree:
    return jax.tree.map(lambda leaf: leaf.T, tree)


def make_train_epoch(
    loss_fn: LossFn, tx: optax.GradientTransformation, batch_size: int
) -> TrainEpoch:
    """One pass over the data in a given order, as one program for `jax.jit`.

    The optimizer must work element by element, as SGD, momentum and Adam do:
    weights are stored as [out, in] while the scan runs. XLA's CPU products are
    10 to 30 % faster so, and nobody outside sees it.
    """

    def stored_loss(stored: Params, batch: Batch) -> tuple[jax.Array, Totals]:
        return loss_fn(_transpose(stored), batch)

    train_step = make_train_step(stored_loss, tx)

    def step(carry: tuple[TrainState, Totals], batch: Batch):
        state, totals = carry
        state, batch_totals = train_step(state, batch)
        return state, totals + batch_totals

    def train_epoch(
        state: TrainState, data: Batch, order: jax.Array
    ) -> tuple[TrainState, Totals]:
        def train_on(carry: tuple[TrainState, Totals], indices: jax.Array):
            gathered = jax.tree.map(lambda a: a.at[indices].get(mode="clip"), data)
            return scan_batches(step, carry, gathered, batch_size)

        # A gather per step waits for memory; one per epoch makes a second data set.
        carry = (_transpose(state), Totals.zeros())
        carry = scan_batches(train_on, carry, order, GATHERED * batch_size)
        stored, totals = carry
        return _transpose(stored), totals

    return train_epoch


def epoch_order(key: jax.Array, epoch: int | jax.Array, num_examples: int) -> jax.Array:
    """The order of an epoch's examples: int32 [num_examples], each index once.

    It depends on the run's key and the epoch's number (from 0) alone, so a
    resumed run needs no hidden state. Sorting random numbers once takes half
    the time of `jax.random.permutation`, which sorts twice to rule out the
    effect of equal ones: among 60,000 32-bit numbers less than one pair.
    """
    bits = jax.random.bits(jax.random.fold_in(key, epoch), (num_examples,))
    return jnp.argsort(bits)


def make_evaluate(loss_fn: LossFn, batch_size: int = EVALUATION_BATCH) -> Evaluate:
    """Totals over all of a data set, the last partial batch included."""

    def evaluate(params: Params, data: Batch) -> Totals:
        def step(totals: Totals, batch: Batch) -> Totals:
            return totals + loss_fn(params, batch)[1]

        return scan_batches(step, Totals.zeros(), data, batch_size)

    return evaluate


def check_batch_size(batch_size: int, num_examples: int) -> None:
    """Raise InputError unless a batch holds at least 1 and at most all examples."""
    if not 1 <= batch_size <= num_examples:
        raise InputError(f"{batch_size=} must be between 1 and {num_examples=}")


def check_finite(epoch: int, *losses: float | np.ndarray, weights: bool = True) -> None:
    """Raise NonFiniteLoss where training diverged.

    Args:
      epoch: its number, 1 for the first.
      losses: host numbers; none may be NaN or infinite.
      weights: whether all are finite. The last step of an epoch is in no loss but
        that of the validation set.
    """
    for loss in losses:
        if not np.isfinite(loss):
            raise NonFiniteLoss(f"the loss is {loss} in epoch {epoch}")
    if not weights:
        raise NonFiniteLoss(f"a weight is not finite at the end of epoch {epoch}")


def _all_finite(params: Params) -> jax.Array:
    """bool []: whether no parameter is NaN or infinite."""
    finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(params)]
    return jnp.stack(finite).all()


def fit(
    loss_fn: LossFn,
    tx: optax.GradientTransformation,
    state: TrainState,
    train: Batch,
    validation: Batch,
    *,
    batch_size: int,
    num_epochs: int,
    key: jax.Array,
) -> Iterator[Epoch]:
    """Train until `num_epochs` are done, yielding after each.

    A state that has seen some epochs already goes on where it stopped, and ends
    bit for bit as if it had never stopped. `state` is donated.

    Args:
      loss_fn: a network's loss.
      tx: the optimizer, working element by element.
      state: from `start`, or from an earlier epoch.
      train: the data set, moved to the device once.
      validation: as `train`; may be empty.
      batch_size: 1 to the number of training examples.
      num_epochs: 1 or more, counted from the beginning of training.
      key: decides the order of the examples.

    Raises:
      InputError: the batch size does not fit, there is no epoch to train, or the
        state stands in the middle of one.
      NonFiniteLoss: a loss of an epoch, or a weight after it, is NaN or infinite.
    """
    num_examples = train.label.shape[0]
    check_batch_size(batch_size, num_examples)
    if num_epochs < 1:
        raise InputError(f"{num_epochs=} must be at least 1")
    steps_per_epoch = -(-num_examples // batch_size)
    first, within = divmod(int(state.step), steps_per_epoch)
    if within:
        raise InputError(
            f"the state has done {int(state.step)} steps, which is not a whole number "
            f"of epochs of {steps_per_epoch} steps; is the batch size another?"
        )
    train, validation = jax.device_put((train, validation))

    train_epoch = make_train_epoch(loss_fn, tx, batch_size)

    def shuffle_and_train(state, data, key, epoch):
        order = epoch_order(key, epoch, num_examples)
        state, totals = train_epoch(state, data, order)
        return state, totals, _all_finite(state.params)

    before, began = cache_use(), time.perf_counter()
    first_epoch = (state, train, key, np.int32(0))
    run_epoch = compile_ahead(shuffle_and_train, *first_epoch, donate_argnums=0)
    evaluate = None
    if len(validation.label):
        evaluate = compile_ahead(make_evaluate(loss_fn), state.params, validation)
    compile_seconds = time.perf_counter() - began
    compile_cached = cache_use().all_hits_since(before)

    for epoch in range(first, num_epochs):
        began = time.perf_counter()
        state, totals, finite = run_epoch(state, train, key, np.int32(epoch))
        jax.block_until_ready((state, totals))
        seconds = time.perf_counter() - began
        totals, checked = jax.device_get(totals), None
        losses = [totals.loss]
        if evaluate:
            checked = jax.device_get(evaluate(state.params, validation))
            losses.append(checked.loss)
        check_finite(epoch + 1, *losses, weights=bool(finite))
        yield Epoch(
            epoch + 1, state, totals, checked, seconds, compile_seconds, compile_cached
        )
