"""The figures of `experiments/control.py`."""

from collections.abc import Callable, Iterator
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    PercentFormatter,
)

from experiments.compare.figures import COLORS
from experiments.control.study import Study
from experiments.kit.numbers import text
from experiments.kit.statistics import wilson_interval

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
PROGRAM_COLORS = {  # the models' own, and others of Okabe and Ito's palette
    "keras_fit": COLORS["keras_dense"],
    "flax_library": COLORS["flax_dense"],
    "flax_nnx": COLORS["flax_dense"],
    "jaxnets_functions": COLORS["relu_softmax"],
    "jax_from_scratch": COLORS["relu_softmax"],
    "numpy_from_scratch": COLORS["sigmoid_mse"],
}
COLUMNS = 8  # of the gallery
Words = tuple[str, str, str, Figure]  # name, title, caption, figure


def pictures(
    content: dict[str, Any], study: Study, said: dict[str, str]
) -> Iterator[Words]:
    """Those whose numbers are there; `said` is what was found in each part."""
    found, ease = content["control"], content["ease"]
    if any(entry["seconds"] for entry in ease["programs"].values()):
        yield (
            "ease",
            "Lines and seconds",
            "Each program's lines, and its seconds from the start of the process to "
            "the printed accuracy; the pale part is its imports. Thin lines reach from "
            f"the fastest to the slowest run. {said['ease']}",
            ease_bars(ease),
        )
    if "gradients" in found:
        yield (
            "surprising",
            "The most surprising training images",
            "Of all training images. In the last line: how many of the "
            f"{found['gradients']['neighbours']} nearest other training images, by "
            f"their pixels, have its label. {said['gradients']}",
            gallery(found["gradients"], study.dataset.train.image),
        )
    if found.get("rates", {}).get("epochs"):
        yield (
            "sharpness",
            "Sharpness of the loss",
            "The largest eigenvalue of the Hessian, by Lanczos's method. Dashed: "
            "2 / learning rate, above which gradient descent on a quadratic diverges "
            f"(Cohen et al., ICLR 2021). {said['descent']}",
            sharpness_curves(found),
        )
    if "test_correct" in found.get("rates", {}):
        yield (
            "rates",
            "A learning rate of its own for every layer",
            "Test accuracy of each combination with its 95 % interval over images; "
            "all were trained as one program from the same weights. "
            f"{said['rates']}",
            rates_chart(found["rates"]),
        )


def ease_bars(ease: dict[str, Any]) -> Figure:
    """Lines on the left, seconds on the right, the shortest program on top."""
    ordered = sorted(ease["programs"].items(), key=lambda item: -item[1]["lines"])
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11, 0.55 * len(ordered) + 1.3), sharey=True, layout="constrained"
    )
    for place, (name, entry) in enumerate(ordered):
        color = PROGRAM_COLORS[name]
        bars = left.barh(place, entry["lines"], color=color)
        left.bar_label(bars, padding=3)
        if not entry["seconds"]:
            continue
        middle, low, high = (
            entry["seconds_median"],
            min(entry["seconds"]),
            max(entry["seconds"]),
        )
        right.barh(place, middle, color=color)
        right.barh(place, entry["import_seconds_median"], color="white", alpha=0.55)
        right.plot([low, high], [place, place], color="black", linewidth=1)
        right.text(high, place, f"  {middle:.1f}", va="center")
    left.set_yticks(range(len(ordered)), [entry["label"] for _, entry in ordered])
    left.set_xlabel("lines of code")
    right.set_xlabel("seconds to the result")
    for axes in (left, right):
        axes.margins(x=0.12)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def gallery(gradients: dict[str, Any], images: np.ndarray) -> Figure:
    """Those with the largest gradients above those with the largest losses."""
    kinds = {
        "largest gradient norms": gradients["largest_norms"],
        "largest losses": gradients["largest_losses"],
    }
    rows = [-(-len(entries) // COLUMNS) for entries in kinds.values()]
    figure = plt.figure(figsize=(12, 2.15 * sum(rows) + 0.6), layout="constrained")
    parts = figure.subfigures(2, 1, squeeze=False, height_ratios=rows, hspace=0.03)
    for part, count, (title, entries) in zip(
        parts[:, 0], rows, kinds.items(), strict=True
    ):
        part.suptitle(title, x=0.01, ha="left", fontweight="bold")
        grid = part.subplots(count, COLUMNS, squeeze=False)
        for axes in grid.flat:
            axes.axis("off")
        for axes, entry in zip(grid.flat, entries, strict=False):
            axes.imshow(images[entry["record"]], cmap="gray_r", vmin=0, vmax=255)
            axes.set_title(_words(entry, gradients["neighbours"]), fontsize=7.5)
    return figure


def _words(entry: dict[str, Any], num_neighbours: int) -> str:
    return (
        f"record {entry['record']}\nlabel {entry['label']}, read as "
        f"{entry['answer']}\nnorm {text(entry['norm'], '.0f')}, "
        f"loss {text(entry['loss'], '.1f')}\n"
        f"neighbours {entry['neighbours_with_label']} of {num_neighbours}"
    )


def sharpness_curves(found: dict[str, Any]) -> Figure:
    """Full-batch descent on the left, once it has begun; mini-batches beside it."""
    draw: list[Callable[[Axes], None]] = [lambda axes: _epochs(axes, found["rates"])]
    if found.get("descent", {}).get("records"):
        draw.insert(0, lambda axes: _descent(axes, found["descent"]))
    figure, grid = plt.subplots(
        1,
        len(draw),
        figsize=(5.5 * len(draw), 4.2),
        squeeze=False,
        layout="constrained",
    )
    for axes, draw_on in zip(grid.flat, draw, strict=True):
        draw_on(axes)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel("largest Hessian eigenvalue")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    return figure


def _descent(axes: Axes, descent: dict[str, Any]) -> None:
    records = descent["records"]
    steps = [record["step"] for record in records]
    for place, rate in enumerate(descent["learning_rates"]):
        color = PALETTE[place % len(PALETTE)]
        values = [record["sharpness"][place]["eigenvalue"] for record in records]
        values = [np.nan if value is None else value for value in values]
        label = f"learning rate {rate:g}: 2 / rate = {2 / rate:g}"
        axes.plot(steps, values, color=color, label=label)
        axes.axhline(2 / rate, color=color, linestyle="--", linewidth=1)
    axes.set_xlabel("step")
    axes.set_title(f"gradient descent on {descent['images']:,} images, full batch")


def _epochs(axes: Axes, rates: dict[str, Any]) -> None:
    for place, network in enumerate(rates["uniform"]):
        rate = rates["rates"][network][0]
        color = PALETTE[place % len(PALETTE)]
        values = [epoch[place]["eigenvalue"] for epoch in rates["sharpness"]]
        values = [np.nan if value is None else value for value in values]
        label = f"learning rate {rate:g}: 2 / rate = {2 / rate:g}"
        axes.plot(range(len(values)), values, color=color, marker=".", label=label)
        axes.axhline(2 / rate, color=color, linestyle="--", linewidth=1)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(f"mini-batches, same loss ({rates['sharpness_images']:,} images)")


def rates_chart(rates: dict[str, Any]) -> Figure:
    """A row a combination; a tile a layer, dark where its rate is large."""
    seen = rates["test_seen"]
    order = np.argsort(rates["test_correct"], kind="stable")
    figure, (tiles, axes) = plt.subplots(
        1,
        2,
        figsize=(9, 0.42 * len(order) + 1.3),
        width_ratios=(1, 3),
        sharey=True,
        layout="constrained",
    )
    choices = np.array(rates["rates"])[order]
    shades = np.log(choices / choices.min())
    darkest = 2 * max(shades.max(), 1e-6)  # so that black figures can be read
    tiles.imshow(shades, "Blues", aspect="auto", origin="lower", vmin=0, vmax=darkest)
    for (row, column), choice in np.ndenumerate(choices):
        tiles.text(column, row, f"{choice:g}", ha="center", va="center")
    layers = choices.shape[1]
    tiles.set_xticks(range(layers), [f"layer {n}" for n in range(1, layers + 1)])
    tiles.set_yticks([])
    tiles.set_xlabel("learning rate")
    for place, network in enumerate(order):
        correct = rates["test_correct"][network]
        low, high = wilson_interval(correct, seen)
        axes.plot([low, high], [place, place], color=COLORS["relu_softmax"])
        axes.plot(correct / seen, place, "o", color=COLORS["relu_softmax"])
        axes.text(high, place, f"  {correct / seen:.2%}", va="center")
    axes.margins(x=0.2)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.set_xlabel(f"accuracy on {seen:,} test images")
    axes.grid(axis="x", alpha=0.3)
    return figure
