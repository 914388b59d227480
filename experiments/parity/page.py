"""Tables and figures, from results.json."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from experiments.kit.figures import COLORS, new_figure
from experiments.kit.numbers import text
from experiments.kit.page import Picture, Table, table
from experiments.kit.run import Row
from experiments.kit.statistics import MARGIN, POWER
from experiments.parity.comparison import CAUSE_STEPS, EQUAL

MARKERS = "osD^vP"  # of lines that may cover each other
# From a map that no network has a colour of: lines are pairs of programs here.
SHADES = colormaps["viridis"](np.linspace(0, 0.85, len(MARKERS)))


def lead(content: Row) -> str:
    """The finding: how far apart programs end, and what has a price."""

    def farthest(entries: Iterable[Row]) -> str:
        last = [entry["apart"][-1] for entry in entries if entry["apart"]]
        return text(max(last, default=None), ".1e")

    pairs = content["comparisons"]
    steps = max((entry["steps"][-1] for entry in pairs if entry["steps"]), default=0)
    float32, float64 = (
        farthest(e for e in pairs if not e["cause"] and e["one"]["precision"] == name)
        for name in ("float32", "float64")
    )
    timed = farthest(entry for entry in pairs if "as timed" in entry["name"])
    priced = [entry for entry in content["prices"] if entry["verdict"]]
    verdicts = [f"{e['name']} {e['difference']:+.2%} ({e['verdict']})" for e in priced]
    return (
        f"After {steps:,} updates the weights of equal programs differ by at most "
        f"{float64} in float64 and {float32} in float32, and those of the programs as "
        f"they are timed by {timed}. Test accuracy after {content['price_epochs']} "
        f"epochs against tf.keras's choices: {'; '.join(verdicts) or 'not measured'}."
    )


def sections(content: Row) -> Iterator[Table | Picture]:
    """Tables and pictures that there is something to show in, in their order."""
    compared = [entry for entry in content["comparisons"] if entry["steps"]]
    equals = [entry for entry in compared if entry["cause"] is None]
    causes = [entry for entry in compared if entry["cause"] is not None]
    priced = [entry for entry in content["prices"] if entry["gaps"]]
    missing = ", ".join(content["missing"]) or "none"
    if compared:
        yield Picture(
            "parity",
            "Step by step",
            "Largest |a - b| by the largest |b| in an array of weights; of all arrays "
            "the worst. Left: made equal in weights, batches, float32 betas, pixels, "
            "and no softmax in Keras on JAX. Flax and scratch give the compiler the "
            "same operations: that they are identical is a check of its input, no "
            "independent evidence. Right: what keeps programs apart that are not made "
            f"equal. Not installed: {missing}.",
            partial(draw_differences, equals, causes),
        )
        yield cause_table(causes)
    if priced:
        yield Picture(
            "prices",
            "What each difference costs",
            f"After {content['price_epochs']} epochs: a dot a seed, the mean, and its "
            "95 % interval. Left of the line: less accurate than with tf.keras's "
            "choices. The axis is linear up to 1 point and logarithmic beyond.",
            partial(draw_prices, priced),
        )
    if content["prices"]:
        yield price_table(content["prices"], content["price_epochs"])


def cause_table(entries: Sequence[Row]) -> Table:
    """A row per pair that is kept apart, with its difference after some steps."""

    def apart(step: int, entry: Row) -> str:
        by_step = dict(zip(entry["steps"], entry["apart"], strict=True))
        return text(by_step.get(step), ".2g")

    last = max((entry["steps"][-1] for entry in entries), default=0)
    shown = (s for s in (1, 10, CAUSE_STEPS, last) if s <= last)
    steps = {f"step {s:,}": partial(apart, s) for s in dict.fromkeys(shown)}
    return table(
        "What keeps programs apart",
        "Largest relative difference of weights. In float64, one difference each; as "
        "timed: in float32, all at once.",
        entries,
        {"pair": "name", **steps, "what differs": "cause"},
    )


def price_table(entries: Sequence[Row], num_epochs: int) -> Table:
    """A row per choice: its accuracy, and its difference from tf.keras's choices."""
    choices = " ".join(f"{entry['name']}: {entry['what']}." for entry in entries)
    return table(
        "Prices: test accuracy, and the difference from tf.keras's choices",
        f"The mirror in Flax after {num_epochs} epochs. Differences seed by seed: a "
        "seed's weights and batches are the same. Student's interval, 95 %, and p; p "
        f"(equal): two one-sided tests of a difference below {100 * MARGIN:g} points; "
        "each p is Holm-corrected over all choices. Detectable: the true difference "
        f"that so many seeds of this spread find in {POWER:.0%} of cases. {choices}",
        entries,
        {
            "choice": "name",
            "seeds": lambda entry: str(len(entry["accuracy"])),
            **{"accuracy": "mean:.2%", "sd": "deviation:.2%"},
            **{"difference": "difference:+.2%", "95 % interval": "interval:+.2%"},
            **{"p": "p_value:.2g", "p (equal)": "equal_p_value:.2g"},
            **{"detectable": "detectable:.2%", "verdict": "verdict:"},
        },
    )


def draw_differences(equals: Sequence[Row], causes: Sequence[Row]) -> Figure:
    """How far apart the weights are: as they should be, and with each cause."""
    figure, ((left, right),) = new_figure(1, 2, size=(12, 4.8))
    names = list(dict.fromkeys(entry["name"].split(", ")[0] for entry in equals))
    lines = [(right, entry, index, 1.5) for index, entry in enumerate(causes)]
    for entry in equals:
        # Equal programs are equally far from a third: the first line, a broad one,
        # shows beneath the others.
        index = names.index(entry["name"].split(", ")[0])
        lines.append((left, entry, 2 * index, 1.5 if index else 6))
    for axes, entry, index, width in lines:
        apart = np.array(entry["apart"], float)
        # Where the weights are bit for bit the same there is nothing to draw.
        identical = "" if apart.any() else " (identical)"
        apart[apart == 0] = np.nan
        style = "-" if entry["one"]["precision"] == "float32" else "--"
        pair, _, precision = entry["name"].partition(", ")
        axes.plot(
            entry["steps"],
            apart,
            style,
            marker=MARKERS[index],
            color=SHADES[index],
            linewidth=width,
            alpha=0.4 if width > 2 else 1,
            label=None if precision == "float64" else pair + identical,
        )
    left.set(title="made equal", ylabel="largest relative difference of weights")
    right.set(title="what keeps programs apart")
    right.tick_params(labelleft=False)  # as on the left
    last = max(step for entry in (*equals, *causes) for step in entry["steps"])
    for axes in (left, right):
        axes.axhline(EQUAL, color="gray", linewidth=0.8)
        axes.set(xscale="log", xlim=(0.8, 1.3 * last), xlabel="updates")
        axes.set(yscale="log", ylim=(1e-17, 10))
        axes.legend(
            fontsize="small",
            title="solid: float32, dashed: float64",
            title_fontsize="small",
            loc="center left",
            bbox_to_anchor=(0.02, 0.34),
        )
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
    low, high = axes.get_xlim()
    axes.set_xlim(max(low, -100), min(high, 100))
    label = "difference in test accuracy, points (linear up to 1, logarithmic beyond)"
    axes.set(ylim=(len(entries) - 0.5, -0.5), xlabel=label)
    return figure
