"""What the networks of a run say of pictures: read, asked, and put into words."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxnets import picture
from jaxnets.errors import InputError
from jaxnets.picture import Glyph
from jaxnets.trained import Networks

SHOWN = 5  # of more than ten classes, the most probable


class Answer(NamedTuple):
    """What one network says of one digit."""

    label: str  # the class's name
    probability: np.ndarray  # float32 [classes], in the order of `Trained.labels`


class Reading(NamedTuple):
    """A digit of a picture, with the answer of each network by its name."""

    picture: str  # as it was named
    glyph: Glyph
    answers: Mapping[str, Answer]


def read_pictures(
    networks: Networks, files: Iterable[str | os.PathLike[str]], *, single: bool = False
) -> dict[str, list[Reading]]:
    """The digits of each picture, by its name, line by line from left to right.

    Args:
      networks: of one run, and so for images of one shape.
      files: pictures as `jaxnets.picture.read` takes them.
      single: every picture holds one digit, however many parts it has.

    Raises InputError, which names the picture, where one cannot be read or is empty.
    """
    first = next(iter(networks.values()))
    glyphs: dict[str, list[Glyph]] = {}
    for file in files:
        image = picture.read(file)
        try:
            glyphs[os.fspath(file)] = picture.find(
                image, first.image_shape, ink_side=first.ink_side, single=single
            )
        except InputError as error:
            raise InputError(f"{os.fspath(file)}: {error}") from error
    if not glyphs:
        return {}
    images = np.stack([glyph.image for some in glyphs.values() for glyph in some])
    predictions = {name: network.predict(images) for name, network in networks.items()}
    readings: dict[str, list[Reading]] = {}
    index = 0
    for file, some in glyphs.items():
        readings[file] = []
        for glyph in some:
            answers = {
                name: Answer(networks[name].labels[label[index]], probability[index])
                for name, (label, probability) in predictions.items()
            }
            readings[file].append(Reading(file, glyph, answers))
            index += 1
    return readings


def entries(
    readings: Mapping[str, Sequence[Reading]], networks: Networks
) -> list[dict[str, Any]]:
    """For JSON: image, model, label and the label's probability, by network and digit.

    Labels are numbers where all of a network's are. Where a picture has several digits,
    each entry has its `box` too: left, top, right and bottom in the picture.
    """
    has_numbers = {
        name: all(label.isascii() and label.isdigit() for label in network.labels)
        for name, network in networks.items()
    }
    return [
        {
            "image": reading.picture,
            "model": model,
            "label": int(answer.label) if has_numbers[model] else answer.label,
            "probability": float(answer.probability.max()),
            **({"box": list(reading.glyph.box)} if len(some) > 1 else {}),
        }
        for some in readings.values()
        for reading in some
        for model, answer in reading.answers.items()
    ]


def in_words(
    readings: Mapping[str, Sequence[Reading]], networks: Networks
) -> Iterable[str]:
    """Lines for the screen: each digit, and what each network says of it."""
    for file, some in readings.items():
        for number, reading in enumerate(some, start=1):
            which = f", {number} of {len(some)}" if len(some) > 1 else ""
            left, top, right, bottom = reading.glyph.box
            where = f"{right - left} by {bottom - top} pixels at {left}, {top}"
            yield f"{file}{which} ({where}): {agreement(reading)}"
            width = max(map(len, reading.answers))
            for name, answer in reading.answers.items():
                shares = _shares(answer, networks[name].labels)
                yield f"  {name:<{width}}  {answer.label:>2}  {shares}"
        if len(some) > 1:
            for name, words in _as_text(some).items():
                yield f"{file}: {name} reads {words}"


def agreement(reading: Reading) -> str:
    """The answer of most networks, and how many give it."""
    votes = Counter(answer.label for answer in reading.answers.values())
    label, count = votes.most_common(1)[0]
    total = len(reading.answers)
    if count == total:
        return label if total == 1 else f"{label}, all {total} networks agree"
    others = ", ".join(
        f"{name} says {answer.label}"
        for name, answer in reading.answers.items()
        if answer.label != label
    )
    return f"{label}, {count} of {total} networks; {others}"


def _shares(answer: Answer, labels: Sequence[str]) -> str:
    """Probabilities of all of ten classes, of more the greatest."""
    chosen = range(len(labels))
    if len(labels) > 10:
        chosen = np.argsort(-answer.probability, kind="stable")[:SHOWN].tolist()
    return "  ".join(f"{labels[i]}: {answer.probability[i]:6.2%}" for i in chosen)


def _as_text(some: Sequence[Reading]) -> dict[str, str]:
    """What each network reads from left to right, networks that agree together."""
    texts: dict[str, list[str]] = {}
    for name in some[0].answers:
        labels = [reading.answers[name].label for reading in some]
        joint = "" if all(len(label) == 1 for label in labels) else " "
        texts.setdefault(joint.join(labels), []).append(name)
    return {", ".join(names): text for text, names in texts.items()}
