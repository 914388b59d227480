"""Model 2 against NumPy backpropagation in float64."""

import jax
import numpy as np
import optax
import oracles
import pytest
import scipy.special
import scipy.stats
from small import FEW, HIDDEN, SIZES, TRAIN, everything_of, random_layers

from jaxnets import relu_softmax
from jaxnets.training import make_train_epoch, make_train_step, start

RATE = 0.1  # of the recipe


@pytest.fixture(scope="module")
def params():
    return random_layers((20, *HIDDEN, 10))


def test_logits_and_probabilities(params):
    network = oracles.network_of(params)
    logits = np.array(
        [oracles.relu_backprop(network, image, 0)[1] for image in FEW.image]
    )
    outputs, _, _, prediction = everything_of(relu_softmax)(params, FEW)
    # float32, three layers of 20-term sums of about 1
    np.testing.assert_allclose(outputs, logits, rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(
        prediction.probability, scipy.special.softmax(logits, axis=-1), rtol=1e-5
    )


def test_loss_and_gradient_of_every_parameter(params):
    _, (loss, _), grads, _ = everything_of(relu_softmax)(params, FEW)
    expected_loss, gradients = oracles.batch_gradients(
        oracles.relu_backprop, oracles.network_of(params), *FEW
    )
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-6)  # float32, 5-term mean
    oracles.assert_close(
        grads, gradients, rtol=1e-4, atol=1e-6
    )  # float32, sums that cancel


def test_one_epoch_in_a_given_order_with_a_short_last_batch():
    params = random_layers(SIZES)
    tx, batch_size = optax.sgd(RATE), 5  # 23: the last has 3
    order = np.random.default_rng(2).permutation(23)
    network, correct, loss = oracles.sgd_epoch(
        oracles.relu_backprop,
        oracles.network_of(params),
        *TRAIN,
        order,
        batch_size=batch_size,
        rate=RATE,
    )
    state, step = start(params, tx), make_train_step(relu_softmax.loss_fn, tx)
    train_epoch = jax.jit(make_train_epoch(step, batch_size))
    after, totals = train_epoch(state, TRAIN, order)
    oracles.assert_close(after.params, network, rtol=1e-4, atol=1e-5)  # 5 float32 steps
    assert (after.step, totals.correct, totals.seen) == (5, correct, 23)
    np.testing.assert_allclose(totals.loss, loss, rtol=1e-5)  # float32, 23 terms


def test_kernels_start_from_glorots_normal_distribution_and_biases_from_0():
    num_in, num_out = 784, 10  # more tests compile for these sizes
    (layer,) = relu_softmax.init(jax.random.key(0), (num_in, num_out))
    # Glorot and Bengio 2010, equation 12. Oracle: Kolmogorov and Smirnov's test by
    # SciPy; the key is fixed, so the result is too.
    normal = scipy.stats.norm(scale=np.sqrt(2 / (num_in + num_out)))
    assert scipy.stats.kstest(np.ravel(layer.kernel), normal.cdf).pvalue > 0.01
    np.testing.assert_array_equal(layer.bias, 0)
