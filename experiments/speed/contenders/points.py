"""The points of `experiments/scaling.py`: what is trained, and how much of it.

Every point is Model 3's kind of network, 784-width-10 with ReLU, softmax
cross-entropy and Adam, so that a point at the published settings is Model 3.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.speed.contenders.floor import epoch_floor, num_params
from experiments.speed.contenders.rates import Rates
from experiments.speed.contenders.task import Task
from jaxnets.errors import InputError

MODEL = "flax_dense"  # the kind of network
LEARNING_RATE = 1e-3  # Keras's default
MIN_STEPS = 50  # of a part
BYTES_PER_PIXEL = {  # held at once; all begin with uint8, 1 byte
    "from_scratch": 2,  # the host's and the device's
    "flax": 2,
    "tf_keras": 13,  # and float32 for `fit`, and two copies of TensorFlow's
    "keras_on_jax": 5,  # and float32 for `fit`
    "numpy_1": 5,  # and float32
    "numpy_all": 5,
}
PARAM_COPIES = 8  # weight, gradient, two moments, and as many in passing
PROCESS_BYTES = 700 * 2**20  # of a framework loaded, roughly


class Point(NamedTuple):
    """Where a sweep measures."""

    width: int  # neurons of the hidden layer
    examples: int  # training images of an epoch
    batch_size: int

    @property
    def steps(self) -> int:
        """Updates of an epoch; the last batch may be short."""
        return math.ceil(self.examples / self.batch_size)


class Plan(NamedTuple):
    """How a point is measured, the same for all contenders."""

    part_steps: int | None  # of each epoch; None: all of them
    epochs_per_turn: int

    def words(self, point: Point) -> str:
        """For the screen and the report."""
        if self.part_steps is not None:
            return f"{self.part_steps:,} of {point.steps:,} steps"
        times = f", {self.epochs_per_turn} times" if self.epochs_per_turn > 1 else ""
        return f"{point.steps:,} steps{times}"


WHOLE = Plan(None, 1)


def sweeps(
    base: Point,
    widths: Sequence[int],
    examples: Sequence[int],
    batch_sizes: Sequence[int],
) -> dict[str, list[Point]]:
    """One factor at a time, each from the smallest value on."""
    values = {"width": widths, "examples": examples, "batch_size": batch_sizes}
    return {
        factor: [base._replace(**{factor: value}) for value in sorted(set(found))]
        for factor, found in values.items()
    }


def floor_of(point: Point, num_pixels: int, rates: Rates) -> dict[str, Any]:
    """The least that a point's epoch can take; `rates` of its width."""
    return epoch_floor(make_task(point, num_pixels), point.examples, rates)


def make_plan(
    point: Point, floor_seconds: float, part_seconds: float, rounds: int
) -> Plan:
    """A part of the epoch where it is long, several epochs a turn where it is short.

    A part takes `part_seconds` at the machine's floor, and `MIN_STEPS` at least. All
    turns together use no example twice: Keras's `fit` ends where its data does. Where
    that leaves too few steps, epochs are measured whole.
    """
    wanted = max(MIN_STEPS, math.ceil(part_seconds / (floor_seconds / point.steps)))
    if wanted * (rounds + 1) <= point.examples // point.batch_size:
        return Plan(wanted, 1)
    return Plan(None, max(1, round(part_seconds / floor_seconds)))


def make_task(
    point: Point,
    num_pixels: int,
    plan: Plan = WHOLE,
    *,
    rounds: int = 1,
    seed: int = 0,
    folder: Path = Path(),
) -> Task:
    """What the workers get."""
    return Task(
        model=MODEL,
        layer_sizes=(num_pixels, point.width, 10),
        optimizer="adam",
        learning_rate=LEARNING_RATE,
        batch_size=point.batch_size,
        num_epochs=1 + rounds * plan.epochs_per_turn,
        seed=seed,
        folder=folder,
        num_examples=point.examples,
        part_steps=plan.part_steps,
        epochs_per_turn=plan.epochs_per_turn,
    )


def check_memory(
    points: Sequence[Point], names: Sequence[str], num_pixels: int
) -> None:
    """Raise InputError where the contenders of a point would not fit the memory."""
    free = _free_bytes()
    if free is None:
        return
    for point in points:
        params = num_params((num_pixels, point.width, 10))
        per_image = num_pixels * sum(BYTES_PER_PIXEL[name] for name in names)
        rest = PROCESS_BYTES + PARAM_COPIES * 4 * params
        needed = point.examples * per_image + len(names) * rest
        if needed > free:
            raise InputError(
                f"{point.examples:,} images at width {point.width:,} take about "
                f"{needed / 2**30:.0f} GiB, all contenders together, and "
                f"{free / 2**30:.0f} GiB are free; give smaller --examples-list or "
                "--widths, or fewer --contenders"
            )


def _free_bytes() -> int | None:
    """Memory that a program may take without swapping, where the system tells it."""
    try:
        with open("/proc/meminfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None
