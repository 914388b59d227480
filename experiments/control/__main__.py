"""Is Keras easier, and does a network from scratch give more control?

    python experiments/control.py

Ease: one task as six small programs, experiments/ease/*.py. Their lines are counted,
and each runs in a process of its own, timed to the accuracy that it prints. They
train on all training images, whatever --examples says.

Control: the gradient of every training image by itself, which finds the mislabelled
ones; the sharpness of the loss along training; two learning rates a layer in all
combinations, trained as one program. Keras does the same on the same weights, and
the numbers are compared.

Expected on MNIST: 18 lines for tf.keras, 47 and 50 from scratch, 8 for a call of
jaxnets; 95.4 to 95.8 % for all of them. Of 500 wrong labels planted, 57 % are found by
their gradient norms and 90 % by their losses. Full-batch descent at 0.2 and 0.5 holds
the sharpness near 2 / learning rate after a first overshoot. With a rate of 0.1 or
0.01 for each of three layers, 92.5 to 97.1 % of the test set (seed 3, 5 epochs).
Keras's numbers agree within float32 rounding. About 2.5 minutes on two CPU cores.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments.control import beside_keras, descents, effort, layer_rates, surprise
from experiments.control import report as control_report
from experiments.control import study as control
from experiments.kit import command as runtime
from experiments.kit import run as experiment
from experiments.kit.run import Experiment
from jaxnets import models as recipes
from jaxnets import running
from jaxnets.errors import InputError
from jaxnets.models import RELU_SOFTMAX, Recipe

EASE = Path(__file__).parent / "ease"
MOST_NETWORKS = 64  # trained at once


@dataclass(frozen=True, kw_only=True)
class Config(experiment.Options):
    """What to count, and what to do to the network of Model 2."""

    programs: tuple[str, ...] = tuple(effort.PROGRAMS)
    """Which programs of experiments/ease to run; none is allowed."""
    rounds: int = 3
    """How often each program runs."""
    keras: bool = True
    """Do the same with Keras, in a process of its own."""
    seed: int = 3
    """Decides the initial weights and the order of the images."""
    layer_sizes: tuple[int, ...] = RELU_SOFTMAX.layer_sizes
    """Neurons from input to output of the network with ReLU and softmax."""
    batch_size: int = RELU_SOFTMAX.batch_size
    """Examples per update."""
    epochs: int = 5
    """Passes over the training set."""
    rates: tuple[float, ...] = (0.01, RELU_SOFTMAX.learning_rate)
    """Each layer's choice of learning rates; the last one's network is examined."""
    planted: float = 0.01
    """The share of training labels made wrong on purpose, to look for them."""
    descent_rates: tuple[float, ...] = (0.05, 0.2, 0.5)
    """Learning rates of full-batch gradient descent."""
    descent_steps: int = 300
    """Its steps."""
    sharpness_images: int = 2000
    """The first so many training images give the loss whose sharpness is taken."""
    gradient_images: int = 500
    """Of so many Keras takes the gradients one by one."""
    rate_images: int = 5000
    """On so many Keras trains every combination of rates."""

    @property
    def recipe(self) -> Recipe:
        """The examined network's settings."""
        return replace(
            RELU_SOFTMAX,
            layer_sizes=self.layer_sizes,
            batch_size=self.batch_size,
            num_epochs=self.epochs,
            learning_rate=self.rates[-1],
        )


def main(config: Config) -> dict[str, Any]:
    """Count, run and examine; return the content of results.json."""
    _check(config)
    run = experiment.prepare("control", config)
    running.check_fits("relu_softmax", config.recipe, run.dataset)
    ease = effort.begin(EASE, config.programs)
    run.begin()
    study = control.Study(
        dataset=run.dataset,
        recipe=config.recipe,
        seed=config.seed,
        rates=layer_rates.combinations(config.rates, len(config.layer_sizes) - 1),
        note=lambda line: run.written.append_line("metrics.jsonl", line),
    )

    def work() -> None:
        with control_report.Steps(_num_steps(config)) as steps:
            for line in _parts(config, run, ease, study):
                steps.done(line)

    def finish(status: str) -> dict[str, Any]:
        content = {
            **run.head(status),
            "seed": config.seed,
            "ease": effort.finish(ease),
            "control": study.found,
        }
        control_report.write(run, content, study)
        return content

    return run.carry_out(work, finish)


def _check(config: Config) -> None:
    """Raise InputError for settings that make no sense whatever the data."""
    recipes.check_seed(config.seed)
    for name in config.programs:
        if name not in effort.PROGRAMS:
            known = ", ".join(effort.PROGRAMS)
            raise InputError(f"unknown program {name!r}; known: {known}")
    if not config.rates or not config.descent_rates:
        raise InputError("rates and descent_rates need at least one learning rate each")
    for rate in (*config.rates, *config.descent_rates):
        recipes.check("relu_softmax", replace(config.recipe, learning_rate=rate))
    num_layers = len(config.layer_sizes) - 1
    if len(config.rates) ** num_layers > MOST_NETWORKS:
        raise InputError(
            f"{len(config.rates)} rates for each of {num_layers} layers are "
            f"{len(config.rates) ** num_layers} networks; at most {MOST_NETWORKS} fit"
        )
    if not 0 < config.planted <= 0.5:
        raise InputError(f"planted={config.planted} must be above 0 and at most 0.5")
    for name, least in (
        ("rounds", 1),
        ("descent_steps", descents.EVERY),
        ("sharpness_images", 1),
        ("gradient_images", 1),
        ("rate_images", 1),
    ):
        if getattr(config, name) < least:
            raise InputError(f"{name}={getattr(config, name)} must be at least {least}")


def _parts(
    config: Config, run: Experiment, ease: dict[str, Any], study: control.Study
) -> Iterator[str]:
    """All that is done, a line of progress each."""
    name, variables = run.dataset.name, _variables(config)
    if config.programs:
        yield from effort.rounds(ease, EASE, config.rounds, name, variables)
    yield from control.train_combinations(study, config.sharpness_images)
    yield from surprise.rank(study)
    yield from surprise.find_planted(study, config.planted)
    yield from descents.descend(
        study, config.descent_rates, config.descent_steps, config.sharpness_images
    )
    yield from descents.on_all_images(study)
    if config.keras:
        yield from beside_keras.compare(
            study,
            num_gradients=config.gradient_images,
            num_hessian=config.sharpness_images,
            num_rates=config.rate_images,
        )


def _num_steps(config: Config) -> int:
    """About how many lines `_parts` yields, for the progress bar."""
    runs = len(config.programs) * config.rounds
    return runs + config.epochs + descents.LINES + 3 + 7 * config.keras


def _variables(config: Config) -> dict[str, str]:
    """Where the programs find the data that this run has found."""
    named = {
        "TFDS_DATA_DIR": config.data_dir,
        "JAXNETS_MNIST_DIR": config.mnist_dir,
    }
    return {name: os.fspath(path) for name, path in named.items() if path}


if __name__ == "__main__":
    runtime.run(main, Config)
