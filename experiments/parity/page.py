"""Tables and figures, from results.json."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from experiments.kit.figures import COLORS, new_figure
from experiments.kit.numbers import text
from experiments.kit.page import Picture, Table, table
from experiments.kit.run import Row
from experiments.parity.comparison import CAUSE_STEPS, EQUAL

PAIR_COLORS = {
    "tf_keras / flax": COLORS["keras_dense"],
    "flax / scratch": COLORS["flax_dense"],
    "tf_keras / keras_on_jax": COLORS["sigmoid_mse"],
}
CAUSE_COLORS = ("#E69F00", "#D55E00", "#56B4E9", "#000000")  # Okabe and Ito


def sections(content: Row) -> Iterator[Table | Picture]:
    """Tables and pictures that there is something to show in, in their order."""
    compared = [entry for entry in content["comparisons"] if entry["steps"]]
    equals = [entry for entry in compared if entry["cause"] is None]
    causes = [entry for entry in compared if entry["cause"] is not None]
    priced = [entry for entry in content["prices"] if entry["gaps"]]
    if compared:
        yield Picture(
            "parity",
            "Step by step",
            "Largest relative difference between the weights of two programs. Left: "
            "the same settings. Right: what keeps programs apart that should agree.",
            partial(draw_differences, equals, causes),
        )
        missing = ", ".join(content["missing"]) or "none"
        yield difference_table(
            "Largest relative difference between weights",
            "In each array the largest |a - b| by the largest |b|; of all arrays the "
            "worst. 0 is bit for bit the same. Adam's betas are the float32 numbers "
            f"nearest to 0.9 and 0.999 on all sides. Not installed: {missing}.",
            equals,
            (1, 10, 100),
        )
        words = " ".join(f"{entry['name']}: {entry['cause']}." for entry in causes)
        steps = (1, 10, 50, CAUSE_STEPS)
        yield difference_table("One difference each, in float64", words, causes, steps)
    if priced:
        yield Picture(
            "prices",
            "What each difference costs",
            "A dot a seed, the mean, and its 95 % interval. Left of the line: less "
            "accurate than with tf.keras's choices.",
            partial(draw_prices, priced),
        )
    if content["prices"]:
        yield price_table(content["prices"])


def difference_table(
    title: str, caption: str, entries: Sequence[Row], shown: Sequence[int]
) -> Table:
    """A row per pair of sides, with its difference after some steps and the last."""

    def apart(step: int, entry: Row) -> str:
        by_step = dict(zip(entry["steps"], entry["apart"], strict=True))
        return text(by_step.get(step), ".2g")

    last = max(entry["steps"][-1] for entry in entries)
    steps = {f"step {s:,}": partial(apart, s) for s in (*shown, last) if s <= last}
    words = {True: "yes", False: "no", None: "-"}
    below = {f"below {EQUAL:.0e}": lambda entry: words[entry["equal"]]}
    return table(title, caption, entries, {"pair": "name", **steps, **below})


def price_table(entries: Sequence[Row]) -> Table:
    """A row per choice: its accuracy, and its difference from tf.keras's choices."""
    choices = " ".join(f"{entry['name']}: {entry['what']}." for entry in entries)
    return table(
        "Prices: test accuracy, and the difference from tf.keras's choices",
        "The mirror in Flax. Differences seed by seed; intervals are Student's, 95 %; "
        f"p-values are Holm-corrected together. {choices}",
        entries,
        {
            "choice": "name",
            "seeds": lambda entry: str(len(entry["accuracy"])),
            "accuracy": "mean:.2%",
            "sd": "deviation:.2%",
            "difference": "difference:+.2%",
            "95 % interval": "interval:+.2%",
            "p": "p_value:.2g",
        },
    )


def draw_differences(equals: Sequence[Row], causes: Sequence[Row]) -> Figure:
    """How far apart the weights are: as they should be, and with each cause."""
    figure, ((left, right),) = new_figure(1, 2, size=(12, 4.8))
    lines = [(right, *line, "-") for line in zip(causes, CAUSE_COLORS, strict=False)]
    for entry in equals:
        pair, precision = entry["name"].split(", ")
        style = "-" if precision == "float32" else "--"
        lines.append((left, entry, PAIR_COLORS[pair], style))
    for axes, entry, color, style in lines:
        apart = np.array(entry["apart"], float)
        # Where the weights are bit for bit the same there is nothing to draw.
        label = entry["name"] if apart.any() else f"{entry['name']} (identical)"
        apart[apart == 0] = np.nan
        axes.plot(entry["steps"], apart, style, marker=".", color=color, label=label)
    left.set(title="the same settings", ylabel="largest relative difference of weights")
    right.set(title="float64, with one difference each")
    right.tick_params(labelleft=False)  # as on the left
    last = max(step for entry in (*equals, *causes) for step in entry["steps"])
    for axes in (left, right):
        axes.axhline(EQUAL, color="gray", linewidth=0.8)
        axes.set(xscale="log", xlim=(0.8, 1.3 * last), xlabel="updates")
        axes.set(yscale="log", ylim=(1e-17, 10))
        axes.legend(fontsize="small")
    left.text(1, 1.5 * EQUAL, "1e-8", color="gray", fontsize="small", va="bottom")
    return figure


def draw_prices(entries: Sequence[Row]) -> Figure:
    """Each choice's difference in test accuracy: seeds, mean and interval."""
    figure, ((axes,),) = new_figure(size=(9, 1.4 + 0.5 * len(entries)))
    for height, entry in enumerate(entries):
        gaps = 100 * np.array(list(entry["gaps"].values()))
        color = COLORS["flax_dense"]
        axes.plot(gaps, np.full(len(gaps), height), "o", color=color, alpha=0.35)
        if entry["interval"]:
            ends = 100 * np.array(entry["interval"])
            axes.plot(ends, [height, height], color="black", linewidth=1.5)
        axes.plot(100 * entry["difference"], height, "|", color="black", markersize=14)
    axes.axvline(0, color="gray", linewidth=0.8)
    # Tenths of a point and tens of points on one axis: linear up to 1, then by powers.
    axes.set_xscale("symlog", linthresh=1, linscale=2)
    points = FixedLocator([-100, -10, -3, -1, -0.5, 0, 0.5, 1, 3, 10])
    axes.xaxis.set(major_locator=points, minor_locator=NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(axis="x", alpha=0.3)
    axes.set_yticks(range(len(entries)), [entry["name"] for entry in entries])
    label = "difference in test accuracy from tf.keras's choices, points"
    axes.set(ylim=(len(entries) - 0.5, -0.5), xlabel=label)
    return figure
