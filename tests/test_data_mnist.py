"""The real MNIST, through tensorflow-datasets and the four original files."""

import functools
import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

import chex
import numpy as np
import pytest

from jaxnets import data
from jaxnets.data import cache, dataset, tfds_source
from jaxnets.errors import InputError

pytestmark = pytest.mark.mnist
# Published with MNIST.
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_sizes_types_and_ranges(mnist):
    assert (mnist.name, mnist.notice) == ("mnist", None)
    for part, size in zip(mnist[1:4], (50_000, 10_000, 10_000), strict=True):
        chex.assert_shape(part, [(size, 28, 28), (size,)])
        assert (part.image.dtype, part.label.dtype) == (np.uint8, np.int32)
        assert (part.image.min(), part.image.max()) == (0, 255)


def test_class_counts_of_the_test_set(mnist):
    assert np.bincount(mnist.test.label).tolist() == TEST_COUNTS
    # and of the 60,000 training records, training and validation together
    labels = np.concatenate([mnist.train.label, mnist.validation.label])
    published = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(labels).tolist() == published


def test_records_come_in_the_order_of_tensorflow_datasets(mnist):
    # The files' own order begins 5 0 4 1 9.
    assert mnist.train.label[:5].tolist() == [4, 1, 0, 7, 8]


def test_the_mean_pixel_is_the_published_one(mnist):
    images = np.concatenate([mnist.train.image, mnist.validation.image])
    # 0.1307, in every tutorial that normalises; 4 digits are given.
    assert round(float(images.mean() / 255), 4) == 0.1307


def test_a_warm_start_needs_no_tensorflow(mnist):
    # The fixture has filled the cache already.
    assert cache.path(tfds_source.default_data_dir(), "mnist").is_file()
    program = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from jaxnets import data; print(len(data.load('mnist').test.label))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "10000", done.stderr


@pytest.fixture
def files(tmp_path):
    """A copy of the four files, to spoil."""
    folder = os.environ.get(dataset.FOLDER_VARIABLE)
    if not folder:
        pytest.skip(f"needs the four original files; set {dataset.FOLDER_VARIABLE}")
    copy = tmp_path / "files"
    copy.mkdir()
    for name in tfds_source.FILES:
        shutil.copyfile(Path(folder) / name, copy / name)
    return copy


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.slow  # TensorFlow starts twice
def test_spoiled_files_are_named_and_leave_nothing_behind(files, tmp_path, monkeypatch):
    altered, truncated = files / tfds_source.FILES[2], files / tfds_source.FILES[1]
    sound = {file: file.read_bytes() for file in (altered, truncated)}
    data_dir = tmp_path / "data"

    content = bytearray(sound[altered])
    content[len(content) // 2] ^= 1
    altered.write_bytes(content)
    with pytest.raises(InputError, match=r"t10k-images-idx3-ubyte\.gz in .*SHA-256"):
        data.load("mnist", folder=files, data_dir=data_dir)
    assert list(tmp_path.rglob("*.npz")) == []
    assert files_in(data_dir) == []
    altered.write_bytes(sound[altered])

    truncated.write_bytes(sound[truncated][:1000])
    # In this process: the load above went through the other one.
    with pytest.raises(InputError, match=r"train-labels-idx1-ubyte\.gz in .*SHA-256"):
        tfds_source.prepare("mnist", files, data_dir)
    assert not tfds_source.is_prepared("mnist", data_dir)
    # The next try finds no more than what was sound, unpacked.
    for left in files_in(data_dir):
        packed = files / left.name.removeprefix("GZIP.")
        assert packed != truncated
        assert left.read_bytes() == gzip.decompress(packed.read_bytes())
    truncated.write_bytes(sound[truncated])

    # With sound files again, the same data folder takes records; a few are enough.
    import tensorflow_datasets as tfds

    few = functools.partial(tfds.download.DownloadConfig, max_examples_per_split=100)
    monkeypatch.setattr(tfds.download, "DownloadConfig", few)
    builder = tfds_source.prepare("mnist", files, data_dir)
    assert tfds_source.is_prepared("mnist", data_dir)
    labels = [
        record["label"] for record in tfds.as_numpy(builder.as_dataset(split="test"))
    ]
    published = gzip.decompress((files / tfds_source.FILES[3]).read_bytes())
    assert sorted(labels) == sorted(published[8:108])  # after the file's header
