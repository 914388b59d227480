"""Digits in a picture: found, boxed, and put into the order in which they are read."""

from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from jaxnets.errors import InputError
from jaxnets.picture import ink as inks
from jaxnets.picture.lines import without_lines
from jaxnets.picture.prepare import prepare, stroke_width

LEAST_SIDE, MOST_SIDE = 320, 1600  # of the picture as it is worked on
HIGH, LOW = 0.6, 0.45  # of the ink's usual strength: in a stroke, and at its edge
LEAST_PIXELS = 30  # of a stroke, in the picture as it is worked on
LEAST_HEIGHT = 0.35  # of the largest digit's height or width: less is a stain
LEAST_AREA = 0.06  # likewise, of its ink; a 1 has a quarter of an 8's
EDGE_SHARE = 0.25  # of the picture's edge: what covers more is no digit, but a table
EDGE = 2  # pixels around a stroke whose ink belongs to it
MOST_PARTS, MOST_MARKS = 2000, 200  # more strokes, or digits, are a texture
_EVERY_NEIGHBOUR = np.ones((3, 3), int)


class Box(NamedTuple):
    """Pixels of a picture, from `left` up to but not including `right`."""

    left: int
    top: int
    right: int
    bottom: int


class Mark(NamedTuple):
    """Connected ink, or some that belongs together."""

    box: Box  # in the picture
    ink: np.ndarray  # float32 [h, w], 0 (paper) to 1, of the picture as it is worked on
    is_dark: bool  # dark ink on light paper
    scale: float  # pixels of `ink` a pixel of the picture


class Glyph(NamedTuple):
    """A digit, as the networks see it."""

    box: Box  # in the picture
    image: np.ndarray  # uint8 [H, W], 0 (paper) to 255 (ink)


def find(
    picture: Image.Image,
    shape: tuple[int, int] = (28, 28),
    *,
    ink_side: int | None = None,
    single: bool = False,
) -> list[Glyph]:
    """The digits of a picture, line by line from left to right; at least one.

    Args:
      picture: upright and opaque, in mode "L" or "RGB", as `read` returns it.
      shape: height and width of the images that the networks take.
      ink_side: how many of their pixels a digit takes; see `prepare`.
      single: all of the ink is one digit, however many parts it has.

    Raises InputError where there is no ink.
    """
    marks = find_marks(picture, single=single)
    return [
        Glyph(mark.box, prepare(mark.ink, shape, ink_side=ink_side)) for mark in marks
    ]


def find_marks(picture: Image.Image, *, single: bool = False) -> list[Mark]:
    """What `find` prepares: the ink of each digit."""
    longer = max(picture.size)
    scale = np.clip(1.0, LEAST_SIDE / longer, MOST_SIDE / longer)
    if scale != 1:
        size = [max(1, round(scale * length)) for length in picture.size]
        kind = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
        picture_at_work = picture.resize((size[0], size[1]), kind)
    else:
        picture_at_work = picture
    ink = inks.ink_of(picture_at_work)
    strength, mask = _strokes(ink)
    first, (strength, mask) = _cropped(strength, mask)
    labels = _digits(mask, single)
    boxes = ndimage.find_objects(labels)
    edges = ndimage.binary_dilation(mask, _EVERY_NEIGHBOUR, iterations=EDGE)
    # Ink at the edges of strokes belongs to the nearest digit.
    nearest = ndimage.distance_transform_edt(
        labels == 0, return_distances=False, return_indices=True
    )
    labels = np.where(edges, labels[tuple(nearest)], 0)
    marks = []
    for number, rows_and_columns in enumerate(boxes, start=1):
        rows, columns = rows_and_columns
        own = labels[rows, columns] == number
        top, bottom = (first[0] + row for row in (rows.start, rows.stop))
        left, right = (first[1] + column for column in (columns.start, columns.stop))
        top, bottom, left, right = (it / scale for it in (top, bottom, left, right))
        # The size at work is a rounded one, maybe upwards.
        right, bottom = np.minimum(np.ceil((right, bottom)), picture.size)
        box = Box(int(left), int(top), int(right), int(bottom))
        one = np.where(own, strength[rows, columns], 0)
        marks.append(Mark(box, one, ink.is_dark, float(scale)))
    return _in_reading_order(marks)


def _cropped(
    strength: np.ndarray, mask: np.ndarray
) -> tuple[tuple[int, int], tuple[np.ndarray, np.ndarray]]:
    """The first row and column of what has strokes and their edges, and that part."""
    spans = []
    for axis in (1, 0):
        places = np.flatnonzero(mask.any(axis=axis))
        spans.append(slice(max(0, places[0] - EDGE), places[-1] + 1 + EDGE))
    part = tuple(spans)
    return (spans[0].start, spans[1].start), (strength[part], mask[part])


def _strokes(ink: inks.Ink) -> tuple[np.ndarray, np.ndarray]:
    """Ink with 1 as its usual strength, and the mask of strokes; both [H, W]."""
    faintest = max(inks.NOISE * ink.noise, inks.LEAST_INK)
    candidates = ink.strength[ink.strength > faintest]
    if len(candidates) < LEAST_PIXELS:
        raise _empty()
    strong = candidates[candidates >= inks.otsu(candidates)]
    usual = float(np.median(strong)) if len(strong) else float(np.median(candidates))
    mask = ink.strength > max(LOW * usual, faintest)
    mask = without_lines(mask)
    labels, count = ndimage.label(mask, _EVERY_NEIGHBOUR)
    strongest = np.zeros(count + 1, np.float32)
    np.maximum.at(strongest, labels[mask], ink.strength[mask])
    area = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    is_stroke = (strongest[1:] > HIGH * usual) & (area >= LEAST_PIXELS)
    is_stroke &= ~_lies_at_the_edge(labels, count, is_stroke)
    mask = np.concatenate([[False], is_stroke])[labels]
    if not mask.any():
        raise _empty()
    return np.clip(ink.strength / usual, 0, 1), mask


def _empty() -> InputError:
    return InputError("there is no ink to be found: the picture is empty, or too faint")


def _lies_at_the_edge(
    labels: np.ndarray, count: int, is_stroke: np.ndarray
) -> np.ndarray:
    """Which parts lie along the picture's edge, as a table does, or a shadow."""
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    contact = np.bincount(edge, minlength=count + 1)[1:] / (len(edge) / 4)
    at_edge = contact > EDGE_SHARE
    return at_edge if (is_stroke & ~at_edge).any() else np.zeros_like(at_edge)


def _digits(mask: np.ndarray, single: bool) -> np.ndarray:
    """Labels int [H, W] from 1 on of the strokes that form a digit each, else 0."""
    parts, count = ndimage.label(mask, _EVERY_NEIGHBOUR)
    if count > MOST_PARTS:
        raise _texture(count)
    reach = 0.35 * stroke_width(mask)  # a pen that skips leaves less than a stroke
    apart = ndimage.distance_transform_edt(~mask)
    joined, _ = ndimage.label(apart <= reach, _EVERY_NEIGHBOUR)
    group = np.zeros(count + 1, int)
    group[parts[mask]] = joined[mask]  # each part lies in one group
    group = group[1:]
    area = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    boxes = _boxes(parts)
    group = _with_their_dots(group, boxes)
    digits = []
    for number in np.unique(group):
        members = group == number
        top, left = boxes[members, :2].min(axis=0)
        bottom, right = boxes[members, 2:].max(axis=0)
        size = max(bottom - top, right - left)
        digits.append((number, size, area[members].sum()))
    _, sizes, areas = map(np.array, zip(*digits, strict=True))
    kept = (sizes >= LEAST_HEIGHT * sizes.max()) & (areas >= LEAST_AREA * areas.max())
    if kept.sum() > MOST_MARKS:
        raise _texture(int(kept.sum()))
    new = np.zeros(count + 1, int)
    for place, (number, _, _) in enumerate(np.array(digits)[kept], start=1):
        new[1:][group == number] = 1 if single else place
    return new[parts]


def _texture(count: int) -> InputError:
    return InputError(
        f"there are {count} separate marks: a texture, not digits; crop the picture to "
        "what is written"
    )


def _boxes(labels: np.ndarray) -> np.ndarray:
    """Of each label from 1 on: top, left, bottom, right."""
    return np.array(
        [
            (rows.start, columns.start, rows.stop, columns.stop)
            for rows, columns in ndimage.find_objects(labels)
        ]
    )


def _with_their_dots(group: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Groups joined where one is above the other: the bar of a 5, the dot of an i."""
    top, left, bottom, right = boxes.T
    heights, widths = bottom - top, right - left
    tallest = np.maximum.outer(heights, heights)
    is_piece = np.minimum.outer(heights, heights) < 0.45 * tallest
    shared = np.minimum.outer(right, right) - np.maximum.outer(left, left)
    gap = top[None, :] - bottom[:, None]  # of the column's part below the row's
    near = np.where(is_piece, 0.4, 0.12) * tallest
    belongs = (shared >= 0.6 * np.minimum.outer(widths, widths)) & (gap <= near)
    apart = np.hypot(np.maximum(gap, 0), np.maximum(-shared, 0))
    # The bar of a 5 may end beside it; what is left of a ruled line is thinner.
    thinner = np.minimum(heights, widths)
    is_solid = np.minimum.outer(thinner, thinner) >= 0.06 * tallest
    belongs |= is_piece & is_solid & (apart <= 0.12 * tallest)
    belongs &= top[:, None] <= top[None, :]
    for above, below in zip(*np.nonzero(belongs), strict=True):
        if group[above] != group[below]:
            group = np.where(group == group[below], group[above], group)
    return group


def _in_reading_order(marks: list[Mark]) -> list[Mark]:
    """Line by line, each from left to right; lines may climb or fall."""
    lines: list[list[Mark]] = []
    for mark in sorted(marks, key=lambda mark: mark.box.left):
        height = mark.box.bottom - mark.box.top

        def shared(line: list[Mark], mark: Mark = mark) -> int:
            last = line[-1].box
            return min(last.bottom, mark.box.bottom) - max(last.top, mark.box.top)

        line = max(lines, key=shared, default=None)
        if line is not None and shared(line) > 0.3 * height:
            line.append(mark)
        else:
            lines.append([mark])
    lines.sort(
        key=lambda line: float(np.mean([m.box.top + m.box.bottom for m in line]))
    )
    return [mark for line in lines for mark in line]
