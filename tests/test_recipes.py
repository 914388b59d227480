"""Published settings, the optimizers and what is refused."""

from dataclasses import FrozenInstanceError, replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles
import pytest

from jaxnets import models as recipes
from jaxnets.errors import InputError


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
    path = adam_path(recipes.keras_adam(0.1), gradients, jnp.asarray(value))
    for step, found in enumerate(path):
        # float32 steps of 0.1 on values of about 1: 1e-6 of rounding each, at most
        np.testing.assert_allclose(found, expected[step], atol=1e-6 * (step + 2))


@pytest.mark.parametrize("eps", [1e-8, 1e-7])
def test_optax_adam_alone_would_not(eps):
    # The control of the test above: where gradients are small, it must tell the
    # two forms apart by far more than its tolerance of 3e-5.
    rng = np.random.default_rng(0)
    gradients = (1e-6 * rng.normal(size=(30, 50))).astype(np.float32)
    *_, expected = oracles.keras_adam(np.zeros(50), gradients, rate=0.1)
    *_, found = adam_path(optax.adam(0.1, eps=eps), gradients, jnp.zeros(50))
    assert np.abs(found - expected).max() > 1e-2


def test_sgd_subtracts_rate_times_gradient():
    tx = recipes.optimizer(replace(recipes.SIGMOID_MSE, learning_rate=0.5))
    (found,) = adam_path(tx, [np.array([4.0, -2.0])], jnp.array([1.0, 1.0]))
    assert found.tolist() == [-1.0, 2.0]  # by hand, exact in binary


def test_the_recipe_chooses_the_optimizer_and_its_rate():
    adam = recipes.optimizer(replace(recipes.KERAS_DENSE, learning_rate=0.25))
    (found,) = adam_path(adam, [np.array([3.0])], jnp.array([1.0]))
    # Adam's first step is the rate, whatever the gradient's size; eps / 3 is left.
    np.testing.assert_allclose(found, 0.75, rtol=1e-6)


def test_run_keys_differ_and_depend_on_the_seed_alone():
    chex.assert_trees_all_equal(*map(key_data, (recipes.run_keys(5),) * 2))
    keys = [*recipes.run_keys(5), *recipes.run_keys(6)]
    assert len({tuple(data.tolist()) for data in map(jax.random.key_data, keys)}) == 4


def key_data(keys):
    return [jax.random.key_data(key) for key in keys]


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_published_recipes_pass_their_own_check(name):
    recipe = recipes.RECIPES[name]
    recipes.check(name, recipe)
    with pytest.raises(FrozenInstanceError):
        recipe.num_epochs = 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": -1.0}, "learning rate -1.0"),
        ({"learning_rate": 0.0}, "learning rate 0.0"),
        ({"learning_rate": float("nan")}, "learning rate nan"),
        ({"learning_rate": float("inf")}, "learning rate inf"),
        ({"num_epochs": 0}, "0 epochs"),
        ({"num_epochs": -3}, "-3 epochs"),
        ({"batch_size": 0}, "batch size 0"),
        ({"batch_size": -10}, "batch size -10"),
        ({"layer_sizes": ()}, "layer sizes ()"),
        ({"layer_sizes": (784,)}, "layer sizes (784,)"),
        ({"layer_sizes": (784, 0, 10)}, "layer sizes (784, 0, 10)"),
        ({"layer_sizes": (784, -5, 10)}, "layer sizes (784, -5, 10)"),
    ],
    ids=str,
)
def test_bad_settings_give_one_clear_error(change, message):
    with pytest.raises(InputError) as caught:
        recipes.check("sigmoid_mse", replace(recipes.SIGMOID_MSE, **change))
    assert message in str(caught.value) and "sigmoid_mse" in str(caught.value)


def test_an_unknown_model_is_named_with_the_known_ones():
    with pytest.raises(InputError, match=r"unknown model 'cnn'.*flax_dense"):
        recipes.check("cnn", recipes.SIGMOID_MSE)
