"""The experiment's options, and the points that they ask to be timed."""

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from experiments.kit.memory import linux_bytes
from experiments.kit.options import Options, require_at_least, require_names
from experiments.kit.products import ProductOptions
from experiments.speed.contenders import (
    CONTENDERS,
    MODELS,
    missing,
    present,
)
from experiments.speed.worker import SCALING, Task
from jaxnets import models, training
from jaxnets.data import NUM_CLASSES, Dataset
from jaxnets.errors import InputError

PUBLISHED = models.KERAS_DENSE.recipe  # Model 3's, in which the sweeps meet
WHOLE = 3  # turns that a model's epoch may take and still be timed whole
# A sweep's part is a multiple of one of these numbers of steps, so that it holds whole
# executions of Keras's.
UNITS = (64, 256, 1024)
PARAM_COPIES = 8  # weight, gradient, two moments, and as many in passing
PROCESS_BYTES = 600 * 2**20  # of a framework loaded, roughly
QUICK: dict[str, Any] = {  # what --quick sets where nothing else was asked for
    "widths": (64, 256),
    "examples_list": (1000, 5000),
    "batch_sizes": (32, 512),
    "width": 256,
    "num_examples": 5000,
    "rounds": 2,
    "turn_seconds": 0.01,
    "part_seconds": 0.001,
    "goal_seconds": 0.0,
    "search": "none",
}


@dataclass(frozen=True, kw_only=True)
class Config(Options, ProductOptions):
    """What to time."""

    points: tuple[Literal["models", "scaling"], ...] = ("models",)
    """The published models, the sweeps of Model 3's kind of network, or both."""
    models: tuple[str, ...] = MODELS
    """Which networks, by the names of compare; flax_dense stands for Model 3."""
    widths: tuple[int, ...] = (64, 1024, 16_384)
    """Sweep: neurons of the hidden layer."""
    examples_list: tuple[int, ...] = (1000, 60_000, 480_000)
    """Sweep: training images of an epoch, the dataset's repeated as it takes."""
    batch_sizes: tuple[int, ...] = (10, 32, 512, 4096)
    """Sweep: images of an update."""
    width: int = PUBLISHED.layer_sizes[1]
    """Hidden width where another factor varies."""
    num_examples: int = 60_000
    """Training images where another factor varies."""
    batch_size: int = PUBLISHED.batch_size
    """Batch size where another factor varies."""
    contenders: tuple[str, ...] = tuple(CONTENDERS)
    """Who takes part, at points of their kind; who is not installed is left out, and
    the run says so."""
    rounds: int = 10
    """Rounds that count, a timed turn of each contender; as many more at most stand in
    for those that the rule of an idle machine throws away."""
    turn_seconds: float = 1.0
    """What a turn takes: several epochs, or parts; of a model part of one epoch where
    that takes longer than three turns."""
    part_seconds: float = 0.1
    """Of each epoch of a sweep measure the first steps, the same for all, that take so
    long at the machine's floor, 64 at least. Contenders take several times as long.
    Keras and jaxnets, who do something once an epoch, are timed whole where an epoch
    takes at most a second at the floor."""
    goal_seconds: float = 30.0
    """Who has not reached the accuracy that a model is timed to goes on after the
    rounds, until all its turns together took so long."""
    search: Literal["short", "all", "none"] = "short"
    """For the settings of each contender at a model: all switches together and then
    option by option, every combination, or the last of each option without a search."""
    settings_of: Path | None = None
    """Folder of an earlier run, whose choice of settings is taken over where it made
    one, in place of a search: the same programs are timed a second time."""
    seed: int = 3
    """Decides initial weights, the order of images, and the order in a round."""
    device: Literal["cpu", "default"] = "cpu"
    """Where the contenders of JAX and PyTorch train: on the processor, or where each
    does by default. All others are on the processor."""
    quick: bool = False
    """A try-out: smaller sweeps and fewer rounds and images in place of the defaults
    (of those that are typed, too), no search and no turns beyond the rounds. Its
    figures mean little."""


def settled(config: Config) -> Config:
    """The config with --quick carried out."""
    if not config.quick:
        return config
    asked = dict(vars(config).items() - vars(Config()).items())
    return dataclasses.replace(config, **{**QUICK, **asked})


def of_model(name: str, examples: int) -> Task:
    """A model's published settings."""
    recipe = models.get(name).recipe
    how = (recipe.layer_sizes, recipe.optimizer, recipe.learning_rate)
    return Task(name, name, *how, examples, recipe.batch_size, recipe.num_epochs)


def of_size(width: int, examples: int, batch_size: int, num_pixels: int = 784) -> Task:
    """Model 3's kind of network: at the published settings it is Model 3."""
    return of_model(MODELS[-1], examples)._replace(
        kind=SCALING,
        layer_sizes=(num_pixels, width, NUM_CLASSES),
        batch_size=batch_size,
        num_epochs=0,
    )


def plan_models(config: Config, dataset: Dataset) -> list[Task]:
    """A point for each model; none without "models"."""
    examples = min(len(dataset.train.label), 5000 if config.quick else math.inf)
    names = config.models if "models" in config.points else ()
    return [of_model(name, int(examples)) for name in names]


def plan_sweeps(config: Config, dataset: Dataset) -> dict[str, list[Task]]:
    """One factor at a time, each from the smallest value on; none without "scaling"."""
    if SCALING not in config.points:
        return {}
    base = {
        "width": config.width,
        "examples": config.num_examples,
        "batch_size": config.batch_size,
    }
    lists = (config.widths, config.examples_list, config.batch_sizes)
    num_pixels = dataset.train.image[0].size
    return {
        factor: [
            of_size(**(base | {factor: value}), num_pixels=num_pixels)
            for value in sorted(set(values))
        ]
        for factor, values in zip(base, lists, strict=True)
    }


def planned(point: Task, floor_seconds: float, config: Config) -> Task:
    """How long a turn takes; a sweep's epoch is timed in part where it is long."""
    point = point._replace(turn_seconds=config.turn_seconds)
    if point.kind != SCALING:
        return point
    wanted = config.part_seconds / (floor_seconds / point.steps)
    unit = max(unit for unit in UNITS if unit <= max(wanted, UNITS[0]))
    steps = max(1, math.ceil(wanted / unit)) * unit
    return point._replace(part_steps=steps if 2 * steps < point.steps else None)


def validate(config: Config) -> None:
    """Raise InputError for settings that make no sense whatever the data."""
    training.require_seed(config.seed)
    require_names(config, "points", ("models", SCALING))
    require_names(config, "models", MODELS)
    require_names(config, "contenders", CONTENDERS)
    require_at_least(config, width=1, num_examples=1, batch_size=1, rounds=1)
    require_at_least(config, goal_seconds=0)
    for option in ("widths", "examples_list", "batch_sizes"):
        require_at_least(config, **{option: 1})
        if not getattr(config, option):
            raise InputError(f"{option}=() must be one or more numbers")
    for option in ("part_seconds", "turn_seconds"):
        if not 0 < (value := getattr(config, option)) < float("inf"):
            raise InputError(f"{option}={value} must be greater than 0")


def validate_points(config: Config, points: Iterable[Task], dataset: Dataset) -> None:
    """Raise InputError where a point cannot be measured with this data."""
    for point in points:
        if point.kind != SCALING:
            models.validate_fits(point.kind, models.get(point.kind).recipe, dataset)
        if point.batch_size > point.examples:
            raise InputError(
                f"batch size {point.batch_size} must be at most {point.examples}, the "
                "training images of its point; change --batch-sizes, --batch-size, "
                "--examples-list or --num-examples"
            )
        if not present(config.contenders, point.kind):
            needs = {need for name in config.contenders for need in missing(name)}
            able = [n for n, entry in CONTENDERS.items() if point.kind in entry.kinds]
            raise InputError(
                f"contenders={config.contenders}: none trains {point.kind} and is "
                f"installed (missing: {', '.join(sorted(needs)) or 'nothing'})"
                f"; those that train it: {', '.join(able)}"
            )


def lack_of_memory(config: Config, point: Task) -> str | None:
    """Why a sweep's point is left out; None where it is not."""
    names = present(config.contenders, point.kind)
    pixels = point.examples * point.layer_sizes[0]
    needed = len(names) * (PROCESS_BYTES + PARAM_COPIES * 4 * point.num_params)
    needed += pixels * sum(CONTENDERS[name].bytes_per_pixel for name in names)
    free = linux_bytes("/proc/meminfo", "MemAvailable")
    if point.kind != SCALING or free is None or needed <= free:
        return None
    return (
        f"{point.name} takes about {needed / 2**30:.0f} GiB, all contenders together, "
        f"and {free / 2**30:.0f} GiB are free; fewer --contenders take less"
    )
