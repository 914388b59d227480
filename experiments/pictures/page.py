"""Tables and figures of the pictures."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from experiments.kit.numbers import percent
from experiments.kit.page import Picture, Table
from experiments.kit.run import Row, Run
from experiments.pictures import measure, photograph, results
from experiments.pictures.measure import VARIANTS
from jaxnets import pixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXAMPLES, COLUMNS = 18, 6


def lead(content: Mapping[str, Any]) -> str:
    """The finding in a sentence."""
    models = content["models"]
    if not models or not content["num_pictures"]:
        return "No picture was read."
    prepared, raw = (
        [model["variants"][variant]["accuracy"] for model in models.values()]
        for variant in ("prepared", "raw")
    )
    clean = [model["test_accuracy"] for model in models.values()]
    return (
        f"Of {content['num_pictures']:,} pictures like photographs the networks read "
        f"{ends(prepared)} right, of the clean test set {ends(clean)}. Without MNIST's "
        f"preparation they read {ends(raw)}."
    )


def ends(shares: Sequence[float]) -> str:
    """The smallest and the largest share, in per cent."""
    low, high = percent(min(shares)), percent(max(shares))
    return f"{low} %" if low == high else f"{low} to {high} %"


def sections(run: Run, content: Mapping[str, Any]) -> Iterator[Table | Picture]:
    """Tables, and pictures of pictures."""
    models = content["models"]
    if not models or not content["num_pictures"]:
        return
    header = ("", *models)
    rows = [
        ("clean test set", *(percent(m["test_accuracy"]) for m in models.values())),
        ("the same digits, clean", *of_all(models, lambda m: m["same_images"])),
    ]
    rows += [
        (words, *of_all(models, lambda m, variant=variant: m["variants"][variant]))
        for variant, words in VARIANTS.items()
    ]
    yield Table(
        "Right answers, per cent",
        f"{content['num_pictures']:,} pictures of one test digit each; in "
        f"{content['found_one']:,} exactly one digit was found, the others count as "
        "wrong. Each line below the whole preparation leaves one part out.",
        header,
        rows,
    )
    yield Table(
        "By kind of picture, per cent",
        "With the whole preparation; in brackets how many pictures there are.",
        header,
        [
            (
                f"{kind} ({next(iter(models.values()))['kinds'][kind]['seen']})",
                *of_all(models, lambda m, kind=kind: m["kinds"][kind]),
            )
            for kind in results.KINDS
        ],
        on_screen=False,
    )
    sheets = content["sheets"]
    digits = sheets["count"] * run.data.num_classes
    yield Table(
        "Sheets of ten digits",
        f"{sheets['count']} sheets with digits that all the networks know; on "
        f"{sheets['found_all']} of them exactly ten digits were found.",
        header,
        [
            (
                "sheets read without a mistake",
                *(str(m["sheets_right"]) for m in models.values()),
            ),
            (
                f"digits read right, of {digits}",
                *(str(m["sheet_digits_right"]) for m in models.values()),
            ),
        ],
    )
    first = [row for row in run.rows if row["part"] == "picture"][:EXAMPLES]
    yield Picture(
        "examples",
        "The first pictures",
        "Each beside what the networks see of it. Below: the digit, and the networks' "
        "answers where one is wrong.",
        partial(gallery, run, first),
    )
    wrong = results.worst(run.rows, EXAMPLES)
    if wrong:
        yield Picture(
            "failures",
            "Where the preparation fails",
            "Pictures that most networks misread though they know the clean digit.",
            partial(gallery, run, wrong),
        )
    sheet = [row for row in run.rows if row["part"] == "sheet"][:2]
    if sheet:
        yield Picture(
            "sheets",
            "Sheets of ten digits",
            "The boxes are what was found.",
            partial(draw_sheets, run, sheet),
        )


def of_all(models: Mapping[str, Any], choose: Any) -> list[str]:
    """A cell a network: the share that is right."""
    return [percent(choose(model)["accuracy"]) for model in models.values()]


def gallery(run: Run, rows: Sequence[Row]) -> "Figure":
    """Pictures, each beside what the networks see."""
    from experiments.kit.figures import new_figure

    lines, side, step = -(-len(rows) // COLUMNS), 1.0, (2.4, 1.3)
    ink_side = pixels.ink_side(run.data.train.image)
    figure, [[axes]] = new_figure(size=(14, 1.25 * lines + 0.2))
    axes.set(xlim=(0, COLUMNS * step[0]), ylim=(lines * step[1], -0.25))
    axes.set_aspect("equal")
    axes.axis("off")
    for number, row in enumerate(rows):
        line, column = divmod(number, COLUMNS)
        x, y = column * step[0], line * step[1]
        own = np.random.default_rng([run.config.seed, row["index"]])
        photo = photograph.of_digit(run.data.test.image[row["index"]], own)
        marks = measure.marks_of(photo)
        seen = measure.variants(photo, marks, ink_side)["prepared"]
        thumbnail = Image.fromarray(photo.pixels)
        thumbnail.thumbnail((180, 180))
        width, height = (length / max(thumbnail.size) for length in thumbnail.size)
        axes.imshow(np.asarray(thumbnail), extent=(x, x + width, y + height, y))
        right = x + 1.1
        ends = (right, right + side, y + side, y)
        axes.imshow(seen, cmap="gray_r", vmin=0, vmax=255, extent=ends)
        answers = list(row["answers"]["prepared"].values())
        is_right = row["found"] == 1 and set(answers) == {row["label"]}
        found = "" if row["found"] == 1 else f", {row['found']} found"
        names = [run.data.labels[answer] for answer in answers]
        said = "" if is_right else f": {' '.join(names)}{found}"
        words = f"{run.data.labels[row['label']]}{said}"
        axes.text(right, y - 0.03, words, fontsize=9, va="bottom")
    return figure


def draw_sheets(run: Run, rows: Sequence[Row]) -> "Figure":
    """Sheets with the boxes that were found, and what the first network reads."""
    from matplotlib.patches import Rectangle

    from experiments.kit.figures import new_figure

    figure, grid = new_figure(1, len(rows), size=(6.5 * len(rows), 4.2))
    for axes, row in zip(grid.flat, rows, strict=True):
        axes.imshow(sheet_pixels(run, row))
        axes.axis("off")
        for left, top, right, bottom in row["boxes"]:
            size = (right - left, bottom - top)
            axes.add_patch(Rectangle((left, top), *size, fill=False, color="#D55E00"))
        name, answers = next(iter(row["answers"].items()))
        words = " ".join(run.data.labels[answer] for answer in answers)
        axes.set_title(f"{name} reads {words}", fontsize=10)
    return figure


def sheet_pixels(run: Run, row: Row) -> np.ndarray:
    """The sheet again: its digits stand in the row."""
    rng = np.random.default_rng([run.config.seed, 1, row["sheet"]])
    return photograph.of_sheet(run.data.test.image[row["indices"]], rng).pixels
