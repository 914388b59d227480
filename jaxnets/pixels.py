"""From stored pixels to a network's input."""

import chex
import jax
import jax.numpy as jnp

from jaxnets.types import Layers, LossFn

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


def for_bytes(params: Layers) -> Layers:
    """Weights that do to scaled pixels what `params` would do to raw ones.

    The first kernel is 255 times as large, and the gradient goes through the factor.
    """
    first, *others = params
    return (first._replace(kernel=first.kernel * WHITE), *others)


def on_bytes(loss_fn: LossFn) -> LossFn:
    """The loss with pixels of 0 to 255 in place of 0 to 1, for dense layers."""
    return lambda params, batch: loss_fn(for_bytes(params), batch)
