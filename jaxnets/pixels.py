"""From stored pixels to a network's input."""

import chex
import jax
import jax.numpy as jnp

WHITE = 255  # the largest value of an 8-bit pixel


def to_vectors(images: jax.Array) -> jax.Array:
    """Flatten uint8 images [B, H, W] to float32 vectors [B, H * W] in [0, 1].

    Pixels stay uint8 until this point, so a data set takes a quarter of the
    memory, and a network cannot be fed the range 0..255 by mistake: any other
    dtype is an AssertionError.
    """
    chex.assert_rank(images, 3)
    chex.assert_type(images, jnp.uint8)
    num_images, height, width = images.shape
    vectors = images.reshape(num_images, height * width)
    return vectors.astype(jnp.float32) / WHITE
