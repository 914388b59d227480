"""Train each network from many seeds: what is one run worth?

    python -m experiments.seeds

This trains 20 networks of each kind, several at once, and shows for each kind the mean,
the spread and a 95 % interval over seeds; for each pair of kinds whether the data can
rank them; and three numbers side by side: the accuracy after the last epoch, at the
epoch chosen on the validation set, and at the best epoch on the test set, which is how
optimistic figures come about. To that end it looks at the test set after every epoch;
nothing is steered by it.

Expected on MNIST, 20 seeds (Keras 8): 97.8 to 97.9 % for Model 2, Flax and Keras, which
tie; Model 1 has a median of 95.0 %, and one seed of 20 gets stuck at 86 %. Under 8
minutes on two CPU cores, and 5 more for Keras (--keras-seeds 0 leaves it out).

It leaves a folder, runs/<time>-seeds, with report.html, figures, results.json,
metrics.jsonl (a line per model, seed and epoch) and seeds.csv.
"""

from dataclasses import dataclass, replace
from typing import Any

from experiments.kit.command import run_command
from experiments.kit.options import Options, require_at_least, require_names
from experiments.kit.run import Run
from experiments.seeds.measure import Plan, measure
from experiments.seeds.results import finished_networks, results, scores
from jaxnets import models, training
from jaxnets.data import Dataset
from jaxnets.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Config(Options):
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
    run = Run.open("seeds", config)
    plans = plan(run.config, run.data)
    run.record(measure(run, plans))
    from experiments.seeds import page  # here, since it loads Matplotlib

    unknown: dict[str, Any] = {"wall_seconds": None, "alone_seconds": []}
    clocks = {name: run.kept(f"clock-{name}") or unknown for name in plans}
    networks = finished_networks(plans, run.rows)
    content = results(plans, run.rows, clocks, run.data.name)
    if networks:
        cells = ("last", "chosen_epoch", "chosen", "best")
        by_model = {name: scores(by_seed) for name, by_seed in networks.items()}
        rows = (
            (name, seed, *(of.get(c, {}).get(seed) for c in cells), run.data.name)
            for name, of in by_model.items()
            for seed in of["last"]
        )
        run.write_csv("seeds.csv", ("model", "seed", *cells, "dataset"), rows)
    counts = ", ".join(f"{len(plans[name].seeds)} x {name}" for name in plans)
    seconds = {name: clock["wall_seconds"] for name, clock in clocks.items()}
    times = ", ".join(f"{name} {time:.0f}" for name, time in seconds.items() if time)
    return run.publish(
        content,
        title="What one run is worth",
        lead=f"Networks that differ in nothing but the seed: {counts}.",
        sections=page.sections(content, networks),
        facts={"seconds": times},
    )


def plan(config: Config, data: Dataset) -> dict[str, Plan]:
    """What is to be trained, by model; InputError where that makes no sense."""
    require_names(config, "models", models.MODELS)
    require_at_least(config, seeds=1, keras_seeds=0, alone=0, at_once=1, first_seed=0)
    training.require_seed(config.first_seed + config.seeds - 1)
    plans = {}
    for name in config.models:
        model = models.get(name)
        num_epochs = model.recipe.num_epochs if config.epochs is None else config.epochs
        recipe = replace(model.recipe, num_epochs=num_epochs)
        models.validate_recipe(name, recipe)
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
