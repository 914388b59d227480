"""A `tf.data` pipeline for data that does not fit in memory."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxnets.data import tfds
from jaxnets.errors import InputError
from jaxnets.types import Batch

SHUFFLE_BUFFER = 10_000  # records held in memory to shuffle among


def stream(
    name: str,
    *,
    split: str,
    batch_size: int,
    seed: int | None,
    folder: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    repeats: int = 1,
    wanted: np.ndarray | None = None,
) -> Iterator[Batch]:
    """One epoch of host batches, read from disk as they are needed.

    `streaming.fit_stream` trains on them. The last one may be short. Only
    `SHUFFLE_BUFFER` records and a few batches are in memory. TensorFlow runs in this
    process, on the processor alone.

    Args:
      name: mnist, fashion_mnist or kmnist.
      split: in tensorflow-datasets' notation: "train", "train[:50000]", "test".
      seed: of the order; take another for each epoch. None keeps that of `load`.
      folder, data_dir: as in `load`.
      repeats: how many times each record comes, as if there were so many more.
      wanted: bool [B], where images are cut into training batches of B, which of each
        to decode, such as `parallel.rows_here`; the others are zeros, but for those of
        a short batch at the end. Records are shuffled before they are decoded, so the
        order is the same whatever is wanted.

    Raises InputError for an unknown name or split, a bad batch size, folder or file,
    and DatasetUnavailable where the data is nowhere to be found.
    """
    if name not in tfds.VERSIONS:
        known = ", ".join(tfds.VERSIONS)
        raise InputError(f"unknown dataset {name!r} to stream; known: {known}")
    if batch_size < 1:
        raise InputError(f"{batch_size=} must be at least 1")
    if repeats < 1:
        raise InputError(f"{repeats=} must be at least 1")
    data_folder = tfds.data_folder(data_dir)
    files = tfds.require_files(folder) if folder else None
    files = files or tfds.files_of_variable(name, data_folder)
    builder = tfds.prepare(name, files, data_folder)
    try:
        records = builder.as_dataset(split=split, **_plainly())
    except (ValueError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{split=} of {name} cannot be read: {reason}") from error
    if repeats > 1:
        records = records.repeat(repeats)
    if seed is not None:
        records = records.shuffle(SHUFFLE_BUFFER, seed=seed)
    return _batches(builder, _decoded(builder, records, wanted).batch(batch_size))


def _plainly() -> dict[str, Any]:
    """Read records one after the other, undecoded, in half of the default's time.

    That keeps small sets in memory, for a second epoch of the same iterator.
    """
    import tensorflow_datasets as tfds_package

    plain = {"try_autocache": False, "skip_prefetch": True}
    return {
        "decoders": {"image": tfds_package.decode.SkipDecoding()},
        "read_config": tfds_package.ReadConfig(interleave_cycle_length=1, **plain),
    }


def _decoded(builder: Any, records: Any, wanted: np.ndarray | None) -> Any:
    """The records with their images as pixels, where they are wanted."""
    import tensorflow as tf

    feature = builder.info.features["image"]

    def decode(record: Any) -> Any:
        return {**record, "image": feature.decode_example(record["image"])}

    if wanted is None or wanted.all():
        return records.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    size = len(wanted)
    num_in_full = int(records.cardinality()) // size * size
    mask = tf.constant(wanted)

    def decode_some(index: Any, record: Any) -> Any:
        here = tf.logical_or(mask[index % size], index >= num_in_full)
        image = tf.cond(
            here,
            lambda: feature.decode_example(record["image"]),
            lambda: tf.zeros(feature.shape, tf.uint8),
        )
        return {**record, "image": image}

    return records.enumerate().map(decode_some, num_parallel_calls=tf.data.AUTOTUNE)


def _batches(builder: Any, batches: Any) -> Iterator[Batch]:
    import tensorflow as tf  # by now it is there, and quiet

    damage = tf.errors.OpError  # by a name that outlives the module at exit
    try:
        for batch in batches.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
            yield Batch(batch["image"][..., 0], batch["label"].astype(np.int32))
    except damage as error:
        raise tfds.damaged(builder) from error
