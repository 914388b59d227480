"""Random distortions of images, as pure functions of a key.

    distort = make_distort(Distortion(shift=1.5, rotation=8))
    images = distort(key, images)  # uint8 [B, H, W] both, each image in its own way

A distortion is a displacement d: pixel p of the result has the value that the image has
at p + d(p). Displacements add up, so that an image is resampled once. The kinds are
those of Simard, Steinkraus and Platt, "Best practices for convolutional neural networks
applied to visual document analysis" (2003), section 2. All of it runs on the device.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import chex
import jax
import jax.numpy as jnp

from jaxnets.errors import InputError
from jaxnets.pixels import WHITE
from jaxnets.types import Batch, KeyedLossFn, Params, Totals

Distort = Callable[[jax.Array, jax.Array], jax.Array]  # of a key and images


@dataclass(frozen=True, kw_only=True)
class Distortion:
    """How strong a distortion is at most; with 0 that kind is left out."""

    shift: float = 0.0  # pixels along each axis
    rotation: float = 0.0  # degrees
    scale: float = 0.0  # share by which each axis is stretched or shrunk, below 1
    shear: float = 0.0  # columns a row: it slants the writing
    elastic: float = 0.0  # Simard's alpha; 34 in the paper
    smoothness: float = 4.0  # Simard's sigma, in pixels, above 0; 4 in the paper

    @property
    def is_affine(self) -> bool:
        """Whether it turns, stretches or slants."""
        return bool(self.rotation or self.scale or self.shear)


def make_distort(distortion: Distortion) -> Distort:
    """The function of a key and images uint8 [B, H, W] to distorted ones, uint8 too.

    Without any strength it returns the images as they are. Raises InputError where a
    strength makes no sense.
    """
    validate_distortion(distortion)

    def distort(key: jax.Array, images: jax.Array) -> jax.Array:
        shift_key, affine_key, elastic_key = jax.random.split(key, 3)
        count, height, width = images.shape
        displacements = []
        if distortion.shift:
            displacements.append(shifts(shift_key, count, distortion.shift))
        if distortion.is_affine:
            matrices = affine_matrices(affine_key, count, distortion)
            displacements.append(affine(matrices, height, width))
        if distortion.elastic:
            noise = random_noise(elastic_key, (count, 2, height, width))
            smoothed = smooth(noise, distortion.smoothness)
            displacements.append(distortion.elastic * smoothed)
        if not displacements:
            return images
        return warp(images, sum(displacements[1:], displacements[0]))

    return distort


def validate_distortion(distortion: Distortion) -> None:
    """Raise InputError unless strengths are finite and 0 or more, scale below 1."""
    for field in fields(distortion):
        value = getattr(distortion, field.name)
        if not 0 <= value < math.inf:  # nor NaN
            raise InputError(f"{field.name}={value} must be 0 or more, and finite")
    if distortion.scale >= 1:
        raise InputError(f"scale={distortion.scale} must be below 1")
    if distortion.smoothness == 0:
        raise InputError("smoothness=0 must be above 0; elastic=0 leaves it out")


def shifts(key: jax.Array, count: int, pixels: float) -> jax.Array:
    """A displacement of each image as a whole: float32 [count, 2, 1, 1].

    Along rows and columns independently, uniform from -pixels to pixels.
    """
    return jax.random.uniform(key, (count, 2, 1, 1), jnp.float32, -pixels, pixels)


def affine_matrices(key: jax.Array, count: int, distortion: Distortion) -> jax.Array:
    """A rotation times a slant times a scaling of each axis: float32 [count, 2, 2].

        A = [[cos t, -sin t], [sin t, cos t]] [[1, 0], [h, 1]] [[1 + r, 0], [0, 1 + s]]

    for (row, column), with t, h, r and s uniform up to plus or minus their strengths.
    """
    limits = (
        math.radians(distortion.rotation),
        distortion.shear,
        distortion.scale,
        distortion.scale,
    )
    uniform = jax.random.uniform(key, (4, count), jnp.float32, -1, 1)
    angle, slant, row, column = uniform * jnp.array(limits, jnp.float32)[:, None]
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    first = jnp.stack([cos - sin * slant, sin + cos * slant]) * (1 + row)[None]
    second = jnp.stack([-sin, cos]) * (1 + column)[None]
    return jnp.stack([first, second]).T  # [count, to, from]


def affine(matrices: jax.Array, height: int, width: int) -> jax.Array:
    """Displacements (A - 1)(p - c) about the centre c: float32 [B, 2, H, W].

    Matrices are float32 [B, 2, 2]; without displacement where they are 1.
    """
    rows = jnp.arange(height, dtype=jnp.float32) - (height - 1) / 2
    columns = jnp.arange(width, dtype=jnp.float32) - (width - 1) / 2
    change = (matrices - jnp.eye(2, dtype=jnp.float32)[None])[:, :, :, None, None]
    by_row = change[:, :, 0] * rows[None, None, :, None]
    return by_row + change[:, :, 1] * columns[None, None, None, :]


def random_bytes(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Uniform uint8, four from each 32-bit number: a quarter of the time of floats."""
    size = math.prod(shape)
    words = jax.random.bits(key, (-(-size // 4),), jnp.uint32)
    return (
        jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(-1)[:size].reshape(shape)
    )


def random_noise(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Float32, uniform on 256 evenly spaced values from -1 to 1."""
    return random_bytes(key, shape).astype(jnp.float32) / (WHITE / 2) - 1


def smooth(noise: jax.Array, sigma: float) -> jax.Array:
    """Noise float32 [B, 2, H, W] under a Gaussian of `sigma` pixels along H and W.

    The Gaussian's sum is 1; beyond the edges there is no noise. Simard's elastic
    displacement is alpha times this of uniform noise from -1 to 1: far from the edges
    a pixel moves by alpha / (sigma sqrt(12 pi)) along each axis, its standard deviation
    (1.4 pixels for 34 and 4).
    """
    *_, height, width = noise.shape
    by_column = noise @ _gaussian(width, sigma)
    by_row = by_column.swapaxes(-1, -2) @ _gaussian(height, sigma)
    return by_row.swapaxes(-1, -2)


def _gaussian(size: int, sigma: float) -> jax.Array:
    """float32 [size, size]: what each place gives to each."""
    places = jnp.arange(size, dtype=jnp.float32)
    reach = jnp.arange(-math.ceil(8 * sigma), math.ceil(8 * sigma) + 1)
    total = jnp.sum(jnp.exp(-0.5 * (reach / sigma) ** 2))
    distances = places[:, None] - places[None, :]
    weights = jnp.exp(-0.5 * (distances / sigma) ** 2) / total
    return weights.astype(jnp.float32)


def warp(images: jax.Array, displacement: jax.Array) -> jax.Array:
    """Images uint8 [B, H, W], pixel p taken from p + displacement(p).

    Values between pixels are bilinear, and rounded; outside the image is paper, 0.

    Args:
      images: uint8 [B, H, W].
      displacement: float32, of rows and of columns, in pixels; it broadcasts to
        [B, 2, H, W].
    """
    chex.assert_rank([images, displacement], [3, 4])
    chex.assert_type(images, jnp.uint8)
    count, height, width = images.shape
    stride = width + 2
    # The four pixels that surround a place lie in one number, so that it takes one
    # gather and not four; (0, 0) is a pixel above and left of the image.
    paper = jnp.pad(images, ((0, 0), (1, 2), (1, 2))).astype(jnp.uint32)
    four = (
        paper[:, :-1, :-1]
        | paper[:, :-1, 1:] << 8
        | paper[:, 1:, :-1] << 16
        | paper[:, 1:, 1:] << 24
    ).reshape(count, -1)
    rows = jnp.arange(1, height + 1, dtype=jnp.float32)[None, :, None]
    columns = jnp.arange(1, width + 1, dtype=jnp.float32)[None, None, :]
    row = jnp.clip(rows + displacement[:, 0], 0, height + 1)
    column = jnp.clip(columns + displacement[:, 1], 0, width + 1)
    top, left = jnp.floor(row), jnp.floor(column)
    places = jnp.broadcast_to(top * stride + left, images.shape).astype(jnp.int32)
    corners = jnp.take_along_axis(
        four, places.reshape(count, -1), axis=1, mode="promise_in_bounds"
    ).reshape(images.shape)

    def corner(number: int) -> jax.Array:
        return (corners >> (8 * number) & 255).astype(jnp.float32)

    down, right = row - top, column - left
    above = corner(0) + right * (corner(1) - corner(0))
    below = corner(2) + right * (corner(3) - corner(2))
    return jnp.round(above + down * (below - above)).astype(jnp.uint8)


def on_distorted(loss_fn: KeyedLossFn, distort: Distort) -> KeyedLossFn:
    """The loss of distorted images, for `training.fit`'s `train_loss_fn`.

    A loss of (params, batch) becomes one that takes a key by `types.without_key`.
    """

    def distorted_loss(
        params: Params, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, Totals]:
        image_key, loss_key = jax.random.split(key)
        images = distort(image_key, batch.image)
        return loss_fn(params, batch._replace(image=images), loss_key)

    return distorted_loss
