"""The measurements: networks trained several at once, and one alone in between."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.kit.numbers import finite
from experiments.kit.progress import Progress
from experiments.kit.run import Run
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
    at_once: int | None  # None: as many as `ensemble.num_at_once` says
    alone: int  # how often to time a network alone

    def init(self, key: jax.Array) -> Params:
        """One network's initial parameters."""
        return self.model.network.init(key, self.recipe.layer_sizes)


class SeedEpoch(NamedTuple):
    """One network after one epoch: a line of metrics.jsonl."""

    dataset: str
    model: str
    seed: int
    epoch: int  # 1 for the first
    train_loss: float | None  # mean over the epoch; None where it is not finite
    train_accuracy: float  # while the weights moved
    validation_correct: int
    validation_seen: int  # 0 without a validation set
    test_correct: int
    test_seen: int
    group: int  # first seed of the networks that trained together
    group_size: int
    group_seconds: float  # of the epoch, all of these networks together
    group_evaluation_seconds: float  # likewise, on the held-out sets

    @property
    def test_accuracy(self) -> float:
        """Share of the test images."""
        return self.test_correct / self.test_seen


class Clock(NamedTuple):
    """Times of a model that belong to none of its rows."""

    wall_seconds: float | None = None  # compilation and the networks alone included
    alone_seconds: Sequence[float] = ()  # of each epoch of a network alone


def measure(run: Run, plans: Mapping[str, Plan]) -> Iterator[dict[str, Any]]:
    """Train all networks, model after model; yield a row per network and epoch."""
    totals = {
        name: len(plan.seeds) * plan.recipe.num_epochs for name, plan in plans.items()
    }
    with jax.default_matmul_precision("highest"), Progress(totals) as progress:
        for plan in plans.values():
            for row in _measure_model(run, plan, progress):
                yield row._asdict()


def _measure_model(run: Run, plan: Plan, progress: Progress) -> Iterator[SeedEpoch]:
    """Train group after group, and time networks alone in between."""
    name, num_epochs = plan.model.name, plan.recipe.num_epochs
    began = time.perf_counter()
    alone: list[float] = []
    try:
        if plan.model.framework == "keras":
            train, pauses = _train_keras, []
            groups = ensemble.chunks(plan.seeds, 1)
        else:
            train, at_once = _train_together, plan.at_once
            if at_once is None:
                at_once = ensemble.num_at_once(plan.init, **_work(plan, run.data))
            groups = ensemble.chunks(plan.seeds, at_once)
            pauses = np.linspace(0, len(groups), plan.alone).round().tolist()
        for number, seeds in enumerate(groups):
            if number in pauses:
                progress.text(name, "one alone, for the clock")
                alone += _time_alone(plan, run.data, seeds[0])
            span = f"seeds {seeds[0]} to {seeds[-1]}"
            progress.text(name, f"{span}, compiling")
            for epoch in train(plan, run.data, seeds):
                rows = seed_epochs(name, run.data.name, seeds, epoch)
                accuracy = np.mean([row.test_accuracy for row in rows])
                text = (
                    f"epoch {epoch.number}/{num_epochs}, test accuracy {accuracy:.2%}"
                )
                progress.advance(name, len(rows), f"{span}, {text}")
                yield from rows
        if len(groups) in pauses:
            alone += _time_alone(plan, run.data, plan.seeds[-1])
    finally:
        clock = Clock(time.perf_counter() - began, alone)
        run.keep(f"clock-{name}", clock._asdict())


def _work(plan: Plan, data: Dataset) -> dict[str, Any]:
    """What `num_at_once`, `fit_many` and `fit` are all given."""
    return {
        "loss_fn": plan.model.network.loss_fn,
        "tx": optimizers.make(plan.recipe),
        "train": data.train,
        "held_out": (data.validation, data.test),
        "batch_size": plan.recipe.batch_size,
    }


def _train_together(plan: Plan, data: Dataset, seeds: Sequence[int]) -> Iterator[Epoch]:
    work, num_epochs = _work(plan, data), plan.recipe.num_epochs
    return ensemble.fit_many(plan.init, **work, seeds=seeds, num_epochs=num_epochs)


def _train_keras(plan: Plan, data: Dataset, seeds: Sequence[int]) -> Iterator[Epoch]:
    """Train one network with tf.keras; its mirror evaluates on the test set.

    The mirror computes what the Keras model computes, and a test holds it to that.
    """
    evaluate = jax.jit(training.make_evaluate(plan.model.network.loss_fn))
    test = jax.device_put(data.test)
    for event in models.train_and_test(plan.model.name, plan.recipe, data, seeds[0]):
        if isinstance(event, Epoch):
            tested = jax.device_get(evaluate(event.state.params, test))
            totals = event.train, (*event.held_out, tested)
            train, held_out = jax.tree.map(np.atleast_1d, totals)
            yield event._replace(train=train, held_out=held_out)


def _time_alone(plan: Plan, data: Dataset, seed: int) -> list[float]:
    """Seconds of the first epochs of one network, evaluations included."""
    work, keys = _work(plan, data), training.run_keys(seed)
    state = training.start(plan.init(keys.init), work["tx"])
    num_epochs = min(ALONE_EPOCHS, plan.recipe.num_epochs)
    seconds = []
    # The clock has seen the epochs before a divergence; the results show the rest.
    with contextlib.suppress(NonFiniteLoss):
        for epoch in training.fit(
            **work, state=state, num_epochs=num_epochs, key=keys.data
        ):
            seconds.append(epoch.seconds + epoch.evaluation_seconds)
    return seconds


def seed_epochs(
    model: str, dataset: str, seeds: Sequence[int], epoch: Epoch
) -> list[SeedEpoch]:
    """An epoch of S networks, held out the validation and the test set, one by one."""
    rows = []
    for index, seed in enumerate(seeds):
        train, validation, test = (
            Totals(*(sums[index].item() for sums in part))
            for part in (epoch.train, *epoch.held_out)
        )
        row = SeedEpoch(
            dataset=dataset,
            model=model,
            seed=seed,
            epoch=epoch.number,
            train_loss=finite(train.mean_loss),
            train_accuracy=float(train.accuracy),
            validation_correct=int(validation.correct),
            validation_seen=int(validation.seen),
            test_correct=int(test.correct),
            test_seen=int(test.seen),
            group=seeds[0],
            group_size=len(seeds),
            group_seconds=epoch.seconds,
            group_evaluation_seconds=epoch.evaluation_seconds,
        )
        rows.append(row)
    return rows
