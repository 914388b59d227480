"""Where the ink of a picture is: shadow taken away, whatever is darker or lighter.

The paper's brightness is estimated, first as a smooth surface that the ink is too
sparse to bend, then closely, by a mean over what is not ink. Ink is what differs from
it, as a share of it, so that ink in shadow is as strong as ink in light. All is done on
a picture whose longer side has a few hundred to WORK_SIDE pixels.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

COARSE = 64  # longer side of the image on which paper is told from ink
MIDDLE = 160  # and on which the paper's brightness is measured
NOISE = 4.0  # standard deviations of noise that ink exceeds
MOST_VALUES = 100_000  # of a picture that a standard deviation is estimated from
LEAST_INK = 0.06  # of the paper's brightness: fainter marks are none
_PAPER_SCALES = ((3.0, 1.0), (12.0, 0.03), (60.0, 1e-4))  # widths, and their weights


class Ink(NamedTuple):
    """A picture as ink; H and W are its height and width."""

    strength: np.ndarray  # float32 [H, W], 0 (paper) to 1
    noise: float  # standard deviation of `strength` where there is no ink
    is_dark: bool  # dark ink on light paper; else light on dark


def ink_of(image: Image.Image) -> Ink:
    """The ink of a picture in mode "L" or "RGB"."""
    grey = _clearest_channel(image)
    coarse = _resized(grey, COARSE)
    rough = coarse - _rough_paper(coarse)
    spread = _spread(rough)
    strong = np.where(np.abs(rough) > NOISE * spread, rough, 0)
    is_dark = bool(np.sum(strong**3) <= 0)
    if not is_dark:
        grey, rough = 1 - grey, -rough
    is_ink = rough < -np.maximum(NOISE * spread, 0.5 * LEAST_INK)
    smooth = ndimage.gaussian_filter(grey, 1.0)
    for _ in range(2):  # the second time small digits are known too
        paper = _paper(grey, is_ink)
        strength = (paper - smooth) / np.maximum(paper, 0.15)
        noise = _spread(strength)
        is_ink = strength > max(NOISE * noise, LEAST_INK)
    return Ink(np.clip(strength, 0, 1), noise, is_dark)


def _clearest_channel(image: Image.Image) -> np.ndarray:
    """The channel float32 [H, W], 0 to 1, in which ink differs most from paper.

    Brightness, but where a colour shows the ink much better: yellow on white is dark
    to blue light alone.
    """
    grey = np.asarray(image.convert("L"), np.float32) / 255
    if image.mode == "L":
        return grey
    colours = np.moveaxis(np.asarray(image, np.float32) / 255, -1, 0)
    best, clearest = 1.5 * _contrast(grey), grey
    for channel in colours:
        contrast = _contrast(channel)
        if contrast > best:
            best, clearest = contrast, channel
    return clearest


def _contrast(grey: np.ndarray) -> float:
    """How far the rarest hundredth is from the rest."""
    coarse = _resized(grey, 2 * COARSE)
    rough = np.abs(coarse - _rough_surface(coarse))
    return float(np.percentile(rough, 99.5) - 2 * np.median(rough))


def _resized(grey: np.ndarray, side: int) -> np.ndarray:
    """Smaller by means over areas; its longer side has at most `side` pixels."""
    height, width = grey.shape
    factor = min(1.0, side / max(height, width))
    size = (max(1, round(factor * width)), max(1, round(factor * height)))
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX))


def _spread(values: np.ndarray) -> float:
    """Standard deviation of what is normal among outliers, by the median."""
    values = values.ravel()[:: 1 + values.size // MOST_VALUES]
    middle = np.median(values)
    return float(1.4826 * np.median(np.abs(values - middle))) + 1e-4


def _rough_surface(coarse: np.ndarray) -> np.ndarray:
    """A quadratic surface through the paper, by repeated weighting of what is off it.

    The weights are Cauchy's: 1 / (1 + (residual / spread)^2), squared.
    """
    height, width = coarse.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    flat = terms.reshape(-1, 6)
    surface = np.full_like(coarse, np.median(coarse))
    for _ in range(8):
        residual = coarse - surface
        weights = 1 / (1 + (residual / (2 * _spread(residual))) ** 2) ** 2
        weighted = flat * weights.reshape(-1, 1)
        normal = weighted.T @ flat + 1e-6 * np.eye(6)
        factors = np.linalg.solve(normal, weighted.T @ coarse.ravel())
        surface = (terms @ factors).astype(np.float32)
    return surface


def _rough_paper(coarse: np.ndarray) -> np.ndarray:
    """The surface, and what of the edges of shadows a median over a half still has."""
    surface = _rough_surface(coarse)
    size = max(coarse.shape) // 2 | 1
    return surface + ndimage.median_filter(coarse - surface, size, mode="nearest")


def _paper(grey: np.ndarray, is_ink: np.ndarray) -> np.ndarray:
    """The paper's brightness float32 [H, W]: means of what is not ink, near before far.

    `is_ink` is bool of any size.
    """
    middle = _resized(grey, MIDDLE)
    size = (middle.shape[1], middle.shape[0])
    covered = Image.fromarray(np.uint8(255 * is_ink))
    share = np.asarray(covered.resize(size, Image.Resampling.BILINEAR), np.float32)
    kept = np.where(ndimage.binary_dilation(share > 25, iterations=2), 0.0, 1.0)
    total, weight = np.zeros_like(middle), np.full_like(middle, 1e-9)
    total += 1e-9 * np.median(middle)
    for width, factor in _PAPER_SCALES:
        total += factor * ndimage.gaussian_filter(middle * kept, width)
        weight += factor * ndimage.gaussian_filter(kept, width)
    means = Image.fromarray(np.float32(total / weight))
    whole = means.resize((grey.shape[1], grey.shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(whole)


def otsu(values: np.ndarray) -> float:
    """The threshold between two kinds of values that leaves least variance in each.

    Otsu, "A threshold selection method from gray-level histograms" (1979).
    """
    counts, edges = np.histogram(values, 128)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    sums = np.cumsum(counts * middles)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = sums / below - (sums[-1] - sums) / above
        between = np.nan_to_num(below * above * difference**2)
    return float(edges[1 + int(np.argmax(between))])
