"""The decoded arrays on disk: kept, trusted only when sound, made anew."""

import os

import chex
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets import data
from jaxnets.data import cache, tfds
from jaxnets.types import Batch


def records(num_examples, seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(256, size=(num_examples, 6, 5), dtype=np.uint8)
    return Batch(image, rng.integers(10, size=num_examples, dtype=np.int32))


TRAIN, TEST = records(600, 0), records(20, 1)


@pytest.fixture
def decoded(monkeypatch):
    """tensorflow-datasets replaced by small arrays; gives the list of its calls."""
    calls = []

    def load(name, folder, data_dir):
        calls.append(name)
        return TRAIN, TEST

    monkeypatch.setattr(tfds, "load", load)
    monkeypatch.delenv(tfds.FOLDER_VARIABLE, raising=False)
    return calls


def test_arrays_come_back_bit_for_bit(tmp_path):
    file = tmp_path / "new" / "arrays.npz"
    assert cache.read(file) is None  # silently: warnings are errors here
    cache.write(file, TRAIN, TEST)
    kept = cache.read(file)
    chex.assert_trees_all_equal(kept, (TRAIN, TEST))
    chex.assert_trees_all_equal_dtypes(kept, (TRAIN, TEST))


def test_a_warm_start_decodes_nothing(decoded, tmp_path):
    cold = data.load("kmnist", data_dir=tmp_path)
    warm = data.load("kmnist", data_dir=tmp_path)
    assert decoded == ["kmnist"]
    chex.assert_trees_all_equal(warm[1:4], cold[1:4])
    chex.assert_trees_all_equal(warm.test, TEST)
    data.load("fashion_mnist", data_dir=tmp_path)  # has arrays of its own
    assert decoded == ["kmnist", "fashion_mnist"]


def truncated(content):
    return content[: len(content) // 2]


def with_fewer_records(content):
    return content.replace(b"(600, 6, 5)", b"(400, 6, 5)")  # one flipped bit


def flipped(content):
    middle = len(content) // 3  # within the first array
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        truncated,
        flipped,
        with_fewer_records,
        lambda _: b"",
        lambda _: b"not a zip file at all",
    ],
    ids=["truncated", "flipped", "fewer records", "empty", "other"],
)
def test_a_damaged_file_is_made_anew_with_a_warning(decoded, tmp_path, damage):
    cold = data.load("kmnist", data_dir=tmp_path)
    file = cache.path(tmp_path, "kmnist")
    sound = file.read_bytes()
    file.write_bytes(damage(sound))
    with pytest.warns(UserWarning, match=r"kmnist.*damaged and will be made anew"):
        again = data.load("kmnist", data_dir=tmp_path)
    chex.assert_trees_all_equal(again[1:4], cold[1:4])
    assert decoded == ["kmnist"] * 2
    chex.assert_trees_all_equal(cache.read(file), (TRAIN, TEST))  # and is sound again


def test_a_sound_file_with_senseless_records_is_made_anew(decoded, tmp_path):
    file = cache.path(tmp_path, "kmnist")
    cache.write(file, TRAIN, TEST._replace(label=TEST.label + 77))
    with pytest.warns(UserWarning, match="damaged and will be made anew"):
        assert data.load("kmnist", data_dir=tmp_path).test.label.max() < 10


@pytest.fixture(scope="module")
def sound_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("sound") / "arrays.npz"
    cache.write(file, TRAIN, TEST)
    return file


@pytest.mark.filterwarnings("ignore:.*is damaged:UserWarning")  # it may say so here
@settings(max_examples=300)
@given(index=st.integers(-330, 300), bit=st.integers(0, 7))
def test_no_flipped_bit_ever_gives_other_arrays_or_an_error(sound_file, index, bit):
    # The first bytes hold the first array's header, the last ones the file's index.
    content = bytearray(sound_file.read_bytes())
    content[index] ^= 1 << bit
    damaged = sound_file.with_name("damaged.npz")
    damaged.write_bytes(content)
    kept = cache.read(damaged)
    if kept is not None:  # the bit did not matter, such as one of a date
        chex.assert_trees_all_equal(kept, (TRAIN, TEST))
        chex.assert_trees_all_equal_dtypes(kept, (TRAIN, TEST))


def test_a_full_disk_only_costs_time(decoded, small_disk):
    (small_disk / "jaxnets").mkdir()
    with pytest.raises(OSError):  # fill what there is
        (small_disk / "full").write_bytes(b"x" * 100_000)
    with pytest.warns(UserWarning, match="could not be kept in .*No space left"):
        loaded = data.load("kmnist", data_dir=small_disk)
    chex.assert_trees_all_equal(loaded.test, TEST)
    assert os.listdir(small_disk / "jaxnets") == []  # nothing half-written is left


def test_a_read_only_disk_only_costs_time(decoded, read_only_disk):
    with pytest.warns(UserWarning, match="could not be kept in .*Read-only"):
        loaded = data.load("kmnist", data_dir=read_only_disk)
    chex.assert_trees_all_equal(loaded.test, TEST)


def test_a_file_where_the_folder_should_be_only_costs_time(decoded, tmp_path):
    (tmp_path / "jaxnets").touch()
    with pytest.warns(UserWarning, match=r"could not be kept in .*File exists"):
        loaded = data.load("kmnist", data_dir=tmp_path)
    chex.assert_trees_all_equal(loaded.test, TEST)
