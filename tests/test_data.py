"""Loading by name: splits, the bundled digits, fallback and refusals."""

import errno
import io
import json
import os
import sys
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path
from types import SimpleNamespace

import chex
import jax
import numpy as np
import pytest
import sklearn.datasets

from jaxnets import data
from jaxnets.data import cache, checks, tfds
from jaxnets.errors import DatasetUnavailable, InputError
from jaxnets.types import Batch

VARIABLE = "JAXNETS_MNIST_DIR"


def batch(image_shape=(4, 28, 28), image_type=np.uint8, labels=(0, 9, 5, 3)):
    return Batch(np.zeros(image_shape, image_type), np.array(labels, np.int32))


def make_files(folder):
    """Four files with the right names; tests that read them replace the reader."""
    folder.mkdir()
    for name in tfds.FILES:
        (folder / name).touch()
    return folder


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No prepared MNIST, no folder, no network; gives an empty data folder."""

    def load(name, folder, data_dir):
        raise DatasetUnavailable(f"{name} could not be downloaded (test)")

    monkeypatch.setattr(tfds, "load", load)
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path


@pytest.fixture
def reader(monkeypatch):
    """tensorflow-datasets replaced by a few records; lists (folder, data_dir)."""
    calls = []

    def load(name, folder, data_dir):
        calls.append((folder, data_dir))
        return batch(), batch()

    monkeypatch.setattr(tfds, "load", load)
    monkeypatch.delenv(VARIABLE, raising=False)
    return calls


# Digits and splits.


def test_digits_are_scikit_learns_enlarged(digits):
    bunch = sklearn.datasets.load_digits()
    image = np.concatenate([part.image for part in digits[1:4]])
    label = np.concatenate([part.label for part in digits[1:4]])
    chex.assert_shape([image, label], [(1797, 28, 28), (1797,)])
    assert (image.dtype, label.dtype) == (np.uint8, np.int32)
    np.testing.assert_array_equal(label, bunch.target)
    # Enlarging keeps the corners; 16 becomes 255.
    corners = np.rint(bunch.images[:, ::7, ::7] * 255 / 16)
    np.testing.assert_array_equal(image[:, ::27, ::27], corners)
    # Every picture still looks like its own: correlation with plain repetition.
    repeated = np.kron(bunch.images, np.ones((1, 4, 4)))[:, 2:30, 2:30]
    for one, other in zip(image[::100], repeated[::100], strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.8
    assert (digits.name, digits.notice) == ("digits", None)


@pytest.mark.parametrize(
    ("validation_examples", "sizes"),
    [
        (None, [1198, 239, 360]),
        (0, [1437, 0, 360]),
        (1, [1436, 1, 360]),
        (1436, [1, 1436, 360]),
    ],
)
def test_the_last_training_records_validate(validation_examples, sizes):
    loaded = data.load("digits", validation_examples=validation_examples)
    assert [len(part.image) for part in loaded[1:4]] == sizes
    together = np.concatenate([part.label for part in loaded[1:4]])
    np.testing.assert_array_equal(together, sklearn.datasets.load_digits().target)


def test_the_first_examples(digits):
    few = data.first_examples(digits, 7)
    np.testing.assert_array_equal(few.train.label, [0, 1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(few.train.image, digits.train.image[:7])
    chex.assert_trees_all_equal(few[2:4], digits[2:4])


@pytest.mark.parametrize("count", [-1, 1437, 10**6])
def test_a_validation_set_that_does_not_fit(count):
    with pytest.raises(InputError, match=rf"validation_examples={count}"):
        data.load("digits", validation_examples=count)


@pytest.mark.parametrize("count", [-1, 0, 1199])
def test_a_number_of_examples_that_does_not_fit(digits, count):
    with pytest.raises(InputError, match=rf"examples={count} .* 1 and 1198$"):
        data.first_examples(digits, count)


def test_an_unknown_name_lists_the_known():
    with pytest.raises(InputError, match=r"unknown dataset 'cifar'.*mnist.*digits"):
        data.load("cifar")


# MNIST cannot be had.


def test_without_mnist_the_default_is_digits_and_says_so(offline, digits):
    loaded = data.load(data_dir=offline)
    assert loaded.name == "digits"
    assert "MNIST could not be had" in loaded.notice
    assert "mnist could not be downloaded (test)" in loaded.notice  # the reason
    chex.assert_trees_all_equal(loaded[1:4], digits[1:4])


@pytest.mark.parametrize("name", tfds.VERSIONS)
def test_a_named_dataset_never_falls_back(offline, name):
    with pytest.raises(DatasetUnavailable, match=name):
        data.load(name, data_dir=offline)


def test_a_named_folder_never_falls_back(offline, tmp_path, monkeypatch):
    folder = make_files(tmp_path / "files")
    with pytest.raises(DatasetUnavailable):
        data.load(folder=folder, data_dir=offline)
    monkeypatch.setenv(VARIABLE, str(folder))
    with pytest.raises(DatasetUnavailable):
        data.load(data_dir=offline)


def test_a_refusal_says_where_mnist_is_missing(offline):
    # 1,437 records are no error in themselves: the user thinks of MNIST's 60,000.
    missing = r"\. MNIST could not be had.* could not be downloaded"
    with pytest.raises(InputError, match=f"there are 1437 records{missing}"):
        data.load(data_dir=offline, validation_examples=10_000)
    with pytest.raises(InputError, match=f"between 1 and 1198{missing}"):
        data.first_examples(data.load(data_dir=offline), 5000)


@pytest.fixture
def no_home(monkeypatch):
    """What Python finds where a user has no home folder: `~` stays as it is."""
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.mark.usefixtures("no_home")
def test_digits_need_no_home_folder():
    assert data.load("digits").notice is None
    assert "--data-dir" in data.load().notice
    with pytest.raises(DatasetUnavailable, match=r"home folder.*--data-dir"):
        data.load("mnist")


# Folders, by every door.


@pytest.mark.parametrize("name", [None, "mnist"])
@pytest.mark.parametrize("by_variable", [False, True])
@pytest.mark.parametrize("folder", ["empty", "missing", "a file"])
def test_a_folder_without_the_files(offline, monkeypatch, name, by_variable, folder):
    (offline / "empty").mkdir()
    (offline / "a file").touch()
    given = str(offline / folder)
    if by_variable:
        monkeypatch.setenv(VARIABLE, given)
    with pytest.raises(InputError, match="--mnist-dir") as caught:
        data.load(name, folder=None if by_variable else given, data_dir=offline)
    assert all(file in str(caught.value) for file in (given, *tfds.FILES))


def test_a_folder_that_lacks_one_file_names_it(offline):
    folder = make_files(offline / "files")
    (folder / tfds.FILES[3]).unlink()
    with pytest.raises(InputError, match=r"lacks t10k-labels-idx1-ubyte\.gz;"):
        data.load("mnist", folder=folder)


def test_a_data_folder_that_is_a_file(offline, monkeypatch):
    (offline / "file").touch()
    with pytest.raises(InputError, match=r"file is not a folder.*--data-dir"):
        data.load("mnist", data_dir=offline / "file")
    monkeypatch.setenv("TFDS_DATA_DIR", str(offline / "file"))
    with pytest.raises(InputError, match=r"file is not a folder.*TFDS_DATA_DIR"):
        data.load()


def test_the_variable_is_only_for_mnist(reader, monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "missing"))
    assert data.load("digits").notice is None
    data.load("kmnist", data_dir=tmp_path)
    assert reader == [(None, tmp_path)]


@pytest.mark.parametrize("door", ["argument", "variable", "home"])
def test_paths_are_expanded_and_absolute(reader, monkeypatch, tmp_path, door):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    make_files(tmp_path / "files")
    if door == "argument":
        data.load("mnist", folder="~/files", data_dir="data")
    elif door == "variable":
        monkeypatch.setenv(VARIABLE, "files")
        monkeypatch.setenv("TFDS_DATA_DIR", "~/data")
        data.load("mnist")
    else:
        monkeypatch.setenv("TFDS_DATA_DIR", "")  # does not mean the working folder
        data.load("mnist", folder=Path("files"))
    data_dir = tmp_path / ("tensorflow_datasets" if door == "home" else "data")
    assert reader == [(tmp_path / "files", data_dir)]
    assert cache.path(data_dir, "mnist").is_file()
    assert not (tmp_path / "~").exists()


# Prepared folders.


def describe(folder, *, file_format="tfrecord", counts=None, sizes=(0, 0)):
    """A dataset folder as tensorflow-datasets 4.9.10 describes it, without TensorFlow.

    Oracle: folders that it prepared itself, in test_data_mnist.py.
    """
    folder.mkdir(parents=True)
    splits = []
    for (name, count), extra in zip(
        (counts or {"train": 60_000, "test": 10_000}).items(), sizes, strict=True
    ):
        splits.append({"name": name, "numBytes": "0", "shardLengths": [str(count)]})
        shard = folder / f"mnist-{name}.{file_format}-00000-of-00001"
        with open(shard, "wb") as stream:
            stream.truncate(16 * count + extra)
    info = {"name": "mnist", "fileFormat": file_format, "splits": splits}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    (folder / "features.json").touch()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"file_format": "array_record"}, "array_record"),
        ({"counts": {"train": 100, "test": 100}}, "train records are not all there"),
        ({"sizes": (0, -1)}, "test records are not all there"),
        ({"counts": {"train": 60_000}, "sizes": (0,)}, "json is damaged"),
    ],
    ids=str,
)
def test_a_prepared_folder_is_judged_by_its_records(tmp_path, change, reason):
    describe(tmp_path / "mnist" / "3.0.1", **change)
    assert tfds.prepared_in("mnist", tmp_path) == (None if reason else tmp_path)
    if reason:
        assert reason in tfds.defect(tmp_path / "mnist" / "3.0.1")
        describe(tmp_path / "jaxnets" / "mnist" / "3.0.1")  # ours, beside it
        assert tfds.prepared_in("mnist", tmp_path) == tmp_path / "jaxnets"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"splits": 3}', None])
def test_a_prepared_folder_with_a_damaged_description(tmp_path, content):
    folder = tmp_path / "mnist" / "3.0.1"
    describe(folder)
    (folder / "dataset_info.json").unlink()
    if content is not None:
        (folder / "dataset_info.json").write_text(content)
    assert tfds.prepared_in("mnist", tmp_path) is None


@pytest.mark.parametrize("name", [None, "mnist"])
def test_what_is_prepared_comes_before_the_variable(
    reader, monkeypatch, tmp_path, name
):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "missing"))
    options = {"data_dir": tmp_path, "validation_examples": 0}
    with pytest.raises(InputError, match="missing lacks"):
        data.load(name, **options)
    describe(tmp_path / "mnist" / "3.0.1")
    with pytest.raises(InputError, match="explicit lacks"):  # what is named is checked
        data.load(name, folder=tmp_path / "explicit", **options)
    assert data.load(name, **options).name == "mnist"
    assert reader == [(None, tmp_path)]


def test_what_is_kept_needs_no_folder(monkeypatch, tmp_path):
    cache.write(cache.path(tmp_path, "mnist"), batch(), batch())
    monkeypatch.setenv(VARIABLE, str(tmp_path / "missing"))
    assert data.load("mnist", data_dir=tmp_path, validation_examples=0).name == "mnist"


# The network and tensorflow-datasets.


def refuse(request, timeout):
    """`urlopen` where there is no network."""
    raise urllib.error.URLError(OSError(errno.ENETUNREACH, "Network is unreachable"))


@pytest.mark.keras
@pytest.mark.usefixtures("in_this_process")
def test_offline_a_name_fails_and_no_name_falls_back(monkeypatch, tmp_path):
    # All is real but for the network, and that TensorFlow runs in this process.
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.delenv(VARIABLE, raising=False)
    folder = tmp_path / "mnist" / "3.0.1"
    describe(folder, file_format="array_record")
    remedy = r"mnist could not be downloaded \(URLError\)\. Go online.*--mnist-dir"
    with pytest.raises(DatasetUnavailable, match=f"{remedy}.*{folder}.*array_record"):
        data.load("mnist", data_dir=tmp_path)
    loaded = data.load(data_dir=tmp_path)
    assert loaded.name == "digits"
    assert "could not be downloaded (URLError)" in loaded.notice
    assert not list(tmp_path.rglob("*.npz"))


@pytest.mark.keras
@pytest.mark.usefixtures("in_this_process")
def test_a_server_that_answers_is_left_to_tensorflow_datasets(monkeypatch, tmp_path):
    class Reached(Exception):
        pass

    def answer(request, timeout):
        assert request.method == "HEAD" and 0 < timeout <= 10
        raise urllib.error.HTTPError(
            request.full_url, 403, "Forbidden", Message(), io.BytesIO()
        )

    def download_and_prepare(self, **_):
        raise Reached

    import tensorflow_datasets

    builder = tensorflow_datasets.core.DatasetBuilder
    monkeypatch.setattr(builder, "download_and_prepare", download_and_prepare)
    monkeypatch.setattr(urllib.request, "urlopen", answer)
    with pytest.raises(DatasetUnavailable) as caught:
        tfds.prepare("mnist", None, tmp_path)
    assert isinstance(caught.value.__cause__, Reached)


@pytest.mark.keras
def test_a_read_only_data_folder(read_only_disk, tmp_path):
    files = make_files(tmp_path / "files")
    with pytest.raises(InputError, match=rf"{read_only_disk}.*Read-only.*--data-dir"):
        tfds.prepare("mnist", files, read_only_disk)


def test_without_tensorflow_the_message_says_so(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(DatasetUnavailable, match="tensorflow is not installed"):
        tfds.prepare("mnist", None, tmp_path)


def preparing(monkeypatch, data_dir, error, is_prepared):
    """`prepare` with a builder whose preparation fails; then it may be there."""

    def download_and_prepare(**_):
        if is_prepared:
            describe(data_dir / "mnist" / "3.0.1")
        raise error

    builder = SimpleNamespace(download_and_prepare=download_and_prepare)
    library = SimpleNamespace(
        builder=lambda *_, **__: builder,
        download=SimpleNamespace(DownloadConfig=lambda **_: None),
    )
    monkeypatch.setattr(tfds, "_import_tensorflow_datasets", lambda: library)
    return tfds.prepare("mnist", Path("folder"), data_dir) is builder


@pytest.mark.keras
@pytest.mark.parametrize(
    "error",
    [  # what tensorflow-datasets' rename raises has no number
        FileExistsError("Destination already exists."),
        OSError(errno.ENOTEMPTY, "Directory not empty"),
        RuntimeError("the file has gone"),
    ],
    ids=str,
)
def test_another_process_may_prepare_faster(monkeypatch, tmp_path, error):
    assert preparing(monkeypatch, tmp_path, error, is_prepared=True)


@pytest.mark.keras
@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), OSError),
        # tensorflow-datasets 4.9.10, `download_and_prepare`
        (OSError("Not enough disk space. Needed: 32 MiB"), OSError),
        (RuntimeError("no network"), DatasetUnavailable),
        (ConnectionError("no network"), DatasetUnavailable),
    ],
    ids=str,
)
def test_a_full_disk_is_no_missing_dataset(monkeypatch, tmp_path, error, raised):
    # Only where the data cannot be had may digits take its place.
    with pytest.raises(raised) as caught:
        preparing(monkeypatch, tmp_path, error, is_prepared=False)
    assert caught.type is raised


# Streams.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "digits"}, "unknown dataset 'digits' to stream; known: mnist"),
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"folder": "no-such"}, "folder /.*/no-such lacks"),
    ],
)
def test_a_stream_refuses_bad_input_at_once(settings, message):
    standard = {"name": "mnist", "split": "test", "batch_size": 8, "seed": None}
    with pytest.raises(InputError, match=message):
        data.stream(**{**standard, **settings})


def test_a_stream_of_what_is_prepared_needs_no_folder(monkeypatch, tmp_path):
    class Reached(Exception):
        pass

    def prepare(name, folder, data_dir):
        raise Reached(folder)

    monkeypatch.setattr(tfds, "prepare", prepare)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "missing"))
    options = {"split": "test", "batch_size": 8, "seed": None, "data_dir": tmp_path}
    with pytest.raises(InputError, match="missing lacks"):
        data.stream("mnist", **options)
    describe(tmp_path / "mnist" / "3.0.1")
    with pytest.raises(Reached, match="None"):
        data.stream("mnist", **options)


# What records must be.


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (batch(labels=(0, 1, 10, 2)), "labels run from 0 to 10.*between 0 and 9"),
        (batch(labels=(0, -1, 9, 2)), "labels run from -1 to 9"),
        (batch((600, 2, 2), labels=[0] * 1000), "600 images but 1,000 labels"),
        (batch(labels=(0, 1)), "4 images but 2 labels"),
        (batch(image_type=np.float32), r"not float32 \[4, 28, 28\]"),
        (batch(image_shape=(4, 784)), r"not uint8 \[4, 784\]"),
        (batch(image_shape=(4, 28, 28, 1)), r"not uint8 \[4, 28, 28, 1\]"),
        (batch(labels=np.eye(4)), r"not int32 \[4, 4\]"),
        (batch()._replace(label=np.zeros(4, np.float32)), r"not float32 \[4\]"),
        (batch()._replace(label=np.zeros(4, bool)), r"not bool \[4\]"),
    ],
)
def test_records_that_make_no_sense(bad, message, on_device):
    with pytest.raises(InputError, match=message):
        checks.require_batch(jax.device_put(bad) if on_device else bad)


def test_records_that_are_no_arrays():
    with pytest.raises(InputError, match=r"images must be an array.*not a list"):
        checks.require_batch(batch()._replace(image=[[[0]]]))
    with pytest.raises(InputError, match=r"labels must be an array.*not a list"):
        checks.require_batch(batch()._replace(label=[0, 9, 5, 3]))


def test_sound_records_pass():
    checks.require_batch(batch())
    checks.require_batch(jax.device_put(batch()))
    checks.require_batch(batch((0, 28, 28), labels=()))
    checks.require_batch(batch(labels=(0, 61, 5, 3)), num_classes=62)
    for kind in (np.int64, np.uint8):
        checks.require_batch(batch()._replace(label=np.arange(4, dtype=kind)))


def test_labels_out_of_range_are_not_kept_when_a_dataset_is_read(monkeypatch, tmp_path):
    records = (batch(), batch(labels=(0, 1, 2, 10)))
    monkeypatch.setattr(tfds, "load", lambda *_: records)
    with pytest.raises(InputError, match="labels run from 0 to 10"):
        data.load("kmnist", data_dir=tmp_path)
    assert list(tmp_path.rglob("*.npz")) == []  # nothing bad is kept for next time
