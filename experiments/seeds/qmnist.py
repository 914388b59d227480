"""QMNIST's 50,000 other test images: a second test set that nobody has tuned on.

Yadav and Bottou (2019), "Cold case: the lost MNIST digits". Of its 60,000 test images
the first 10,000 are MNIST's own, the others were never published with MNIST.
"""

from pathlib import Path

import numpy as np

from jaxnets.data import Dataset, idx
from jaxnets.data.checks import require_batch
from jaxnets.errors import InputError
from jaxnets.types import Batch

IMAGES = "qmnist-test-images-idx3-ubyte.gz"
LABELS = "qmnist-test-labels-idx2-int.gz"
MNISTS_OWN = 10_000  # images at the beginning


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
    image, label = idx.read(folder / IMAGES), idx.read(folder / LABELS)
    if image.shape[1:] != (28, 28) or label.shape != (len(image), 8):
        raise InputError(
            f"{folder}: images {image.shape} and labels {label.shape} must be "
            "(N, 28, 28) and (N, 8)"
        )
    # The first of a label's eight numbers is the class, the others say who wrote it.
    others = Batch(image, label[:, 0].astype(np.int32)).split(MNISTS_OWN)[1]
    require_batch(others)
    return others
