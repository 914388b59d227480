"""Ruled and squared paper: thin, straight, long lines are taken out of a picture."""

import numpy as np
from scipy import ndimage

MOST_SLOPE = 0.21  # a page that lies 12 degrees askew
LEAST_LENGTH = 0.5  # of the picture's side: a shorter line may be a stroke
MOST_WIDTH = 0.012  # of the picture's longer side: a wider line may be one too
MOST_POINTS = 40_000  # of the mask that vote for a line


def without_lines(mask: np.ndarray) -> np.ndarray:
    """The mask bool [H, W] of ink less that of lines; strokes that cross them stay."""
    mask = _without_level_lines(mask)
    return _without_level_lines(mask.T).T


def _without_level_lines(mask: np.ndarray) -> np.ndarray:
    if not _is_long(mask).any():
        return mask
    height, width = mask.shape
    slope, counts, first = _sharpest_profile(mask)
    widest = max(3, round(MOST_WIDTH * max(mask.shape)))
    y, x = np.mgrid[:height, :width]
    offset = np.rint(y - slope * (x - width / 2)).astype(int) - first
    runs, _ = ndimage.label(mask, [[0, 1, 0], [0, 1, 0], [0, 1, 0]])
    run_length = np.bincount(runs.ravel())[runs]
    is_line = np.zeros_like(mask)
    for start, stop in _peaks(counts, LEAST_LENGTH * width, widest):
        # Columns are of the picture's own; ends of a line are no part of it.
        near = (offset >= start - 3) & (offset < stop + 3)
        thin = run_length <= 1.5 * (stop - start) + 3
        is_line |= near & thin & mask
    return mask & ~is_line


def _is_long(mask: np.ndarray) -> np.ndarray:
    """Of each connected part, whether it is long enough for a line to be in it."""
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    width = mask.shape[1]
    extents = [
        columns.stop - columns.start for _, columns in ndimage.find_objects(labels)
    ]
    return np.array(extents) >= LEAST_LENGTH * width


def _sharpest_profile(mask: np.ndarray) -> tuple[float, np.ndarray, int]:
    """The slope along which the mask's sums vary most, those sums, the first's offset.

    The sums run along lines y = offset + slope * (x - middle); entry i is of the offset
    first + i.
    """
    _height, width = mask.shape
    y, x = np.nonzero(mask)
    stride = 1 + len(y) // MOST_POINTS
    few_y, few_x = y[::stride], x[::stride] - width / 2
    steps = max(8, round(MOST_SLOPE * width / 1.5))
    slopes = np.linspace(-MOST_SLOPE, MOST_SLOPE, 2 * steps + 1)

    def profile(slope: float, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, int]:
        offset = np.rint(y - slope * x).astype(int)
        first = int(offset.min())
        return np.bincount(offset - first), first

    sharpness = [np.sum(profile(slope, few_y, few_x)[0] ** 2.0) for slope in slopes]
    best = float(slopes[int(np.argmax(sharpness))])
    counts, first = profile(best, y, x - width / 2)
    return best, counts, first


def _peaks(counts: np.ndarray, least: float, widest: int) -> list[tuple[int, int]]:
    """Where narrow bands of large sums begin and end."""
    bands = []
    above, number = ndimage.label(counts >= 0.5 * least)
    for index in range(1, number + 1):
        places = np.flatnonzero(above == index)
        start, stop = int(places[0]), int(places[-1]) + 1
        if counts[start:stop].max() >= least and stop - start <= widest:
            bands.append((start, stop))
    return bands
