"""`fit`: epochs in a row, resume, what stays usable, divergence, refusals."""

import itertools
import os

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental.compilation_cache import compilation_cache
from small import (
    BATCH_SIZE,
    TRAIN,
    VALIDATION,
    loop_of_steps,
    make_plain_step,
    random_batch,
    random_layers,
    rows_of,
)

from jaxnets import relu_softmax, training
from jaxnets.errors import InputError, NonFiniteLoss
from jaxnets.types import Batch, Totals, count

CACHE_OPTIONS = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)
TX = optax.sgd(0.1, momentum=0.9)  # with a state of its own, which must resume too
EMPTY = rows_of(VALIDATION, slice(0))


def fresh_state(tx=TX):
    """Softmax regression, which compiles soon."""
    return training.start(random_layers((20, 10)), tx)


def fit(
    state,
    *,
    loss_fn=relu_softmax.loss_fn,
    tx=TX,
    train=TRAIN,
    held_out=(VALIDATION,),
    **options,
):
    """`training.fit` with this file's data."""
    options = {
        "batch_size": BATCH_SIZE,
        "num_epochs": 4,
        "key": jax.random.key(9),
        **options,
    }
    return training.fit(loss_fn, tx, state, train, held_out, **options)


@pytest.fixture(scope="module")
def straight():
    """Four epochs in a row."""
    return list(fit(fresh_state()))


# Toy networks, which compile in no time.


def steady_loss(params, batch):
    """The gradient of `bias` is 1 whatever the batch; the loss is its square."""
    bias, size = params["bias"], jnp.int32(len(batch.label))
    loss = jnp.mean(batch.label * 0.0) + bias
    return loss, Totals(jnp.int32(0), size * bias**2, size)


def toy_state(tx, bias=0.0):
    return training.start({"bias": jnp.float32(bias)}, tx)


def steps_of(values):
    """An optimizer that sets every parameter to the next of these values."""
    values = jnp.asarray(values, jnp.float32)

    def update(grads, number, params):
        change = jax.tree.map(lambda param: values[number] - param, params)
        return change, number + 1

    return optax.GradientTransformation(lambda _: jnp.int32(0), update)


def test_epochs_equal_loops_of_steps_in_the_documented_orders(straight):
    # Oracle: a Python loop of plain steps over fold_in's orders, short batch included.
    step = make_plain_step(relu_softmax.loss_fn, TX)
    state = loop_of_steps(step, fresh_state(), jax.random.key(9), num_epochs=2)
    # float32: a processor stores weights transposed, so products round differently.
    chex.assert_trees_all_close(straight[1].state, state, rtol=1e-4, atol=1e-5)


def test_what_an_epoch_tells(straight):
    evaluate = jax.jit(training.make_evaluate(relu_softmax.loss_fn))
    assert [epoch.number for epoch in straight] == [1, 2, 3, 4]
    for epoch in straight:
        assert epoch.state.step == epoch.number * 5
        assert epoch.train.seen == len(TRAIN.label)
        assert epoch.seconds > 0 and epoch.compile_seconds > 0
        assert epoch.evaluation_seconds > 0
        # Oracle: an evaluation of its own; float32, compiled apart.
        (held_out,) = epoch.held_out
        chex.assert_trees_all_close(
            held_out, evaluate(epoch.state.params, VALIDATION), rtol=1e-5
        )
        for number in (*epoch.train, *held_out):
            assert isinstance(number, np.ndarray | np.generic)  # nothing on a device
    assert len({epoch.compile_seconds for epoch in straight}) == 1
    assert straight[-1].train.mean_loss < straight[0].train.mean_loss


@pytest.mark.parametrize("count_of", [0, 2])
def test_any_number_of_held_out_sets_and_none_steers(straight, count_of):
    held_out = (EMPTY, TRAIN)[:count_of]
    epoch = next(fit(fresh_state(), held_out=list(held_out)))
    assert [totals.seen for totals in epoch.held_out] == [0, 23][:count_of]
    chex.assert_trees_all_equal(epoch.state, straight[0].state)


def test_resume_ends_bit_for_bit_like_a_straight_run(straight):
    saved = jax.device_get(straight[1].state)  # after epoch 2, as a checkpoint holds it
    resumed = list(fit(saved))
    assert [epoch.number for epoch in resumed] == [3, 4]
    chex.assert_trees_all_equal(resumed[-1].state, straight[3].state)
    chex.assert_trees_all_equal(resumed[-1][2:4], straight[3][2:4])
    assert list(fit(saved, num_epochs=2)) == []  # nothing left to do


def test_the_same_seed_repeats_and_another_key_reorders(straight):
    same = next(fit(fresh_state()))
    other = next(fit(fresh_state(), key=jax.random.key(10)))
    state = straight[0].state
    chex.assert_trees_all_equal(same.state, state)
    assert not np.allclose(other.state.params[0].kernel, state.params[0].kernel)


def test_nothing_is_traced_after_the_first_epoch():
    traces = []

    def loss_fn(params, batch):
        traces.append(batch.label.shape)
        return steady_loss(params, batch)

    tx = optax.sgd(0.5)
    epochs = fit(toy_state(tx), loss_fn=loss_fn, tx=tx)
    next(epochs)
    num_traces = len(traces)
    assert {(5,), (3,), (11,)} <= set(traces)  # full, short, held out
    assert len(list(epochs)) == 3
    assert len(traces) == num_traces


def test_every_example_is_used_once_an_epoch():
    data = random_batch(23)._replace(label=np.arange(23, dtype=np.int32))

    def loss_fn(params, batch):
        size = jnp.int32(len(batch.label))
        used = jax.nn.one_hot(batch.label, 23).sum(axis=0)
        return params["uses"] @ used, Totals(size, jnp.float32(0), size)

    tx = optax.sgd(-1.0)  # adds the gradient
    state = training.start({"uses": jnp.zeros(23)}, tx)
    for epoch in fit(
        state, loss_fn=loss_fn, tx=tx, train=data, held_out=(), num_classes=23
    ):
        assert epoch.state.params["uses"].tolist() == [epoch.number] * 23


def test_nothing_that_the_caller_holds_is_donated(straight):
    state = jax.device_put(fresh_state())
    epochs = fit(state)
    first = next(epochs)
    copy = jax.tree.map(np.array, first.state)
    next(epochs)
    chex.assert_trees_all_equal(first.state, copy)
    epochs.close()
    chex.assert_trees_all_equal(first.state, copy)
    chex.assert_trees_all_equal(state, fresh_state())  # what was given
    for before, after in itertools.pairwise(straight):
        assert np.any(before.state.params[0].kernel != after.state.params[0].kernel)


def test_what_was_yielded_is_usable_after_divergence():
    tx = steps_of([1.0] * 5 + [np.nan] * 5)
    state = toy_state(tx, bias=0.5)
    epochs = fit(state, loss_fn=steady_loss, tx=tx)
    last = next(epochs)
    with pytest.raises(NonFiniteLoss, match=r"in epoch 2$"):
        next(epochs)
    assert last.state.params["bias"] == 1.0 and state.params["bias"] == 0.5
    # It may go on from there.
    mended = next(fit(last.state, loss_fn=steady_loss, tx=steps_of([1.0] * 10)))
    assert mended.number == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size=0 must be between 1 and"),
        ({"batch_size": -5}, "batch_size=-5 must be between 1 and"),
        ({"batch_size": 24}, "batch_size=24 must be between 1 and .*23"),
        ({"num_epochs": 0}, "num_epochs=0 must be at least 1"),
        ({"num_epochs": -1}, "num_epochs=-1 must be at least 1"),
        ({"held_out": VALIDATION}, "held_out must be a tuple"),
        (
            {"train": TRAIN._replace(label=TRAIN.label + 1)},
            "labels run from 1 to 10; they must lie between 0 and 9",
        ),
        (
            {"train": TRAIN._replace(label=TRAIN.label - 1)},
            "labels run from -1 to 8; they must lie between 0 and 9",
        ),
        ({"num_classes": 9}, "from 0 to 9; they must lie between 0 and 8"),
        (
            {"held_out": (VALIDATION._replace(label=VALIDATION.label + 90),)},
            "labels run from 9.* to 9.*; they must",
        ),
        (
            {"train": Batch(np.zeros((600, 4, 5), np.uint8), np.zeros(1000, np.int32))},
            "600 images but 1,000 labels",
        ),
        (
            {"held_out": (VALIDATION, Batch(VALIDATION.image, VALIDATION.label[:7]))},
            "11 images but 7 labels",
        ),
        (
            {"train": TRAIN._replace(image=TRAIN.image / np.float32(255))},
            "images must be uint8 .* not float32",
        ),
        (
            {"train": TRAIN._replace(image=TRAIN.image.reshape(23, 20))},
            r"images must be uint8 .*\[23, 20\]",
        ),
        (
            {"train": TRAIN._replace(label=TRAIN.label.astype(np.float32))},
            "labels must be integers .* not float32",
        ),
        (
            {"train": TRAIN._replace(label=np.eye(10, dtype=np.int32)[TRAIN.label])},
            r"labels must be integers .*\[23, 10\]",
        ),
        (
            {"train": TRAIN._replace(label=TRAIN.label.tolist())},
            "labels must be an array of NumPy or JAX, not a list",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_bad_input_is_refused_when_fit_is_called(changes, message):
    state = toy_state(TX)
    with pytest.raises(InputError, match=message):
        fit(state, **changes)  # not at the first epoch


def test_data_on_the_device_and_other_integers_are_fine():
    small = TRAIN._replace(label=TRAIN.label.astype(np.uint8))
    tx = optax.sgd(0.5)
    epoch = next(
        fit(toy_state(tx), loss_fn=steady_loss, tx=tx, train=jax.device_put(small))
    )
    assert epoch.train.seen == 23
    loss_fn, params = jax.jit(relu_softmax.loss_fn), random_layers((20, 10))
    chex.assert_trees_all_close(loss_fn(params, small), loss_fn(params, TRAIN))


def test_a_state_from_the_middle_of_an_epoch_is_refused():
    state = toy_state(TX)._replace(step=jnp.int32(7))
    with pytest.raises(InputError, match=r"7 steps, .* epochs of 5 steps"):
        fit(state)


def test_divergence_names_the_epoch_and_the_loss():
    tx = steps_of([1.0] * 7 + [np.inf] * 3)
    epochs = fit(toy_state(tx), loss_fn=steady_loss, tx=tx)
    next(epochs)
    with pytest.raises(NonFiniteLoss, match=r"the loss is (inf|nan) in epoch 2$"):
        next(epochs)


def test_divergence_on_a_held_out_set_alone():
    # Its loss is not finite, though every weight is.
    tx = steps_of([1e30])
    epochs = fit(toy_state(tx), loss_fn=steady_loss, tx=tx, batch_size=23)
    with pytest.raises(NonFiniteLoss, match=r"the loss is inf in epoch 1$"):
        next(epochs)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("held_out", [(), (EMPTY,)], ids=["none", "empty"])
def test_divergence_in_the_last_step_without_a_held_out_set(bad, held_out):
    # The epoch's only loss is taken before its only step, so all losses are sound.
    tx = steps_of([bad])
    epochs = fit(
        toy_state(tx), loss_fn=steady_loss, tx=tx, held_out=held_out, batch_size=23
    )
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
    tx = optax.sgd(0.25)

    def is_cached(num_held_out):
        held_out = (rows_of(VALIDATION, slice(num_held_out)),)
        epochs = fit(toy_state(tx), loss_fn=steady_loss, tx=tx, held_out=held_out)
        return next(epochs).compile_cached

    assert not is_cached(11)
    assert os.listdir(program_cache)
    assert is_cached(11)
    # The epoch comes from the disk, another evaluation does not.
    assert not is_cached(7)
    assert is_cached(7)


def test_parameters_may_be_any_pytree():
    # Linear regression on the one-hot labels, with its parameters in dicts.
    def outputs_of(params, images):
        pixels = images.reshape(len(images), 20) / jnp.float32(255)
        hidden = pixels @ params["layers"]["first"]
        return hidden * params["gain"][None, :]

    def loss_fn(params, batch):
        outputs = outputs_of(params, batch.image)
        errors = outputs - jax.nn.one_hot(batch.label, 10)
        losses = jnp.sum(errors**2, axis=-1)
        return jnp.mean(losses), count(outputs, losses, batch.label)

    tx = optax.adam(0.01)
    (layer,) = random_layers((20, 10))
    params = {"layers": {"first": 0.1 * layer.kernel}, "gain": np.ones(10, np.float32)}
    state, train = training.start(params, tx), rows_of(TRAIN, slice(20))
    *_, epoch = fit(
        state, loss_fn=loss_fn, tx=tx, train=train, held_out=(), num_epochs=30
    )
    chex.assert_trees_all_equal_structs(epoch.state.params, params)
    assert epoch.train.accuracy > 0.5  # a guess: 0.1
