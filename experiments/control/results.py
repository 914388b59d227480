"""The content of results.json, from the rows alone."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby
from statistics import median
from typing import Any

from experiments.control.programs import TASK
from experiments.kit.run import Row

SINGLE = ("gradients", "planted", "sharpness_on_all")  # parts of one row


def results(rows: Sequence[Row]) -> dict[str, Any]:
    """Both halves; a part of `control` that was not reached is not there."""
    parts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        parts[row["part"]].append({k: v for k, v in row.items() if k != "part"})
    control = {name: parts[name][0] for name in SINGLE if parts[name]}
    if parts["sharpness"]:
        control["rates"] = _rates(parts["sharpness"], parts["rates"], parts["test"])
    if parts["descent"]:
        control["descent"] = _descent(parts["descent"])
    if parts["beside_keras"]:
        control["beside_keras"] = _beside_keras(parts["beside_keras"])
    for row in parts["sharpnesses"]:
        control["beside_keras"]["product"]["sharpness"] = row
    return {"ease": _ease(parts), "control": control}


def _ease(parts: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    programs = {}
    for program in parts["program"]:
        name = program.pop("program")
        runs = [run for run in parts["ease"] if run["program"] == name]
        for number in ("seconds", "import_seconds", "accuracy"):
            program[number] = [run[number] for run in runs]
            program[f"{number}_median"] = _median(program[number])
        programs[name] = program
    loading = [row["seconds"] for row in parts["loading"]]
    return {
        "task": TASK,
        "data_seconds": loading,
        "data_seconds_median": _median(loading),
        "programs": programs,
    }


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _rates(
    sharpness: list[dict[str, Any]],
    trained: list[dict[str, Any]],
    tested: list[dict[str, Any]],
) -> dict[str, Any]:
    """Lists of all networks; an epoch cut short, with rows of some, is left out."""
    epochs = [list(rows) for _, rows in groupby(trained, lambda row: row["epoch"])]
    epochs = [rows for rows in epochs if len(rows) == rows[0]["networks"]]
    measured = [list(rows) for _, rows in groupby(sharpness, lambda row: row["epoch"])]
    first = epochs[0] if epochs else []
    part = {
        "rates": [row["rates"] for row in first],
        "uniform": [row["network"] for row in measured[0]],
        "sharpness_images": sharpness[0]["images"],
        "sharpness": [
            [{name: row[name] for name in ("eigenvalue", "residual")} for row in rows]
            for rows in measured
            if len(rows) == len(measured[0])
        ],
        "epochs": [_rates_epoch(rows) for rows in epochs],
    }
    if first:
        part["compile_seconds"] = first[0]["compile_seconds"]
    if len(tested) == len(first) > 0:
        part["test_correct"] = [row["correct"] for row in tested]
        part["test_seen"] = tested[0]["seen"]
    return part


def _rates_epoch(networks: list[dict[str, Any]]) -> dict[str, Any]:
    accuracies = [row["validation_accuracy"] for row in networks]
    return {
        "epoch": networks[0]["epoch"],
        "seconds": networks[0]["seconds"],
        "train_loss": [row["train_loss"] for row in networks],
        "validation_accuracy": None if None in accuracies else accuracies,
    }


def _descent(records: list[dict[str, Any]]) -> dict[str, Any]:
    """What all records share stands once, beside them."""
    shared = {name: records[0][name] for name in ("learning_rates", "images")}
    varying = [{k: v for k, v in row.items() if k not in shared} for row in records]
    return {**shared, "records": varying}


def _beside_keras(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A task each, and in it the ways to do it."""
    tasks: dict[str, Any] = {}
    for row in rows:
        name, way, images = (row.pop(key) for key in ("task", "way", "images"))
        task = tasks.setdefault(name, {"images": images, "ways": {}})
        if "networks" in row:
            task["networks"] = row.pop("networks")
        task["ways"][way] = row
    return tasks
