"""Containers: sizes, totals and how they add up."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score

from jaxnets.types import Dense, Totals, count, num_params


@pytest.mark.parametrize(
    ("layer_sizes", "published"),
    # Counted by hand from the sizes; 814,090 is also what Keras's summary says.
    [
        ((784, 30, 10), 23_860),
        ((784, 100, 200, 10), 100_710),
        ((784, 1024, 10), 814_090),
    ],
)
def test_number_of_parameters(layer_sizes, published):
    params = tuple(
        Dense(np.zeros((num_in, num_out), np.float32), np.zeros(num_out, np.float32))
        for num_in, num_out in itertools.pairwise(layer_sizes)
    )
    assert num_params(params) == published
    assert num_params({"any": params, "tree": np.zeros((2, 3))}) == published + 6


def outputs_and_labels(seed, num_examples, num_classes):
    rng = np.random.default_rng(seed)
    outputs = rng.normal(size=(num_examples, num_classes)).astype(np.float32)
    return outputs, rng.integers(num_classes, size=num_examples, dtype=np.int32)


@settings(max_examples=8)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 33]), st.sampled_from([1, 10]))
def test_count_agrees_with_scikit_learn(seed, num_examples, num_classes):
    outputs, labels = outputs_and_labels(seed, num_examples, num_classes)
    losses = np.abs(outputs[:, 0])
    totals = count(jnp.asarray(outputs), jnp.asarray(losses), jnp.asarray(labels))
    chex.assert_shape(totals, ())
    chex.assert_type(totals, [jnp.int32, jnp.float32, jnp.int32])
    guesses = outputs.argmax(axis=-1)
    assert totals.correct == accuracy_score(labels, guesses, normalize=False)
    assert totals.seen == num_examples
    # float32 sum of at most 33 terms against float64
    np.testing.assert_allclose(totals.loss, losses.sum(dtype=float), rtol=1e-5)


def test_answers_are_not_cut_to_the_labels_dtype():
    # Class 259 is 3 in eight bits.
    outputs = jnp.zeros((1, 300)).at[0, 259].set(1.0)
    totals = count(outputs, jnp.zeros(1), jnp.array([3], jnp.uint8))
    assert totals.correct == 0


def test_count_under_jit():
    outputs, labels = outputs_and_labels(0, 9, 10)
    losses = np.square(outputs).sum(axis=-1)
    # The same sums, compiled: order may differ in the last bit.
    chex.assert_trees_all_close(
        jax.jit(count)(outputs, losses, labels),
        count(outputs, losses, labels),
        rtol=1e-6,
    )


@pytest.mark.parametrize(
    ("outputs", "losses", "labels"),
    [
        ((3, 10), (3,), (2,)),  # a label is missing
        ((3, 10), (2,), (3,)),  # a loss is missing
        ((3, 10), (), (3,)),  # a mean where losses belong
        ((3, 10), (3,), (3, 10)),  # one-hot labels
    ],
)
def test_count_rejects_shapes_that_do_not_fit(outputs, losses, labels):
    with pytest.raises(AssertionError):
        count(jnp.zeros(outputs), jnp.zeros(losses), jnp.zeros(labels, jnp.int32))


def test_totals_add_up_field_by_field():
    total = Totals.zeros() + Totals(3, 1.5, 5) + Totals(2, 0.25, 7)
    assert tuple(total) == (5, 1.75, 12)  # by hand; all exact in binary
    chex.assert_type(Totals.zeros(), [jnp.int32, jnp.float32, jnp.int32])


def test_totals_divide_once_whether_of_one_network_or_many():
    one = Totals(3, 1.5, 4)
    assert (one.accuracy, one.mean_loss) == (0.75, 0.375)
    many = Totals(np.array([3, 1]), np.array([1.5, 3.0]), np.array([4, 4]))
    assert many.accuracy.tolist() == [0.75, 0.25]
    assert many.mean_loss.tolist() == [0.375, 0.75]
