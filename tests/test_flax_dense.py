"""Model 3's mirror: same numbers as NumPy's, same weights in and out of Flax."""

import chex
import jax
import numpy as np
import oracles
import scipy.special
import scipy.stats
from flax import nnx
from small import FEW, HIDDEN, everything_of, random_layers

from jaxnets import flax_dense
from jaxnets.types import Dense

SIZES = (20, *HIDDEN, 10)


def test_probabilities_loss_and_gradient_of_every_parameter():
    params = random_layers(SIZES)
    network = oracles.network_of(params)
    outputs, (loss, totals), grads, prediction = everything_of(flax_dense)(params, FEW)
    logits = [oracles.relu_backprop(network, image, 0)[1] for image in FEW.image]
    # float32, three layers of 20-term sums of about 5
    np.testing.assert_allclose(outputs, logits, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        prediction.probability, scipy.special.softmax(logits, axis=-1), rtol=1e-4
    )
    expected_loss, gradients = oracles.batch_gradients(
        oracles.relu_backprop, network, *FEW
    )
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)  # float32, 5 terms
    np.testing.assert_allclose(totals.loss, 5 * expected_loss, rtol=1e-5)
    expected = tuple(Dense(*pair) for pair in gradients)
    # float32, sums that cancel
    chex.assert_trees_all_close(grads, expected, rtol=1e-4, atol=1e-5)


def test_the_module_holds_the_given_weights():
    params = random_layers(SIZES)
    module = flax_dense.module(params)
    assert isinstance(module, nnx.Module)
    for layer, dense in zip(module.layers, params, strict=True):
        np.testing.assert_array_equal(layer.kernel[...], dense.kernel)
        np.testing.assert_array_equal(layer.bias[...], dense.bias)


def test_modules_of_the_same_sizes_do_not_share_weights():
    everything = everything_of(flax_dense)
    first, second = random_layers(SIZES, 4), random_layers(SIZES, 5)
    alone = everything(first, FEW)[0]
    one = flax_dense.module(first)
    flax_dense.module(second)
    vectors = FEW.image.reshape(5, 20).astype(np.float32) / 255
    # The same float32 sums; the scaling may round differently.
    np.testing.assert_allclose(one(vectors), alone, rtol=1e-5, atol=1e-5)
    assert not np.allclose(everything(second, FEW)[0], alone)


def test_kernels_start_from_glorots_uniform_distribution_and_biases_from_0():
    num_in, num_out = 784, 60
    init = jax.jit(flax_dense.init, static_argnums=1)
    (layer,) = init(jax.random.key(0), (num_in, num_out))
    # Glorot and Bengio 2010, equation 16. Oracle: Kolmogorov and Smirnov's test by
    # SciPy; the key is fixed, so the result is too. Flax's own default, LeCun normal,
    # gives p = 0.
    limit = np.sqrt(6 / (num_in + num_out))
    uniform = scipy.stats.uniform(-limit, 2 * limit)
    assert scipy.stats.kstest(np.ravel(layer.kernel), uniform.cdf).pvalue > 0.01
    np.testing.assert_array_equal(layer.bias, 0)
