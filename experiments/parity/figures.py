"""The figures of `experiments/parity.py`."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from experiments.compare.figures import COLORS
from experiments.parity.comparison import PAIRS, PRECISIONS
from experiments.parity.results import EQUAL

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


def differences(comparisons: Sequence[dict[str, Any]]) -> Figure:
    """How far apart the weights are: as they should be, and with each cause."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(12, 4.8), sharey=True, layout="constrained"
    )
    equals = [entry for entry in comparisons if entry["cause"] is None]
    for entry in equals:
        pair, precision = entry["name"].split(", ")
        _draw(left, entry, color=PAIR_COLORS[pair], linestyle=LINES[precision])
    causes = [entry for entry in comparisons if entry["cause"] is not None]
    for entry, color in zip(causes, CAUSE_COLORS, strict=False):
        _draw(right, entry, color=color)
    left.set_title("the same network, the same settings")
    right.set_title("float64, with one difference each")
    left.set_ylabel("largest difference between weights, relative")
    last = max(step for entry in comparisons for step in entry["steps"])
    for axes in (left, right):
        axes.axhline(EQUAL, color="gray", linewidth=0.8)
        axes.set(xscale="log", xlim=(0.8, 1.3 * last), xlabel="updates")
        axes.set(yscale="log", ylim=LIMITS)
        axes.legend(fontsize="small")
    left.text(1, 1.5 * EQUAL, "1e-8", color="gray", fontsize="small", va="bottom")
    return figure


def _draw(axes: Axes, entry: dict[str, Any], **style: Any) -> None:
    """A line; where the weights are bit for bit the same there is nothing to draw."""
    apart = np.array(entry["apart"], float)
    label = entry["name"]
    if len(apart) and not apart.any():
        label += " (identical)"
    apart[apart == 0] = np.nan
    axes.plot(entry["steps"], apart, marker=".", label=label, **style)


def prices(entries: Sequence[dict[str, Any]]) -> Figure:
    """Each choice's difference in test accuracy: seeds, mean and interval."""
    shown = [entry for entry in entries if entry["gaps"]]
    figure, axes = plt.subplots(
        figsize=(9, 1.4 + 0.5 * len(shown)), layout="constrained"
    )
    for place, entry in enumerate(shown):
        gaps = 100 * np.array(list(entry["gaps"].values()))
        color = COLORS["flax_dense"]
        axes.plot(gaps, np.full(len(gaps), place), "o", color=color, alpha=0.35)
        if entry["interval"]:
            ends = [100 * end for end in entry["interval"]]
            axes.plot(ends, [place, place], color="black", linewidth=1.5)
        axes.plot(100 * entry["difference"], place, "|", color="black", markersize=14)
    axes.axvline(0, color="gray", linewidth=0.8)
    # Tenths of a point and tens of points on one axis: linear up to 1, then by powers.
    axes.set_xscale("symlog", linthresh=1, linscale=2)
    axes.xaxis.set_major_locator(FixedLocator(POINTS))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="x", alpha=0.3)
    axes.set_yticks(range(len(shown)), [entry["name"] for entry in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlabel("difference in test accuracy from tf.keras's choices, points")
    return figure
