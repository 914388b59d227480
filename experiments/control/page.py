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
DESCENT_HEADER = ("learning rate", "2 / rate", "largest sharpness", "last sharpness")
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


def sections(
    train_images: np.ndarray, ease: dict[str, Any], control: dict[str, Any]
) -> Iterator[Picture | Table]:
    """Pictures, then tables, of what is there."""
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
    if ease["programs"]:
        yield ease_table(ease)
    if rates and rates["epochs"]:
        yield rates_table(rates, control.get("planted"))
    if "planted" in control:
        yield planted_table(control["planted"])
    if "descent" in control:
        yield descent_table(control["descent"])
    for name, task in control.get("beside_keras", {}).items():
        yield keras_table(name, task, control["gradients"])


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


def rates_table(rates: dict[str, Any], planted: dict[str, Any] | None) -> Table:
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
    if planted:
        many = median(epoch["seconds"] for epoch in rates["epochs"])
        alone = planted["epoch_seconds"]
        caption += (
            f" Training them for an epoch takes {many:.2f} s, {many / alone:.1f} times "
            f"the {alone:.2f} s of one network."
        )
    title = "Control: a learning rate of its own for every layer"
    return Table(title, caption, RATES_HEADER, rows)


def planted_table(planted: dict[str, Any]) -> Table:
    """How many wrong labels each ranking finds."""
    count = planted["planted"]
    kinds = {"norm": "gradient norm", "loss": "loss", "chance": "chance"}
    counts = {kind: planted[f"found_by_{key}"] for key, kind in kinds.items()}
    rows = [(kind, f"{n:,.0f}", f"{n / count:.0%}") for kind, n in counts.items()]
    caption = (
        f"{count:,} of {planted['images']:,} labels were made wrong on purpose. Found: "
        f"they are among the {count:,} largest. Losses need no gradient."
    )
    return Table("Wrong labels found", caption, ("ranked by", "found", "share"), rows)


def descent_table(descent: dict[str, Any]) -> Table:
    """The largest and the last sharpness along full-batch gradient descent."""
    rows = []
    for column, rate in enumerate(descent["learning_rates"]):
        entries = [record["sharpness"][column] for record in descent["records"]]
        values = [entry["eigenvalue"] for entry in entries]
        highest = max((value for value in values if value is not None), default=None)
        numbers = [text(value, ".1f") for value in (2 / rate, highest, values[-1])]
        rows.append((f"{rate:g}", *numbers))
    steps = descent["records"][-1]["step"]
    caption = f"{steps} steps on {descent['images']:,} images."
    return Table("Sharpness in full-batch descent", caption, DESCENT_HEADER, rows)


def keras_table(name: str, task: dict[str, Any], gradients: dict[str, Any]) -> Table:
    """A row a way of doing the same."""
    images = f"{task['images']:,} images"
    titles = {
        "gradients": f"Gradient norms of {images}, each by itself",
        "product": f"A Hessian-vector product of the mean loss of {images}",
        "rates": f"{task.get('networks')} combinations of learning rates, {images}",
    }
    header: tuple[str, ...] = KERAS_HEADER
    rows: list[tuple[str, ...]] = [
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
    if name == "gradients":
        scaled = [
            f"{entry['seconds'] * gradients['images'] / task['images']:.1f}"
            for entry in task["ways"].values()
        ]
        scaled[0] = f"{gradients['seconds']:.1f}"
        header = (*header, f"s for {gradients['images']:,}")
        rows = [(*row, cell) for row, cell in zip(rows, scaled, strict=True)]
        caption += " For all images JAX is measured and Keras extrapolated."
    return Table(titles[name], caption, header, rows)


def _difference(way: dict[str, Any]) -> str:
    """The largest difference, and of what; "-" where there is none in numbers."""
    apart, size = way.get("apart"), way.get("size")
    return "-" if apart is None or size is None else f"{apart:.0e} of {size:.2g}"
