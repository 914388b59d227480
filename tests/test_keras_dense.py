"""Model 3 and its mirror: tf.keras is the oracle of `flax_dense`."""

from dataclasses import replace

import chex
import jax
import numpy as np
import optax
import pytest

from jaxnets import flax_dense, training
from jaxnets import models as recipes
from jaxnets.types import Batch, num_params

pytestmark = pytest.mark.keras
RECIPE = replace(recipes.KERAS_DENSE, layer_sizes=(784, 64, 10), num_epochs=2)


@pytest.fixture(scope="module")
def keras_dense():
    from jaxnets import keras_dense

    return keras_dense


@pytest.fixture
def model(keras_dense):
    model = keras_dense.build(RECIPE.layer_sizes, (28, 28), seed=3)
    keras_dense.compile_model(model, RECIPE)
    return model


def batches(digits, count):
    size = RECIPE.batch_size
    for start in range(0, count * size, size):
        rows = slice(start, start + size)
        yield Batch(digits.train.image[rows], digits.train.label[rows])


def test_weights_travel_to_dense_and_back_without_loss(keras_dense, model):
    params = keras_dense.to_dense(model)
    chex.assert_shape([params[0].kernel, params[1].kernel], [(784, 64), (64, 10)])
    other = keras_dense.build(RECIPE.layer_sizes, (28, 28), seed=4)
    assert not np.array_equal(other.get_weights()[0], model.get_weights()[0])
    keras_dense.from_dense(other, jax.device_put(params))
    for found, expected in zip(other.get_weights(), model.get_weights(), strict=True):
        assert found.dtype == expected.dtype == np.float32
        np.testing.assert_array_equal(found, expected)
    chex.assert_trees_all_equal(keras_dense.to_dense(other), params)


def test_the_same_weights_give_the_same_outputs_and_loss(keras_dense, model, digits):
    params = keras_dense.to_dense(model)
    expected = keras_dense.predict(model, digits.test.image)
    found = flax_dense.predict(params, digits.test.image)
    np.testing.assert_array_equal(found.label, expected.label)
    # float32, 784-term sums
    np.testing.assert_allclose(
        found.probability, expected.probability, rtol=1e-4, atol=1e-6
    )
    images = keras_dense.scaled(digits.test.image)
    loss, accuracy = model.evaluate(images, digits.test.label, verbose=0)
    mean, totals = flax_dense.loss_fn(params, digits.test)
    np.testing.assert_allclose(mean, loss, rtol=1e-5)  # float32, 360 terms
    np.testing.assert_allclose(totals.correct / totals.seen, accuracy, rtol=1e-6)


def steps_apart(keras_dense, model, digits, tx, count):
    """Largest weight difference between Keras and Flax after each step."""
    state = training.start(jax.device_put(keras_dense.to_dense(model)), tx)
    step = jax.jit(training.make_train_step(flax_dense.loss_fn, tx))
    for batch in batches(digits, count):
        state, _ = step(state, batch)
        model.train_on_batch(keras_dense.scaled(batch.image), batch.label)
        theirs = keras_dense.to_dense(model)
        apart = jax.tree.map(lambda a, b: np.abs(a - b).max(), state.params, theirs)
        yield max(jax.tree.leaves(apart))


def test_1_and_10_adam_steps_agree(keras_dense, model, digits):
    tx = recipes.optimizer(RECIPE)
    apart = list(steps_apart(keras_dense, model, digits, tx, 10))
    # float32. A step moves a weight by up to 1e-3, and where a gradient is about as
    # small as its rounding, Adam divides by it: 1e-6 was measured, 3e-6 allowed.
    assert len(apart) == 10
    assert apart[0] < 3e-6 and apart[-1] < 3e-6


def test_adam_of_optax_alone_does_not_agree(keras_dense, model, digits):
    # The control: the test above can tell the two forms of Adam apart.
    *_, apart = steps_apart(keras_dense, model, digits, optax.adam(1e-3), 10)
    assert apart > 1e-4


def test_the_model_is_the_write_ups(keras_dense):
    model = keras_dense.build((784, 1024, 10), (28, 28), seed=0)
    assert model.count_params() == 814_090 == num_params(keras_dense.to_dense(model))
    kernel, bias = keras_dense.to_dense(model)[0]
    limit = np.sqrt(6 / (784 + 1024))  # Glorot uniform, Keras's default
    assert 0.999 * limit < np.abs(kernel).max() <= limit
    assert not bias.any()
    again = keras_dense.build((784, 1024, 10), (28, 28), seed=0)
    np.testing.assert_array_equal(again.get_weights()[0], kernel)


@pytest.mark.parametrize("with_validation", [True, False])
def test_fit_tells_of_every_epoch_and_learns(
    keras_dense, model, digits, with_validation
):
    seen = []
    validation = digits.validation
    if not with_validation:
        validation = Batch(validation.image[:0], validation.label[:0])

    def on_epoch(number, logs, seconds):
        seen.append((number, dict(logs)))
        assert seconds > 0

    keras_dense.fit(model, RECIPE, digits.train, validation, on_epoch)
    assert [number for number, _ in seen] == [1, 2]
    assert seen[1][1]["loss"] < 0.7 * seen[0][1]["loss"]
    assert all(("val_loss" in logs) == with_validation for _, logs in seen)
    if with_validation:
        # Oracle: the mirror's own evaluation of the same weights. float32.
        totals = flax_dense.loss_fn(keras_dense.to_dense(model), validation)[1]
        logs = seen[-1][1]
        np.testing.assert_allclose(logs["val_loss"], totals.loss / 239, rtol=1e-4)
        np.testing.assert_allclose(
            logs["val_accuracy"], totals.correct / 239, rtol=1e-5
        )
