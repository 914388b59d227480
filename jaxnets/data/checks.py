"""What images and labels must be."""

import numpy as np

from jaxnets.errors import InputError
from jaxnets.types import Batch

NUM_CLASSES = 10  # all the datasets here have ten


def check_batch(batch: Batch, num_classes: int = NUM_CLASSES) -> None:
    """Raise InputError unless images are uint8 [B, H, W] and labels fit them."""
    image, label = batch
    if image.dtype != np.uint8 or image.ndim != 3:
        raise InputError(
            f"images must be uint8 [count, height, width], not {image.dtype} "
            f"{list(image.shape)}"
        )
    if label.shape != image.shape[:1]:
        raise InputError(f"{len(image)} images but labels {list(label.shape)}")
    if len(label) and not 0 <= label.min() <= label.max() < num_classes:
        raise InputError(
            f"labels run from {label.min()} to {label.max()}; they must lie between "
            f"0 and {num_classes - 1}"
        )
