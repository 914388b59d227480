"""Datasets from tensorflow-datasets' own builders; TensorFlow loads when used."""

import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jaxnets import process as worker
from jaxnets.errors import DatasetUnavailable, InputError
from jaxnets.process import stderr_silenced
from jaxnets.types import Batch

VERSIONS = {"mnist": "3.0.1", "fashion_mnist": "3.0.1", "kmnist": "3.0.1"}
REACH_SECONDS = 10  # patience with a server that does not answer
FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def default_data_dir() -> Path:
    """Where tensorflow-datasets keeps its data unless told otherwise."""
    path = Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise InputError(
            f"there is no home folder for {path}; name a folder for data by "
            "--data-dir or TFDS_DATA_DIR"
        ) from error


def is_prepared(name: str, data_dir: Path) -> bool:
    """As a builder's `is_prepared`, but told without loading TensorFlow."""
    folder = data_dir / name / VERSIONS[name]
    # What tensorflow-datasets 4.9.10 asks for, in `file_utils.is_valid_variant_dir`.
    parts = ("dataset_info.json", "features.json")
    return all((folder / part).is_file() for part in parts)


def load(name: str, folder: Path | None, data_dir: Path) -> tuple[Batch, Batch]:
    """Training and test records in tensorflow-datasets' own order.

    TensorFlow does this in a process of its own, so that its memory, threads and
    messages end with it.

    Raises:
      InputError: a file of the folder is not the published one, by its SHA-256.
      DatasetUnavailable: there is no folder, and the download failed; or
        TensorFlow is not installed.
    """
    (records,) = worker.iterate(_load_here, name, folder, data_dir)
    return records


def _load_here(
    send: Callable[[object], None], name: str, folder: Path | None, data_dir: Path
) -> None:
    builder = prepare(name, folder, data_dir)
    send((_decode(builder, "train"), _decode(builder, "test")))


def prepare(name: str, folder: Path | None, data_dir: Path) -> Any:
    """The dataset's builder, prepared from the folder or else from the network.

    Raises: as `load`.
    """
    tfds = _import_tfds()
    from tensorflow_datasets.core.download import download_manager

    def found() -> Any:
        return tfds.builder(f"{name}:{VERSIONS[name]}", data_dir=str(data_dir))

    builder = found()
    if builder.is_prepared():
        return builder
    if folder is None:
        _check_reachable(name, urllib.parse.urljoin(builder.URL, FILES[0]))
    config = tfds.download.DownloadConfig(manual_dir=folder)
    try:
        builder.download_and_prepare(download_config=config)
    except download_manager.NonMatchingChecksumError as error:
        raise InputError(_altered_message(error, folder)) from error
    except Exception as error:  # each download library has errors of its own
        if found().is_prepared():  # another process was faster
            return found()
        if _is_of_the_disk(error):
            raise
        raise _unavailable(name, folder, error) from error
    return builder


def _is_of_the_disk(error: Exception) -> bool:
    """Not of the network: download libraries raise kinds of their own, unnumbered."""
    is_numbered = isinstance(error, OSError) and error.errno is not None
    return is_numbered or type(error) is OSError  # so it says that a disk is too small


def _check_reachable(name: str, url: str) -> None:
    """Find out in seconds what tensorflow-datasets' retries take minutes to admit."""
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=REACH_SECONDS):
            pass
    except urllib.error.HTTPError:
        pass  # a server answered; what it says is for the download to judge
    except OSError as error:
        raise _unavailable(name, None, error) from error


def _import_tfds() -> Any:
    """tensorflow-datasets, quiet, with TensorFlow kept off the GPU."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before the first import
    try:
        with stderr_silenced():
            import tensorflow as tf
            import tensorflow_datasets as tfds

            tf.config.set_visible_devices([], "GPU")  # else it takes all memory
    except ImportError as error:
        raise DatasetUnavailable(
            f"{error.name} is not installed, so the images cannot be decoded; "
            "install tensorflow and tensorflow-datasets, or copy the decoded arrays "
            "from where they are"
        ) from error
    tfds.disable_progress_bar()
    return tfds


def _altered_message(error: Exception, folder: Path | None) -> str:
    altered = next((file for file in FILES if file in str(error)), "a file")
    return (
        f"{altered} in {folder or 'the download'} is not the published file (its "
        "SHA-256 or size differs); replace it with a sound copy"
    )


def _unavailable(
    name: str, folder: Path | None, error: Exception
) -> DatasetUnavailable:
    if folder is not None:
        return DatasetUnavailable(
            f"{name} could not be prepared from {folder}: {error}. Replace its files "
            "with sound copies."
        )
    return DatasetUnavailable(
        f"{name} could not be downloaded ({type(error).__name__}). Go online, or name "
        "a folder with the four original files by --mnist-dir."
    )


def _decode(builder: Any, split: str) -> Batch:
    records = builder.as_dataset(split=split, batch_size=-1, shuffle_files=False)
    image = records["image"].numpy()[..., 0]  # the one grey channel
    return Batch(image, records["label"].numpy().astype(np.int32))
