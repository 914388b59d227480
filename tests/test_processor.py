"""The processor's way of an epoch: the same numbers, and only where that is so."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest
from jax import lax
from small import (
    BATCH_SIZE,
    TRAIN,
    loop_of_steps,
    make_plain_step,
    random_layers,
    rows_of,
)

from jaxnets import optimizers, processor, relu_softmax, training
from jaxnets.types import Totals

KEY = jax.random.key(9)
SIZES = (20, 10)  # one kernel to transpose
PARAMS = random_layers(SIZES)


def by_shape(grads, _):
    """Another rate for each number of inputs."""
    return jax.tree.map(lambda grad: -grad / grad.shape[0], grads)


def by_constant(grads, state, params=None):
    """A mask of the kernel, closed over."""
    del params
    mask = np.arange(200).reshape(20, 10) % 2
    return (grads[0]._replace(kernel=-mask * grads[0].kernel),), state


def by_row(grads, _):
    """A row's update holds that of the rows above it."""

    def running_sum(matrix):
        step = lambda total, row: (total + row,) * 2  # noqa: E731
        return lax.scan(step, jnp.zeros_like(matrix[0]), -matrix)[1]

    return jax.tree.map(lambda g: running_sum(g) if g.ndim == 2 else -g, grads)


def is_wide(params):
    return jax.tree.map(lambda leaf: leaf.shape[0] == SIZES[0], params)


def is_matrix(params):
    return jax.tree.map(lambda leaf: leaf.ndim == 2, params)


ALIKE = {  # every number of a kernel
    "sgd": optax.sgd(0.1),
    "momentum": optax.sgd(0.1, momentum=0.9),
    "adam": optax.adam(1e-2),
    "keras_adam": optimizers.keras_adam(1e-2),
    "adamw": optax.adamw(1e-2),
    "rmsprop": optax.rmsprop(1e-2),
    "schedule": optax.sgd(optax.cosine_decay_schedule(0.1, 100)),
    "clipped": optax.chain(optax.clip(0.1), optax.sgd(0.1)),
    "masked by rank": optax.masked(optax.sgd(0.1), is_matrix),
}
NOT_ALIKE = {
    "muon": optax.contrib.muon(1e-2),
    "adafactor": optax.adafactor(1e-2, min_dim_size_to_factor=4),
    "global norm": optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(0.1)),
    "centralized": optax.chain(optax.centralize(), optax.sgd(0.1)),
    "noise": optax.chain(optax.add_noise(0.1, 0.5, 0), optax.sgd(0.1)),
    "by shape": optax.stateless(by_shape),
    "masked by shape": optax.masked(optax.sgd(0.1), is_wide),
    "adam masked by shape": optax.masked(optax.adam(0.1), is_wide),
    "by constant": optax.GradientTransformation(optax.identity().init, by_constant),
    "by constant, compiled": optax.GradientTransformation(
        optax.identity().init, jax.jit(by_constant)
    ),
    "by row": optax.stateless(by_row),
}


@pytest.mark.parametrize("name", ALIKE)
def test_optimizers_that_treat_all_numbers_alike_may_store_transposed(name):
    assert processor.suits(ALIKE[name], training.start(PARAMS, ALIKE[name]))


@pytest.mark.parametrize("name", NOT_ALIKE)
def test_optimizers_that_look_at_rows_columns_or_shapes_may_not(name):
    assert not processor.suits(NOT_ALIKE[name], training.start(PARAMS, NOT_ALIKE[name]))


def test_it_is_for_processors_alone(monkeypatch):
    tx = ALIKE["sgd"]
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not processor.suits(tx, training.start(PARAMS, tx))


ASKED = "--xla_backend_extra_options=xla_cpu_use_multi_output_fusion"  # docs/speed.md


@pytest.mark.parametrize(
    ("flags", "backend", "expected"),
    [
        (ASKED, "cpu", True),
        (f"--xla_cpu_enable_fast_math=false {ASKED}", "cpu", True),
        ("--xla_cpu_enable_fast_math=false", "cpu", False),
        (None, "cpu", False),
        (ASKED, "gpu", False),  # the option is of processors
    ],
)
def test_outputs_are_fused_where_flags_ask_for_it_on_a_processor(
    flags, backend, expected, monkeypatch
):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    if flags is not None:
        monkeypatch.setenv("XLA_FLAGS", flags)
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    answer = functools.cache(processor.fuses_outputs.__wrapped__)  # of a new process
    assert answer() is expected


def test_flags_are_asked_for_once(monkeypatch):
    before = processor.fuses_outputs()
    monkeypatch.setenv("XLA_FLAGS", "" if before else ASKED)
    assert processor.fuses_outputs() is before


@pytest.mark.parametrize(("name", "size"), [("momentum", 23), ("keras_adam", 20)])
def test_it_computes_what_the_plain_epoch_does(name, size):
    tx = ALIKE[name]
    order = np.random.default_rng(1).permutation(size)  # of 23, the last batch is short
    plain_step = training.make_train_step(relu_softmax.loss_fn, tx)
    plain_epoch = training.make_train_epoch(plain_step, BATCH_SIZE)
    stored_loss = processor.on_transposed(relu_softmax.loss_fn)
    stored_step = training.make_train_step(stored_loss, tx)
    stored_epoch = processor.make_train_epoch(stored_step, BATCH_SIZE)

    @jax.jit
    def both(state):
        return plain_epoch(state, TRAIN, order), stored_epoch(state, TRAIN, order)

    plain, stored = both(training.start(PARAMS, tx))
    chex.assert_trees_all_equal_shapes_and_dtypes(plain, stored)
    # float32: products of transposed kernels add up in another order, and Adam divides
    # by numbers that are small.
    chex.assert_trees_all_close(plain, stored, rtol=2e-5, atol=2e-6)


def test_a_step_gets_images():
    shapes = []

    def step(state, batch):
        shapes.append((batch.image.shape, batch.image.dtype))
        return state, Totals.zeros()

    train_epoch = processor.make_train_epoch(step, BATCH_SIZE)
    state = training.start(PARAMS, ALIKE["sgd"])
    jax.eval_shape(train_epoch, state, TRAIN, np.arange(23))
    image, counts = TRAIN.image, (BATCH_SIZE, 23 % BATCH_SIZE)
    expected = {((count, *image.shape[1:]), image.dtype) for count in counts}
    assert image.ndim == 3 and set(shapes) == expected


def test_fit_is_a_loop_of_steps_for_every_other_optimizer():
    tx, data = NOT_ALIKE["by shape"], rows_of(TRAIN, slice(20))
    state = training.start(PARAMS, tx)
    options = {"batch_size": BATCH_SIZE, "num_epochs": 1, "key": KEY}
    (epoch,) = training.fit(relu_softmax.loss_fn, tx, state, data, **options)
    step = make_plain_step(relu_softmax.loss_fn, tx)
    expected = loop_of_steps(step, state, KEY, data=data)
    # The same float32 operations, compiled apart. Transposed, rates are halved.
    chex.assert_trees_all_close(epoch.state, expected, rtol=1e-5, atol=1e-6)


def test_transposing_twice_is_nothing():
    state = training.start(PARAMS, ALIKE["momentum"])
    stored = processor.transpose(state)
    assert stored.params[0].kernel.shape == (10, 20)
    assert stored.params[0].bias.shape == (10,) and stored.step.shape == ()
    chex.assert_trees_all_equal(processor.transpose(stored), state)
