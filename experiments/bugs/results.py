"""The content of results.json, from rows."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.bugs.programs import HEALTHY, MISTAKES, PROGRAMS
from experiments.bugs.train import UNTRAINED, is_end
from experiments.kit import statistics
from experiments.kit.numbers import finite
from experiments.kit.run import Row
from jaxnets.data import Dataset
from jaxnets.models import MODELS

NEAR = 0.005  # half a point: 991 to 1,091 of 10,000 for Model 1
ROUNDED = 0.00005  # what prints as the reported figure, in per cent with two digits


class Networks(NamedTuple):
    """The finished networks of one program, S of them, after E epochs."""

    train_loss: np.ndarray  # float [E, S], NaN where not finite; [1, S] where E is 0
    accuracy: np.ndarray  # float [E, S]; [1, S] where E is 0
    ends: list[Row]  # the last row of each


def finished_networks(rows: Sequence[Row]) -> dict[str, Networks]:
    """By program, in the order of the rows; programs with a finished network only."""
    networks: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        networks.setdefault((row["program"], row["seed"]), []).append(row)
    programs: dict[str, list[list[Row]]] = {}
    for (program, _), history in networks.items():
        if is_end(history[-1]):
            programs.setdefault(program, []).append(history)
    return {name: _networks(histories) for name, histories in programs.items()}


def _networks(histories: Sequence[Sequence[Row]]) -> Networks:
    losses, accuracies = (
        np.array([[row[name] for row in history] for history in histories], float).T
        for name in ("train_loss", "test_accuracy")
    )
    return Networks(losses, accuracies, [history[-1] for history in histories])


def tally(ends: Sequence[Row]) -> dict[str, int]:
    """Of how many networks each first finding is; "nothing" where there is none."""
    diagnoses = [row["diagnosis"] for row in ends]
    firsts = [rows[0]["kind"] if rows else "nothing" for rows in diagnoses]
    return dict(Counter(firsts).most_common())


def of(rows: Sequence[Row], dataset: Dataset) -> dict[str, Any]:
    """All that was measured, beside the run's head."""
    reported = reported_3 = None  # the write-up is of MNIST alone
    if dataset.name == "mnist":
        reported = MODELS["sigmoid_mse"].reported
        reported_3 = MODELS["keras_dense"].reported
    finished = finished_networks(rows)
    start: dict[str, Any] | None = None
    if untrained := finished.pop(UNTRAINED, None):
        start = spread(untrained.accuracy[-1]) | against(untrained.accuracy, reported)
        del start["by_seed"]  # in the rows
    programs: dict[str, dict[str, Any]] = {}
    model_3: dict[str, dict[str, Any]] = {}
    for name, networks in finished.items():
        if name not in PROGRAMS:
            model, pixels = name.split(", ")
            model_3.setdefault(model, {})[pixels] = entry_of(networks, reported_3)
            continue
        programs[name] = entry_of(networks, reported) | judged(name, networks.ends)
        moved = any(end["parameter_change"] != 0 for end in networks.ends)
        if start and not moved and PROGRAMS[name].init is HEALTHY.init:
            programs[name]["reported_after_any_epoch"] = start  # of many more
    counts = np.bincount(dataset.test.label)
    return {
        "reported_accuracy": reported,
        "can_give_it": [
            name
            for name, entry in programs.items()
            if entry["reported_after_any_epoch"]["can_give_it"] and name in MISTAKES
        ],
        # What a network scores that answers one class to everything.
        "class_shares": (counts / counts.sum()).tolist(),
        "programs": programs,
        "untrained": start,
        "reported_accuracy_model_3": reported_3,
        "model_3": model_3,
    }


def spread(values: np.ndarray) -> dict[str, Any]:
    """Mean over seeds, its interval, and the extremes."""
    interval = statistics.bootstrap_interval(values)
    return {
        "test_accuracy": float(np.mean(values)),
        "interval_95": interval and list(interval),
        "lowest": float(np.min(values)),
        "highest": float(np.max(values)),
        "by_seed": values.tolist(),
    }


def against(values: np.ndarray, reported: float | None) -> dict[str, Any]:
    """How the values, whatever their shape, lie to what was reported, if it was."""
    lowest, highest = float(np.min(values)), float(np.max(values))
    result = {"lowest": lowest, "highest": highest, "of": int(np.size(values))}
    if reported is None:
        return result | dict.fromkeys(("can_give_it", "near_share", "exactly"))
    apart = np.abs(values - reported)
    return {
        **result,
        "can_give_it": lowest <= reported <= highest,
        "near_share": float(np.mean(apart <= NEAR)),
        "exactly": int(np.sum(apart < ROUNDED)),
    }


def entry_of(networks: Networks, reported: float | None) -> dict[str, Any]:
    """What is measured of a program; a mean is None where one of its values is."""
    ends, accuracy, losses = networks.ends, networks.accuracy, networks.train_loss
    fields = ("flat_hidden", "error_slope", "parameter_change", "answers", "diagnosis")
    by_seed = {name: [end[name] for end in ends] for name in fields}
    return {
        "seeds": [end["seed"] for end in ends],
        "epochs": ends[0]["epoch"],
        **spread(accuracy[-1]),
        "reported_at_the_end": against(accuracy[-1], reported),
        "reported_after_any_epoch": against(accuracy, reported),
        "mean_by_epoch": accuracy.mean(axis=1).tolist(),
        "first_epoch_train_loss": finite(losses[0].mean()),
        "train_loss": finite(losses[-1].mean()),
        **{n: finite(np.array(by_seed[n], float).mean()) for n in fields[:3]},
        **{f"{name}_by_seed": values for name, values in by_seed.items()},
        "diagnosis": tally(ends),
    }


def judged(name: str, ends: Sequence[Row]) -> dict[str, Any]:
    """What was to be found in a program of Model 1, and what was found."""
    return {
        "program": name,
        "mistake": PROGRAMS[name].mistake,
        "expected_finding": PROGRAMS[name].sign,
        "diagnosed": sum(is_right(name, end) for end in ends),
        "flagged": [
            {
                "seed": end["seed"],
                "test_accuracy": end["test_accuracy"],
                "said": [finding["text"] for finding in end["diagnosis"]],
                "is_true": is_right(name, end),
            }
            for end in ends
            if end["diagnosis"]
        ],
    }


def is_right(name: str, end: Row) -> bool:
    """Whether the first finding is the program's mistake, or true of a healthy one.

    Of a healthy network nothing is to be found, unless its loss is not finite, or it
    never answers a digit.
    """
    kinds = [finding["kind"] for finding in end["diagnosis"]]
    if name in MISTAKES:
        return kinds[:1] == [MISTAKES[name].sign]
    if end["train_loss"] is None:
        return kinds[:1] in ([], ["diverging"])
    return all(kind == "never_answered" and 0 in end["answers"] for kind in kinds)
