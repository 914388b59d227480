"""The rows of this experiment: one network after one epoch each.

    program, seed   of the network
    epoch           1 for the first; 0 for a network as it starts
    train_loss      mean, as the program reports it; null where it is not finite, or
                    where there is nothing to train on
    test_accuracy   as the program reports it

The last row of a network holds also what it looks like in the end:

    flat_hidden, error_slope     measures of `jaxnets.diagnose`, Model 1 alone
    parameter_change             root mean square
    answers                      how often each class is answered
    diagnosis                    findings of `jaxnets.diagnose`, kind and text
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.kit.numbers import finite
from experiments.kit.run import Row
from jaxnets.diagnose import Run, change, diagnose, error_slope, flat_share

UNTRAINED = "untrained"  # the program of networks that are tested as they start


def epoch_row(
    program: str, seed: int, epoch: int, train_loss: float | None, accuracy: float
) -> dict[str, Any]:
    """The row of a network after an epoch."""
    return {
        "program": program,
        "seed": seed,
        "epoch": epoch,
        "train_loss": finite(train_loss),
        "test_accuracy": float(accuracy),
    }


def end_of(run: Run) -> dict[str, Any]:
    """What the last row of a network holds beside its epoch."""
    slope = None
    if run.cost == "quadratic" and run.outputs is not None:
        slope = error_slope(run.outputs, run.labels)
    return {
        "flat_hidden": finite(flat_share(run.cost, run.hidden)),
        "error_slope": finite(slope),
        "parameter_change": finite(change(run.first, run.last)),
        "answers": np.bincount(run.answers, minlength=10).tolist(),
        "diagnosis": [finding._asdict() for finding in diagnose(run)],
    }


def is_end(row: Row) -> bool:
    """Whether it is the last row of a network."""
    return "diagnosis" in row or row["program"] == UNTRAINED


class Networks(NamedTuple):
    """The finished networks of one program, S of them, after E epochs."""

    train_loss: np.ndarray  # float [E, S], NaN where not finite; E is 0 without any
    accuracy: np.ndarray  # float [E, S]; [1, S] where E is 0
    ends: list[Row]  # the last row of each

    def values(self, name: str) -> list[Any]:
        """One field of `ends`."""
        return [row[name] for row in self.ends]


def finished_networks(rows: Sequence[Row]) -> dict[str, Networks]:
    """By program, in the order of the rows; programs with a finished network only."""
    histories: dict[str, dict[int, list[Row]]] = {}
    for row in rows:
        histories.setdefault(row["program"], {}).setdefault(row["seed"], []).append(row)
    programs = {}
    for program, by_seed in histories.items():
        finished = [history for history in by_seed.values() if is_end(history[-1])]
        if finished:
            epochs = list(zip(*finished, strict=True))
            losses = [[row["train_loss"] for row in epoch] for epoch in epochs]
            accuracies = [[row["test_accuracy"] for row in epoch] for epoch in epochs]
            programs[program] = Networks(
                np.array(losses if epochs[0][0]["epoch"] else [], float),
                np.array(accuracies),
                list(epochs[-1]),
            )
    return programs


def tally(ends: Sequence[Row]) -> dict[str, int]:
    """Of how many networks each first finding is; "nothing" where there is none."""
    diagnoses = [row["diagnosis"] for row in ends]
    firsts = [rows[0]["kind"] if rows else "nothing" for rows in diagnoses]
    return dict(Counter(firsts).most_common())


def in_words(rows: Sequence[Row]) -> str:
    """All networks of a program in a line."""
    accuracies = [row["test_accuracy"] for row in rows]
    line = f"{min(accuracies):.2%} to {max(accuracies):.2%}"
    if "diagnosis" not in rows[0]:
        return line
    kinds = [f"{kind} {count}" for kind, count in tally(rows).items()]
    return f"{line}  {', '.join(kinds)}"
