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

from typing import Any

import numpy as np

from experiments.kit.numbers import finite
from experiments.kit.run import Row
from jaxnets.diagnose import Run, change, diagnose, error_slope, flat_share

UNTRAINED = "untrained"  # the program of networks that are tested as they start
NUM_INPUTS = 100  # images whose inputs are looked at


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
