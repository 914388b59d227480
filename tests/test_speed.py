"""`experiments.speed`: equal work, the session, figures from rows, the files left."""

import functools
import itertools
import json
import re
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

import jax
import numpy as np
import pytest

from experiments.speed import figures, machine, measure, page, results, worker
from experiments.speed.__main__ import main
from experiments.speed.contenders import CONTENDERS, MODELS, environment, present
from experiments.speed.programs import jaxnets_scan, numpy_batched, numpy_per_example
from experiments.speed.settings import (
    Config,
    of_model,
    of_size,
    plan_models,
    plan_sweeps,
    planned,
    settled,
)
from experiments.speed.worker import (
    Data,
    Epoch,
    Task,
    read_data,
    to_vectors,
    write_data,
)
from jaxnets import (
    data,
    flax_dense,
    models,
    optimizers,
    process,
    relu_softmax,
    training,
)
from jaxnets.devices import compile_ahead
from jaxnets.errors import InputError, ProcessFailed
from jaxnets.types import Batch, Dense


def of_digits(digits, count):
    return Data(*(array[:count] for array in digits.train))


class Learnt(NamedTuple):
    """Some steps of jaxnets."""

    task: Task
    train: Data
    order: np.ndarray
    before: tuple[Dense, ...]
    after: tuple[Dense, ...]


@functools.cache
def jitted_step(network, optimizer, learning_rate):
    tx = optimizers.make(SimpleNamespace(**locals()))
    return jax.jit(training.make_train_step(network.loss_fn, tx)), tx


@functools.cache
def learn(point):
    """What `training.make_train_step` makes of a point's first images."""
    train, task = of_digits(data.load("digits"), point.examples), point
    network = models.get(task.network).network
    step, tx = jitted_step(network, task.optimizer, task.learning_rate)
    rng = np.random.default_rng(4)
    before = tuple(
        Dense(
            rng.normal(0, (2 / (num_in + num_out)) ** 0.5, (num_in, num_out)),
            rng.normal(0, 0.1, num_out),
        )
        for num_in, num_out in itertools.pairwise(task.layer_sizes)
    )
    before = jax.tree.map(np.float32, before)
    order = rng.permutation(point.examples)
    state = training.start(before, tx)
    for first in range(0, point.examples, task.batch_size):
        rows = order[first : first + task.batch_size]
        state, _ = step(state, Batch(*(array[rows] for array in train)))
    return Learnt(task, train, order, before, jax.tree.map(np.array, state.params))


@pytest.mark.parametrize(
    "point",
    [
        of_model("sigmoid_mse", 200),
        of_model("relu_softmax", 192),
        # Few neurons, because rounding decides where a ReLU's input is next to zero.
        of_size(16, 150, 32),  # the last batch is a short one
    ],
    ids=lambda point: point.kind,
)
def test_batched_numpy_does_the_work_of_jaxnets(point):
    task, train, order, before, after = learn(point)
    layers = [(layer.kernel.copy(), layer.bias.copy()) for layer in before]
    targets = np.eye(10, dtype=np.float32)[train.label]
    network = numpy_batched.Network(layers, task)
    network.train_epoch(to_vectors(train.image), targets, order)
    for (kernel, bias), expected in zip(layers, after, strict=True):
        # float32 rounding of 784-term sums, carried through up to 21 updates
        np.testing.assert_allclose(kernel, expected.kernel, atol=2e-5)
        np.testing.assert_allclose(bias, expected.bias, atol=2e-5)


def test_per_example_numpy_does_the_work_of_jaxnets():
    task, train, order, before, after = learn(of_model("sigmoid_mse", 200))
    weights, biases = numpy_per_example.train_epoch(
        [layer.kernel.T.astype(np.float64) for layer in before],
        [layer.bias[:, None].astype(np.float64) for layer in before],
        numpy_per_example.to_examples(train, 10),
        order,
        task,
    )
    for weight, bias, expected in zip(weights, biases, after, strict=True):
        # jaxnets' float32 against float64
        np.testing.assert_allclose(weight.T, expected.kernel, atol=2e-5)
        np.testing.assert_allclose(bias[:, 0], expected.bias, atol=2e-5)


def test_numpy_adam_follows_the_formula():
    # Oracle: Kingma and Ba (2015), algorithm 1, in float64, with Keras's epsilon
    # outside the bias correction; more elements than a piece holds.
    rng = np.random.default_rng(0)
    size, rate = numpy_batched.PIECE + 7, 0.01
    weights = rng.standard_normal(size)
    updated = weights.astype(np.float32)
    moments = np.zeros((2, size), np.float32)
    m = v = np.zeros(size)
    for t in range(1, 6):
        grads = rng.standard_normal(size) * 10.0 ** rng.integers(-9, 1, size)
        grads[:100] = 0.0
        m, v = 0.9 * m + 0.1 * grads, 0.999 * v + 0.001 * grads**2
        scaled = rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        weights = weights - scaled * m / (np.sqrt(v) + 1e-7)
        numpy_batched.adam(updated, grads.astype(np.float32), moments, rate, t)
    np.testing.assert_allclose(updated, weights, atol=2e-6)  # float32 weights up to 5


def learn_one_step(name):
    """Of Model 3 a small one."""
    if name == "flax_dense":
        return learn(of_size(16, 32, 32))
    return learn(of_model(name, models.get(name).recipe.batch_size))


def assert_same_step(layers, after, optimizer):
    """Whether kernels and biases are those of jaxnets after its one step."""
    # Adam divides a gradient by its size plus epsilon: where both are alike, float32
    # rounding of 784-term sums becomes a share of the step, the learning rate.
    largest, typical = (2e-5, 1e-7) if optimizer == "adam" else (1e-6, 1e-7)
    for layer, dense in zip(layers, after, strict=True):
        for array, expected in zip(layer, dense, strict=True):
            moved = np.abs(np.asarray(array) - expected)
            assert moved.max() < largest
            assert np.median(moved) < typical


@pytest.mark.skipif(not find_spec("torch"), reason="PyTorch is an extra")
@pytest.mark.parametrize("name", MODELS)
def test_pytorch_takes_the_step_of_jaxnets(name):
    torch = pytest.importorskip("torch")
    from experiments.speed.programs import pytorch

    task, train, _, before, after = learn_one_step(name)
    network = pytorch.build(task)
    linear = [layer for layer in network if isinstance(layer, torch.nn.Linear)]
    with torch.no_grad():
        for layer, dense in zip(linear, before, strict=True):
            layer.weight.copy_(torch.from_numpy(dense.kernel.T.copy()))
            layer.bias.copy_(torch.from_numpy(dense.bias))
    outputs = network(torch.from_numpy(to_vectors(train.image)))
    targets = torch.from_numpy(train.label.astype(np.int64))
    if name == "sigmoid_mse":
        one_hot = torch.nn.functional.one_hot(targets, 10).float()
        loss = pytorch.quadratic_cost(outputs, one_hot)
    else:
        loss = torch.nn.functional.cross_entropy(outputs, targets)
    update = pytorch.optimizer(network, task)
    loss.backward()
    update.step()
    # Adam's first step is the learning rate times the gradient's sign, save where
    # the gradient is near epsilon: there the two forms of Adam differ by part of it.
    rate = task.learning_rate
    largest, typical = (rate, rate / 100) if name == "flax_dense" else (1e-5, 1e-6)
    for layer, dense in zip(linear, after, strict=True):
        moved = np.abs(layer.weight.detach().numpy().T - dense.kernel)
        assert moved.max() < largest
        assert np.median(moved) < typical


@pytest.mark.parametrize("name", ["relu_softmax", "flax_dense"])
def test_scikit_learn_takes_the_step_of_jaxnets(name):
    sklearn_mlp = pytest.importorskip("experiments.speed.programs.sklearn_mlp")
    task, train, _, before, after = learn_one_step(name)
    network = sklearn_mlp.build(task)

    def step():  # what the program calls, on data of one batch
        vectors = to_vectors(train.image)
        network.partial_fit(vectors, train.label, classes=np.arange(10))

    step()  # makes the arrays
    layers = list(zip(network.coefs_, network.intercepts_, strict=True))
    for (kernel, bias), dense in zip(layers, before, strict=True):
        kernel[:], bias[:] = dense.kernel, dense.bias
    del network._optimizer  # and its moments; the next step makes it anew
    step()
    layers = zip(network.coefs_, network.intercepts_, strict=True)
    assert_same_step(layers, after, task.optimizer)


@pytest.mark.keras
def test_tf_keras_takes_the_step_of_jaxnets():
    from experiments.speed.programs import keras_fit

    task, train, _, before, after = learn_one_step("flax_dense")
    network = keras_fit.compiled(task, train.image.shape[1:])
    network.set_weights([array for dense in before for array in dense])
    vectors = to_vectors(train.image).reshape(train.image.shape)
    network.fit(vectors, train.label, batch_size=task.batch_size, verbose=0)
    weights = network.get_weights()
    layers = zip(weights[::2], weights[1::2], strict=True)
    assert_same_step(layers, after, task.optimizer)


def test_flax_compiles_to_the_operations_of_the_from_scratch_network(digits):
    # What their difference in the scaling is made of. Oracle: XLA's text of both.
    tx = optimizers.keras_adam(1e-3)
    params = relu_softmax.init(jax.random.key(0), (784, 1024, 10))
    arguments = training.start(params, tx), digits.train, np.arange(320)
    counts = []
    for network in (relu_softmax, flax_dense):
        step = training.make_train_step(network.loss_fn, tx)
        program = compile_ahead(training.make_train_epoch(step, 32), *arguments)
        operations = re.findall(r" = .*?[\])}] ([a-z][a-z\-0-9]*)\(", program.as_text())
        counts.append(Counter(operations))
    assert counts[0] == counts[1]
    assert counts[0]["while"] > 0


def test_a_part_is_the_first_steps_of_each_epoch(digits):
    # Oracle: `training.make_train_step` in a Python loop.
    task = of_size(16, 1198, 32)._replace(part_steps=20, num_epochs=2)
    step, tx = jitted_step(flax_dense, task.optimizer, task.learning_rate)
    params = learn(of_size(16, 150, 32)).before
    key = jax.random.key(2)
    state = training.start(params, tx)
    setup = (flax_dense.loss_fn, tx, training.start(params, tx), digits.train)
    parts = jaxnets_scan.part_epochs(*setup, key=key, task=task)
    for epoch, (trained, seconds, _, fixed_seconds) in enumerate(parts):
        rows = np.array(training.epoch_order(key, epoch, 1198))
        short = 2  # steps, before the 20 that count
        for first in [*range(0, 32 * short, 32), *range(0, 32 * 20, 32)]:
            picked = rows[first : first + 32]
            batch = Batch(*(array[picked] for array in digits.train))
            state, _ = step(state, batch)
        expected = flax_dense.predict(state.params, digits.test.image).label
        # float32 and another order of sums: an answer may tip
        answers = flax_dense.predict(trained, digits.test.image).label
        assert np.mean(answers == expected) > 0.99
        assert 0 < fixed_seconds <= seconds
    assert epoch == 1


def test_numpy_takes_a_part_too(digits, monkeypatch):
    # Oracle: 3 epochs of 4 steps, in each of which Adam updates 4 arrays.
    counts = []
    monkeypatch.setattr(numpy_batched, "adam", lambda *given: counts.append(given[-1]))
    task = of_size(8, 500, 10)._replace(part_steps=4, num_epochs=3)
    numpy_batched.run(task, of_digits(digits, 500), lambda epoch: None)
    assert Counter(counts) == dict.fromkeys(range(1, 13), 4)


@pytest.mark.keras
def test_keras_takes_a_part_too(digits):
    # Oracle: the optimizer's own count of steps.
    from experiments.speed.programs import keras_fit

    counts = []

    def on_epoch(epoch):
        model = epoch.predict.__self__.model
        counts.append(int(model.optimizer.iterations.numpy()))

    task = of_size(8, 500, 10)._replace(part_steps=4, num_epochs=3)
    keras_fit.run(task, of_digits(digits, 500), on_epoch)
    assert counts == [4, 8, 12]


def test_what_a_part_takes_once_is_not_scaled():
    point = of_size(64, 1000, 10)  # 100 steps
    part = {"seconds": 3.0, "fixed_seconds": 1.0}
    task = point._replace(part_steps=20)
    assert measure.epoch_seconds(part, task) == 1 + 2 * 100 / 20
    assert measure.epoch_seconds(part, point._replace(epochs_per_turn=4)) == 3.0
    # 1 s once and 0.1 s a step
    assert jaxnets_scan.fixed_part(3.0, 20, 1.2, 2) == pytest.approx(1.0)
    assert jaxnets_scan.fixed_part(3.0, 20, 0.1, 2) == 0.0  # noise


@pytest.mark.parametrize(
    ("examples", "floor", "expected"),
    [
        (8000, 0.8, (200, 1)),  # a step takes 1 ms at the floor: 200 take 0.2 s
        (7990, 0.799, (None, 1)),  # and four turns of 200 would not fit the data
        (100, 0.01, (None, 20)),
        (8000, 800.0, (50, 1)),  # at least 50 steps, however long they take
    ],
)
def test_how_a_point_is_measured(examples, floor, expected):
    part = planned(of_size(9, examples, 10), floor, 0.2, rounds=3)
    assert (part.part_steps, part.epochs_per_turn) == expected
    whole = of_model("flax_dense", examples)
    assert planned(whole, floor, 0.2, rounds=3) == whole


def test_repeated_images_begin_again(tmp_path, digits):
    train = of_digits(digits, 7)
    write_data(tmp_path, train=train, test=train)
    image, label = read_data(tmp_path, "train", 17)
    np.testing.assert_array_equal(image, np.concatenate([train.image] * 3)[:17])
    np.testing.assert_array_equal(label, np.concatenate([train.label] * 3)[:17])
    assert len(read_data(tmp_path, "train", 3).label) == 3
    assert len(read_data(tmp_path, "test").label) == 7


def made_rates(one_core, all_cores, adam):
    return dict(
        zip((*machine.FLOPS, machine.ADAM), (one_core, all_cores, adam), strict=True)
    )


def test_the_floor_by_hand():
    # 2 flops x (forward and weights' gradient of 784x64, three products of 64x10);
    # weights and two moments read and written, 3 steps. The longer of both counts.
    assert machine.flops_per_example((784, 30, 10)) == 2 * (2 * 23520 + 3 * 300)
    assert of_model("flax_dense", 1).num_params == 814_090
    flops = 25 * 2 * (2 * 784 * 64 + 3 * 64 * 10)
    moved = 3 * 2 * 3 * 4 * (785 * 64 + 65 * 10)
    for slow, expected in ((1e8, moved / 1e8), (1e12, flops / 1e9)):
        floor = machine.floor(of_size(64, 25, 10), made_rates(1.0, 1e9, slow))
        assert floor["seconds"] == pytest.approx(expected)
        assert floor["arithmetic_seconds"] == pytest.approx(flops / 1e9)
        assert floor["memory_seconds"] == pytest.approx(moved / slow)


def test_rates_count_what_was_done(monkeypatch):
    # Oracle: the bytes of the arrays that NumPy was given, at half a second a trial.
    moved = []

    def negative(array, out):
        assert out is array  # in place
        moved.append(array.nbytes + out.nbytes)

    def best(work, *args):
        moved.clear()
        work(*args)
        return 0.5

    monkeypatch.setattr(machine, "_best", best)
    with monkeypatch.context() as patch:
        patch.setattr(machine.np, "negative", negative)
        assert machine.adam_rate(1, 1001) == sum(moved) / 0.5
    monkeypatch.setattr(machine, "MATRIX_SIZES", (32, 64))
    rates = machine.measure_rates(of_model("sigmoid_mse", 10))
    best_of_all = made_rates(2 * 64**3 / 0.5, 2 * 64**3 / 0.5, None)
    assert rates == {"row": "rates", "num_params": 23860, **best_of_all}


def test_a_turn_is_the_mean_of_its_epochs(tmp_path, digits, monkeypatch):
    train = of_digits(digits, 20)
    write_data(tmp_path, train=train, test=train)

    def run(task, data, on_epoch):
        for seconds in (9.0, 1.0, 2.0, 3.0, 5.0):
            on_epoch(Epoch(seconds, lambda images: np.zeros(len(images)), 0.5, 0.25))

    fake = ModuleType("fake")
    fake.run = run
    monkeypatch.setitem(sys.modules, "experiments.speed.programs.fake", fake)
    task = of_size(8, 20, 10)._replace(epochs_per_turn=2, folder=tmp_path)
    reports = []
    worker.serve(reports.append, "fake", task, 0.0)
    # The first epoch is a turn of its own.
    assert [report["seconds"] for report in reports] == [9.0, 1.5, 4.0]
    for sent in reports:
        assert (sent["fixed_seconds"], sent["compile_seconds"]) == (0.25, 0.5)
        assert sent["correct"] == (train.label == 0).sum()


def test_a_process_loads_nothing_that_its_contender_does_without():
    code = "import sys; import experiments.speed.worker, jaxnets.keras_network;"
    code += "import experiments.speed.programs.numpy_batched;"
    code += "print({'jax', 'tensorflow', 'keras', 'torch', 'sklearn'} & {*sys.modules})"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True)
    assert loaded.stdout == "set()\n"


def test_only_contenders_of_jax_alone_leave_the_processor():
    for name, contender in CONTENDERS.items():
        here = environment(name, "cpu", "highest")
        assert (here["JAX_PLATFORMS"], here["CUDA_VISIBLE_DEVICES"]) == ("cpu", "-1")
        there = environment(name, "default", "high")
        is_jax = contender.family in ("jaxnets", "from scratch", "Flax")
        assert ("JAX_PLATFORMS" in there) == (not is_jax)
        assert there["JAX_DEFAULT_MATMUL_PRECISION"] == "high"


def report(seconds, **fields):
    """What a contender's process sends after a turn."""
    sent = {"seconds": seconds, "compile_seconds": 1.0, "since_start": 9.0}
    sent |= {"correct": 90, "seen": 100, "peak_bytes": 2**30, "fixed_seconds": 0.0}
    return {**sent, "device": "cpu", **fields}


def fake_processes(monkeypatch, seconds, accuracy):
    """Contenders that take so long and get better by 0.1 a turn; None: one that fails.

    Returns:
      What they did, as it happens: a name at each turn, and "closed" at each end.
    """
    log = []

    def start(name, task, config):
        del task, config
        try:
            for turn in range(1, 100):
                log.append(name)
                if seconds[name] is None:
                    raise ProcessFailed("out of order")
                yield report(
                    seconds[name], correct=round(100 * (accuracy + 0.1 * turn))
                )
        finally:
            log.append("closed")

    monkeypatch.setattr(measure, "_process", start)
    monkeypatch.setattr(measure, "PAUSE_SECONDS", 0)
    return log


def test_rounds_are_interleaved_and_the_fastest_go_on_to_the_goal(monkeypatch):
    seconds = {"jaxnets_1": 1.0, "jaxnets_all": 2.0, "tf_keras": 3.0, "flax": 1.0}
    seconds |= {"keras_on_jax": None}
    log = fake_processes(monkeypatch, seconds, accuracy=0.52)  # the goal is 0.97
    config = Config(contenders=tuple(seconds), rounds=2)
    point = of_model("flax_dense", 100)
    names = present(config.contenders, point.kind)
    assert set(names) <= {"jaxnets_1", "jaxnets_all", "tf_keras", "keras_on_jax"}
    rows = list(measure.interleaved_rounds(point, config))
    log = [name for name in log if name != "closed"]
    well = [name for name in names if seconds[name]]
    first, second, third = (
        log[: len(names)],
        log[len(names) : len(names) + len(well)],
        log[len(names) + len(well) : len(names) + 2 * len(well)],
    )
    assert sorted(first) == sorted(names)
    assert sorted(second) == sorted(third) == sorted(well)
    rest = log[len(names) + 2 * len(well) :]
    # 0.62, 0.72, 0.82 so far; 0.92 and 1.02 are to come
    assert Counter(rest) == {name: 2 for name in well if name != "jaxnets_all"}
    failures = [row for row in rows if row["row"] == "failure"]
    assert {row["contender"] for row in failures} == {*names} - {*well}
    assert all(row["error"] == "out of order" for row in failures)


def test_a_session_that_is_broken_off_leaves_no_process(monkeypatch):
    seconds = {"numpy_batched_1": 1.0, "jaxnets_1": 1.0}
    log = fake_processes(monkeypatch, seconds, accuracy=0.0)
    config = Config(contenders=tuple(seconds))
    point = of_model("relu_softmax", 100)
    rows = measure.interleaved_rounds(point, config)
    next(rows)
    next(rows)
    rows.close()
    assert log.count("closed") == 2


def made_rows(point, seconds, plan=(None, 1), rates=(1e9, 1e9, None), **fields):
    """Rows of contenders that took these seconds, the first one to warm up."""
    rows = [
        {
            "row": "machine",
            "processor": "an abacus",
            "num_cores": 2,
            "versions": {},
        },
        {"row": "rates", "num_params": point.num_params, **made_rates(*rates)},
    ]
    for name, values in seconds.items():
        for turn, value in enumerate(values, start=1):
            row = {"row": "turn", "point": point.name, "contender": name, "turn": turn}
            row |= dict(zip(("part_steps", "epochs_per_turn"), plan, strict=True))
            rows.append(row | {"epoch_seconds": value, **report(value, **fields)})
    return rows


def point_result(point, rows, rounds):
    """The content of results.json for one point."""
    content = results.results(Config(rounds=rounds), rows, [point], {})
    [result] = [*content["models"].values(), *content["points"]]
    return result


def test_the_better_of_one_thread_and_all_is_what_others_are_compared_with():
    # Oracle: the quotients by hand, round by round.
    point = of_model("relu_softmax", 640)
    seconds = {
        "jaxnets_all": (9.0, 4.0, 4.0),
        "jaxnets_1": (9.0, 1.0, 2.0),
        "numpy_batched_1": (9.0, 2.0, 3.0),
    }
    result = point_result(point, made_rows(point, seconds), 2)
    ratios = {name: entry["ratio"] for name, entry in result["contenders"].items()}
    assert result["best"]["jaxnets"] == "jaxnets_1"
    assert ratios["numpy_batched_1"] == {"min": 1.5, "median": 1.75, "max": 2.0}
    assert ratios["jaxnets_all"] == {"min": 2.0, "median": 3.0, "max": 4.0}
    entry = result["contenders"]["jaxnets_1"]
    assert entry["epoch_seconds"] == {"min": 1.0, "median": 1.5, "max": 2.0}
    assert entry["images_per_second"] == 640 / 1.5
    assert entry["step_seconds"] == 1.5 / 10
    assert entry["times_floor"] == 1.5 / result["floor"]["seconds"]
    assert (result["fastest"], result["ties"]) == ("jaxnets_1", ["numpy_batched_1"])


def test_on_another_device_the_processors_floor_does_not_count():
    point = of_size(64, 1000, 10)
    rows = made_rows(point, {"flax": (1.0, 1.0)}, device="a fast one")
    [entry] = point_result(point, rows, 1)["contenders"].values()
    assert (entry["device"], entry["times_floor"]) == ("a fast one", None)


def test_time_to_accuracy_leaves_waiting_and_testing_out():
    point = of_model("sigmoid_mse", 10)._replace(num_epochs=2)
    rows = made_rows(point, {"jaxnets_all": (2.0, 1.0, 3.0)})
    for row, correct, since in zip(rows[2:], (90, 96, 98), (5.0, 20, 40), strict=True):
        row.update(correct=correct, since_start=since)
    [entry] = point_result(point, rows, 2)["contenders"].values()
    assert entry["start_seconds"] == 2.0
    assert entry["compile_seconds"] == 1.0
    assert entry["to_accuracy"]["0.95"] == {"epoch": 2, "seconds": 6.0}
    assert entry["to_accuracy"]["0.97"] is None  # beyond the recipe's epochs


def test_kerass_compile_time_is_what_its_first_epoch_took_longer():
    point = of_size(64, 1000, 10)
    rows = made_rows(point, {"tf_keras": (9.0, 7.0, 8.0, 8.5)})
    [entry] = point_result(point, rows, 3)["contenders"].values()
    assert entry["compile_seconds"] == 1.0


def made_sweep(*seconds, rates=(1e12, 1e12, None)):
    """The results of widths 64, 256 and so on, 100 steps each, by their seconds."""
    sweep = [of_size(64 * 4**place, 1000, 10) for place in range(len(seconds))]
    rows = [
        row
        for point, medians in zip(sweep, seconds, strict=True)
        for row in made_rows(
            point, {name: (9.0, value) for name, value in medians.items()}, rates=rates
        )
    ]
    return results.results(Config(rounds=1), rows, sweep, {"width": sweep})


def test_the_constant_part_of_a_step_by_hand():
    # 100 steps an epoch: tf.keras takes 8 ms a step and 1/64 ms a neuron, from
    # scratch 1 ms and 1/64 ms a neuron.
    content = made_sweep(
        {"from_scratch": 0.2, "tf_keras": 0.9},
        {"from_scratch": 0.5, "tf_keras": 1.2},
        {"from_scratch": 1.7, "tf_keras": 2.4},
    )
    ours, theirs = content["conclusion"]["step_costs"]
    assert (ours["family"], theirs["family"]) == ("from scratch", "tf.keras")
    assert ours["constant"] == pytest.approx(0.001)
    assert theirs["constant"] == pytest.approx(0.008)
    assert theirs["values"] == [64, 1024]
    assert theirs["ratios"] == pytest.approx([4.5, 2.4 / 1.7])
    least = content["points"][-1]["floor"]["seconds"] / 100
    assert theirs["above_floor"][1] == pytest.approx(0.024 - least)


def test_who_is_below_the_floor_stands_in_the_results():
    content = made_sweep({"from_scratch": 0.5, "tf_keras": 5.0}, rates=(1.0, 2e8, None))
    [entry] = content["conclusion"]["below_floor"]
    assert entry["contender"] == "from_scratch"
    assert 0 < entry["times"] < 1
    assert content["sweeps"] == {"width": [0]}
    assert content["device"] == "an abacus"


def test_tables_and_figures_of_any_rows():
    # One point, and several where not everybody was measured.
    for seconds in (
        [{"numpy_batched_1": 1.0}],
        [{"from_scratch": 1.0, "tf_keras": 2.0}, {"tf_keras": 2.0, "flax": 1.0}],
    ):
        for section in page.sections(made_sweep(*seconds)):
            if hasattr(section, "figure"):
                assert section.figure().axes
            else:
                assert {len(row) for row in section.rows} <= {len(section.header)}


def test_a_row_of_panels_shows_all_of_its_lines():
    points = made_sweep({"flax": 1.0}, {"flax": 100.0}, {"flax": 0.01})["points"]
    factors = zip(("width", "examples", "batch_size"), points, strict=True)
    figure = figures.speed({factor: [point] for factor, point in factors})
    for axes in figure.axes:
        low, high = axes.get_ylim()
        for line in axes.lines:
            assert low < min(line.get_ydata()) <= max(line.get_ydata()) < high


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Results and folder of a run of both kinds, on digits with tiny settings."""
    folder = tmp_path_factory.mktemp("speed") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "PAUSE_SECONDS", 0)
        patch.setattr(machine, "TRIAL_SECONDS", 0)
        patch.setattr(machine, "MATRIX_SIZES", (64,))
        patch.setitem(measure.GOALS, "sigmoid_mse", 0.3)
        broken = CONTENDERS["numpy_batched_all"]._replace(
            program="not_there", kinds=("scaling",)
        )
        patch.setitem(CONTENDERS, "numpy_batched_all", broken)
        missing = CONTENDERS["flax"]._replace(needs=("no_such_package",))
        patch.setitem(CONTENDERS, "flax", missing)
        config = Config(
            dataset="digits",
            points=("models", "scaling"),
            models=("sigmoid_mse",),
            widths=(8,),
            width=8,
            examples_list=(2000,),
            num_examples=2000,
            batch_sizes=(10,),
            batch_size=10,
            contenders=(
                *("numpy_batched_1", "numpy_batched_all", "jaxnets_1"),
                *("from_scratch", "flax"),
            ),
            rounds=1,
            part_seconds=1e-6,
            output=folder,
        )
        return main(config), folder


def test_a_run_from_end_to_end(finished):
    results, folder = finished
    assert results == json.loads((folder / "results.json").read_text())
    assert results["status"] == "complete"
    assert results["precision"] == "highest"
    assert "no_such_package is not installed" in results["left_out"]["flax"]
    [(name, error)] = results["errors"].items()
    assert name.endswith("batch 10, numpy_batched_all")
    assert "not_there" in error
    model, [point] = results["models"]["sigmoid_mse"], results["points"]
    assert results["sweeps"] == {"width": [0], "examples": [0], "batch_size": [0]}
    assert point["measured"]["part_steps"] == 50
    assert set(model["contenders"]) == {"numpy_batched_1", "jaxnets_1"}
    assert set(point["contenders"]) == {"numpy_batched_1", "from_scratch"}
    assert model["contenders"]["jaxnets_1"]["ratio"]["median"] == 1
    assert model["contenders"]["jaxnets_1"]["compile_seconds"] > 0
    for entry in (*model["contenders"].values(), *point["contenders"].values()):
        assert max(entry["test_accuracy"]) > 0.15  # chance is 0.1
        assert entry["device"] == "cpu"
        assert entry["start_seconds"] > 0
        assert entry["peak_bytes"] is None or entry["peak_bytes"] > 2**20
    page = (folder / "report.html").read_text()
    for figure in ("benchmark", "scaling", "scaling_memory"):
        assert (folder / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
    assert page.count("<img ") == 3


def test_a_finished_run_is_drawn_again_without_timing(finished, monkeypatch):
    results, folder = finished
    (folder / "scaling.png").unlink()
    rows = (folder / "metrics.jsonl").read_text()
    monkeypatch.setattr(process, "iterate", None)
    assert main(Config(redraw=folder)) == results
    assert (folder / "scaling.png").exists()
    assert (folder / "metrics.jsonl").read_text() == rows


def test_an_interrupt_keeps_what_was_measured(tmp_path, monkeypatch):
    def interrupted(config, dataset, planned):
        del config, dataset
        yield from made_rows(planned[0], {"jaxnets_all": (3.0, 1.5)})
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules[main.__module__], "measure", interrupted)
    output = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        main(Config(dataset="digits", contenders=("jaxnets_all",), output=output))
    results = json.loads((output / "results.json").read_text())
    assert results["status"] == "interrupted"
    entry = results["models"]["sigmoid_mse"]["contenders"]["jaxnets_all"]
    assert entry["epoch_seconds"]["median"] == 1.5
    assert "1.5 (1.5 to 1.5)" in (output / "report.html").read_text()


def test_sweeps_vary_one_factor_at_a_time(digits):
    config = Config(
        points=("models", "scaling"),
        widths=(9, 4, 4),
        width=9,
        examples_list=(80,),
        num_examples=100,
        batch_sizes=(20,),
        batch_size=10,
    )
    sweeps = plan_sweeps(config, digits)
    sizes = {
        factor: [(p.width, p.examples, p.batch_size) for p in sweep]
        for factor, sweep in sweeps.items()
    }
    assert sizes == {
        "width": [(4, 100, 10), (9, 100, 10)],
        "examples": [(9, 80, 10)],
        "batch_size": [(9, 100, 20)],
    }
    assert [point.kind for point in plan_models(config, digits)] == [*MODELS]
    # At the published settings a sweep's point is Model 3.
    published = of_size(1024, 100, 32)
    model = of_model("flax_dense", 100, to_goal=False)
    assert published._replace(kind=model.kind) == model


def test_quick_is_smaller_where_nothing_else_was_asked_for():
    config = settled(Config(quick=True, rounds=7))
    assert config.rounds == 7
    assert max(config.examples_list) < max(Config().examples_list)
    assert settled(Config()) == Config()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"models": ("model_4",)}, r"models=\('model_4',\)"),
        ({"contenders": ("theano",)}, r"contenders=\('theano',\)"),
        ({"contenders": ()}, r"contenders=\(\)"),
        ({"points": ()}, r"points=\(\)"),
        ({"seed": -1}, "seed=-1 must be between"),
        ({"rounds": 0}, "rounds=0 must be at least 1"),
        ({"width": 0}, "width=0 must be at least 1"),
        ({"widths": ()}, r"widths=\(\) must be one or more"),
        ({"batch_sizes": (0,)}, r"batch_sizes=\(0,\) must be at least 1"),
        ({"contenders": ("flax", "flax")}, r"must be one or more of .*, each once"),
        ({"part_seconds": 0.0}, "part_seconds=0.0 must be greater than 0"),
        ({"part_seconds": float("nan")}, "part_seconds=nan must be greater than 0"),
        (
            {"models": ("sigmoid_mse",), "contenders": ("tf_keras",)},
            "none trains sigmoid_mse .* those that train it: numpy_per_example",
        ),
        ({"examples": 0}, "examples=0 must be between 1 and"),
        ({"examples": 9}, "batch size 10 must be at most 9"),
        (
            {"points": ("scaling",), "examples_list": (9,)},
            "batch size 32 must be at most 9, the training images",
        ),
        (
            {"points": ("scaling",), "examples_list": (10**12,)},
            "GiB are free; give smaller --examples-list",
        ),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(
    tmp_path, settings, message
):
    config = Config(dataset="digits", output=tmp_path / "run", **settings)
    with pytest.raises(InputError, match=message):
        main(config)
    assert not (tmp_path / "run").exists()
