"""`fit`: epochs in a row, resume, donation, divergence."""

import os

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from jaxnets import relu_softmax, sigmoid_mse, training
from jaxnets.errors import InputError, NonFiniteLoss
from jaxnets.types import Batch

SIZES = (20, 6, 10)
CACHE_OPTIONS = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)
TX = optax.sgd(0.1, momentum=0.9)  # with a state of its own, which must resume too


def random_data(num_examples, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.integers(256, size=(num_examples, 4, 5), dtype=np.uint8)
    return Batch(image, rng.integers(10, size=num_examples, dtype=np.int32))


TRAIN, VALIDATION = random_data(23), random_data(11, seed=1)


def fresh_state(tx=TX):
    return training.start(relu_softmax.init(jax.random.key(0), SIZES), tx)


def fit(
    state, *, loss_fn=relu_softmax.loss_fn, tx=TX, validation=VALIDATION, **options
):
    """`training.fit` with this file's data."""
    options = {"batch_size": 5, "num_epochs": 4, "key": jax.random.key(9), **options}
    return training.fit(loss_fn, tx, state, TRAIN, validation, **options)


@pytest.fixture(scope="module")
def straight():
    """Four epochs in a row, copied to the host before the next one takes them."""
    return [jax.tree.map(np.array, tuple(epoch)) for epoch in fit(fresh_state())]


def test_epochs_equal_loops_of_steps_in_the_documented_orders(straight):
    # Oracle: a Python loop of plain steps over fold_in's orders, short batch included.
    key, state = jax.random.key(9), fresh_state()
    step = jax.jit(training.make_train_step(relu_softmax.loss_fn, TX))
    for epoch in range(2):
        order = np.argsort(
            jax.random.bits(jax.random.fold_in(key, epoch), (23,)), kind="stable"
        )
        for start in range(0, 23, 5):
            rows = order[start : start + 5]
            state, _ = step(state, Batch(TRAIN.image[rows], TRAIN.label[rows]))
    # float32: weights are stored transposed inside, so products round differently.
    chex.assert_trees_all_close(straight[1][1], state, rtol=1e-4, atol=1e-5)


def test_what_an_epoch_tells():
    evaluate = jax.jit(training.make_evaluate(relu_softmax.loss_fn))
    epochs = fit(fresh_state(), num_epochs=3)
    for number, epoch in enumerate(epochs, start=1):
        assert epoch.number == number
        assert epoch.state.step == number * 5
        assert epoch.train.seen == len(TRAIN.label)
        assert epoch.seconds > 0 and epoch.compile_seconds > 0
        # Oracle: an evaluation of its own; float32, compiled apart.
        chex.assert_trees_all_close(
            epoch.validation, evaluate(epoch.state.params, VALIDATION), rtol=1e-6
        )
    assert number == 3


def test_resume_ends_bit_for_bit_like_a_straight_run(straight):
    saved = straight[1][1]  # after epoch 2, as a checkpoint holds it
    resumed = list(fit(jax.device_put(saved), num_epochs=4))
    assert [epoch.number for epoch in resumed] == [3, 4]
    chex.assert_trees_all_equal(resumed[-1].state, straight[3][1])
    chex.assert_trees_all_equal(resumed[-1][2:4], straight[3][2:4])


def test_a_finished_run_has_nothing_left_to_do(straight):
    assert list(fit(jax.device_put(straight[1][1]), num_epochs=2)) == []


def test_the_same_seed_repeats_and_another_key_reorders(straight):
    same = next(fit(fresh_state()))
    other = next(fit(fresh_state(), key=jax.random.key(10)))
    state = straight[0][1]
    chex.assert_trees_all_equal(same.state, state)
    assert not np.allclose(other.state.params[0].kernel, state.params[0].kernel)


def test_nothing_is_traced_after_the_first_epoch():
    traces = []

    def loss_fn(params, batch):
        traces.append(batch.label.shape)
        return relu_softmax.loss_fn(params, batch)

    epochs = fit(fresh_state(), loss_fn=loss_fn)
    next(epochs)
    before = len(traces)
    assert {(5,), (3,), (11,)} <= set(traces)  # full, short, validation
    assert len(list(epochs)) == 3
    assert len(traces) == before


def test_an_earlier_state_is_donated_to_the_next_epoch():
    epochs = fit(fresh_state())
    kernel = next(epochs).state.params[0].kernel
    copy = np.array(kernel)
    second = next(epochs)
    assert kernel.is_deleted()
    with pytest.raises(RuntimeError, match="deleted"):
        np.asarray(kernel)
    assert not np.array_equal(copy, second.state.params[0].kernel)


def test_an_empty_validation_set(straight):
    empty = Batch(VALIDATION.image[:0], VALIDATION.label[:0])
    without = next(fit(fresh_state(), validation=empty))
    assert without.validation is None
    chex.assert_trees_all_equal(without.state, straight[0][1])  # it does not steer


@pytest.mark.parametrize("batch_size", [0, -5, 24])
def test_a_batch_size_that_does_not_fit(batch_size):
    with pytest.raises(InputError, match=f"{batch_size=} must be between 1 and"):
        next(fit(fresh_state(), batch_size=batch_size))


def test_no_epochs_are_refused():
    with pytest.raises(InputError, match="num_epochs=0 must be at least 1"):
        next(fit(fresh_state(), num_epochs=0))


def test_a_state_from_the_middle_of_an_epoch_is_refused():
    with pytest.raises(InputError, match=r"done 7 steps, .* epochs of 5 steps"):
        next(fit(fresh_state()._replace(step=jnp.int32(7))))


def test_divergence_names_the_epoch():
    tx = optax.sgd(1e30)  # the second step overflows float32
    with pytest.raises(NonFiniteLoss, match=r"the loss is (nan|inf) in epoch 1$"):
        list(fit(fresh_state(tx), tx=tx))


def test_divergence_on_the_validation_set_alone():
    # One step an epoch: its loss is taken before the weights explode.
    tx = optax.sgd(1e38)
    with pytest.raises(NonFiniteLoss, match=r"in epoch 1$"):
        list(fit(fresh_state(tx), tx=tx, batch_size=23))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_divergence_in_the_last_step_without_a_validation_set(bad):
    # The epoch's only loss is taken before its only step, so all losses are sound.
    tx = optax.stateless(lambda grads, _: jax.tree.map(lambda g: 0 * g + bad, grads))
    empty = Batch(VALIDATION.image[:0], VALIDATION.label[:0])
    epochs = fit(fresh_state(tx), tx=tx, validation=empty, batch_size=23, num_epochs=1)
    with pytest.raises(NonFiniteLoss, match=r"a weight is not finite .* epoch 1$"):
        next(epochs)


@pytest.fixture
def program_cache(tmp_path):
    """An empty folder where JAX keeps every program, however small."""
    before = {name: getattr(jax.config, name) for name in CACHE_OPTIONS}
    for name, value in zip(CACHE_OPTIONS, (str(tmp_path), 0, 0), strict=True):
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield tmp_path
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def test_an_epoch_says_whether_all_its_programs_were_on_disk(program_cache):
    def is_cached(num_validation):
        part = jax.tree.map(lambda array: array[:num_validation], VALIDATION)
        return next(fit(fresh_state(), validation=part)).compile_cached

    assert not is_cached(11)
    assert os.listdir(program_cache)
    assert is_cached(11)
    # The epoch comes from the disk, another evaluation does not.
    assert not is_cached(7)
    assert is_cached(7)


def test_a_later_epoch_is_named_and_earlier_ones_are_kept():
    params = sigmoid_mse.init(jax.random.key(0), SIZES)

    def loss_fn(params, batch):
        loss, totals = sigmoid_mse.loss_fn(params, batch)
        return loss, totals._replace(
            loss=jnp.where(params[0].bias[0] > 2.5, jnp.nan, totals.loss)
        )

    # A stand-in for an optimizer: every step adds 0.25 to every parameter.
    tx = optax.stateless(lambda grads, _: jax.tree.map(lambda g: 0 * g + 0.25, grads))
    params = jax.tree.map(jnp.zeros_like, params)
    epochs = fit(training.start(params, tx), loss_fn=loss_fn, tx=tx)
    seen = [next(epochs).number]
    assert next(epochs).state.params[0].bias[0] == 2.5
    with pytest.raises(NonFiniteLoss, match=r"in epoch 3$"):
        seen.append(next(epochs).number)
    assert seen == [1]
