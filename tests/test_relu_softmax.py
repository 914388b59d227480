"""Model 2 against NumPy backpropagation in float64."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles
import pytest
import scipy.special
import scipy.stats

from jaxnets import relu_softmax
from jaxnets.training import make_train_epoch, make_train_step, start
from jaxnets.types import Batch

RATE = 0.1  # of the recipe


@pytest.fixture(scope="module", params=[(20, 10), (20, 6, 8, 10)], ids=str)
def params(request):
    """Weights with biases that are not 0, so that a lost bias shows."""
    fresh = relu_softmax.init(jax.random.key(7), request.param)
    return jax.tree.map(lambda leaf: leaf + 0.05, fresh)


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
    _, _, gradients = oracles.relu_backprop(network, image, label)
    differences = oracles.finite_differences(
        oracles.relu_backprop, network, image, label
    )
    # float64 with a step of 1e-6: about 1e-10 is left of the difference
    chex.assert_trees_all_close(gradients, differences, rtol=1e-6, atol=1e-9)


def test_logits_and_probabilities(params, data):
    network = oracles.network_of(params)
    logits = np.array(
        [oracles.relu_backprop(network, image, 0)[1] for image in data.image]
    )
    outputs = relu_softmax.apply(params, jnp.asarray(data.image))
    # float32, three layers of 20-term sums of about 1
    np.testing.assert_allclose(outputs, logits, rtol=1e-5, atol=2e-6)
    prediction = relu_softmax.predict(params, jnp.asarray(data.image))
    np.testing.assert_allclose(
        prediction.probability, scipy.special.softmax(logits, axis=-1), rtol=1e-5
    )


def test_loss_and_gradient_of_every_parameter(params, data):
    grad_fn = jax.value_and_grad(relu_softmax.loss_fn, has_aux=True)
    (loss, _), grads = jax.jit(grad_fn)(params, data)
    expected_loss, gradients = oracles.batch_gradients(
        oracles.relu_backprop, oracles.network_of(params), *data
    )
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-6)  # float32, 23-term mean
    assert_close(grads, gradients, rtol=1e-4, atol=1e-6)  # float32, sums that cancel


def test_one_step_of_gradient_descent(params, data):
    tx = optax.sgd(RATE)
    train_step = jax.jit(make_train_step(relu_softmax.loss_fn, tx))
    state, _ = train_step(start(params, tx), data)
    network = oracles.sgd_step(
        oracles.relu_backprop, oracles.network_of(params), *data, RATE
    )
    assert_close(state.params, network, rtol=1e-5, atol=1e-6)  # float32 weights near 1
    assert state.step == 1


def test_one_epoch_in_a_given_order_with_a_short_last_batch(params, data):
    tx, batch_size = optax.sgd(RATE), 5  # 23 examples: the last batch has 3
    order = np.random.default_rng(2).permutation(23)
    network, correct, loss = oracles.sgd_epoch(
        oracles.relu_backprop,
        oracles.network_of(params),
        *data,
        order,
        batch_size=batch_size,
        rate=RATE,
    )
    train_epoch = jax.jit(make_train_epoch(relu_softmax.loss_fn, tx, batch_size))
    state, totals = train_epoch(start(params, tx), data, jnp.asarray(order))
    assert_close(state.params, network, rtol=1e-4, atol=1e-5)  # five float32 steps
    assert (state.step, totals.correct, totals.seen) == (5, correct, 23)
    np.testing.assert_allclose(totals.loss, loss, rtol=1e-5)  # float32, 23 terms


def test_kernels_start_from_glorots_normal_distribution_and_biases_from_0():
    layer_sizes = (784, 100, 200, 10)
    params = relu_softmax.init(jax.random.key(0), layer_sizes)
    for layer, num_in, num_out in zip(
        params, layer_sizes, layer_sizes[1:], strict=False
    ):
        sample = np.asarray(layer.kernel, float).ravel()
        # Glorot and Bengio 2010, equation 12. Oracle: Kolmogorov and Smirnov's test
        # by SciPy; the key is fixed, so the result is too.
        normal = scipy.stats.norm(scale=np.sqrt(2 / (num_in + num_out)))
        assert scipy.stats.kstest(sample, normal.cdf).pvalue > 0.01
        np.testing.assert_array_equal(layer.bias, 0)
