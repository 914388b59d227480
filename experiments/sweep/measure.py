"""Training all rates and seeds of a batch size at once.

A row is one network after one epoch:

    batch_size, rate, seed, epoch   1 for the first
    train_loss                      mean; null where it is not finite
    validation_accuracy
    test_accuracy                   in the last epoch's row alone
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np
import optax

from experiments.kit.numbers import finite
from experiments.kit.progress import Progress
from experiments.kit.run import Row
from jaxnets import ensemble, optimizers, training
from jaxnets.data import Dataset
from jaxnets.models import Model
from jaxnets.types import Params, Recipe


class Plan(NamedTuple):
    """What one program trains: a network for each rate and seed."""

    model: Model
    recipe: Recipe  # but for its learning rate
    rates: tuple[float, ...]
    seeds: Sequence[int]

    @property
    def num_networks(self) -> int:
        """All of them train side by side."""
        return len(self.rates) * len(self.seeds)

    def init(self, key: jax.Array) -> Params:
        """One network's initial parameters."""
        return self.model.network.init(key, self.recipe.layer_sizes)

    def make_tx(self, rate: jax.Array) -> optax.GradientTransformation:
        """The recipe's optimizer at a rate, which is data and not part of a program."""
        recipe = replace(self.recipe, learning_rate=rate)  # type: ignore[arg-type]
        return optimizers.make(recipe)


def measure(plans: Sequence[Plan], data: Dataset) -> Iterator[Row]:
    """Train plan after plan, each in one program; a row a network and epoch."""
    totals = {name_of(plan): plan.recipe.num_epochs for plan in plans}
    with jax.default_matmul_precision("highest"), Progress(totals) as progress:
        for plan in plans:
            yield from train(plan, data, progress)


def name_of(plan: Plan) -> str:
    """A plan on the screen."""
    return f"batch size {plan.recipe.batch_size}"


def train(plan: Plan, data: Dataset, progress: Progress) -> Iterator[Row]:
    """The rows of one program."""
    name, recipe, loss_fn = name_of(plan), plan.recipe, plan.model.network.loss_fn
    networks = list(itertools.product(plan.rates, plan.seeds))
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
            evaluate = jax.vmap(training.make_evaluate(loss_fn), in_axes=(0, None))
            totals = jax.jit(evaluate)(epoch.state.params, data.test)
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
