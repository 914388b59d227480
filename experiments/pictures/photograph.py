"""Pictures like photographs of paper, made without anything of `jaxnets.picture`.

A digit is enlarged, turned and put anywhere on a sheet with a colour, a texture, light
from one side, perhaps a shadow and ruled lines; then come blur, noise and JPEG's loss.
"""

import io
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

FIELD = 20  # pixels of MNIST's 28 in which a digit lies
SIZES = (40, 600)  # pixels of the longer side of that field in the picture
MOST_TURN = 10.0  # degrees
LINED = 0.35  # share of the sheets that are ruled, a third of them into squares
SHADOWED = 0.4
LIGHT_ON_DARK = 0.5


class Photograph(NamedTuple):
    """A picture and what is in it."""

    pixels: np.ndarray  # uint8 [H, W, 3]
    boxes: list[tuple[float, float, float, float]]  # left, top, right, bottom
    size: float  # pixels of a digit's field
    is_dark: bool  # dark ink on light paper
    is_lined: bool
    is_shadowed: bool


def of_digit(digit: np.ndarray, rng: np.random.Generator) -> Photograph:
    """A picture of one digit uint8 [28, 28], somewhere on the sheet."""
    size = float(np.exp(rng.uniform(*np.log(SIZES))))
    height, width = (int(size * rng.uniform(1.7, 3.2)) + 20 for _ in range(2))
    reach = 0.72 * size  # of a turned field from its middle
    middle = [rng.uniform(reach, length - reach) for length in (height, width)]
    turn = rng.uniform(-MOST_TURN, MOST_TURN)
    return _developed([(digit, middle, turn)], (height, width), size, rng)


def of_sheet(digits: np.ndarray, rng: np.random.Generator) -> Photograph:
    """A picture of some digits uint8 [N, 28, 28] in two lines."""
    size = rng.uniform(90, 160)
    columns = -(-len(digits) // 2)
    step_x, step_y = size * rng.uniform(1.25, 1.6), size * rng.uniform(1.7, 2.2)
    left, top = size * rng.uniform(1.0, 1.5, 2)
    placed = []
    for number, digit in enumerate(digits):
        row, column = divmod(number, columns)
        wobble = size * rng.uniform(-0.06, 0.06, 2)
        middle = [top + row * step_y + wobble[0], left + column * step_x + wobble[1]]
        placed.append((digit, middle, rng.uniform(-6, 6)))
    shape = (int(2 * top + step_y), int(2 * left + (columns - 1) * step_x))
    return _developed(placed, shape, size, rng)


def _developed(
    placed: list[tuple[np.ndarray, list[float], float]],
    shape: tuple[int, int],
    size: float,
    rng: np.random.Generator,
) -> Photograph:
    is_dark = rng.random() > LIGHT_ON_DARK
    is_lined, is_shadowed = rng.random() < LINED, rng.random() < SHADOWED
    paper = rng.uniform(0.65, 0.95) if is_dark else rng.uniform(0.08, 0.28)
    pen = rng.uniform(0.05, 0.3) if is_dark else rng.uniform(0.75, 1.0)
    tint = np.float32(paper + rng.uniform(-0.04, 0.04, 3))
    sheet = np.tile(tint, (*shape, 1))
    sheet += np.float32(rng.uniform(0, 0.03)) * _texture(shape, rng)[..., None]
    if is_lined:
        lines = _lines(shape, size, rng)[..., None]
        strength = rng.uniform(0.2, 0.5)
        shift = rng.uniform(-0.05, 0.25, 3) * (1 if is_dark else -1)
        colour = np.float32(pen + shift)
        sheet = sheet + strength * lines * (colour - sheet)
    ink = np.zeros(shape, np.float32)
    boxes = []
    for digit, middle, turn in placed:
        one = _enlarged(digit, middle, turn, size, shape)
        ink = np.maximum(ink, one)
        rows, columns = (
            np.nonzero(one.max(axis=1) > 0.5),
            np.nonzero(one.max(axis=0) > 0.5),
        )
        ends = columns[0][0], rows[0][0], columns[0][-1] + 1, rows[0][-1] + 1
        left, top, right, bottom = map(float, ends)
        boxes.append((left, top, right, bottom))
    colour = np.float32(pen + rng.uniform(-0.06, 0.06, 3))
    sheet += rng.uniform(0.85, 1.0) * ink[..., None] * (colour - sheet)
    light = _light(shape, is_shadowed, rng)[..., None]
    blur = rng.uniform(0.4, 0.4 + 0.02 * size)
    seen = ndimage.gaussian_filter(sheet * light, (blur, blur, 0), truncate=3.0)
    noise = np.float32(rng.uniform(0.004, 0.03))
    seen += noise * rng.standard_normal((*shape, 3), np.float32)
    exact = np.clip(255 * seen, 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(exact).save(stream, "JPEG", quality=int(rng.integers(60, 96)))
    pixels = np.asarray(Image.open(stream))
    return Photograph(pixels, boxes, size, is_dark, is_lined, is_shadowed)


def _enlarged(
    digit: np.ndarray,
    middle: list[float],
    turn: float,
    size: float,
    shape: tuple[int, int],
) -> np.ndarray:
    """The digit's ink, 0 to 1, in a sheet's pixels, turned about its middle."""
    angle = np.deg2rad(turn)
    turned = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    matrix = turned * (FIELD / size)
    centre = (np.array(digit.shape) - 1) / 2
    offset = centre - matrix @ np.array(middle)
    exact = np.float32(digit / 255)
    ink = ndimage.affine_transform(exact, matrix, offset, shape, order=3)
    return np.clip((ink - 0.25) / 0.5, 0, 1)  # the edges of a pen, not of a magnifier


def _texture(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Fibres and stains: noise at two scales, of standard deviation 1 each."""
    total = np.zeros(shape, np.float32)
    for width, coarser in ((rng.uniform(0.7, 2), 1), (rng.uniform(6, 25), 4)):
        few = [-(-length // coarser) for length in shape]
        grains = rng.standard_normal(few, np.float32)
        noise = ndimage.gaussian_filter(grains, width / coarser)
        enlarged = Image.fromarray(noise).resize(shape[::-1], Image.Resampling.BICUBIC)
        total += np.asarray(enlarged) / noise.std()
    return total


def _lines(shape: tuple[int, int], size: float, rng: np.random.Generator) -> np.ndarray:
    """Ruled lines, 0 to 1, or squares; a page lies a little askew."""
    period = size * rng.uniform(0.8, 1.5)
    width = max(1.0, period * rng.uniform(0.012, 0.03))
    slope, phase = np.tan(np.deg2rad(rng.uniform(-4, 4))), rng.uniform(0, period, 2)
    y, x = np.indices(shape, np.float32)

    def ruled(along: np.ndarray, start: float) -> np.ndarray:
        distance = np.abs((along + start) % period - period / 2)
        return np.clip(width / 2 + 0.5 - distance, 0, 1)

    lines = ruled(y - slope * x, phase[0])
    if rng.random() < 1 / 3:
        lines = np.maximum(lines, ruled(x + slope * y, phase[1]))
    return lines


def _light(
    shape: tuple[int, int], is_shadowed: bool, rng: np.random.Generator
) -> np.ndarray:
    """How bright each place is lit: falling off to one side and to the corners."""
    y, x = (np.linspace(-1, 1, length, dtype=np.float32) for length in shape)
    y, x = y[:, None], x[None, :]
    direction = rng.uniform(0, 2 * np.pi)
    across = np.cos(direction) * x + np.sin(direction) * y
    light = (
        1
        - rng.uniform(0, 0.25) * (1 + across) / 2
        - rng.uniform(0, 0.12) * (x**2 + y**2)
    )
    if is_shadowed:
        direction = rng.uniform(0, 2 * np.pi)
        across = np.cos(direction) * x + np.sin(direction) * y
        edge = (across - rng.uniform(-0.8, 0.8)) / rng.uniform(0.06, 0.4)
        light *= 1 - rng.uniform(0.15, 0.45) / (1 + np.exp(-np.clip(4 * edge, -50, 50)))
    return light
