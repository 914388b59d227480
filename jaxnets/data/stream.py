"""A `tf.data` pipeline for data that does not fit the device."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxnets.data import tfds_source
from jaxnets.data.dataset import folder_of_variable, with_the_files
from jaxnets.errors import InputError
from jaxnets.types import Batch

SHUFFLE_BUFFER = 10_000  # records held in memory to shuffle among


def stream(
    name: str,
    *,
    split: str,
    batch_size: int,
    seed: int | None,
    folder: Path | None = None,
    data_dir: Path | None = None,
) -> Iterator[Batch]:
    """One epoch of batches, read from disk as they are needed.

    Each trains through the same `train_step` as an in-memory batch. The last one
    may be short. Only `SHUFFLE_BUFFER` records and a few batches are in memory.

    Args:
      name: a dataset of tensorflow-datasets: mnist, fashion_mnist or kmnist.
      split: in its notation: "train", "train[:50000]", "test".
      batch_size: examples per batch.
      seed: of the order; take another for each epoch. None keeps the records'
        own order, which is that of `load`.
      folder, data_dir: as in `load`.

    Returns:
      An iterator of host batches; see `Batch` for shapes and ranges.

    Raises:
      InputError: an unknown name, a bad batch size, folder or file.
      DatasetUnavailable: the data is nowhere to be found.
    """
    if name not in tfds_source.VERSIONS:
        known = ", ".join(tfds_source.VERSIONS)
        raise InputError(f"unknown dataset {name!r} to stream; known: {known}")
    if batch_size < 1:
        raise InputError(f"{batch_size=} must be at least 1")
    data_dir = data_dir or tfds_source.default_data_dir()
    folder = with_the_files(folder) if folder else folder_of_variable(name, data_dir)
    builder = tfds_source.prepare(name, folder, data_dir)
    records = builder.as_dataset(split=split, shuffle_files=False)
    if seed is not None:
        records = records.shuffle(SHUFFLE_BUFFER, seed=seed)
    return _batches(records, batch_size)


def _batches(records: Any, batch_size: int) -> Iterator[Batch]:
    import tensorflow as tf  # by now it is there, and quiet

    batches = records.batch(batch_size).prefetch(tf.data.AUTOTUNE)
    for batch in batches.as_numpy_iterator():
        yield Batch(batch["image"][..., 0], batch["label"].astype(np.int32))
