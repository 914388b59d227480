"""The figures of this experiment, from the parts of results.json."""

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from experiments.kit.figures import COLORS, new_figure, plain_numbers
from experiments.kit.numbers import text
from experiments.kit.statistics import wilson_interval

COLUMNS = 8  # of the gallery


def rate_colors(control: dict[str, Any]) -> dict[float, Any]:
    """A color for each learning rate of the run, the same in all figures."""
    chosen = [rate for row in control.get("rates", {}).get("rates", ()) for rate in row]
    for name in ("sharpness", "descent"):
        if name in control:
            chosen += control[name]["records"][0]["learning_rates"]
    rates = sorted(set(chosen))
    colors = colormaps["plasma"](np.linspace(0, 0.85, len(rates)))
    return dict(zip(rates, colors, strict=True))


def gallery(gradients: dict[str, Any], images: np.ndarray) -> Figure:
    """Those with the largest gradients above those with the largest losses."""
    kinds = {"gradient norms": "largest_norms", "losses": "largest_losses"}
    lines = [
        (f"largest {kind}", gradients[entries][first : first + COLUMNS])
        for kind, entries in kinds.items()
        for first in range(0, len(gradients[entries]), COLUMNS)
    ]
    figure, grid = new_figure(len(lines), COLUMNS, (12, 2.2 * len(lines)))
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for row, (kind, entries) in zip(grid, lines, strict=True):
        row[0].set_ylabel(kind, fontweight="bold")
        for axes, entry in zip(row, entries, strict=False):
            axes.imshow(images[entry["record"]], cmap="gray_r", vmin=0, vmax=255)
            axes.set_title(
                f"no. {entry['record']}\n"
                f"label {entry['label']}, read as {entry['answer']}\n"
                f"norm {text(entry['norm'], '.0f')}, "
                f"loss {text(entry['loss'], '.1f')}\n"
                f"{entry['neighbours_with_label']} of {gradients['neighbours']} alike",
                fontsize=9,
            )
    return figure


def sharpness_curves(control: dict[str, Any]) -> Figure:
    """Full-batch descent, where it has begun, and mini-batches beside it."""
    colors = rate_colors(control)
    panels = {
        "descent": ("step", "gradient descent, full batch"),
        "sharpness": ("epoch", "mini-batches"),
    }
    panels = {name: words for name, words in panels.items() if name in control}
    figure, [row] = new_figure(1, len(panels), (5.5 * len(panels), 4.2))
    for axes, (name, (unit, title)) in zip(row, panels.items(), strict=True):
        records = control[name]["records"]
        times = [record[unit] for record in records]
        for column, rate in enumerate(records[0]["learning_rates"]):
            curve = [record["sharpness"][column]["eigenvalue"] for record in records]
            label = f"learning rate {rate:g}: 2 / rate = {2 / rate:g}"
            marker = "." if len(times) < 20 else ""
            color = colors[rate]
            # None, an eigenvalue that is not finite, becomes NaN.
            values = np.array(curve, float)
            axes.plot(times, values, color=color, marker=marker, label=label)
            axes.axhline(2 / rate, color=color, linestyle="--", linewidth=1)
        axes.set(yscale="log", ylabel="largest Hessian eigenvalue", xlabel=unit)
        axes.set_title(f"{title}: loss of {control[name]['images']:,} images")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        plain_numbers(axes.yaxis)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    return figure


def rates_chart(control: dict[str, Any]) -> Figure:
    """A row a combination; a tile a layer, in the color of its rate."""
    rates, colors = control["rates"], rate_colors(control)
    order = np.argsort(rates["test_correct"], kind="stable")
    choices = np.array(rates["rates"])[order]
    figure, [[tiles, axes]] = new_figure(1, 2, (9, 0.42 * len(order) + 1.3))
    tiles.get_gridspec().set_width_ratios((1, 3))
    shades = [[colors[rate] for rate in row] for row in choices]
    tiles.imshow(shades, alpha=0.4, aspect="auto", origin="lower")
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
