"""Steps, scans, orders and evaluations against plain Python loops."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, log_loss

from jaxnets import flax_dense, relu_softmax, sigmoid_mse, training
from jaxnets import models as recipes
from jaxnets.errors import InputError
from jaxnets.types import Batch

SIZES = (20, 6, 10)


def random_data(num_examples, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.integers(256, size=(num_examples, 4, 5), dtype=np.uint8)
    label = rng.integers(10, size=num_examples, dtype=np.int32)
    return Batch(jnp.asarray(image), jnp.asarray(label))


@pytest.mark.parametrize(
    ("num_examples", "batch_size"), [(12, 5), (12, 4), (7, 7), (9, 1)]
)
def test_scan_equals_a_python_loop(num_examples, batch_size):
    # The step does not commute, so an example lost, repeated or moved shows.
    def step(carry, batch):
        return carry * 31 + jnp.sum(batch.label) + 7 * batch.label.shape[0]

    labels = np.arange(1, num_examples + 1)
    expected = 0
    for start in range(0, num_examples, batch_size):
        rows = labels[start : start + batch_size]
        expected = (expected * 31 + int(rows.sum()) + 7 * len(rows)) % 2**32
    data = Batch(
        jnp.zeros((num_examples, 1, 1), jnp.uint8), jnp.asarray(labels, "uint32")
    )
    scan = jax.jit(training.scan_batches, static_argnums=(0, 3))
    assert scan(step, jnp.uint32(0), data, batch_size) == expected


def test_a_step_is_compiled_at_most_twice_per_scan():
    chex.clear_trace_counter()

    @chex.assert_max_traces(n=2)  # once for the scan, once for the short batch
    def step(carry, batch):
        return carry + jnp.sum(batch.label)

    scan = jax.jit(lambda data: training.scan_batches(step, jnp.int32(0), data, 5))
    for seed in range(3):
        data = random_data(23, seed)
        assert scan(data) == np.sum(data.label)


@given(st.sampled_from([1, 2, 23, 100]), st.integers(0, 1000), st.integers(0, 50))
def test_an_order_holds_every_index_once(num_examples, seed, epoch):
    order = training.epoch_order(jax.random.key(seed), epoch, num_examples)
    chex.assert_type(order, jnp.int32)
    np.testing.assert_array_equal(np.sort(order), np.arange(num_examples))


def test_orders_differ_between_epochs_and_seeds_and_repeat_for_the_same():
    order_of = jax.jit(training.epoch_order, static_argnums=2)
    orders = {}
    for seed in (1, 2):
        for epoch in range(4):
            order = np.asarray(order_of(jax.random.key(seed), epoch, 100))
            again = training.epoch_order(jax.random.key(seed), epoch, 100)
            np.testing.assert_array_equal(order, again)
            orders[tuple(order.tolist())] = (seed, epoch)
    assert len(orders) == 8


def test_orders_are_fair():
    # Oracle: each of 6 examples comes first in 1/6 of 3,000 epochs; the standard
    # deviation is 20, and the key is fixed, so five of them never flicker.
    first = jax.vmap(lambda e: training.epoch_order(jax.random.key(0), e, 6)[0])
    counts = np.bincount(first(jnp.arange(3000)), minlength=6)
    assert np.all(np.abs(counts - 500) < 100)


@pytest.mark.parametrize(
    ("network", "recipe"),
    [
        (sigmoid_mse, recipes.SIGMOID_MSE),
        (relu_softmax, recipes.RELU_SOFTMAX),
        (flax_dense, recipes.FLAX_DENSE),
    ],
    ids=["sigmoid_mse", "relu_softmax", "flax_dense"],
)
def test_an_epoch_equals_a_loop_of_steps(network, recipe):
    tx, data, batch_size = recipes.optimizer(recipe), random_data(23), 5
    order = np.random.default_rng(3).permutation(23)
    state = training.start(network.init(jax.random.key(0), SIZES), tx)
    train_epoch = training.make_train_epoch(network.loss_fn, tx, batch_size)
    scanned, totals = jax.jit(train_epoch)(state, data, jnp.asarray(order))

    step = jax.jit(training.make_train_step(network.loss_fn, tx))
    summed = np.zeros(3)
    for start in range(0, 23, batch_size):
        rows = order[start : start + batch_size]
        state, batch_totals = step(state, Batch(data.image[rows], data.label[rows]))
        summed += [float(number) for number in batch_totals]
    chex.assert_trees_all_equal_shapes_and_dtypes(scanned, state)
    # float32: the epoch keeps its weights transposed, so products round differently.
    chex.assert_trees_all_close(scanned, state, rtol=2e-5, atol=2e-6)
    assert scanned.step == 5 and totals.seen == 23 and totals.correct == summed[0]
    np.testing.assert_allclose(totals.loss, summed[1], rtol=1e-5)


@pytest.mark.parametrize("num_examples", [299, 300, 302, 405])
def test_an_epoch_longer_than_one_gather_uses_every_example_once(
    num_examples, monkeypatch
):
    # 300 examples fill the gathers exactly; 405 leave full batches and a short one.
    monkeypatch.setattr(training, "GATHERED", 10)
    data = random_data(num_examples)
    order = np.random.default_rng(3).permutation(num_examples)
    rate = 2.0**-10

    def loss_fn(params, batch):  # its gradient depends on the step, so orders differ
        number = jnp.mean(batch.label.astype(jnp.float32))
        size = jnp.int32(batch.label.shape[0])
        totals = training.Totals(jnp.sum(batch.label), number, size)
        return params[0] ** 2 * (number + 1) / 2, totals

    tx = optax.sgd(rate)
    state = training.start((jnp.float32(1),), tx)
    train_epoch = jax.jit(training.make_train_epoch(loss_fn, tx, 3))
    state, totals = train_epoch(state, data, jnp.asarray(order))

    expected = 1.0
    for start in range(0, num_examples, 3):
        rows = data.label[order[start : start + 3]]
        expected -= rate * expected * (float(np.mean(rows)) + 1)
    np.testing.assert_allclose(state.params[0], expected, rtol=1e-4)  # 135 roundings
    assert totals.seen == num_examples
    assert totals.correct == int(np.sum(data.label))
    assert state.step == -(-num_examples // 3)


@settings(max_examples=8)
@given(batch_size=st.integers(1, 10_500))
def test_evaluation_counts_10_000_for_any_batch_size(batch_size):
    # A loss that is cheap to compile, whatever the batch size.
    data = Batch(np.zeros((10_000, 1, 1), np.uint8), np.ones(10_000, np.int32))

    def loss_fn(params, batch):
        size = batch.label.shape[0]
        totals = training.Totals(
            jnp.sum(batch.label), jnp.float32(size), jnp.int32(size)
        )
        return params, totals

    evaluate = jax.jit(training.make_evaluate(loss_fn, batch_size))
    assert tuple(evaluate(jnp.float32(0), data)) == (10_000, 10_000, 10_000)


@pytest.mark.parametrize("batch_size", [1, 7, 23, 1000])
def test_evaluation_agrees_with_scikit_learn(batch_size):
    data = random_data(23)
    params = relu_softmax.init(jax.random.key(2), SIZES)
    evaluate = jax.jit(training.make_evaluate(relu_softmax.loss_fn, batch_size))
    totals = evaluate(params, data)
    logits = np.asarray(relu_softmax.apply(params, data.image), float)
    probability = scipy.special.softmax(logits, axis=-1)
    assert totals.seen == 23
    assert totals.correct == accuracy_score(
        data.label, logits.argmax(axis=-1), normalize=False
    )
    expected = log_loss(data.label, probability, labels=range(10), normalize=False)
    np.testing.assert_allclose(totals.loss, expected, rtol=1e-5)  # float32, 23 terms


@pytest.mark.parametrize("batch_size", [0, -1, 11])
def test_a_batch_size_that_does_not_fit_is_refused(batch_size):
    with pytest.raises(InputError, match=rf"{batch_size=} .*between 1 and .*10"):
        training.check_batch_size(batch_size, 10)
    training.check_batch_size(1, 10)
    training.check_batch_size(10, 10)
