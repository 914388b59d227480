"""Distortions against SciPy and by hand; identity, shapes, keys, refusals."""

import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from small import random_batch

from jaxnets import augment
from jaxnets.augment import Distortion, make_distort
from jaxnets.errors import InputError
from jaxnets.types import Totals, without_key

ALL = Distortion(shift=1.5, rotation=20, scale=0.2, shear=0.2, elastic=20)
IMAGES = random_batch(7).image  # 4 by 5 pixels
warp = jax.jit(augment.warp)


def key(seed=3):
    """A new one each time: keys are used once."""
    return jax.random.key(seed)


@functools.cache
def compiled(distortion=ALL):
    return jax.jit(make_distort(distortion))


def placed(displacement, height, width):
    """Coordinates [B, 2, H, W], as SciPy has them."""
    return np.indices((height, width))[None] + np.asarray(displacement, float)


@pytest.mark.parametrize("size", [0.4, 3.0, 30.0])
def test_warping_is_scipys_bilinear_interpolation_of_the_same_coordinates(size):
    # "grid-constant" interpolates between the edge and the paper around it.
    displacement = size * np.random.default_rng(1).uniform(-1, 1, (7, 2, 4, 5))
    displacement = displacement.astype(np.float32)
    warped = warp(IMAGES, displacement)
    chex.assert_shape(warped, (7, 4, 5))
    chex.assert_type(warped, jnp.uint8)
    for image, places, values in zip(
        IMAGES.astype(float), placed(displacement, 4, 5), warped, strict=True
    ):
        expected = scipy.ndimage.map_coordinates(
            image, places, order=1, mode="grid-constant"
        )
        # Half a grey level of rounding, and float32 coordinates times 255.
        np.testing.assert_allclose(values, expected, atol=0.5 + 2e-3)


def test_whole_pixels_move_bit_for_bit():
    padded = np.pad(IMAGES, ((0, 0), (9, 9), (9, 9)))
    for down, right in [(0, 0), (1, -2), (-3, 0), (4, 5), (-9, 9)]:
        displacement = np.float32([down, right]).reshape(1, 2, 1, 1)
        expected = padded[:, 9 + down : 13 + down, 9 + right : 14 + right]
        assert np.array_equal(warp(IMAGES, displacement), expected)


def test_without_strength_nothing_changes():
    for distortion in (Distortion(), Distortion(smoothness=2)):
        assert np.array_equal(make_distort(distortion)(key(), IMAGES), IMAGES)
    # Nor where the strengths are too small to tell.
    tiny = Distortion(shift=1e-6, rotation=1e-6, scale=1e-6, shear=1e-6, elastic=1e-6)
    assert np.array_equal(compiled(tiny)(key(), IMAGES), IMAGES)


def test_every_image_has_a_distortion_of_its_own_by_its_key():
    images = np.broadcast_to(IMAGES[:1], IMAGES.shape)
    first = np.asarray(compiled()(key(), images))
    chex.assert_shape(first, (7, 4, 5))
    chex.assert_type(first, np.uint8)
    assert len({image.tobytes() for image in first}) == 7
    assert np.array_equal(compiled()(key(), images), first)
    assert np.any(compiled()(key(4), images) != first)
    # Many keys at once: a float32 rounding may tip a grey level.
    of_seed = jax.vmap(lambda seed: make_distort(ALL)(key(seed), images))
    both = np.asarray(jax.jit(of_seed)(np.array([3, 4])))
    assert np.abs(both[0].astype(int) - first).max() <= 1


@pytest.mark.parametrize(
    "kind",
    [{"shift": 1.5}, {"rotation": 20}, {"scale": 0.2}, {"shear": 0.2}, {"elastic": 20}],
    ids="".join,
)
def test_each_kind_alone_changes_images(kind):
    distorted = np.asarray(compiled(Distortion(**kind))(key(), IMAGES))
    assert np.any(distorted != IMAGES)


def test_shifts_are_uniform_and_independent():
    shifts = np.asarray(augment.shifts(key(), 4000, 1.5))
    chex.assert_shape(shifts, (4000, 2, 1, 1))
    down, right = shifts[:, :, 0, 0].T
    for along in (down, right):
        assert -1.5 <= along.min() < -1.45 and 1.45 < along.max() <= 1.5
        assert np.std(along) == pytest.approx(1.5 / math.sqrt(3), rel=0.05)
    assert abs(np.corrcoef(down, right)[0, 1]) < 0.05  # 3 standard errors


def matrices(**strength):
    chosen = Distortion(**strength)
    return np.asarray(augment.affine_matrices(key(), 500, chosen), float)


def test_matrices_are_rotation_times_slant_times_scaling():
    # Oracle: the factors that NumPy's QR decomposition finds again.
    chosen = matrices(rotation=20, scale=0.2, shear=0.2)
    for matrix in chosen:
        turned, rest = np.linalg.qr(matrix[:, ::-1])  # rest is upper triangular
        signs = np.sign(np.diag(rest))
        turned, rest = turned * signs, (rest.T * signs).T
        angle = np.degrees(np.arctan2(-turned[0, 0], turned[1, 0]))
        column, row = np.diag(rest)
        assert abs(angle) <= 20 + 1e-3
        assert 0.8 - 1e-5 <= row <= 1.2 + 1e-5
        assert 0.8 - 1e-5 <= column <= 1.2 + 1e-5
        assert abs(rest[0, 1]) / row <= 0.2 + 1e-5
    assert np.abs(np.linalg.det(chosen)).max() > 1.1


def test_each_affine_strength_does_its_own():
    eye = np.eye(2)
    turns = matrices(rotation=20)
    np.testing.assert_allclose(
        np.swapaxes(turns, 1, 2) @ turns, np.broadcast_to(eye, turns.shape), atol=1e-6
    )
    assert np.degrees(np.arcsin(np.abs(turns[:, 0, 1]))).max() == pytest.approx(
        20, abs=0.2
    )
    assert np.all(turns[:, 1, 0] == -turns[:, 0, 1])
    scales = matrices(scale=0.2)
    assert np.all(scales[:, [0, 1], [1, 0]] == 0)
    assert np.abs(scales[:, [0, 1], [0, 1]] - 1).max() == pytest.approx(0.2, abs=2e-3)
    assert np.any(scales[:, 0, 0] != scales[:, 1, 1])
    slants = matrices(shear=0.2)
    np.testing.assert_array_equal(slants[:, 0], np.broadcast_to(eye[0], (500, 2)))
    assert np.all(slants[:, 1, 1] == 1)
    assert np.abs(slants[:, 1, 0]).max() == pytest.approx(0.2, abs=2e-3)


def test_a_quarter_turn_about_the_centre():
    image = random_batch(1).image[:, :4, :4]
    quarter = np.float32([[[0, -1], [1, 0]]])  # row from -column, column from row
    turned = warp(image, augment.affine(quarter, 4, 4))
    assert np.array_equal(turned[0], np.rot90(image[0], -1))


@pytest.mark.parametrize("sigma", [1.0, 4.0])
def test_smoothing_is_scipys_gaussian_filter(sigma):
    noise = np.random.default_rng(2).uniform(-1, 1, (3, 2, 9, 12)).astype(np.float32)
    expected = scipy.ndimage.gaussian_filter(
        noise.astype(float), sigma, axes=(-2, -1), mode="constant", truncate=8
    )
    smoothed = augment.smooth(noise, sigma)
    np.testing.assert_allclose(smoothed, expected, atol=1e-6)  # float32, 108 terms


def test_an_elastic_displacement_is_as_large_as_documented():
    noise = augment.random_noise(key(), (200, 2, 49, 49))
    middle = 34 * augment.smooth(noise, 4.0)[:, :, 24, 24]
    # 34 / (4 sqrt(12 pi)) = 1.384; 400 numbers: 3.5 % of standard error
    assert np.std(middle) == pytest.approx(1.384, rel=0.11)


def test_noise_is_uniform_bytes():
    numbers = np.asarray(augment.random_bytes(key(), (31, 2, 53)))
    chex.assert_type(numbers, np.uint8)
    counts = np.bincount(numbers.ravel(), minlength=256)
    expected = numbers.size / 256
    chi_square = np.sum((counts - expected) ** 2 / expected)
    assert 255 - 4 * math.sqrt(510) < chi_square < 255 + 4 * math.sqrt(510)
    noise = np.asarray(augment.random_noise(key(), (31, 2, 53)))
    assert noise.min() == -1 and noise.max() == 1
    np.testing.assert_allclose(noise, numbers / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize(
    ("strength", "message"),
    [
        ({"shift": -1.0}, "shift=-1.0 must be 0 or more"),
        ({"rotation": math.nan}, "rotation=nan must be 0 or more"),
        ({"elastic": math.inf}, "elastic=inf must be 0 or more, and finite"),
        ({"scale": 1.0}, "scale=1.0 must be below 1"),
        ({"smoothness": 0.0}, "smoothness=0 must be above 0; elastic=0"),
    ],
)
def test_strengths_that_make_no_sense_are_refused(strength, message):
    with pytest.raises(InputError, match=message):
        make_distort(Distortion(**strength))


def test_other_pixels_than_bytes_are_a_mistake():
    with pytest.raises(AssertionError):
        compiled()(key(), IMAGES / np.float32(255))


def test_a_loss_of_distorted_images_sees_them_and_has_a_key_of_its_own():
    seen = []

    def distort(key, images):
        seen.append(key)
        return images + 1

    def loss_fn(params, batch, key):
        seen.append(key)
        return batch.image.sum() * params, Totals.zeros()

    batch = random_batch(2)._replace(image=np.zeros((2, 4, 5), np.uint8))
    loss, _ = augment.on_distorted(loss_fn, distort)(2.0, batch, key())
    assert loss == 2 * 40
    image_key, loss_key = map(jax.random.key_data, seen)
    assert not np.array_equal(image_key, loss_key)
    plain = without_key(lambda params, batch: (params, batch))
    assert plain(1, 2, key()) == (1, 2)
