"""From stored pixels to a network's input."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.types import Layers, LossFn

WHITE = 255  # the largest value of an 8-bit pixel
FAINTEST = 12  # of WHITE: fainter pixels are paper
MNIST_SIDE, MNIST_INK = 28, 20  # of its images, and of the box that holds a digit


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


def ink_side(images: np.ndarray) -> int:
    """How many pixels the ink takes in most images; at least 1.

    It is the longer side of the smallest box of the images' proportions that the ink
    fits into: 20 of 28 in MNIST. A picture of another digit is made this large, so that
    a network sees it as it saw those. Images are uint8 [B, H, W], 0 (paper) to 255.
    """
    is_ink = images > FAINTEST
    height, width = images.shape[1:]
    rows, columns = (is_ink.any(axis=axis).sum(axis=1) for axis in (2, 1))
    # Of square images the longer side of the ink.
    longest = np.maximum(
        rows * max(1, width / height), columns * max(1, height / width)
    )
    return max(1, int(np.median(longest)))


def mnists_ink_side(shape: tuple[int, int]) -> int:
    """The same of images [H, W] whose digits are as large as MNIST's."""
    return max(1, round(max(shape) * MNIST_INK / MNIST_SIDE))


def for_bytes(params: Layers) -> Layers:
    """Weights that do to scaled pixels what `params` would do to raw ones.

    The first kernel is 255 times as large, and the gradient goes through the factor.
    """
    first, *others = params
    return (first._replace(kernel=first.kernel * WHITE), *others)


def on_bytes(loss_fn: LossFn) -> LossFn:
    """The loss with pixels of 0 to 255 in place of 0 to 1, for dense layers."""
    return lambda params, batch: loss_fn(for_bytes(params), batch)
