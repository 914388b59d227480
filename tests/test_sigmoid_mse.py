"""Model 1 against NumPy backpropagation in float64, after Nielsen's chapter 2."""

import jax
import numpy as np
import optax
import oracles
import pytest
import scipy.special
import scipy.stats
from small import FEW, HIDDEN, SIZES, TRAIN, everything_of, order_of, random_layers

from jaxnets import sigmoid_mse
from jaxnets.training import fit, start
from jaxnets.types import Dense

RATE = 3.0  # eta, Nielsen, chapter 1


@pytest.fixture(scope="module")
def params():
    return random_layers((20, *HIDDEN, 10))


def test_activations_are_scipys_sigmoids(params):
    activations = np.array([oracles.pixels_of(image) for image in FEW.image])
    for kernel, bias in oracles.network_of(params):
        activations = scipy.special.expit(activations @ kernel + bias)
    outputs, _, _, prediction = everything_of(sigmoid_mse)(params, FEW)
    # float32, three layers of 20-term sums
    np.testing.assert_allclose(outputs, activations, rtol=1e-5)
    share = activations / activations.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(prediction.probability, share, rtol=1e-5)


def test_loss_and_gradient_of_every_parameter(params):
    _, (loss, _), grads, _ = everything_of(sigmoid_mse)(params, FEW)
    expected_loss, gradients = oracles.batch_gradients(
        oracles.sigmoid_backprop, oracles.network_of(params), *FEW
    )
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-6)  # float32, 5 x 10 terms
    oracles.assert_close(
        grads, gradients, rtol=1e-4, atol=1e-7
    )  # float32, sums that cancel


def test_one_epoch_in_a_given_order_with_a_short_last_batch():
    params = random_layers(SIZES)
    # What `fit` makes of it on this device; `test_relu_softmax` has the plain epoch.
    tx, batch_size, key = optax.sgd(RATE), 5, jax.random.key(2)  # 23: the last has 3
    order = order_of(key, 0, 23)
    network, correct, loss = oracles.sgd_epoch(
        oracles.sigmoid_backprop,
        oracles.network_of(params),
        *TRAIN,
        order,
        batch_size=batch_size,
        rate=RATE,
    )
    options = {"batch_size": batch_size, "num_epochs": 1, "key": key}
    (epoch,) = fit(sigmoid_mse.loss_fn, tx, start(params, tx), TRAIN, **options)
    after, totals = epoch.state, epoch.train
    oracles.assert_close(after.params, network, rtol=1e-4, atol=1e-5)  # 5 float32 steps
    assert (after.step, totals.correct, totals.seen) == (5, correct, 23)
    np.testing.assert_allclose(totals.loss, loss, rtol=1e-5)  # float32, 23 terms


def test_weights_and_biases_start_from_the_standard_normal_distribution():
    # More tests compile for these sizes.
    (layer,) = sigmoid_mse.init(jax.random.key(0), (784, 10))
    for values in layer:
        # Oracle: Kolmogorov and Smirnov's test by SciPy. The key is fixed, so the
        # result is too; another scale or family gives p below 1e-6.
        assert scipy.stats.kstest(np.ravel(values), "norm").pvalue > 0.01
    # No numbers are reused. float32 normals come from 2^23 values, so among 7,840
    # some 4 pairs are equal by chance.
    assert len(np.unique(layer.kernel)) > 0.99 * layer.kernel.size


@pytest.mark.parametrize("bias", [0, -80, -86, -87.5, -88.5, -100, -1e4, 1e4])
def test_probabilities_sum_to_1_where_every_sigmoid_vanishes(bias):
    # Below -87.3 a sigmoid leaves float32's normal range, below -103.9 it is 0.
    layer = Dense(np.zeros((20, 10), np.float32), np.full(10, bias, np.float32))
    images = np.zeros((3, 4, 5), np.uint8)
    prediction = jax.jit(sigmoid_mse.predict)((layer,), images)
    # Equal outputs are equally likely; float32, 10 terms
    np.testing.assert_allclose(prediction.probability, 0.1, rtol=1e-6)
    assert prediction.label.tolist() == [0, 0, 0]  # as `count` counts them
