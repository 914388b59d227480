"""The content of results.json, from rows."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy

from experiments.bugs import judge
from experiments.bugs.judge import share
from experiments.bugs.programs import PROGRAMS
from experiments.bugs.train import UNTRAINED, is_end
from experiments.kit.numbers import finite
from experiments.kit.run import Row
from experiments.kit.statistics import CONFIDENCE, ROUNDING, median_interval
from jaxnets.data import Dataset
from jaxnets.models import MODELS


class Networks(NamedTuple):
    """The finished networks of one program, S of them, after E epochs."""

    train_loss: np.ndarray  # float [E, S], NaN where not finite; [1, S] where E is 0
    accuracy: np.ndarray  # float [E, S]; [1, S] where E is 0
    ends: list[Row]  # the last row of each


def finished_networks(rows: Sequence[Row]) -> dict[str, Networks]:
    """By program, in the order of the rows; programs with a finished network only.

    Networks that `diagnose` is judged on are left out.
    """
    networks: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        if "setting" in row:
            continue
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
    """Of how many networks each first finding is; "healthy" where there is none."""
    diagnoses = [row["diagnosis"] for row in ends]
    firsts = [rows[0]["kind"] if rows else "healthy" for rows in diagnoses]
    return dict(Counter(firsts).most_common())


def of(rows: Sequence[Row], dataset: Dataset) -> dict[str, Any]:
    """All that was measured, beside the run's head."""
    reported = reported_3 = None  # the write-up is of MNIST alone
    if dataset.name == "mnist":
        reported = MODELS["sigmoid_mse"].reported
        reported_3 = MODELS["keras_dense"].reported
    counts = np.bincount(dataset.test.label)
    num_images = len(dataset.test.label)
    judged = [row for row in rows if "setting" in row]
    finished = finished_networks(rows)
    start: dict[str, Any] | None = None
    if untrained := finished.pop(UNTRAINED, None):
        start = spread(untrained.accuracy, reported, num_images)
        del start["by_seed"]  # in the rows
    programs: dict[str, dict[str, Any]] = {}
    model_3: dict[str, dict[str, Any]] = {}
    for name, networks in finished.items():
        if name in PROGRAMS:
            words = {"program": name, "mistake": PROGRAMS[name].mistake}
            programs[name] = words | entry_of(networks, reported, num_images)
        else:
            model, pixels = name.split(", ")
            entry = entry_of(networks, reported_3, num_images)
            model_3.setdefault(model, {})[pixels] = entry
    return {
        "reported_accuracy": reported,
        "within_chance": reported and chance_range(reported, num_images),
        # What a network scores that answers one class to everything.
        "class_shares": (counts / counts.sum()).tolist(),
        "programs": programs,
        "untrained": start,
        "reported_accuracy_model_3": reported_3,
        "within_chance_model_3": reported_3 and chance_range(reported_3, num_images),
        "model_3": model_3,
        "judgement": judge.results(judged) if judged else None,
    }


def chance_range(accuracy: float, num_images: int) -> list[int]:
    """The least and the most right answers within chance of a true accuracy.

    Either tail of the binomial distribution that is left out has 2.5 % at most.
    """
    interval = scipy.stats.binom.interval(CONFIDENCE, num_images, accuracy)
    return [int(end) for end in interval]


def spread(
    accuracy: np.ndarray, reported: float | None, num_images: int
) -> dict[str, Any]:
    """Accuracies float [E, S] after the last epoch, and beside what was reported."""
    last = accuracy[-1]
    entry: dict[str, Any] = {
        "test_accuracy": float(np.mean(last)),
        "median": float(np.median(last)),
        "median_interval_95": median_interval(last),
        "lowest": float(np.min(last)),
        "highest": float(np.max(last)),
        "by_seed": last.tolist(),
    }
    if reported is None:
        return entry | {"ends_within_chance": None, "passes_within_chance": None}
    low, high = np.array(chance_range(reported, num_images)) / num_images
    is_within = (accuracy >= low - ROUNDING) & (accuracy <= high + ROUNDING)
    return entry | {
        "ends_within_chance": share(is_within[-1]),
        "passes_within_chance": share(np.any(is_within[:-1], axis=0)),
    }


def entry_of(
    networks: Networks, reported: float | None, num_images: int
) -> dict[str, Any]:
    """What is measured of a program; a mean is None where one of its values is."""
    ends, accuracy, losses = networks.ends, networks.accuracy, networks.train_loss
    fields = ("flat_hidden", "error_slope", "parameter_change", "answers", "diagnosis")
    by_seed = {name: [end[name] for end in ends] for name in fields}
    return {
        "seeds": [end["seed"] for end in ends],
        "epochs": ends[0]["epoch"],
        **spread(accuracy, reported, num_images),
        "mean_by_epoch": accuracy.mean(axis=1).tolist(),
        "first_epoch_train_loss": finite(losses[0].mean()),
        "train_loss": finite(losses[-1].mean()),
        **{n: finite(np.array(by_seed[n], float).mean()) for n in fields[:3]},
        **{f"{name}_by_seed": values for name, values in by_seed.items()},
        "diagnosis": tally(ends),
    }
