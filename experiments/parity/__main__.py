"""Do tf.keras, Flax and the functions from scratch compute the same network?

    python -m experiments.parity

All start from the same weights of 784-1024-10, take the same batches in the same order
and use Adam in Keras's form, for one epoch, in float32 and in float64. The weights are
compared as they go; Keras on its JAX backend is a fourth program.

Four things are made equal to that end, which in practice are not: Adam's betas are
float32 numbers everywhere; all programs get the pixels that XLA computes; Keras on JAX
ends in logits; and Keras trains by `train_on_batch`, not `fit`. Then each difference
is put back, one at a time: first to see how far apart it keeps the programs, then to
price it in test accuracy, over seeds. Two pairs have them back together, as the
programs are when `experiments.speed` times them, but for `fit`.

Flax and the functions from scratch hand the same operations to the same compiler. That
they are equal bit for bit checks what the compiler is given; tf.keras is the
independent program.

Expected on MNIST: in float64 the weights agree to 1e-13 over the 1,563 updates of an
epoch; in float32 the difference from tf.keras is 1e-5 up to step 300 and 0.3 to 0.6 at
the end. After 3 epochs raw pixels cost 3.9 points of accuracy; of Adam's epsilon,
initialisation and clipping 6 seeds show no cost. About 6 minutes on two CPU cores.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax

from experiments.kit.command import run_command
from experiments.kit.options import Options, require_at_least
from experiments.kit.progress import Progress
from experiments.kit.run import Row, Run
from experiments.parity import comparison, prices, sides
from experiments.parity.comparison import Comparison
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
    installed = run.kept("programs") if run.config.redraw else None
    one_epoch = -(-len(run.data.train.label) // recipe.batch_size)
    num_steps = run.config.steps or one_epoch
    pairs = comparison.comparisons(num_steps, installed or sides.installed())
    run.record(measure(run, recipe, pairs))
    from experiments.parity import page  # here, since it loads Matplotlib

    content = results(run.rows, pairs, recipe.num_epochs)
    apart = (
        (entry["name"], *point, run.data.name)
        for entry in content["comparisons"]
        for point in zip(entry["steps"], entry["apart"], strict=True)
    )
    run.write_csv("parity.csv", ("pair", "step", "apart", "dataset"), apart)
    accuracy = (
        (entry["name"], *point, run.data.name)
        for entry in content["prices"]
        for point in entry["accuracy"].items()
    )
    header = ("choice", "seed", "test_accuracy", "dataset")
    run.write_csv("prices.csv", header, accuracy)
    return run.publish(
        {"seed": run.config.seed, **content},
        title="Equal, step by step",
        lead=lambda: page.lead(content),
        sections=lambda: page.sections(content),
    )


def validated_recipe(config: Config, data: Dataset) -> Recipe:
    """The recipe with the epochs asked for; InputError where an option is wrong."""
    recipe = replace(config.recipe, num_epochs=config.epochs)
    models.validate_fits("keras_dense", recipe, data)
    training.require_seed(config.seed)
    require_at_least(config, steps=1, seeds=0)
    if recipe.optimizer != "adam":
        raise InputError(f"optimizer {recipe.optimizer} must be adam: it is compared")
    return recipe


def measure(
    run: Run[Config], recipe: Recipe, pairs: Sequence[Comparison]
) -> Iterator[Row]:
    """A row for each mark among the updates, then for each epoch that is priced."""
    run.keep("programs", sides.installed())
    num_steps = max(pair.num_steps for pair in pairs)
    seeds = range(1, run.config.seeds + 1)
    choices = tuple(prices.CHOICES) if seeds else ()
    num_epochs = len(choices) * len(seeds) * recipe.num_epochs
    task = comparison.make_task(recipe, run.data, run.config.seed, num_steps)
    progress = Progress({"updates": num_steps, "priced epochs": num_epochs})
    with jax.default_matmul_precision("highest"), progress:
        progress.text("updates", "starting the programs")
        compared = comparison.compare(pairs, task)
        for before, row in zip((0, *task.batches), compared, strict=False):
            text = f"step {row['step']:,}: weights apart by at most"
            for precision in ("float32", "float64"):
                apart = [v for name, v in row["apart"].items() if precision in name]
                text += f" {max(apart):.1e} ({precision})"
            progress.advance("updates", row["step"] - before, text)
            yield {"dataset": run.data.name, **row}
        for name in choices:
            for row in prices.train(name, recipe, run.data, seeds):
                low, high = min(row["test_accuracy"]), max(row["test_accuracy"])
                text = f"{name}, epoch {row['epoch']}: {low:.2%} to {high:.2%}"
                progress.advance("priced epochs", len(row["seeds"]), text)
                yield {"dataset": run.data.name, **row}


def results(rows: Sequence[Row], pairs: Sequence[Comparison], num_epochs: int) -> Row:
    """The content of results.json beside its head; `num_epochs` of a priced network."""
    compared = [row for row in rows if "step" in row]
    priced = [row for row in rows if "choice" in row]
    used = {side.program for pair in pairs for side in (pair.one, pair.other)}
    seconds = {row["choice"]: row["seconds"] for row in priced}  # the last of each
    return {
        "missing": sorted({*sides.PROGRAMS} - used),
        "comparisons": comparison.entries(compared, pairs),
        "prices": prices.entries(r for r in priced if r["epoch"] == num_epochs),
        "parity_seconds": compared[-1]["seconds"] if compared else None,
        "price_epochs": num_epochs,
        "price_seconds": sum(seconds.values()) if priced else None,
    }


if __name__ == "__main__":
    run_command(main, Config, all_cores=True)
