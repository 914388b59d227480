"""The figures: differences between weights by updates, and prices in accuracy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from experiments.kit.figures import COLORS, new_figure
from experiments.parity.comparison import PAIRS, PRECISIONS
from experiments.parity.results import EQUAL

Entry = Mapping[str, Any]  # of results.json

PAIR_COLORS = dict(
    zip(
        (f"{one} / {other}" for one, other in PAIRS),
        (COLORS["keras_dense"], COLORS["flax_dense"], COLORS["sigmoid_mse"]),
        strict=True,
    )
)
LINES = dict(zip(PRECISIONS, ("-", "--"), strict=True))
CAUSE_COLORS = ("#E69F00", "#D55E00", "#56B4E9", "#000000")  # Okabe and Ito
LIMITS = (1e-17, 10)
POINTS = (-100, -10, -3, -1, -0.5, 0, 0.5, 1, 3, 10)  # of accuracy


def differences(equals: Sequence[Entry], causes: Sequence[Entry]) -> Figure:
    """How far apart the weights are: as they should be, and with each cause."""
    figure, grid = new_figure(1, 2, size=(12, 4.8))
    left, right = grid[0]
    for entry in equals:
        pair, precision = entry["name"].split(", ")
        _draw(left, entry, color=PAIR_COLORS[pair], linestyle=LINES[precision])
    for entry, color in zip(causes, CAUSE_COLORS, strict=False):
        _draw(right, entry, color=color)
    left.set_title("the same network, the same settings")
    right.set_title("float64, with one difference each")
    left.set_ylabel("largest difference between weights, relative")
    right.tick_params(labelleft=False)  # as on the left
    last = max(step for entry in (*equals, *causes) for step in entry["steps"])
    for axes in (left, right):
        axes.axhline(EQUAL, color="gray", linewidth=0.8)
        axes.set(xscale="log", xlim=(0.8, 1.3 * last), xlabel="updates")
        axes.set(yscale="log", ylim=LIMITS)
        axes.legend(fontsize="small")
    left.text(1, 1.5 * EQUAL, "1e-8", color="gray", fontsize="small", va="bottom")
    return figure


def _draw(axes: Axes, entry: Entry, **style: Any) -> None:
    """A line; where the weights are bit for bit the same there is nothing to draw."""
    apart = np.array(entry["apart"], float)
    label = entry["name"] if apart.any() else f"{entry['name']} (identical)"
    apart[apart == 0] = np.nan
    axes.plot(entry["steps"], apart, marker=".", label=label, **style)


def prices(entries: Sequence[Entry]) -> Figure:
    """Each choice's difference in test accuracy: seeds, mean and interval."""
    figure, grid = new_figure(size=(9, 1.4 + 0.5 * len(entries)))
    axes = grid[0, 0]
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
    axes.xaxis.set_major_locator(FixedLocator(POINTS))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="x", alpha=0.3)
    axes.set_yticks(range(len(entries)), [entry["name"] for entry in entries])
    axes.set_ylim(len(entries) - 0.5, -0.5)
    axes.set_xlabel("difference in test accuracy from tf.keras's choices, points")
    return figure
