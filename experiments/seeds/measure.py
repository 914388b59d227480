"""The measurements: networks trained several at once, and one alone in between."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.kit.numbers import finite
from experiments.kit.progress import Progress
from experiments.kit.run import Row, Run
from jaxnets import ensemble, models, optimizers, training
from jaxnets.data import Dataset
from jaxnets.errors import NonFiniteLoss
from jaxnets.models import Model
from jaxnets.training import Epoch
from jaxnets.types import Params, Recipe, Totals

ALONE_EPOCHS = 5  # of a network that is timed alone


class Plan(NamedTuple):
    """The networks of one model that are to be trained."""

    model: Model
    recipe: Recipe
    seeds: Sequence[int]

    def init(self, key: jax.Array) -> Params:
        """One network's initial parameters."""
        return self.model.network.init(key, self.recipe.layer_sizes)

    def work(self, data: Dataset) -> dict[str, Any]:
        """What `num_at_once`, `fit_many` and `fit` are all given."""
        return {
            "loss_fn": self.model.network.loss_fn,
            "tx": optimizers.make(self.recipe),
            "train": data.train,
            "held_out": (data.validation, data.test),
            "batch_size": self.recipe.batch_size,
        }


def measure(run: Run, plans: Mapping[str, Plan]) -> Iterator[Row]:
    """Train all networks, model after model; yield a row per network and epoch."""
    totals = {n: len(p.seeds) * p.recipe.num_epochs for n, p in plans.items()}
    with jax.default_matmul_precision("highest"), Progress(totals) as progress:
        for plan in plans.values():
            yield from _measure_model(run, plan, progress)


def _measure_model(run: Run, plan: Plan, progress: Progress) -> Iterator[Row]:
    """Train group after group, and time networks alone in between."""
    name, began = plan.model.name, time.perf_counter()
    alone: list[float] = []
    try:
        at_once, num_pauses = run.config.at_once, run.config.alone
        if plan.model.framework == "keras":
            at_once, num_pauses = 1, 0
        if at_once is None:
            at_once = ensemble.num_at_once(plan.init, **plan.work(run.data))
        groups = ensemble.chunks(plan.seeds, at_once)
        pauses = np.linspace(0, len(groups), num_pauses).round().tolist()
        for number, seeds in enumerate(groups):
            if number in pauses:
                progress.text(name, "one alone, for the clock")
                alone += _time_alone(plan, run.data, seeds[0])
            span = f"seeds {seeds[0]} to {seeds[-1]}"
            progress.text(name, f"{span}, compiling")
            for epoch in _train(plan, run.data, seeds):
                rows = seed_epochs(name, run.data.name, seeds, epoch)
                accuracy = np.mean(epoch.held_out[-1].accuracy)
                text = f"{span}, epoch {epoch.number}/{plan.recipe.num_epochs}"
                text += f", test accuracy {accuracy:.2%}"
                progress.advance(name, len(rows), text)
                yield from rows
        if len(groups) in pauses:
            alone += _time_alone(plan, run.data, plan.seeds[-1])
    finally:
        seconds = time.perf_counter() - began
        run.keep(f"clock-{name}", {"wall_seconds": seconds, "alone_seconds": alone})


def _train(plan: Plan, data: Dataset, seeds: Sequence[int]) -> Iterator[Epoch]:
    """Train networks together, or one with tf.keras, which its mirror then tests.

    The mirror computes what the Keras model computes, and a test holds it to that.
    """
    recipe = plan.recipe
    if plan.model.framework != "keras":
        work = plan.work(data)
        yield from ensemble.fit_many(
            plan.init, **work, seeds=seeds, num_epochs=recipe.num_epochs
        )
        return
    evaluate = jax.jit(training.make_evaluate(plan.model.network.loss_fn))
    test = jax.device_put(data.test)
    for event in models.train_and_test(plan.model.name, recipe, data, seeds[0]):
        if isinstance(event, Epoch):
            tested = jax.device_get(evaluate(event.state.params, test))
            totals = event.train, (*event.held_out, tested)
            train, held_out = jax.tree.map(np.atleast_1d, totals)
            yield event._replace(train=train, held_out=held_out)


def _time_alone(plan: Plan, data: Dataset, seed: int) -> list[float]:
    """Seconds of the first epochs of one network, evaluations included."""
    work, keys = plan.work(data), training.run_keys(seed)
    state = training.start(plan.init(keys.init), work["tx"])
    num_epochs = min(ALONE_EPOCHS, plan.recipe.num_epochs)
    epochs = training.fit(**work, state=state, num_epochs=num_epochs, key=keys.data)
    seconds = []
    # The clock has seen the epochs before a divergence; the results show the rest.
    with contextlib.suppress(NonFiniteLoss):
        for epoch in epochs:
            seconds.append(epoch.seconds + epoch.evaluation_seconds)
    return seconds


def seed_epochs(
    model: str, dataset: str, seeds: Sequence[int], epoch: Epoch
) -> list[Row]:
    """An epoch of S networks, held out the validation and the test set, one by one."""
    rows: list[Row] = []
    for index, seed in enumerate(seeds):
        train, validation, test = (
            Totals(*(sums[index].item() for sums in part))
            for part in (epoch.train, *epoch.held_out)
        )
        row = {
            "dataset": dataset,
            "model": model,
            "seed": seed,
            "epoch": epoch.number,
            "train_loss": finite(train.mean_loss),
            "train_accuracy": train.accuracy,  # while the weights moved
            "validation_correct": validation.correct,
            "validation_seen": validation.seen,  # 0 without a validation set
            "test_correct": test.correct,
            "test_seen": test.seen,
            "group": seeds[0],  # first seed of the networks that trained together
            "group_size": len(seeds),
            "group_seconds": epoch.seconds,  # of them all
            "group_evaluation_seconds": epoch.evaluation_seconds,
        }
        rows.append(row)
    return rows
