"""Batches from disk: the same records, and the same training."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets import relu_softmax, training
from jaxnets.data import dataset, stream, tfds_source
from jaxnets.types import Batch

pytestmark = [pytest.mark.mnist, pytest.mark.keras]
NUM_EXAMPLES, BATCH_SIZE = 2000, 64  # 31 full batches and one of 16


@pytest.fixture(scope="module")
def first_records(mnist):
    return Batch(mnist.train.image[:NUM_EXAMPLES], mnist.train.label[:NUM_EXAMPLES])


def batches(seed=None):
    split = f"train[:{NUM_EXAMPLES}]"
    return stream("mnist", split=split, batch_size=BATCH_SIZE, seed=seed)


def joined(seed):
    return jax.tree.map(lambda *parts: np.concatenate(parts), *batches(seed))


def test_batches_are_the_records_of_load_in_their_order(first_records):
    found = list(batches())
    assert [len(batch.label) for batch in found] == [64] * 31 + [16]
    chex.assert_shape(found[0], [(64, 28, 28), (64,)])
    together = jax.tree.map(lambda *parts: np.concatenate(parts), *found)
    chex.assert_trees_all_equal(together, first_records)
    chex.assert_trees_all_equal_dtypes(together, first_records)


def test_a_seed_shuffles_and_still_gives_every_record_once(first_records):
    one, same, other = joined(1), joined(1), joined(2)
    chex.assert_trees_all_equal(one, same)
    assert not np.array_equal(one.label, other.label)
    assert not np.array_equal(one.label, first_records.label)

    def as_rows(records):
        pairs = zip(records.label.tolist(), records.image, strict=True)
        return sorted((label, image.tobytes()) for label, image in pairs)

    assert as_rows(one) == as_rows(first_records) == as_rows(other)


def test_what_is_prepared_needs_no_folder(first_records, monkeypatch, tmp_path):
    # The fixture has prepared it; oracle: tensorflow-datasets' own answer.
    data_dir = tfds_source.default_data_dir()
    assert tfds_source.is_prepared("mnist", data_dir)
    assert not tfds_source.is_prepared("mnist", tmp_path)
    monkeypatch.setenv(dataset.FOLDER_VARIABLE, str(tmp_path / "missing"))
    found = next(iter(batches()))
    np.testing.assert_array_equal(found.label, first_records.label[:BATCH_SIZE])


def test_training_from_disk_equals_training_in_memory(first_records):
    tx = optax.sgd(0.1)
    fresh = training.start(relu_softmax.init(jax.random.key(0), (784, 20, 10)), tx)
    step = jax.jit(training.make_train_step(relu_softmax.loss_fn, tx))
    streamed = fresh
    for batch in batches():
        streamed, _ = step(streamed, batch)
    epoch = training.make_train_epoch(relu_softmax.loss_fn, tx, BATCH_SIZE)
    in_memory, totals = jax.jit(epoch)(fresh, first_records, jnp.arange(NUM_EXAMPLES))
    assert totals.seen == NUM_EXAMPLES and streamed.step == in_memory.step == 32
    # float32: the epoch stores weights transposed, so 32 steps round differently.
    chex.assert_trees_all_close(streamed.params, in_memory.params, rtol=1e-4, atol=1e-5)
