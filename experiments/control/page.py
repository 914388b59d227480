"""Its tables and figures, from the parts of results.json."""

from collections.abc import Iterator
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from experiments.control.beside_keras import WAYS
from experiments.control.gradients import CHUNK
from experiments.control.programs import WITHOUT
from experiments.kit.figures import COLORS, new_figure, plain_numbers
from experiments.kit.numbers import text
from experiments.kit.page import Picture, Table, table
from experiments.kit.statistics import wilson_interval

COLUMNS = 8  # of the gallery


def lead(ease: dict[str, Any], control: dict[str, Any]) -> str:
    """The finding in a sentence; "-" stands for what was not measured."""

    def lines(name: str) -> str:
        program = ease["programs"].get(name, {})
        return f"{program.get('lines', '-')} ({program.get('logical_lines', '-')})"

    def found(ranking: str) -> str:
        planted = control.get("planted")
        return text(planted and planted[ranking] / planted["planted"], ".0%")

    tasks = control.get("beside_keras", {})
    keras = tasks.get("gradients", {}).get("ways", {}).get("vectorized", {})
    return (
        "The same network and training take "
        f"{lines('keras_fit')} lines of code (logical lines) in tf.keras, "
        f"{lines('jaxnets_functions')} with jaxnets' functions and "
        f"{lines('jax_from_scratch')} in JAX from scratch; of the labels made wrong "
        f"the largest losses find {found('found_by_loss')}, the largest gradient norms "
        f"{found('found_by_norm')}; and "
        "Keras takes these gradients, image by image, in "
        f"{text(keras.get('ratio_median'), '.1f')} times JAX's time."
    )


def sections(
    train_images: np.ndarray, ease: dict[str, Any], control: dict[str, Any]
) -> Iterator[Picture | Table]:
    """Tables and pictures of what is there."""
    gradients, rates = control.get("gradients"), control.get("rates", {})
    if ease["programs"]:
        yield from ease_tables(ease)
    if "planted" in control:
        yield planted_table(control["planted"])
    if gradients:
        yield Picture(
            "surprising",
            "The most surprising training images",
            "Numbered by their place in the training set. Last: how many of the "
            f"{gradients['neighbours']} nearest other training images, by their "
            "pixels, have the same label.",
            partial(gallery, gradients, train_images),
        )
    if "sharpness" in control:
        yield Picture(
            "sharpness",
            "Sharpness of the loss",
            "The largest eigenvalue of the Hessian, by Lanczos's method; one seed. "
            "Dashed: 2 / learning rate, above which gradient descent on a quadratic "
            "diverges (Cohen et al., ICLR 2021).",
            partial(sharpness_curves, control),
        )
    if "test_correct" in rates:
        yield Picture(
            "rates",
            "A learning rate of its own for every layer",
            "One seed: all begin with the same weights and see the images in the same "
            "order. The 95 % intervals are over test images, not over seeds.",
            partial(rates_chart, control),
        )
    if tasks := control.get("beside_keras"):
        yield keras_table(tasks)


def ease_tables(ease: dict[str, Any]) -> Iterator[Table]:
    """Lines, and seconds: a row a program, the fewest lines first."""
    programs = sorted(ease["programs"].values(), key=itemgetter("lines"))
    yield table(
        "Ease: the same task in six programs",
        f"The task: {ease['task']}, and the accuracy on the test set. Code lines are "
        "those on the screen, formatted alike, without blanks, comments and "
        "docstrings; a logical line may take several of them.",
        programs,
        {
            "": "label",
            "code lines": "lines",
            "logical lines": "logical_lines",
            "what it leaves to the reader": "left",
        },
    )
    yield table(
        "Their seconds",
        "From the start of the process to the printed accuracy, compilation included: "
        f"median and range of {len(programs[0]['seconds'])} rounds. Imports are timed "
        "by themselves, with the packages that they load. All read the images by "
        "NumPy. Packages that Keras would load, and that TensorFlow does not bring, "
        f"count as not installed: {', '.join(WITHOUT['keras_fit'])}.",
        programs,
        {
            "": "label",
            "accuracy": "accuracy_median:.2%",
            "s": "seconds_median:.1f",
            "fastest to slowest": "seconds_range:.1f",
            "of which imports": "import_seconds_median:.1f",
            "which imports": lambda program: ", ".join(program["packages"]),
        },
    )


def planted_table(planted: dict[str, Any]) -> Table:
    """How many wrong labels each ranking finds."""
    count = planted["planted"]
    return table(
        "Control: wrong labels found",
        f"{count:,} of {planted['images']:,} labels were made wrong on purpose. Found: "
        f"they are among the {count:,} largest. Losses need no gradient. One seed.",
        {"loss": "loss", "norm": "gradient norm", "chance": "chance"}.items(),
        {
            "ranked by": lambda kind: kind[1],
            "found": lambda kind: f"{planted[f'found_by_{kind[0]}']:,.0f}",
            "share": lambda kind: f"{planted[f'found_by_{kind[0]}'] / count:.0%}",
        },
    )


def keras_table(tasks: dict[str, Any]) -> Table:
    """A row a way of doing one of the tasks."""
    return table(
        "Control beside Keras",
        f"Gradient norms: each image's own, in chunks of {CHUNK}; map_fn takes one "
        "image at a time. Training: an epoch of each combination of learning rates. "
        "`fit` takes all its steps in one execution. "
        "Weights, images and vectors are the same for all. Lines are those of the "
        "functions that run, without the loss, jax.jit and tf.function. Seconds, and "
        "their ratio to JAX's in "
        "the same round, are medians, with the range, of rounds in which all take "
        "turns; the first call, which traces and compiles, is apart. Difference: the "
        "largest from JAX's numbers.",
        [way for task in tasks.values() for way in task["ways"].values()],
        {
            "": lambda way: WAYS[way["task"], way["way"]],
            "images": "images:,",
            "lines (logical)": lambda way: f"{way['lines']} ({way['logical_lines']})",
            "s": "seconds_median:.3f",
            "times JAX": lambda way: "{} ({})".format(
                *(text(way[f"ratio_{part}"], ".2f") for part in ("median", "range"))
            ),
            "first call, s": "first_seconds:.1f",
            "difference": lambda way: (
                f"{way['apart']:.0e} of {way['size']:.2g}"
                if way["way"] != "jax" and way.get("apart") is not None
                else "-"
            ),
        },
    )


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
