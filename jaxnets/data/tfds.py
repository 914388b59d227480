"""Datasets from tensorflow-datasets' own builders; TensorFlow loads when used.

What a data folder has for a dataset is not always what is needed: other programs
prepare the same folder in other formats (`tfds.data_source`), with fewer records,
or were cut off. Such a folder is passed by, and ours is prepared beside it.
"""

import contextlib
import json
import os
import shutil
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jaxnets import process
from jaxnets.errors import DatasetUnavailable, InputError
from jaxnets.files import absolute
from jaxnets.types import Batch

VERSIONS = {"mnist": "3.0.1", "fashion_mnist": "3.0.1", "kmnist": "3.0.1"}
RECORDS = {"train": 60_000, "test": 10_000}  # of each of them
FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
FOLDER_VARIABLE = "JAXNETS_MNIST_DIR"
OWN_FOLDER = "jaxnets"  # in the data folder: what this package alone writes and reads

_DATA_DOORS = "--data-dir or TFDS_DATA_DIR"
_REACH_SECONDS = 10  # patience with a server that does not answer
_RECORD_FRAME = 16  # bytes: a length, its checksum, and the checksum of the content


def data_folder(data_dir: str | os.PathLike[str] | None) -> Path:
    """Where tensorflow-datasets keeps its data; None means its own default.

    Raises InputError where it is no folder, DatasetUnavailable without a home folder.
    """
    path = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    try:
        folder = absolute(path)
    except InputError as error:
        raise DatasetUnavailable(f"{error} by {_DATA_DOORS}") from error
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is not a folder; name one by {_DATA_DOORS}")
    return folder


def require_files(folder: str | os.PathLike[str]) -> Path:
    """The folder from the root; raise InputError unless the four files are in it."""
    path = absolute(folder)
    missing = [file for file in FILES if not (path / file).is_file()]
    if missing:
        raise InputError(
            f"folder {path} lacks {', '.join(missing)}; name a folder with the "
            f"four original files by --mnist-dir or {FOLDER_VARIABLE}"
        )
    return path


def files_of_variable(name: str, data_dir: Path) -> Path | None:
    """The folder that JAXNETS_MNIST_DIR names, where it is needed.

    It is not for another dataset, or for one that is prepared already: then a
    variable that points nowhere does no harm. Raises as `require_files`.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder or name != "mnist" or prepared_in(name, data_dir):
        return None
    return require_files(folder)


def prepared_in(name: str, data_dir: Path) -> Path | None:
    """The data folder that holds the sound dataset: this one, ours in it, or None."""
    for root in (data_dir, data_dir / OWN_FOLDER):
        if defect(root / name / VERSIONS[name]) is None:
            return root
    return None


def defect(folder: Path) -> str | None:
    """Why a prepared dataset cannot be used, told without TensorFlow; None if it can.

    All records are accounted for: their number and bytes stand in the folder's own
    description, and a TFRecord file adds a frame to each.
    """
    try:
        info = json.loads((folder / "dataset_info.json").read_bytes())
        file_format = info.get("fileFormat", "tfrecord")
        if file_format != "tfrecord":
            return f"its format is {file_format}, not tfrecord"
        if not (folder / "features.json").is_file():
            return "it has no features.json"
        splits = {split["name"]: split for split in info["splits"]}
        for name, num_records in RECORDS.items():
            count = sum(map(int, splits[name]["shardLengths"]))
            shards = folder.glob(f"{info['name']}-{name}.tfrecord-*")
            size = sum(shard.stat().st_size for shard in shards)
            whole_size = int(splits[name]["numBytes"]) + _RECORD_FRAME * count
            if (count, size) != (num_records, whole_size):
                return f"its {name} records are not all there"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    except (ValueError, KeyError, TypeError, AttributeError):
        return "its dataset_info.json is damaged"
    return None


def load(name: str, folder: Path | None, data_dir: Path) -> tuple[Batch, Batch]:
    """Training and test records in tensorflow-datasets' own order; raises as `prepare`.

    TensorFlow does this in a process of its own, so that its memory, threads and
    messages end with it.
    """
    train, test = process.iterate(_load_here, name, folder, data_dir)
    return train, test


def _load_here(
    send: Callable[[Batch], None], name: str, folder: Path | None, data_dir: Path
) -> None:
    builder = prepare(name, folder, data_dir)
    import tensorflow as tf

    for split in ("train", "test"):
        try:
            records = builder.as_dataset(split=split, batch_size=-1)
        except tf.errors.OpError as error:
            raise damaged(builder) from error
        image = records["image"].numpy()[..., 0]  # the one grey channel
        send(Batch(image, records["label"].numpy().astype(np.int32)))


def damaged(builder: Any) -> InputError:
    """The error for records whose checksum does not fit."""
    return InputError(f"{builder.data_dir} is damaged; remove it to prepare it anew")


def prepare(name: str, folder: Path | None, data_dir: Path) -> Any:
    """The dataset's builder, prepared from the folder or else from the network.

    Raises:
      InputError: a file of the folder is not the published one, by its SHA-256.
      DatasetUnavailable: there is no folder, and the download failed; or
        TensorFlow is not installed.
    """
    tensorflow_datasets = _import_tensorflow_datasets()
    from tensorflow_datasets.core.download import download_manager

    def builder_in(root: Path) -> Any:
        reference = f"{name}:{VERSIONS[name]}"
        return tensorflow_datasets.builder(reference, data_dir=str(root))

    if prepared := prepared_in(name, data_dir):
        return builder_in(prepared)
    root = _root_to_prepare(name, data_dir)
    builder = builder_in(root)
    try:
        if folder is None:
            _require_reachable(urllib.parse.urljoin(builder.URL, FILES[0]))
    except OSError as error:
        raise _unavailable(name, None, data_dir, error) from error
    _require_writable(root)
    config = tensorflow_datasets.download.DownloadConfig(manual_dir=folder)
    try:
        builder.download_and_prepare(download_config=config)
    except download_manager.NonMatchingChecksumError as error:
        altered = next((file for file in FILES if file in str(error)), "a file")
        raise InputError(
            f"{altered} in {folder or 'the download'} is not the published file (its "
            "SHA-256 or size differs); replace it with a sound copy"
        ) from error
    except Exception as error:  # each download library has errors of its own
        if prepared_in(name, root):  # another process was faster
            return builder_in(root)
        # Errors of the network are of other kinds, or have no number.
        is_numbered = isinstance(error, OSError) and error.errno is not None
        if is_numbered or type(error) is OSError:  # as where a disk is too small
            raise
        raise _unavailable(name, folder, data_dir, error) from error
    return builder


def _root_to_prepare(name: str, data_dir: Path) -> Path:
    """The data folder, or ours in it where something else has the dataset's place."""
    folder = data_dir / name
    is_free = folder.is_dir() or not os.path.lexists(folder)
    if is_free and not os.path.lexists(folder / VERSIONS[name]):
        return data_dir
    own = data_dir / OWN_FOLDER
    shutil.rmtree(own / name / VERSIONS[name], ignore_errors=True)  # if it is damaged
    return own


def _require_reachable(url: str) -> None:
    """Find out in seconds what tensorflow-datasets' retries take minutes to admit."""
    request = urllib.request.Request(url, method="HEAD")
    # A server that answers will do; what it says is for the download to judge.
    with contextlib.suppress(urllib.error.HTTPError):
        urllib.request.urlopen(request, timeout=_REACH_SECONDS).close()


def _require_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written to ({error.strerror}); name another folder by "
            f"{_DATA_DOORS}"
        ) from error


def _import_tensorflow_datasets() -> Any:
    """tensorflow-datasets, quiet, with TensorFlow kept off the GPU."""
    try:
        with process.tensorflow_silenced():
            import tensorflow as tf
            import tensorflow_datasets

            with contextlib.suppress(RuntimeError):  # it is in use already
                tf.config.set_visible_devices([], "GPU")  # else it takes all memory
    except ImportError as error:
        raise DatasetUnavailable(
            f"{error.name} is not installed, so the images cannot be decoded; "
            "install tensorflow and tensorflow-datasets, or copy the decoded arrays "
            "from where they are"
        ) from error
    tensorflow_datasets.disable_progress_bar()
    return tensorflow_datasets


def _unavailable(
    name: str, folder: Path | None, data_dir: Path, error: Exception
) -> DatasetUnavailable:
    if folder is not None:
        return DatasetUnavailable(
            f"{name} could not be prepared from {folder}: {error}. Replace its files "
            "with sound copies."
        )
    passed_by = data_dir / name / VERSIONS[name]
    why = f" {passed_by} cannot be used: {defect(passed_by)}."
    return DatasetUnavailable(
        f"{name} could not be downloaded ({type(error).__name__}). Go online, or name "
        "a folder with the four original files by --mnist-dir."
        + (why if passed_by.exists() else "")
    )
