"""Optimizers against Keras's documented form, and by hand."""

import os
import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles
import pytest
import small

from jaxnets import devices, flax_dense, models, optimizers, processor, training


def adam_path(tx, gradients, value):
    """The value after each of the gradients."""
    update = jax.jit(tx.update)
    opt_state = tx.init(value)
    for gradient in gradients:
        updates, opt_state = update(jnp.asarray(gradient), opt_state, value)
        value = optax.apply_updates(value, updates)
        yield value


@pytest.mark.parametrize("fuses", [True, False])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-6])
def test_keras_adam_follows_the_formula_of_keras(scale, fuses, monkeypatch):
    monkeypatch.setattr(processor, "fuses_outputs", lambda: fuses)
    rng = np.random.default_rng(0)
    gradients = (scale * rng.normal(size=(30, 50))).astype(np.float32)
    value = rng.normal(size=50).astype(np.float32)
    expected = list(oracles.keras_adam(value, gradients.astype(float), rate=0.1))
    path = adam_path(optimizers.keras_adam(0.1), gradients, jnp.asarray(value))
    for step, value in enumerate(path):
        # float32 steps of 0.1 on values of about 1: 1e-6 of rounding each, at most
        np.testing.assert_allclose(value, expected[step], atol=1e-6 * (step + 2))


@pytest.mark.parametrize("eps", [1e-8, 1e-7])
def test_optax_adam_alone_would_not(eps):
    # The control of the test above: where gradients are small, it must tell the
    # two forms apart by far more than its tolerance of 3e-5.
    rng = np.random.default_rng(0)
    gradients = (1e-6 * rng.normal(size=(30, 50))).astype(np.float32)
    *_, expected = oracles.keras_adam(np.zeros(50), gradients, rate=0.1)
    *_, value = adam_path(optax.adam(0.1, eps=eps), gradients, jnp.zeros(50))
    assert np.abs(value - expected).max() > 1e-2


def arrays_by_loop():
    """How many arrays of its first kernel's shape each loop in a step of `fit` writes.

    Its products, which give the kernel's gradient, are no loops.
    """
    tx = optimizers.keras_adam(1e-3)
    state = training.start(small.random_layers(small.SIZES), tx)
    program = devices.compile_ahead(
        training.make_run_epoch(flax_dense.loss_fn, tx, small.BATCH_SIZE),
        *(state, (jax.random.key(0), None), np.int32(0), small.random_batch(20)),
    )
    steps, entry, _ = program.as_text().partition("\nENTRY")  # which transposes once
    assert entry
    num_in, num_out, _ = small.SIZES
    written = f"f32[{num_out},{num_in}]"  # transposed, as a processor stores it
    lines = [line.partition(" fusion(") for line in steps.splitlines()]
    counts = [head.count(written) for head, fusion, _ in lines if fusion]
    return [count for count in counts if count]


def test_adam_is_one_loop_over_memory_where_outputs_are_fused():
    # Its arrays are the weights and both moments. XLA reads its options when a process
    # starts its first device.
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_extra_options="
    code = "import test_optimizers; print(test_optimizers.arrays_by_loop())"
    variables = os.environ | {
        "XLA_FLAGS": flags + processor.FUSION,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    fused = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=variables,
    )
    assert fused.stdout == "[3]\n"
    assert arrays_by_loop() == [1, 1, 1]  # the control


def test_sgd_subtracts_rate_times_gradient():
    tx = optimizers.make(replace(models.SIGMOID_MSE.recipe, learning_rate=0.5))
    (value,) = adam_path(tx, [np.array([4.0, -2.0])], jnp.array([1.0, 1.0]))
    assert value.tolist() == [-1.0, 2.0]  # by hand, exact in binary


def test_the_recipe_chooses_the_optimizer_and_its_rate():
    adam = optimizers.make(replace(models.KERAS_DENSE.recipe, learning_rate=0.25))
    (value,) = adam_path(adam, [np.array([3.0])], jnp.array([1.0]))
    # Adam's first step is the rate, whatever the gradient's size. float32 has 1 - 0.999
    # to 1e-5, in Keras as here.
    np.testing.assert_allclose(value, 0.75, rtol=1e-5)


def test_keras_adam_takes_its_rate_from_a_schedule():
    # With equal gradients Adam moves by the rate at every step, but for its epsilon.
    rates = jnp.array([0.1, 0.3, 0.0, 0.2])
    tx = optimizers.keras_adam(lambda count: rates[count])
    path = adam_path(tx, np.full((4, 1), 2.0, np.float32), jnp.array([1.0]))
    expected = [0.9, 0.6, 0.6, 0.4]
    # float32 has 1 - 0.999 to 1e-5, as above.
    np.testing.assert_allclose(np.ravel([*path]), expected, rtol=3e-5)


def test_one_cycle_rises_and_falls_in_lines():
    # By hand: 25 of 100 steps up from 4 / 25, 75 down to 0.
    schedule = jax.jit(optimizers.one_cycle(4.0, 100, rise=0.25))
    rates = [float(schedule(step)) for step in (0, 25, 50, 75, 100)]
    np.testing.assert_allclose(rates, [0.16, 4.0, 8 / 3, 4 / 3, 0.0], atol=1e-6)
    short = optimizers.one_cycle(1.0, 1)
    assert float(short(0)) == pytest.approx(1 / 25)


def test_max_norm_shortens_a_units_incoming_weights_alone():
    # Oracle: NumPy's norms of the columns, which are [in, out] kernels' units.
    kernel = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    step = np.float32(0.5) * np.sign(kernel)
    params = {"kernel": jnp.asarray(kernel), "bias": jnp.full(5, 9.0)}
    updates = {"kernel": jnp.asarray(step), "bias": jnp.ones(5)}
    tx = optimizers.max_norm(2.5)
    limited, _ = jax.jit(tx.update)(updates, tx.init(params), params)
    moved = optax.apply_updates(params, limited)
    lengths = np.linalg.norm(kernel + step, axis=0)
    assert (lengths > 2.5).any() and (lengths < 2.5).any()
    expected = (kernel + step) * np.minimum(1, 2.5 / lengths)
    np.testing.assert_allclose(moved["kernel"], expected, rtol=1e-5, atol=1e-6)
    assert moved["bias"].tolist() == [10.0] * 5
    # Nothing at all is no trouble: a unit of length 0.
    zero = jax.tree.map(jnp.zeros_like, params)
    limited, _ = tx.update(zero, tx.init(zero), zero)
    assert np.all(np.isfinite(limited["kernel"]))


def test_averaged_keeps_a_running_mean_and_changes_no_update():
    tx = optax.chain(optax.sgd(1.0), optimizers.averaged(0.5))
    state = training.start({"bias": jnp.array([0.0])}, tx)
    values = []
    for gradient in (-1.0, -2.0, -4.0, -8.0):
        grads = {"bias": jnp.array([gradient])}
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        state = state._replace(params=params, opt_state=opt_state)
        values.append(params["bias"][0].item())
    assert values == [1.0, 3.0, 7.0, 15.0]
    average, expected = optimizers.average_of(state)["bias"][0].item(), 0.0
    for count, value in enumerate(values, start=1):
        decay = min(0.5, (1 + count) / (10 + count))
        expected = decay * expected + (1 - decay) * value
    assert average == pytest.approx(expected, rel=1e-6)
    plain = training.start({"bias": jnp.array([2.0])}, optax.sgd(1.0))
    assert optimizers.average_of(plain) is plain.params


@pytest.mark.parametrize(
    ("name", "suits"), [("one_cycle", True), ("averaged", True), ("max_norm", False)]
)
def test_what_may_be_stored_transposed(name, suits):
    # One cycle and the mean treat all numbers of a kernel alike, max-norm does not.
    parts = {
        "one_cycle": optimizers.keras_adam(optimizers.one_cycle(0.1, 10)),
        "averaged": optax.chain(optimizers.keras_adam(0.1), optimizers.averaged(0.9)),
        "max_norm": optax.chain(optimizers.keras_adam(0.1), optimizers.max_norm(3.0)),
    }
    tx = parts[name]
    state = training.start(small.random_layers((20, 6, 10)), tx)
    assert processor.suits(tx, state) == suits
