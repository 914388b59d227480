"""What does each choice of training change? Learning rate, scale and start.

    python -m experiments.choices

Rate: Model 2 at its recipe's learning rate and at a tenth of it, both until validation
accuracy has reached a plateau. Scale: Model 2 with all pixels in [0, 1], with every
second one of 0 to 255, and with all of 0 to 255, each at the rate that validates best
of one grid. Start: Model 1 from random weights, from weights that differ without a
random number, and from equal ones.

Validation chooses a network's epoch; the test set is opened once, with the weights of
that epoch. A seed decides the order of the images, and the weights where they are
random; every arm has its own seeds, so that arms are compared unpaired. About twenty
minutes on two CPU cores, most of them for the smaller rate; --examples 1000 makes a
try-out of it.
"""

from dataclasses import dataclass
from typing import Any

from experiments.choices.arms import CHOICES, MODEL_1, MODEL_2, first_images
from experiments.choices.train import measure, results
from experiments.kit.command import run_command
from experiments.kit.options import Options, require_at_least, require_names
from experiments.kit.run import Run
from jaxnets import models
from jaxnets.data import Dataset
from jaxnets.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Config(Options):
    """What to change, and how long to train."""

    choices: tuple[str, ...] = tuple(CHOICES)
    """Which choices to change."""
    seeds: int = 10
    """Networks of each arm, no two arms with the same seeds."""
    images: int = 10_000
    """Training images of Model 2, at most: with all of them the smaller rate takes far
    longer than minutes to its plateau. Model 1 has all."""
    smaller: float = 0.1
    """The smaller learning rate, as a share of the recipe's."""
    patience: int = 20
    """A network ends at a plateau: where its validation accuracy has not improved for
    so many epochs; the smaller the learning rate, the more of them."""
    rate_epochs: int = 1200
    """Where a network of the learning rates ends that has reached no plateau."""
    grid: tuple[float, ...] = (1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5)
    """Learning rates that are tried in each arm of the scale."""
    tune_seeds: int = 2
    """Networks that try each of them; none of them is compared."""
    scale_epochs: int = 10
    """Of the networks of the scale, at most."""
    start_epochs: int = 12
    """Of Model 1, at most: enough for what a start decides."""


def main(config: Config) -> dict[str, Any]:
    """Train all networks; return the content of results.json."""
    validate_config(config)
    run = Run.open("choices", config)
    validate_data(run.config, run.data)
    run.record(measure(run.config, run.data))
    from experiments.choices import page  # loads Matplotlib

    content = results(run.rows)
    few = first_images(run.data, run.config.images)
    return run.publish(
        content,
        title="What each choice changes",
        lead=lambda: page.lead(content),
        sections=lambda: page.sections(content, run.rows),
        facts={
            "training images of Model 2": f"{len(few.train.label):,}",
            "plateau": f"{run.config.patience} epochs without a better validation "
            f"({run.config.patience / run.config.smaller:g} at the smaller rate)",
        },
    )


def validate_config(config: Config) -> None:
    """Raise InputError where an option makes no sense whatever the data."""
    require_names(config, "choices", CHOICES)
    require_at_least(config, seeds=1, images=1, patience=1, tune_seeds=1)
    require_at_least(config, rate_epochs=1, scale_epochs=1, start_epochs=1)
    if not 0 < config.smaller < 1:
        raise InputError(f"smaller={config.smaller} must be between 0 and 1")
    if not config.grid or not all(0 < rate < float("inf") for rate in config.grid):
        raise InputError(f"grid={config.grid} must be one or more rates above 0")


def validate_data(config: Config, dataset: Dataset) -> None:
    """Raise InputError where there is nothing to choose by, or a model does not fit."""
    if not len(dataset.validation.label):
        raise InputError("validation_examples=0 leaves nothing to choose an epoch by")
    few = first_images(dataset, config.images)
    for model, data in ((MODEL_1, dataset), (MODEL_2, few)):
        models.validate_fits(model.name, model.recipe, data)


if __name__ == "__main__":
    run_command(main, Config, all_cores=True)
