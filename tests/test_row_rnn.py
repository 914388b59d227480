"""The recurrent network against loops in NumPy, float64, and Keras's SimpleRNN."""

import itertools
import math
from dataclasses import replace

import chex
import jax
import numpy as np
import oracles
import pytest
import row_rnn as lesson
import scipy.stats

from jaxnets import models as recipes
from jaxnets import row_rnn, running
from jaxnets.errors import InputError, NonFiniteLoss
from jaxnets.types import Batch, Dense, num_params

TEST_IMAGES = 360  # of scikit-learn's digits


def forward(network, image, label):
    """Elman's network, neuron by neuron: loss and logits of an image [H, W].

    network: (kernel, bias) pairs; a hidden kernel is [in + n, n].
    """
    *hidden, (kernel, bias) = network
    states = [np.zeros(len(layer_bias)) for _, layer_bias in hidden]
    for row in image / 255:
        values = list(row)
        for place, (layer_kernel, layer_bias) in enumerate(hidden):
            seen = [*values, *states[place]]
            values = [
                max(0.0, b + sum(x * w for x, w in zip(seen, weights, strict=True)))
                for weights, b in zip(layer_kernel.T, layer_bias, strict=True)
            ]
            states[place] = np.array(values)
    logits = values @ kernel + bias
    return math.log(sum(math.exp(z) for z in logits)) - logits[label], logits


@pytest.fixture(scope="module", params=[(5, 6, 10), (5, 4, 7, 10)], ids=str)
def params(request):
    """Weights with biases that are not 0, and a state that mixes its neurons."""
    rng = np.random.default_rng(7)
    *hidden, output = itertools.pairwise(request.param)
    shapes = [(num_in + num_out, num_out) for num_in, num_out in hidden] + [output]
    return tuple(
        Dense(*(rng.normal(0.05, 0.4, s).astype(np.float32) for s in (shape, shape[1])))
        for shape in shapes
    )


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    image = rng.integers(256, size=(6, 4, 5), dtype=np.uint8)
    return Batch(image, rng.integers(10, size=6, dtype=np.int32))


def test_logits_and_loss(params, data):
    network = oracles.network_of(params)
    told = [forward(network, *pair) for pair in zip(*data, strict=True)]
    losses, logits = (np.array(values) for values in zip(*told, strict=True))
    # float32, four rows of sums of up to 11 terms
    np.testing.assert_allclose(
        row_rnn.apply(params, data.image), logits, rtol=1e-5, atol=2e-6
    )
    loss, totals = jax.jit(row_rnn.loss_fn)(params, data)
    np.testing.assert_allclose(loss, losses.mean(), rtol=1e-5)  # float32, likewise
    assert totals.correct == np.sum(logits.argmax(axis=-1) == data.label)


def test_gradient_through_all_rows(params, data):
    network = oracles.network_of(params)

    def loss_of(network, image, label):
        return forward(network, image, label)[:1]

    grads = jax.jit(jax.grad(row_rnn.loss_fn, has_aux=True))(params, data)[0]
    means = [
        np.mean(parts, axis=0)
        for parts in zip(
            *(
                [a for pair in gradients for a in pair]
                for gradients in (
                    oracles.finite_differences(loss_of, network, *pair)
                    for pair in zip(*data, strict=True)
                )
            ),
            strict=True,
        )
    ]
    for found, expected in zip(jax.tree.leaves(grads), means, strict=True):
        # float32 sums that cancel; the differences themselves are right to 1e-9.
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
        assert np.abs(expected).max() > 1e-3


def test_the_order_of_the_rows_counts():
    params = row_rnn.init(jax.random.key(0), (5, 6, 10))
    # The identity alone would only sum the rows up; let the neurons mix.
    mixed = params[0]._replace(kernel=params[0].kernel.at[5:].add(0.3))
    image = np.random.default_rng(0).integers(256, size=(1, 4, 5), dtype=np.uint8)
    upright, turned = (
        row_rnn.apply((mixed, params[1]), rows) for rows in (image, image[:, ::-1])
    )
    assert np.abs(upright - turned).max() > 1e-3


@pytest.mark.keras
def test_keras_simple_rnn_computes_the_same(data):
    from jaxnets.keras_dense import keras

    params = row_rnn.init(jax.random.key(4), (5, 8, 10))
    layer, output = jax.tree.map(lambda leaf: np.asarray(leaf) + 0.02, params)
    model = keras.Sequential([keras.Input((4, 5))])
    model.add(keras.layers.SimpleRNN(8, activation="relu"))
    model.add(keras.layers.Dense(10))
    weights = [layer.kernel[:5], layer.kernel[5:], layer.bias, *output]
    model.set_weights(weights)
    expected = model.predict(data.image.astype(np.float32) / 255, verbose=0)
    # float32, four rows of sums of 13 terms
    np.testing.assert_allclose(
        row_rnn.apply((layer, output), data.image), expected, rtol=1e-5, atol=2e-6
    )


def test_weights_begin_from_glorots_normal_distribution_and_the_identity():
    params = row_rnn.init(jax.random.key(0), (28, 128, 64, 10))
    shapes = [(28 + 128, 128), (128 + 64, 64), (64, 10)]
    chex.assert_shape([layer.kernel for layer in params], shapes)
    for layer, num_in in zip(params, (28, 128, 64), strict=True):
        num_out = len(layer.bias)
        from_input, from_state = np.split(np.asarray(layer.kernel), [num_in])
        # Oracle: Kolmogorov and Smirnov's test by SciPy, on Glorot and Bengio 2010,
        # equation 12, cut at two standard deviations as JAX and Keras cut it.
        sigma = np.sqrt(2 / (num_in + num_out)) / scipy.stats.truncnorm(-2, 2).std()
        normal = scipy.stats.truncnorm(-2, 2, scale=sigma)
        assert scipy.stats.kstest(from_input.ravel(), normal.cdf).pvalue > 0.01
        if layer is not params[-1]:
            np.testing.assert_array_equal(from_state, np.eye(num_out))
        np.testing.assert_array_equal(layer.bias, 0)
    sizes = recipes.RECIPES["row_rnn"].layer_sizes
    params = jax.eval_shape(lambda: row_rnn.init(jax.random.key(0), sizes))
    assert num_params(params) == (28 + 128 + 1) * 128 + (128 + 1) * 10


def test_the_lesson_learns_and_shows_what_it_knows_after_each_row(digits, capsys):
    config = lesson.Config(
        dataset="digits",
        layer_sizes=(28, 32, 10),
        learning_rate=3e-3,
        epochs=12,
        seed=1,
    )
    results = lesson.main(config)
    assert results["test_seen"] == TEST_IMAGES
    assert results["test_correct"] > 0.7 * TEST_IMAGES
    losses = results["losses"]
    assert len(losses) == 12 and losses[-1] < losses[0] / 2
    printed = capsys.readouterr().out
    assert f"{results['test_correct']} / 360" in printed
    assert f"Epoch 12: loss {losses[-1]:.4f}" in printed
    # After the last row, the answer is the network's own.
    assert len(results["after_each_row"]) == 28
    assert results["after_each_row"][-1] == results["test_correct"]
    assert results["after_each_row"][0] < TEST_IMAGES / 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer_sizes": (784, 32, 10)}, "must begin with 28"),
        ({"layer_sizes": (28, 32, 9)}, "must end with 10"),
        ({"epochs": 0}, "0 epochs"),
        ({"batch_size": 1199}, "1199"),
    ],
    ids=str,
)
def test_the_lesson_refuses_bad_settings(settings, message):
    with pytest.raises(InputError, match=message):
        lesson.main(lesson.Config(**{"dataset": "digits", **settings}))


def test_the_lesson_says_that_it_diverged():
    config = lesson.Config(
        dataset="digits", layer_sizes=(28, 32, 10), epochs=2, learning_rate=1e38
    )
    with pytest.raises(NonFiniteLoss, match=r"in epoch 1 at learning rate 1e\+38"):
        lesson.main(config)


@pytest.mark.mnist
@pytest.mark.slow
@pytest.mark.usefixtures("optimized")
def test_an_epoch_on_mnist(mnist):
    # Measured: 0.902, 0.869 and 0.898 on the test set, from the seeds 0, 1 and 2.
    recipe = replace(recipes.ROW_RNN, num_epochs=1)
    half = mnist._replace(train=Batch(*(part[:25_000] for part in mnist.train)))
    *_, trained = running.train("row_rnn", recipe, half, seed=0)
    right = np.asarray(trained.prediction.label) == mnist.test.label
    assert right.size == 10_000
    assert right.mean() > 0.85
