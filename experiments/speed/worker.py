"""A contender's process: what it is given, what it sends, a turn at a time.

In NumPy and plain Python: a program loads no more than what it trains with.
"""

import importlib
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, NamedTuple

import numpy as np

from experiments.kit.memory import peak_bytes

WHITE = 255  # the largest value of an 8-bit pixel
SCALING = "scaling"  # the kind of the sweeps' points
EVALUATION_BATCH = 1000  # test images at a time, so that testing adds little memory
SHORT = 4  # a part that tells what an epoch takes once has so many times fewer steps
SCALING_TEST = 1000  # test images of a sweep's points, where accuracy is no result


class Task(NamedTuple):
    """A point, which is one network and how it is trained, and how that is timed."""

    kind: str  # a model's name, or "scaling"; contenders of this kind take part
    network: str  # a model's name, which decides activations, cost, initial weights
    layer_sizes: tuple[int, ...]
    optimizer: Literal["sgd", "adam"]
    learning_rate: float
    examples: int  # training images of an epoch, repeated where there are fewer
    batch_size: int
    num_epochs: int  # the recipe's; 0: as many as the rounds take
    part_steps: int | None = None  # an epoch is timed in parts of so many; None: whole
    turn_seconds: float = 0.0  # a turn after the first is parts until these have passed
    choices: tuple[tuple[str, Any], ...] = ()  # options of the contender's program
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
    def options(self) -> dict[str, Any]:
        """Of the contender's program."""
        return dict(self.choices)

    def with_options(self, **options: Any) -> "Task":
        """The task with these options too."""
        return self._replace(choices=(*(self.options | options).items(),))

    def parts(self, order: np.ndarray) -> Iterator[np.ndarray]:
        """An epoch's order in the parts that are timed, without a rest."""
        size = self.part_steps * self.batch_size if self.part_steps else len(order)
        for end in range(size, len(order) + 1, size):
            yield order[end - size : end]


class Data(NamedTuple):
    """Images uint8 [B, H, W] with their labels int32 [B]."""

    image: np.ndarray
    label: np.ndarray


class Part(NamedTuple):
    """What a program hands over after each epoch, or part of one."""

    seconds: float  # of the training alone, shuffling included
    predict: Callable[[np.ndarray], np.ndarray]  # images uint8 to classes
    compile_seconds: float = 0.0  # where it is told apart from the training
    fixed_seconds: float = 0.0  # of `seconds`, what a whole epoch takes once too
    device: str = "cpu"  # that it trains on


OnPart = Callable[[Part], None]  # returns when the next part is to begin


def serve(
    send: Callable[[dict[str, Any]], None], program: str, task: Task, started: float
) -> None:
    """Train on and on, and send a report after each turn; for `process.iterate`.

    The first turn is one part, each later one as many as fill `task.turn_seconds`.
    `program` is a module of `experiments.speed.programs`, and `started` is this
    process's beginning.
    """
    test = read_data(task.folder, "test")
    if task.kind == SCALING:
        test = Data(*(array[:SCALING_TEST] for array in test))
    seconds: list[float] = []
    cpu_seconds: list[float] = []
    correct: list[int] = []
    fixed_seconds = 0.0
    wanted = 0.0  # seconds of the turn
    cpu_began = 0.0

    def on_part(part: Part) -> None:
        nonlocal fixed_seconds, wanted, cpu_began
        since_start, peak = time.time() - started, peak_bytes()
        cpu_seconds.append(time.process_time() - cpu_began)
        seconds.append(part.seconds)
        correct.append(_correct(part.predict, test))
        fixed_seconds += part.fixed_seconds
        if sum(seconds) >= wanted:
            send(
                {
                    "seconds": list(seconds),  # of the turn's parts
                    # Of all threads; in the first also what the start took.
                    "cpu_seconds": list(cpu_seconds),
                    "correct": list(correct),  # of the test images, after each part
                    "seen": len(test.label),
                    "compile_seconds": part.compile_seconds,
                    "since_start": since_start,  # at the turn's end
                    "peak_bytes": peak,
                    "fixed_seconds": fixed_seconds / len(seconds),
                    "device": part.device,
                }
            )
            for values in (seconds, cpu_seconds, correct):
                values.clear()
            fixed_seconds, wanted = 0.0, task.turn_seconds
        cpu_began = time.process_time()

    module = importlib.import_module(f"experiments.speed.programs.{program}")
    module.run(task, read_data(task.folder, "train", task.examples), on_part)


def _correct(predict: Callable[[np.ndarray], np.ndarray], test: Data) -> int:
    starts = range(0, len(test.label), EVALUATION_BATCH)
    slices = [slice(start, start + EVALUATION_BATCH) for start in starts]
    return sum(int((predict(test.image[s]) == test.label[s]).sum()) for s in slices)


def epoch_seconds(turn: Mapping[str, Any], steps: int, part_steps: int | None) -> float:
    """Seconds of a whole epoch of `steps`; a part's steps stand for all of them."""
    seconds, fixed = fmean(turn["seconds"]), turn["fixed_seconds"]
    return fixed + (seconds - fixed) * steps / (part_steps or steps)


def fixed_part(
    seconds: float, steps: int, short_seconds: float, short_steps: int
) -> float:
    """Of `seconds`, what two parts of different length have in common; 0 or more."""
    per_step = (seconds - short_seconds) / (steps - short_steps)
    return min(seconds, max(0.0, seconds - steps * per_step))


def part_sizes(task: Task) -> list[int]:
    """Images of an epoch's timed part, and of the short one before it, if any.

    A loop of one step would be no loop.
    """
    if not task.part_steps:
        return [task.examples]
    short = max(2, task.part_steps // SHORT)
    return [task.part_steps * task.batch_size, short * task.batch_size]


def time_epochs(
    task: Task, shuffle: Callable[[int], list[Any]], train: Callable[[Any], None]
) -> Iterator[tuple[float, float]]:
    """Train on and on: seconds, and what of these an epoch takes once.

    Of whole epochs, or with `task.part_steps` of a part of each, after two short ones,
    the first of which warms up: the other and the part tell what an epoch takes once.

    Args:
      task: with the size of batches and parts.
      shuffle: an epoch's first rows, as many as each of `part_sizes`; waits for them.
      train: one of these, and waits.
    """

    def seconds(rows: Any) -> float:
        began = time.perf_counter()
        train(rows)
        return time.perf_counter() - began

    _, *short = (size // task.batch_size for size in part_sizes(task))
    for epoch in itertools.count():
        began = time.perf_counter()
        rows, *short_rows = shuffle(epoch)
        fixed = shuffling = time.perf_counter() - began
        if task.part_steps:
            for _ in range(2):
                short_seconds = seconds(*short_rows)
            part_seconds = seconds(rows)
            fixed += fixed_part(part_seconds, task.part_steps, short_seconds, *short)
        else:
            part_seconds = seconds(rows)
        yield shuffling + part_seconds, fixed


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
