"""The content of results.json, from rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.bugs.programs import HEALTHY, MISTAKES, PROGRAMS
from experiments.bugs.rows import UNTRAINED, Networks, finished_networks, tally
from experiments.kit import statistics
from experiments.kit.numbers import finite
from experiments.kit.run import Row
from jaxnets.data import Dataset
from jaxnets.models import MODELS

NEAR = 0.005  # half a point: 991 to 1,091 of 10,000 for Model 1
ROUNDED = 0.00005  # what prints as the reported figure, in per cent with two digits


def of(rows: Sequence[Row], dataset: Dataset) -> dict[str, Any]:
    """All that was measured, beside the run's head."""
    reported, reported_model_3 = reported_on(dataset.name)
    finished = finished_networks(rows)
    untrained = finished.pop(UNTRAINED, None)
    start: dict[str, Any] | None = None
    if untrained is not None:
        start = spread(untrained.accuracy[-1]) | against(untrained.accuracy, reported)
        del start["by_seed"]  # in the rows
    programs: dict[str, dict[str, Any]] = {}
    model_3: dict[str, dict[str, Any]] = {}
    for name, networks in finished.items():
        if name in PROGRAMS:
            programs[name] = program_result(name, networks, reported)
            if start and _stays_as_it_starts(name, networks):
                programs[name]["reported_after_any_epoch"] = start  # of many more
        else:
            model, pixels = name.split(", ")
            entry = model_3_result(networks, reported_model_3)
            model_3.setdefault(model, {})[pixels] = entry
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
        "reported_accuracy_model_3": reported_model_3,
        "model_3": model_3,
    }


def reported_on(dataset: str) -> tuple[float | None, float | None]:
    """What the write-up has of Models 1 and 3; it is of MNIST alone."""
    if dataset != "mnist":
        return None, None
    return MODELS["sigmoid_mse"].reported, MODELS["keras_dense"].reported


def spread(values: np.ndarray) -> dict[str, Any]:
    """Mean over seeds, its interval, and the extremes."""
    interval = statistics.bootstrap_interval(values)
    return {
        "test_accuracy": float(np.mean(values)),
        "interval_95": None if interval is None else list(interval),
        "lowest": float(np.min(values)),
        "highest": float(np.max(values)),
        "by_seed": values.tolist(),
    }


def against(values: np.ndarray, reported: float | None) -> dict[str, Any]:
    """How the values, whatever their shape, lie to what was reported, if it was."""
    lowest, highest = float(np.min(values)), float(np.max(values))
    extremes = {"lowest": lowest, "highest": highest, "of": int(np.size(values))}
    if reported is None:
        return {**extremes, "can_give_it": None, "near_share": None, "exactly": None}
    apart = np.abs(values - reported)
    return {
        **extremes,
        "can_give_it": lowest <= reported <= highest,
        "near_share": float(np.mean(apart <= NEAR)),
        "exactly": int(np.sum(apart < ROUNDED)),
    }


def _stays_as_it_starts(name: str, networks: Networks) -> bool:
    """Whether its networks are untrained ones, of which many more are tested."""
    is_moved = any(change != 0 for change in networks.values("parameter_change"))
    return not is_moved and PROGRAMS[name].init is HEALTHY.init


def program_result(
    name: str, networks: Networks, reported: float | None
) -> dict[str, Any]:
    """The entry of a program of Model 1."""
    return {
        "mistake": PROGRAMS[name].mistake,
        "seeds": networks.values("seed"),
        "epochs": len(networks.train_loss),
        **spread(networks.accuracy[-1]),
        "reported_at_the_end": against(networks.accuracy[-1], reported),
        "reported_after_any_epoch": against(networks.accuracy, reported),
        "flat_hidden": _mean(networks.values("flat_hidden")),
        "flat_hidden_by_seed": networks.values("flat_hidden"),
        "error_slope": _mean(networks.values("error_slope")),
        "error_slope_by_seed": networks.values("error_slope"),
        "parameter_change": _mean(networks.values("parameter_change")),
        "train_loss": _mean(networks.values("train_loss")),
        "answers_by_seed": networks.values("answers"),
        "expected_finding": PROGRAMS[name].sign,
        "diagnosed": sum(is_right(name, row) for row in networks.ends),
        "flagged": flagged(name, networks),
        "diagnosis": tally(networks.ends),
        "diagnosis_by_seed": networks.values("diagnosis"),
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
    never_answers = 0 in end["answers"]
    return all(kind == "never_answered" and never_answers for kind in kinds)


def flagged(name: str, networks: Networks) -> list[dict[str, Any]]:
    """The seeds of which something is found, with what it is and their accuracy."""
    return [
        {
            "seed": end["seed"],
            "test_accuracy": end["test_accuracy"],
            "said": [finding["text"] for finding in end["diagnosis"]],
            "is_true": is_right(name, end),
        }
        for end in networks.ends
        if end["diagnosis"]
    ]


def model_3_result(networks: Networks, reported: float | None) -> dict[str, Any]:
    """The entry of Model 3 with one kind of pixels."""
    losses = networks.train_loss
    return {
        **spread(networks.accuracy[-1]),
        "reported_at_the_end": against(networks.accuracy[-1], reported),
        "mean_by_epoch": np.mean(networks.accuracy, axis=1).tolist(),
        "train_loss": finite(np.mean(losses[-1])),
        "first_epoch_train_loss": finite(np.mean(losses[0])),
        "diagnosis": tally(networks.ends),
        "diagnosis_by_seed": networks.values("diagnosis"),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    """None where one of them is."""
    return finite(np.mean(np.array(values, float)))
