"""The figures. Each function draws one and returns it unsaved.

Accuracies stand on a logarithmic scale of the error, so that a tenth of a point is
seen at 98 % and a network that got stuck at 86 % is on the same figure.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from experiments.kit.figures import COLORS, new_figure, whole_epochs
from experiments.seeds.measure import SeedEpoch
from experiments.seeds.results import NUMBERS, Networks, scores

ROUND = (1, 5, 2, 3, 9, 7, 1.5, 4, 2.5, 8, 6)  # first digits of a tick, best first
FINER = (*ROUND, *np.arange(1.1, 10, 0.1))  # for a narrow scale
POWERS = (1e-4, 1e-3, 1e-2, 1e-1)
MOST_TICKS, ENOUGH_TICKS = 10, 4
MARGIN = 1.15  # how far beyond the data the error's axis goes, as a factor
OFF_THE_SCALE = 0.5  # a reported error above it is written, not drawn
GROUP_GAP = 1.0  # between two models, in strips


def strips(networks: Networks, content: Mapping[str, Any]) -> Figure:
    """A strip of dots per model and number, with intervals and the write-up's values.

    Args:
      networks: those that have finished.
      content: results.json, for the summaries.
    """
    figure, grid = new_figure(size=(10.5, 1.0 + 1.2 * len(networks)))
    axes = grid[0, 0]
    labels: dict[float, str] = {}  # of the strips, by their height
    drawn: list[float] = []
    height = 0.0
    for name, by_seed in networks.items():
        entry, first = content["models"][name], height
        axes.text(
            *(0.006, first - 0.45, name),
            transform=axes.get_yaxis_transform(),
            color=COLORS[name],
            weight="bold",
        )
        for number, sample in scores(by_seed).items():
            values = errors(list(sample.values()), by_seed)
            style: dict[str, Any] = {"color": COLORS[name], "linewidths": 0}
            if number == "best":
                style = {"facecolors": "none", "edgecolors": COLORS[name]}
            # Below or above each other, evenly, so that no dot hides another.
            offsets = 0.44 * (np.arange(len(values)) * 0.618 % 1) - 0.22
            axes.scatter(values, height + offsets, s=22, alpha=0.75, **style)
            if entry[number]["interval_95"]:
                ends = errors(entry[number]["interval_95"], by_seed)
                axes.plot(ends, [height, height], color="black", linewidth=2.2)
            median = errors([entry[number]["median"]], by_seed)
            axes.plot(median, height, "wD", markeredgecolor="black", markersize=5)
            drawn.extend(values)
            labels[height] = NUMBERS[number]
            height += 1
        if entry["reported_accuracy"]:
            drawn += _draw_reported(axes, first, height, entry["reported_accuracy"])
        height += GROUP_GAP
    axes.set_yticks(list(labels), list(labels.values()))
    axes.set_ylim(height - GROUP_GAP - 0.4, -1)
    _set_error_scale(axes, "x", drawn)
    axes.set_xlabel("test accuracy")
    axes.grid(axis="x", alpha=0.3)
    return figure


def errors(
    accuracies: Sequence[Any], networks: Mapping[int, Sequence[SeedEpoch]]
) -> np.ndarray:
    """1 - accuracy, at least half an image, which a logarithmic scale can show."""
    network = next(iter(networks.values()))
    return np.maximum(1 - np.asarray(accuracies), 0.5 / network[0].test_seen)


def _draw_reported(
    axes: Axes, first: float, height: float, accuracy: float
) -> list[float]:
    """The write-up's value as a line across a model's strips; returns what is drawn."""
    text = f"write-up: {100 * accuracy:.4g} %"
    if 1 - accuracy > OFF_THE_SCALE:
        place = axes.get_yaxis_transform()
        text = f"← {text}, off the scale"
        axes.text(0.14, first - 0.45, text, transform=place, fontsize=8)
        return []
    span = (first - 0.35, height - 0.65)
    axes.plot([1 - accuracy] * 2, span, color="black", linestyle="--", linewidth=1)
    axes.text(1 - accuracy, span[0], text, ha="center", va="bottom", fontsize=8)
    return [1 - accuracy]


def _set_error_scale(axes: Axes, which: str, drawn: Sequence[float]) -> None:
    """Logarithmic in the error, better to the right or top, labelled as accuracy."""
    low, high = min(drawn) / MARGIN, min(1.0, max(drawn) * MARGIN)
    axes.set(**{f"{which}scale": "log", f"{which}lim": (high, low)})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(FixedLocator(_ticks(low, high)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda error, _: f"{100 * (1 - error):.4g} %")


def _ticks(low: float, high: float) -> list[float]:
    """Round errors between the ends, the roundest first, with room for their labels."""
    room = np.log(high / low) / MOST_TICKS
    for digits in (ROUND, FINER):
        ticks: list[float] = []
        for tick in (float(d * power) for d in digits for power in POWERS):
            apart = np.abs(np.log(np.array(ticks) / tick))
            if low <= tick <= high and np.all(apart > room):
                ticks.append(tick)
        if len(ticks) >= ENOUGH_TICKS:
            break
    return sorted(ticks)


def by_epoch(networks: Networks) -> Figure:
    """Test accuracy after each epoch: every network, their median and middle half."""
    columns = min(2, len(networks))
    rows = -(-len(networks) // columns)
    figure, grid = new_figure(rows, columns, size=(5.3 * columns, 3.3 * rows))
    for axes in grid.flat[len(networks) :]:
        axes.remove()
    for axes, (name, by_seed) in zip(grid.flat, networks.items(), strict=False):
        tested = [[row.test_accuracy for row in run] for run in by_seed.values()]
        values = errors(tested, by_seed)
        numbers = np.arange(1, values.shape[1] + 1)
        color = COLORS[name]
        axes.plot(numbers, values.T, color=color, alpha=0.3, linewidth=0.7)
        quartiles = np.quantile(values, (0.25, 0.75), axis=0)
        axes.fill_between(numbers, *quartiles, color=color, alpha=0.3, linewidth=0)
        median = np.median(values, axis=0)
        axes.plot(numbers, median, color=color, linewidth=2, marker=".")
        _set_error_scale(axes, "y", values.ravel().tolist())
        whole_epochs(axes)
        axes.set_ylabel("test accuracy")
        axes.set_title(f"{name}, {len(values)} seeds", fontsize="medium")
        axes.grid(alpha=0.3)
    return figure
