"""Figures of `experiments/seeds.py`. Each function draws one and returns it unsaved.

Accuracies stand on a logarithmic scale of the error, so that a tenth of a point is
seen at 98 % and a network that got stuck at 86 % is on the same figure.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from experiments.compare.figures import COLORS
from experiments.seeds.results import NUMBERS, ModelSeeds, scores

ROUND = (1, 5, 2, 3, 9, 7, 1.5, 4, 2.5, 8, 6)  # first digits of a tick, best first
FINER = (*ROUND, *np.arange(1.1, 10, 0.1))  # for a narrow scale
POWERS = (1e-4, 1e-3, 1e-2, 1e-1)
MOST_TICKS, ENOUGH_TICKS = 10, 4
MARGIN = 1.15  # how far beyond the data the error's axis goes, as a factor
OFF_THE_SCALE = 0.5  # a reported error above it is told, not drawn
GROUP_GAP = 1.0  # between two models, in strips


def strips(models: Sequence[ModelSeeds], content: dict[str, Any]) -> Figure:
    """A strip of dots per model and number, with intervals and the write-up's values.

    Args:
      models: those with finished networks.
      content: results.json, for the summaries.
    """
    height = 1.0 + 1.2 * len(models)
    figure, axes = plt.subplots(figsize=(10.5, height), layout="constrained")
    places: dict[float, str] = {}
    drawn: list[float] = []
    top = 0.0
    for model in models:
        entry, first = content["models"][model.name], top
        for number, by_seed in scores(model).items():
            values = errors(list(by_seed.values()), model)
            summary = {**entry[number], "name": number}
            _draw_strip(axes, top, values, summary, model)
            drawn.extend(values)
            places[top] = NUMBERS[number]
            top += 1
        axes.text(
            *(0.006, first - 0.45, model.name),
            transform=axes.get_yaxis_transform(),
            color=COLORS[model.name],
            weight="bold",
        )
        if entry["reported_accuracy"]:
            drawn += _draw_reported(axes, first, top - 1, entry["reported_accuracy"])
        top += GROUP_GAP
    axes.set_yticks(list(places), list(places.values()))
    axes.set_ylim(top - GROUP_GAP - 0.4, -1)
    _error_scale(axes.xaxis, drawn)
    axes.set_xlabel("test accuracy")
    axes.grid(axis="x", alpha=0.3)
    return figure


def errors(accuracies: Sequence[float], model: ModelSeeds) -> np.ndarray:
    """1 - accuracy, at least half an image, which the scale can show."""
    (run, *_) = model.finished.values()
    return np.maximum(1 - np.asarray(accuracies), 0.5 / run[0].test_seen)


def _draw_strip(
    axes: Axes,
    place: float,
    values: np.ndarray,
    summary: dict[str, Any],
    model: ModelSeeds,
) -> None:
    """Dots of one number, below or above each other so that none hides another."""
    offsets = 0.44 * (np.arange(len(values)) * 0.618 % 1) - 0.22  # spread evenly
    color = COLORS[model.name]
    hollow = {"facecolors": "none", "edgecolors": color}
    style = hollow if summary["name"] == "best" else {"color": color, "linewidths": 0}
    axes.scatter(values, place + offsets, s=22, alpha=0.75, **style)
    if summary["interval_95"]:
        ends = errors(summary["interval_95"], model)
        axes.plot(ends, [place, place], color="black", linewidth=2.2)
    (middle,) = errors([summary["median"]], model)
    axes.plot(middle, place, "D", color="white", markeredgecolor="black", markersize=5)


def _draw_reported(
    axes: Axes, first: float, last: float, accuracy: float
) -> list[float]:
    """The write-up's value as a line across a model's strips; returns what is drawn."""
    words = f"write-up: {100 * accuracy:.4g} %"
    if 1 - accuracy > OFF_THE_SCALE:
        axes.text(
            *(0.14, first - 0.45, f"← {words}, off the scale"),
            transform=axes.get_yaxis_transform(),
            fontsize=8,
        )
        return []
    span = (first - 0.35, last + 0.35)
    axes.plot([1 - accuracy] * 2, span, color="black", linestyle="--", linewidth=1)
    axes.text(1 - accuracy, span[0], words, ha="center", va="bottom", fontsize=8)
    return [1 - accuracy]


def _error_scale(axis: Axis, drawn: Sequence[float]) -> None:
    """Logarithmic in the error, better to the right or top, told as accuracy."""
    low, high = min(drawn) / MARGIN, min(1.0, max(drawn) * MARGIN)
    is_x = axis is axis.axes.xaxis
    (axis.axes.set_xscale if is_x else axis.axes.set_yscale)("log")
    (axis.axes.set_xlim if is_x else axis.axes.set_ylim)(high, low)
    axis.set_major_locator(FixedLocator(_ticks(low, high)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda error, _: f"{100 * (1 - error):.4g} %")


def _ticks(low: float, high: float) -> list[float]:
    """Round errors between the ends, the roundest first, with room for their words."""
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


def by_epoch(models: Sequence[ModelSeeds]) -> Figure:
    """Test accuracy after each epoch: every network, their median and middle half."""
    columns = min(2, len(models))
    rows = -(-len(models) // columns)
    figure, grid = plt.subplots(
        *(rows, columns),
        figsize=(5.3 * columns, 3.3 * rows),
        squeeze=False,
        layout="constrained",
    )
    for axes in grid.flat[len(models) :]:
        axes.remove()
    for axes, model in zip(grid.flat, models, strict=False):
        runs = model.finished.values()
        values = np.stack(
            [errors([epoch.test_accuracy for epoch in run], model) for run in runs]
        )
        color = COLORS[model.name]
        numbers = np.arange(1, model.recipe.num_epochs + 1)
        axes.plot(numbers, values.T, color=color, alpha=0.3, linewidth=0.7)
        quartiles = np.quantile(values, (0.25, 0.75), axis=0)
        axes.fill_between(numbers, *quartiles, color=color, alpha=0.3, linewidth=0)
        median = np.median(values, axis=0)
        axes.plot(numbers, median, color=color, linewidth=2, marker=".")
        _error_scale(axes.yaxis, values.ravel().tolist())
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set(xlabel="epoch", ylabel="test accuracy")
        axes.set_title(f"{model.name}, {len(values)} seeds", fontsize="medium")
        axes.grid(alpha=0.3)
    return figure
