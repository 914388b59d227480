"""QMNIST's 50,000 other test images: a second test set that nobody has tuned on.

Yadav and Bottou (2019), "Cold case: the lost MNIST digits". Of its 60,000 test images
the first 10,000 are MNIST's own, the others were never published with MNIST.
"""

import gzip
import math
from pathlib import Path

import numpy as np

from jaxnets.data import Dataset
from jaxnets.data.checks import require_batch
from jaxnets.errors import InputError
from jaxnets.types import Batch

IMAGES = "qmnist-test-images-idx3-ubyte.gz"
LABELS = "qmnist-test-labels-idx2-int.gz"
MNISTS_OWN = 10_000  # images at the beginning
# An idx file begins with two zeros, the type of its numbers, and how many sizes follow.
TYPES: dict[int, np.dtype] = {8: np.dtype(np.uint8), 12: np.dtype(">i4")}


def load(folder: Path | None, dataset: Dataset) -> Batch | str:
    """The images that MNIST has not; or a sentence that says why there are none.

    Raises InputError where a file is not what its name says.
    """
    if folder is None:
        return "none; --qmnist FOLDER adds QMNIST's 50,000 other test images"
    if dataset.name != "mnist":
        return f"none; QMNIST's images are like MNIST's, not like {dataset.name}'s"
    for name in (IMAGES, LABELS):
        if not (folder / name).is_file():
            return f"none; {name} is not in {folder}"
    image, label = read(folder / IMAGES), read(folder / LABELS)
    if image.shape[1:] != (28, 28) or label.shape != (len(image), 8):
        raise InputError(
            f"{folder}: images {image.shape} and labels {label.shape} must be "
            "(N, 28, 28) and (N, 8)"
        )
    # The first of a label's eight numbers is the class, the others say who wrote it.
    others = Batch(image, label[:, 0].astype(np.int32)).split(MNISTS_OWN)[1]
    require_batch(others)
    return others


def read(file: Path) -> np.ndarray:
    """The array of a gzipped idx file, of bytes or of 32-bit integers."""
    try:
        content = gzip.decompress(file.read_bytes())
    except (EOFError, gzip.BadGzipFile) as error:
        raise InputError(f"{file} is not a whole gzip file: {error}") from error
    kind, num_sizes = (content[2], content[3]) if len(content) >= 4 else (0, 0)
    shape = np.frombuffer(content[4 : 4 + 4 * num_sizes], ">u4").tolist()
    numbers = content[4 + 4 * num_sizes :]
    if kind not in TYPES or len(numbers) != math.prod(shape) * TYPES[kind].itemsize:
        raise InputError(f"{file} is not an idx file of bytes or integers, or cut off")
    return np.frombuffer(numbers, TYPES[kind]).reshape(shape)
