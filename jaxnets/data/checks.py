"""What images and labels must be."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.errors import InputError
from jaxnets.types import Batch

NUM_CLASSES = 10  # all the datasets here have ten


def require_batch(batch: Batch, num_classes: int = NUM_CLASSES) -> None:
    """Raise InputError unless images are uint8 [B, H, W] and each has its label.

    Labels are integers [B], 0 to `num_classes` - 1. Arrays may lie on the host or
    on a device, from where the labels are copied to look at their range.
    """
    images, labels = batch
    for name, value in (("images", images), ("labels", labels)):
        if not isinstance(value, np.ndarray | jax.Array):
            kind = type(value).__name__
            raise InputError(f"{name} must be an array of NumPy or JAX, not a {kind}")
    kinds = [f"{array.dtype} {list(array.shape)}" for array in batch]
    if images.dtype != np.uint8 or images.ndim != 3:
        raise InputError(f"images must be uint8 [count, height, width], not {kinds[0]}")
    if labels.ndim != 1 or not jnp.issubdtype(labels.dtype, np.integer):
        raise InputError(f"labels must be integers [count], not {kinds[1]}")
    if len(labels) != len(images):
        raise InputError(f"{len(images):,} images but {len(labels):,} labels")
    classes = np.asarray(labels)
    if len(classes) and not 0 <= classes.min() <= classes.max() < num_classes:
        raise InputError(
            f"labels run from {classes.min()} to {classes.max()}; they must lie "
            f"between 0 and {num_classes - 1}"
        )
