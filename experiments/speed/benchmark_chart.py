"""The benchmark's bar chart; returned unsaved."""

from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

OURS, OTHERS, FLOOR = "#009E73", "#8DA0B3", "#D55E00"  # Okabe and Ito, and grey


def bars(results: dict[str, Any], titles: dict[str, str]) -> Figure:
    """Seconds per epoch on a log axis, one panel per model."""
    models = results["models"]
    heights = [len(model["contenders"]) + 1.5 for model in models.values()]
    figure, panels = plt.subplots(
        len(models),
        1,
        figsize=(9, 0.42 * sum(heights) + 0.6),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for axes, (name, model) in zip(panels.flat, models.items(), strict=True):
        _panel(axes, model)
        axes.set_title(titles[name], loc="left")
    panels.flat[-1].set_xlabel("seconds per epoch")
    return figure


def _panel(axes: Axes, model: dict[str, Any]) -> None:
    items = sorted(
        model["contenders"].items(),
        key=lambda item: -item[1]["epoch_seconds"]["median"],
    )
    floor = model["floor"]["seconds"]
    axes.set_xscale("log")
    # A bar on a log axis needs a beginning; half the floor leaves its line in sight.
    axes.set_xlim(left=floor / 2)
    axes.axvline(floor, color=FLOOR, linestyle="--", label=f"floor {floor:.3g} s")
    for place, (name, entry) in enumerate(items):
        seconds = entry["epoch_seconds"]
        middle = seconds["median"]
        axes.barh(
            place,
            middle,
            color=OURS if name.startswith("jaxnets") else OTHERS,
            xerr=[[middle - seconds["min"]], [seconds["max"] - middle]],
            error_kw={"lw": 1},
        )
        ratio = entry["ratio"]
        text = f"{middle:.3g} s" + (f", {ratio['median']:.3g}x" if ratio else "")
        axes.annotate(
            text,
            (seconds["max"], place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_yticks(range(len(items)), [entry["label"] for _, entry in items])
    if items:
        slowest = max(entry["epoch_seconds"]["max"] for _, entry in items)
        axes.set_xlim(right=slowest * 4)  # room for the numbers
    axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="upper right", fontsize=8)
