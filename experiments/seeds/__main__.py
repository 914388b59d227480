"""Train each network from many seeds, and say what one run is worth.

    python experiments/seeds.py

One run is an anecdote. This trains 20 networks of each kind, several at once, and
shows for each the mean, the spread and a 95 % interval over seeds; for each pair of
kinds whether the data can rank them; and three numbers side by side: the accuracy
after the last epoch, at the epoch chosen on the validation set, and at the best epoch
on the test set, which is how optimistic figures come about. To that end it looks at
the test set after every epoch; nothing is steered by it.

Expected on MNIST, 20 seeds (Keras 8): 97.8 to 97.9 % for Model 2, Flax and Keras, which
tie; Model 1 has a median of 95.0 %, and one seed of 20 gets stuck at 86 %. Under 8
minutes on two CPU cores, and 5 more for Keras (--keras-seeds 0 leaves it out).

It leaves a folder, runs/<time>-seeds, with report.html, figures, results.json,
metrics.jsonl (a line per model, seed and epoch) and seeds.csv.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import jax
import numpy as np

from experiments.kit import command as runtime
from experiments.kit import run as experiment
from experiments.kit.run import Experiment
from experiments.seeds import report as seeds_report
from experiments.seeds.progress import SeedsProgress
from experiments.seeds.results import ModelSeeds, SeedEpoch, seed_epoch
from jaxnets import ensemble as many
from jaxnets import models as recipes
from jaxnets import running, training
from jaxnets.errors import InputError, NonFiniteLoss

ALONE_EPOCHS = 5  # of a network that is timed alone


@dataclass(frozen=True, kw_only=True)
class Config(experiment.Options):
    """What to train, how often, and how many at once."""

    models: tuple[str, ...] = (
        "sigmoid_mse",
        "relu_softmax",
        "flax_dense",
        "keras_dense",
    )
    """Which networks to train, in this order; row_rnn is another."""
    seeds: int = 20
    """Networks of each kind."""
    first_seed: int = 0
    """The seeds count up from here."""
    keras_seeds: int = 8
    """Networks of keras_dense, which trains one at a time; 0 leaves it out."""
    epochs: int | None = None
    """Epochs of every network, in place of each recipe's own."""
    at_once: int | None = None
    """Networks trained at once; left out: as many as a core's cache holds."""
    alone: int = 3
    """How often to time a network alone, in between; 0: not at all."""


def main(config: Config) -> dict[str, Any]:
    """Train all networks; return the content of results.json."""
    models = _plan(config)
    run = experiment.prepare("seeds", config)
    for model in models:
        running.check_fits(model.name, model.recipe, run.dataset)
    run.begin({**asdict(config), "at_once": {m.name: m.at_once for m in models}})

    def work() -> None:
        with SeedsProgress(models) as progress:
            for model in models:
                train = _train_jax if model.name in recipes.NETWORKS else _train_keras
                began = time.perf_counter()
                try:
                    train(model, run, config, progress)
                finally:
                    model.wall_seconds = time.perf_counter() - began

    def finish(status: str) -> dict[str, Any]:
        return seeds_report.finish(run, models, status)

    return run.carry_out(work, finish)


def _plan(config: Config) -> list[ModelSeeds]:
    """What is to be trained; InputError where that makes no sense."""
    if not config.models or len(set(config.models)) < len(config.models):
        raise InputError(f"models {config.models} must be one or more, each once")
    for name, least in (("seeds", 1), ("keras_seeds", 0), ("alone", 0)):
        if getattr(config, name) < least:
            raise InputError(f"{name}={getattr(config, name)} must be at least {least}")
    recipes.check_seed(config.first_seed)
    recipes.check_seed(config.first_seed + config.seeds - 1)
    models = []
    for name in config.models:
        if name not in recipes.RECIPES:
            known = ", ".join(recipes.RECIPES)
            raise InputError(f"unknown model {name!r}; known: {known}")
        recipe = recipes.RECIPES[name]
        if config.epochs is not None:
            recipe = replace(recipe, num_epochs=config.epochs)
        recipes.check(name, recipe)
        is_jax = name in recipes.NETWORKS
        count = config.seeds if is_jax else min(config.seeds, config.keras_seeds)
        seeds = range(config.first_seed, config.first_seed + count)
        if seeds:
            at_once = _at_once(config, name, recipe, seeds) if is_jax else 1
            models.append(ModelSeeds(name, recipe, seeds, at_once))
    if not models:
        raise InputError("keras_seeds=0 leaves no model; add one to --models")
    return models


def _at_once(
    config: Config, name: str, recipe: recipes.Recipe, seeds: Sequence[int]
) -> int:
    """The size of the largest chunk."""
    network, tx = recipes.NETWORKS[name], recipes.optimizer(recipe)
    limit = config.at_once
    if limit is None:
        limit = many.num_at_once(lambda key: network.init(key, recipe.layer_sizes), tx)
    return len(many.chunks(seeds, limit)[0])


def _train_jax(
    model: ModelSeeds, run: Experiment, config: Config, progress: SeedsProgress
) -> None:
    """Train chunk after chunk, and time networks alone in between."""
    chunks = many.chunks(model.seeds, model.at_once)
    pauses = set(np.linspace(0, len(chunks), config.alone).round().astype(int).tolist())
    for place, seeds in enumerate(chunks):
        if place in pauses:
            progress.alone(model)
            _time_alone(model, run, seeds[0])
        progress.begin(model, seeds)
        for epoch in many.fit_seeds(seeds=seeds, **_work(model, run)):
            found = [seed_epoch(epoch, at) for at in range(len(seeds))]
            for seed, one in zip(seeds, found, strict=True):
                _note(model, run, seed, one)
            model.together.append(epoch.seconds / len(seeds))
            progress.epoch(model, seeds, found)
        progress.end(model, seeds)
    if len(chunks) in pauses:
        progress.alone(model)
        _time_alone(model, run, model.seeds[-1])


def _work(model: ModelSeeds, run: Experiment) -> dict[str, Any]:
    """The arguments of `many.fit_seeds` and `many.fit_alone` but for the seeds."""
    network, recipe = recipes.NETWORKS[model.name], model.recipe
    return {
        "init": lambda key: network.init(key, recipe.layer_sizes),
        "loss_fn": network.loss_fn,
        "tx": recipes.optimizer(recipe),
        "train": run.dataset.train,
        "held_out": [run.dataset.validation, run.dataset.test],
        "batch_size": recipe.batch_size,
        "num_epochs": recipe.num_epochs,
    }


def _time_alone(model: ModelSeeds, run: Experiment, seed: int) -> None:
    """The first epochs of one network, for the clock only."""
    work = _work(model, run)
    work["num_epochs"] = min(ALONE_EPOCHS, model.recipe.num_epochs)
    try:
        for epoch in many.fit_alone(seed=seed, **work):
            model.alone.append(epoch.seconds)
    except NonFiniteLoss:
        pass  # the clock has seen the epochs before; the results will show the rest


def _train_keras(
    model: ModelSeeds, run: Experiment, config: Config, progress: SeedsProgress
) -> None:
    """Train with tf.keras, one after the other; its mirror evaluates on the test set.

    The mirror computes what the Keras model computes, and a test holds it to that.
    """
    del config
    evaluate = jax.jit(training.make_evaluate(recipes.NETWORKS["flax_dense"].loss_fn))
    test = jax.device_put(run.dataset.test)
    for seed in model.seeds:
        progress.begin(model, [seed])
        for event in running.train(model.name, model.recipe, run.dataset, seed):
            if isinstance(event, running.EpochRecord):
                totals = jax.device_get(evaluate(event.params, test))
                epoch = SeedEpoch(
                    number=event.number,
                    train_loss=event.train_loss,
                    train_accuracy=event.train_accuracy,
                    validation_correct=event.validation_correct or 0,
                    validation_seen=event.validation_seen,
                    test_correct=int(totals.correct),
                    test_seen=int(totals.seen),
                )
                _note(model, run, seed, epoch)
                progress.epoch(model, [seed], [epoch])
        progress.end(model, [seed])


def _note(model: ModelSeeds, run: Experiment, seed: int, epoch: SeedEpoch) -> None:
    """Keep a network's epoch, and write its line of metrics.jsonl."""
    model.add(seed, epoch)
    line = {"dataset": run.dataset.name, "model": model.name, "seed": seed}
    run.written.append_line("metrics.jsonl", {**line, **epoch.as_json()})


if __name__ == "__main__":
    runtime.run(main, Config, all_cores=True)
