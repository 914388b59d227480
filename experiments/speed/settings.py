"""The experiment's options, and the points that they ask to be timed."""

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from experiments.kit.options import Options, require_at_least, require_names
from experiments.speed.contenders import CONTENDERS, MODELS, missing_packages, present
from experiments.speed.worker import SCALING, Task, linux_bytes
from jaxnets import models, training
from jaxnets.data import NUM_CLASSES, Dataset
from jaxnets.errors import InputError

PUBLISHED = models.KERAS_DENSE.recipe  # Model 3's, in which the sweeps meet
MIN_STEPS = 50  # of a part
PARAM_COPIES = 8  # weight, gradient, two moments, and as many in passing
PROCESS_BYTES = 700 * 2**20  # of a framework loaded, roughly
QUICK: dict[str, Any] = {  # what --quick sets where nothing else was asked for
    "widths": (64, 256),
    "examples_list": (1000, 5000),
    "batch_sizes": (32, 512),
    "width": 256,
    "num_examples": 5000,
    "rounds": 2,
    "part_seconds": 0.01,
}


@dataclass(frozen=True, kw_only=True)
class Config(Options):
    """What to time."""

    points: tuple[Literal["models", "scaling"], ...] = ("models",)
    """The published models, the sweeps of Model 3's kind of network, or both."""
    models: tuple[str, ...] = MODELS
    """Which networks, by the names of compare; flax_dense stands for Model 3."""
    widths: tuple[int, ...] = (64, 256, 1024, 4096)
    """Sweep: neurons of the hidden layer."""
    examples_list: tuple[int, ...] = (1000, 8000, 60_000, 480_000)
    """Sweep: training images of an epoch, the dataset's repeated as it takes."""
    batch_sizes: tuple[int, ...] = (10, 32, 128, 512, 4096)
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
    rounds: int = 5
    """Timed turns of each contender at each point, after one that is not timed."""
    part_seconds: float = 0.1
    """Of each epoch of a sweep measure what takes so long at the machine's floor, 50
    steps at least; epochs that are shorter are repeated. Contenders take several times
    as long."""
    seed: int = 3
    """Decides initial weights, the order of images, and the order in a round."""
    device: Literal["cpu", "default"] = "cpu"
    """Where the contenders of JAX alone train: on the processor, or where JAX does by
    default. All others are on the processor."""
    precision: Literal["default", "high", "highest"] = "highest"
    """Of JAX's matrix products, where its device has several."""
    quick: bool = False
    """A try-out: smaller sweeps and fewer rounds and images in place of the defaults,
    and no epochs beyond the rounds. Its figures mean little."""


def settled(config: Config) -> Config:
    """The config with --quick carried out."""
    if not config.quick:
        return config
    asked = dict(vars(config).items() - vars(Config()).items())
    return dataclasses.replace(config, **{**QUICK, **asked})


def of_model(name: str, examples: int, *, to_goal: bool = True) -> Task:
    """A model's published settings; with `to_goal` it may take all the epochs."""
    recipe = models.get(name).recipe
    how = (recipe.layer_sizes, recipe.optimizer, recipe.learning_rate)
    num_epochs = recipe.num_epochs if to_goal else 0
    return Task(name, name, *how, examples, recipe.batch_size, num_epochs)


def of_size(width: int, examples: int, batch_size: int, num_pixels: int = 784) -> Task:
    """Model 3's kind of network: at the published settings it is Model 3."""
    return of_model(MODELS[-1], examples, to_goal=False)._replace(
        kind=SCALING,
        layer_sizes=(num_pixels, width, NUM_CLASSES),
        batch_size=batch_size,
    )


def plan_models(config: Config, dataset: Dataset) -> list[Task]:
    """A point for each model; none without "models"."""
    examples = min(len(dataset.train.label), 5000 if config.quick else math.inf)
    names = config.models if "models" in config.points else ()
    return [of_model(name, int(examples), to_goal=not config.quick) for name in names]


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


def planned(
    point: Task, floor_seconds: float, part_seconds: float, rounds: int
) -> Task:
    """A part of the epoch where it is long, several epochs a turn where it is short.

    A part takes `part_seconds` at the machine's floor, and `MIN_STEPS` at least. All
    turns together use no example twice: Keras's `fit` ends where its data does. Where
    that leaves too few steps, epochs are measured whole. A model's always are.
    """
    if point.kind != SCALING:
        return point
    wanted = max(MIN_STEPS, math.ceil(part_seconds / (floor_seconds / point.steps)))
    if wanted * (rounds + 1) <= point.examples // point.batch_size:
        return point._replace(part_steps=wanted)
    return point._replace(epochs_per_turn=max(1, round(part_seconds / floor_seconds)))


def validate(config: Config) -> None:
    """Raise InputError for settings that make no sense whatever the data."""
    training.require_seed(config.seed)
    require_names(config, "points", ("models", SCALING))
    require_names(config, "models", MODELS)
    require_names(config, "contenders", CONTENDERS)
    require_at_least(config, width=1, num_examples=1, batch_size=1, rounds=1)
    for option in ("widths", "examples_list", "batch_sizes"):
        require_at_least(config, **{option: 1})
        if not getattr(config, option):
            raise InputError(f"{option}=() must be one or more numbers")
    if not 0 < config.part_seconds < float("inf"):
        raise InputError(f"part_seconds={config.part_seconds} must be greater than 0")


def validate_points(config: Config, points: Iterable[Task], dataset: Dataset) -> None:
    """Raise InputError where a point cannot be measured with this data, or here."""
    for point in points:
        if point.kind != SCALING:
            models.validate_fits(point.kind, models.get(point.kind).recipe, dataset)
        if point.batch_size > point.examples:
            raise InputError(
                f"batch size {point.batch_size} must be at most {point.examples}, the "
                "training images of its point; change --batch-sizes, --batch-size, "
                "--examples-list or --num-examples"
            )
        names = present(config.contenders, point.kind)
        if not names:
            missing = {p for name in config.contenders for p in missing_packages(name)}
            able = [n for n, entry in CONTENDERS.items() if point.kind in entry.kinds]
            raise InputError(
                f"contenders={config.contenders}: none trains {point.kind} and is "
                f"installed (missing: {', '.join(sorted(missing)) or 'nothing'})"
                f"; those that train it: {', '.join(able)}"
            )
        pixels = point.examples * point.layer_sizes[0]
        needed = len(names) * (PROCESS_BYTES + PARAM_COPIES * 4 * point.num_params)
        needed += pixels * sum(CONTENDERS[name].bytes_per_pixel for name in names)
        free = linux_bytes("/proc/meminfo", "MemAvailable")
        if point.kind == SCALING and free is not None and needed > free:
            raise InputError(
                f"{point.name} takes about {needed / 2**30:.0f} GiB, all contenders "
                f"together, and {free / 2**30:.0f} GiB are free; give smaller "
                "--examples-list or --widths, or fewer --contenders"
            )
