"""Loading a dataset by name and splitting it."""

import logging
import os
from pathlib import Path
from typing import NamedTuple

from jaxnets.data import cache, digits, tfds
from jaxnets.data.checks import require_batch
from jaxnets.errors import DatasetUnavailable, InputError
from jaxnets.types import Batch

DEFAULT = "mnist"
NAMES = (*tfds.VERSIONS, digits.NAME)


class Dataset(NamedTuple):
    """Images and labels on the host, split; see `Batch` for shapes and ranges."""

    name: str
    train: Batch
    validation: Batch  # may be empty
    test: Batch
    notice: str | None  # set where the data is not what was asked for


def load(
    name: str | None = None,
    *,
    folder: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    validation_examples: int | None = None,
) -> Dataset:
    """Load a dataset by name.

    Args:
      name: one of `NAMES`. None means MNIST, and where MNIST cannot be had,
        scikit-learn's digits, with a notice. A named dataset never falls back.
      folder: where the dataset's four original files lie. For MNIST the default
        is the environment variable JAXNETS_MNIST_DIR.
      data_dir: where tensorflow-datasets keeps its data. The default is its own:
        TFDS_DATA_DIR, or ~/tensorflow_datasets. Digits need none.
      validation_examples: how many of the last training records are set apart,
        0 allowed. The default is a sixth: 10,000 of MNIST's 60,000.

    Raises:
      DatasetUnavailable: the data is nowhere to be found.
      InputError: an unknown name, a bad folder or file, a bad count.
    """
    if name is not None and name not in NAMES:
        raise InputError(f"unknown dataset {name!r}; known: {', '.join(NAMES)}")
    if validation_examples is not None and validation_examples < 0:
        raise InputError(f"{validation_examples=} must be 0 or more")
    files = None if folder is None else tfds.require_files(folder)
    notice = None
    try:
        train, test = _load_records(name or DEFAULT, files, data_dir)
    except DatasetUnavailable as error:
        if name or files or os.environ.get(tfds.FOLDER_VARIABLE):
            raise
        name = digits.NAME
        notice = (
            "MNIST could not be had, so this run uses scikit-learn's 1,797 small "
            f"digits instead: no figure here is comparable with MNIST's. {error}"
        )
        train, test = digits.load()
    num_records = len(train.label)
    if validation_examples is None:
        validation_examples = num_records // 6
    if validation_examples >= num_records:
        message = (
            f"{validation_examples=} leaves nothing to train on; there are "
            f"{num_records} records"
        )
        raise InputError(_with_notice(message, notice))
    train, validation = _split(train, num_records - validation_examples)
    return Dataset(name or DEFAULT, train, validation, test, notice)


def _with_notice(message: str, notice: str | None) -> str:
    """What an error says about a dataset's size, where the data is a substitute."""
    return f"{message}. {notice}" if notice else message


def first_examples(dataset: Dataset, count: int) -> Dataset:
    """The same dataset with its first `count` training examples only.

    Raises:
      InputError: there are fewer, or none is asked for.
    """
    num_examples = len(dataset.train.label)
    if not 1 <= count <= num_examples:
        message = f"examples={count} must be between 1 and {num_examples}"
        raise InputError(_with_notice(message, dataset.notice))
    return dataset._replace(train=_split(dataset.train, count)[0])


def _load_records(
    name: str, files: Path | None, data_dir: str | os.PathLike[str] | None
) -> tuple[Batch, Batch]:
    if name == digits.NAME:
        return digits.load()
    data_folder = tfds.data_folder(data_dir)
    kept = cache.path(data_folder, name)
    records = cache.read(kept)
    if records is None:
        files = files or tfds.files_of_variable(name, data_folder)
        logging.getLogger(__name__).info(
            "reading %s through tensorflow-datasets; the first time takes about "
            "half a minute",
            name,
        )
        records = tfds.load(name, files, data_folder)
        for batch in records:
            require_batch(batch)
        cache.write(kept, *records)
    return records


def _split(records: Batch, cut: int) -> tuple[Batch, Batch]:
    """The first `cut` records, and the rest."""
    image, label = records
    return Batch(image[:cut], label[:cut]), Batch(image[cut:], label[cut:])
