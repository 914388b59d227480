"""Dropout, smoothed labels and adversarial images against NumPy.

The network without them is Model 2's.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import FEW, random_layers

from jaxnets import losses, relu_dropout, relu_softmax
from jaxnets.errors import InputError
from jaxnets.types import Batch

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
    one = Batch(FEW.image[:1] | 1, FEW.label[:1])
    (first, *_), _ = grad_fn(PARAMS, one, jax.random.key(5))
    # A pixel that is dropped gives its row no gradient: half of 20.
    assert 3 < np.sum(~np.any(first.kernel != 0, axis=1)) < 17
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


def moved_by_hand(params, batch, length):
    """Images as vectors and moved ones, and what the softmax errs there, in float64."""
    [layer] = params
    kernel, bias = layer.kernel.astype(float), layer.bias.astype(float)

    def errors(vectors):
        chances = np.exp(vectors @ kernel + bias)
        return chances / chances.sum(axis=1, keepdims=True) - np.eye(10)[batch.label]

    vectors = batch.image.reshape(len(batch.image), -1) / 255
    gradients = errors(vectors) @ kernel.T
    norms = np.linalg.norm(gradients, axis=1, keepdims=True)
    moved = vectors + length * gradients / norms
    return vectors, moved, errors(moved)


def test_adversarial_images_move_along_the_losses_gradient():
    # Oracle: the derivative of softmax cross-entropy by hand.
    params, length = random_layers((20, 10)), 0.7
    vectors, expected, errors = moved_by_hand(params, FEW, length)

    def losses_of(vectors):
        logits = vectors @ params[0].kernel + params[0].bias[None, :]
        return losses.softmax_cross_entropy(logits, FEW.label)

    inputs = jnp.asarray(vectors, jnp.float32)
    moved = relu_dropout.adversarial(losses_of, inputs, length)
    np.testing.assert_allclose(moved, expected, rtol=1e-4, atol=1e-5)
    lengths = np.linalg.norm(moved - inputs, axis=1)
    np.testing.assert_allclose(lengths, length, rtol=1e-5)
    assert np.all(losses_of(moved) > losses_of(inputs))
    # What trains are these images; the way to them has no gradient of its own.
    loss_fn = relu_dropout.make_loss_fn(adversary=length)
    [gradient], totals = jax.grad(loss_fn, has_aux=True)(params, FEW, jax.random.key(5))
    by_hand = expected.T @ errors / 5
    np.testing.assert_allclose(gradient.kernel, by_hand, rtol=1e-4, atol=1e-6)
    assert float(totals.loss) == pytest.approx(float(losses_of(moved).sum()), rel=1e-5)


def test_an_image_whose_loss_is_flat_stays():
    inputs = jnp.ones((3, 20))
    flat = relu_dropout.adversarial(lambda vectors: jnp.zeros(3), inputs, 0.5)
    assert np.array_equal(flat, inputs)
    assert relu_dropout.adversarial(None, inputs, 0.0) is inputs


def test_an_adversary_changes_nothing_of_what_drops():
    # A step of no length worth speaking of: the loss of the same activations.
    plain, moved = (
        relu_dropout.make_loss_fn(hidden_rate=0.5, adversary=length)
        for length in (0.0, 1e-9)
    )
    values = [
        [
            float(loss_fn(PARAMS, FEW, key)[0])
            for key in jax.random.split(jax.random.key(5), 4)
        ]
        for loss_fn in (plain, moved)
    ]
    np.testing.assert_allclose(values[1], values[0], rtol=1e-5)
    assert len(set(values[0])) == 4


@pytest.mark.parametrize("length", [-0.1, float("nan"), float("inf")])
def test_an_adversary_that_makes_no_sense_is_refused(length):
    with pytest.raises(InputError, match=f"adversary={length} must be 0 or more, and"):
        relu_dropout.make_loss_fn(adversary=length)
