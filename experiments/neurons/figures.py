"""The figures. Each function draws one from rows or results, unsaved."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from experiments.kit.figures import new_figure, whole_epochs
from experiments.kit.run import Row
from jaxnets.types import Dense

SIGMOID, PERCEPTRON, OTHER = "#0072B2", "#D55E00", "#009E73"  # Okabe and Ito's palette
SHADES = ("#9ecae1", "#4292c6", "#0072B2", "#08306b")
STYLES = {"binary": "--", "grey": "-"}
SHOWN_PASSES = 12  # of the learning rule on truth tables


def small_changes(small: Row) -> Figure:
    """Both neurons as a weight moves; the linear prediction; the approach."""
    figure, [[left, middle, right]] = new_figure(1, 3, size=(13, 4))
    curves = small["curves"]
    _draw_tangent(left, curves)
    _draw_sizes(middle, small)
    approach = sorted(curves["approach"].items(), key=lambda item: int(item[0]))
    for shade, (factor, curve) in zip(SHADES, approach, strict=True):
        right.plot(curves["weight"], curve, color=shade, label=f"weights x {factor}")
    right.set(xlabel="weighted sum + bias", ylabel="output")
    right.set_title("the sigmoid's approach to the step", fontsize="medium")
    for axes in (left, right):
        axes.plot([-6, 0, 0, 6], [0, 0, 1, 1], color=PERCEPTRON, label="perceptron")
        axes.set_ylim(-0.08, 1.08)
        axes.legend(fontsize="small", loc="upper left")
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
    return figure


def _draw_tangent(axes: Axes, curves: Mapping[str, Any]) -> None:
    weight, outputs = np.array(curves["weight"]), curves["sigmoid"]
    axes.plot(weight, outputs, color=SIGMOID, label="sigmoid neuron")
    near = np.abs(weight - 1) <= 2
    tangent = np.array(curves["tangent"])[near]
    axes.plot(weight[near], tangent, color="black", ls=":", label="linear prediction")
    axes.plot(1, np.interp(1, weight, outputs), "o", color="black", ms=5)
    axes.set(xlabel="weight (input 1, bias 0)", ylabel="output")
    axes.set_title("one weight moves", fontsize="medium")


def _draw_sizes(axes: Axes, small: Row) -> None:
    for key, color, style, label in (
        ("mean_change", SIGMOID, "o-", "sigmoid: change"),
        ("median_error", SIGMOID, ".:", "sigmoid: error of the prediction"),
        ("jumps", PERCEPTRON, "s-", "perceptron: share that jumps by 1"),
    ):
        points = [(row["size"], row[key]) for row in small["sizes"] if row[key]]
        if points:
            axes.loglog(*zip(*points, strict=True), style, color=color, label=label)
    axes.set(xlabel="size of the change of weights and bias")
    axes.set_ylabel("change of the output, or share")
    axes.set_title(
        f"{small['neurons']:,} random neurons; "
        f"the error's power of the size: {small['order_of_error']:.2f}",
        fontsize="medium",
    )
    axes.legend(fontsize="small")


def importance(measured: Row) -> Figure:
    """A weight's size and the effect of its input, for two kinds of inputs."""
    influences = measured["influences"]
    figure, [row] = new_figure(1, len(influences), size=(10, 4))
    sizes = np.abs(measured["weights"])
    for axes, (name, effects) in zip(row, influences.items(), strict=True):
        axes.sharey(row[0])
        axes.scatter(sizes, effects, s=9, alpha=0.5, color=SIGMOID, linewidths=0)
        share = measured[name]["reversed"] / measured[name]["pairs"]
        axes.set_title(f"inputs {name}: {share:.1%} reversed", fontsize="medium")
        axes.set_xlabel("size of the weight")
        axes.grid(alpha=0.3)
    row[0].set_ylabel("probability that the input decides")
    return figure


def cascades(nets: Sequence[Row]) -> Figure:
    """A line where and while a neuron fires."""
    figure, [row] = new_figure(1, len(nets), size=(13, 4.6))
    for axes, net in zip(row, nets, strict=True):
        neurons, begins, ends = np.array(net["raster"], int).reshape(-1, 3).T
        width = max(0.8, 160 / net["neurons"])
        axes.hlines(neurons, begins - 0.5, ends - 0.5, color=SIGMOID, linewidth=width)
        axes.set(xlim=(-1, net["steps"]), ylim=(-1, net["neurons"]), xlabel="step")
        axes.set_title(f"{net['net']}: {net['bursts']:,} bursts", fontsize="medium")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    row[0].set_ylabel("neuron")
    return figure


def learning(gates: Row, pairs: Sequence[Row]) -> Figure:
    """Mistakes by pass on truth tables; passes to the end for each two digits."""
    figure, [[left, right]] = new_figure(1, 2, size=(12, 5))
    for name, style, color in (
        ("AND", "o-", SIGMOID),
        ("OR", "s--", OTHER),
        ("XOR", "o-", PERCEPTRON),
    ):
        mistakes = gates[name]["mistakes"][:SHOWN_PASSES]
        left.plot(range(1, len(mistakes) + 1), mistakes, style, color=color, label=name)
    left.set(xlabel="pass", ylabel="mistakes among 4 inputs", ylim=(-0.2, 4.4))
    left.set_yticks(range(5))
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.legend()
    left.grid(alpha=0.3)
    passes = gates["XOR"]["passes"]
    left.set_title(f"XOR goes on, here to {passes} passes", fontsize="medium")
    if pairs:
        _draw_pairs(right, pairs)
    else:
        right.remove()
    return figure


def _draw_pairs(axes: Axes, pairs: Sequence[Row]) -> None:
    size = 1 + max(max(pair["digits"]) for pair in pairs)
    passes = np.full((size, size), np.nan)
    for pair in pairs:
        low, high = pair["digits"]
        ended = pair["converged"]
        passes[high, low] = np.log(pair["passes"]) if ended else np.nan
        text = str(pair["passes"]) if ended else f"{pair['last_mistakes']}\nleft"
        color = "black" if ended else PERCEPTRON
        axes.text(low, high, text, color=color, fontsize=8, ha="center", va="center")
    most = max(pair["passes"] for pair in pairs)
    axes.imshow(passes, cmap="Blues", vmin=0, vmax=1.6 * np.log(max(most, 2)))
    axes.set(xticks=range(size - 1), yticks=range(1, size), xlim=(-0.5, size - 1.5))
    axes.set(ylim=(size - 0.5, 0.5), xlabel="digit", ylabel="digit")
    ended = sum(pair["converged"] for pair in pairs)
    axes.set_title(
        f"passes until no mistake: {ended} of {len(pairs)} pairs of digits\n"
        "orange: not within the cap, and the mistakes of its last pass",
        fontsize="medium",
    )


def ten_classes(epochs: Sequence[Row]) -> Figure:
    """Validation accuracy by epoch; bands from the lowest to the highest seed."""
    figure, [[axes]] = new_figure(size=(8, 4.2))
    for which, color, words in (
        ("last", PERCEPTRON, "last step"),
        ("average", SIGMOID, "mean over all steps"),
    ):
        for name, style in STYLES.items():
            values: dict[int, list[float]] = {}
            for row in epochs:
                value = row[f"validation_{which}"]
                if row["inputs"] == name and value is not None:
                    values.setdefault(row["epoch"], []).append(value)
            if not values:
                continue
            middle = [np.mean(of_seeds) for of_seeds in values.values()]
            label = f"{name} pixels, {words}"
            axes.plot(list(values), middle, style, color=color, marker=".", label=label)
            low, high = (list(map(end, values.values())) for end in (min, max))
            axes.fill_between(
                list(values), low, high, color=color, alpha=0.12, linewidth=0
            )
    whole_epochs(axes)
    axes.set_ylabel("accuracy on the validation set")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(fontsize="small")
    return figure


def ten_weights(layer: Dense, image_shape: tuple[int, int]) -> Figure:
    """The ten neurons' weights as images: blue speaks for the digit, red against."""
    kernel = np.asarray(layer.kernel)
    figure, grid = new_figure(2, 5, size=(10, 4.4))
    largest = np.quantile(np.abs(kernel), 0.999) or 1  # few are much larger
    for digit, (axes, column) in enumerate(zip(grid.flat, kernel.T, strict=True)):
        image = column.reshape(image_shape)
        axes.imshow(image, cmap="RdBu", vmin=-largest, vmax=largest)
        axes.set_title(str(digit), fontsize="medium")
        axes.axis("off")
    return figure
