"""Steps, scans, orders and evaluations against plain Python loops."""

import re

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
from small import (
    BATCH_SIZE,
    NETWORKS,
    SIZES,
    TRAIN,
    order_of,
    random_batch,
    random_layers,
    rows_of,
)

from jaxnets import (
    batches,
    devices,
    ensemble,
    models,
    optimizers,
    processor,
    relu_softmax,
    training,
)
from jaxnets.errors import InputError, NonFiniteLoss
from jaxnets.types import Batch, Totals


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
    data = Batch(np.zeros((num_examples, 1, 1), np.uint8), labels.astype(np.uint32))
    scan = jax.jit(batches.scan_batches, static_argnums=(0, 3))
    assert scan(step, jnp.uint32(0), data, batch_size) == expected


def test_a_step_is_compiled_at_most_twice_per_scan():
    chex.clear_trace_counter()

    @chex.assert_max_traces(n=2)  # once for the scan, once for the short batch
    def step(carry, batch):
        return carry + jnp.sum(batch.label)

    scan = jax.jit(lambda data: batches.scan_batches(step, jnp.int32(0), data, 5))
    for seed in range(3):
        data = random_batch(23, seed)
        assert scan(data) == np.sum(data.label)


ORDER_OF = jax.jit(batches.epoch_order, static_argnums=2)


@settings(max_examples=10)
@given(st.sampled_from([1, 100]), st.integers(0, 1000), st.integers(0, 50))
def test_an_order_holds_every_index_once(num_examples, seed, epoch):
    order = ORDER_OF(jax.random.key(seed), epoch, num_examples)
    chex.assert_type(order, jnp.int32)
    np.testing.assert_array_equal(np.sort(order), np.arange(num_examples))


def test_orders_differ_between_epochs_and_seeds_and_repeat_for_the_same():
    orders = {}
    for seed in (1, 2):
        for epoch in range(4):
            order = np.asarray(ORDER_OF(jax.random.key(seed), epoch, 100))
            # Oracle: what is documented, in NumPy.
            expected = order_of(jax.random.key(seed), epoch, 100)
            np.testing.assert_array_equal(order, expected)
            orders[tuple(order.tolist())] = (seed, epoch)
    assert len(orders) == 8


def test_equal_numbers_stay_in_order():
    key, epoch, count = jax.random.key(5), 2, 70_000
    bits = jax.random.bits(jax.random.fold_in(key, epoch), (count,))
    assert len(np.unique(bits)) < count  # epoch 2 has some
    np.testing.assert_array_equal(
        ORDER_OF(key, epoch, count), order_of(key, epoch, count)
    )


def test_orders_are_the_same_on_other_devices(monkeypatch):
    key = jax.random.key(5)
    on_processor = batches.epoch_order(key, 2, 1000)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    elsewhere = batches.epoch_order(key, 2, 1000)
    np.testing.assert_array_equal(elsewhere, on_processor)
    chex.assert_type(elsewhere, jnp.int32)


def test_orders_are_fair():
    # Oracle: each of 6 examples comes first in 1/6 of 3,000 epochs; the standard
    # deviation is 20, and the key is fixed, so five of them never flicker.
    key = jax.random.key(0)
    first = jax.jit(lambda epoch: batches.epoch_order(key, epoch, 6)[0])
    counts = np.bincount([first(epoch) for epoch in range(3000)], minlength=6)
    assert np.all(np.abs(counts - 500) < 100)


def test_an_epoch_equals_a_loop_of_steps():
    tx = optax.sgd(0.1, momentum=0.9)
    order = np.random.default_rng(3).permutation(23)
    state = training.start(random_layers((20, 10)), tx)
    train_step = training.make_train_step(relu_softmax.loss_fn, tx)
    train_epoch = jax.jit(training.make_train_epoch(train_step, BATCH_SIZE))
    scanned, totals = train_epoch(state, TRAIN, order)

    chex.clear_trace_counter()
    step = jax.jit(chex.assert_max_traces(train_step, n=2))  # full and short batches
    summed = np.zeros(3)
    for start in range(0, 23, BATCH_SIZE):
        rows = order[start : start + BATCH_SIZE]
        state, batch_totals = step(state, rows_of(TRAIN, rows))
        summed += [float(number) for number in batch_totals]
    chex.assert_trees_all_equal_shapes_and_dtypes(scanned, state)
    # The same float32 operations, compiled apart.
    chex.assert_trees_all_close(scanned, state, rtol=2e-5, atol=2e-6)
    assert scanned.step == 5 and totals.seen == 23 and totals.correct == summed[0]
    np.testing.assert_allclose(totals.loss, summed[1], rtol=1e-5)


@pytest.mark.parametrize("num_examples", [300, 302, 405])
def test_an_epoch_longer_than_one_gather_uses_every_example_once(
    num_examples, monkeypatch
):
    # 300 examples fill the gathers exactly; 405 leave full batches and a short one.
    monkeypatch.setattr(processor, "GATHERED", 10)
    data = random_batch(num_examples)
    order = np.random.default_rng(3).permutation(num_examples)
    rate = 2.0**-10

    def loss_fn(params, batch):  # its gradient depends on the step, so orders differ
        number = jnp.mean(batch.label.astype(jnp.float32))
        size = jnp.int32(batch.label.shape[0])
        totals = Totals(jnp.sum(batch.label), number, size)
        return params[0] ** 2 * (number + 1) / 2, totals

    tx = optax.sgd(rate)
    train_step = training.make_train_step(loss_fn, tx)
    state = training.start((np.float32(1),), tx)
    train_epoch = jax.jit(processor.make_train_epoch(train_step, 3))
    state, totals = train_epoch(state, data, order)

    expected = 1.0
    for start in range(0, num_examples, 3):
        rows = data.label[order[start : start + 3]]
        expected -= rate * expected * (float(np.mean(rows)) + 1)
    np.testing.assert_allclose(state.params[0], expected, rtol=1e-4)  # 135 roundings
    assert totals.seen == num_examples
    assert totals.correct == int(np.sum(data.label))
    assert state.step == -(-num_examples // 3)


def sorts_and_kernels(lowered):
    """The types of what a program sorts, and of the first kernels in its loops."""
    sorts = re.findall(r'"stablehlo\.sort".*?\}\) : \((.*?)\) ->', lowered, re.DOTALL)
    loops = " ".join(re.findall(r"stablehlo\.while\(.*?\) : (.*)", lowered))
    kernels = re.findall(r"tensor<((?:2x)?(?:20x6|6x20)xf32)>", loops)
    return [re.findall("<(.*?)>", types) for types in sorts], set(kernels)


# What is lowered for, and JAX's name for that back end; the last is the control.
PLACES = [("cuda", "gpu"), ("tpu", "tpu"), ("cpu", "cpu")]


@pytest.mark.parametrize(("platform", "backend"), PLACES)
@pytest.mark.parametrize("name", ["sigmoid_mse", "relu_softmax", "flax_dense"])
def test_accelerators_train_the_plain_epoch(name, platform, backend, monkeypatch):
    # No accelerator is needed to lower for one. A processor sorts 64-bit numbers, and
    # stores kernels transposed.
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    tx = optimizers.make(models.get(name).recipe)
    run_epoch = training.make_run_epoch(NETWORKS[name].loss_fn, tx, BATCH_SIZE)
    state = training.start(random_layers(SIZES), tx)
    traced = jax.jit(run_epoch).trace(state, (jax.random.key(0), None), 0, TRAIN)
    lowered = traced.lower(lowering_platforms=(platform,)).as_text()
    expected = [["23xui32", "23xi32"]], {"20x6xf32"}
    if backend == "cpu":
        expected = [["23xui64"]], {"6x20xf32"}
    assert sorts_and_kernels(lowered) == expected


@pytest.mark.parametrize(("platform", "backend"), PLACES)
def test_accelerators_train_many_networks_by_the_plain_epoch(
    platform, backend, monkeypatch
):
    def lower(function, *args):
        traced = jax.jit(function).trace(*args)
        return traced.lower(lowering_platforms=(platform,)).as_text()

    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setattr(devices, "compile_ahead", lower)
    monkeypatch.setattr(devices, "program_bytes", lambda program: program)
    lowered = ensemble.bytes_of(
        lambda key: relu_softmax.init(key, SIZES),
        *(relu_softmax.loss_fn, optax.sgd(0.1), TRAIN),
        batch_size=BATCH_SIZE,
        num_networks=2,
    )
    expected = [["2x23xui32", "2x23xi32"]], {"2x20x6xf32"}
    if backend == "cpu":
        expected = [["2x23xui64"]], {"2x6x20xf32"}
    assert sorts_and_kernels(lowered) == expected


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_evaluation_agrees_with_scikit_learn(batch_size):
    params = random_layers((20, 10))
    evaluate = training.make_evaluate(relu_softmax.loss_fn, batch_size)
    apply = jax.jit(relu_softmax.apply)
    chex.clear_trace_counter()
    compiled = jax.jit(chex.assert_max_traces(evaluate, n=1))
    for seed in (0, 1):
        data = random_batch(23, seed)
        totals = compiled(params, data)
        logits = np.asarray(apply(params, data.image), float)
        probability = scipy.special.softmax(logits, axis=-1)
        assert totals.seen == 23
        assert totals.correct == accuracy_score(
            data.label, logits.argmax(axis=-1), normalize=False
        )
        expected = log_loss(data.label, probability, labels=range(10), normalize=False)
        np.testing.assert_allclose(
            totals.loss, expected, rtol=1e-5
        )  # float32, 23 terms


def test_predictions_in_parts_are_those_of_the_whole():
    params = random_layers((20, 10))
    predict_all = jax.jit(training.make_predict(relu_softmax.predict, batch_size=4))
    images = random_batch(11).image
    whole = jax.jit(relu_softmax.predict)(params, images)
    for num_images in (0, 3, 8, 11):  # none, part of a batch, whole batches, both
        prediction = predict_all(params, images[:num_images])
        chex.assert_shape(prediction, [(num_images,), (num_images, 10)])
        expected = jax.tree.map(lambda rows: rows[:num_images], whole)  # noqa: B023
        # float32: products of other batches may round differently
        chex.assert_trees_all_close(prediction, expected, rtol=1e-5)


def test_divergence_is_an_error_that_names_the_epoch():
    training.require_finite(3, 0.5, np.float32(2), weights=True)
    for loss in (np.nan, np.inf, -np.inf):
        with pytest.raises(NonFiniteLoss, match=rf"{loss} in epoch 3"):
            training.require_finite(3, 0.5, loss)
    with pytest.raises(NonFiniteLoss, match=r"weight .* epoch 3"):
        training.require_finite(3, 0.5, weights=False)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_that_keras_would_not_take_are_refused(seed):
    with pytest.raises(InputError, match=f"{seed=} must be between 0 and 4294967295"):
        training.run_keys(seed)
    training.require_seed(2**32 - 1)
