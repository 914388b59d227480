"""Every random number of a run comes from a key that nothing else uses."""

import functools
import math
from collections import Counter

import chex
import jax
import numpy as np
import optax
import pytest
from jax import lax
from jax.extend import random as prng
from small import BATCH_SIZE, NETWORKS, TRAIN, rows_of, sizes_for

from jaxnets import batches, training

THREEFRY = prng.threefry_prng_impl
USES: list[tuple[str, tuple[int, ...], int]] = []  # the use, the key, what is folded in


def note(use, key, data=0):
    jax.debug.callback(
        lambda key, data: USES.append((use, tuple(key.tolist()), int(data))),
        *(key, data),
    )


def split(key, shape):
    note("split", key)
    return THREEFRY.split(key, shape)


def random_bits(key, bit_width, shape):
    """Of this key and each place alone, as is needed here; soon compiled."""
    note("bits", key)
    assert bit_width == 32
    places = lax.iota(np.uint32, math.prod(shape)).reshape(shape)
    return (places + key[0]) * np.uint32(2654435761) ^ key[1]


def fold_in(key, data):
    note("fold_in", key, data)
    return THREEFRY.fold_in(key, data)


NOTED = prng.define_prng_impl(
    key_shape=THREEFRY.key_shape,
    seed=THREEFRY.seed,
    split=split,
    random_bits=random_bits,
    fold_in=fold_in,
    name="noted_threefry",
    tag="noted",
)


@pytest.fixture
def uses():
    """What happens to the keys of `jax.random.key(seed, impl=NOTED)`."""
    USES.clear()
    yield USES
    USES.clear()


def require_hygiene(uses):
    jax.effects_barrier()
    assert Counter(uses).most_common(1)[0][1] == 1, "a key is used twice"
    kinds = {}  # of each key
    for use, key, _ in uses:
        kinds.setdefault(key, set()).add(use)
    # In JAX split(key, n)[i] is fold_in(key, i), and bits are neither's equal but kin.
    assert all(len(kind) == 1 for kind in kinds.values()), "a key is used in two ways"


def test_the_check_sees_what_it_is_for(uses):
    key = jax.random.key(0, impl=NOTED)
    with jax.debug_key_reuse(False):
        jax.random.split(key)
        jax.random.fold_in(key, 7)
        with pytest.raises(AssertionError, match="two ways"):
            require_hygiene(uses)
        uses.clear()
        jax.random.bits(key)
        jax.random.bits(key)
        with pytest.raises(AssertionError, match="twice"):
            require_hygiene(uses)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_a_whole_run_uses_every_key_once(network, uses, monkeypatch):
    # And the weights depend on the key alone, in layers of the same shape as well.
    tx = optax.sgd(0.1)
    noted_key = functools.partial(jax.random.key, impl=NOTED)

    def run_keys(seed):
        with monkeypatch.context() as patch:
            patch.setattr(jax.random, "key", noted_key)
            return training.run_keys(seed)

    keys, num_in = run_keys(5), sizes_for(network)[0]
    init = jax.jit(lambda key: network.init(key, (num_in,) * 3))
    params = init(keys.init)
    num_epochs = 3 if network is NETWORKS["relu_softmax"] else 0  # the same for all
    if num_epochs:
        for _ in training.fit(
            network.loss_fn,
            tx,
            training.start(params[:1], tx),
            rows_of(TRAIN, slice(20)),
            batch_size=BATCH_SIZE,
            num_epochs=num_epochs,
            key=keys.data,
        ):
            pass
    jax.random.split(keys.extra, 4)
    require_hygiene(uses)
    assert sum(use == "bits" for use, *_ in uses) >= 2 + num_epochs
    chex.assert_trees_all_equal(params, init(run_keys(5).init))
    # The weights on the inputs: those on row_rnn's state begin as the identity.
    kernels, others = (
        [np.asarray(layer.kernel[:num_in]) for layer in layers]
        for layers in (params, init(run_keys(6).init))
    )
    for kernel, changed in zip(kernels, others, strict=True):
        assert not np.any(kernel == changed)
    assert not np.any(kernels[0] == kernels[1])


def test_all_keys_of_a_run_differ():
    # Those of a run, of a thousand epochs' orders, and what `extra` may be split into.
    runs = [training.run_keys(seed) for seed in (0, 1, 5)]
    fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    keys = [np.asarray(jax.random.key_data(key))[None] for run in runs for key in run]
    for run in runs:
        with jax.debug_key_reuse(False):
            keys.append(jax.random.key_data(fold(run.data, np.arange(1000))))
            keys.append(jax.random.key_data(jax.random.split(run.extra, 1000)))
    numbers = np.concatenate(keys)
    assert len(np.unique(numbers, axis=0)) == len(numbers) == 3 * (3 + 1000 + 1000)


def test_an_epochs_order_is_drawn_from_the_folded_key(uses):
    batches.epoch_order(jax.random.key(3, impl=NOTED), 8, 23)
    jax.effects_barrier()
    assert [(use, data) for use, _, data in uses] == [("fold_in", 8), ("bits", 0)]


def test_keys_depend_on_the_seed_alone():
    one, same, other = (
        np.asarray([jax.random.key_data(key) for key in training.run_keys(seed)])
        for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.any(np.all(one == other, axis=-1))
