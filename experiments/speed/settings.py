"""The experiment's options, and the points that they ask for."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from experiments.kit.options import Options
from experiments.speed import points
from experiments.speed.contenders import (
    CONTENDERS,
    MODELS,
    SCALING,
    Device,
    Precision,
    missing_packages,
    present,
)
from experiments.speed.points import Point
from jaxnets import models, training
from jaxnets.data import Dataset
from jaxnets.errors import InputError

PUBLISHED = models.KERAS_DENSE.recipe  # the point in which the sweeps meet
QUICK_EXAMPLES = 5000  # of the models
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
    device: Device = "cpu"
    """Where the contenders of JAX alone train: on the processor, or where JAX does by
    default. All others are on the processor."""
    precision: Precision = "highest"
    """Of JAX's matrix products, where its device has several."""
    quick: bool = False
    """A try-out: smaller sweeps and fewer rounds and images in place of the defaults,
    and no epochs beyond the rounds. Its figures mean little."""


def settled(config: Config) -> Config:
    """The config with --quick carried out."""
    if not config.quick:
        return config
    at_default = [
        field.name
        for field in fields(config)
        if getattr(config, field.name) == field.default
    ]
    changes = {name: value for name, value in QUICK.items() if name in at_default}
    return replace(config, **changes)


def plan_models(config: Config, dataset: Dataset) -> list[Point]:
    """A point for each model; none without "models"."""
    num_examples = len(dataset.train.label)
    if config.quick:
        num_examples = min(num_examples, QUICK_EXAMPLES)
    return [
        points.of_model(name, num_examples, to_goal=not config.quick)
        for name in dict.fromkeys(config.models)
        if "models" in config.points
    ]


def plan_sweeps(config: Config, dataset: Dataset) -> dict[str, list[Point]]:
    """One factor at a time, each from the smallest value on; none without "scaling"."""
    if SCALING not in config.points:
        return {}
    num_pixels = dataset.train.image[0].size
    base = points.of_size(
        config.width, config.num_examples, config.batch_size, num_pixels
    )
    values = {
        "width": config.widths,
        "examples": config.examples_list,
        "batch_size": config.batch_sizes,
    }
    return {
        factor: [base.at(factor, value) for value in sorted(set(values[factor]))]
        for factor in points.FACTORS
    }


def validate(config: Config) -> None:
    """Raise InputError for settings that make no sense whatever the data."""
    training.require_seed(config.seed)
    known = {"points": ("models", SCALING), "models": MODELS, "contenders": CONTENDERS}
    for option, names in known.items():
        given = getattr(config, option)
        if not given or set(given) - set(names):
            raise InputError(
                f"{option}={given} must be one or more of: {', '.join(names)}"
            )
    for option in ("widths", "examples_list", "batch_sizes"):
        values = getattr(config, option)
        if not values or min(values) < 1:
            raise InputError(f"{option}={values} must be one or more, each at least 1")
    for option in ("width", "num_examples", "batch_size", "rounds"):
        if getattr(config, option) < 1:
            raise InputError(f"{option}={getattr(config, option)} must be at least 1")
    if not 0 < config.part_seconds < float("inf"):
        raise InputError(f"part_seconds={config.part_seconds} must be greater than 0")


def validate_points(config: Config, planned: Iterable[Point], dataset: Dataset) -> None:
    """Raise InputError where a point cannot be measured with this data, or here."""
    for point in planned:
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
        if point.kind == SCALING:
            points.require_memory(point, names)
