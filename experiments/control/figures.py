"""The figures of this experiment, from the parts of results.json."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from experiments.control.page import eigenvalues
from experiments.control.programs import PROGRAMS
from experiments.kit.figures import COLORS, new_figure, whole_epochs
from experiments.kit.numbers import text
from experiments.kit.statistics import wilson_interval

PALETTE = tuple(COLORS.values())
COLUMNS = 8  # of the gallery


def ease_bars(programs: dict[str, Any]) -> Figure:
    """Lines on the left, seconds on the right, the shortest program on top."""
    ordered = sorted(programs.values(), key=lambda program: -program["lines"])
    figure, [[left, right]] = new_figure(1, 2, (11, 0.55 * len(ordered) + 1.3))
    for height, program in enumerate(ordered):
        color, seconds = COLORS[PROGRAMS[program["program"]][1]], program["seconds"]
        left.bar_label(left.barh(height, program["lines"], color=color), padding=3)
        if seconds:
            middle = program["seconds_median"]
            right.barh(height, middle, color=color)
            imports = program["import_seconds_median"]
            right.barh(height, imports, color="white", alpha=0.55)
            right.plot([min(seconds), max(seconds)], [height] * 2, "k", linewidth=1)
            right.text(max(seconds), height, f"  {middle:.1f}", va="center")
    left.set_yticks(range(len(ordered)), [program["label"] for program in ordered])
    left.set_xlabel("lines of code")
    for axes in (left, right):
        axes.margins(x=0.12)
        axes.spines[["top", "right"]].set_visible(False)
    right.set(xlabel="seconds to the result", yticks=[], ylim=left.get_ylim())
    return figure


def gallery(gradients: dict[str, Any], images: np.ndarray) -> Figure:
    """Those with the largest gradients above those with the largest losses."""
    kinds = {"gradient norms": "largest_norms", "losses": "largest_losses"}
    lines = [
        (f"largest {kind}", gradients[entries][first : first + COLUMNS])
        for kind, entries in kinds.items()
        for first in range(0, len(gradients[entries]), COLUMNS)
    ]
    figure, grid = new_figure(len(lines), COLUMNS, (12, 2.1 * len(lines)))
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for row, (kind, entries) in zip(grid, lines, strict=True):
        row[0].set_ylabel(kind, fontweight="bold")
        for axes, entry in zip(row, entries, strict=False):
            axes.imshow(images[entry["record"]], cmap="gray_r", vmin=0, vmax=255)
            axes.set_title(
                f"record {entry['record']}\n"
                f"label {entry['label']}, read as {entry['answer']}\n"
                f"norm {text(entry['norm'], '.0f')}, "
                f"loss {text(entry['loss'], '.1f')}\n"
                f"neighbours {entry['neighbours_with_label']} "
                f"of {gradients['neighbours']}",
                fontsize=7.5,
            )
    return figure


def sharpness_curves(rates: dict[str, Any], descent: dict[str, Any] | None) -> Figure:
    """Full-batch descent on the left, where it has begun; mini-batches beside it."""
    figure, [axes] = new_figure(1, 2 if descent else 1, (11 if descent else 5.5, 4.2))
    uniform = [rates["rates"][network][0] for network in rates["uniform"]]
    _draw_curves(axes[-1], range(len(rates["sharpness"])), uniform, rates["sharpness"])
    whole_epochs(axes[-1])
    images = rates["sharpness_images"]
    axes[-1].set_title(f"mini-batches, same loss ({images:,} images)")
    if descent:
        steps = [record["step"] for record in descent["records"]]
        measured = [record["sharpness"] for record in descent["records"]]
        _draw_curves(axes[0], steps, descent["learning_rates"], measured)
        title = f"gradient descent on {descent['images']:,} images, full batch"
        axes[0].set(xlabel="step", title=title)
    return figure


def _draw_curves(axes: Axes, times: Any, rates: Any, measured: Any) -> None:
    """A curve a rate, with its 2 / rate."""
    marker = "." if len(times) < 20 else ""
    for column, (rate, curve) in enumerate(
        zip(rates, eigenvalues(measured).T, strict=True)
    ):
        color = PALETTE[column % len(PALETTE)]
        label = f"learning rate {rate:g}: 2 / rate = {2 / rate:g}"
        axes.plot(times, curve, color=color, marker=marker, label=label)
        axes.axhline(2 / rate, color=color, linestyle="--", linewidth=1)
    axes.set(yscale="log", ylabel="largest Hessian eigenvalue")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def rates_chart(rates: dict[str, Any]) -> Figure:
    """A row a combination; a tile a layer, dark where its rate is large."""
    order = np.argsort(rates["test_correct"], kind="stable")
    choices = np.array(rates["rates"])[order]
    figure, [[tiles, axes]] = new_figure(1, 2, (9, 0.42 * len(order) + 1.3))
    tiles.get_gridspec().set_width_ratios((1, 3))
    shades = np.log(choices / choices.min())
    darkest = 2 * max(shades.max(), 1e-6)  # so that black figures can be read
    tiles.imshow(shades, "Blues", aspect="auto", origin="lower", vmin=0, vmax=darkest)
    for (row, column), choice in np.ndenumerate(choices):
        tiles.text(column, row, f"{choice:g}", ha="center", va="center")
    layers = range(choices.shape[1])
    tiles.set_xticks(layers, [f"layer {layer + 1}" for layer in layers])
    tiles.set(xlabel="learning rate", yticks=[])
    color, seen = COLORS["relu_softmax"], rates["test_seen"]
    for height, correct in enumerate(np.array(rates["test_correct"])[order]):
        low, high = wilson_interval(correct, seen)
        axes.plot([low, high], [height, height], color=color)
        axes.plot(correct / seen, height, "o", color=color)
        axes.text(high, height, f"  {correct / seen:.2%}", va="center")
    axes.margins(x=0.2)
    axes.set(ylim=tiles.get_ylim(), yticks=[])
    axes.set_xlabel(f"accuracy on {seen:,} test images")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.grid(axis="x", alpha=0.3)
    return figure
