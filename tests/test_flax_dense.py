"""Model 3's mirror: same numbers as NumPy's, same weights in and out of Flax."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
import scipy.special
import scipy.stats
from flax import nnx
from small import SIZES, TRAIN, random_layers

from jaxnets import flax_dense
from jaxnets.types import Dense


def test_logits_and_probabilities():
    params = random_layers(SIZES)
    network = oracles.network_of(params)
    logits = [oracles.relu_backprop(network, image, 0)[1] for image in TRAIN.image]
    image = jnp.asarray(TRAIN.image)
    # float32, two layers of 20-term sums of about 5
    np.testing.assert_allclose(
        flax_dense.apply(params, image), logits, rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(
        flax_dense.predict(params, image).probability,
        scipy.special.softmax(logits, axis=-1),
        rtol=1e-4,
    )


@pytest.mark.parametrize("layer_sizes", [(20, 10), (20, 6, 8, 10)], ids=str)
def test_loss_and_gradient_of_every_parameter(layer_sizes):
    params = random_layers(layer_sizes)
    grad_fn = jax.jit(jax.value_and_grad(flax_dense.loss_fn, has_aux=True))
    (loss, totals), grads = grad_fn(params, TRAIN)
    expected_loss, gradients = oracles.batch_gradients(
        oracles.relu_backprop, oracles.network_of(params), *TRAIN
    )
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)  # float32, 23 terms
    np.testing.assert_allclose(totals.loss, 23 * expected_loss, rtol=1e-5)
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
    image = jnp.asarray(TRAIN.image)
    first, second = random_layers(SIZES, 4), random_layers(SIZES, 5)
    alone = flax_dense.apply(first, image)
    one = flax_dense.module(first)
    flax_dense.module(second)
    vectors = image.reshape(23, 20).astype(jnp.float32) / 255
    # The same float32 sums; the scaling may round differently.
    np.testing.assert_allclose(one(vectors), alone, rtol=1e-5, atol=1e-5)
    assert not np.allclose(flax_dense.apply(second, image), alone)


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
