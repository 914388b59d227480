"""Figures of what neurons learn. Each function draws one, unsaved."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from experiments.compare.figures import plt
from jaxnets.types import Dense

SIGMOID, PERCEPTRON, OTHER = "#0072B2", "#D55E00", "#009E73"  # Okabe and Ito's palette
STYLES = {"binary": "--", "grey": "-"}


def learning(gates: dict[str, Any], pairs: list[dict[str, Any]]) -> Figure:
    """Mistakes by pass on truth tables; passes to the end for each two digits."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
    shown = 12
    for name, color in (("AND", SIGMOID), ("OR", OTHER), ("XOR", PERCEPTRON)):
        mistakes = gates[name]["mistakes"][:shown]
        numbers = range(1, len(mistakes) + 1)
        left.plot(numbers, mistakes, color=color, marker="o", label=name)
    left.set(xlabel="pass", ylabel="mistakes among 4 inputs", ylim=(-0.2, 4.4))
    left.set_yticks(range(5))
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.legend()
    left.grid(alpha=0.3)
    xor = gates["XOR"]
    left.set_title(f"XOR goes on, here to {xor['passes']} passes", fontsize="medium")
    if pairs:
        _draw_pairs(right, pairs)
    else:
        right.remove()
    return figure


def _draw_pairs(axes: Axes, pairs: list[dict[str, Any]]) -> None:
    size = 1 + max(max(pair["digits"]) for pair in pairs)
    passes = np.full((size, size), np.nan)
    for pair in pairs:
        low, high = pair["digits"]
        ended = pair["converged"]
        passes[high, low] = np.log(pair["passes"]) if ended else np.nan
        text = str(pair["passes"]) if ended else f"{pair['last_mistakes']}\nleft"
        color = "black" if ended else PERCEPTRON
        axes.text(low, high, text, color=color, fontsize=8, ha="center", va="center")
    cap = max(pair["passes"] for pair in pairs)
    axes.imshow(passes, cmap="Blues", vmin=0, vmax=1.6 * np.log(max(cap, 2)))
    axes.set(xticks=range(size - 1), yticks=range(1, size), xlim=(-0.5, size - 1.5))
    axes.set(ylim=(size - 0.5, 0.5), xlabel="digit", ylabel="digit")
    ended = sum(pair["converged"] for pair in pairs)
    axes.set_title(
        f"passes until no mistake: {ended} of {len(pairs)} pairs of digits\n"
        "orange: not within the cap, and the mistakes of its last pass",
        fontsize="medium",
    )


def ten_classes(epochs: list[dict[str, Any]]) -> Figure:
    """Validation accuracy by epoch; bands from the lowest to the highest seed."""
    figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
    for which, color in (("last", PERCEPTRON), ("average", SIGMOID)):
        for name, style in STYLES.items():
            rows = [row for row in epochs if row["inputs"] == name]
            numbers = sorted({row["epoch"] for row in rows})
            values = [
                [row[f"validation_{which}"] for row in rows if row["epoch"] == number]
                for number in numbers
            ]
            if not values or values[0][0] is None:
                continue
            words = "last step" if which == "last" else "mean over all steps"
            middle = [np.mean(value) for value in values]
            label = f"{name} pixels, {words}"
            axes.plot(numbers, middle, style, color=color, marker=".", label=label)
            low, high = map(min, values), map(max, values)
            axes.fill_between(
                numbers, list(low), list(high), color=color, alpha=0.12, linewidth=0
            )
    axes.set(xlabel="epoch", ylabel="accuracy on the validation set")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(fontsize="small")
    return figure


def weights(layer: Dense, image_shape: tuple[int, int]) -> Figure:
    """The ten neurons' weights as images: blue speaks for the digit, red against."""
    kernel = np.asarray(layer.kernel)
    figure, grid = plt.subplots(2, 5, figsize=(10, 4.4), layout="constrained")
    largest = np.quantile(np.abs(kernel), 0.999) or 1  # few are much larger
    for digit, (axes, column) in enumerate(zip(grid.flat, kernel.T, strict=True)):
        image = column.reshape(image_shape)
        axes.imshow(image, cmap="RdBu", vmin=-largest, vmax=largest)
        axes.set_title(str(digit), fontsize="medium")
        axes.axis("off")
    return figure
