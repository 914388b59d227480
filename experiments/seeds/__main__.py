"""Train each network from many seeds: what is one run worth?

    python -m experiments.seeds

This trains 20 networks of each kind, several at once, and shows for each kind the mean,
the range and the median with its 95 % interval; for each pair of kinds whether one is
ahead, whether they are equal within 0.1 points, or that so many seeds cannot tell; and
three numbers side by side: the accuracy after the last epoch, at the epoch chosen on
the validation set, and at the best epoch on the test set, which is how optimistic
figures come about. To that end it looks at the test set after every epoch; nothing is
steered by it. A second test set of 50,000 images comes with --qmnist.

In between it times two other ways to train several networks: one after the other, and,
on a processor, each in a process of its own with one thread, as many at the same time
as there are cores.

Expected on MNIST, 20 seeds: means of 97.8 % for Keras and Flax and 97.9 for Model 2;
Model 1 has a median of 95.0 %, and one seed of 20 gets stuck at 86 %. On two CPU
cores about 11 minutes, and 19 more for Keras's 20 networks (--keras-seeds 0 leaves them
out).

It leaves a folder, runs/<time>-seeds, with report.html, figures, results.json,
metrics.jsonl (a line per model, seed and epoch) and seeds.csv. A run that was broken
off goes on with --resume RUN, to the same accuracies.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from experiments.kit.command import run_command
from experiments.kit.options import Resumable, require_at_least, require_names
from experiments.kit.products import ProductOptions
from experiments.kit.run import Run
from experiments.seeds import qmnist
from experiments.seeds.measure import Plan, measure
from experiments.seeds.results import finished_networks, results, scores
from jaxnets import models, training
from jaxnets.data import Dataset
from jaxnets.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Config(Resumable, ProductOptions):
    """What to train, how often, and how many at once."""

    any_classes: ClassVar[bool] = True

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
    keras_seeds: int = 20
    """Networks of keras_dense, which trains one at a time, at most as many as of the
    others; 0 leaves it out."""
    epochs: int | None = None
    """Epochs of every network, in place of each recipe's own."""
    at_once: int | None = None
    """Networks trained at once; left out: as many as the cores' caches hold, or an
    accelerator's memory."""
    alone: int = 3
    """How often to time the other ways to train, in between; 0: not at all."""
    processes: int | None = None
    """Processes of one thread that train at the same time; left out: one a core."""
    qmnist: Path | None = None
    """Folder with QMNIST's qmnist-test-images-idx3-ubyte.gz and
    qmnist-test-labels-idx2-int.gz: its last 50,000 images are a second test set."""


def main(config: Config) -> dict[str, Any]:
    """Train all networks; return the content of results.json."""
    run = Run.open("seeds", config)
    plans = plan(run.config, run.data)
    second = "" if run.config.redraw else qmnist.load(run.config.qmnist, run.data)
    run.record(measure(run, plans, second))
    from experiments.seeds import page  # here, since it loads Matplotlib

    unknown: dict[str, Any] = {"wall_seconds": None, "alone_seconds": []}
    clocks = {name: run.kept(f"clock-{name}") or unknown for name in plans}
    networks = finished_networks(plans, run.rows)
    content = results(plans, run.rows, clocks, run.data.name)
    if networks:
        cells = ("last", "chosen_epoch", "chosen", "best", "second")
        by_model = {name: scores(by_seed) for name, by_seed in networks.items()}
        rows = (
            (name, seed, *(of.get(c, {}).get(seed) for c in cells), run.data.name)
            for name, of in by_model.items()
            for seed in of["last"]
        )
        run.write_csv("seeds.csv", ("model", "seed", *cells, "dataset"), rows)
    seconds = {name: clock["wall_seconds"] for name, clock in clocks.items()}
    times = ", ".join(f"{name} {time:.0f}" for name, time in seconds.items() if time)
    return run.publish(
        content,
        title="What one run is worth",
        lead=lambda: page.lead(content),
        sections=lambda: page.sections(content, networks),
        facts={
            "second test set": run.kept("second") or "none",
            "seconds": times,
            "matrix products": run.config.precision,
        },
    )


def plan(config: Config, data: Dataset) -> dict[str, Plan]:
    """What is to be trained, by model; InputError where that makes no sense."""
    require_names(config, "models", models.MODELS)
    require_at_least(config, seeds=1, keras_seeds=0, at_once=1, first_seed=0)
    require_at_least(config, alone=0, processes=0)
    training.require_seed(config.first_seed + config.seeds - 1)
    plans = {}
    for name in config.models:
        model = models.get(name)
        num_epochs = model.recipe.num_epochs if config.epochs is None else config.epochs
        recipe = models.adapted(name, model.recipe, data)
        recipe = replace(recipe, num_epochs=num_epochs)
        models.validate_fits(name, recipe, data)
        most = config.keras_seeds if model.framework == "keras" else config.seeds
        end = config.first_seed + min(config.seeds, most)
        if most:
            plans[name] = Plan(model, recipe, range(config.first_seed, end))
    if not plans:
        raise InputError("keras_seeds=0 leaves no model; add one to --models")
    return plans


if __name__ == "__main__":
    run_command(main, Config, all_cores=True)
