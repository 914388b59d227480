"""Training as pure functions. Nothing here knows which network it trains.

`train_step` is the whole of learning; `train_epoch` scans it over a data set in
one compiled program; `fit` runs epochs and yields after each.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.random import fold_in

from jaxnets import devices, parallel, processor
from jaxnets.batches import epoch_order, scan_batches, take
from jaxnets.data.checks import NUM_CLASSES, require_batch
from jaxnets.devices import compile_ahead
from jaxnets.errors import InputError, NonFiniteLoss
from jaxnets.parallel import Spread
from jaxnets.types import (
    Batch,
    KeyedLossFn,
    LossFn,
    Params,
    Prediction,
    Step,
    Totals,
    TrainState,
)

EVALUATION_BATCH = 1000  # images per step of an evaluation; bounds its memory

TrainStep = Callable[[TrainState, Any], Step]  # of a Batch, or a device's Share of one
TrainEpoch = Callable[[TrainState, Batch, jax.Array], Step]
Evaluate = Callable[[Params, Batch], Totals]
Predict = Callable[[Params, jax.Array], Prediction]
# After an epoch, of what it saw, and bool []: whether every parameter is finite.
Reached = tuple[TrainState, Totals, jax.Array]
Keys = tuple[jax.Array, jax.Array | None]  # of the order, and of a loss that takes one
RunEpoch = Callable[..., Reached]


class RunKeys(NamedTuple):
    """The random keys of one run, each for one purpose."""

    init: jax.Array  # the initial parameters
    data: jax.Array  # the order of the examples
    extra: jax.Array  # whatever else an experiment draws


class Epoch(NamedTuple):
    """What `fit` yields; from `ensemble.fit_many` arrays have a first axis of seeds."""

    number: int  # 1 for the first
    state: TrainState  # after the epoch's last step
    train: Totals  # host numbers, summed while the weights moved
    held_out: tuple[Totals, ...]  # host numbers, after the epoch's last step
    seconds: float  # the training alone
    evaluation_seconds: float = 0.0  # of all held-out sets together
    compile_seconds: float = 0.0  # tracing and compiling, the same in every epoch
    compile_cached: bool = False  # an earlier start had left the programs on disk


def require_seed(seed: int) -> None:
    """Raise InputError unless JAX and Keras both take the seed."""
    if not 0 <= seed < 2**32:
        raise InputError(f"{seed=} must be between 0 and {2**32 - 1}")


def run_keys(seed: int) -> RunKeys:
    """All keys of a run; InputError as `require_seed`.

    `jax.random.split(key, n)[i]` is `fold_in(key, i)`, so that keys derived from one
    key in two ways can be equal. They are derived here, once; what needs more keys
    splits one of these.
    """
    require_seed(seed)
    return RunKeys(*jax.random.split(jax.random.key(seed), len(RunKeys._fields)))


def start(params: Params, tx: optax.GradientTransformation) -> TrainState:
    """The state before the first step."""
    return TrainState(jnp.int32(0), params, tx.init(params))


def make_train_step(
    loss_fn: Callable[..., tuple[jax.Array, Totals]],
    tx: optax.GradientTransformation,
    key: jax.Array | None = None,
) -> TrainStep:
    """One update: gradient of the batch's mean loss, then the optimizer's rule.

    With a key, the loss takes one too: `fold_in(key, step)`, another at each step.
    """

    def train_step(state: TrainState, batch: Batch) -> Step:
        inputs = (batch,) if key is None else (batch, fold_in(key, state.step))
        grads, totals = jax.grad(loss_fn, has_aux=True)(state.params, *inputs)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        return TrainState(state.step + 1, params, opt_state), totals

    return train_step


def make_train_epoch(
    train_step: TrainStep,
    batch_size: int,
    take: Callable[[Batch, jax.Array], Any] = take,
    *,
    unroll: int = 1,
) -> TrainEpoch:
    """One pass over the data in a given order, as one program for `jax.jit`.

    `unroll` is that of `batches.scan_batches`.
    """

    def train_epoch(state: TrainState, data: Batch, order: jax.Array) -> Step:
        def step(carry: Step, indices: jax.Array) -> Step:
            state, totals = carry
            state, batch_totals = train_step(state, take(data, indices))
            return state, totals + batch_totals

        carry = (state, Totals.zeros())
        return scan_batches(step, carry, order, batch_size, unroll=unroll)

    return train_epoch


def make_evaluate(loss_fn: LossFn, batch_size: int = EVALUATION_BATCH) -> Evaluate:
    """Totals over all of a data set, the last partial batch included."""

    def evaluate(params: Params, data: Batch) -> Totals:
        def step(totals: Totals, batch: Batch) -> Totals:
            return totals + loss_fn(params, batch)[1]

        return scan_batches(step, Totals.zeros(), data, batch_size)

    return evaluate


def make_predict(predict: Predict, batch_size: int = EVALUATION_BATCH) -> Predict:
    """`predict` of any number of images, with the memory of `batch_size` of them."""

    def predict_all(params: Params, images: jax.Array) -> Prediction:
        num_full = len(images) // batch_size * batch_size
        if not num_full:
            return predict(params, images)
        full = images[:num_full].reshape(-1, batch_size, *images.shape[1:])
        parts = lax.map(lambda batch: predict(params, batch), full)
        parts = jax.tree.map(
            lambda rows: rows.reshape(num_full, *rows.shape[2:]), parts
        )
        if num_full == len(images):
            return parts
        rest = predict(params, images[num_full:])
        return jax.tree.map(lambda *rows: jnp.concatenate(rows), parts, rest)

    return predict_all


def require_finite(
    epoch: int, *losses: float | np.ndarray, weights: bool = True
) -> None:
    """Raise NonFiniteLoss where a loss is NaN or infinite, or the weights are.

    The last step of an epoch is in no loss but that of a held-out set.
    """
    for loss in losses:
        if not np.isfinite(loss):
            raise NonFiniteLoss(f"the loss is {loss} in epoch {epoch}")
    if not weights:
        raise NonFiniteLoss(f"a weight is not finite at the end of epoch {epoch}")


def require_data(
    train: Batch,
    held_out: Sequence[Batch],
    batch_size: int,
    num_epochs: int,
    num_classes: int,
) -> None:
    """Raise InputError where data or settings make no sense to train with."""
    require_held_out(held_out)
    for batch in (train, *held_out):
        require_batch(batch, num_classes)
    require_settings(len(train.label), batch_size, num_epochs)


def require_held_out(held_out: Sequence[Batch]) -> None:
    """Raise InputError where one data set stands in place of several."""
    if isinstance(held_out, Batch):
        raise InputError("held_out must be a tuple of data sets; write (validation,)")


def require_settings(num_examples: int, batch_size: int, num_epochs: int) -> None:
    """Raise InputError where one cannot train so on so many examples."""
    if not 1 <= batch_size <= num_examples:
        raise InputError(f"{batch_size=} must be between 1 and {num_examples=}")
    if num_epochs < 1:
        raise InputError(f"{num_epochs=} must be at least 1")


def epochs_done(state: TrainState, num_examples: int, batch_size: int) -> int:
    """How many epochs a state has seen, or several states alike.

    Raises InputError where it stands in the middle of one, or several are not alike.
    """
    steps_per_epoch = -(-num_examples // batch_size)
    steps, *others = sorted({*np.ravel(state.step).tolist()})
    if others:
        raise InputError(
            f"one state has taken {steps} steps, another {others[-1]}; they must have "
            "taken as many"
        )
    number, rest = divmod(steps, steps_per_epoch)
    if rest:
        raise InputError(
            f"the state has taken {steps} steps, which is not a whole number of epochs "
            f"of {steps_per_epoch} steps; is the batch size another?"
        )
    return number


def make_run_epoch(
    loss_fn: LossFn | KeyedLossFn,
    tx: optax.GradientTransformation,
    batch_size: int,
    *,
    shared: bool = False,
) -> RunEpoch:
    """Shuffle and train: what `fit` compiles, and `ensemble.fit_many` over seeds.

    `run_epoch(state, keys, epoch, train)` takes the key of the order and, if the loss
    takes one, `make_train_step`'s, else None. It is for one device, or `shared`, for
    the inside of `parallel.over`.
    """

    def run_epoch(
        state: TrainState, keys: Keys, epoch: jax.Array, train: Batch
    ) -> Reached:
        order_key, loss_key = keys
        order = epoch_order(order_key, epoch, len(train.label))
        train_epoch = make_epoch_fn(loss_fn, tx, batch_size, loss_key, shared=shared)
        state, totals = train_epoch(state, train, order)
        return state, totals, all_finite(state.params)

    return run_epoch


def make_epoch_fn(
    loss_fn: LossFn | KeyedLossFn,
    tx: optax.GradientTransformation,
    batch_size: int,
    key: jax.Array | None = None,
    *,
    shared: bool,
) -> TrainEpoch:
    """`make_train_epoch` as the devices at hand like it; `shared` as above."""
    if shared:
        share_loss, share_tx = parallel.loss_of_share(loss_fn), parallel.summing(tx)
        step = make_train_step(share_loss, share_tx, key)
        of_share = make_train_epoch(step, batch_size, parallel.take_share)

        def shared_epoch(state: TrainState, data: Batch, order: jax.Array) -> Step:
            state, totals = of_share(state, data, order)
            return state, parallel.summed(totals)

        return shared_epoch
    plain_epoch = make_train_epoch(make_train_step(loss_fn, tx, key), batch_size)
    # The same on a processor, faster.
    stored_step = make_train_step(processor.on_transposed(loss_fn), tx, key)
    processor_epoch = processor.make_train_epoch(stored_step, batch_size)

    def epoch_fn(state: TrainState, data: Batch, order: jax.Array) -> Step:
        suited = processor.suits(tx, state)
        return (processor_epoch if suited else plain_epoch)(state, data, order)

    return epoch_fn


def all_finite(params: Params) -> jax.Array:
    """bool []: whether every parameter is finite."""
    finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(params)]
    return jnp.stack(finite).all()


def run_epochs(
    run_epoch: RunEpoch,
    evaluate_one: Evaluate,
    state: TrainState,
    key: chex.ArrayTree,
    data: tuple[Batch, tuple[Batch, ...]],
    *,
    numbers: Iterable[int],
    spread: Spread = parallel.alone,
) -> Iterator[tuple[Epoch, np.ndarray]]:
    """Compile, then run the epochs of these numbers (from 0), yielding after each.

    With each epoch comes whether its parameters are finite. `data` is the training
    set and the held-out ones. `spread(function, n)` makes a function of one network,
    whose first n arguments are its own, one of many, or one of many devices.
    """
    train, held_out = data
    began = time.perf_counter()
    with devices.cache_use() as cache:
        train_one = compile_ahead(spread(run_epoch, 2), state, key, np.int32(0), train)
        evaluate = compile_evaluate(evaluate_one, state.params, held_out, spread)
    compile_seconds = time.perf_counter() - began

    def train_epoch(state: TrainState, number: int) -> Reached:
        return train_one(state, key, np.int32(number), train)

    compiled: dict[str, Any] = {
        "compile_seconds": compile_seconds,
        "compile_cached": cache.all_hits,
    }
    for epoch, finite in epoch_by_epoch(train_epoch, evaluate, state, numbers):
        yield epoch._replace(**compiled), finite


def compile_evaluate(
    evaluate_one: Evaluate,
    params: Params,
    held_out: tuple[Batch, ...],
    spread: Spread,
) -> Callable[[Params], tuple[Totals, ...]]:
    """The program that evaluates on each held-out set; `spread` as in `run_epochs`."""

    def evaluate_all(params: Params, held_out: tuple[Batch, ...]) -> tuple[Totals, ...]:
        return tuple(evaluate_one(params, part) for part in held_out)

    if not held_out:
        return lambda params: ()
    program = compile_ahead(spread(evaluate_all, 1), params, held_out)
    return lambda params: program(params, held_out)


def epoch_by_epoch(
    train_epoch: Callable[[TrainState, int], Reached],
    evaluate: Callable[[Params], tuple[Totals, ...]],
    state: TrainState,
    numbers: Iterable[int],
) -> Iterator[tuple[Epoch, np.ndarray]]:
    """Run and time epochs; with each comes whether its parameters are finite."""
    for number in numbers:
        began = time.perf_counter()
        state, totals, finite = train_epoch(state, number)
        jax.block_until_ready((state, totals))
        trained = time.perf_counter()
        checked = jax.device_get(evaluate(state.params))
        epoch = Epoch(
            number + 1,
            state,
            jax.device_get(totals),
            checked,
            seconds=trained - began,
            evaluation_seconds=time.perf_counter() - trained,
        )
        yield epoch, jax.device_get(finite)


def fit(
    loss_fn: LossFn,
    tx: optax.GradientTransformation,
    state: TrainState,
    train: Batch,
    held_out: Sequence[Batch] = (),
    *,
    batch_size: int,
    num_epochs: int,
    key: jax.Array,
    num_classes: int = NUM_CLASSES,
    mesh: jax.sharding.Mesh | None = None,
    train_loss_fn: KeyedLossFn | None = None,
    loss_key: jax.Array | None = None,
) -> Iterator[Epoch]:
    """Train until `num_epochs` are done, yielding after each.

    A state that has seen some epochs already goes on where it stopped, and ends
    bit for bit as if it had never stopped. Nothing is donated: the state given and
    those yielded remain usable, after Ctrl-C and after NonFiniteLoss too.

    Args:
      loss_fn, tx: a network's loss, and the optimizer.
      state: from `start`, or from an earlier epoch.
      train, held_out: data to train on, and sets to evaluate on after each epoch.
      batch_size: 1 to the number of training examples.
      num_epochs: 1 or more, counted from the beginning of training.
      key: decides the order of the examples.
      num_classes: labels are 0 to `num_classes - 1`.
      mesh: devices to train on, along its one axis "data", each on its part of every
        batch; those of other processes too, where each process makes the same call.
        Left out: where the state is, that of `start` on the default device. On the
        same mesh every run ends bit for bit alike; between meshes float32 sums are
        rounded in another order.
      train_loss_fn: a loss that takes a key too, as for dropout or distorted images,
        and is trained with in place of `loss_fn`, which evaluates.
      loss_key: decides what it draws, with the step alone; `run_keys(seed).extra`. On
        a mesh each device draws by a key of its own.

    Raises:
      InputError: when called: data or settings make no sense, the state stands in the
        middle of an epoch, or one of the last two comes without the other.
      NonFiniteLoss: a loss of an epoch, or a weight after it, is NaN or infinite.
    """
    require_data(train, held_out, batch_size, num_epochs, num_classes)
    first = epochs_done(state, len(train.label), batch_size)
    mesh = None if mesh is None else devices.mesh_along(parallel.AXIS, mesh)
    many = mesh is not None and mesh.size > 1
    spread = parallel.over(mesh) if mesh is not None and many else parallel.alone
    if (train_loss_fn is None) != (loss_key is None):
        raise InputError("train_loss_fn and loss_key go together; give both or neither")
    evaluate = make_evaluate(loss_fn)
    used_loss = train_loss_fn or loss_fn
    run_epoch = make_run_epoch(used_loss, tx, batch_size, shared=many)

    def epochs() -> Iterator[Epoch]:
        begin, data = (state, (key, loss_key)), (train, tuple(held_out))
        if mesh is None:
            data = jax.device_put(data)
        else:
            begin, data = devices.put_everywhere((begin, data), mesh)
        for epoch, finite in run_epochs(
            run_epoch,
            parallel.evaluate_shares(evaluate) if many else evaluate,
            *begin,
            data,
            numbers=range(first, num_epochs),
            spread=spread,
        ):
            require_finite_epoch(epoch, finite)
            yield epoch

    return epochs()


def require_finite_epoch(epoch: Epoch, finite: np.ndarray) -> None:
    """Raise NonFiniteLoss as `require_finite`, of one network's epoch."""
    losses = [totals.loss for totals in (epoch.train, *epoch.held_out)]
    require_finite(epoch.number, *losses, weights=bool(finite))
