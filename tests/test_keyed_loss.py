"""A loss that takes a key, in `fit` and `fit_many`: whose key, resume, evaluation."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small import (
    BATCH_SIZE,
    TRAIN,
    VALIDATION,
    order_of,
    random_layers,
    rows_of,
)

from jaxnets import augment, devices, ensemble, relu_dropout, training
from jaxnets.errors import InputError
from jaxnets.types import Totals, without_key

TX = optax.sgd(0.1, momentum=0.9)
# Dropout and distortions together, as a network would have them.
LOSS = augment.on_distorted(
    relu_dropout.make_loss_fn(input_rate=0.3),
    augment.make_distort(augment.Distortion(shift=1.0)),
)


def fresh_state():
    return training.start(random_layers((20, 10)), TX)


def keys():
    """New ones each time: keys are used once."""
    return training.run_keys(11)


def fit(state, num_epochs=3, **options):
    options = {"train_loss_fn": LOSS, "loss_key": keys().extra, **options}
    return training.fit(
        relu_dropout.loss_fn,
        TX,
        state,
        TRAIN,
        (VALIDATION,),
        batch_size=BATCH_SIZE,
        num_epochs=num_epochs,
        key=keys().data,
        **options,
    )


@pytest.fixture(scope="module")
def straight():
    return list(fit(fresh_state()))


def test_the_key_of_a_step_is_folded_from_the_runs_key_and_the_step(straight):
    # Oracle: a Python loop of gradients, with keys made here.
    grad_fn = jax.jit(jax.grad(LOSS, has_aux=True))
    params, step = random_layers((20, 10)), 0
    momentum = jax.tree.map(np.zeros_like, params)
    for epoch in straight[:2]:
        order = order_of(keys().data, epoch.number - 1, 23)
        correct = 0
        for start in range(0, 23, BATCH_SIZE):
            batch = rows_of(TRAIN, order[start : start + BATCH_SIZE])
            step_key = jax.random.fold_in(keys().extra, step)
            grads, totals = grad_fn(params, batch, step_key)
            momentum = jax.tree.map(lambda g, m: g + 0.9 * m, grads, momentum)
            params = jax.tree.map(lambda p, m: p - 0.1 * m, params, momentum)
            step, correct = step + 1, correct + int(totals.correct)
        # float32 rounding over ten updates
        chex.assert_trees_all_close(epoch.state.params, params, rtol=1e-4, atol=1e-5)
        assert abs(int(epoch.train.correct) - correct) <= 1


def test_a_resumed_run_ends_bit_for_bit_alike(straight):
    first = straight[0].state
    *_, last = fit(jax.tree.map(jnp.copy, first))
    chex.assert_trees_all_equal(last.state, straight[-1].state)
    chex.assert_trees_all_equal(last.train, straight[-1].train)
    *_, other = fit(first, loss_key=keys().init)
    assert np.any(other.state.params[0].kernel != last.state.params[0].kernel)


def test_what_evaluates_is_the_plain_loss(straight):
    for epoch in straight:
        _, expected = relu_dropout.loss_fn(epoch.state.params, VALIDATION)
        assert epoch.held_out[0].correct == expected.correct
        np.testing.assert_allclose(epoch.held_out[0].loss, expected.loss, rtol=1e-5)


def test_a_loss_that_does_without_its_key_trains_as_the_plain_one():
    keyed = fit(fresh_state(), train_loss_fn=without_key(relu_dropout.loss_fn))
    plain = fit(fresh_state(), train_loss_fn=None, loss_key=None)
    for one, other in zip(keyed, plain, strict=True):
        chex.assert_trees_all_equal(one.state, other.state)


@pytest.mark.parametrize("missing", ["train_loss_fn", "loss_key"])
def test_a_loss_without_its_key_is_refused(missing):
    with pytest.raises(InputError, match="train_loss_fn and loss_key go together"):
        fit(fresh_state(), **{missing: None})


def drawn(params, batch, key):
    """The gradient of the bias is the number drawn."""
    return params["bias"] * jax.random.uniform(key), Totals.zeros()


def bias_alone(params, batch):
    return params["bias"], Totals.zeros()


ADD = optax.sgd(-1.0)  # the gradient


def test_on_a_mesh_each_device_draws_by_a_key_of_its_own():
    # By hand: of five images one device takes three, the other two; two are equally
    # many, and the third is an extra one with another key.
    (epoch,) = training.fit(
        bias_alone,
        ADD,
        training.start({"bias": jnp.float32(0)}, ADD),
        rows_of(TRAIN, slice(5)),
        batch_size=5,
        num_epochs=1,
        key=keys().data,
        mesh=devices.mesh_along("data", jax.devices()),
        train_loss_fn=drawn,
        loss_key=keys().extra,
    )

    def number(device, part):
        step_key = jax.random.fold_in(keys().extra, 0)
        own = jax.random.fold_in(step_key, device)
        return float(jax.random.uniform(jax.random.fold_in(own, part)))

    expected = 0.4 * (number(0, 0) + number(1, 0)) + 0.2 * number(0, 1)
    assert float(epoch.state.params["bias"]) == pytest.approx(expected, rel=1e-5)


def test_many_networks_draw_each_by_its_own_key():
    (epoch,) = ensemble.fit_many(
        lambda key: {"bias": jnp.float32(0)},
        bias_alone,
        ADD,
        TRAIN,
        seeds=(4, 5, 4),
        batch_size=BATCH_SIZE,
        num_epochs=1,
        train_loss_fn=drawn,
    )
    for bias, seed in zip(epoch.state.params["bias"], (4, 5, 4), strict=True):
        extra = training.run_keys(seed).extra
        keys = [jax.random.fold_in(extra, step) for step in range(5)]
        expected = sum(float(jax.random.uniform(key)) for key in keys)
        assert float(bias) == pytest.approx(expected, rel=1e-6)
