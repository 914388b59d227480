"""What is timed: the three models, and the sweeps of Model 3's kind of network."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from experiments.speed.contenders import CONTENDERS, SCALING
from jaxnets import models
from jaxnets.data import NUM_CLASSES
from jaxnets.errors import InputError

FACTORS = {  # of the sweeps, in words
    "width": "hidden width",
    "examples": "training images",
    "batch_size": "batch size",
}
GOALS = {  # test accuracies; Model 1 ends near 95 %
    "sigmoid_mse": 0.95,
    "relu_softmax": 0.97,
    "flax_dense": 0.97,
}
MIN_STEPS = 50  # of a part
PARAM_COPIES = 8  # weight, gradient, two moments, and as many in passing
PROCESS_BYTES = 700 * 2**20  # of a framework loaded, roughly


class Point(NamedTuple):
    """One network and how it is trained; all contenders of its kind are timed at it."""

    kind: str  # a model's name, or "scaling"
    layer_sizes: tuple[int, ...]
    optimizer: Literal["sgd", "adam"]
    learning_rate: float
    examples: int  # training images of an epoch
    batch_size: int
    num_epochs: int  # the recipe's; 0: those of the rounds are all

    @property
    def name(self) -> str:
        """Its name in rows and results; no other point of a run has it."""
        sizes = f"{self.examples:,} images, batch {self.batch_size:,}"
        return self.kind if self.kind != SCALING else f"width {self.width:,}, {sizes}"

    @property
    def width(self) -> int:
        """Neurons of the first hidden layer."""
        return self.layer_sizes[1]

    @property
    def steps(self) -> int:
        """Updates of an epoch; the last batch may be short."""
        return math.ceil(self.examples / self.batch_size)

    @property
    def num_params(self) -> int:
        """Weights and biases together."""
        return sum((a + 1) * b for a, b in itertools.pairwise(self.layer_sizes))

    @property
    def goal(self) -> float | None:
        """The test accuracy until which contenders go on after the rounds."""
        return GOALS[self.kind] if self.num_epochs else None

    def at(self, factor: str, value: int) -> "Point":
        """The same but for one of `FACTORS`."""
        if factor == "width":
            first, _, last = self.layer_sizes
            return self._replace(layer_sizes=(first, value, last))
        changes: dict[str, Any] = {factor: value}
        return self._replace(**changes)


@dataclass(frozen=True)
class Plan:
    """How a point is measured, the same for all contenders."""

    part_steps: int | None  # of each epoch; None: all of them
    epochs_per_turn: int
    words: str


def of_model(name: str, num_examples: int, *, to_goal: bool = True) -> Point:
    """A model's published settings; with `to_goal` it may take all the epochs."""
    recipe = models.get(name).recipe
    how = (recipe.layer_sizes, recipe.optimizer, recipe.learning_rate)
    num_epochs = recipe.num_epochs if to_goal else 0
    return Point(name, *how, num_examples, recipe.batch_size, num_epochs)


def of_size(width: int, examples: int, batch_size: int, num_pixels: int = 784) -> Point:
    """Model 3's kind of network: at the published settings it is Model 3."""
    recipe = models.KERAS_DENSE.recipe
    sizes = (num_pixels, width, NUM_CLASSES)
    how = (sizes, recipe.optimizer, recipe.learning_rate)
    return Point(SCALING, *how, examples, batch_size, 0)


def plan(point: Point, part_steps: int | None = None, epochs_per_turn: int = 1) -> Plan:
    """A plan with its words."""
    words = f"{point.steps:,} steps"
    if part_steps is not None:
        words = f"{part_steps:,} of {words}"
    elif epochs_per_turn > 1:
        words += f", {epochs_per_turn} times"
    return Plan(part_steps, epochs_per_turn, words)


def choose_plan(
    point: Point, floor_seconds: float, part_seconds: float, rounds: int
) -> Plan:
    """A part of the epoch where it is long, several epochs a turn where it is short.

    A part takes `part_seconds` at the machine's floor, and `MIN_STEPS` at least. All
    turns together use no example twice: Keras's `fit` ends where its data does. Where
    that leaves too few steps, epochs are measured whole. A model's always are.
    """
    if point.kind != SCALING:
        return plan(point)
    wanted = max(MIN_STEPS, math.ceil(part_seconds / (floor_seconds / point.steps)))
    if wanted * (rounds + 1) <= point.examples // point.batch_size:
        return plan(point, wanted)
    return plan(point, None, max(1, round(part_seconds / floor_seconds)))


def require_memory(point: Point, names: Sequence[str]) -> None:
    """Raise InputError where these contenders would not fit the free memory."""
    pixels = point.examples * point.layer_sizes[0]
    process_bytes = PROCESS_BYTES + PARAM_COPIES * 4 * point.num_params
    needed = sum(
        pixels * CONTENDERS[name].bytes_per_pixel + process_bytes for name in names
    )
    free = _free_bytes()
    if free is not None and needed > free:
        raise InputError(
            f"{point.name} takes about {needed / 2**30:.0f} GiB, all contenders "
            f"together, and {free / 2**30:.0f} GiB are free; give smaller "
            "--examples-list or --widths, or fewer --contenders"
        )


def _free_bytes() -> int | None:
    """Memory that a program may take without swapping, where the system tells it."""
    try:
        with open("/proc/meminfo", encoding="utf-8") as lines:
            kibibytes = [line.split()[1] for line in lines if "MemAvailable" in line]
    except OSError:
        return None
    return int(kibibytes[0]) * 1024 if kibibytes else None
