"""From the rows of a run to the content of results.json. Nothing is measured here."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.kit.numbers import finite
from experiments.kit.run import Row
from experiments.sweep.measure import Plan
from jaxnets.data import NUM_CLASSES
from jaxnets.models import Model

# What the best constant answer costs: a probability of 0.1 for each of ten classes.
CONSTANT = {
    "cross_entropy": math.log(NUM_CLASSES),
    "quadratic": 0.5 * (1 - 1 / NUM_CLASSES),  # (0.9^2 + 9 x 0.1^2) / 2
}
LAST_EPOCHS = 10  # in which a network's restlessness is taken


def results(plans: Sequence[Plan], rows: Sequence[Row]) -> dict[str, Any]:
    """By batch size every rate, the best one, and the edge of divergence."""
    model = plans[0].model
    content: dict[str, Any] = {}
    for plan in plans:
        own = [row for row in rows if row["batch_size"] == plan.recipe.batch_size]
        if own:
            rates = [of_rate(model, rate, own) for rate in plan.rates]
            content[str(plan.recipe.batch_size)] = {
                "rates": rates,
                "best_rate": max(rates, key=_validation)["rate"],
                "edge": edge(rates),
            }
    return {
        "model": model.name,
        "published_rate": model.recipe.learning_rate,
        "constant_loss": CONSTANT[model.cost],
        "batch_sizes": content,
    }


def _validation(entry: Row) -> float:
    return entry["validation_accuracy"]["median"]


def of_rate(model: Model, rate: float, rows: Sequence[Row]) -> dict[str, Any]:
    """What became of one rate's networks, in the last epoch that all have reached."""
    own = [row for row in rows if row["rate"] == rate]
    seeds = list(dict.fromkeys(row["seed"] for row in own))
    by_seed = [[row for row in own if row["seed"] == seed] for seed in seeds]
    num_epochs = min(map(len, by_seed))
    ends = [network[num_epochs - 1] for network in by_seed]
    curves = np.array(
        [[r["validation_accuracy"] for r in run[:num_epochs]] for run in by_seed]
    )
    changes = np.abs(np.diff(curves[:, -LAST_EPOCHS - 1 :]))
    tested = [end["test_accuracy"] for end in ends if "test_accuracy" in end]
    return {
        "rate": rate,
        "seeds": len(seeds),
        "validation_accuracy": spread([end["validation_accuracy"] for end in ends]),
        "test_accuracy": spread(tested) if len(tested) == len(ends) else None,
        "failed": sum(has_failed(model, end["train_loss"]) for end in ends),
        "restlessness": finite(changes.mean()) if changes.size else None,
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    median, low, high = np.median(values), min(values), max(values)
    return {"median": float(median), "low": low, "high": high}


def has_failed(model: Model, train_loss: float | None) -> bool:
    """Whether a network's mean training loss of an epoch is not below a constant's.

    None is a loss that is not finite.
    """
    return train_loss is None or train_loss >= CONSTANT[model.cost]


def edge(rates: Sequence[Row]) -> list[float] | None:
    """The last rate at which most networks train, and the next, where most do not.

    From that one on none of the rates trains most networks. None where the highest rate
    still does, or no rate does.
    """
    trains = [2 * entry["failed"] < entry["seeds"] for entry in rates]
    if trains[-1] or not any(trains):
        return None
    last = max(index for index, does in enumerate(trains) if does)
    return [rates[last]["rate"], rates[last + 1]["rate"]]
