"""Is Keras easier, and does a network from scratch give more control?

    python -m experiments.control

Ease: one task as six small programs, experiments/control/ease/*.py. Their lines are
counted, and each runs in a process of its own, timed to the accuracy that it prints.
They train on all training images, whatever --examples says.

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

import contextlib
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax

from experiments.control import (
    beside_keras,
    curvature,
    gradients,
    layer_rates,
    page,
    programs,
)
from experiments.control.curvature import EVERY
from experiments.control.results import results
from experiments.kit.command import run_command
from experiments.kit.options import Options
from experiments.kit.progress import Progress
from experiments.kit.run import Row, Run
from jaxnets import models, training
from jaxnets import relu_softmax as network
from jaxnets.data import Dataset
from jaxnets.errors import InputError
from jaxnets.models import RELU_SOFTMAX
from jaxnets.types import Batch, Recipe

MAX_NETWORKS = 64  # trained at once
LINE_EVERY = 50  # steps of gradient descent between two lines of progress
SHOWN = ("program", "accuracy", "epoch", "step", "task", "way", "images", "seconds")


@dataclass(frozen=True, kw_only=True)
class Config(Options):
    """What to count, and what to do to the network of Model 2."""

    programs: tuple[str, ...] = tuple(programs.PROGRAMS)
    """Which programs of experiments/control/ease to run; none is allowed."""
    rounds: int = 3
    """How often each program runs."""
    keras: bool = True
    """Do the same with Keras, in a process of its own."""
    seed: int = 3
    """Decides the initial weights and the order of the images."""
    layer_sizes: tuple[int, ...] = RELU_SOFTMAX.recipe.layer_sizes
    """Neurons from input to output of the network with ReLU and softmax."""
    batch_size: int = RELU_SOFTMAX.recipe.batch_size
    """Examples per update."""
    epochs: int = 5
    """Passes over the training set."""
    rates: tuple[float, ...] = (0.01, RELU_SOFTMAX.recipe.learning_rate)
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
            RELU_SOFTMAX.recipe,
            layer_sizes=self.layer_sizes,
            batch_size=self.batch_size,
            num_epochs=self.epochs,
            learning_rate=self.rates[-1],
        )

    @property
    def combinations(self) -> layer_rates.Rates:
        """Learning rates of all networks; the last one's are those of the recipe."""
        return layer_rates.combinations(self.rates, len(self.layer_sizes) - 1)


class Keys(NamedTuple):
    """What is drawn beside the initial weights and the order of the images."""

    sharpness: jax.Array  # where Lanczos's method starts, after each epoch
    descent: jax.Array  # likewise, along gradient descent
    on_all: jax.Array  # likewise, on all training images
    beside_keras: jax.Array  # likewise, beside Keras
    vector: jax.Array  # that the Hessian is multiplied with


def make_keys(seed: int) -> Keys:
    """All of a run, derived once."""
    extra = training.run_keys(seed).extra
    return Keys(*jax.random.split(extra, len(Keys._fields)))


def main(config: Config) -> dict[str, Any]:
    """Count, run and examine; return the content of results.json."""
    run = Run.open("control", config)
    config, dataset = run.config, run.data
    validate(config, dataset)
    with jax.default_matmul_precision("highest"):  # JAX and Keras are compared
        run.record(shown(measure(run), config))
    content = results(run.rows)
    return run.publish(
        {"seed": config.seed, **content},
        title="Ease and control",
        lead="Lines and seconds of the same task, and three looks inside a network.",
        sections=page.sections(dataset.train.image, **content),
    )


def validate(config: Config, dataset: Dataset) -> None:
    """Raise InputError for settings that make no sense or do not fit the data."""
    training.require_seed(config.seed)
    for name in config.programs:
        if name not in programs.PROGRAMS:
            known = ", ".join(programs.PROGRAMS)
            raise InputError(f"unknown program {name!r}; known: {known}")
    if not config.rates or not config.descent_rates:
        raise InputError("rates and descent_rates need at least one learning rate each")
    for rate in (*config.rates, *config.descent_rates):
        models.validate_recipe(
            "relu_softmax", replace(config.recipe, learning_rate=rate)
        )
    num_networks = len(config.rates) ** (len(config.layer_sizes) - 1)
    if num_networks > MAX_NETWORKS:
        raise InputError(
            f"{len(config.rates)} rates in the layers of {config.layer_sizes} are "
            f"{num_networks} networks; at most {MAX_NETWORKS} fit"
        )
    if not 0 < config.planted <= 0.5:
        raise InputError(f"planted={config.planted} must be above 0 and at most 0.5")
    counts = ("rounds", "sharpness_images", "gradient_images", "rate_images")
    for name, least in {**dict.fromkeys(counts, 1), "descent_steps": EVERY}.items():
        if getattr(config, name) < least:
            raise InputError(f"{name}={getattr(config, name)} must be at least {least}")
    models.validate_fits("relu_softmax", config.recipe, dataset)


def measure(run: Run[Config]) -> Generator[Row, None, None]:
    """All rows of the experiment, part after part."""
    config, train = run.config, run.data.train
    recipe, rates, seed = config.recipe, config.combinations, config.seed
    keys = make_keys(seed)

    yield from programs.count_lines(config.programs)
    if config.programs:
        yield from programs.time_programs(
            config.programs, config.rounds, run.data.name, data_variables(config)
        )

    curved = _first(train, config.sharpness_images)
    params = yield from layer_rates.train_all(
        recipe, run.data, rates, seed=seed, curved=curved, key=keys.sharpness
    )
    scores = yield from gradients.rank(params, train)
    ranking = gradients.ranking(scores, train.label)
    run.write_csv("gradient_norms.csv", gradients.RANKING_HEADER, ranking)
    yield from gradients.find_planted(recipe, run.data, config.planted, seed)

    yield from curvature.descend(
        network.loss_fn,
        network.init(training.run_keys(seed).init, recipe.layer_sizes),
        curved,
        keys.descent,
        rates=config.descent_rates,
        num_steps=config.descent_steps,
    )
    yield from curvature.measure_on_all(network.loss_fn, params, train, keys.on_all)

    if config.keras:
        yield from beside_keras.compare(
            params,
            recipe,
            rates,
            (
                _first(train, config.gradient_images),
                curved,
                _first(train, config.rate_images),
            ),
            seed=seed,
            vector_key=keys.vector,
            lanczos_key=keys.beside_keras,
        )


def _first(data: Batch, count: int) -> Batch:
    return Batch(data.image[:count], data.label[:count])


def data_variables(config: Config) -> dict[str, str]:
    """Where the programs find the data that this run has found."""
    paths = {"TFDS_DATA_DIR": config.data_dir, "JAXNETS_MNIST_DIR": config.mnist_dir}
    return {name: os.fspath(path) for name, path in paths.items() if path}


def shown(rows: Generator[Row, None, None], config: Config) -> Iterator[Row]:
    """The same rows, with their progress on the screen."""
    totals = {
        "ease": len(config.programs) * config.rounds,
        "rates": len(config.combinations) * config.epochs,
        "gradients": 1,
        "planted": 1,
        "descent": config.descent_steps // EVERY,
        "sharpness_on_all": 1,
        "beside_keras": len(beside_keras.DEFINITIONS) * config.keras,
    }
    totals = {part: total for part, total in totals.items() if total}
    with Progress(totals) as progress, contextlib.closing(rows):
        for row in rows:
            if row["part"] in totals:
                is_quiet = row.get("network") or row.get("step", 0) % LINE_EVERY
                words = (f"{name} {_short(row[name])}" for name in SHOWN if name in row)
                progress.advance(row["part"], text="" if is_quiet else ", ".join(words))
            yield row


def _short(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    run_command(main, Config)
