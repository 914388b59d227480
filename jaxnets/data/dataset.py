"""Loading a dataset and splitting it."""

import logging
import os
from pathlib import Path
from typing import NamedTuple

from jaxnets.data import cache, digits, tfds_source
from jaxnets.data.checks import check_batch
from jaxnets.errors import DatasetUnavailable, InputError
from jaxnets.types import Batch

DEFAULT = "mnist"
NAMES = (*tfds_source.VERSIONS, digits.NAME)
FOLDER_VARIABLE = "JAXNETS_MNIST_DIR"


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
    folder: Path | None = None,
    data_dir: Path | None = None,
    validation_examples: int | None = None,
) -> Dataset:
    """Load a dataset by name.

    Args:
      name: one of `NAMES`. None means MNIST, and where MNIST cannot be had,
        scikit-learn's digits, with a notice. A named dataset never falls back.
      folder: where the dataset's four original files lie. For MNIST the default
        is the environment variable JAXNETS_MNIST_DIR.
      data_dir: where tensorflow-datasets keeps its data. The default is its own:
        TFDS_DATA_DIR, or ~/tensorflow_datasets.
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
    if folder is not None:
        folder = with_the_files(folder)
    data_dir = data_dir or tfds_source.default_data_dir()
    notice = None
    try:
        train, test = _load_arrays(name or DEFAULT, folder, data_dir)
    except DatasetUnavailable as error:
        named = folder is not None or os.environ.get(FOLDER_VARIABLE)
        if name is not None or named:
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
        raise refusal(
            f"{validation_examples=} leaves nothing to train on; there are "
            f"{num_records} records",
            notice,
        )
    train, validation = _split(train, num_records - validation_examples)
    return Dataset(name or DEFAULT, train, validation, test, notice)


def refusal(message: str, notice: str | None) -> InputError:
    """An error about a dataset's size; it says where the data is a substitute."""
    return InputError(f"{message}. {notice}" if notice else message)


def first_examples(dataset: Dataset, count: int) -> Dataset:
    """The same data set with its first `count` training examples only.

    Raises:
      InputError: there are fewer, or none is asked for.
    """
    num_examples = len(dataset.train.label)
    if not 1 <= count <= num_examples:
        message = f"examples={count} must be between 1 and {num_examples}"
        raise refusal(message, dataset.notice)
    return dataset._replace(train=Batch(*(array[:count] for array in dataset.train)))


def folder_of_variable(name: str, data_dir: Path) -> Path | None:
    """The folder that JAXNETS_MNIST_DIR names, where it is needed.

    It is not for another dataset, or for one that is prepared already: then a
    variable that points nowhere does no harm.

    Raises: as `with_the_files`.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder or name != DEFAULT or tfds_source.is_prepared(name, data_dir):
        return None
    return with_the_files(Path(folder))


def with_the_files(folder: Path) -> Path:
    """The folder without `~`; raise InputError unless the four files are in it."""
    folder = folder.expanduser()
    missing = [f for f in tfds_source.FILES if not (folder / f).is_file()]
    if missing:
        raise InputError(
            f"folder {folder} lacks {', '.join(missing)}; name a folder with the "
            f"four original files by --mnist-dir or {FOLDER_VARIABLE}"
        )
    return folder


def _load_arrays(name: str, folder: Path | None, data_dir: Path) -> tuple[Batch, Batch]:
    if name == digits.NAME:
        return digits.load()
    path = cache.path(data_dir, name)
    arrays = cache.read(path)
    if arrays is None:
        folder = folder or folder_of_variable(name, data_dir)
        logging.getLogger(__name__).info(
            "reading %s through tensorflow-datasets; the first time takes about "
            "half a minute",
            name,
        )
        arrays = tfds_source.load(name, folder, data_dir)
        for batch in arrays:
            check_batch(batch)
        cache.write(path, *arrays)
    return arrays


def _split(records: Batch, cut: int) -> tuple[Batch, Batch]:
    """The first `cut` records to train on, the rest to validate."""
    image, label = records
    return Batch(image[:cut], label[:cut]), Batch(image[cut:], label[cut:])
