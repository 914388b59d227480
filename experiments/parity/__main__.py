"""Do tf.keras, Flax and the functions from scratch compute the same network?

    python experiments/parity.py

All start from the same weights of 784-1024-10, take the same batches in the same order
and use Adam in Keras's form, for one epoch, in float32 and in float64. The weights are
compared as they go; Keras on its JAX backend is a fourth program. Then each difference
that people trip over is put back, one at a time: first to see how far apart it keeps
the programs, then to price it in test accuracy, over seeds.

Expected on MNIST: in float64 the weights agree to 1e-13 over the 1,563 updates of an
epoch, and Flax and the functions from scratch are bit for bit the same; in float32 the
difference from tf.keras is 1e-5 up to step 300 and 0.3 at the end. Raw pixels cost 3.8
points of accuracy; Adam's epsilon and clipping cost nothing that 6 seeds can show.
About 6 minutes on two CPU cores.
"""

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import jax
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from experiments.kit import command as runtime
from experiments.kit import run as experiment
from experiments.kit.numbers import finites
from experiments.kit.progress import console
from experiments.kit.run import Experiment
from experiments.parity import comparison, prices
from experiments.parity import report as parity_report
from experiments.parity.results import ParityRun, Priced, Watched
from experiments.parity.task import Task, batches, marks, pixel_values
from jaxnets import flax_dense
from jaxnets import models as recipes
from jaxnets.errors import InputError
from jaxnets.models import Recipe
from jaxnets.running import check_fits


@dataclass(frozen=True, kw_only=True)
class Config(experiment.Options):
    """What to compare, how long, and over how many seeds."""

    recipe: Recipe = recipes.KERAS_DENSE
    """The network and its optimizer; its epochs are --epochs."""
    seed: int = 3
    """Decides the weights and the order of the images in the comparison by steps."""
    steps: int | None = None
    """Updates compared; left out: one epoch."""
    seeds: int = 6
    """Networks trained of each priced choice, from the seeds 1, 2, ...; 0: none."""
    epochs: int = 3
    """Epochs of each of these networks."""


def main(config: Config) -> dict[str, Any]:
    """Compare step by step, then price the differences; return results.json."""
    recipe = replace(config.recipe, num_epochs=config.epochs)
    _check(config, recipe)
    run = experiment.prepare("parity", config)
    check_fits("keras_dense", recipe, run.dataset)
    found = _plan(config, recipe, run)
    run.begin()
    if found.missing:
        console.print(f"Not installed, and left out: {', '.join(found.missing)}.")

    def work() -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        live = console.is_terminal
        with Progress(*columns, console=console, disable=not live) as bars:
            _compare(run, found, recipe, bars)
            _price(run, found, config, recipe, bars)

    return run.carry_out(work, lambda status: parity_report.finish(run, found, status))


def _check(config: Config, recipe: Recipe) -> None:
    """Raise InputError for what is wrong whatever the data."""
    recipes.check("keras_dense", recipe)
    recipes.check_seed(config.seed)
    if recipe.optimizer != "adam":
        raise InputError(f"optimizer {recipe.optimizer} must be adam: it is compared")
    if config.steps is not None and config.steps < 1:
        raise InputError(f"steps={config.steps} must be at least 1")
    if config.seeds < 0:
        raise InputError(f"seeds={config.seeds} must be 0 or more")


def _plan(config: Config, recipe: Recipe, run: Experiment) -> ParityRun:
    """Everything that is to be compared and priced, still without results."""
    installed = comparison.programs()
    num_steps = config.steps
    if num_steps is None:
        num_steps = math.ceil(len(run.dataset.train.label) / recipe.batch_size)
    pairs = [*comparison.equals(num_steps), *comparison.causes(num_steps)]
    sides = {side.program for pair in pairs for side in (pair.one, pair.other)}
    return ParityRun(
        watched=[Watched(pair) for pair in pairs if pair.runs_with(installed)],
        priced=[Priced(choice) for choice in prices.CHOICES],
        missing=sorted(sides - set(installed)),
        seed=config.seed,
    )


def _compare(run: Experiment, found: ParityRun, recipe: Recipe, bars: Progress) -> None:
    """Train all programs abreast, noting their differences as they go."""
    num_steps = max(watched.comparison.num_steps for watched in found.watched)
    bar = bars.add_task("updates", total=num_steps)
    console.print("Starting the programs ...")
    init_key, data_key = recipes.run_keys(found.seed)
    train = run.dataset.train
    task = Task(
        params=jax.device_get(flax_dense.init(init_key, recipe.layer_sizes)),
        data=train,
        batches=batches(data_key, len(train.label), recipe.batch_size, num_steps),
        marks=marks(num_steps),
        learning_rate=recipe.learning_rate,
        pixels=pixel_values(),
    )
    began = time.perf_counter()
    pairs = [watched.comparison for watched in found.watched]
    for step, apart in comparison.compare(pairs, task):
        for watched in found.watched:
            if watched.comparison.name in apart:
                watched.steps.append(step)
                watched.apart.append(apart[watched.comparison.name])
        line = {"dataset": run.dataset.name, "step": step, "apart": apart}
        run.written.append_line("metrics.jsonl", line)
        bars.update(bar, completed=step)
        bars.console.print(parity_report.step_line(step, apart))
    found.parity_seconds = time.perf_counter() - began


def _price(
    run: Experiment, found: ParityRun, config: Config, recipe: Recipe, bars: Progress
) -> None:
    """Train the choices one after the other, each from all seeds."""
    seeds = range(1, config.seeds + 1)
    total = len(found.priced) * len(seeds) * recipe.num_epochs
    bar = bars.add_task("epochs of priced networks", total=total)
    began = time.perf_counter()
    for priced in found.priced if seeds else ():
        for epoch in prices.train(priced.choice, recipe, run.dataset, seeds):
            line = {
                "dataset": run.dataset.name,
                "choice": priced.choice.name,
                "epoch": epoch.number,
                "seeds": list(epoch.seeds),
                "train_loss": finites(epoch.train_loss),
                "test_accuracy": epoch.test_accuracy.tolist(),
            }
            run.written.append_line("metrics.jsonl", line)
            bars.update(bar, advance=len(epoch.seeds))
            if epoch.number == recipe.num_epochs:
                values = epoch.test_accuracy.tolist()
                priced.accuracy.update(zip(epoch.seeds, values, strict=True))
        bars.console.print(parity_report.price_line(priced))
    found.price_seconds = time.perf_counter() - began


if __name__ == "__main__":
    runtime.run(main, Config, all_cores=True)
