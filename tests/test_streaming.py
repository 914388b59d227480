"""`fit_stream` against `fit`: read in the same order, the same parameters."""

import json
from pathlib import Path

import chex
import jax
import numpy as np
import optax
import processes
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import (
    BATCH_SIZE,
    NETWORKS,
    TRAIN,
    VALIDATION,
    order_of,
    random_batch,
    random_layers,
    rows_of,
    sizes_for,
)

from experiments import launch
from jaxnets import devices, parallel, relu_softmax, streaming, training
from jaxnets.errors import InputError, NonFiniteLoss

KEY = jax.random.key(9)
TX = optax.sgd(0.1, momentum=0.9)

# One of several processes of two devices each. It spoils the images that are not its
# own, and prints the state after each epoch.
PROGRAM = """
import json, sys
import jax
address, count, number, *path = sys.argv[1:]
jax.distributed.initialize(address, int(count), int(number))
sys.path[:0] = path
import numpy as np
import test_streaming as here
from jaxnets import devices, parallel

mesh = devices.mesh_along("data", jax.devices())
wanted = parallel.rows_here(here.BATCH_SIZE, mesh)

def read(epoch):
    for part in here.in_order(10)(epoch):
        own = np.resize(wanted, len(part.label))
        own[len(part.label) // here.BATCH_SIZE * here.BATCH_SIZE :] = True
        image = np.where(own[:, None, None], part.image, 255).astype(np.uint8)
        yield part._replace(image=image)

states = [
    [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(epoch.state)]
    for epoch in here.fit_stream(read, mesh=mesh)
]
print(json.dumps({"spoilt": int((~wanted).sum()), "states": states}))
"""


def in_order(part_size, data=TRAIN):
    """Reads what `fit` would take, in parts of this size."""

    def read(epoch):
        order = order_of(KEY, epoch, len(data.label))
        for start in range(0, len(order), part_size):
            yield rows_of(data, order[start : start + part_size])

    return read


def fit_stream(read, *, params=None, loss_fn=relu_softmax.loss_fn, tx=TX, **options):
    state = training.start(params or random_layers((20, 10)), tx)
    options = {
        "num_examples": len(TRAIN.label),
        "batch_size": BATCH_SIZE,
        "num_epochs": 2,
        "held_out": (VALIDATION,),
        **options,
    }
    held_out = options.pop("held_out")
    return streaming.fit_stream(loss_fn, tx, state, read, held_out, **options)


def fit(*, params=None, loss_fn=relu_softmax.loss_fn, num_epochs=2):
    state = training.start(params or random_layers((20, 10)), TX)
    options = {"batch_size": BATCH_SIZE, "num_epochs": num_epochs, "key": KEY}
    return training.fit(loss_fn, TX, state, TRAIN, (VALIDATION,), **options)


def assert_same_epoch(ours, theirs, **tolerances):
    assert ours.number == theirs.number
    ours, theirs = jax.device_get((ours[1:4], theirs[1:4]))
    chex.assert_trees_all_equal_shapes_and_dtypes(ours, theirs)
    chex.assert_trees_all_close(ours, theirs, **tolerances)


@pytest.fixture(scope="module")
def in_memory():
    return list(fit())


@pytest.mark.parametrize("part_size", [4, 23])
def test_the_same_order_gives_the_same_parameters(in_memory, part_size, monkeypatch):
    monkeypatch.setattr(streaming, "BATCHES", 3)  # chunks of 3 batches, 1 and a part
    for ours, theirs in zip(fit_stream(in_order(part_size)), in_memory, strict=True):
        # float32: the same operations, compiled apart
        assert_same_epoch(ours, theirs, rtol=2e-5, atol=2e-6)
        assert ours.seconds > 0 and ours.compile_seconds > 0


@pytest.mark.parametrize("name", ["sigmoid_mse", "flax_dense"])
def test_every_network_trains_from_a_stream(name):
    network = NETWORKS[name]
    params = network.init(jax.random.key(1), sizes_for(network, 10))
    options = {"params": params, "loss_fn": network.loss_fn, "num_epochs": 1}
    (ours,), (theirs,) = fit_stream(in_order(10), **options), fit(**options)
    # float32: the same operations, compiled apart
    assert_same_epoch(ours, theirs, rtol=2e-5, atol=2e-6)


def test_two_devices_take_their_shares_of_a_stream(in_memory):
    mesh = devices.mesh_along("data", jax.devices()[:2])
    on_two = fit_stream(in_order(7), mesh=mesh)
    for ours, theirs in zip(on_two, in_memory, strict=True):
        # float32: two devices round in another order
        assert_same_epoch(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_processes_read_their_own_images_and_train_as_one(in_memory):
    here = Path(__file__).parent
    address = f"127.0.0.1:{launch.free_port()}"
    started = [
        processes.start("-c", PROGRAM, address, 2, number, here, here.parent)
        for number in range(2)
    ]
    ends = [process.communicate(timeout=processes.PATIENCE) for process in started]
    for process, (_, words) in zip(started, ends, strict=True):
        assert process.returncode == 0, words
    # Gloo prints too, before.
    first, second = (json.loads(printed.splitlines()[-1]) for printed, _ in ends)
    assert first["states"] == second["states"]  # to the last bit
    assert first["spoilt"] and second["spoilt"]
    for ours, epoch in zip(first["states"], in_memory, strict=True):
        for many, one in zip(ours, jax.tree.leaves(epoch.state), strict=True):
            # float32: four devices round in another order
            np.testing.assert_allclose(many, one, rtol=1e-4, atol=1e-5)


def test_rows_that_no_device_here_takes_are_not_looked_at(monkeypatch):
    # As if this process had the second device of two, and the first were elsewhere.
    mesh = devices.mesh_along("data", jax.devices()[:2])
    monkeypatch.setattr(
        parallel, "devices_here", lambda mesh: [(1, mesh.devices.flat[1])]
    )
    # 5 examples on 2 devices: 2 and 2; the last is the first device's, but the second
    # one is given it, to weigh nothing.
    assert parallel.rows_here(5, mesh).tolist() == [False, False, True, True, True]
    assert parallel.rows_here(4, mesh).tolist() == [False, False, True, True]


@settings(max_examples=20)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=12), st.integers(1, 7))
def test_cutting_anew_keeps_every_example_in_order(part_sizes, batch_size):
    data = random_batch(sum(part_sizes))
    ends = np.cumsum(part_sizes)
    parts = [
        rows_of(data, slice(end - size, end))
        for size, end in zip(part_sizes, ends, strict=True)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "BATCHES", 3)
        chunks = list(streaming.recut(parts, batch_size))
    sizes = [
        size for chunk in chunks for size in [chunk.label.shape[1]] * len(chunk[1])
    ]
    full, rest = divmod(len(data.label), batch_size)
    assert sizes == [batch_size] * full + [rest] * bool(rest)
    assert all(len(chunk.label) <= 3 for chunk in chunks)
    joined = np.concatenate([chunk.label.ravel() for chunk in chunks])
    np.testing.assert_array_equal(joined, data.label)
    images = [chunk.image.reshape(-1, 4, 5) for chunk in chunks]
    np.testing.assert_array_equal(np.concatenate(images), data.image)


def test_labels_of_any_dtype_become_one():
    parts = [random_batch(6, seed=1), random_batch(6, seed=2)]
    parts[0] = parts[0]._replace(label=np.asarray(parts[0].label, np.uint8))
    dtypes = [batch.label.dtype for batch in streaming.recut(parts, 3)]
    assert set(dtypes) == {np.dtype(np.int32)}


def test_a_state_from_an_earlier_epoch_goes_on(in_memory):
    numbers = []

    def read(epoch):
        numbers.append(epoch)
        return in_order(10)(epoch)

    state = jax.device_get(in_memory[0].state)
    (epoch,) = streaming.fit_stream(
        relu_softmax.loss_fn,
        TX,
        state,
        read,
        num_examples=23,
        batch_size=BATCH_SIZE,
        num_epochs=2,
    )
    assert numbers == [1] and epoch.number == 2
    chex.assert_trees_all_close(
        jax.device_get(epoch.state), jax.device_get(in_memory[1].state), rtol=2e-5
    )


def test_reading_stays_one_chunk_ahead():
    # What is read and not yet trained on is what takes memory.
    events = []

    def read(_):
        for number in range(5):
            events.append("read")
            yield rows_of(TRAIN, slice(5 * (number % 4), 5 * (number % 4) + 5))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "BATCHES", 1)
        ready = jax.block_until_ready
        patch.setattr(
            jax, "block_until_ready", lambda tree: events.append("wait") or ready(tree)
        )
        (epoch,) = fit_stream(read, num_examples=25, num_epochs=1, held_out=())
    assert epoch.train.seen == 25
    waits = 0
    for number, event in enumerate(events):
        waits += event == "wait"
        reads = number + 1 - waits
        assert reads <= waits + 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size=0 must be between 1 and"),
        ({"batch_size": 24}, "batch_size=24 must be between 1 and .*23"),
        ({"num_epochs": 0}, "num_epochs=0 must be at least 1"),
        ({"held_out": VALIDATION}, "held_out must be a tuple"),
    ],
)
def test_bad_settings_are_refused_when_it_is_called(changes, message):
    with pytest.raises(InputError, match=message):
        fit_stream(in_order(10), **changes)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda part: part._replace(label=part.label + 1), "labels run from"),
        (lambda part: part._replace(image=part.image / 255), "images must be uint8"),
        (lambda part: rows_of(part, slice(4)), r"epoch 1 was read with 1\d examples"),
    ],
)
def test_what_is_read_is_looked_at(spoil, message):
    def read(epoch):
        return map(spoil, in_order(5)(epoch))

    with pytest.raises(InputError, match=message):
        next(fit_stream(read))


def test_divergence_names_the_epoch():
    tx = optax.sgd(1e38)
    with pytest.raises(NonFiniteLoss, match=r"in epoch \d$|at the end of epoch"):
        list(fit_stream(in_order(10), tx=tx))
