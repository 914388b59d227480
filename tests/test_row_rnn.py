"""The recurrent network against loops in NumPy, float64."""

import itertools
import math

import chex
import jax
import numpy as np
import oracles
import pytest
import scipy.stats
from small import FEW, HIDDEN, everything_of

from jaxnets import row_rnn
from jaxnets.types import Dense


def forward(network, image, label):
    """Elman's network, neuron by neuron: loss and logits of an image [H, W].

    network: (kernel, bias) pairs; a hidden kernel is [in + n, n].
    """
    *hidden, (kernel, bias) = network
    states = [np.zeros(len(layer_bias)) for _, layer_bias in hidden]
    for row in image / 255:
        values = list(row)
        for index, (layer_kernel, layer_bias) in enumerate(hidden):
            inputs = [*values, *states[index]]
            values = [
                max(0.0, b + sum(x * w for x, w in zip(inputs, weights, strict=True)))
                for weights, b in zip(layer_kernel.T, layer_bias, strict=True)
            ]
            states[index] = np.array(values)
    logits = values @ kernel + bias
    return math.log(sum(math.exp(z) for z in logits)) - logits[label], logits


@pytest.fixture(scope="module", params=[(5, *HIDDEN, 10)], ids=str)
def params(request):
    """Weights with biases that are not 0, and a state that mixes its neurons."""
    rng = np.random.default_rng(7)
    *hidden, output = itertools.pairwise(request.param)
    shapes = [(num_in + num_out, num_out) for num_in, num_out in hidden] + [output]
    return tuple(
        Dense(*(rng.normal(0.05, 0.4, s).astype(np.float32) for s in (shape, shape[1])))
        for shape in shapes
    )


def test_logits_and_loss(params):
    network = oracles.network_of(params)
    outputs = [forward(network, *pair) for pair in zip(*FEW, strict=True)]
    losses, logits = (np.array(values) for values in zip(*outputs, strict=True))
    ours, (loss, totals), _, _ = everything_of(row_rnn)(params, FEW)
    # float32, four rows of sums of up to 11 terms
    np.testing.assert_allclose(ours, logits, rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(loss, losses.mean(), rtol=1e-5)  # float32, likewise
    assert totals.correct == np.sum(logits.argmax(axis=-1) == FEW.label)


def test_gradient_through_all_rows(params):
    network = oracles.network_of(params)

    def loss_of(network, image, label):
        return forward(network, image, label)[:1]

    grads = everything_of(row_rnn)(params, FEW)[2]
    means = [
        np.mean(parts, axis=0)
        for parts in zip(
            *(
                [a for pair in gradients for a in pair]
                for gradients in (
                    oracles.finite_differences(loss_of, network, *pair)
                    for pair in zip(*FEW, strict=True)
                )
            ),
            strict=True,
        )
    ]
    for gradient, expected in zip(jax.tree.leaves(grads), means, strict=True):
        # float32 sums that cancel; the differences themselves are right to 1e-9.
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)
        assert np.abs(expected).max() > 1e-3


def test_the_order_of_the_rows_counts(params):
    upside_down = FEW._replace(image=FEW.image[:, ::-1])
    one, other = (
        everything_of(row_rnn)(params, data)[0] for data in (FEW, upside_down)
    )
    assert np.abs(np.subtract(one, other)).max() > 1e-3


def test_the_states_after_each_row_are_those_of_shorter_images(params):
    # Oracle: the loops in NumPy, which see the first rows only.
    network = oracles.network_of(params)
    rows = np.swapaxes(FEW.image / np.float32(255), 0, 1)
    for layer in params[:-1]:
        rows = jax.jit(row_rnn.states)(layer, rows)
    logits = np.asarray(rows) @ params[-1].kernel + params[-1].bias
    for height in (1, 3):
        for image, label, outputs in zip(*FEW, logits[height - 1], strict=True):
            _, expected = forward(network, image[:height], label)
            # float32, rows of sums of up to 11 terms
            np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


def test_weights_begin_from_glorots_normal_distribution_and_the_identity():
    # The sizes are the recipe's, for which more tests compile.
    params = row_rnn.init(jax.random.key(0), (28, 128, 10))
    shapes = [(28 + 128, 128), (128, 10)]
    chex.assert_shape([layer.kernel for layer in params], shapes)
    for layer, num_in in zip(params, (28, 128), strict=True):
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
