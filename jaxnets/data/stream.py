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
        files_of_split = builder.info.splits[split].file_instructions
    except (ValueError, AssertionError, KeyError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{split=} of {name} cannot be read: {reason}") from error
    if not files_of_split:
        raise InputError(f"{split=} of {name} is empty")
    num_records = repeats * sum(part.take for part in files_of_split)
    records = _undecoded(files_of_split)
    if repeats > 1:
        records = records.repeat(repeats)
    if seed is not None:
        records = records.shuffle(SHUFFLE_BUFFER, seed=seed)
    decode = _make_decode(builder, wanted, num_records)
    return _batches(builder, records.enumerate().batch(batch_size).map(decode))


def _undecoded(parts: Any) -> Any:
    """The records of tensorflow-datasets' files, or of parts of them, one by one.

    Its own `as_dataset` parses each record apart, half of the time of all reading.
    """
    import tensorflow as tf

    first, *others = (
        tf.data.TFRecordDataset(str(part.filename)).skip(part.skip).take(part.take)
        for part in parts
    )
    for other in others:
        first = first.concatenate(other)
    return first


def _make_decode(builder: Any, wanted: np.ndarray | None, num_records: int) -> Any:
    """A function from numbers and records to labels, and pixels where wanted."""
    import tensorflow as tf

    feature = builder.info.features["image"]
    columns = {
        "image": tf.io.FixedLenFeature((), tf.string),
        "label": tf.io.FixedLenFeature((), tf.int64),
    }
    pixels = tf.TensorSpec(feature.shape, tf.uint8)

    def decode(numbers: Any, records: Any) -> Any:
        batch = tf.io.parse_example(records, columns)
        if wanted is None or wanted.all():
            decode_image, inputs = feature.decode_example, batch["image"]
        else:
            decode_image = _where_wanted(feature)
            size = len(wanted)
            is_in_full = numbers < num_records // size * size
            is_wanted = tf.gather(tf.constant(wanted), numbers % size) | ~is_in_full
            inputs = (is_wanted, batch["image"])
        images = tf.map_fn(decode_image, inputs, fn_output_signature=pixels)
        return {"image": images, "label": batch["label"]}

    return decode


def _where_wanted(feature: Any) -> Any:
    """Decoding of a pair, whether the image is wanted and its bytes; else zeros."""
    import tensorflow as tf

    return lambda pair: tf.cond(
        pair[0],
        lambda: feature.decode_example(pair[1]),
        lambda: tf.zeros(feature.shape, tf.uint8),
    )


def _batches(builder: Any, batches: Any) -> Iterator[Batch]:
    import tensorflow as tf  # by now it is there, and quiet

    damage = tf.errors.OpError  # by a name that outlives the module at exit
    try:
        for batch in batches.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
            yield Batch(batch["image"][..., 0], batch["label"].astype(np.int32))
    except damage as error:
        raise tfds.damaged(builder) from error
