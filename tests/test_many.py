"""Many seeds at once against the same seeds one by one."""

import jax
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxnets import ensemble as many
from jaxnets import models as recipes
from jaxnets import relu_softmax, training
from jaxnets.errors import InputError

SIZES = (784, 12, 10)
SEEDS = (3, 7, 1)  # more than the devices, and not their multiple


def init(key):
    return relu_softmax.init(key, SIZES)


def train(digits, seeds=SEEDS, **settings):
    settings = {"batch_size": 50, "num_epochs": 2, **settings}
    tx = recipes.optimizer(recipes.RELU_SOFTMAX)
    return many.fit_seeds(
        init,
        relu_softmax.loss_fn,
        tx,
        digits.train,
        [digits.validation, digits.test],
        seeds=seeds,
        **settings,
    )


def test_every_seed_becomes_what_it_becomes_alone(digits):
    # Oracle: `training.fit`, which knows nothing of many seeds.
    together = [
        (jax.device_get(epoch.params), epoch.train, epoch.held_out)
        for epoch in train(digits)
    ]
    tx = recipes.optimizer(recipes.RELU_SOFTMAX)
    for place, seed in enumerate(SEEDS):
        init_key, data_key = recipes.run_keys(seed)
        alone = training.fit(
            relu_softmax.loss_fn,
            tx,
            training.start(init(init_key), tx),
            digits.train,
            digits.validation,
            batch_size=50,
            num_epochs=2,
            key=data_key,
        )
        for epoch, (params, totals, held_out) in zip(alone, together, strict=True):
            for layer, expected in zip(params, epoch.state.params, strict=True):
                # float32 rounding, carried through 48 updates
                np.testing.assert_allclose(
                    layer.kernel[place], expected.kernel, atol=2e-5
                )
                np.testing.assert_allclose(layer.bias[place], expected.bias, atol=2e-5)
            np.testing.assert_allclose(totals.loss[place], epoch.train.loss, rtol=1e-4)
            assert totals.seen[place] == 1198
            assert held_out[0].seen[place] == 239
            # An image on the border may fall to the other side of it.
            assert abs(held_out[0].correct[place] - epoch.validation.correct) <= 1
            assert held_out[1].seen[place] == 360


def test_bad_input_is_refused_before_any_work(digits):
    with pytest.raises(InputError, match="batch_size=0"):
        next(train(digits, batch_size=0))
    with pytest.raises(InputError, match="seed=-1"):
        next(train(digits, seeds=(0, -1)))


def test_one_alone_does_the_work_of_many(digits):
    # Oracle: the same seed among many, another program.
    tx = recipes.optimizer(recipes.RELU_SOFTMAX)
    alone = many.fit_alone(
        init,
        relu_softmax.loss_fn,
        tx,
        digits.train,
        [digits.validation, digits.test],
        seed=SEEDS[1],
        batch_size=50,
        num_epochs=2,
    )
    for one, epoch in zip(alone, train(digits), strict=True):
        assert (one.number, one.seconds > 0) == (epoch.number, True)
        for layer, expected in zip(one.params, epoch.params, strict=True):
            # float32 rounding, carried through 48 updates
            np.testing.assert_allclose(layer.kernel[0], expected.kernel[1], atol=2e-5)
        np.testing.assert_allclose(one.train.loss[0], epoch.train.loss[1], rtol=1e-4)
        for part, expected in zip(one.held_out, epoch.held_out, strict=True):
            assert part.seen.tolist() == [expected.seen[1]]
            # An image on the border may fall to the other side of it.
            assert abs(part.correct[0] - expected.correct[1]) <= 1


@pytest.mark.parametrize(
    ("sizes", "tx", "numbers"),
    [
        ((784, 30, 10), optax.sgd(0.1), 784 * 30 + 30 + 30 * 10 + 10),
        ((784, 1024, 10), recipes.keras_adam(1e-3), 3 * 814_090),
    ],
)
def test_the_networks_on_a_device_fit_into_its_cache(sizes, tx, numbers):
    # Oracle: weights counted by hand, with Adam's two moments; four bytes each.
    found = many.num_at_once(lambda key: relu_softmax.init(key, sizes), tx)
    per_device, left = divmod(found, len(jax.devices()))
    assert left == 0
    if per_device > 1:
        assert per_device * 4 * numbers <= many.STATE_BYTES["cpu"]
    assert (per_device + 1) * 4 * (numbers + 100) > many.STATE_BYTES["cpu"]


@given(st.integers(1, 50), st.integers(1, 30))
def test_chunks_hold_every_seed_once(num_seeds, at_once):
    seeds = range(5, 5 + num_seeds)
    found = many.chunks(seeds, at_once)
    assert [seed for chunk in found for seed in chunk] == list(seeds)
    assert max(map(len, found)) <= at_once
    assert len(found) == -(-num_seeds // at_once)
    if at_once % 2 == 0 and len(found) > 1:
        assert all(len(chunk) % 2 == 0 for chunk in found[:-1])  # two devices


def test_chunks_are_as_equal_as_can_be():
    assert [len(chunk) for chunk in many.chunks(range(20), 16)] == [10, 10]
    assert [len(chunk) for chunk in many.chunks(range(20), 6)] == [6, 6, 6, 2]
    assert [len(chunk) for chunk in many.chunks(range(3), 1)] == [1, 1, 1]
    with pytest.raises(InputError, match="at_once=0"):
        many.chunks(range(3), 0)
