"""Tables and pictures of this experiment, from the parts of results.json."""

from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from experiments.kit.numbers import text
from experiments.kit.page import Picture, Table
from experiments.kit.statistics import wilson_interval

EASE_HEADER = (
    "",
    "lines",
    "logical lines",
    "s to the result",
    "imports, s",
    "accuracy",
)
RATES_HEADER = ("rates, input to output", "validation", "test", "95 % interval")
KERAS_HEADER = (
    *("", "lines", "logical lines", "s", "times JAX", "first call, s"),
    "largest difference",
)
KERAS_WAYS = {
    ("gradients", "one_by_one"): "Keras, loop in Python",
    ("gradients", "in_a_graph"): "Keras, tf.map_fn",
    ("gradients", "vectorized"): "Keras, tf.vectorized_map",
    ("product", "keras"): "Keras, tape in a tape",
    ("rates", "keras"): "Keras, own train_step",
}


def pictures(
    ease: dict[str, Any], control: dict[str, Any], train_images: np.ndarray
) -> Iterator[Picture]:
    """Those whose numbers are there."""
    from experiments.control import figures  # which loads Matplotlib

    gradients, rates = control.get("gradients"), control.get("rates")
    if ease["data_seconds"]:
        yield Picture(
            "ease",
            "Lines and seconds",
            "Each program's lines, and its seconds from the start of the process to "
            "the printed accuracy; the pale part is its imports. Thin lines reach from "
            "the fastest to the slowest run.",
            partial(figures.ease_bars, ease["programs"]),
        )
    if gradients:
        yield Picture(
            "surprising",
            "The most surprising training images",
            "Of all training images. In the last line: how many of the "
            f"{gradients['neighbours']} nearest other training images, by their "
            "pixels, have its label.",
            partial(figures.gallery, gradients, train_images),
        )
    if rates and rates["epochs"]:
        yield Picture(
            "sharpness",
            "Sharpness of the loss",
            "The largest eigenvalue of the Hessian, by Lanczos's method. Dashed: "
            "2 / learning rate, above which gradient descent on a quadratic diverges "
            "(Cohen et al., ICLR 2021).",
            partial(figures.sharpness_curves, rates, control.get("descent")),
        )
    if rates and "test_correct" in rates:
        yield Picture(
            "rates",
            "A learning rate of its own for every layer",
            "Test accuracy of each combination with its 95 % interval over images; "
            "all were trained as one program from the same weights.",
            partial(figures.rates_chart, rates),
        )


def tables(ease: dict[str, Any], control: dict[str, Any]) -> Iterator[Table]:
    """Those whose numbers are there."""
    if ease["programs"]:
        yield ease_table(ease)
    if "rates" in control and control["rates"]["epochs"]:
        yield rates_table(control["rates"])
    if "planted" in control:
        title = "Control in numbers"
        rows = [
            *_planted_rows(**control),
            *_descent_rows(control.get("descent", {"learning_rates": ()})),
        ]
        rows += _all_images_rows(**control)
        yield Table(title, "Seconds of epochs are those of training.", ("", ""), rows)
    for name, task in control.get("beside_keras", {}).items():
        yield keras_table(name, task)


def ease_table(ease: dict[str, Any]) -> Table:
    """A row a program, the shortest first, and what loading the data takes."""
    rows = [
        (
            program["label"],
            f"{program['lines']}",
            f"{program['logical_lines']}",
            text(program["seconds_median"], ".1f"),
            text(program["import_seconds_median"], ".1f"),
            text(program["accuracy_median"], ".2%"),
        )
        for program in sorted(ease["programs"].values(), key=lambda row: row["lines"])
    ]
    loading = text(ease["data_seconds_median"], ".1f")
    caption = (
        f"The task: {ease['task']}, and the accuracy on the test set. Lines without "
        "blanks, comments and docstrings. Seconds are from the start of the process "
        "to the printed accuracy, compilation included, medians of "
        f"{len(ease['data_seconds'])}. All load the data through jaxnets, which "
        "imports JAX: Keras and NumPy alone would be spared that. For one call of "
        "jaxnets the network itself is in the library."
    )
    rows.append(("loading the data alone", "-", "-", loading, "-", "-"))
    return Table("Ease: the same task in each", caption, EASE_HEADER, rows)


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
    caption = "One program trains all of them, from the same weights."
    title = "Control: a learning rate of its own for every layer"
    return Table(title, caption, RATES_HEADER, rows)


def _planted_rows(
    planted: dict[str, Any], rates: dict[str, Any], **_: Any
) -> Iterator[tuple[str, str]]:
    count = planted["planted"]
    yield "labels made wrong on purpose", f"{count:,}"
    kinds = {"norm": "largest gradient norms", "loss": "largest losses"}
    for kind, name in {**kinds, "chance": "chosen by chance"}.items():
        share = planted[f"found_by_{kind}"] / count
        yield f"of them among the {count:,} {name}", f"{share:.0%}"
    many = median(epoch["seconds"] for epoch in rates["epochs"])
    alone = planted["epoch_seconds"]
    yield "an epoch of one network", f"{alone:.2f} s"
    times = f"{many:.2f} s, {many / alone:.1f} times that"
    yield f"an epoch of {len(rates['rates'])} networks at once", times


def _descent_rows(descent: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for column, rate in enumerate(descent["learning_rates"]):
        entries = [record["sharpness"][column] for record in descent["records"]]
        values = [entry["eigenvalue"] for entry in entries]
        highest = max((value for value in values if value is not None), default=None)
        yield (
            f"sharpness in full-batch descent at {rate:g} (2 / rate: {2 / rate:.1f})",
            f"at most {text(highest, '.1f')}, at the end {text(values[-1], '.1f')}",
        )


def _all_images_rows(
    gradients: dict[str, Any], beside_keras: dict[str, Any] | None = None, **_: Any
) -> Iterator[tuple[str, str]]:
    label = f"gradient norms of all {gradients['images']:,} images"
    yield f"{label}, JAX", f"{gradients['seconds']:.1f} s"
    part = (beside_keras or {}).get("gradients", {"ways": {}})
    for way, entry in part["ways"].items():
        if way != "jax":
            seconds = entry["seconds"] * gradients["images"] / part["images"]
            name = KERAS_WAYS["gradients", way]
            yield f"{label}, {name}, from {part['images']:,}", f"{seconds:.1f} s"


def keras_table(name: str, task: dict[str, Any]) -> Table:
    """A row a way of doing the same."""
    images = f"{task['images']:,} images"
    titles = {
        "gradients": f"Gradient norms of {images}, each by itself",
        "product": f"A Hessian-vector product of the mean loss of {images}",
        "rates": f"{task.get('networks')} combinations of learning rates, {images}",
    }
    rows = [
        (
            KERAS_WAYS.get((name, way), "JAX"),
            f"{entry['lines']}",
            f"{entry['logical_lines']}",
            f"{entry['seconds']:.4f}",
            f"{entry['seconds'] / task['ways']['jax']['seconds']:.1f}",
            text(entry["first_seconds"], ".1f"),
            _difference(entry),
        )
        for way, entry in task["ways"].items()
    ]
    caption = (
        "The same weights, images and vectors for both. Lines are those of the "
        "functions that ran, without the loss. The first call comes on top of the "
        "seconds: JAX's is the compilation, Keras's a whole call with its tracing."
    )
    return Table(titles[name], caption, KERAS_HEADER, rows)


def _difference(way: dict[str, Any]) -> str:
    """The largest difference, and of what; "-" where there is none in numbers."""
    apart, size = way.get("apart"), way.get("size")
    return "-" if apart is None or size is None else f"{apart:.0e} of {size:.2g}"
