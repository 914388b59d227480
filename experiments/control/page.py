"""What the rows say: the content of results.json, its pictures and its tables."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from operator import itemgetter
from statistics import median
from typing import Any

import numpy as np

from experiments.control.beside_keras import WAYS
from experiments.control.gradients import CHUNK
from experiments.control.programs import TASK
from experiments.kit.numbers import text
from experiments.kit.page import Picture, Table, table
from experiments.kit.run import Row

Rows = list[dict[str, Any]]


def results(rows: Sequence[Row]) -> dict[str, Any]:
    """Both halves; a part of `control` that was not reached is not there."""
    parts: dict[str, Rows] = defaultdict(list)
    for row in rows:
        parts[row["part"]].append({k: v for k, v in row.items() if k != "part"})
    control = {name: parts[name][0] for name in ("gradients", "planted") if parts[name]}
    if planted := control.get("planted"):
        for kind in ("loss", "norm", "chance"):
            planted[f"share_by_{kind}"] = (
                planted[f"found_by_{kind}"] / planted["planted"]
            )
    for name in ("sharpness", "descent"):  # along mini-batches, and along full batches
        if parts[name]:
            control[name] = {"images": parts[name][0]["images"], "records": parts[name]}
    if parts["rates"]:
        control["rates"] = {
            "rates": parts["rates"][0]["rates"],
            "epochs": parts["rates"],
        }
        for test in parts["test"]:
            tested = {f"test_{name}": test[name] for name in ("correct", "seen")}
            control["rates"] |= tested
    if parts["way"]:
        control["beside_keras"] = _beside_keras(parts)
    programs = {program["program"]: program for program in parts["program"]}
    for name, program in programs.items():
        runs = [run for run in parts["ease"] if run["program"] == name]
        program["packages"] = runs[0]["packages"] if runs else []
        for number in ("seconds", "import_seconds", "accuracy"):
            program.update(summary(number, [run[number] for run in runs]))
    return {"ease": {"task": TASK, "programs": programs}, "control": control}


def summary(name: str, values: Sequence[float]) -> dict[str, Any]:
    """Some values with their median, and with both ends where there are several."""
    ends = [min(values), max(values)] if len(values) > 1 else None
    middle = median(values) if values else None
    return {name: list(values), f"{name}_median": middle, f"{name}_range": ends}


def _beside_keras(parts: dict[str, Rows]) -> dict[str, Any]:
    """Ways by task; a ratio is that of a round's seconds to JAX's in the same round."""
    tasks: dict[str, Any] = {}
    for row in parts["way"]:
        about = {"images": row["images"], "networks": row["networks"], "ways": {}}
        tasks.setdefault(row["task"], about)["ways"][row["way"]] = row
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in parts["beside_keras"]:
        seconds[row["task"], row["way"]].append(row["seconds"])
    for way in parts["way"]:
        own, by_jax = seconds[way["task"], way["way"]], seconds[way["task"], "jax"]
        ratios = [a / b for a, b in zip(own, by_jax, strict=False)]
        way.update(summary("seconds", own) | summary("ratio", ratios))
    return tasks


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
    from experiments.control import figures  # which loads Matplotlib

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
            partial(figures.gallery, gradients, train_images),
        )
    if "sharpness" in control:
        yield Picture(
            "sharpness",
            "Sharpness of the loss",
            "The largest eigenvalue of the Hessian, by Lanczos's method; one seed. "
            "Dashed: 2 / learning rate, above which gradient descent on a quadratic "
            "diverges (Cohen et al., ICLR 2021).",
            partial(figures.sharpness_curves, control),
        )
    if "test_correct" in rates:
        yield Picture(
            "rates",
            "A learning rate of its own for every layer",
            "One seed: all begin with the same weights and see the images in the same "
            "order. The 95 % intervals are over test images, not over seeds.",
            partial(figures.rates_chart, control),
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
        "NumPy.",
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
        "Weights, images and vectors are the same for all. Lines are those of the "
        "functions that run, without the loss. Seconds, and their ratio to JAX's in "
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
