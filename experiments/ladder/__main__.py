"""What does each step from a plain network to 99.5 % add?

    python -m experiments.ladder

Eleven steps, each on top of those before: a one-cycle learning rate, width, dropout,
max-norm, smoothed labels, averaged weights, then random shifts, affine and elastic
distortions, and an ensemble. Each step has networks of its own seeds, and is compared
with the step before; where the seeds cannot tell, the table says so. Published results
of fully connected networks stand beside.

All steps train for the same number of epochs, which favours steps that need few: what
regularises pays off later. Nothing is chosen by the test set, which each network sees
once.
"""

from dataclasses import dataclass
from typing import Any

from experiments.kit.command import run_command
from experiments.kit.options import Options, require_at_least
from experiments.kit.run import Run
from experiments.ladder.measure import measure
from experiments.ladder.results import results
from experiments.ladder.steps import CHANGES, FIRST, steps
from experiments.speedrun.train import validate_data
from jaxnets import training
from jaxnets.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Config(Options):
    """How many networks, and how long they train."""

    seeds: int = 12
    """Networks of each step."""
    first_seed: int = 0
    """The seeds count up from here; the next step goes on where one ends."""
    ensemble: int = 3
    """Networks of the last step whose mean probabilities answer together."""
    epochs: int = 10
    """Epochs of each network."""
    batch_size: int = 128
    """Images an update."""


def main(config: Config) -> dict[str, Any]:
    """Climb; return the content of results.json."""
    validate_config(config)
    run = Run.open("ladder", config)
    config = run.config
    settings = steps(config.epochs, config.batch_size)
    if config.redraw is None:
        validate_data(settings[FIRST], run.data)
    rows = measure(
        settings,
        run.data,
        seeds=config.seeds,
        first_seed=config.first_seed,
        ensemble=config.ensemble,
    )
    run.record(rows)
    content = results(run.rows, config.ensemble)
    from experiments.ladder import page  # loads Matplotlib

    return run.publish(
        content,
        title="What each step adds",
        lead=lambda: page.lead(content),
        sections=lambda: page.sections(content),
        facts={"epochs": str(config.epochs), "batch size": str(config.batch_size)},
    )


def validate_config(config: Config) -> None:
    """Raise InputError where an option makes no sense whatever the data."""
    require_at_least(config, seeds=1, first_seed=0, ensemble=1, epochs=1, batch_size=1)
    if config.ensemble > config.seeds:
        raise InputError(f"ensemble={config.ensemble} must be at most {config.seeds=}")
    training.require_seed(config.first_seed + len(CHANGES) * config.seeds - 1)


if __name__ == "__main__":
    run_command(main, Config, all_cores=True)
