"""Tables and pictures of this experiment, for the screen and the page."""

from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from experiments.kit.numbers import text
from experiments.kit.page import Picture, Table
from experiments.kit.statistics import wilson_interval

KERAS_WAYS = {
    "jax": "JAX",
    "one_by_one": "Keras, loop in Python",
    "in_a_graph": "Keras, tf.map_fn",
    "vectorized": "Keras, tf.vectorized_map",
    "product": "Keras, tape in a tape",
    "rates": "Keras, own train_step",
}


def sections(
    ease: dict[str, Any], control: dict[str, Any], train_images: np.ndarray
) -> list[Picture | Table]:
    """All whose numbers are there: pictures first."""
    return [*_pictures(ease, control, train_images), *_tables(ease, control)]


def _pictures(
    ease: dict[str, Any], control: dict[str, Any], train_images: np.ndarray
) -> Iterator[Picture]:
    from experiments.control import figures  # which loads Matplotlib

    if ease["data_seconds"]:
        yield Picture(
            "ease",
            "Lines and seconds",
            "Each program's lines, and its seconds from the start of the process to "
            "the printed accuracy; the pale part is its imports. Thin lines reach from "
            "the fastest to the slowest run.",
            partial(figures.ease_bars, ease["programs"]),
        )
    if "gradients" in control:
        yield Picture(
            "surprising",
            "The most surprising training images",
            "Of all training images. In the last line: how many of the "
            f"{control['gradients']['neighbours']} nearest other training images, by "
            "their pixels, have its label.",
            partial(figures.gallery, control["gradients"], train_images),
        )
    rates = control.get("rates", {})
    if rates.get("epochs"):
        yield Picture(
            "sharpness",
            "Sharpness of the loss",
            "The largest eigenvalue of the Hessian, by Lanczos's method. Dashed: "
            "2 / learning rate, above which gradient descent on a quadratic diverges "
            "(Cohen et al., ICLR 2021).",
            partial(figures.sharpness_curves, rates, control.get("descent", {})),
        )
    if "test_correct" in rates:
        yield Picture(
            "rates",
            "A learning rate of its own for every layer",
            "Test accuracy of each combination with its 95 % interval over images; "
            "all were trained as one program from the same weights.",
            partial(figures.rates_chart, rates),
        )


def _tables(ease: dict[str, Any], control: dict[str, Any]) -> Iterator[Table]:
    if ease["programs"]:
        yield ease_table(ease)
    if "planted" in control:
        yield planted_table(control["planted"])
    if "descent" in control:
        yield descent_table(control["descent"])
    if control.get("rates", {}).get("epochs"):
        yield rates_table(control["rates"])
    if "planted" in control:
        yield epochs_table(control["rates"], control["planted"])
    for name, task in control.get("beside_keras", {}).items():
        yield keras_table(name, task, control["gradients"])


def ease_table(ease: dict[str, Any]) -> Table:
    """A row a program, the shortest first, and what loading the data takes."""
    programs = sorted(ease["programs"].values(), key=lambda program: program["lines"])
    rows = [
        (
            program["label"],
            str(program["lines"]),
            str(program["logical_lines"]),
            text(program["seconds_median"], ".1f"),
            text(program["import_seconds_median"], ".1f"),
            text(program["accuracy_median"], ".2%"),
        )
        for program in programs
    ]
    loading = text(ease["data_seconds_median"], ".1f")
    return Table(
        "Ease: the same task in each",
        f"The task: {ease['task']}, and the accuracy on the test set. Lines without "
        "blanks, comments and docstrings. Seconds are from the start of the process "
        "to the printed accuracy, compilation included; medians of "
        f"{len(ease['data_seconds'])} runs. All load the data through jaxnets, which "
        "imports JAX: Keras and NumPy alone would be spared that. In a call of jaxnets "
        "the network itself is in the library.",
        (
            "",
            "lines",
            "logical lines",
            "s to the result",
            "of which imports",
            "accuracy",
        ),
        [*rows, ("loading the data alone", "-", "-", loading, "-", "-")],
    )


def planted_table(planted: dict[str, Any]) -> Table:
    """How many wrong labels each ranking finds."""
    count = planted["planted"]
    kinds = {"norm": "gradient norm", "loss": "loss", "chance": "none: by chance"}
    return Table(
        "Labels made wrong on purpose",
        f"How many of {count:,} wrong labels among {planted['images']:,} are among as "
        "many images that a ranking puts first. The loss needs no gradient.",
        ("ranked by", "wrong labels found", "share"),
        [
            (
                kind,
                f"{planted[f'found_by_{name}']:,.0f}",
                f"{planted[f'found_by_{name}'] / count:.0%}",
            )
            for name, kind in kinds.items()
        ],
    )


def descent_table(descent: dict[str, Any]) -> Table:
    """The largest and the last sharpness along full-batch gradient descent."""
    rows = []
    for column, rate in enumerate(descent["learning_rates"]):
        entries = [record["sharpness"][column] for record in descent["records"]]
        values = [entry["eigenvalue"] for entry in entries]
        known = [value for value in values if value is not None]
        numbers = (2 / rate, max(known, default=None), values[-1])
        rows.append((f"{rate:g}", *(text(number, ".1f") for number in numbers)))
    return Table(
        "Sharpness along full-batch gradient descent",
        f"On {descent['images']:,} images, {descent['records'][-1]['step']} steps.",
        ("learning rate", "2 / learning rate", "largest sharpness", "last sharpness"),
        rows,
    )


def rates_table(rates: dict[str, Any]) -> Table:
    """A row a network: its rates, validation and test accuracy."""
    validation = rates["epochs"][-1]["validation_accuracy"]
    rows = []
    for network, choice in enumerate(rates["rates"]):
        cells = [f"{validation[network]:.2%}" if validation else "-", "-", "-"]
        if "test_correct" in rates:
            correct, seen = rates["test_correct"][network], rates["test_seen"]
            low, high = wilson_interval(correct, seen)
            cells[1:] = [f"{correct / seen:.2%}", f"{low:.2%} to {high:.2%}"]
        rows.append((", ".join(f"{rate:g}" for rate in choice), *cells))
    return Table(
        "Control: a learning rate of its own for every layer",
        "One program trains all of them, from the same weights.",
        ("rates, input to output", "validation", "test", "95 % interval"),
        rows,
    )


def epochs_table(rates: dict[str, Any], planted: dict[str, Any]) -> Table:
    """What all networks at once take, against one."""
    many = median(epoch["seconds"] for epoch in rates["epochs"])
    alone = planted["epoch_seconds"]
    return Table(
        "Many networks at once",
        "Median seconds of an epoch, training alone.",
        ("networks", "s per epoch", "times one network"),
        [
            ("1", f"{alone:.2f}", "1.0"),
            (str(len(rates["rates"])), f"{many:.2f}", f"{many / alone:.1f}"),
        ],
    )


def keras_table(name: str, task: dict[str, Any], gradients: dict[str, Any]) -> Table:
    """A row a way of doing the same."""
    images = f"{task['images']:,} images"
    titles = {
        "gradients": f"Gradient norms of {images}, each by itself",
        "product": f"A Hessian-vector product of the mean loss of {images}",
        "rates": f"{task.get('networks')} combinations of learning rates, an epoch of "
        f"{images}",
    }
    header = ["", "lines", "logical lines", "s", "times JAX", "first call, s"]
    header.append("largest difference")
    base = task["ways"]["jax"]["seconds"]
    rows = []
    for way, entry in task["ways"].items():
        label = KERAS_WAYS[name if way == "keras" else way]
        lines = (str(entry["lines"]), str(entry["logical_lines"]))
        seconds = (f"{entry['seconds']:.4f}", f"{entry['seconds'] / base:.1f}")
        first = text(entry["first_seconds"], ".1f")
        rows.append((label, *lines, *seconds, first, _difference(entry)))
    caption = (
        "The same weights, images and vectors for both. Lines are those of the functions "
        "that ran, without the loss. The first call comes on top of the seconds: for JAX "
        "it is the compilation, for Keras a whole call with its tracing."
    )
    if name == "gradients":
        factor = gradients["images"] / task["images"]
        header.append(f"s for {gradients['images']:,}")
        scaled = [f"{way['seconds'] * factor:.1f}" for way in task["ways"].values()]
        scaled[0] = f"{gradients['seconds']:.1f}"
        rows = [(*row, cell) for row, cell in zip(rows, scaled, strict=True)]
        caption += " For all training images JAX is measured, Keras extrapolated."
    return Table(titles[name], caption, header, rows)


def _difference(way: dict[str, Any]) -> str:
    """The largest difference, and of what; "-" where there is none in numbers."""
    apart, size = way.get("apart"), way.get("size")
    return "-" if apart is None or size is None else f"{apart:.0e} of {size:.2g}"
