"""Losses against SciPy and NumPy in float64."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from jaxnets.losses import quadratic_cost, softmax_cross_entropy

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.sampled_from([(1, 2), (13, 10)])  # examples and classes
COST, ENTROPY = map(jax.jit, (quadratic_cost, softmax_cross_entropy))


def random_case(seed, num_examples, num_classes, scale=1.0):
    rng = np.random.default_rng(seed)
    outputs = scale * rng.normal(size=(num_examples, num_classes))
    labels = rng.integers(num_classes, size=num_examples, dtype=np.int32)
    return outputs.astype(np.float32), labels


@settings(max_examples=8)
@given(SEEDS, SIZES)
def test_quadratic_cost_is_half_the_squared_distance(seed, sizes):
    outputs, labels = random_case(seed, *sizes)
    activations = scipy.special.expit(outputs)
    losses = COST(activations, labels)
    chex.assert_shape(losses, sizes[:1])
    chex.assert_type(losses, jnp.float32)
    one_hot = np.eye(sizes[1])[labels]
    expected = np.linalg.norm(activations.astype(float) - one_hot, axis=-1) ** 2 / 2
    # float32 sums of at most 10 terms
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_quadratic_cost_by_hand():
    # Nielsen's equation 6 for one image: (0.5^2 + 0.5^2 + 1^2) / 2, all exact.
    activations = np.array([[0.5, 0.5, 1.0], [0.0, 1.0, 0.0]], np.float32)
    losses = COST(activations, np.array([0, 1]))
    assert losses.tolist() == [0.75, 0.0]


@settings(max_examples=8)
@given(SEEDS, SIZES, st.sampled_from([0.1, 1.0, 30.0]))
def test_cross_entropy_agrees_with_scipy(seed, sizes, scale):
    logits, labels = random_case(seed, *sizes, scale)
    losses = ENTROPY(logits, labels)
    chex.assert_shape(losses, sizes[:1])
    chex.assert_type(losses, jnp.float32)
    log_probability = scipy.special.log_softmax(logits.astype(float), axis=-1)
    expected = -log_probability[np.arange(sizes[0]), labels]
    # float32; the difference of logits up to 100 keeps about 1e-5 absolute
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=2e-5)


def test_mean_cross_entropy_agrees_with_scikit_learn():
    logits, labels = random_case(3, 13, 10)
    probability = scipy.special.softmax(logits.astype(float), axis=-1)
    expected = log_loss(labels, probability, labels=np.arange(10))
    mean = np.mean(ENTROPY(logits, labels))
    np.testing.assert_allclose(mean, expected, rtol=1e-6)  # float32, 13-term mean


def test_cross_entropy_of_huge_logits_is_finite_and_exact():
    # A naive exp overflows float32 above 88. By hand: 0, and 2,000 off by one class.
    logits = np.full((13, 10), 1e4, np.float32)
    logits[:2] = -1000
    logits[:2, 0] = 1000
    losses = ENTROPY(logits, np.arange(13, dtype=np.int32) % 10)
    assert losses[:2].tolist() == [0.0, 2000.0]
    # log 10; float32 holds 1e4 + log 10 to 5e-4
    np.testing.assert_allclose(losses[2:], np.log(10), atol=1e-3)


@pytest.mark.parametrize("loss", [quadratic_cost, softmax_cross_entropy])
def test_one_hot_labels_and_single_examples_are_refused(loss):
    with pytest.raises(AssertionError):
        loss(np.zeros((2, 10), np.float32), np.zeros((2, 10), np.int32))
    with pytest.raises(AssertionError):
        loss(np.zeros(10, np.float32), np.zeros((), np.int32))


@pytest.mark.parametrize("loss", [quadratic_cost, softmax_cross_entropy])
def test_jit_gives_the_same_and_compiles_once(loss):
    chex.clear_trace_counter()
    jitted = jax.jit(chex.assert_max_traces(loss, n=1))
    for seed in (0, 1):
        outputs, labels = random_case(seed, 13, 10)
        # float32: fused sums may round differently
        np.testing.assert_allclose(
            jitted(outputs, labels),
            loss(jnp.asarray(outputs), jnp.asarray(labels)),
            rtol=2e-6,
        )
