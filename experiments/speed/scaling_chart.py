"""The scaling's figures, all axes logarithmic; returned unsaved."""

from collections.abc import Callable, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from experiments.compare.figures import COLORS
from experiments.speed.scaling_points import FACTORS, LABELS, member, sweep

STYLES = {  # Okabe and Ito's palette; the models keep their colours
    "from_scratch": (COLORS["relu_softmax"], "o-"),
    "flax": (COLORS["flax_dense"], "s:"),
    "tf_keras": (COLORS["keras_dense"], "D-"),
    "keras_on_jax": (COLORS["sigmoid_mse"], "v-"),
    "numpy": ("#E69F00", "^-"),
}
Value = Callable[[dict[str, Any]], float | None]  # of a contender's entry


def speed(results: dict[str, Any], factors: Sequence[str]) -> Figure:
    """Seconds per epoch above, images per second below, a column a sweep."""
    figure, panels = plt.subplots(
        2,
        len(factors),
        figsize=(3.7 * len(factors) + 0.6, 6.6),
        sharex="col",
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for column, factor in enumerate(factors):
        points = sweep(results, factor)
        seconds, rate = panels[0, column], panels[1, column]
        _lines(seconds, points, factor, lambda entry: entry["epoch_seconds"]["median"])
        _spread(seconds, points, factor)
        _lines(rate, points, factor, lambda entry: entry["images_per_second"])
        for axes, key in ((seconds, "seconds"), (rate, "images_per_second")):
            floor = [point["floor"][key] for point in points]
            at = [point[factor] for point in points]
            axes.plot(at, floor, "--", color="black", lw=1, label="machine's floor")
        _finish(rate, points, factor)
        seconds.set_title(_constant(points[0], factor), fontsize=9)
    panels[0, 0].set_ylabel("seconds per epoch")
    panels[1, 0].set_ylabel("images per second")
    _legend(figure, panels[0, 0])
    return figure


def memory(results: dict[str, Any], factors: Sequence[str]) -> Figure:
    """Peak memory of the processes, a column a sweep."""
    figure, panels = plt.subplots(
        1,
        len(factors),
        figsize=(3.7 * len(factors) + 0.6, 3.8),
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for axes, factor in zip(panels[0], factors, strict=True):
        points = sweep(results, factor)
        _lines(axes, points, factor, _mebibytes)
        _finish(axes, points, factor)
        axes.set_title(_constant(points[0], factor), fontsize=9)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.yaxis.set_minor_formatter("{x:,.0f}")
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    panels[0, 0].set_ylabel("peak memory in MiB")
    _legend(figure, panels[0, 0])
    return figure


def _mebibytes(entry: dict[str, Any]) -> float | None:
    return entry["peak_bytes"] / 2**20 if entry["peak_bytes"] else None


def _lines(
    axes: Axes, points: Sequence[dict[str, Any]], factor: str, value: Value
) -> None:
    axes.set_yscale("log")
    for name, (color, form) in STYLES.items():
        found = [
            (point[factor], value(entry))
            for point in points
            if (entry := member(point, name)) and value(entry) is not None
        ]
        if found:
            at, values = zip(*found, strict=True)
            axes.plot(at, values, form, color=color, ms=4, label=LABELS[name])


def _spread(axes: Axes, points: Sequence[dict[str, Any]], factor: str) -> None:
    for name, (color, _) in STYLES.items():
        found = [
            (point[factor], entry["epoch_seconds"])
            for point in points
            if (entry := member(point, name))
        ]
        at = [place for place, _ in found]
        low = [seconds["min"] for _, seconds in found]
        high = [seconds["max"] for _, seconds in found]
        axes.fill_between(at, low, high, color=color, alpha=0.2, lw=0)


def _finish(axes: Axes, points: Sequence[dict[str, Any]], factor: str) -> None:
    axes.set_xscale("log")
    at = [point[factor] for point in points]
    axes.set_xticks(at, [f"{value:,}" for value in at])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(FACTORS[factor])


def _constant(point: dict[str, Any], factor: str) -> str:
    """What does not vary in a sweep."""
    words = {
        "width": f"width {point['width']:,}",
        "examples": f"{point['examples']:,} images",
        "batch_size": f"batch {point['batch_size']:,}",
    }
    return ", ".join(text for name, text in words.items() if name != factor)


def _legend(figure: Figure, panel: Axes) -> None:
    for axes in figure.axes:
        axes.grid(alpha=0.3)
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=6, fontsize=9)
