"""The bars of the models and the lines of the sweeps; returned unsaved."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from experiments.kit.figures import new_figure
from experiments.speed.contenders import CONTENDERS
from experiments.speed.points import FACTORS, Point
from experiments.speed.summary import Entry, PointResult

Sweeps = Mapping[str, Sequence[PointResult]]
Value = Callable[[Entry], float | None]
FAMILIES = {contender.family: contender for contender in CONTENDERS.values()}


def bars(models: Sequence[PointResult]) -> Figure:
    """Seconds per epoch on a log axis, one panel per model."""
    heights = [len(model.contenders) + 1.5 for model in models]
    figure, panels = new_figure(len(models), 1, (9, 0.42 * sum(heights) + 0.6))
    panels[0, 0].get_gridspec().set_height_ratios(heights)
    for axes, model in zip(panels.flat, models, strict=True):
        _bars(axes, model)
        sizes = "-".join(map(str, model.point.layer_sizes))
        axes.set_title(f"{model.point.name}, {sizes}", loc="left")
    panels[-1, 0].set_xlabel("seconds per epoch")
    return figure


def _bars(axes: Axes, model: PointResult) -> None:
    items = sorted(
        model.contenders.items(), key=lambda item: -item[1].epoch_seconds.median
    )
    floor = model.floor.seconds
    fastest = min(entry.epoch_seconds.min for _, entry in items)
    slowest = max(entry.epoch_seconds.max for _, entry in items)
    axes.set_xscale("log")
    # A bar on a log axis needs a beginning; half the floor leaves its line in sight,
    # and on the right there is room for the numbers.
    axes.set_xlim(min(floor, fastest) / 2, slowest * 4)
    axes.axvline(floor, color="black", linestyle="--", label=f"floor {floor:.3g} s")
    for row, (name, entry) in enumerate(items):
        seconds = entry.epoch_seconds
        middle = seconds.median
        axes.barh(
            row,
            middle,
            color=CONTENDERS[name].color,
            xerr=[[middle - seconds.min], [seconds.max - middle]],
            error_kw={"lw": 1},
        )
        ratio = f", {entry.ratio.median:.3g}x" if entry.ratio else ""
        axes.annotate(
            f"{middle:.3g} s{ratio}",
            (seconds.max, row),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_yticks(range(len(items)), [entry.label for _, entry in items])
    axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="upper right", fontsize=8)


def speed(sweeps: Sweeps) -> Figure:
    """Seconds per epoch above, images per second below, a column a sweep."""
    figure, panels = new_figure(2, len(sweeps), (3.7 * len(sweeps) + 0.6, 6.6))
    for column, (factor, points) in enumerate(sweeps.items()):
        upper, lower = panels[:, column]
        _lines(upper, points, factor, lambda entry: entry.epoch_seconds.median)
        _bands(upper, points, factor)
        _lines(lower, points, factor, lambda entry: entry.images_per_second)
        values = [getattr(result.point, factor) for result in points]
        for axes, name in ((upper, "seconds"), (lower, "images_per_second")):
            floor = [getattr(result.floor, name) for result in points]
            axes.plot(values, floor, "--", color="black", lw=1, label="machine's floor")
        upper.set_title(_constant(points[0].point, factor), fontsize=9)
    panels[0, 0].set_ylabel("seconds per epoch")
    panels[1, 0].set_ylabel("images per second")
    return _finished(figure, panels)


def memory(sweeps: Sweeps) -> Figure:
    """Peak memory of the processes, a column a sweep."""
    figure, panels = new_figure(1, len(sweeps), (3.7 * len(sweeps) + 0.6, 3.8))
    for axes, (factor, points) in zip(panels.flat, sweeps.items(), strict=True):
        _lines(axes, points, factor, lambda e: e.peak_bytes and e.peak_bytes / 2**20)
        axes.set_title(_constant(points[0].point, factor), fontsize=9)
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.yaxis.set_minor_formatter("{x:,.0f}")
    panels[0, 0].set_ylabel("peak memory in MiB")
    return _finished(figure, panels)


def _lines(
    axes: Axes, points: Sequence[PointResult], factor: str, value: Value
) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    values = [getattr(result.point, factor) for result in points]
    axes.set_xticks(values, [f"{value:,}" for value in values])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(FACTORS[factor])
    axes.grid(alpha=0.3)
    for family, style in FAMILIES.items():
        entries = [result.of_family(family) for result in points]
        heights = [(entry and value(entry)) or float("nan") for entry in entries]
        if any(entries):
            axes.plot(
                values, heights, style.marker, color=style.color, ms=4, label=family
            )


def _bands(axes: Axes, points: Sequence[PointResult], factor: str) -> None:
    """From the smallest to the largest value."""
    for family, style in FAMILIES.items():
        here = [result for result in points if family in result.best]
        values = [getattr(result.point, factor) for result in here]
        entries = [result.contenders[result.best[family]] for result in here]
        low = [entry.epoch_seconds.min for entry in entries]
        high = [entry.epoch_seconds.max for entry in entries]
        axes.fill_between(values, low, high, color=style.color, alpha=0.2, lw=0)


def _constant(point: Point, factor: str) -> str:
    """What does not vary in a sweep."""
    words = {
        "width": f"width {point.width:,}",
        "examples": f"{point.examples:,} images",
        "batch_size": f"batch {point.batch_size:,}",
    }
    return ", ".join(text for name, text in words.items() if name != factor)


def _finished(figure: Figure, panels: np.ndarray) -> Figure:
    """One scale a row, and one legend."""
    for first, *others in panels:
        for axes in others:
            axes.sharey(first)
            axes.tick_params(which="both", labelleft=False)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    columns = min(len(labels), 2 * panels.shape[1])
    figure.legend(
        handles, labels, loc="outside upper center", ncols=columns, fontsize=9
    )
    return figure
