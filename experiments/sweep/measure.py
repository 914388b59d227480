"""Training all rates and seeds of a batch size at once, and what follows from it.

A row is one network after one epoch:

    batch_size, rate, seed, epoch   1 for the first
    train_loss                      mean; null where it is not finite
    validation_accuracy
    test_accuracy                   in the last epoch's row alone
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.kit.numbers import finite
from experiments.kit.progress import Progress
from experiments.kit.run import Row
from jaxnets import devices, ensemble, optimizers
from jaxnets.data import NUM_CLASSES, Dataset
from jaxnets.models import Model
from jaxnets.types import Params, Recipe

# What the best constant answer costs: a probability of 0.1 for each of ten classes.
CONSTANT = {
    "cross_entropy": math.log(NUM_CLASSES),
    "quadratic": 0.5 * (1 - 1 / NUM_CLASSES),  # (0.9^2 + 9 x 0.1^2) / 2
}
LAST_EPOCHS = 10  # in which a network's restlessness is taken


class Plan(NamedTuple):
    """What trains at one batch size: a network for each rate and seed."""

    model: Model
    recipe: Recipe  # but for its learning rate
    rates: tuple[float, ...]
    seeds: Sequence[int]

    @property
    def name(self) -> str:
        """On the screen."""
        return f"batch size {self.recipe.batch_size}"

    @property
    def num_networks(self) -> int:
        """One for each rate and seed."""
        return len(self.rates) * len(self.seeds)

    def init(self, key: jax.Array) -> Params:
        """One network's initial parameters."""
        return self.model.network.init(key, self.recipe.layer_sizes)

    def groups(self, data: Dataset) -> list[Sequence[tuple[float, int]]]:
        """Rates and seeds of what trains at once: all, or what a device's memory holds.

        The groups of one size share a program.
        """
        networks = list(itertools.product(self.rates, self.seeds))
        if devices.device_bytes() is None:  # a processor
            return [networks]
        at_once = ensemble.num_at_once(
            self.init,
            self.model.network.loss_fn,
            self.make_tx(jnp.float32(self.rates[0])),
            data.train,
            batch_size=self.recipe.batch_size,
        )
        return ensemble.chunks(networks, at_once)

    def make_tx(self, rate: jax.Array) -> optax.GradientTransformation:
        """The recipe's optimizer at a rate, which is data and not part of a program."""
        recipe = replace(self.recipe, learning_rate=rate)  # type: ignore[arg-type]
        return optimizers.make(recipe)


def measure(plans: Sequence[Plan], data: Dataset, precision: str) -> Iterator[Row]:
    """Train plan after plan, each in one program; a row a network and epoch."""
    with jax.default_matmul_precision(precision):
        groups = [(plan, group) for plan in plans for group in plan.groups(data)]
        totals = Counter(plan.name for plan, _ in groups)
        for plan in plans:
            totals[plan.name] *= plan.recipe.num_epochs
        with Progress(totals) as progress:
            for plan, networks in groups:
                yield from train(plan, networks, data, progress)


def train(
    plan: Plan,
    networks: Sequence[tuple[float, int]],
    data: Dataset,
    progress: Progress,
) -> Iterator[Row]:
    """The rows of one program, which trains these networks: rates and seeds."""
    name, recipe, loss_fn = plan.name, plan.recipe, plan.model.network.loss_fn
    rates, seeds = zip(*networks, strict=True)
    progress.text(name, f"compiling for {len(networks)} networks")
    for epoch in ensemble.fit_many(
        plan.init,
        loss_fn,
        plan.make_tx,
        data.train,
        (data.validation,),
        seeds=seeds,
        learning_rates=np.array(rates),
        batch_size=recipe.batch_size,
        num_epochs=recipe.num_epochs,
    ):
        accuracy = epoch.held_out[0].accuracy
        tested = None
        if epoch.number == recipe.num_epochs:
            evaluate = jax.jit(ensemble.make_evaluate(loss_fn))
            totals = evaluate(epoch.state.params, data.test)
            tested = jax.device_get(totals).accuracy
        best = f"epoch {epoch.number}, best validation accuracy {max(accuracy):.2%}"
        progress.advance(name, text=f"{best}, {epoch.seconds:.1f} s")
        for index, (rate, seed) in enumerate(networks):
            row = {
                "batch_size": recipe.batch_size,
                "rate": rate,
                "seed": seed,
                "epoch": epoch.number,
                "train_loss": finite(epoch.train.mean_loss[index]),
                "validation_accuracy": float(accuracy[index]),
            }
            if tested is not None:
                row["test_accuracy"] = float(tested[index])
            yield row


def results(plans: Sequence[Plan], rows: Sequence[Row]) -> dict[str, Any]:
    """By batch size every rate, the best one, and the edge of divergence."""
    model = plans[0].model
    content: dict[str, Any] = {}
    for plan in plans:
        own = [row for row in rows if row["batch_size"] == plan.recipe.batch_size]
        if own:
            reached = {row["rate"] for row in own}  # by a run that was cut short
            rates = [
                of_rate(model, rate, own) for rate in plan.rates if rate in reached
            ]
            content[str(plan.recipe.batch_size)] = {
                "rates": rates,
                "best_rate": max(
                    rates, key=lambda entry: entry["validation_accuracy"]["median"]
                )["rate"],
                "edge": edge(rates),
            }
    return {
        "model": model.name,
        "published_rate": model.recipe.learning_rate,
        "constant_loss": CONSTANT[model.cost],
        "batch_sizes": content,
    }


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
