"""A learning rate of its own for every layer, and many such choices trained at once.

`vmap` over the rates makes one program of all the networks: the same initial weights,
the same order of the images, other rates.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from jaxnets import training
from jaxnets.devices import compile_ahead
from jaxnets.types import Batch, LossFn, Params, Totals


class RatesEpoch(NamedTuple):
    """An epoch of all networks; C is the number of combinations."""

    number: int  # 1 for the first
    params: Params  # leaves [C, ...]; donated to the next epoch: copy what must last
    train: Totals  # NumPy [C], summed while the weights moved
    held_out: tuple[Totals, ...]  # NumPy [C] each, after the epoch's last step
    seconds: float  # training and evaluation, without compilation
    compile_seconds: float  # the same in every epoch


def combinations(choices: Sequence[float], num_layers: int) -> np.ndarray:
    """Every way to give each layer one of the rates: float32 [C, layers]."""
    ways = itertools.product(choices, repeat=num_layers)
    return np.array(list(ways), np.float32)


def stack(params: Params, count: int) -> Params:
    """The same parameters `count` times, along a new first axis of every leaf."""
    return jax.tree.map(lambda leaf: np.stack([np.asarray(leaf)] * count), params)


def layerwise_sgd(rates: jax.Array) -> optax.GradientTransformation:
    """SGD with one learning rate a layer, input to output: float32 [layers]."""

    def update(grads: Params, opt_state: Any, params: Any = None) -> Any:
        updates = tuple(
            jax.tree.map(lambda grad, rate=rate: -rate * grad, layer)
            for rate, layer in zip(rates, grads, strict=True)
        )
        return updates, opt_state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def make_rates_epoch(loss_fn: LossFn, batch_size: int) -> Callable[..., Any]:
    """`epoch(params, rates, order, train, held_out)` of all networks, for `jax.jit`.

    Weights and rates differ by network; the order and the data are shared.
    """
    evaluate = training.make_evaluate(loss_fn)

    def one_network(params, rates, order, train, held_out):
        tx = layerwise_sgd(rates)
        train_epoch = training.make_train_epoch(loss_fn, tx, batch_size)
        state, totals = train_epoch(training.start(params, tx), train, order)
        scores = tuple(evaluate(state.params, part) for part in held_out)
        return state.params, totals, scores

    return jax.vmap(one_network, in_axes=(0, 0, None, None, None))


def fit_rates(
    loss_fn: LossFn,
    params: Params,
    rates: np.ndarray,
    train: Batch,
    held_out: Sequence[Batch],
    *,
    batch_size: int,
    num_epochs: int,
    key: jax.Array,
) -> Iterator[RatesEpoch]:
    """Train a network for each row of rates, all at once, yielding after each epoch.

    A loss that is not finite stops nobody: it is in the totals.

    Args:
      loss_fn, batch_size, num_epochs, key: as in `training.fit`.
      params: where all of them begin.
      rates: float32 [C, layers].
      train, held_out: data sets to train on, and to evaluate on after each epoch.

    Raises:
      InputError: the batch size does not fit.
    """
    num_examples = train.label.shape[0]
    training.check_batch_size(batch_size, num_examples)
    data = jax.device_put((train, tuple(held_out)))
    over_rates = make_rates_epoch(loss_fn, batch_size)

    def shuffle_and_train(params, rates, draw, data):
        order = training.epoch_order(*draw, num_examples)
        return over_rates(params, rates, order, *data)

    began = time.perf_counter()
    stacked = stack(params, len(rates))
    first = (stacked, rates, (key, np.int32(0)), data)
    run_epoch = compile_ahead(shuffle_and_train, *first, donate_argnums=0)
    compile_seconds = time.perf_counter() - began
    for epoch in range(num_epochs):
        began = time.perf_counter()
        draw = (key, np.int32(epoch))
        stacked, totals, scores = run_epoch(stacked, rates, draw, data)
        totals, scores = jax.device_get((totals, scores))
        seconds = time.perf_counter() - began
        yield RatesEpoch(epoch + 1, stacked, totals, scores, seconds, compile_seconds)
