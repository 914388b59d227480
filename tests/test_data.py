"""Loading by name: splits, the bundled digits, fallback and refusals."""

import sys
from pathlib import Path

import chex
import numpy as np
import pytest
import sklearn.datasets

from jaxnets import data
from jaxnets.data import cache, checks, dataset, tfds_source
from jaxnets.errors import DatasetUnavailable, InputError
from jaxnets.types import Batch


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No prepared MNIST, no folder, no network; gives an empty data folder."""

    def load(name, folder, data_dir):
        raise DatasetUnavailable(f"{name} could not be downloaded (test)")

    monkeypatch.setattr(tfds_source, "load", load)
    monkeypatch.delenv(dataset.FOLDER_VARIABLE, raising=False)
    return tmp_path


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


def test_digits_are_split_in_order_and_kept_apart(digits):
    assert [len(part.label) for part in digits[1:4]] == [1198, 239, 360]
    assert digits.name == "digits" and digits.notice is None


@pytest.mark.parametrize("validation_examples", [0, 1, 1436])
def test_the_last_training_records_validate(validation_examples):
    loaded = data.load("digits", validation_examples=validation_examples)
    whole = sklearn.datasets.load_digits().target
    cut = 1437 - validation_examples
    np.testing.assert_array_equal(loaded.train.label, whole[:cut])
    np.testing.assert_array_equal(loaded.validation.label, whole[cut:1437])
    np.testing.assert_array_equal(loaded.test.label, whole[1437:])
    assert len(loaded.train.image) == cut


@pytest.mark.parametrize("count", [-1, 1437, 10**6])
def test_a_validation_set_that_does_not_fit(count):
    with pytest.raises(InputError, match=rf"validation_examples={count}"):
        data.load("digits", validation_examples=count)


def test_an_unknown_name_lists_the_known():
    with pytest.raises(InputError, match=r"unknown dataset 'cifar'.*mnist.*digits"):
        data.load("cifar")


def test_without_mnist_the_default_is_digits_and_says_so(offline, digits):
    found = data.load(data_dir=offline)
    assert found.name == "digits"
    assert "MNIST could not be had" in found.notice
    assert "mnist could not be downloaded (test)" in found.notice  # the reason
    chex.assert_trees_all_equal(found[1:4], digits[1:4])


@pytest.mark.parametrize("name", tfds_source.VERSIONS)
def test_a_named_dataset_never_falls_back(offline, name):
    with pytest.raises(DatasetUnavailable, match=name):
        data.load(name, data_dir=offline)


def test_a_named_folder_never_falls_back(offline, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    for name in tfds_source.FILES:
        (folder / name).touch()
    with pytest.raises(DatasetUnavailable):
        data.load(folder=folder, data_dir=offline)


@pytest.mark.parametrize("name", [None, "mnist"])
@pytest.mark.parametrize("by_variable", [False, True])
def test_an_empty_or_missing_folder(offline, monkeypatch, name, by_variable):
    (offline / "empty").mkdir()
    for folder in (offline / "empty", offline / "missing"):
        given_folder = None if by_variable else folder
        if by_variable:
            monkeypatch.setenv(dataset.FOLDER_VARIABLE, str(folder))
        with pytest.raises(InputError, match="--mnist-dir") as caught:
            data.load(name, folder=given_folder, data_dir=offline)
        message = str(caught.value)
        assert str(folder) in message
        assert all(file in message for file in tfds_source.FILES)


def test_a_folder_that_lacks_one_file_names_it(offline):
    for name in tfds_source.FILES[:3]:
        (offline / name).touch()
    with pytest.raises(InputError, match=r"lacks t10k-labels-idx1-ubyte\.gz;"):
        data.load("mnist", folder=offline)


def test_the_variable_is_only_for_mnist(offline, monkeypatch):
    monkeypatch.setenv(dataset.FOLDER_VARIABLE, str(offline / "missing"))
    assert data.load("digits").notice is None


def test_without_tensorflow_the_message_says_so(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(DatasetUnavailable, match="tensorflow is not installed"):
        tfds_source.prepare("mnist", None, tmp_path)


@pytest.mark.parametrize("value", ["", None])
def test_the_default_data_folder_is_that_of_tensorflow_datasets(monkeypatch, value):
    # An empty variable does not mean the working folder.
    monkeypatch.setenv("HOME", "/home/somebody")
    if value is None:
        monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    else:
        monkeypatch.setenv("TFDS_DATA_DIR", value)
    found = tfds_source.default_data_dir()
    assert found.as_posix() == "/home/somebody/tensorflow_datasets"


def test_what_is_prepared_needs_no_folder(monkeypatch, tmp_path):
    # A variable that points nowhere must not bar the way to the kept arrays.
    cache.write(cache.path(tmp_path, "mnist"), batch(), batch())
    monkeypatch.setenv(dataset.FOLDER_VARIABLE, str(tmp_path / "missing"))
    assert data.load("mnist", data_dir=tmp_path, validation_examples=0).name == "mnist"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "digits"}, "unknown dataset 'digits' to stream; known: mnist"),
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"folder": Path("no-such")}, "folder no-such lacks"),
    ],
)
def test_a_stream_refuses_bad_input_at_once(settings, message):
    standard = {"name": "mnist", "split": "test", "batch_size": 8, "seed": None}
    with pytest.raises(InputError, match=message):
        data.stream(**{**standard, **settings})


def batch(image_shape=(4, 28, 28), image_type=np.uint8, labels=(0, 9, 5, 3)):
    return Batch(np.zeros(image_shape, image_type), np.array(labels, np.int32))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (batch(labels=(0, 1, 10, 2)), "labels run from 0 to 10"),
        (batch(labels=(0, -1, 9, 2)), "labels run from -1 to 9"),
        (batch(labels=(0, 1)), "4 images but labels"),
        (batch(image_type=np.float32), "not float32"),
        (batch(image_shape=(4, 784)), r"not uint8 \[4, 784\]"),
        (batch(image_shape=(4, 28, 28, 1)), r"not uint8 \[4, 28, 28, 1\]"),
    ],
    ids=str,
)
def test_records_that_make_no_sense(bad, message):
    with pytest.raises(InputError, match=message):
        checks.check_batch(bad)


def test_sound_records_pass():
    checks.check_batch(batch())
    checks.check_batch(batch((0, 28, 28), labels=()))


def test_labels_out_of_range_are_found_when_a_dataset_is_read(monkeypatch, tmp_path):
    monkeypatch.delenv(dataset.FOLDER_VARIABLE, raising=False)
    records = (batch(), batch(labels=(0, 1, 2, 10)))
    monkeypatch.setattr(tfds_source, "load", lambda *_: records)
    with pytest.raises(InputError, match="labels run from 0 to 10"):
        data.load("kmnist", data_dir=tmp_path)
    assert list(tmp_path.rglob("*.npz")) == []  # nothing bad is kept for next time
