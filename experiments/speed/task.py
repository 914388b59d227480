"""What a contender is given and what it reports, in NumPy and plain Python."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

WHITE = 255  # the largest value of an 8-bit pixel


class Task(NamedTuple):
    """One network's training, in plain values: a program need not import jaxnets."""

    network: str  # the model's name; it decides activations, cost, initial weights
    layer_sizes: tuple[int, ...]
    optimizer: Literal["sgd", "adam"]
    learning_rate: float
    batch_size: int
    num_epochs: int  # the most that a program is asked for
    seed: int
    folder: Path  # with the arrays that `write_data` left
    num_examples: int  # the training images, repeated where there are fewer
    part_steps: int | None = None  # of each epoch, so many first steps; None: all
    epochs_per_turn: int = 1  # that a report is the mean of, after a first single one


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


class Report(NamedTuple):
    """What a contender's process sends after each turn."""

    seconds: float  # of an epoch, or of its part
    compile_seconds: float
    since_start: float  # seconds from the process's start to this turn's end
    correct: int  # of the test images, counted after the clock stopped
    seen: int
    peak_bytes: int | None  # of the process so far
    fixed_seconds: float = 0.0
    device: str = "cpu"


OnEpoch = Callable[[Epoch], None]  # returns when the next epoch is to begin


def write_data(folder: Path, train: Data, test: Data) -> None:
    """Leave the decoded arrays where every process finds them."""
    for part, (image, label) in (("train", train), ("test", test)):
        np.save(folder / f"{part}_image.npy", image)
        np.save(folder / f"{part}_label.npy", label)


def read_data(folder: Path, part: str, num_examples: int | None = None) -> Data:
    """The arrays of "train" or "test", from the first on again up to a number."""
    image = np.load(folder / f"{part}_image.npy")
    label = np.load(folder / f"{part}_label.npy")
    if num_examples is None or num_examples == len(label):
        return Data(image, label)
    rows = np.arange(num_examples) % len(label)
    return Data(image[rows], label[rows])


def to_vectors(images: np.ndarray) -> np.ndarray:
    """uint8 [B, H, W] to float32 [B, H * W] in [0, 1]."""
    vectors = images.reshape(len(images), -1).astype(np.float32)
    vectors /= WHITE  # in place: a second array would double the peak of memory
    return vectors
