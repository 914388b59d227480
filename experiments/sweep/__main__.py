"""Which learning rate suits a network, and where does training diverge?

    python -m experiments.sweep                        # Model 1, rates 0.01 to 100
    python -m experiments.sweep --model relu_softmax
    python -m experiments.sweep --batch-sizes 10 32 100

All rates times all seeds train at once, or as many of them as an accelerator's memory
holds: the rates are data of one program, one for each batch size, that is compiled once
and runs on all devices. A network that diverges stops no other. The page shows accuracy
against rate with its spread over seeds, the published rates, the edge beyond which
networks answer no better than a constant does, and accuracy by epoch: is it true that a
smaller rate converges more precisely?

The best rate is chosen on the validation set; the test set is opened once, at the end.
Model 1 takes about ten minutes on two cores; --examples 5000 --seeds 3 is a try-out.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from experiments.kit.command import run_command
from experiments.kit.options import Options, require_at_least
from experiments.kit.products import ProductOptions
from experiments.kit.run import Run
from experiments.sweep.measure import Plan, measure, results
from jaxnets import models, training
from jaxnets.data import Dataset
from jaxnets.errors import InputError
from jaxnets.models import JAX_MODELS

# Three a decade up to 1; from there on more, where networks diverge, with Nielsen's 3.
MODEL_1_RATES = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 15.0),
    *(20.0, 30.0, 50.0, 70.0, 100.0),
)
# Of the other models' recipes: the same steps about the published rate.
FACTORS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)


@dataclass(frozen=True, kw_only=True)
class Config(Options, ProductOptions):
    """What to train, at which rates, how often."""

    model: str = "sigmoid_mse"
    """sigmoid_mse, relu_softmax, flax_dense or row_rnn."""
    rates: tuple[float, ...] = ()
    """Learning rates; left out: 0.01 to 100 for sigmoid_mse, a hundredth to a hundred
    times the recipe's for others."""
    batch_sizes: tuple[int, ...] = ()
    """Examples an update, a program each; left out: the recipe's."""
    seeds: int = 5
    """Networks at each rate."""
    first_seed: int = 0
    """The seeds count up from here."""
    epochs: int | None = None
    """Epochs of every network, in place of the recipe's."""


def main(config: Config) -> dict[str, Any]:
    """Train all networks; return the content of results.json."""
    validate_config(config)
    run = Run.open("sweep", config)
    config = run.config
    plans = plans_of(config)
    validate_data(config, plans, run.data)
    run.record(measure(plans, run.data, config.precision))
    content = results(plans, run.rows)
    from experiments.sweep import page  # loads Matplotlib

    return run.publish(
        content,
        title="Learning rates",
        lead=lambda: page.lead(content),
        sections=lambda: page.sections(content, run.rows),
        facts={
            "networks of a batch size": str(plans[0].num_networks),
            "matrix products": config.precision,
        },
    )


def plans_of(config: Config) -> list[Plan]:
    """What each program trains."""
    model = models.get(config.model)
    standard = tuple(factor * model.recipe.learning_rate for factor in FACTORS)
    if model.name == "sigmoid_mse":
        standard = MODEL_1_RATES
    epochs = model.recipe.num_epochs if config.epochs is None else config.epochs
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    return [
        Plan(
            model,
            replace(model.recipe, batch_size=batch_size, num_epochs=epochs),
            tuple(sorted(config.rates or standard)),
            seeds,
        )
        for batch_size in config.batch_sizes or (model.recipe.batch_size,)
    ]


def validate_config(config: Config) -> None:
    """Raise InputError where an option makes no sense whatever the data."""
    if config.model not in JAX_MODELS:
        raise InputError(
            f"model={config.model!r} must be one of {', '.join(JAX_MODELS)}"
        )
    if not all(0 < rate < math.inf for rate in config.rates):  # nor NaN
        raise InputError(f"rates={config.rates} must be finite and greater than 0")
    for name in ("rates", "batch_sizes"):
        values = getattr(config, name)
        if len(set(values)) < len(values):
            raise InputError(f"{name}={values} must name each once")
    require_at_least(config, batch_sizes=1, seeds=1, first_seed=0, epochs=1)
    training.require_seed(config.first_seed + config.seeds - 1)


def validate_data(config: Config, plans: list[Plan], dataset: Dataset) -> None:
    """Raise InputError where there is nothing to choose by, or a model does not fit."""
    if not len(dataset.validation.label):
        raise InputError("validation_examples=0 leaves nothing to choose a rate by")
    for plan in plans:
        models.validate_fits(config.model, plan.recipe, dataset)


if __name__ == "__main__":
    run_command(main, Config, all_cores=True)
