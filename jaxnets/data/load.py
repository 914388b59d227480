"""Loading a dataset by name and splitting it."""

import logging
import os
from pathlib import Path
from typing import NamedTuple

from jaxnets.data import cache, digits, tfds
from jaxnets.data.checks import NUM_CLASSES, require_batch
from jaxnets.errors import DatasetUnavailable, InputError
from jaxnets.types import Batch

NAMES = (*tfds.VERSIONS, "digits")
DIGITS = tuple(map(str, range(NUM_CLASSES)))


class Dataset(NamedTuple):
    """Images and labels on the host, split; see `Batch` for shapes and ranges."""

    name: str
    train: Batch
    validation: Batch  # may be empty
    test: Batch
    notice: str | None  # set where the data is not what was asked for
    labels: tuple[str, ...] = DIGITS  # the classes' names, in their order

    @property
    def num_classes(self) -> int:
        """Labels are 0 to `num_classes` - 1."""
        return len(self.labels)

    def misfit(self, message: str) -> InputError:
        """The error for a setting that does not fit; it tells of a substitute."""
        return InputError(f"{message}. {self.notice}" if self.notice else message)


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
        loaded = name or "mnist"
        train, test = _load_records(loaded, files, data_dir)
    except DatasetUnavailable as error:
        if name or files or os.environ.get(tfds.FOLDER_VARIABLE):
            raise
        notice = (
            "MNIST could not be had, so this run uses scikit-learn's 1,797 small "
            f"digits instead: no figure here is comparable with MNIST's. {error}"
        )
        loaded = "digits"
        train, test = digits.load()
    dataset = Dataset(loaded, train, train, test, notice)
    return split_validation(dataset, validation_examples)


def split_validation(dataset: Dataset, validation_examples: int | None) -> Dataset:
    """The dataset with so many of the last training records set apart.

    None is a sixth. Raises InputError where that is no count, or leaves nothing.
    """
    num_records = len(dataset.train.label)
    if validation_examples is None:
        validation_examples = num_records // 6
    if validation_examples < 0:
        raise InputError(f"{validation_examples=} must be 0 or more")
    num_train = num_records - validation_examples
    if num_train <= 0:
        raise dataset.misfit(
            f"{validation_examples=} leaves nothing to train on; there are "
            f"{num_records} records"
        )
    train, validation = dataset.train.split(num_train)
    return dataset._replace(train=train, validation=validation)


def first_examples(dataset: Dataset, count: int) -> Dataset:
    """The same dataset with its first `count` training examples only.

    Raises InputError where there are fewer, or none is asked for.
    """
    num_examples = len(dataset.train.label)
    if not 1 <= count <= num_examples:
        raise dataset.misfit(f"examples={count} must be between 1 and {num_examples}")
    return dataset._replace(train=dataset.train.split(count)[0])


def _load_records(
    name: str, files: Path | None, data_dir: str | os.PathLike[str] | None
) -> tuple[Batch, Batch]:
    if name == "digits":
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
