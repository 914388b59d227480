"""MNIST's preparation: fitted into a box, grey, its centre of mass in the middle."""

from typing import Literal

import numpy as np
from PIL import Image
from scipy import ndimage

from jaxnets.pixels import MNIST_INK, mnists_ink_side

LEAST_STROKE = 1.5 / MNIST_INK  # of the ink's longer side: pens are finer than MNIST's

Centre = Literal["mass", "box"] | tuple[float, float]


def prepare(
    ink: np.ndarray,
    shape: tuple[int, int] = (28, 28),
    *,
    ink_side: int | None = None,
    factor: float | None = None,
    centre: Centre = "mass",
) -> np.ndarray:
    """An image uint8 [H, W] of ink float32 [h, w], 0 (paper) to 1.

    Args:
      ink: of one digit, cropped to it.
      shape: H and W.
      ink_side: the longer side of the box, of the image's proportions, that the ink is
        fitted into. By default as in MNIST's images, 20 of 28.
      factor: how much smaller the ink becomes, in place of that.
      centre: what comes to lie in the middle, the ink's centre of mass or its box. Or
        the place of the box between the image's edges, from 0 to 1, down and right.
    """
    height, width = shape
    if factor is None:
        ink_side = ink_side or mnists_ink_side(shape)
        least_stroke = LEAST_STROKE * ink_side / _fit(ink.shape, shape, ink_side)
        ink = _wide_enough(ink, least_stroke)
        factor = _fit(ink.shape, shape, ink_side)
    size = [
        int(np.clip(round(factor * length), 1, limit))
        for length, limit in zip(ink.shape, shape, strict=True)
    ]
    resized = Image.fromarray(np.float32(ink)).resize(
        (size[1], size[0]), Image.Resampling.HAMMING
    )
    small = np.clip(np.asarray(resized), 0, 1)
    small = np.minimum(small / max(float(np.percentile(small, 98)), 1e-3), 1)
    top, left = _corner(small, (height, width), centre)
    image = np.zeros(shape, np.uint8)
    image[top : top + size[0], left : left + size[1]] = np.rint(255 * small)
    return image


def _fit(ink_shape: tuple[int, ...], shape: tuple[int, int], ink_side: int) -> float:
    """The factor that fits the ink into a box of the image's proportions."""
    height, width = (
        side / length for side, length in zip(shape, ink_shape, strict=True)
    )
    return ink_side / max(shape) * min(height, width)


def _wide_enough(ink: np.ndarray, least: float) -> np.ndarray:
    """Ink whose strokes have at least so many pixels."""
    is_ink = ink > 0.5
    stroke = stroke_width(is_ink)
    missing = (least - stroke) / 2
    if missing < 0.5:
        return ink
    border = int(np.ceil(missing))
    wide = np.pad(ink, border)
    distance = ndimage.distance_transform_edt(
        np.pad(~is_ink, border, constant_values=True)
    )
    return np.maximum(wide, np.clip(missing + 0.5 - distance, 0, 1))


def stroke_width(mask: np.ndarray) -> float:
    """The mean width of strokes bool [H, W]: in one of width w, the mean distance to
    its edge is w / 4.
    """
    if not mask.any():
        return 1.0
    inside = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return max(1.0, 4 * float(inside[mask].mean()) - 1)


def _corner(
    small: np.ndarray, shape: tuple[int, int], centre: Centre
) -> tuple[int, int]:
    """Where the top left corner of the small image goes, all of it being within."""
    room = np.subtract(shape, small.shape)
    if centre == "mass":
        total = max(float(small.sum()), 1e-6)
        mass = [
            float(np.arange(length) @ small.sum(axis=1 - axis)) / total
            for axis, length in enumerate(small.shape)
        ]
        # To pixel 14 of 0 to 27: in all MNIST test images it lies from 13.5 to 14.5.
        corner = np.array(shape) / 2 - mass
    elif centre == "box":
        corner = room / 2
    else:
        corner = room * np.array(centre)
    top, left = np.clip(np.rint(corner).astype(int), 0, room)
    return int(top), int(left)
