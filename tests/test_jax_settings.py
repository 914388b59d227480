"""What people set in JAX, to debug or for accelerators, changes no result."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax
from small import (
    BATCH_SIZE,
    TRAIN,
    order_of,
    random_layers,
    rows_of,
)

from jaxnets import ensemble, optimizers, relu_softmax, training
from jaxnets.types import Dense, Totals

DATA = rows_of(TRAIN, slice(20))  # no short batch, which would compile apart


def fit(
    data=DATA,
    held_out=(),
    *,
    loss_fn=relu_softmax.loss_fn,
    params=None,
    tx=None,
    num_epochs=1,
    batch_size=BATCH_SIZE,
):
    """Epochs of softmax regression, which compiles soon."""
    tx = tx or optimizers.keras_adam(1e-2)  # which counts, and divides
    state = training.start(params or random_layers((data.image[0].size, 10)), tx)
    options = {"batch_size": batch_size, "num_epochs": num_epochs}
    key = jax.random.key(9)
    return list(training.fit(loss_fn, tx, state, data, held_out, key=key, **options))


@pytest.fixture(scope="module")
def usual():
    return fit()


def assert_same(epochs, expected):
    for one, two in zip(epochs, expected, strict=True):
        arrays = [jax.device_get(epoch[1:4]) for epoch in (one, two)]
        chex.assert_trees_all_equal_shapes_and_dtypes(*arrays)
        # float32 operations, compiled in another way or not at all; Adam divides by
        # numbers that are small.
        chex.assert_trees_all_close(*arrays, rtol=1e-4, atol=1e-5)


def test_64_bits_are_there_for_others(usual):
    with jax.enable_x64(True):
        epochs = fit()
    assert_same(epochs, usual)
    chex.assert_type(jax.tree.leaves(epochs[0].state.params), np.float32)


def test_many_networks_where_64_bits_are_there_for_others():
    # A loss with few operations, since nothing is in the cache for 64 bits.
    def loss_fn(params, batch):
        errors = params.bias[batch.label]
        size = np.int32(len(batch.label))
        return jnp.mean(errors**2), Totals(jnp.int32(0), jnp.sum(errors**2), size)

    def init(key):
        phase = (jax.random.key_data(key)[1] % 1000).astype(np.float32)
        bias = jnp.sin(np.arange(10, dtype=np.float32) + phase)
        return Dense(np.zeros((1, 1), np.float32), bias)

    with jax.enable_x64(True):
        (epoch,) = ensemble.fit_many(
            init,
            loss_fn,
            optax.sgd,
            DATA,
            seeds=(1, 2),
            batch_size=BATCH_SIZE,
            num_epochs=1,
            learning_rates=np.array([0.1, 0.2]),
        )
    chex.assert_type(jax.tree.leaves(epoch.state.params), np.float32)
    chex.assert_type(
        [epoch.state.step, *epoch.train], [np.int32, np.int32, np.float32, np.int32]
    )
    # Oracle: gradient descent in NumPy for each of them.
    for index, (seed, rate) in enumerate([(1, 0.1), (2, 0.2)]):
        keys = training.run_keys(seed)
        bias = np.asarray(init(keys.init).bias, np.float64)
        for rows in order_of(keys.data, 0, len(DATA.label)).reshape(-1, BATCH_SIZE):
            counts = np.bincount(DATA.label[rows], minlength=10)
            bias = bias * (1 - rate * 2 * counts / BATCH_SIZE)
        # float32, four steps
        np.testing.assert_allclose(epoch.state.params.bias[index], bias, rtol=1e-5)


def test_without_jit_it_is_slow_and_the_same():
    # Few kinds of operations: each is compiled on its own.
    def loss_fn(params, batch):
        errors = params["guess"] - batch.label.astype(np.float32)
        size = jnp.int32(len(batch.label))
        return jnp.mean(errors**2), Totals(size, jnp.sum(errors**2), size)

    params = {"guess": np.float32(0.5)}
    options = {"loss_fn": loss_fn, "params": params, "tx": optax.sgd(0.1)}
    with jax.disable_jit():
        epochs = fit(**options)
    assert_same(epochs, fit(**options))


@pytest.mark.parametrize(
    "setting",
    [
        jax.debug_nans(True),
        jax.check_tracer_leaks(True),
        jax.numpy_dtype_promotion("strict"),
        jax.default_matmul_precision("highest"),
    ],
    ids=["debug_nans", "tracer leaks", "strict promotion", "highest precision"],
)
def test_settings_that_only_check(usual, setting):
    with setting:
        epochs = fit()
    assert_same(epochs, usual)


def test_accuracy_is_near_in_an_accelerators_products(thousand_digits):
    # float32 products are bfloat16's on a TPU and TF32's on a GPU. A processor does
    # not take the setting's word, so weights and gradients are rounded here as well.
    def rounded(params):
        return jax.tree.map(
            lambda leaf: lax.reduce_precision(leaf, exponent_bits=8, mantissa_bits=7),
            params,
        )

    def rough_loss(params, batch):
        return relu_softmax.loss_fn(rounded(params), batch)

    data, test = thousand_digits.train, thousand_digits.test
    options = {"batch_size": 25, "num_epochs": 3}
    options |= {"tx": optax.sgd(0.1)}
    fine = fit(data, **options)[-1]
    with jax.default_matmul_precision("bfloat16"):
        rough = fit(data, loss_fn=rough_loss, **options)[-1]
    predict = jax.jit(relu_softmax.predict)
    accuracies = [
        np.mean(predict(params, test.image).label == test.label)
        for params in (fine.state.params, rounded(rough.state.params))
    ]
    assert min(accuracies) > 0.8
    assert abs(accuracies[0] - accuracies[1]) < 0.03  # 360 images: 1.5 % is one sigma
    kernels = [epoch.state.params[0].kernel for epoch in (fine, rough)]
    assert not np.allclose(*kernels, rtol=1e-3)  # the rounding is there
