"""Model 1 against NumPy backpropagation in float64, after Nielsen's chapter 2."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles
import pytest
import scipy.special
import scipy.stats

from jaxnets import sigmoid_mse
from jaxnets.training import make_train_epoch, make_train_step, start
from jaxnets.types import Batch, Dense

RATE = 3.0  # eta, Nielsen, chapter 1


@pytest.fixture(scope="module", params=[(20, 10), (20, 6, 8, 10)], ids=str)
def params(request):
    return sigmoid_mse.init(jax.random.key(7), request.param)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    image = rng.integers(256, size=(23, 4, 5), dtype=np.uint8)
    return Batch(image, rng.integers(10, size=23, dtype=np.int32))


def assert_close(params, network, rtol, atol):
    """jaxnets' tree of (kernel, bias) against the oracle's list of pairs."""
    pairs = tuple(type(params[0])(*pair) for pair in network)
    chex.assert_trees_all_close(params, pairs, rtol=rtol, atol=atol)


def test_the_oracle_agrees_with_finite_differences(params, data):
    network = oracles.network_of(params)
    image, label = data.image[0], data.label[0]
    _, _, gradients = oracles.sigmoid_backprop(network, image, label)
    differences = oracles.finite_differences(
        oracles.sigmoid_backprop, network, image, label
    )
    # float64 with a step of 1e-6: about 1e-10 is left of the difference
    chex.assert_trees_all_close(gradients, differences, rtol=1e-6, atol=1e-9)


def test_activations_are_scipys_sigmoids(params, data):
    activations = np.array([oracles.pixels_of(image) for image in data.image])
    for kernel, bias in oracles.network_of(params):
        activations = scipy.special.expit(activations @ kernel + bias)
    outputs = sigmoid_mse.apply(params, jnp.asarray(data.image))
    # float32, three layers of 20-term sums
    np.testing.assert_allclose(outputs, activations, rtol=1e-5)
    prediction = sigmoid_mse.predict(params, jnp.asarray(data.image))
    share = activations / activations.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(prediction.probability, share, rtol=1e-5)


def test_loss_and_gradient_of_every_parameter(params, data):
    grad_fn = jax.value_and_grad(sigmoid_mse.loss_fn, has_aux=True)
    (loss, _), grads = jax.jit(grad_fn)(params, data)
    expected_loss, gradients = oracles.batch_gradients(
        oracles.sigmoid_backprop, oracles.network_of(params), *data
    )
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-6)  # float32, 23 x 10 terms
    assert_close(grads, gradients, rtol=1e-4, atol=1e-7)  # float32, sums that cancel


def test_one_step_of_gradient_descent(params, data):
    tx = optax.sgd(RATE)
    train_step = jax.jit(make_train_step(sigmoid_mse.loss_fn, tx))
    state, _ = train_step(start(params, tx), data)
    network = oracles.sgd_step(
        oracles.sigmoid_backprop, oracles.network_of(params), *data, RATE
    )
    assert_close(state.params, network, rtol=1e-5, atol=1e-6)  # float32 weights near 1
    assert state.step == 1


def test_one_epoch_in_a_given_order_with_a_short_last_batch(params, data):
    tx, batch_size = optax.sgd(RATE), 5  # 23 examples: the last batch has 3
    order = np.random.default_rng(2).permutation(23)
    network, correct, loss = oracles.sgd_epoch(
        oracles.sigmoid_backprop,
        oracles.network_of(params),
        *data,
        order,
        batch_size=batch_size,
        rate=RATE,
    )
    train_epoch = jax.jit(make_train_epoch(sigmoid_mse.loss_fn, tx, batch_size))
    state, totals = train_epoch(start(params, tx), data, jnp.asarray(order))
    assert_close(state.params, network, rtol=1e-4, atol=1e-5)  # five float32 steps
    assert (state.step, totals.correct, totals.seen) == (5, correct, 23)
    np.testing.assert_allclose(totals.loss, loss, rtol=1e-5)  # float32, 23 terms


def test_weights_and_biases_start_from_the_standard_normal_distribution():
    params = sigmoid_mse.init(jax.random.key(0), (784, 300, 10))
    for values in (params[0].kernel, params[0].bias, params[1].kernel):
        # Oracle: Kolmogorov and Smirnov's test by SciPy. The key is fixed, so the
        # result is too; another scale or family gives p below 1e-6.
        sample = np.asarray(values, float).ravel()
        assert scipy.stats.kstest(sample, "norm").pvalue > 0.01
    flat = np.concatenate(
        [np.asarray(leaf).ravel() for leaf in jax.tree.leaves(params)]
    )
    # No numbers are reused. float32 normals come from 2^23 values, so among 238,000
    # some 3,000 pairs are equal by chance.
    assert len(np.unique(flat)) > 0.95 * len(flat)


@pytest.mark.parametrize("bias", [0, -80, -86, -87.5, -88.5, -100, -1e4, 1e4])
def test_probabilities_sum_to_1_where_every_sigmoid_vanishes(bias):
    # Below -87.3 a sigmoid leaves float32's normal range, below -103.9 it is 0.
    layer = Dense(np.zeros((20, 10), np.float32), np.full(10, bias, np.float32))
    images = np.zeros((3, 4, 5), np.uint8)
    for predict in (sigmoid_mse.predict, jax.jit(sigmoid_mse.predict)):
        prediction = predict((layer,), images)
        # Equal outputs are equally likely; float32, 10 terms
        np.testing.assert_allclose(prediction.probability, 0.1, rtol=1e-6)
        assert prediction.label.tolist() == [0, 0, 0]  # as `count` counts them
