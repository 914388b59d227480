"""Optimizers against Keras's documented form, and by hand."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles
import pytest

from jaxnets import models, optimizers


def adam_path(tx, gradients, value):
    """The value after each of the gradients."""
    update = jax.jit(tx.update)
    opt_state = tx.init(value)
    for gradient in gradients:
        updates, opt_state = update(jnp.asarray(gradient), opt_state, value)
        value = optax.apply_updates(value, updates)
        yield value


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-6])
def test_keras_adam_follows_the_formula_of_keras(scale):
    rng = np.random.default_rng(0)
    gradients = (scale * rng.normal(size=(30, 50))).astype(np.float32)
    value = rng.normal(size=50).astype(np.float32)
    expected = list(oracles.keras_adam(value, gradients.astype(float), rate=0.1))
    path = adam_path(optimizers.keras_adam(0.1), gradients, jnp.asarray(value))
    for step, value in enumerate(path):
        # float32 steps of 0.1 on values of about 1: 1e-6 of rounding each, at most
        np.testing.assert_allclose(value, expected[step], atol=1e-6 * (step + 2))


@pytest.mark.parametrize("eps", [1e-8, 1e-7])
def test_optax_adam_alone_would_not(eps):
    # The control of the test above: where gradients are small, it must tell the
    # two forms apart by far more than its tolerance of 3e-5.
    rng = np.random.default_rng(0)
    gradients = (1e-6 * rng.normal(size=(30, 50))).astype(np.float32)
    *_, expected = oracles.keras_adam(np.zeros(50), gradients, rate=0.1)
    *_, value = adam_path(optax.adam(0.1, eps=eps), gradients, jnp.zeros(50))
    assert np.abs(value - expected).max() > 1e-2


def test_sgd_subtracts_rate_times_gradient():
    tx = optimizers.make(replace(models.SIGMOID_MSE.recipe, learning_rate=0.5))
    (value,) = adam_path(tx, [np.array([4.0, -2.0])], jnp.array([1.0, 1.0]))
    assert value.tolist() == [-1.0, 2.0]  # by hand, exact in binary


def test_the_recipe_chooses_the_optimizer_and_its_rate():
    adam = optimizers.make(replace(models.KERAS_DENSE.recipe, learning_rate=0.25))
    (value,) = adam_path(adam, [np.array([3.0])], jnp.array([1.0]))
    # Adam's first step is the rate, whatever the gradient's size. float32 has 1 - 0.999
    # to 1e-5, in Keras as here.
    np.testing.assert_allclose(value, 0.75, rtol=1e-5)
