"""From stored pixels to a network's input."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st
from small import SIZES, TRAIN, random_layers

from jaxnets import pixels, relu_softmax
from jaxnets.pixels import to_vectors


@settings(max_examples=8)
@given(
    np_st.arrays(
        np.uint8, st.sampled_from([(1, 1, 1), (1, 28, 28), (3, 2, 5), (7, 8, 1)])
    )
)
def test_pixels_divided_by_255_row_by_row(images):
    vectors = to_vectors(jnp.asarray(images))
    chex.assert_shape(vectors, (len(images), images[0].size))
    chex.assert_type(vectors, jnp.float32)
    # Oracle: float64 division; one float32 rounding is at most 6e-8 of the value.
    expected = np.array([image.ravel() for image in images], np.float64) / 255
    np.testing.assert_allclose(vectors, expected, rtol=1.2e-7)


def test_every_pixel_value_lands_in_0_to_1():
    vectors = to_vectors(jnp.arange(256, dtype=jnp.uint8).reshape(1, 16, 16))
    assert vectors[0, 0] == 0 and vectors[0, 255] == 1
    assert bool(jnp.all(jnp.diff(vectors[0]) > 0))


def test_no_images_give_no_vectors():
    chex.assert_shape(to_vectors(jnp.zeros((0, 28, 28), jnp.uint8)), (0, 784))


@pytest.mark.parametrize(
    "images",
    [
        jnp.zeros((2, 28, 28), jnp.float32),  # scaled already, or 0..255: who knows
        jnp.zeros((2, 28, 28), jnp.int32),
        jnp.zeros((28, 28), jnp.uint8),  # one image without its batch axis
        jnp.zeros((2, 28, 28, 1), jnp.uint8),  # a channel axis
    ],
    ids=["float32", "int32", "rank 2", "rank 4"],
)
def test_other_images_are_refused_plain_and_under_jit(images):
    for function in (to_vectors, jax.jit(to_vectors)):
        with pytest.raises(AssertionError):
            function(images)


def test_jit_gives_the_same_and_compiles_once():
    chex.clear_trace_counter()
    jitted = jax.jit(chex.assert_max_traces(to_vectors, n=1))
    rng = np.random.default_rng(0)
    for _ in range(2):
        images = rng.integers(256, size=(3, 4, 5), dtype=np.uint8)
        # XLA may multiply by the rounded 1/255: one more float32 rounding.
        np.testing.assert_allclose(
            jitted(images), to_vectors(jnp.asarray(images)), rtol=2e-7
        )


def test_raw_pixels_are_255_times_as_large():
    params = random_layers(SIZES)
    raw = TRAIN.image.reshape(23, 20).astype(float)  # Oracle: NumPy in float64
    first, last = pixels.for_bytes(params)
    np.testing.assert_allclose(first.kernel, 255 * params[0].kernel, rtol=1e-7)
    assert last is params[1] and first.bias is params[0].bias

    def loss_of_raw(params):
        (kernel, bias), output = params
        hidden = np.maximum(raw @ kernel.astype(float) + bias, 0)
        logits = hidden @ output.kernel + output.bias
        chosen = logits[np.arange(23), TRAIN.label]
        return np.mean(np.log(np.sum(np.exp(logits), axis=-1)) - chosen)

    small = (params[0]._replace(kernel=params[0].kernel / 255), params[1])
    loss, totals = jax.jit(pixels.on_bytes(relu_softmax.loss_fn))(small, TRAIN)
    # float32, sums of 20 terms
    np.testing.assert_allclose(loss, loss_of_raw(small), rtol=1e-5)
    assert totals.seen == 23
