"""Loading by name: splits, the bundled digits, fallback and refusals."""

import errno
import io
import sys
import urllib.error
import urllib.request
from dataclasses import replace
from email.message import Message
from pathlib import Path
from types import SimpleNamespace

import chex
import numpy as np
import pytest
import sklearn.datasets

from jaxnets import data, running
from jaxnets import models as recipes
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


def test_a_refusal_says_where_mnist_is_missing(offline):
    # 1,437 records are no error in themselves: the user thinks of MNIST's 60,000.
    missing = r"\. MNIST could not be had.* could not be downloaded"
    with pytest.raises(InputError, match=f"there are 1437 records{missing}"):
        data.load(data_dir=offline, validation_examples=10_000)
    found = data.load(data_dir=offline)
    with pytest.raises(InputError, match=f"between 1 and 1198{missing}"):
        data.first_examples(found, 5000)
    recipe = replace(recipes.RELU_SOFTMAX, batch_size=5000)
    with pytest.raises(InputError, match=f"1198, the training examples{missing}"):
        running.check_fits("relu_softmax", recipe, found)


def test_a_refusal_says_nothing_of_mnist_where_digits_were_named(digits):
    with pytest.raises(InputError, match=r"between 1 and 1198$"):
        data.first_examples(digits, 5000)


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


def make_prepared(data_dir):
    """What tells that tensorflow-datasets has prepared MNIST there."""
    folder = data_dir / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    for name in ("dataset_info.json", "features.json"):
        (folder / name).touch()


@pytest.mark.parametrize("name", [None, "mnist"])
def test_what_is_prepared_comes_before_the_variable(monkeypatch, tmp_path, name):
    folders = []

    def load(name, folder, data_dir):
        folders.append(folder)
        return batch(), batch()

    monkeypatch.setattr(tfds_source, "load", load)
    monkeypatch.setenv(dataset.FOLDER_VARIABLE, str(tmp_path / "missing"))
    options = {"data_dir": tmp_path, "validation_examples": 0}
    with pytest.raises(InputError, match="missing lacks"):
        data.load(name, **options)
    make_prepared(tmp_path)
    with pytest.raises(InputError, match="explicit lacks"):  # what is named is checked
        data.load(name, folder=tmp_path / "explicit", **options)
    assert data.load(name, **options).name == "mnist"
    assert folders == [None]


def test_a_stream_of_what_is_prepared_needs_no_folder(monkeypatch, tmp_path):
    class Reached(Exception):
        pass

    def prepare(name, folder, data_dir):
        raise Reached(folder)

    monkeypatch.setattr(tfds_source, "prepare", prepare)
    monkeypatch.setenv(dataset.FOLDER_VARIABLE, str(tmp_path / "missing"))
    options = {"split": "test", "batch_size": 8, "seed": None, "data_dir": tmp_path}
    with pytest.raises(InputError, match="missing lacks"):
        data.stream("mnist", **options)
    make_prepared(tmp_path)
    with pytest.raises(InputError, match="explicit lacks"):
        data.stream("mnist", folder=tmp_path / "explicit", **options)
    with pytest.raises(Reached, match="None"):
        data.stream("mnist", **options)


def refuse(request, timeout):
    """`urlopen` where there is no network."""
    raise urllib.error.URLError(OSError(errno.ENETUNREACH, "Network is unreachable"))


def test_a_server_that_cannot_be_reached(monkeypatch):
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(DatasetUnavailable) as caught:
        tfds_source._check_reachable("kmnist", "https://example.org/file")
    said = str(caught.value)
    assert said.startswith("kmnist could not be downloaded (URLError). Go online, or")
    assert "--mnist-dir" in said


def test_a_server_that_answers_can_be_reached(monkeypatch):
    def answer(request, timeout):
        assert request.method == "HEAD" and timeout == tfds_source.REACH_SECONDS
        raise urllib.error.HTTPError(
            request.full_url, 403, "Forbidden", Message(), io.BytesIO()
        )

    monkeypatch.setattr(urllib.request, "urlopen", answer)
    tfds_source._check_reachable("mnist", "https://example.org/file")


@pytest.mark.keras
@pytest.mark.usefixtures("in_this_process")
def test_offline_a_name_fails_and_no_name_falls_back(monkeypatch, tmp_path):
    # All is real but for the network, and that TensorFlow runs in this process.
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.delenv(dataset.FOLDER_VARIABLE, raising=False)
    remedy = r"mnist could not be downloaded \(URLError\)\. Go online.*--mnist-dir"
    with pytest.raises(DatasetUnavailable, match=remedy):
        data.load("mnist", data_dir=tmp_path)
    found = data.load(data_dir=tmp_path)
    assert found.name == "digits"
    assert "could not be downloaded (URLError)" in found.notice
    assert not list(tmp_path.rglob("*.npz"))


def preparing(monkeypatch, error, is_prepared):
    """`prepare` with a builder whose preparation fails; then it may be there."""
    states = iter([False, is_prepared])

    def download_and_prepare(**_):
        raise error

    builder = SimpleNamespace(
        is_prepared=lambda: next(states), download_and_prepare=download_and_prepare
    )
    tfds = SimpleNamespace(
        builder=lambda *_, **__: builder,
        download=SimpleNamespace(DownloadConfig=lambda **_: None),
    )
    monkeypatch.setattr(tfds_source, "_import_tfds", lambda: tfds)
    return tfds_source.prepare("mnist", Path("folder"), Path("data")) is builder


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
def test_another_process_may_prepare_faster(monkeypatch, error):
    assert preparing(monkeypatch, error, is_prepared=True)


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
def test_a_full_disk_is_no_missing_dataset(monkeypatch, error, raised):
    # Only where the data cannot be had may digits take its place.
    with pytest.raises(raised) as caught:
        preparing(monkeypatch, error, is_prepared=False)
    assert caught.type is raised


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
