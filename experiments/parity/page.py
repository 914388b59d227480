"""Tables, pictures and lines of text, from results.json and the rows."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.kit.numbers import text
from experiments.kit.page import Picture, Table
from experiments.parity.comparison import CAUSE_STEPS, PRECISIONS
from experiments.parity.results import EQUAL, Row

Content = Mapping[str, Any]  # of results.json
Csv = tuple[Sequence[str], list[tuple[object, ...]]]  # header and rows

SHOWN_STEPS = (1, 10, 100)  # and the last
SHOWN_CAUSE_STEPS = (1, 10, 50, CAUSE_STEPS)  # likewise


def step_text(row: Row) -> str:
    """The largest difference of each precision at a step."""
    apart = row["apart"]
    largest = (
        f"{precision} {max(apart[name] for name in apart if precision in name):.1e}"
        for precision in PRECISIONS
    )
    return f"step {row['step']:,}: weights apart by at most {', '.join(largest)}"


def price_text(row: Row) -> str:
    """The accuracies of some networks of a choice after an epoch."""
    low, high = min(row["test_accuracy"]), max(row["test_accuracy"])
    return (
        f"{row['choice']}, epoch {row['epoch']}, test accuracy {low:.2%} to {high:.2%}"
    )


def sections(content: Content) -> list[Table | Picture]:
    """Tables and pictures that there is something to show in, in their order."""
    # Matplotlib is loaded where figures are drawn, not at the start of the program.
    from experiments.parity import figures

    compared = [entry for entry in content["comparisons"] if entry["steps"]]
    equals = [entry for entry in compared if entry["cause"] is None]
    causes = [entry for entry in compared if entry["cause"] is not None]
    priced = [entry for entry in content["prices"] if entry["gaps"]]
    pictures = []
    if compared:
        draw = functools.partial(figures.differences, equals, causes)
        caption = (
            "Largest relative difference between the weights of two programs, by "
            "updates. Left: the same settings. Right: what keeps programs apart that "
            "should agree."
        )
        pictures.append(Picture("parity", "Step by step", caption, draw))
    if priced:
        draw = functools.partial(figures.prices, priced)
        caption = (
            "A dot a seed, the mean, and its 95 % interval. Left of the line: less "
            "accurate than with tf.keras's choices."
        )
        pictures.append(Picture("prices", "What each difference costs", caption, draw))
    missing = ", ".join(content["missing"]) or "none"
    tables = [
        difference_table(
            "Largest relative difference between weights",
            "In each array the largest |a - b| by the largest |b|; of all arrays the "
            "worst. 0 is bit for bit the same. Adam's betas are the float32 numbers "
            f"nearest to 0.9 and 0.999 on all sides. Not installed: {missing}.",
            equals,
            SHOWN_STEPS,
        ),
        difference_table(
            "One difference each, in float64",
            " ".join(f"{entry['name']}: {entry['cause']}." for entry in causes),
            causes,
            SHOWN_CAUSE_STEPS,
        ),
        price_table(content["prices"]),
    ]
    return [*pictures, *(table for table in tables if table.rows)]


def difference_table(
    title: str, caption: str, entries: Sequence[Content], shown: Sequence[int]
) -> Table:
    """A row per pair of sides, with its difference after some of the steps."""
    last = max((entry["steps"][-1] for entry in entries), default=0)
    steps = [*(step for step in shown if step < last), last]
    answers = {True: "yes", False: "no", None: "-"}
    rows = []
    for entry in entries:
        apart = dict(zip(entry["steps"], entry["apart"], strict=True))
        cells = [text(apart.get(step), ".1e") for step in steps]
        cells = ["0" if cell == "0.0e+00" else cell for cell in cells]
        rows.append((entry["name"], *cells, answers[entry["equal"]]))
    after = [f"step {step:,}" for step in steps]
    return Table(title, caption, ["pair", *after, f"below {EQUAL:.0e}"], rows)


def price_table(entries: Sequence[Content]) -> Table:
    """A row per choice: its accuracy, and its difference from tf.keras's choices."""
    rows = []
    for entry in entries:
        interval = "-"
        if entry["interval"]:
            interval = " to ".join(f"{end:+.2%}" for end in entry["interval"])
        row = (
            entry["name"],
            str(len(entry["accuracy"])),
            f"{entry['mean']:.2%}",
            text(entry["deviation"], ".2%"),
            text(entry["difference"], "+.2%"),
            interval,
            text(entry["p_value"], ".2g"),
        )
        rows.append(row)
    choices = " ".join(f"{entry['name']}: {entry['what']}." for entry in entries)
    return Table(
        "Prices: test accuracy, and the difference from tf.keras's choices",
        "The mirror in Flax. Differences of accuracies, seed by seed, in points; "
        "intervals are Student's, 95 %; p-values are Holm-corrected together. "
        f"{choices}",
        ("choice", "seeds", "accuracy", "sd", "difference", "95 % interval", "p"),
        rows,
    )


def step_rows(content: Content, dataset: str) -> Csv:
    """The content of parity.csv: the differences of all pairs."""
    return ("pair", "step", "apart", "dataset"), [
        (entry["name"], step, apart, dataset)
        for entry in content["comparisons"]
        for step, apart in zip(entry["steps"], entry["apart"], strict=True)
    ]


def price_rows(content: Content, dataset: str) -> Csv:
    """The content of prices.csv: the accuracies of all networks."""
    return ("choice", "seed", "test_accuracy", "dataset"), [
        (entry["name"], seed, accuracy, dataset)
        for entry in content["prices"]
        for seed, accuracy in entry["accuracy"].items()
    ]
