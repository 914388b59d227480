"""Many networks at once against the same networks one by one."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import (
    BATCH_SIZE,
    TRAIN,
    VALIDATION,
    order_of,
    random_batch,
    rows_of,
)

from jaxnets import devices, ensemble, optimizers, relu_softmax, training
from jaxnets.errors import InputError
from jaxnets.types import Batch, Dense, Totals

SEEDS = (3, 7, 1, 5, 5)  # more than the devices, and not their multiple
RATES = np.array([0.1, 0.3, 1e38, 0.1, 0.3], np.float32)  # the third diverges
FULL = rows_of(TRAIN, slice(20))  # no short batch, which would compile apart
LOSS = jax.jit(relu_softmax.loss_fn)
momentum = functools.partial(optax.sgd, momentum=0.9)


@jax.jit
def init(key):
    """Softmax regression, with weights that differ between keys and compile soon."""
    phase = (jax.random.key_data(key)[1] % 1000).astype(jnp.float32)
    places = jnp.arange(200, dtype=jnp.float32).reshape(20, 10)
    return (Dense(0.3 * jnp.sin(places + phase), jnp.zeros(10)),)


@jax.jit
def plain_step(state, batch, rate):
    train_step = training.make_train_step(relu_softmax.loss_fn, momentum(rate))
    return train_step(state, batch)


def epochs_alone(seed, rate):
    """State and totals after each epoch of plain steps in a Python loop."""
    keys = training.run_keys(seed)
    state = training.start(init(keys.init), momentum(rate))
    for epoch in range(2):
        totals = np.zeros(3)
        for rows in order_of(keys.data, epoch, 20).reshape(-1, BATCH_SIZE):
            state, batch_totals = plain_step(state, rows_of(FULL, rows), rate)
            totals += [float(number) for number in batch_totals]
        yield state, Totals(*totals)


def fit_many(*, tx=momentum, train=FULL, held_out=(VALIDATION,), **options):
    """`ensemble.fit_many` with this file's networks and data."""
    options = {"batch_size": BATCH_SIZE, "num_epochs": 2, **options}
    options = {"seeds": SEEDS, "learning_rates": RATES, **options}
    return ensemble.fit_many(init, relu_softmax.loss_fn, tx, train, held_out, **options)


@pytest.fixture(scope="module")
def together():
    epochs = list(fit_many())
    return [epoch._replace(state=jax.device_get(epoch.state)) for epoch in epochs]


def network(tree, index):
    return jax.tree.map(lambda array: np.asarray(array)[index], tree)


def test_every_seed_becomes_what_it_becomes_alone_at_its_rate(together):
    # Oracle: a Python loop of steps for each, which knows nothing of the others.
    assert len(jax.devices()) == 2  # so one device has a network that fills it up
    for index in (0, 1, 3, 4):
        alone = epochs_alone(SEEDS[index], RATES[index])
        for many, (state, train) in zip(together, alone, strict=True):
            # float32 rounding, carried through 8 updates
            chex.assert_trees_all_close(
                network(many.state, index), state, rtol=1e-4, atol=1e-5
            )
            (held_out,), checked = many.held_out, LOSS(state.params, VALIDATION)[1]
            for totals, expected in ((many.train, train), (held_out, checked)):
                assert totals.seen[index] == expected.seen
                np.testing.assert_allclose(totals.loss[index], expected.loss, rtol=1e-4)
                # An image on the border may fall to the other side of it.
                assert abs(totals.correct[index] - expected.correct) <= 1
    # The third diverges, and stops nobody.
    finite = [True, True, False, True, True]
    assert np.isfinite(together[1].train.loss).tolist() == finite
    assert np.isfinite(together[1].held_out[0].loss).tolist() == finite


def test_networks_go_on_from_an_epoch_bit_for_bit(together):
    # Oracle: the same training, never stopped; arrays of the host, as from a file.
    (again,) = fit_many(state=together[0].state)
    chex.assert_trees_all_equal(jax.device_get(again.state), together[1].state)
    assert again.number == 2
    for one, two in zip(again[2:4], together[1][2:4], strict=True):
        chex.assert_trees_all_equal(one, two)
    for state, message in (
        (network(together[0].state, slice(3)), r"networks \(3,\), not of 5"),
        (together[0].state._replace(step=np.full(5, 3)), "3 steps, .* epochs of 4"),
    ):
        with pytest.raises(InputError, match=message):
            fit_many(state=state)


def test_what_an_epoch_of_many_tells(together):
    for epoch in together:
        chex.assert_tree_shape_prefix((epoch.state, epoch.train, epoch.held_out), (5,))
        assert epoch.state.step.tolist() == [4 * epoch.number] * 5
        assert epoch.train.accuracy.shape == epoch.train.mean_loss.shape == (5,)
        assert epoch.seconds > 0 and epoch.compile_seconds > 0
    first, second = together
    assert (first.number, second.number) == (1, 2)
    # What was yielded before is still there: nothing was donated.
    assert np.any(first.state.params[0].kernel != second.state.params[0].kernel)


def test_one_network_is_a_special_case():
    (epoch,) = fit_many(
        tx=momentum(0.1), learning_rates=None, held_out=(), seeds=[7], num_epochs=1
    )
    assert epoch.held_out == ()
    expected, _ = next(epochs_alone(7, 0.1))
    # float32: products of kernels that are stored transposed round differently
    chex.assert_trees_all_close(network(epoch.state, 0), expected, rtol=1e-4, atol=1e-5)


def test_a_network_may_have_several_rates():
    def sgd_of_parts(rates):  # one for the kernel, one for the bias
        def update(grads, _):
            (layer,) = grads
            return (Dense(-rates[0] * layer.kernel, -rates[1] * layer.bias),)

        return optax.chain(optax.trace(0.9), optax.stateless(update))

    rates = np.float32([[0.1, 0.1], [0.1, 0.0], [0.0, 0.1], [0.0, 0.0]])
    (epoch,) = fit_many(
        tx=sgd_of_parts,
        seeds=(5, 5, 5, 5),
        learning_rates=rates,
        num_epochs=1,
        held_out=(),
    )
    begin, layer = jax.device_get(
        (*init(training.run_keys(5).init), *epoch.state.params)
    )
    for values, before, part in zip(layer, begin, rates.T, strict=True):
        moved = [not np.allclose(value, before, atol=1e-6) for value in values]
        assert moved == (part > 0).tolist()
    expected, _ = next(epochs_alone(5, 0.1))
    # float32: products may round differently
    chex.assert_trees_all_close(
        network(epoch.state.params, 0), expected.params, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size=0 must be between 1 and"),
        ({"num_epochs": 0}, "num_epochs=0 must be at least 1"),
        ({"seeds": []}, "seeds is empty"),
        ({"seeds": (0, -1)}, "seed=-1 must be between"),
        ({"seeds": (2**32,)}, "seed=4294967296 must be between"),
        ({"seeds": (1, 2)}, "5 learning rates for 2 seeds"),
        ({"held_out": VALIDATION}, "held_out must be a tuple"),
        (
            {"train": TRAIN._replace(label=TRAIN.label + 1)},
            "labels run from 1 to 10; they must lie between 0 and 9",
        ),
        (
            {"train": Batch(np.zeros((600, 4, 5), np.uint8), np.zeros(1000, np.int32))},
            "600 images but 1,000 labels",
        ),
        (
            {"train": TRAIN._replace(image=TRAIN.image / np.float32(255))},
            "images must be uint8 .* not float32",
        ),
    ],
)
def test_bad_input_is_refused_when_fit_many_is_called(changes, message):
    with pytest.raises(InputError, match=message):
        fit_many(**changes)


@pytest.mark.parametrize(
    ("sizes", "tx", "numbers"),
    [
        ((784, 30, 10), optax.sgd(0.1), 784 * 30 + 30 + 30 * 10 + 10),
        ((784, 1024, 10), optimizers.keras_adam(1e-3), 3 * 814_090),
    ],
)
def test_the_networks_on_a_processor_core_fit_its_cache(sizes, tx, numbers):
    # Oracle: weights counted by hand, with Adam's two moments; four bytes each.
    count = ensemble.num_at_once(
        lambda key: relu_softmax.init(key, sizes),
        relu_softmax.loss_fn,
        tx,
        random_batch(64),
        batch_size=64,
    )
    per_device, rest = divmod(count, len(jax.devices()))
    assert rest == 0 and per_device >= 1
    if per_device > 1:
        assert per_device * 4 * numbers <= ensemble.CACHE_BYTES
    assert (per_device + 1) * 4 * (numbers + 100) > ensemble.CACHE_BYTES


def test_the_networks_on_an_accelerator_fit_its_memory():
    tx = optax.sgd(0.1)

    def init(key):
        return jax.random.uniform(key, (1000,))

    def loss_fn(params, batch):
        size = jnp.int32(len(batch.label))
        return jnp.sum(params**2), Totals(size, jnp.float32(0), size)

    def count_for(memory_bytes):
        count = ensemble.num_at_once(
            init, loss_fn, tx, FULL, batch_size=5, memory_bytes=memory_bytes
        )
        per_device, rest = divmod(count, len(jax.devices()))
        assert rest == 0
        return per_device

    def program_bytes(count):
        # Oracle: the compiler's account of the program that trains as many.
        keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), count))
        begin = jax.vmap(lambda key: training.start(init(key), tx))
        states = jax.eval_shape(begin, keys)
        run_epoch = training.make_run_epoch(loss_fn, tx, 5)
        many = jax.vmap(run_epoch, in_axes=(0, 0, None, None))
        program = devices.compile_ahead(many, states, (keys, None), np.int32(0), FULL)
        return devices.program_bytes(program)

    assert count_for(1) == 1  # too little for any, and one must be
    memory = 500_000
    count = count_for(memory)
    assert 10 < count < 100  # a network has 4,000 bytes
    assert count <= count_for(2 * memory) <= 2 * count + 2
    room = ensemble.MEMORY_SHARE * memory
    # The compiler pads, so the last network may be a little too many or too few.
    assert 0.9 * room < program_bytes(count) < 1.1 * room


def test_memory_is_that_of_the_loss_that_trains():
    # Oracle: what the loss draws, a million numbers a network, is in its program.
    def init(key):
        return jax.random.uniform(key, (1000,))

    def loss_fn(params, batch):
        size = jnp.int32(len(batch.label))
        return jnp.sum(params**2), Totals(size, jnp.float32(0), size)

    def drawing(params, batch, key):
        noise = jax.random.normal(key, (1000, 1000))
        loss, totals = loss_fn(params, batch)
        return loss * jnp.sum(jnp.sort(noise)[:, 0]), totals

    work = (init, loss_fn, optax.sgd(0.1), FULL)
    without, with_noise = (
        ensemble.bytes_of(*work, batch_size=5, num_networks=3, train_loss_fn=train_loss)
        for train_loss in (None, drawing)
    )
    assert with_noise > without + 3 * 4_000_000
    how = {"batch_size": 5, "memory_bytes": 10 * with_noise}
    fewer = ensemble.num_at_once(*work, train_loss_fn=drawing, **how)
    assert fewer < ensemble.num_at_once(*work, **how) / 10


@given(st.integers(1, 50), st.integers(1, 30))
def test_chunks_hold_every_seed_once(num_seeds, at_once):
    seeds = range(5, 5 + num_seeds)
    chunks = ensemble.chunks(seeds, at_once)
    assert [seed for chunk in chunks for seed in chunk] == list(seeds)
    assert max(map(len, chunks)) <= at_once
    assert len(chunks) == -(-num_seeds // at_once)
    if at_once % 2 == 0 and len(chunks) > 1:
        assert all(len(chunk) % 2 == 0 for chunk in chunks[:-1])  # two devices


def test_chunks_are_as_equal_as_can_be():
    assert [len(chunk) for chunk in ensemble.chunks(range(20), 16)] == [10, 10]
    assert [len(chunk) for chunk in ensemble.chunks(range(20), 6)] == [6, 6, 6, 2]
    assert [len(chunk) for chunk in ensemble.chunks(range(3), 1)] == [1, 1, 1]
    with pytest.raises(InputError, match="at_once=0"):
        ensemble.chunks(range(3), 0)
