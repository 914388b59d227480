"""A contender's process: what it is given, what it sends, a turn at a time.

In NumPy and plain Python: a program loads no more than what it trains with.
"""

import importlib
import itertools
import math
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, NamedTuple

import numpy as np

WHITE = 255  # the largest value of an 8-bit pixel
SCALING = "scaling"  # the kind of the sweeps' points
EVALUATION_BATCH = 1000  # test images at a time, so that testing adds little memory


class Task(NamedTuple):
    """A point, which is one network and how it is trained, and how that is timed."""

    kind: str  # a model's name, or "scaling"; contenders of this kind take part
    network: str  # a model's name, which decides activations, cost, initial weights
    layer_sizes: tuple[int, ...]
    optimizer: Literal["sgd", "adam"]
    learning_rate: float
    examples: int  # training images of an epoch, repeated where there are fewer
    batch_size: int
    num_epochs: int  # the most that are trained; 0: as many as the rounds take
    part_steps: int | None = None  # of each epoch, so many first steps; None: all
    epochs_per_turn: int = 1  # that a report is the mean of, after a first single one
    seed: int = 0
    folder: Path = Path()  # with the arrays that `write_data` left

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
    def words(self) -> str:
        """What is timed of an epoch."""
        if self.part_steps is not None:
            return f"{self.part_steps:,} of {self.steps:,} steps"
        times = f", {self.epochs_per_turn} times" if self.epochs_per_turn > 1 else ""
        return f"{self.steps:,} steps{times}"


class Data(NamedTuple):
    """Images uint8 [B, H, W] with their labels int32 [B]."""

    image: np.ndarray
    label: np.ndarray


class Epoch(NamedTuple):
    """What a program hands over after each epoch."""

    seconds: float  # the epoch alone, shuffling included
    predict: Callable[[np.ndarray], np.ndarray]  # images uint8 to classes
    compile_seconds: float = 0.0  # where it is told apart from the epoch
    fixed_seconds: float = 0.0  # of a part's `seconds`, what a whole takes once too
    device: str = "cpu"  # that it trains on


OnEpoch = Callable[[Epoch], None]  # returns when the next epoch is to begin


def serve(
    send: Callable[[dict[str, Any]], None], program: str, task: Task, started: float
) -> None:
    """Train, and send a report after each turn; for `process.iterate` in lockstep.

    The first turn is one epoch, each later one `task.epochs_per_turn`. `program` is a
    module of `experiments.speed.programs`, and `started` is this process's beginning.
    """
    turn: list[Epoch] = []
    turn_size = 1

    def on_epoch(epoch: Epoch) -> None:
        nonlocal turn_size
        turn.append(epoch)
        if len(turn) == turn_size:
            send(_report(turn, task, time.time() - started))
            turn.clear()
            turn_size = task.epochs_per_turn

    module = importlib.import_module(f"experiments.speed.programs.{program}")
    module.run(task, read_data(task.folder, "train", task.examples), on_epoch)


def _report(turn: list[Epoch], task: Task, since_start: float) -> dict[str, Any]:
    """The mean of a turn's epochs, and the state after the last one."""
    peak, last = peak_bytes(), turn[-1]
    test = read_data(task.folder, "test")
    correct = 0
    for first in range(0, len(test.label), EVALUATION_BATCH):
        part = slice(first, first + EVALUATION_BATCH)
        correct += int((last.predict(test.image[part]) == test.label[part]).sum())
    return {
        "seconds": fmean(epoch.seconds for epoch in turn),
        "compile_seconds": last.compile_seconds,
        "since_start": since_start,  # at the turn's end
        "correct": correct,  # of the test images
        "seen": len(test.label),
        "peak_bytes": peak,  # before testing
        "fixed_seconds": fmean(epoch.fixed_seconds for epoch in turn),
        "device": last.device,
    }


def write_data(folder: Path, **parts: tuple[np.ndarray, np.ndarray]) -> None:
    """Leave the decoded arrays of "train" and "test" where every process finds them."""
    for part, (image, label) in parts.items():
        np.save(folder / f"{part}_image.npy", image)
        np.save(folder / f"{part}_label.npy", label)


def read_data(folder: Path, part: str, num_examples: int | None = None) -> Data:
    """The arrays of "train" or "test", from the first on again up to a number."""
    data = Data(*(np.load(folder / f"{part}_{name}.npy") for name in Data._fields))
    if num_examples is None or num_examples == len(data.label):
        return data
    rows = np.arange(num_examples) % len(data.label)
    return Data(data.image[rows], data.label[rows])


def to_vectors(images: np.ndarray) -> np.ndarray:
    """uint8 [B, H, W] to float32 [B, H * W] in [0, 1]."""
    vectors = images.reshape(len(images), -1).astype(np.float32)
    vectors /= WHITE  # in place: a second array would double the peak of memory
    return vectors


def peak_bytes() -> int | None:
    """The most memory that this process has held, where the system tells it.

    Linux's VmHWM first: ru_maxrss survives `exec`, and so may be the parent's.
    """
    peak = linux_bytes("/proc/self/status", "VmHWM")
    if peak is not None or sys.platform == "win32":
        return peak
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def linux_bytes(file: str, name: str) -> int | None:
    """What Linux tells of memory in a file of /proc; None elsewhere."""
    try:
        line = re.search(rf"{name}:\s*(\d+) kB", Path(file).read_text("utf-8"))
    except OSError:
        return None
    return int(line[1]) * 1024 if line else None
