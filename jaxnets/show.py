"""A picture of pictures: what was found in them, and what the networks saw of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxnets import picture
from jaxnets.answers import Reading, agreement
from jaxnets.files import absolute, write_atomically

WIDTH = 900  # pixels of the whole
PICTURE_HEIGHT = 320  # at most, of a picture with its boxes
TILE = 84  # side of an image as the networks see it, enlarged
TEXT = 14  # size of the letters
GAP = 12
PAPER, LETTERS, FRAME = "white", "black", "#D55E00"


def write(file: Path, readings: Mapping[str, Sequence[Reading]]) -> None:
    """Write a PNG file with a row a picture and the answers below each digit."""
    rows = [_row(name, some) for name, some in readings.items()]
    height = sum(row.height + GAP for row in rows)
    sheet = Image.new("RGB", (WIDTH, height), PAPER)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height + GAP
    with write_atomically(absolute(file)) as stream:
        sheet.save(stream, format="PNG")


def _row(name: str, some: Sequence[Reading]) -> Image.Image:
    """A picture with its boxes, and its digits below it."""
    font = ImageFont.load_default(TEXT)
    boxed = _boxed(name, some)
    lines = [_lines(reading) for reading in some]
    cell_width = max(TILE, *(_text_width(line, font) for ls in lines for line in ls))
    cell_height = TILE + (TEXT + 4) * max(map(len, lines)) + GAP
    columns = max(1, (WIDTH - GAP) // (cell_width + GAP))
    height = boxed.height + GAP + cell_height * -(-len(some) // columns)
    row = Image.new("RGB", (WIDTH, TEXT + 2 * GAP + height), PAPER)
    draw = ImageDraw.Draw(row)
    draw.text((GAP, GAP // 2), name, LETTERS, font)
    first = TEXT + 2 * GAP
    row.paste(boxed, (GAP, first))
    for number, (reading, words) in enumerate(zip(some, lines, strict=True)):
        down, across = divmod(number, columns)
        left = GAP + across * (cell_width + GAP)
        top = first + boxed.height + GAP + down * cell_height
        seen = Image.fromarray(255 - reading.glyph.image)
        side = max(reading.glyph.image.shape)
        size = [TILE * length // side for length in seen.size]
        row.paste(
            seen.resize((size[0], size[1]), Image.Resampling.NEAREST), (left, top)
        )
        draw.rectangle((left, top, left + size[0], top + size[1]), outline="gray")
        for line, text in enumerate(words):
            draw.text((left, top + TILE + (TEXT + 4) * line), text, LETTERS, font)
    return row


def _lines(reading: Reading) -> list[str]:
    """What stands below a digit: the answer of most, then each network's."""
    return [
        agreement(reading).split(";")[0],
        *(
            f"{name}: {answer.label} {answer.probability.max():.1%}"
            for name, answer in reading.answers.items()
        ),
    ]


def _text_width(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    return int(np.ceil(font.getlength(text)))


def _boxed(name: str, some: Sequence[Reading]) -> Image.Image:
    """The picture, small enough, with a frame around each digit."""
    image = picture.read(name).convert("RGB")
    factor = min((WIDTH - 2 * GAP) / image.width, PICTURE_HEIGHT / image.height)
    size = (max(1, round(factor * image.width)), max(1, round(factor * image.height)))
    image = image.resize(
        size, Image.Resampling.BOX if factor < 1 else Image.Resampling.NEAREST
    )
    draw = ImageDraw.Draw(image)
    for reading in some:
        left, top, right, bottom = (round(factor * edge) for edge in reading.glyph.box)
        draw.rectangle(
            (left - 2, top - 2, right + 1, bottom + 1), outline=FRAME, width=2
        )
    return image
