"""Do tf.keras, Flax and the functions from scratch compute the same network?

    python -m experiments.parity

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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax

from experiments.kit.command import run_command
from experiments.kit.options import Options
from experiments.kit.progress import Progress
from experiments.kit.run import Run
from experiments.parity import page, prices
from experiments.parity.comparison import Comparison, compare, comparisons, programs
from experiments.parity.results import results
from experiments.parity.task import make_task
from jaxnets import models, training
from jaxnets.data import Dataset
from jaxnets.errors import InputError
from jaxnets.types import Recipe


@dataclass(frozen=True, kw_only=True)
class Config(Options):
    """What to compare, how long, and over how many seeds."""

    recipe: Recipe = models.KERAS_DENSE.recipe
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
    run = Run.open("parity", config)
    recipe = validated_recipe(run.config, run.data)
    num_steps = run.config.steps
    if num_steps is None:
        num_steps = math.ceil(len(run.data.train.label) / recipe.batch_size)
    pairs = comparisons(num_steps)
    run.record(measure(run, recipe, pairs))
    installed = run.kept("programs") or programs()
    content = results(run.rows, pairs, installed, recipe.num_epochs)
    run.write_csv("parity.csv", *page.step_rows(content, run.data.name))
    run.write_csv("prices.csv", *page.price_rows(content, run.data.name))
    return run.publish(
        {"seed": run.config.seed, **content},
        title="Equal, step by step",
        lead="One network in several programs, from the same weights and on the same "
        "batches in the same order; and what keeps such programs apart.",
        sections=page.sections(content),
    )


def validated_recipe(config: Config, data: Dataset) -> Recipe:
    """The recipe with the epochs asked for; InputError where an option is wrong."""
    recipe = replace(config.recipe, num_epochs=config.epochs)
    models.validate_recipe("keras_dense", recipe)
    models.validate_fits("keras_dense", recipe, data)
    training.require_seed(config.seed)
    if recipe.optimizer != "adam":
        raise InputError(f"optimizer {recipe.optimizer} must be adam: it is compared")
    if config.steps is not None and config.steps < 1:
        raise InputError(f"steps={config.steps} must be at least 1")
    if config.seeds < 0:
        raise InputError(f"seeds={config.seeds} must be 0 or more")
    return recipe


def measure(
    run: Run[Config], recipe: Recipe, pairs: Sequence[Comparison]
) -> Iterator[dict[str, Any]]:
    """A row for each mark among the updates, then for each epoch that is priced."""
    installed = programs()
    run.keep("programs", installed)
    pairs = [pair for pair in pairs if pair.runs_with(installed)]
    num_steps = max(pair.num_steps for pair in pairs)
    seeds = range(1, run.config.seeds + 1)
    choices = prices.CHOICES if seeds else ()
    num_epochs = len(choices) * len(seeds) * recipe.num_epochs
    totals = {"updates": num_steps, "priced epochs": num_epochs}
    task = make_task(recipe, run.data, run.config.seed, num_steps)
    with jax.default_matmul_precision("highest"), Progress(totals) as progress:
        progress.text("updates", "starting the programs")
        for before, row in zip((0, *task.marks), compare(pairs, task), strict=False):
            progress.advance("updates", row["step"] - before, page.step_text(row))
            yield {"dataset": run.data.name, **row}
        for choice in choices:
            for row in prices.train(choice, recipe, run.data, seeds):
                amount = len(row["seeds"])
                text = page.price_text(row)
                progress.advance("priced epochs", amount, text)
                yield {"dataset": run.data.name, **row}


if __name__ == "__main__":
    run_command(main, Config, all_cores=True)
