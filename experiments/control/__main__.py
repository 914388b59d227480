"""Is Keras easier, and does a network from scratch give more control?

    python -m experiments.control

Ease: one task as six small programs, experiments/control/ease/*.py, their lines, and
their seconds to the accuracy that they print.

Control: the gradient of every training image by itself, and the mislabelled images
among the largest; the sharpness of the loss along training; two learning rates a layer
in all combinations, trained as one program. Keras does the same on the same weights,
in turn with JAX.

Expected on MNIST, lines of code (logical lines): 18 (9) for tf.keras, 13 (13) for the
preset, 23 (15) for jaxnets' functions, 29 (27) for Flax NNX, 45 (45) in JAX and 50 (50)
in NumPy from scratch; 95.4 to 95.8 % for all. Of 500 labels made wrong, 90 % are found
by their losses and 57 % by their gradient norms. Full-batch descent at 0.2 brings the
sharpness to 2 / learning rate, where it stays until the loss is small; 0.05 is too
small to get there in 300 steps. A rate of 0.1 or 0.01 for each of three layers: 92.5 to
97.1 % of the test set. All of one seed, 3. Keras's numbers agree but for
rounding, which can turn a ReLU on or off. About 8 minutes on two CPU cores.
"""

import contextlib
import itertools
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import jax

from experiments.control import beside_keras, descent, gradients, programs
from experiments.control.descent import EVERY
from experiments.kit.command import run_command
from experiments.kit.options import Options, require_at_least, require_names
from experiments.kit.progress import Progress
from experiments.kit.run import Row, Run
from jaxnets import models, training
from jaxnets.data import Dataset
from jaxnets.errors import InputError
from jaxnets.models import RELU_SOFTMAX
from jaxnets.types import Recipe

MAX_NETWORKS = 64  # trained at once
NAMES = ("program", "task", "way")  # shown of a row, with the numbers
NUMBERS = ("epoch", "step", "round", "accuracy", "images", "seconds")


@dataclass(frozen=True, kw_only=True)
class Config(Options):
    """What to count, and what to do to the network of Model 2."""

    programs: tuple[str, ...] = tuple(programs.PROGRAMS)
    """Which programs of experiments/control/ease to run; none is allowed."""
    rounds: int = 5
    """How often each program runs, and each way of JAX and Keras."""
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
    gradient_images: int | None = None
    """Of the first so many JAX and Keras take the gradients one by one; or of all."""
    rate_images: int | None = None
    """On the first so many they train every combination of rates; or on all."""

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
    def combinations(self) -> Sequence[tuple[float, ...]]:
        """Rates of all networks, input to output; the last one's are the recipe's."""
        return [*itertools.product(self.rates, repeat=len(self.layer_sizes) - 1)]


def main(config: Config) -> dict[str, Any]:
    """Count, run and examine; return the content of results.json."""
    run = Run.open("control", config)
    config, dataset = run.config, run.data
    validate(config, dataset)
    with jax.default_matmul_precision("highest"):  # JAX and Keras are compared
        run.record(shown(measure(run), config))
    from experiments.control import page  # loads Matplotlib

    content = results(run.rows)
    return run.publish(
        {"seed": config.seed, **content},
        title="Ease and control",
        lead=lambda: page.lead(**content),
        sections=lambda: page.sections(dataset.train.image, **content),
    )


def validate(config: Config, dataset: Dataset) -> None:
    """Raise InputError for settings that make no sense or do not fit the data."""
    training.require_seed(config.seed)
    if config.programs:
        require_names(config, "programs", programs.PROGRAMS)
        if dataset.train.image.shape[1:] != programs.IMAGE_SHAPE:
            raise InputError(
                f"the programs are written for images of {programs.IMAGE_SHAPE}, not "
                f"{dataset.train.image.shape[1:]}; leave them out by --programs alone"
            )
    require_at_least(config, rounds=1, descent_steps=EVERY, sharpness_images=1)
    require_at_least(config, gradient_images=1, rate_images=1)
    if not config.rates or not config.descent_rates:
        raise InputError("rates and descent_rates need at least one learning rate each")
    if not 0 < config.planted <= 0.5:
        raise InputError(f"planted={config.planted} must be above 0 and at most 0.5")
    for rate in (*config.rates, *config.descent_rates):
        recipe = replace(config.recipe, learning_rate=rate)
        models.validate_fits("relu_softmax", recipe, dataset)
    num_networks = len(config.rates) ** (len(config.layer_sizes) - 1)
    if num_networks > MAX_NETWORKS:
        raise InputError(
            f"{len(config.rates)} rates in the layers of {config.layer_sizes} are "
            f"{num_networks} networks; at most {MAX_NETWORKS} fit"
        )


def measure(run: Run[Config]) -> Generator[Row, None, None]:
    """All rows of the experiment, part after part."""
    config, extra = run.config, training.run_keys(run.config.seed).extra
    epochs_key, descent_key, vector_key = jax.random.split(extra, 3)
    yield from programs.measure(run)
    params = yield from descent.train_all(run, epochs_key)
    yield from gradients.rank(run, params)
    yield from gradients.find_planted(run)
    yield from descent.descend(run, descent_key)
    if config.keras:
        yield from beside_keras.compare(run, params, vector_key)


def shown(rows: Generator[Row, None, None], config: Config) -> Iterator[Row]:
    """The same rows, with their progress on the screen."""
    totals = {
        "ease": len(config.programs) * config.rounds,
        "rates": config.epochs,
        "gradients": 1,
        "planted": 1,
        "descent": config.descent_steps // EVERY,
        "beside_keras": len(beside_keras.WAYS) * config.rounds * config.keras,
    }
    totals = {part: total for part, total in totals.items() if total}
    with Progress(totals) as progress, contextlib.closing(rows):
        for row in rows:
            if row["part"] in totals:
                words = [f"{name} {row[name]:.4g}" for name in NUMBERS if name in row]
                words = [*(row[name] for name in NAMES if name in row), *words]
                is_quiet = row.get("step", 0) % 50
                progress.advance(row["part"], text="" if is_quiet else ", ".join(words))
            yield row


def results(rows: Sequence[Row]) -> dict[str, Any]:
    """Both halves; a part of `control` that was not reached is not there."""
    parts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        parts[row["part"]].append({k: v for k, v in row.items() if k != "part"})
    control = {name: parts[name][0] for name in ("gradients", "planted") if parts[name]}
    if planted := control.get("planted"):
        for kind in ("loss", "norm", "chance"):
            planted[f"share_by_{kind}"] = (
                planted[f"found_by_{kind}"] / planted["planted"]
            )
    for name in ("sharpness", "descent"):  # along mini-batches, and along full batches
        if parts[name]:
            control[name] = {"images": parts[name][0]["images"], "records": parts[name]}
    if parts["rates"]:
        control["rates"] = {
            "rates": parts["rates"][0]["rates"],
            "epochs": parts["rates"],
        }
        for test in parts["test"]:
            tested = {f"test_{name}": test[name] for name in ("correct", "seen")}
            control["rates"] |= tested
    if parts["way"]:
        control["beside_keras"] = _beside_keras(parts)
    by_name = {program["program"]: program for program in parts["program"]}
    for name, program in by_name.items():
        runs = [run for run in parts["ease"] if run["program"] == name]
        program["packages"] = runs[0]["packages"] if runs else []
        for number in ("seconds", "import_seconds", "accuracy"):
            program.update(summary(number, [run[number] for run in runs]))
    return {"ease": {"task": programs.TASK, "programs": by_name}, "control": control}


def summary(name: str, values: Sequence[float]) -> dict[str, Any]:
    """Some values with their median, and with both ends where there are several."""
    ends = [min(values), max(values)] if len(values) > 1 else None
    middle = median(values) if values else None
    return {name: list(values), f"{name}_median": middle, f"{name}_range": ends}


def _beside_keras(parts: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Ways by task; a ratio is that of a round's seconds to JAX's in the same round."""
    tasks: dict[str, Any] = {}
    for row in parts["way"]:
        about = {"images": row["images"], "networks": row["networks"], "ways": {}}
        tasks.setdefault(row["task"], about)["ways"][row["way"]] = row
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in parts["beside_keras"]:
        seconds[row["task"], row["way"]].append(row["seconds"])
    for way in parts["way"]:
        own, by_jax = seconds[way["task"], way["way"]], seconds[way["task"], "jax"]
        ratios = [a / b for a, b in zip(own, by_jax, strict=False)]
        way.update(summary("seconds", own) | summary("ratio", ratios))
    return tasks


if __name__ == "__main__":
    run_command(main, Config)
