"""Dropout and smoothed labels against NumPy; the network without them is Model 2's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import FEW, random_layers

from jaxnets import losses, relu_dropout, relu_softmax
from jaxnets.errors import InputError

PARAMS = random_layers((20, 6, 5, 10))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_so_many_and_keeps_the_mean(rate):
    level = round(256 * rate) / 256
    ones = np.ones((100, 400), np.float32)
    dropped = np.asarray(relu_dropout.dropout(jax.random.key(5), ones, rate))
    share = np.mean(dropped == 0)
    # 40,000 throws: 5 standard errors
    assert share == pytest.approx(level, abs=5 * np.sqrt(level * (1 - level) / 40000))
    kept = dropped[dropped != 0]
    np.testing.assert_allclose(kept, 1 / (1 - level), rtol=1e-6)
    # No row and no column is dropped as a whole.
    assert dropped.any(axis=0).all() and dropped.any(axis=1).all()


def test_nearly_all_may_be_dropped():
    kept = relu_dropout.dropout(jax.random.key(0), jnp.ones(4096), 0.999)
    assert set(np.unique(kept)) == {0, 256} and np.mean(kept) == pytest.approx(1, abs=1)


def test_no_dropout_is_the_network_itself():
    assert relu_dropout.dropout(jax.random.key(5), PARAMS, 0.0) is PARAMS
    loss_fn = jax.jit(relu_dropout.make_loss_fn())
    loss, totals = loss_fn(PARAMS, FEW, jax.random.key(5))
    expected, expected_totals = relu_softmax.loss_fn(PARAMS, FEW)
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)
    assert totals.correct == expected_totals.correct and totals.seen == 5
    for name in ("init", "apply", "loss_fn", "predict"):
        assert getattr(relu_dropout, name) is getattr(relu_softmax, name)


def test_each_layer_and_each_key_drops_its_own():
    grad_fn = jax.jit(jax.grad(relu_dropout.make_loss_fn(input_rate=0.5), has_aux=True))
    (first, *_), _ = grad_fn(
        PARAMS, FEW._replace(image=FEW.image | 1), jax.random.key(5)
    )
    # A pixel dropped in all five images gives its row no gradient: 1 in 32.
    assert np.any(first.kernel != 0)
    hidden = jax.jit(relu_dropout.make_loss_fn(hidden_rate=0.5))
    values = {float(hidden(PARAMS, FEW, jax.random.key(n))[0]) for n in range(4)}
    assert len(values) == 4
    assert float(hidden(PARAMS, FEW, jax.random.key(5))[0]) == float(
        hidden(PARAMS, FEW, jax.random.key(5))[0]
    )


def test_a_linear_networks_mean_loss_over_keys_is_near_its_own():
    # With one layer the logits are linear in the pixels kept, so that their mean over
    # keys is what they are without dropout; the loss is above by their spread.
    params = random_layers((20, 10))
    loss_fn = relu_dropout.make_loss_fn(input_rate=0.02)
    keys = jax.random.split(jax.random.key(5), 500)
    over_keys = jax.jit(jax.vmap(loss_fn, in_axes=(None, None, 0)))
    values = np.asarray(over_keys(params, FEW, keys)[0])
    plain = float(relu_softmax.loss_fn(params, FEW)[0])
    assert np.std(values) > 0
    assert values.mean() == pytest.approx(plain, rel=0.1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_smoothed_labels_are_targets_of_every_class(smoothing):
    # Oracle: minus the targets' sum of log-probabilities, in float64.
    logits = np.random.default_rng(0).normal(size=(6, 10)).astype(np.float32)
    labels = np.arange(6, dtype=np.int32)
    targets = np.eye(10)[labels] * (1 - smoothing) + smoothing / 10
    chances = np.exp(logits.astype(float))
    chances /= chances.sum(axis=1, keepdims=True)
    expected = -np.sum(targets * np.log(chances), axis=1)
    values = losses.smoothed_cross_entropy(logits, jnp.asarray(labels), smoothing)
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    loss_fn = relu_dropout.make_loss_fn(smoothing=smoothing)
    outputs = relu_softmax.apply(PARAMS, FEW.image)
    mean = losses.smoothed_cross_entropy(outputs, FEW.label, smoothing).mean()
    assert float(loss_fn(PARAMS, FEW, jax.random.key(5))[0]) == pytest.approx(
        float(mean), rel=1e-6
    )


@pytest.mark.parametrize("name", ["hidden_rate", "input_rate", "smoothing"])
@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
def test_rates_that_make_no_sense_are_refused(name, value):
    with pytest.raises(InputError, match=f"{name}={value} must be from 0 to below 1"):
        relu_dropout.make_loss_fn(**{name: value})
