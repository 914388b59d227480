"""The figures of `experiments/neurons.py`. Each function draws one, unsaved."""

import functools
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.compare.figures import plt
from experiments.kit import page
from experiments.neurons.learning_figures import (
    PERCEPTRON,
    SIGMOID,
    learning,
    ten_classes,
    weights,
)
from experiments.neurons.loops import bursts
from jaxnets.data import Dataset
from jaxnets.types import Dense

SHADES = ("#9ecae1", "#4292c6", "#0072B2", "#08306b")


def small_changes(small: dict[str, Any]) -> Figure:
    """Both neurons as a weight moves; the linear prediction; the approach."""
    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(13, 4), layout="constrained"
    )
    _draw_tangent(left, small["curves"])
    _draw_sizes(middle, small)
    curves = small["curves"]
    approach = sorted(curves["approach"].items(), key=lambda item: int(item[0]))
    for shade, (factor, curve) in zip(SHADES, approach, strict=True):
        right.plot(curves["weight"], curve, color=shade, label=f"weights x {factor}")
    right.set(xlabel="weighted sum + bias", ylabel="output")
    right.set_title("the sigmoid's approach to the step", fontsize="medium")
    for axes in (left, right):
        axes.plot([-6, 0, 0, 6], [0, 0, 1, 1], color=PERCEPTRON, label="perceptron")
        axes.grid(alpha=0.3)
        axes.set_ylim(-0.08, 1.08)
        axes.legend(fontsize="small", loc="upper left")
    return figure


def _draw_tangent(axes: Axes, curves: dict[str, Any]) -> None:
    weight, outputs = np.array(curves["weight"]), curves["sigmoid"]
    axes.plot(weight, outputs, color=SIGMOID, label="sigmoid neuron")
    near = np.abs(weight - 1) <= 2
    tangent = np.array(curves["tangent"])[near]
    axes.plot(weight[near], tangent, color="black", ls=":", label="linear prediction")
    axes.plot(1, np.interp(1, weight, outputs), "o", color="black", ms=5)
    axes.set(xlabel="weight (input 1, bias 0)", ylabel="output")
    axes.set_title("one weight moves", fontsize="medium")


def _draw_sizes(axes: Axes, small: dict[str, Any]) -> None:
    rows = small["sizes"]
    sizes = [row["size"] for row in rows]
    change = [row["mean_change"] for row in rows]
    axes.loglog(sizes, change, color=SIGMOID, marker="o", label="sigmoid: change")
    error = [row["median_error"] for row in rows]
    label = "sigmoid: error of the prediction"
    axes.loglog(sizes, error, color=SIGMOID, marker=".", ls=":", label=label)
    jumps = [(row["size"], row["jumps"]) for row in rows if row["jumps"]]
    if jumps:
        label = "perceptron: share that jumps by 1"
        axes.loglog(*zip(*jumps, strict=True), "s-", color=PERCEPTRON, label=label)
    axes.set(xlabel="size of the change of weights and bias")
    axes.set_title(
        f"{small['neurons']:,} random neurons; "
        f"the error's power of the size: {small['order_of_error']:.2f}",
        fontsize="medium",
    )
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)


def importance(measured: dict[str, Any]) -> Figure:
    """A weight's size and the effect of its input, for two kinds of inputs."""
    influences = measured["influences"]
    figure, grid = plt.subplots(
        1, len(influences), figsize=(10, 4), sharey=True, layout="constrained"
    )
    sizes = np.abs(measured["weights"])
    for axes, (name, effects) in zip(grid, influences.items(), strict=True):
        axes.scatter(sizes, effects, s=9, alpha=0.5, color=SIGMOID, linewidths=0)
        counts = measured[name]
        share = counts["reversed"] / counts["pairs"]
        axes.set_title(f"inputs {name}: {share:.1%} reversed", fontsize="medium")
        axes.set_xlabel("size of the weight")
        axes.grid(alpha=0.3)
    grid[0].set_ylabel("probability that the input decides")
    return figure


def cascades(rasters: dict[str, np.ndarray]) -> Figure:
    """Rasters: a line where and while a neuron fires."""
    figure, row = plt.subplots(
        1, len(rasters), figsize=(13, 4.6), squeeze=False, layout="constrained"
    )
    for axes, (name, raster) in zip(row.flat, rasters.items(), strict=True):
        found = bursts(raster)
        steps, num_neurons = raster.shape
        axes.hlines(
            found[:, 0],
            found[:, 1] - 0.5,
            found[:, 2] - 0.5,
            color=SIGMOID,
            linewidth=max(0.8, 160 / num_neurons),
        )
        axes.set(xlim=(-1, steps), ylim=(-1, num_neurons), xlabel="step")
        axes.set_title(f"{name}: {len(found):,} bursts", fontsize="medium")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    row[0, 0].set_ylabel("neuron")
    return figure


def pictures(
    results: dict[str, Any],
    epochs: list[dict[str, Any]],
    layers: dict[str, Dense],
    rasters: dict[str, np.ndarray],
    dataset: Dataset,
) -> list[page.Picture]:
    """The figures of all parts that are measured."""
    draw = functools.partial(page.picture, dataset=dataset.name)
    drawn = []
    if "small_changes" in results:
        caption = (
            "Left: one weight moves. Middle: changes in random directions. Right: all "
            "weights times a factor."
        )
        figure = small_changes(results["small_changes"])
        drawn.append(draw("small_changes", "Small changes", caption, figure))
    if "gate_learning" in results:
        caption = "The learning rule on truth tables, and on every two digits."
        figure = learning(results["gate_learning"], results["pairs"])
        drawn.append(draw("learning", "The learning rule", caption, figure))
    if rasters:
        caption = (
            "A line is a burst. The first neurons are stimulated at step 0, and none "
            "later. In the middle links lead to higher neurons only; on the right some "
            "of the same links lead back."
        )
        drawn.append(draw("cascades", "Cascades", caption, cascades(rasters)))
    if "importance" in results:
        caption = (
            "A dot is an input of a random perceptron: how probable it is that drawing "
            "it anew changes the output. Reversed: of two weights of one neuron, the "
            "larger has the smaller effect."
        )
        figure = importance(results["importance"])
        drawn.append(draw("importance", "Weights and importance", caption, figure))
    if epochs:
        caption = "Bands run from the lowest to the highest seed."
        figure = ten_classes(epochs)
        drawn.append(draw("ten_classes", "Ten neurons, ten classes", caption, figure))
    if layers:
        caption = "Blue speaks for the digit, red against it; mean over all steps."
        shape = dataset.test.image.shape[1:]
        figure = weights(layers["average"], shape)
        drawn.append(draw("ten_weights", "The ten neurons' weights", caption, figure))
    return drawn
