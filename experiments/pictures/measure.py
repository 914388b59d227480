"""Pictures of test digits, read with the whole preparation and with parts left out."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from experiments.kit.run import Row
from experiments.pictures import photograph
from experiments.pictures.photograph import Photograph
from jaxnets.data import Dataset
from jaxnets.errors import InputError
from jaxnets.picture import find, prepare
from jaxnets.picture.find import Mark, find_marks
from jaxnets.pixels import ink_side
from jaxnets.trained import Networks

CHUNK = 50  # pictures that the networks look at together
SIDE = 28  # of MNIST's images
# What is left out, in the words of the table; the first leaves nothing out.
VARIANTS = {
    "prepared": "the whole preparation",
    "box": "centred by its box, not by mass",
    "where": "not centred: left where it lies in the picture",
    "paper": "not inverted (dark ink on light paper only)",
    "unscaled": "not scaled: the picture made 28 by 28, the digit then centred",
    "raw": "the picture made 28 by 28, and nothing else",
}


def require_suitable(dataset: Dataset, count: int) -> None:
    """Raise InputError where the data has other images, or too few of them."""
    if dataset.test.image.shape[1:] != (SIDE, SIDE):
        raise InputError("pictures are made of images of 28 by 28 pixels")
    if count > len(dataset.test.label):
        raise InputError(
            f"pictures={count} must be at most {len(dataset.test.label)}, the number "
            "of test images"
        )


def clean(networks: Networks, dataset: Dataset) -> Iterator[Row]:
    """What each network gets right of the test set as it is."""
    for name, network in networks.items():
        label = network.predict(dataset.test.image).label
        correct = int(np.sum(label == dataset.test.label))
        seen = len(label)
        yield {"part": "clean", "model": name, "correct": correct, "seen": seen}


def draw(dataset: Dataset, count: int, seed: int) -> Iterator[tuple[int, Photograph]]:
    """Test images by number, each in a picture; a seed gives the same ones."""
    rng = np.random.default_rng(seed)
    for index in rng.permutation(len(dataset.test.label))[:count].tolist():
        own = np.random.default_rng([seed, index])
        yield index, photograph.of_digit(dataset.test.image[index], own)


def pictures(
    networks: Networks, dataset: Dataset, count: int, seed: int
) -> Iterator[Row]:
    """A row a picture: what is in it, and what each network says by each variant."""
    chunk: list[dict[str, Any]] = []
    images: list[np.ndarray] = []
    side = ink_side(dataset.train.image)
    for index, photo in draw(dataset, count, seed):
        marks = marks_of(photo)
        chunk.append(
            {
                "part": "picture",
                "index": index,
                "label": int(dataset.test.label[index]),
                "size": photo.size,
                "is_dark": photo.is_dark,
                "is_lined": photo.is_lined,
                "is_shadowed": photo.is_shadowed,
                "found": len(marks),
            }
        )
        seen = variants(photo, marks, side)
        images += [dataset.test.image[index], *seen.values()]
        if len(chunk) == CHUNK:
            yield from _answered(chunk, images, networks)
            chunk, images = [], []
    yield from _answered(chunk, images, networks)


def marks_of(photo: Photograph) -> list[Mark]:
    """The digits that are found; none where there is no ink to be seen."""
    try:
        return find_marks(Image.fromarray(photo.pixels))
    except InputError:
        return []


def variants(
    photo: Photograph, marks: Sequence[Mark], side: int
) -> dict[str, np.ndarray]:
    """What networks see, uint8 [28, 28], by variant; black where no mark is.

    `side` is how many pixels the longer side of a digit has in the dataset's images.
    """
    height, width, _ = photo.pixels.shape
    picture = Image.fromarray(photo.pixels)
    raw = np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))
    if not marks:
        empty = np.zeros((SIDE, SIDE), np.uint8)
        return {**dict.fromkeys(VARIANTS, empty), "raw": raw}
    mark = max(marks, key=lambda mark: mark.ink.size)
    left, top, right, bottom = mark.box
    whole = prepare(mark.ink, ink_side=side)
    room = max(height - (bottom - top), 1), max(width - (right - left), 1)
    place = min(top / room[0], 1.0), min(left / room[1], 1.0)
    factor = SIDE / (mark.scale * max(height, width))
    return {
        "prepared": whole,
        "box": prepare(mark.ink, ink_side=side, centre="box"),
        "where": prepare(mark.ink, ink_side=side, centre=place),
        "paper": 255 - whole if photo.is_dark else whole,
        "unscaled": prepare(mark.ink, factor=factor),
        "raw": raw,
    }


def _answered(
    chunk: list[dict[str, Any]], images: list[np.ndarray], networks: Networks
) -> Iterator[Row]:
    """The rows with the answers of the networks to their images."""
    names = ["clean", *VARIANTS]
    answers = {
        name: network.predict(np.stack(images)).label.reshape(-1, len(names))
        for name, network in networks.items()
        if images
    }
    for number, row in enumerate(chunk):
        said = {
            variant: {
                name: int(labels[number, column]) for name, labels in answers.items()
            }
            for column, variant in enumerate(names)
        }
        yield {**row, "answers": said}


def digits_of_a_sheet(
    networks: Networks, dataset: Dataset, rng: np.random.Generator
) -> list[int]:
    """Test images of each class in a random order, all known to the networks.

    So what is read wrong is the reading's fault and not a network's.
    """
    order = rng.permutation(len(dataset.test.label))[:2000]
    images, labels = (part[order] for part in dataset.test)
    known = np.all(
        [network.predict(images).label == labels for network in networks.values()],
        axis=0,
    )
    chosen = []
    for label in rng.permutation(dataset.num_classes).tolist():
        own = np.flatnonzero((labels == label) & known)
        own = own if len(own) else np.flatnonzero(labels == label)
        chosen.append(int(order[own[0]]))
    return chosen


def sheets(
    networks: Networks, dataset: Dataset, count: int, seed: int
) -> Iterator[Row]:
    """A row a sheet: the digits that it has, and what each network reads."""
    side = ink_side(dataset.train.image)
    for number in range(count):
        rng = np.random.default_rng([seed, 0, number])
        chosen = digits_of_a_sheet(networks, dataset, rng)
        rng = np.random.default_rng([seed, 1, number])
        photo = photograph.of_sheet(dataset.test.image[chosen], rng)
        glyphs = find(Image.fromarray(photo.pixels), ink_side=side)
        images = np.stack([glyph.image for glyph in glyphs])
        yield {
            "part": "sheet",
            "sheet": number,
            "indices": chosen,
            "labels": dataset.test.label[chosen].tolist(),
            "found": len(glyphs),
            "boxes": [list(glyph.box) for glyph in glyphs],
            "answers": {
                name: network.predict(images).label.tolist()
                for name, network in networks.items()
            },
        }
