"""The content of results.json, from the rows alone."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from statistics import median
from typing import Any

from experiments.control.programs import TASK
from experiments.kit.run import Row

TIMES = ("seconds", "import_seconds", "accuracy")  # of a run of a program


def results(rows: Sequence[Row]) -> dict[str, Any]:
    """Both halves; a part of `control` that was not reached is not there."""
    control = {
        "rates": _rates(rows),
        "gradients": _single(rows, "gradients"),
        "planted": _single(rows, "planted"),
        "descent": _descent(_of_part(rows, "descent")),
        "sharpness_on_all": _single(rows, "sharpness_on_all"),
        "beside_keras": _beside_keras(rows),
    }
    reached = {name: part for name, part in control.items() if part}
    return {"ease": _ease(rows), "control": reached}


def _of_part(rows: Iterable[Row], part: str) -> list[Row]:
    return [row for row in rows if row["part"] == part]


def _without(row: Row, *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def _single(rows: Sequence[Row], part: str) -> dict[str, Any]:
    return next((_without(row, "part") for row in _of_part(rows, part)), {})


def _ease(rows: Sequence[Row]) -> dict[str, Any]:
    programs = {}
    for row in _of_part(rows, "program"):
        runs = [
            run for run in _of_part(rows, "ease") if run["program"] == row["program"]
        ]
        values = {name: [run[name] for run in runs] for name in TIMES}
        medians = {f"{name}_median": _median(values[name]) for name in TIMES}
        programs[row["program"]] = {
            **_without(row, "part", "program"),
            **values,
            **medians,
        }
    loading = [row["seconds"] for row in _of_part(rows, "loading")]
    return {
        "task": TASK,
        "data_seconds": loading,
        "data_seconds_median": _median(loading),
        "programs": programs,
    }


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _rates(rows: Sequence[Row]) -> dict[str, Any]:
    """Lists of all networks, in the order of their combinations of rates."""
    sharpness = _of_part(rows, "sharpness")
    trained, tested = _of_part(rows, "rates"), _of_part(rows, "test")
    if not sharpness:
        return {}
    first = [row for row in trained if row["epoch"] == 1]
    part = {
        "rates": [row["rates"] for row in first],
        "uniform": [row["network"] for row in sharpness if row["epoch"] == 0],
        "sharpness_images": sharpness[0]["images"],
        "sharpness": [
            [{name: row[name] for name in ("eigenvalue", "residual")} for row in group]
            for _, group in groupby(sharpness, lambda row: row["epoch"])
        ],
        "epochs": [
            _rates_epoch(list(group))
            for _, group in groupby(trained, lambda row: row["epoch"])
        ],
    }
    if first:
        part["compile_seconds"] = first[0]["compile_seconds"]
    if tested:
        part["test_correct"] = [row["correct"] for row in tested]
        part["test_seen"] = tested[0]["seen"]
    return part


def _rates_epoch(networks: Sequence[Row]) -> dict[str, Any]:
    accuracies = [row["validation_accuracy"] for row in networks]
    return {
        "epoch": networks[0]["epoch"],
        "seconds": networks[0]["seconds"],
        "train_loss": [row["train_loss"] for row in networks],
        "validation_accuracy": None if None in accuracies else accuracies,
    }


def _descent(records: Sequence[Row]) -> dict[str, Any]:
    if not records:
        return {}
    constant = ("learning_rates", "images")
    return {
        **{name: records[0][name] for name in constant},
        "records": [_without(row, "part", *constant) for row in records],
    }


def _beside_keras(rows: Sequence[Row]) -> dict[str, Any]:
    """A task each, and in it the ways to do it."""
    tasks: dict[str, Any] = {}
    for row in _of_part(rows, "beside_keras"):
        constant = {name: row[name] for name in ("images", "networks") if name in row}
        task = tasks.setdefault(row["task"], {**constant, "ways": {}})
        task["ways"][row["way"]] = _without(row, "part", "task", "way", *constant)
    for row in _of_part(rows, "sharpnesses"):
        tasks["product"]["sharpness"] = _without(row, "part")
    return tasks
