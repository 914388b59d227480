"""The real MNIST, through tensorflow-datasets and the four original files."""

import functools
import gzip
import os
import shutil
import time
import urllib.request
from pathlib import Path

import chex
import jax
import numpy as np
import optax
import pytest
from small import random_layers

from jaxnets import data, process, relu_softmax, training
from jaxnets.data import tfds
from jaxnets.errors import InputError
from jaxnets.types import Batch

pytestmark = pytest.mark.mnist
# Published with MNIST.
TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_sizes_types_and_ranges(mnist):
    assert (mnist.name, mnist.notice) == ("mnist", None)
    for part, size in zip(mnist[1:4], (50_000, 10_000, 10_000), strict=True):
        chex.assert_shape(part, [(size, 28, 28), (size,)])
        assert (part.image.dtype, part.label.dtype) == (np.uint8, np.int32)
        assert (part.image.min(), part.image.max()) == (0, 255)


def test_records_are_the_published_ones_in_the_order_of_tensorflow_datasets(mnist):
    assert np.bincount(mnist.test.label).tolist() == TEST_COUNTS
    labels = np.concatenate([mnist.train.label, mnist.validation.label])
    assert np.bincount(labels).tolist() == TRAIN_COUNTS
    # The files' own order begins 5 0 4 1 9.
    assert mnist.train.label[:5].tolist() == [4, 1, 0, 7, 8]
    images = np.concatenate([mnist.train.image, mnist.validation.image])
    # 0.1307, in every tutorial that normalises; 4 digits are given.
    assert round(float(images.mean() / 255), 4) == 0.1307


@pytest.mark.usefixtures("mnist")
def test_a_warm_start_needs_no_tensorflow(monkeypatch):
    # The fixture has filled the cache already. TensorFlow runs in another process.
    def iterate(*_, **__):
        raise AssertionError("a process was started")

    monkeypatch.setattr(process, "iterate", iterate)
    assert len(data.load("mnist").test.label) == 10_000


# The rest prepares a few records from the four files: the checks are the same.

NUM_EXAMPLES, BATCH_SIZE = 500, 64  # 7 full batches and one of 52


@pytest.fixture(scope="module")
def few_records():
    """tensorflow-datasets prepares a few records, and there is no network."""
    import tensorflow_datasets

    download = tensorflow_datasets.download
    config = functools.partial(
        download.DownloadConfig, max_examples_per_split=NUM_EXAMPLES
    )

    def refuse(request, timeout):
        raise OSError("the network must not be asked")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download, "DownloadConfig", config)
        counts = {"train": NUM_EXAMPLES, "test": NUM_EXAMPLES}
        patch.setattr(tfds, "RECORDS", counts)
        patch.setattr(urllib.request, "urlopen", refuse)
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A copy of the four files, to spoil."""
    folder = os.environ.get("JAXNETS_MNIST_DIR")
    if not folder:
        pytest.skip("needs the four original files; set JAXNETS_MNIST_DIR")
    copy = tmp_path_factory.mktemp("files")
    for name in tfds.FILES:
        shutil.copyfile(Path(folder) / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def prepared(files, few_records, tmp_path_factory):
    """A data folder where `data.stream` has prepared MNIST."""
    data_dir = tmp_path_factory.mktemp("data")
    # As `tfds.data_source` leaves it, which tf.data cannot read.
    taken = data_dir / "mnist" / "3.0.1"
    taken.mkdir(parents=True)
    (taken / "dataset_info.json").write_text('{"fileFormat": "array_record"}')
    (taken / "features.json").write_text("{}")
    data.stream(
        "mnist", split="test", batch_size=1, seed=None, folder=files, data_dir=data_dir
    )
    return data_dir


def published_labels(files):
    content = gzip.decompress((files / "train-labels-idx1-ubyte.gz").read_bytes())
    return np.frombuffer(content, np.uint8, count=NUM_EXAMPLES, offset=8)


def published_images(files):
    content = gzip.decompress((files / "train-images-idx3-ubyte.gz").read_bytes())
    pixels = np.frombuffer(content, np.uint8, count=NUM_EXAMPLES * 784, offset=16)
    return pixels.reshape(-1, 28, 28)


def rows(batch):
    """Records that can be compared whatever their order."""
    pairs = zip(batch.label.tolist(), batch.image, strict=True)
    return sorted((label, image.tobytes()) for label, image in pairs)


@pytest.mark.usefixtures("few_records", "in_this_process")
def test_spoiled_files_are_named_and_leave_nothing_behind(files, tmp_path):
    altered, truncated = files / tfds.FILES[2], files / tfds.FILES[1]
    sound = {file: file.read_bytes() for file in (altered, truncated)}
    data_dir = tmp_path / "data"

    content = bytearray(sound[altered])
    content[len(content) // 2] ^= 1
    altered.write_bytes(content)
    with pytest.raises(InputError, match=r"t10k-images-idx3-ubyte\.gz in .*SHA-256"):
        data.load("mnist", folder=files, data_dir=data_dir)
    wait_for_extraction(data_dir)
    altered.write_bytes(sound[altered])

    truncated.write_bytes(sound[truncated][:1000])
    with pytest.raises(InputError, match=r"train-labels-idx1-ubyte\.gz in .*SHA-256"):
        data.load("mnist", folder=files, data_dir=data_dir)
    wait_for_extraction(data_dir)
    assert list(tmp_path.rglob("*.npz")) == []
    assert tfds.prepared_in("mnist", data_dir) is None
    truncated.write_bytes(sound[truncated])

    # With sound files again, the same data folder takes records.
    loaded = data.load("mnist", folder=files, data_dir=data_dir, validation_examples=0)
    assert rows(loaded.train) == rows(
        Batch(published_images(files), published_labels(files))
    )
    assert tfds.prepared_in("mnist", data_dir) == data_dir


def wait_for_extraction(folder):
    """Until threads that outlive a failed call, in this process, write no more.

    In a process of its own, as elsewhere, they end with it.
    """
    deadline, quiet = time.monotonic() + 20, 0
    while quiet < 3:  # looks in a row, since one file follows another
        assert time.monotonic() < deadline
        quiet = 0 if any(folder.rglob("incomplete.*")) else quiet + 1
        time.sleep(0.1)


@pytest.mark.usefixtures("in_this_process")
def test_a_folder_in_another_format_is_passed_by(prepared, files, monkeypatch):
    # It is left as it was, ours is prepared beside it, and the files are used once.
    assert os.listdir(prepared / "mnist" / "3.0.1") != []
    assert tfds.prepared_in("mnist", prepared) == prepared / "jaxnets"
    monkeypatch.setenv("JAXNETS_MNIST_DIR", "no such folder")
    loaded = data.load("mnist", data_dir=prepared, validation_examples=0)
    assert sorted(loaded.train.label) == sorted(published_labels(files))


@pytest.mark.usefixtures("in_this_process")
def test_records_that_are_cut_off_or_altered_later(prepared, files, tmp_path):
    data_dir = tmp_path / "data"
    shutil.copytree(prepared / "jaxnets" / "mnist", data_dir / "mnist")
    [shard] = (data_dir / "mnist" / "3.0.1").glob("*train*")
    content = bytearray(shard.read_bytes())

    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(InputError, match=f"{shard.parent} is damaged; remove it"):
        data.load("mnist", data_dir=data_dir)
    with pytest.raises(InputError, match=f"{shard.parent} is damaged; remove it"):
        list(
            data.stream(
                "mnist", split="train", batch_size=8, seed=None, data_dir=data_dir
            )
        )

    shard.write_bytes(content[:-1])
    loaded = data.load("mnist", folder=files, data_dir=data_dir, validation_examples=0)
    assert sorted(loaded.train.label) == sorted(published_labels(files))


def stream(prepared, seed=None, batch_size=BATCH_SIZE):
    return data.stream(
        "mnist", split="train", batch_size=batch_size, seed=seed, data_dir=prepared
    )


def joined(batches):
    return jax.tree.map(lambda *parts: np.concatenate(parts), *batches)


@pytest.fixture(scope="module")
def in_memory(prepared):
    """The records of `load`, read without it: oracle is tensorflow-datasets' NumPy."""
    import tensorflow_datasets

    builder = tensorflow_datasets.builder("mnist:3.0.1", data_dir=prepared / "jaxnets")
    records = list(tensorflow_datasets.as_numpy(builder.as_dataset(split="train")))
    return Batch(
        np.stack([record["image"][..., 0] for record in records]),
        np.array([record["label"] for record in records], np.int32),
    )


def test_a_stream_gives_every_record_in_order(prepared, in_memory):
    batches = list(stream(prepared))
    assert [len(batch.label) for batch in batches] == [64] * 7 + [52]
    chex.assert_trees_all_equal(joined(batches), in_memory)
    chex.assert_trees_all_equal_dtypes(joined(batches), in_memory)


def test_a_seed_shuffles_and_still_gives_every_record_once(prepared, in_memory):
    one, same, other = (joined(stream(prepared, seed)) for seed in (1, 1, 2))
    chex.assert_trees_all_equal(one, same)
    assert not np.array_equal(one.label, other.label)
    assert not np.array_equal(one.label, in_memory.label)
    assert rows(one) == rows(in_memory) == rows(other)


@pytest.mark.parametrize("split", ["no-such", "train[", "train[:200%]", "train[900:]"])
def test_a_split_that_is_not_there(prepared, split):
    with pytest.raises(InputError, match=r"split=.*mnist cannot be read"):
        data.stream("mnist", split=split, batch_size=8, seed=None, data_dir=prepared)


@pytest.mark.parametrize("split", ["train[:0]", "train[5:5]", "all[:5]"])
def test_a_split_without_a_record(prepared, split):
    with pytest.raises(InputError, match=r"split=.* of mnist (is empty|cannot be)"):
        data.stream("mnist", split=split, batch_size=8, seed=None, data_dir=prepared)


def test_training_from_disk_equals_training_in_memory(prepared, in_memory):
    # Batches of 50 leave no short one, which would compile apart.
    tx = optax.sgd(0.1)
    fresh = training.start(random_layers((784, 10)), tx)
    train_step = training.make_train_step(relu_softmax.loss_fn, tx)
    streamed, step = fresh, jax.jit(train_step)
    for batch in stream(prepared, batch_size=50):
        streamed, _ = step(streamed, batch)
    train_epoch = training.make_train_epoch(train_step, 50)
    state, totals = jax.jit(train_epoch)(fresh, in_memory, np.arange(NUM_EXAMPLES))
    assert totals.seen == NUM_EXAMPLES and streamed.step == state.step == 10
    # float32, 784-term sums: the compiler may add them in another order in a scan.
    chex.assert_trees_all_close(streamed.params, state.params, rtol=1e-5, atol=1e-6)
