"""What the rows say: the content of results.json, its pictures and its tables."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from statistics import median
from typing import Any

import numpy as np

from experiments.control.programs import TASK
from experiments.kit.numbers import finites, text
from experiments.kit.page import Picture, Table, table
from experiments.kit.run import Row
from experiments.kit.statistics import wilson_interval

KERAS_WAYS = {
    ("gradients", "one_by_one"): "Keras, loop in Python",
    ("gradients", "in_a_graph"): "Keras, tf.map_fn",
    ("gradients", "vectorized"): "Keras, tf.vectorized_map",
    ("product", "keras"): "Keras, tape in a tape",
    ("rates", "keras"): "Keras, own train_step",
}
Rows = list[dict[str, Any]]


def results(rows: Sequence[Row]) -> dict[str, Any]:
    """Both halves; a part of `control` that was not reached is not there."""
    parts: dict[str, Rows] = defaultdict(list)
    for row in rows:
        parts[row["part"]].append({k: v for k, v in row.items() if k != "part"})
    singles = ("gradients", "planted", "sharpness_on_all")
    control = {name: parts[name][0] for name in singles if parts[name]}
    if parts["sharpness"]:
        control["rates"] = _rates(parts)
    if records := parts["descent"]:
        shared = {name: records[0][name] for name in ("learning_rates", "images")}
        control["descent"] = {**shared, "records": records}
    for way in parts["beside_keras"]:
        about = {"images": way["images"], "networks": way.get("networks"), "ways": {}}
        task = control.setdefault("beside_keras", {}).setdefault(way["task"], about)
        task["ways"][way["way"]] = way
    for row in parts["sharpnesses"]:
        control["beside_keras"]["product"]["sharpness"] = row

    programs = {program["program"]: program for program in parts["program"]}
    for name, program in programs.items():
        runs = [run for run in parts["ease"] if run["program"] == name]
        for number in ("seconds", "import_seconds", "accuracy"):
            program[number] = [run[number] for run in runs]
            program[f"{number}_median"] = median(program[number]) if runs else None
    loading = [row["seconds"] for row in parts["loading"]]
    ease = {
        "task": TASK,
        "data_seconds": loading,
        "data_seconds_median": median(loading) if loading else None,
        "programs": programs,
    }
    return {"ease": ease, "control": control}


def _rates(parts: dict[str, Rows]) -> dict[str, Any]:
    """Lists of all networks; an epoch cut short, with rows of some, is left out."""
    trained, measured = (
        [list(rows) for _, rows in groupby(parts[part], itemgetter("epoch"))]
        for part in ("rates", "sharpness")
    )
    epochs = [rows for rows in trained if len(rows) == rows[0]["networks"]]
    first, tested = epochs[0] if epochs else [], parts["test"]
    content = {
        "rates": [row["rates"] for row in first],
        "uniform": [row["network"] for row in measured[0]],
        "sharpness_images": measured[0][0]["images"],
        "sharpness": [
            [{name: row[name] for name in ("eigenvalue", "residual")} for row in rows]
            for rows in measured
            if len(rows) == len(measured[0])
        ],
        "epochs": [
            {
                **{name: rows[0][name] for name in ("epoch", "seconds")},
                "train_loss": [row["train_loss"] for row in rows],
                "validation_accuracy": [row["validation_accuracy"] for row in rows],
            }
            for rows in epochs
        ],
    }
    if first:
        content["compile_seconds"] = first[0]["compile_seconds"]
    if len(tested) == len(first) > 0:
        content["test_correct"] = [row["correct"] for row in tested]
        content["test_seen"] = tested[0]["seen"]
    return content


def eigenvalues(measured: Sequence[Rows]) -> np.ndarray:
    """Of each time and each network [times, networks]; NaN where not finite."""
    return np.array([[row["eigenvalue"] for row in rows] for rows in measured], float)


def sections(
    train_images: np.ndarray, ease: dict[str, Any], control: dict[str, Any]
) -> Iterator[Picture | Table]:
    """Pictures, then tables, of what is there."""
    from experiments.control import figures  # which loads Matplotlib

    gradients, descent = control.get("gradients"), control.get("descent")
    rates, planted = control.get("rates", {}), control.get("planted")
    if ease["data_seconds"]:
        yield Picture(
            "ease",
            "Lines and seconds",
            "Seconds are from the start of the process to the printed accuracy; pale: "
            "the imports. Thin lines reach from the fastest to the slowest run.",
            partial(figures.ease_bars, ease["programs"]),
        )
    if gradients:
        yield Picture(
            "surprising",
            "The most surprising training images",
            f"In the last line: how many of the {gradients['neighbours']} nearest "
            "other training images, by their pixels, have its label.",
            partial(figures.gallery, gradients, train_images),
        )
    if rates.get("epochs"):
        yield Picture(
            "sharpness",
            "Sharpness of the loss",
            "The largest eigenvalue of the Hessian, by Lanczos's method. Dashed: "
            "2 / learning rate, above which gradient descent on a quadratic diverges "
            "(Cohen et al., ICLR 2021).",
            partial(figures.sharpness_curves, rates, descent),
        )
    if "test_correct" in rates:
        yield Picture(
            "rates",
            "A learning rate of its own for every layer",
            "Test accuracy with its 95 % interval over images; all were trained as one "
            "program from the same weights.",
            partial(figures.rates_chart, rates),
        )
    if ease["programs"]:
        yield ease_table(ease)
    if rates.get("epochs"):
        yield rates_table(rates, planted)
    if planted:
        yield planted_table(planted)
    if descent:
        yield descent_table(descent)
    for name, task in control.get("beside_keras", {}).items():
        yield keras_table(name, task, control["gradients"])


def ease_table(ease: dict[str, Any]) -> Table:
    """A row a program, the shortest first."""
    loading = text(ease["data_seconds_median"], ".1f")
    return table(
        "Ease: the same task in each",
        f"The task: {ease['task']}, and the accuracy on the test set. Lines without "
        "blanks, comments and docstrings. Seconds are from the start of the process "
        "to the printed accuracy, compilation included, medians of "
        f"{len(ease['data_seconds'])}. All load the data through jaxnets, which "
        f"imports JAX and takes {loading} s by itself: Keras and NumPy alone would be "
        "spared that. For one call of jaxnets the network itself is in the library.",
        sorted(ease["programs"].values(), key=itemgetter("lines")),
        {
            "": "label",
            "lines": "lines",
            "logical lines": "logical_lines",
            "s to the result": "seconds_median:.1f",
            "imports, s": "import_seconds_median:.1f",
            "accuracy": "accuracy_median:.2%",
        },
    )


def rates_table(rates: dict[str, Any], planted: dict[str, Any] | None) -> Table:
    """A row a network: its rates, validation and test accuracy."""
    validation = rates["epochs"][-1]["validation_accuracy"]
    correct, seen = rates.get("test_correct"), rates.get("test_seen", 0)
    caption = "One program trains all of them, from the same weights."
    if planted:
        many = median(epoch["seconds"] for epoch in rates["epochs"])
        alone = planted["epoch_seconds"]
        caption += (
            f" Training them for an epoch takes {many:.2f} s, {many / alone:.1f} times "
            f"the {alone:.2f} s of one network."
        )
    return table(
        "Control: a learning rate of its own for every layer",
        caption,
        range(len(rates["rates"])),
        {
            "rates, input to output": lambda i: ", ".join(
                map("{:g}".format, rates["rates"][i])
            ),
            "validation": lambda i: text(validation[i], ".2%"),
            "test": lambda i: text(correct and correct[i] / seen, ".2%"),
            "95 % interval": lambda i: text(
                correct and wilson_interval(correct[i], seen), ".2%"
            ),
        },
    )


def planted_table(planted: dict[str, Any]) -> Table:
    """How many wrong labels each ranking finds."""
    count = planted["planted"]
    return table(
        "Wrong labels found",
        f"{count:,} of {planted['images']:,} labels were made wrong on purpose. Found: "
        f"they are among the {count:,} largest. Losses need no gradient.",
        {"norm": "gradient norm", "loss": "loss", "chance": "chance"}.items(),
        {
            "ranked by": lambda kind: kind[1],
            "found": lambda kind: f"{planted[f'found_by_{kind[0]}']:,.0f}",
            "share": lambda kind: f"{planted[f'found_by_{kind[0]}'] / count:.0%}",
        },
    )


def descent_table(descent: dict[str, Any]) -> Table:
    """The largest and the last sharpness along full-batch gradient descent."""
    rates, records = descent["learning_rates"], descent["records"]
    curves = eigenvalues([record["sharpness"] for record in records])
    highest = np.fmax.reduce(curves)  # it passes NaN by
    return table(
        "Sharpness in full-batch descent",
        f"{records[-1]['step']} steps on {descent['images']:,} images.",
        zip(rates, finites(highest), finites(curves[-1]), strict=True),
        {
            "learning rate": lambda entry: f"{entry[0]:g}",
            "2 / rate": lambda entry: f"{2 / entry[0]:.1f}",
            "largest sharpness": lambda entry: text(entry[1], ".1f"),
            "last sharpness": lambda entry: text(entry[2], ".1f"),
        },
    )


def keras_table(name: str, task: dict[str, Any], gradients: dict[str, Any]) -> Table:
    """A row a way of doing the same."""
    images = f"{task['images']:,} images"
    title = {
        "gradients": f"Gradient norms of {images}, each by itself",
        "product": f"A Hessian-vector product of the mean loss of {images}",
        "rates": f"{task['networks']} combinations of learning rates, {images}",
    }[name]
    caption = (
        "The same weights, images and vectors for both. Lines are those of the "
        "functions that ran, without the loss. The first call comes on top of the "
        "seconds: JAX's is the compilation, Keras's a whole call with its tracing."
    )
    by_jax = task["ways"]["jax"]["seconds"]
    columns: dict[str, Any] = {
        "": lambda way: KERAS_WAYS.get((name, way["way"]), "JAX"),
        "lines": "lines",
        "logical lines": "logical_lines",
        "s": "seconds:.4f",
        "times JAX": lambda way: f"{way['seconds'] / by_jax:.1f}",
        "first call, s": "first_seconds:.1f",
        "largest difference": lambda way: (
            f"{way['apart']:.0e} of {way['size']:.2g}"
            if way.get("apart") is not None  # a finite number
            else "-"
        ),
    }
    if name == "gradients":
        caption += " For all images JAX is measured and Keras extrapolated."
        scale, seconds = gradients["images"] / task["images"], gradients["seconds"]
        columns[f"s for {gradients['images']:,}"] = lambda way: (
            f"{seconds if way['way'] == 'jax' else way['seconds'] * scale:.1f}"
        )
    return table(title, caption, task["ways"].values(), columns)
