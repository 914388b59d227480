"""One network on several devices: the same batches, the same result, one all-reduce."""

import json
import os
import subprocess
import sys
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small import BATCH_SIZE, TRAIN, VALIDATION, random_layers

from jaxnets import devices, parallel, relu_softmax, training
from jaxnets.collectives import Collective, collectives
from jaxnets.errors import InputError
from jaxnets.types import Totals

TX = optax.sgd(0.1, momentum=0.9)

# Eight devices of a processor of any kind, in a process of their own. All of it in one:
# starting JAX takes the time.
PROGRAM = """
import json, sys
import jax, jax.numpy as jnp, numpy as np, optax
sys.path[:0] = sys.argv[1:]
from experiments.kit import command

command.configure()  # the tests' cache of compiled programs
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.01)
jax.config.update("jax_numpy_rank_promotion", "raise")
from small import BATCH_SIZE, TRAIN, VALIDATION, order_of, random_layers, rows_of
from jaxnets import parallel, relu_softmax, training
from jaxnets.devices import mesh_along

tx = optax.sgd(0.1, momentum=0.9)
options = {"batch_size": BATCH_SIZE, "num_epochs": 1, "key": jax.random.key(9)}

def epoch_on(count, dtype):
    layers = jax.tree.map(lambda leaf: leaf.astype(dtype), random_layers((20, 10)))
    mesh = mesh_along(parallel.AXIS, jax.devices()[:count])
    (epoch,) = training.fit(
        relu_softmax.loss_fn, tx, training.start(layers, tx), TRAIN, (VALIDATION,),
        mesh=mesh, **options,
    )
    return epoch

def leaves(epoch):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(epoch.state)]

def apart(first, second):
    return max(float(np.abs(a - b).max()) for a, b in zip(first, second, strict=True))

answers = {"devices": len(jax.devices())}
for count in (8,):
    epoch = epoch_on(count, np.float32)
    answers[f"float32 {count}"] = [leaf.tolist() for leaf in leaves(epoch)]
    answers[f"totals {count}"] = [
        float(number) for number in (*epoch.train, *epoch.held_out[0])
    ]
again = [leaf.tobytes() for leaf in leaves(epoch_on(8, np.float32))]
answers["repeats"] = again == [leaf.tobytes() for leaf in leaves(epoch)]
# Oracle: a Python loop of plain steps, which knows nothing of devices.
order = order_of(options["key"], 0, len(TRAIN.label))
with jax.enable_x64(True):
    layers = jax.tree.map(lambda a: a.astype(np.float64), random_layers((20, 10)))
    state = training.start(layers, tx)
    step = jax.jit(training.make_train_step(relu_softmax.loss_fn, tx))
    for start in range(0, len(order), BATCH_SIZE):
        state, _ = step(state, rows_of(TRAIN, order[start : start + BATCH_SIZE]))
    plain = [np.asarray(leaf) for leaf in jax.tree.leaves(state)]
    for count in (3, 8):
        answers[f"float64 {count}"] = apart(leaves(epoch_on(count, np.float64)), plain)
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers():
    here = Path(__file__).parent
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(here), str(here.parent)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "JAX_NUM_CPU_DEVICES": "8"},
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def fit(mesh, *, num_epochs=2, held_out=(VALIDATION,), tx=TX, **options):
    """This file's epochs of softmax regression."""
    state = options.pop("state", None) or training.start(random_layers((20, 10)), tx)
    options = {"batch_size": BATCH_SIZE, "key": jax.random.key(9), **options}
    return training.fit(
        options.pop("loss_fn", relu_softmax.loss_fn),
        tx,
        state,
        options.pop("train", TRAIN),
        held_out,
        num_epochs=num_epochs,
        mesh=mesh,
        **options,
    )


@pytest.fixture(scope="module")
def on_two():
    return list(fit(jax.make_mesh((2,), ("data",))))  # with explicit axes


@pytest.mark.parametrize("count", [3, 8])
def test_the_batches_are_those_of_one_device(answers, count):
    # In float64 nothing but the batches could make a difference: 23 examples in
    # batches of 5, and a last one of 3, on 3 devices and on 8, none of which divides.
    assert answers["devices"] == 8
    assert answers[f"float64 {count}"] < 1e-13  # 5 updates; numbers below 5


def test_parameters_and_totals_are_those_of_one_device(answers, count=8):
    (alone,) = fit(None, num_epochs=1)
    ours = answers[f"float32 {count}"]
    for many, one in zip(ours, jax.tree.leaves(alone.state), strict=True):
        # float32: 5 updates of sums in another order, of numbers below 5; 2^-23 each
        np.testing.assert_allclose(many, one, atol=5e-6)
    for index, totals in enumerate((alone.train, *alone.held_out)):
        correct, loss, seen = answers[f"totals {count}"][3 * index : 3 * index + 3]
        assert seen == totals.seen and correct == totals.correct
        np.testing.assert_allclose(loss, totals.loss, rtol=1e-5)  # float32


def test_the_same_mesh_repeats_bit_for_bit(answers):
    assert answers["repeats"]


def test_a_mesh_of_one_device_is_the_same_program(on_two):
    mesh = devices.mesh_along("data", jax.devices()[1:2])
    ours, plain = list(fit(mesh)), list(fit(None))
    chex.assert_trees_all_equal(ours[-1].state, plain[-1].state)
    assert ours[-1].state.params[0].kernel.devices() == {jax.devices()[1]}
    # float32: two devices round in another order
    chex.assert_trees_all_close(
        jax.device_get(on_two[-1].state), plain[-1].state, rtol=1e-4, atol=1e-5
    )


def test_a_run_goes_on_on_the_same_mesh(on_two):
    mesh = jax.make_mesh((2,), ("data",))
    (resumed,) = fit(mesh, state=jax.device_get(on_two[0].state))
    assert resumed.number == 2
    chex.assert_trees_all_equal(resumed.state, on_two[1].state)
    chex.assert_trees_all_equal(resumed[2:4], on_two[1][2:4])


def test_what_an_epoch_of_many_devices_tells(on_two):
    for epoch in on_two:
        for number in (*epoch.train, *epoch.held_out[0]):
            assert isinstance(number, np.ndarray | np.generic)
        assert epoch.train.seen == len(TRAIN.label)
        assert len(epoch.state.params[0].kernel.devices()) == 2
    # It is an array as any other, whatever the mesh's axes were.
    assert jnp.sum(on_two[0].state.params[0].kernel[:3] > 0) >= 0


def test_no_held_out_set_and_an_empty_one():
    mesh = jax.make_mesh((2,), ("data",))
    empty = jax.tree.map(lambda rows: rows[:0], VALIDATION)
    for held_out in ((), (empty,)):
        (epoch,) = fit(mesh, num_epochs=1, held_out=held_out)
        assert [totals.seen for totals in epoch.held_out] == [0] * len(held_out)


@pytest.mark.parametrize("axes", [("seed",), ("data", "model")])
def test_a_mesh_with_another_axis_is_refused_when_fit_is_called(axes):
    mesh = jax.make_mesh((1,) * len(axes), axes)
    with pytest.raises(InputError, match=r"the mesh has the axes .*make it with one"):
        fit(mesh)


def program_of(num_devices, num_examples=TRAIN.label.size):
    """The compiled epoch, as `fit` has it."""
    mesh = devices.mesh_along("data", jax.devices()[:num_devices])
    how = (relu_softmax.loss_fn, TX, BATCH_SIZE)
    run_epoch = training.make_run_epoch(*how, shared=num_devices > 1)
    spread = parallel.over(mesh) if num_devices > 1 else parallel.alone
    state = training.start(random_layers((20, 6, 10)), TX)
    train, _ = TRAIN.split(num_examples)
    args = (state, (jax.random.key(1), None), np.int32(0), train)
    return devices.compile_ahead(spread(run_epoch, 2), *args)


@pytest.mark.parametrize("num_examples", [20, 23], ids=["full", "and a short batch"])
def test_a_step_has_one_all_reduce_of_the_gradients_bytes(num_examples):
    # Oracle: parameters counted by hand, 4 bytes each.
    gradients = 4 * (20 * 6 + 6 + 6 * 10 + 10)
    sent = collectives(program_of(2, num_examples))
    assert [one for one in sent if one.in_loop] == [
        Collective("all-reduce", gradients, True)
    ]
    # Once an epoch: the short batch's gradients, and the totals' three numbers.
    once = [one.num_bytes for one in sent if not one.in_loop]
    assert {one.kind for one in sent} == {"all-reduce"}
    short = gradients if num_examples % BATCH_SIZE else 0
    assert sum(once) == short + 12  # XLA may join some of them


def test_one_device_sends_nothing():
    assert collectives(program_of(1)) == []


def test_a_share_is_weighted_by_its_examples():
    # Oracle: each example's number added once, on every device, by hand. 5 examples on
    # 2 devices: 2 each, and the last one on the first.
    mesh = devices.mesh_along("data", jax.devices()[:2])

    def loss_fn(params, batch):
        size = jnp.int32(len(batch.label))
        numbers = jnp.mean(batch.label.astype(jnp.float32))
        return params * numbers, Totals(size, jnp.sum(batch.label * 1.0), size)

    @jax.jit
    def shares(indices):
        share = parallel.take_share(TRAIN, indices)
        loss, totals = parallel.loss_of_share(loss_fn)(jnp.float32(1), share)
        return jax.tree.map(lambda leaf: leaf[None], (loss, totals))

    spec = jax.P("data")
    mapped = jax.shard_map(
        shares, mesh=mesh, in_specs=jax.P(), out_specs=spec, check_vma=False
    )
    loss, totals = mapped(jnp.array([7, 3, 11, 2, 5]))
    labels = TRAIN.label[[7, 3, 11, 2, 5]]
    expected = [labels[[0, 1, 4]].sum() / 5, labels[[2, 3]].sum() / 5]
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    assert totals.seen.tolist() == [3, 2]
    assert totals.loss.tolist() == [labels[[0, 1, 4]].sum(), labels[[2, 3]].sum()]
