"""`experiments.speed`: equal work, the session, figures from rows, the files left."""

import dataclasses
import functools
import itertools
import json
import os
import pickle
import re
import subprocess
import sys
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

import jax
import numpy as np
import pytest

from experiments.speed import figures, machine, measure, page, results, tune, worker
from experiments.speed.__main__ import main
from experiments.speed.contenders import CONTENDERS, MODELS, environment
from experiments.speed.programs import (
    from_scratch,
    jaxnets_scan,
    numpy_batched,
    numpy_per_example,
)
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
    Part,
    Task,
    epoch_seconds,
    fixed_part,
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


EQUAL_WORK = (
    of_model("sigmoid_mse", 200),
    of_model("relu_softmax", 192),
    # Few neurons, because rounding decides where a ReLU's input is next to zero.
    of_size(16, 150, 32),  # the last batch is a short one
)


def assert_same_work(weights, after):
    """Of some updates: arrays in the order of `after`'s leaves."""
    for array, expected in zip(weights, jax.tree.leaves(after), strict=True):
        # float32 rounding of 784-term sums, carried through up to 21 updates
        np.testing.assert_allclose(array, expected, atol=2e-5)


@pytest.mark.parametrize("point", EQUAL_WORK, ids=lambda point: point.kind)
def test_batched_numpy_does_the_work_of_jaxnets(point):
    task, train, order, before, after = learn(point)
    layers = [(layer.kernel.copy(), layer.bias.copy()) for layer in before]
    targets = np.eye(10, dtype=np.float32)[train.label]
    network = numpy_batched.Network(layers, task)
    network.train_epoch(to_vectors(train.image), targets, order)
    assert_same_work(jax.tree.leaves(layers), after)


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


def test_numpy_adam_clears_what_would_become_denormal():
    weights, grads = np.zeros(3, np.float32), np.zeros(3, np.float32)
    before = np.array([1e-29, -1e-31, 0.5], np.float32)
    moments = np.stack([before, before**2])
    numpy_batched.adam(weights, grads, moments, 0.1, step=99)
    assert moments[0] == pytest.approx(0.9 * before, abs=0)
    grads = np.zeros(3, np.float32)  # the first were overwritten
    numpy_batched.adam(weights, grads, moments, 0.1, step=100)
    np.testing.assert_array_equal(moments != 0, [[1, 0, 1], [0, 0, 1]])


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


# Adam divides a gradient by its size plus epsilon: where both are alike, float32
# rounding of 784-term sums becomes a share of the step, the learning rate.
ROUNDING = {"adam": (2e-5, 1e-7), "sgd": (1e-6, 1e-7)}


def paper_s_adam(task, otherwise):
    """Adam's first step is the learning rate times the gradient's sign, save where the
    gradient is near epsilon: there the paper's form and Keras's differ by part of it.
    """
    rate = task.learning_rate
    return (rate, rate / 100) if task.optimizer == "adam" else otherwise


def assert_same_step(layers, after, limits):
    """Whether kernels and biases are those of jaxnets after its one step.

    `limits` are those of the largest and of the median difference.
    """
    largest, typical = limits
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
    kernels = [(layer.weight.detach().numpy().T,) for layer in linear]
    expected = [dense[:1] for dense in after]
    assert_same_step(kernels, expected, paper_s_adam(task, (1e-5, 1e-6)))


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
    assert_same_step(layers, after, ROUNDING[task.optimizer])


@pytest.mark.parametrize("name", MODELS)
def test_the_program_from_scratch_takes_the_step_of_jaxnets(name):
    task, train, _, before, after = learn_one_step(name)
    program, loop = from_scratch.pieces(task)
    program |= from_scratch.start(task, before)
    program |= {"images": train.image, "labels": train.label}
    program["order"] = np.arange(len(train.label))
    with jax.numpy_rank_promotion("allow"):  # as programs outside the tests have it
        exec(loop, program)
    layers = [(kernel, bias[0]) for kernel, bias in program["params"]]
    assert_same_step(layers, after, paper_s_adam(task, (2e-6, 1e-7)))


TUNED = {"steps_per_execution": 4, "jit_compile": True, "tf_data": True}


@pytest.mark.keras
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"logits": True},
        {"of_bytes": True},
        {**TUNED, "metric": False},
        {**TUNED, "of_bytes": True},
        {**TUNED, "tf_data": "prefetch_1"},
    ],
)
@pytest.mark.parametrize("name", MODELS)
def test_tf_keras_takes_the_step_of_jaxnets(name, options, monkeypatch):
    from experiments.speed.programs import keras_fit

    if name == "sigmoid_mse" and "logits" in options:
        return  # it has none
    task, train, _, before, after = learn_one_step(name)
    task = task.with_options(**options)
    layers = [(dense.kernel, dense.bias) for dense in before]
    monkeypatch.setattr(numpy_batched, "init", lambda rng, task: layers)
    trained = []

    def on_part(part):
        trained.append(part.predict.__self__.model.get_weights())

    keras_fit.fit(task, train, on_part, 1)
    layers = zip(trained[0][::2], trained[0][1::2], strict=True)
    assert_same_step(layers, after, ROUNDING[task.optimizer])


SCAN = """
import pathlib, pickle, sys
import jax, numpy as np
from experiments.speed.programs import keras_scan

file = pathlib.Path(sys.argv[1])
task, data, order, layers = pickle.loads(file.read_bytes())
keras_scan.keras_fit.numpy_batched.init = lambda rng, task: layers
model, state, train = keras_scan.start(task, data)
state, _ = jax.jit(keras_scan.make_train_epoch(model, task))(state, train, order)
file.write_bytes(pickle.dumps([np.asarray(array) for array in state[0]]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("keras"), reason="Keras is not installed")
@pytest.mark.parametrize("point", EQUAL_WORK, ids=lambda point: point.kind)
def test_a_scan_of_keras_does_the_work_of_jaxnets(point, tmp_path):
    task, train, order, before, after = learn(point)
    options = CONTENDERS["keras_scan"].options
    layers = [(layer.kernel, layer.bias) for layer in before]
    file = tmp_path / "task.pickle"
    file.write_bytes(pickle.dumps((task.with_options(**options), train, order, layers)))
    variables = environment("keras_scan", "1", "cpu", "highest")
    command = [sys.executable, "-c", SCAN, str(file)]
    subprocess.run(command, check=True, env={**os.environ, **variables})
    assert_same_work(pickle.loads(file.read_bytes()), after)


@pytest.mark.slow
@pytest.mark.keras
@pytest.mark.parametrize("point", EQUAL_WORK, ids=lambda point: point.kind)
def test_a_loop_of_tf_keras_does_the_work_of_jaxnets(point, monkeypatch):
    from experiments.speed.programs import keras_fit, keras_loop

    task, train, order, before, after = learn(point)
    task = task.with_options(**CONTENDERS["tf_keras_loop"].options)
    layers = [(layer.kernel, layer.bias) for layer in before]
    monkeypatch.setattr(numpy_batched, "init", lambda rng, task: layers)
    model = keras_fit.compiled(task, train.image.shape[1:])
    keras_loop.make_train_epoch(model, task, train)(np.asarray(order))
    assert_same_work(model.get_weights(), after)


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_part_is_the_first_steps_of_each_epoch(digits):
    # Oracle: `training.make_train_step` in a Python loop.
    task = of_size(16, 1198, 32)._replace(part_steps=20)
    step, tx = jitted_step(flax_dense, task.optimizer, task.learning_rate)
    params = learn(of_size(16, 150, 32)).before
    key = jax.random.key(2)
    state = training.start(params, tx)
    train_epoch = training.make_epoch_fn(flax_dense.loss_fn, tx, 32, shared=False)
    setup = (train_epoch, training.start(params, tx), digits.train)
    parts = jaxnets_scan.timed_epochs(*setup, key=key, task=task)
    for epoch, part in enumerate(itertools.islice(parts, 2)):
        trained, seconds, _, fixed_seconds = part
        rows = np.array(training.epoch_order(key, epoch, 1198))
        short = [*range(0, 32 * 5, 32)]  # a quarter, twice, before the 20 that count
        for first in [*short, *short, *range(0, 32 * 20, 32)]:
            picked = rows[first : first + 32]
            batch = Batch(*(array[picked] for array in digits.train))
            state, _ = step(state, batch)
        expected = flax_dense.predict(state.params, digits.test.image).label
        # float32 and another order of sums: an answer may tip
        answers = flax_dense.predict(trained.params, digits.test.image).label
        assert np.mean(answers == expected) > 0.99
        assert 0 < fixed_seconds <= seconds
    assert epoch == 1


class EnoughError(Exception):
    """Ends a program."""


def run_parts(run, task, train, number):
    """What a program hands over in its first parts."""
    parts = []

    def on_part(part):
        parts.append(part)
        if len(parts) == number:
            raise EnoughError

    with pytest.raises(EnoughError):
        run(task, train, on_part)
    return parts


def test_an_epoch_in_parts_takes_each_example_once(digits, monkeypatch):
    # Oracle: 10 rows a step, 4 steps a part, 12 parts of 500 images.
    seen = []
    monkeypatch.setattr(
        numpy_batched.Network,
        "train_epoch",
        lambda self, vectors, targets, order: seen.append(order),
    )
    task = of_size(8, 500, 10)._replace(part_steps=4)
    run_parts(numpy_batched.run, task, of_digits(digits, 500), 13)
    assert {len(order) for order in seen} == {40}
    assert len(set(np.concatenate(seen[:12]).tolist())) == 480
    assert set(seen[12].tolist()) & set(np.concatenate(seen[:12]).tolist())


@pytest.mark.parametrize("name", ["numpy_per_example", "sklearn_mlp", "from_scratch"])
def test_programs_learn_in_parts(name, digits):
    model = {"numpy_per_example": "sigmoid_mse"}.get(name, "relu_softmax")
    module = pytest.importorskip(f"experiments.speed.programs.{name}")
    task = of_model(model, 640)._replace(part_steps=5)
    with jax.numpy_rank_promotion("allow"):
        *_, last = run_parts(module.run, task, of_digits(digits, 640), 30)
        answers = last.predict(digits.test.image)
    assert np.mean(answers == digits.test.label) > 0.3  # chance is 0.1


@pytest.mark.keras
def test_keras_takes_a_part_too(digits):
    # Oracle: the optimizer's own count of steps; before each part two shorter ones.
    from experiments.speed.programs import keras_fit

    task = of_size(8, 500, 10)._replace(part_steps=20)
    counts = []

    def on_part(part):
        counts.append(int(part.predict.__self__.model.optimizer.iterations.numpy()))
        assert 0 <= part.fixed_seconds <= part.seconds

    train = of_digits(digits, 500)
    keras_fit.fit(task, train, on_part, 3)
    assert counts == [30, 60, 90]
    counts.clear()
    options = {"tf_data": True, "steps_per_execution": 4}
    keras_fit.fit(task.with_options(**options), train, on_part, 3)
    assert counts == [28, 56, 84]
    counts.clear()
    times = keras_fit.trial(task, train, options, 2)
    assert len(times) == 2 and min(times) > 0


@pytest.mark.keras
def test_a_trials_first_part_does_not_count(monkeypatch):
    from experiments.speed.programs import keras_fit

    def fit(task, data, on_part):
        for seconds in (9.0, 2.0, 1.0, 5.0):
            on_part(Part(seconds, np.argmax))

    monkeypatch.setattr(keras_fit, "fit", fit)
    assert keras_fit.trial(of_size(8, 500, 10), None, {}, 2) == [2.0, 1.0]


def test_what_a_part_takes_once_is_not_scaled():
    turn = {"seconds": [2.0, 4.0], "fixed_seconds": 1.0}
    assert epoch_seconds(turn, 100, 20) == 1 + 2 * 100 / 20
    assert epoch_seconds(turn, 100, None) == 3.0
    # 1 s once and 0.1 s a step
    assert fixed_part(3.0, 20, 1.2, 2) == pytest.approx(1.0)
    assert fixed_part(3.0, 20, 0.1, 2) == 0.0  # noise


@pytest.mark.parametrize(
    ("examples", "floor", "expected"),
    [
        (8000, 0.8, 256),  # a step takes 1 ms at the floor: 200 take 0.2 s
        (8000, 8.0, 64),
        (100, 0.01, None),
        (8000, 800.0, 64),  # at least 64 steps, however long they take
    ],
)
def test_how_a_point_is_measured(examples, floor, expected):
    config = Config(part_seconds=0.2, turn_seconds=2.0)
    assert planned(of_size(9, examples, 10), floor, config).part_steps == expected
    whole = planned(of_model("flax_dense", examples), floor, config)
    assert (whole.part_steps, whole.turn_seconds) == (None, 2.0)


def test_keras_is_tuned_at_each_network_of_the_sweeps(monkeypatch):
    asked = []

    def best_settings(name, task, config, threads):
        asked.append((name, task.width, task.batch_size, task.part_steps, *threads))
        return {"threads": "all", "steps_per_execution": len(asked)}, 1.0
        yield

    def settings(width, examples, floor_seconds):
        point = of_size(width, examples, 32)._replace(part_steps=64)
        generator = measure._settings_of_sweep(point, floor_seconds, config, {})
        with pytest.raises(StopIteration) as stop:
            while True:
                next(generator)
        return stop.value.value

    monkeypatch.setattr(measure.tune, "best_settings", best_settings)
    names = ("tf_keras_tuned", "jaxnets")
    monkeypatch.setattr(measure.contenders, "present", lambda *_: names)
    config = Config(contenders=names)
    small, wide = settings(64, 8000, 0.8), settings(16_384, 8000, 10.0)
    assert small["tf_keras_tuned"]["steps_per_execution"] == 1
    assert wide["tf_keras_tuned"]["steps_per_execution"] == 2
    in_parts = settings(64, 80_000, 1.2)  # of an epoch that is long
    assert in_parts["tf_keras_tuned"]["steps_per_execution"] == 3
    assert wide["jaxnets"] == {"threads": "all"}
    assert asked == [
        ("tf_keras_tuned", 64, 32, None, "all"),  # whole epochs, as in the rounds
        ("tf_keras_tuned", 16_384, 32, 64, "all"),
        ("tf_keras_tuned", 64, 32, 64, "all"),
    ]


def test_a_long_epoch_is_timed_in_parts_of_a_turn():
    task = of_model("flax_dense", 32_000)._replace(turn_seconds=1.0)  # 1,000 steps
    settings = {"threads": "1", "steps_per_execution": 64}
    whole = tune.fit_to("tf_keras_tuned", task, settings, 5.0)
    assert whole.options == {"steps_per_execution": 64, "metric": False}
    assert whole.part_steps is None
    assert tune.fit_to("jaxnets", task, {"threads": "1"}, 5.0).part_steps is None
    for took, part_steps in ((3.1, 323), (5.0, 256), (2.9, None)):
        task_of_part = tune.fit_to("pytorch", task, {"threads": "1"}, took)
        assert task_of_part.part_steps == part_steps
    short = task._replace(examples=16_000)  # two parts are more than the epoch
    assert tune.fit_to("pytorch", short, {"threads": "1"}, 5.0).part_steps is None
    swept = of_size(8, 3200, 32)._replace(part_steps=48)
    small = tune.fit_to("tf_keras_tuned", swept, settings, 1.1)
    assert small.options["steps_per_execution"] == 12  # four executions in a part
    assert small.part_steps == 48
    few = tune.fit_to("tf_keras_tuned", swept._replace(examples=320), settings, 0.1)
    assert few.options["steps_per_execution"] == 10  # of an epoch
    assert tune.fit_to("tf_keras_tuned", swept, settings, 0.9).part_steps is None
    assert tune.fit_to("numpy_batched", swept, {"threads": "all"}, 0.9).part_steps == 48


def test_the_search_keeps_what_is_faster():
    # Oracle: seconds by hand; b and c gain together only, and the steps after them.
    grid = {"steps_per_execution": (1, 2, 3), "b": (False, True), "c": (True, False)}
    seconds = {(1, False, True): 5, (1, False, False): 6, (1, True, True): 7}
    seconds |= {(1, True, False): 4, (2, True, False): 3, (3, True, False): 9}
    seconds |= {(2, False, False): 2, (2, False, True): 8}  # one option at a time
    seconds |= {(3, False, False): 5}  # of the second round
    tried = []

    def trial(options):
        tried.append(tuple(options.values()))
        return seconds[tried[-1]]

    best = {"steps_per_execution": 2, "b": False, "c": False}
    assert tune.descend(trial, grid) == best
    assert tried == list(seconds)  # each once


def test_the_fastest_are_tried_again_in_fresh_processes(monkeypatch):
    # Oracle: by hand; "all" was slow at first and is fast again.
    first = {"1": {16: 1.0, 64: 2.0, 256: 8.0}, "all": {16: 3.0, 64: 4.0, 256: 9.0}}
    later = {("1", 16): [[1.1, 5.0, 5.2], [5.1, 5.0, 5.3]]}  # fast once
    later |= {("1", 64): [[2.4, 2.4, 2.4], [2.4, 2.4, 2.4]]}
    later |= {("all", 16): [[2.1, 2.1, 90.0], [2.1, 2.1, 2.2]]}  # slow once
    asked = []

    def iterate(function, name, task, search, again, *, environment, **_):
        threads = "1" if environment.get("NPROC") else "all"
        if again is None:
            for size, seconds in first[threads].items():
                yield {"steps_per_execution": size}, [seconds + 1, seconds]
        else:
            asked.append((threads, again["steps_per_execution"]))
            yield again, later[asked[-1]].pop(0)

    monkeypatch.setattr(process, "iterate", iterate)
    task, rows = of_model("flax_dense", 3200), []
    search = tune.best_settings("tf_keras_tuned", task, Config(), ("1", "all"))
    with pytest.raises(StopIteration) as end:
        while True:
            rows.append(next(search))
    assert end.value.value == ({"threads": "all", "steps_per_execution": 16}, 2.1)
    assert asked == [*later, *later]  # in turn
    assert [row["epoch_seconds"] for row in rows[:3]] == [*first["1"].values()]
    assert [row["epoch_seconds"] for row in rows[6:]] == [5.0, 2.4, 2.1, 5.1, 2.4, 2.1]


@pytest.mark.keras
def test_what_keras_cannot_do_is_passed_over(monkeypatch, tmp_path, digits):
    from experiments.speed.programs import keras_fit

    def trial(task, data, options, num_parts):
        if options["tf_data"] or broken:
            raise ValueError("not with tf.data")
        return [3.0, 2.0 if options["jit_compile"] else 1.0]

    monkeypatch.setattr(keras_fit, "trial", trial)
    train, sent, broken = of_digits(digits, 64), [], False
    write_data(tmp_path, train=train, test=train)
    task = of_size(8, 64, 32)._replace(folder=tmp_path)
    tune.search_grid(sent.append, "tf_keras_tuned", task, "short")
    assert min(min(times) for _, times in sent) == 1.0
    assert not any(options["tf_data"] for options, _ in sent)
    broken = True
    with pytest.raises(ValueError, match="not with"):
        tune.search_grid(sent.append, "tf_keras_tuned", task, "short")


@pytest.mark.keras
def test_a_batch_left_out_is_counted(monkeypatch):
    # Oracle: by hand, 100 images in batches of 32, of which tf.data leaves out 4.
    from experiments.speed.programs import keras_fit

    task, parts = of_size(8, 100, 32), []
    clock = iter((10.0, 10.96) * 2)
    monkeypatch.setattr(keras_fit.time, "perf_counter", lambda: next(clock))
    for options in ({"tf_data": True}, {}):
        timer = keras_fit._Clock(parts.append, task.with_options(**options))
        timer.on_epoch_begin(0)
        timer.on_epoch_end(0)
    assert [part.seconds for part in parts] == pytest.approx([1.0, 0.96])


def test_a_search_compares_numbers_of_threads(monkeypatch):
    reports = {"1": [9.0, 3.0, 2.0], "all": [9.0, 1.0, 8.0]}  # fast once

    def iterate(function, program, task, started, **options):
        assert options["without"] == ()
        environment = options["environment"]
        assert task.part_steps == 341  # three parts in 1,023 steps
        threads = "1" if environment.get("NPROC") else "all"
        yield from ({"seconds": [s], "fixed_seconds": 0} for s in reports[threads])

    monkeypatch.setattr(process, "iterate", iterate)
    task, rows = of_model("flax_dense", 32 * 1023), []
    search = tune.best_settings("pytorch", task, Config(), ("1", "all"))
    while True:
        try:
            rows.append(next(search))
        except StopIteration as end:
            settings, seconds = end.value
            break
    assert (settings, seconds) == ({"threads": "1"}, 7.5)  # of three parts
    assert [row["epoch_seconds"] for row in rows] == [6.0, 3.0, *[13.5, 7.5] * 2]


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


def test_a_turn_is_as_many_parts_as_fill_its_time(tmp_path, digits, monkeypatch):
    train = of_digits(digits, 20)
    write_data(tmp_path, train=train, test=train)

    clock = itertools.count()
    monkeypatch.setattr(worker.time, "process_time", lambda: next(clock))

    def predict(images):
        next(clock)  # works, and does not count
        return np.zeros(len(images))

    def run(task, data, on_part):
        for seconds in (9.0, 1.0, 2.0, 3.0, 5.0):
            next(clock)  # of the training
            on_part(Part(seconds, predict, 0.5, 0.25))

    fake = ModuleType("fake")
    fake.run = run
    monkeypatch.setitem(sys.modules, "experiments.speed.programs.fake", fake)
    task = of_size(8, 20, 10)._replace(turn_seconds=2.5, folder=tmp_path)
    reports = []
    worker.serve(reports.append, "fake", task, 0.0)
    # The first part is a turn of its own.
    assert [report["seconds"] for report in reports] == [
        [9.0],
        [1.0, 2.0],
        [3.0],
        [5.0],
    ]
    for sent in reports:
        assert (sent["fixed_seconds"], sent["compile_seconds"]) == (0.25, 0.5)
        zeros = (train.label == 0).sum()
        first = sent is reports[0]  # the start of the process counts
        assert sent["cpu_seconds"] == [1 if first else 2] * len(sent["seconds"])
        assert sent["correct"] == [zeros] * len(sent["seconds"])


@pytest.mark.skipif(not find_spec("torch"), reason="PyTorch is not installed")
def test_pytorch_takes_denormal_numbers_for_zero(digits, monkeypatch):
    import torch

    from experiments.speed.programs import pytorch

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    try:
        task = of_model("relu_softmax", 500)
        run_parts(pytorch.run, task, of_digits(digits, 500), 1)
        assert torch.tensor([1e-30]).mul(1e-10).item() == 0
    finally:
        torch.set_flush_denormal(False)
    assert torch.tensor([1e-30]).mul(1e-10).item() > 0


@pytest.mark.skipif(not find_spec("torch"), reason="PyTorch is not installed")
def test_pytorch_by_a_graph_takes_the_steps_of_one_by_one(monkeypatch):
    # On the processor: a graph's place is taken by the step that would be captured.
    import torch
    from torch.nn.functional import cross_entropy

    from experiments.speed.programs import pytorch

    def capture(step):
        for _ in range(pytorch.WARM_UP):
            step()
        return SimpleNamespace(replay=step)

    task = of_size(4, 57, 10)  # the last batch is a short one
    rng = np.random.default_rng(0)
    images = torch.tensor(rng.random((57, 784), np.float32))
    labels = torch.tensor(rng.integers(0, 10, 57))

    def trained(make):
        torch.manual_seed(0)
        network = pytorch.build(task)
        update = pytorch.optimizer(network, task)

        def step(rows):
            update.zero_grad()
            cross_entropy(network(images[rows]), labels[rows]).backward()
            update.step()

        train_on = make(step)
        for size in (57, 57, 20, 7):
            train_on(torch.randperm(57, generator=torch.manual_seed(size))[:size])
        return [*network.parameters()]

    monkeypatch.setattr(pytorch, "capture", capture)
    one = trained(lambda step: pytorch.one_by_one(step, task))
    graph = trained(lambda step: pytorch.on_graph(step, task, "cpu"))
    assert all(map(torch.equal, one, graph))


def test_a_process_loads_nothing_that_its_contender_does_without():
    code = "import sys; import experiments.speed.worker, jaxnets.keras_network;"
    code += "import experiments.speed.programs.numpy_batched;"
    code += "print({'jax', 'tensorflow', 'keras', 'torch', 'sklearn'} & {*sys.modules})"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True)
    assert loaded.stdout == "set()\n"


def test_only_contenders_of_jax_and_pytorch_leave_the_processor():
    for name, contender in CONTENDERS.items():
        here = environment(name, "1", "cpu", "highest")
        assert (here["JAX_PLATFORMS"], here["CUDA_VISIBLE_DEVICES"]) == ("cpu", "-1")
        there = environment(name, "all", "default", "high")
        jax_or_torch = ("jaxnets_scan", "from_scratch", "pytorch")
        may = contender.program in jax_or_torch or contender.backend == "jax"
        assert ("JAX_PLATFORMS" in there) == (not may)
        assert ("CUDA_VISIBLE_DEVICES" in there) == (not may)
        assert there["JAX_DEFAULT_MATMUL_PRECISION"] == "high"
        is_compiled = contender.backend or contender.program == "from_scratch"
        assert ("512" in there.get("XLA_FLAGS", "")) == bool(is_compiled)
        assert (here["NPROC"], here["TF_NUM_INTRAOP_THREADS"]) == ("1", "1")


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("keras"), reason="Keras is not installed")
def test_the_option_of_jaxnets_reaches_what_keras_compiles_on_jax(tmp_path):
    # Oracle: LLVM's own text, which XLA leaves.
    code = "import numpy as np; from experiments.speed.programs import keras_fit as k;"
    code += "from experiments.speed.settings import of_size;"
    code += "task = of_size(8, 32, 32); data = k.Data(np.zeros((32, 28, 28), np.uint8),"
    code += "np.zeros(32, int)); k.fit(task, data, lambda part: None, 1)"
    variables = environment("keras_on_jax", "1", "cpu", "highest")
    variables["XLA_FLAGS"] += f" --xla_dump_to={tmp_path}"
    command = [sys.executable, "-c", code]
    subprocess.run(command, check=True, env={**os.environ, **variables})
    texts = [file.read_text() for file in tmp_path.glob("*train_step*.ll")]
    assert any('"prefer-vector-width"="512"' in text for text in texts)
    assert not any('"prefer-vector-width"="256"' in text for text in texts)


@pytest.mark.slow
def test_a_plain_jaxnets_has_no_option_and_no_transposed_kernels(digits, tmp_path):
    train = of_digits(digits, 64)
    write_data(tmp_path, train=train, test=train)
    code = "from experiments.speed import programs, worker, settings; import pathlib;"
    code += "from experiments.speed.programs import jaxnets_scan as scan;"
    code += f"folder = pathlib.Path({str(tmp_path)!r});"
    code += "task = settings.of_model('flax_dense', 64).with_options(plain=True);"
    code += "parts = []; stop = type('Stop', (Exception,), {});\n"
    code += "def on_part(part): raise stop\n"
    code += "try: scan.run(task, worker.read_data(folder, 'train'), on_part)\n"
    code += "except stop: print(scan.devices.CPU_OPTIONS, scan.processor.suits(0, 0))"
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, capture_output=True, text=True, check=True)
    assert printed.stdout == "{} False\n"


def test_load_tells_this_programs_work_from_others():
    if machine.Load.now() is None:
        pytest.skip("only Linux tells")
    before, began = machine.Load.now(), time.process_time()
    while time.process_time() - began < 0.5:
        sum(range(1000))
    code = "import time\nwhile time.process_time() < 0.5: pass"
    subprocess.run([sys.executable, "-c", code], check=True)  # counts as its own
    after = machine.Load.now()
    assert after.own - before.own == pytest.approx(1.0, abs=0.15)
    assert after.busy - before.busy >= after.own - before.own - 0.1
    share = machine.foreign_share(machine.Load(0, 0, 0), machine.Load(10, 4, 3))
    assert share == pytest.approx(0.1)
    assert machine.foreign_share(None, after) is None


def test_a_round_counts_on_an_idle_machine_at_its_usual_rate():
    for foreign_share, rate, expected in (
        (0.049, 91.0, True),
        (0.05, 100.0, False),
        (0.0, 89.0, False),
        (None, 90.0, True),
    ):
        row = {"foreign_share": foreign_share, "rate": rate}
        assert machine.counts(row, 100.0) == expected


def report(seconds, **fields):
    """What a contender's process sends after a turn of one part."""
    sent = {"seconds": [seconds], "compile_seconds": 1.0, "since_start": 9.0}
    sent |= {"correct": [90], "seen": 100, "peak_bytes": 2**30, "fixed_seconds": 0.0}
    return {**sent, "device": "cpu", **fields}


def fake_processes(monkeypatch, seconds, accuracy):
    """Contenders that take so long and get better by 0.1 a turn; None: one that fails.

    Returns:
      What they did, as it happens: a name at each turn, and "closed" at each end.
    """
    log = []

    def start(name, task, threads, config):
        del task, threads, config
        try:
            for turn in range(1, 100):
                log.append(name)
                if seconds[name] is None:
                    raise ProcessFailed("out of order")
                correct = round(100 * (accuracy + 0.1 * turn))
                yield report(seconds[name], correct=[correct])
        finally:
            log.append("closed")

    monkeypatch.setattr(measure, "_process", start)
    monkeypatch.setattr(measure, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(measure.Load, "now", lambda: None)
    monkeypatch.setattr(measure, "round_rate", lambda: 1.0)
    return log


def rounds_of(seconds, config, point, rates=()):
    tasks, settings = dict.fromkeys(seconds, point), {"threads": "1"}
    settings = dict.fromkeys(seconds, settings)
    return measure.interleaved_rounds(tasks, settings, config, list(rates))


def test_rounds_are_interleaved_and_go_on_to_the_goal(monkeypatch):
    seconds = {"jaxnets": 1.0, "numpy_batched": 20.0, "from_scratch": None}
    log = fake_processes(monkeypatch, seconds, accuracy=0.52)  # the goal is 0.97
    config = Config(contenders=tuple(seconds), rounds=2, goal_seconds=70.0)
    rows = list(rounds_of(seconds, config, of_model("flax_dense", 100)))
    log = [name for name in log if name != "closed"]
    assert sorted(log[:3]) == sorted(seconds)
    assert sorted(log[3:5]) == sorted(log[5:7]) == ["jaxnets", "numpy_batched"]
    # 0.62, 0.72, 0.82 so far; 0.92 and 1.02 are to come, of a slow one but one turn
    assert Counter(log[7:]) == {"jaxnets": 2, "numpy_batched": 1}
    [failure] = [row for row in rows if row["row"] == "failure"]
    assert (failure["contender"], failure["error"]) == ("from_scratch", "out of order")
    turns = [row for row in rows if row["row"] == "turn"]
    assert [row["round"] for row in turns] == [0, 0, 1, 1, 2, 2, None, None, None]


def test_disturbed_rounds_are_repeated_up_to_a_limit(monkeypatch):
    seconds = {"jaxnets": 1.0}
    fake_processes(monkeypatch, seconds, accuracy=0.0)
    config = Config(rounds=3, goal_seconds=0.0)
    shares = iter([0.0, 0.2, 0.0, 0.0])
    monkeypatch.setattr(measure, "foreign_share", lambda *loads: next(shares))
    point = of_model("relu_softmax", 100)
    rounds = [r for r in rounds_of(seconds, config, point) if r["row"] == "round"]
    assert [row["foreign_share"] for row in rounds] == [0.0, 0.2, 0.0, 0.0]
    # A session whose usual rate was twice this one: no round counts.
    monkeypatch.setattr(measure, "foreign_share", lambda *loads: 0.0)
    slow = rounds_of(seconds, config, point, rates=[2.0] * 9)
    assert [r["round"] for r in slow if r["row"] == "round"] == [1, 2, 3, 4, 5, 6]


def test_a_session_that_is_broken_off_leaves_no_process(monkeypatch):
    seconds = {"numpy_batched": 1.0, "jaxnets": 1.0}
    log = fake_processes(monkeypatch, seconds, accuracy=0.0)
    rows = rounds_of(seconds, Config(), of_model("relu_softmax", 100))
    next(rows)
    next(rows)
    rows.close()
    assert log.count("closed") == 2


def made_rows(point, seconds, part_steps=None, rates=(1e9, 1e9, None), **fields):
    """Rows of contenders that took these seconds, the first one to warm up."""
    rows = [
        {"row": "machine", "processor": "an abacus", "num_cores": 2, "versions": {}},
        {"row": "rates", "num_params": point.num_params, **made_rates(*rates)},
    ]
    number = max(map(len, seconds.values()))
    for name, values in seconds.items():
        for turn, value in enumerate(values):
            row = {"row": "turn", "point": point.name, "contender": name}
            row |= {"round": turn, "settings": {"threads": "1"}}
            rows.append({**row, "part_steps": part_steps, **report(value, **fields)})
    round_row = {"row": "round", "point": point.name, "rate": 1.0, "foreign_share": 0.0}
    return rows + [{**round_row, "round": turn} for turn in range(1, number)]


def point_result(point, rows):
    """The content of results.json for one point."""
    content = results.results(Config(), rows, [point], {})
    [result] = [*content["models"].values(), *content["points"]]
    return result


def test_ratios_are_taken_round_by_round():
    # Oracle: the quotients by hand.
    point = of_model("relu_softmax", 640)
    seconds = {"jaxnets": (9.0, 1.0, 2.0), "numpy_batched": (9.0, 2.0, 3.0)}
    result = point_result(point, made_rows(point, seconds))
    entry = result["contenders"]["numpy_batched"]
    expected = {"min": 1.5, "median": 1.75, "max": 2.0, "interval": None}
    assert entry["ratio"] == expected
    assert entry["epoch_seconds"]["median"] == 2.5
    entry = result["contenders"]["jaxnets"]
    assert entry["images_per_second"] == 640 / 1.5
    assert entry["times_floor"] == 1.5 / result["floor"]["seconds"]
    assert (result["fastest"], result["reference"]) == ("jaxnets", "jaxnets")


@pytest.mark.parametrize(
    ("later", "drift", "words"),
    [(3.0, 2.0, "NumPy, batched, float32 2.00"), (1.5, 1, "")],
)
def test_who_gets_slower_as_it_trains_is_named(later, drift, words):
    # Oracle: the quotient of the halves' medians by hand.
    point = of_model("relu_softmax", 640)
    seconds = {
        "jaxnets": (9.0, *[1.0] * 4),
        "numpy_batched": (9.0, 1.5, 1.5, later, later),
    }
    result = point_result(point, made_rows(point, seconds))
    assert result["contenders"]["numpy_batched"]["drift"] == drift
    assert page._model_table(result).caption.endswith(words + ".")
    assert ("later" in page._model_table(result).caption) == bool(words)
    few = point_result(point, made_rows(point, {"jaxnets": (9.0, 1.0, 1.0, 1.0)}))
    assert few["contenders"]["jaxnets"]["drift"] is None
    assert "later" not in page._model_table(few).caption


def test_rounds_that_do_not_count_are_left_out_of_all_figures():
    point = of_model("relu_softmax", 640)
    seconds = {
        "jaxnets": (9.0, *[1.0] * 7),
        "jaxnets_again": (9.0, 1, 2, 3, 4, 5, 6, 70),
    }
    rows = made_rows(point, seconds)
    rows[-1]["foreign_share"] = 0.3
    result = point_result(point, rows)
    # Oracle: of six values the smallest and largest hold the median in 96.9 %.
    assert result["noise"]["interval"] == [1.0, 6.0]
    assert (result["rounds_run"], result["rounds_counted"]) == (7, 6)
    assert result["contenders"]["jaxnets_again"]["ratio_all_rounds"] == 4
    for row in rows:
        if row["row"] == "round":
            row["foreign_share"] = 0.3
    result = point_result(point, rows)  # none counts: all are used, and it says so
    assert (result["rounds_counted"], result["noise"]["max"]) == (0, 70)


def test_on_another_device_the_processors_floor_does_not_count():
    point = of_size(64, 1000, 10)
    rows = made_rows(point, {"jaxnets": (1.0, 1.0)}, device="a fast one")
    [entry] = point_result(point, rows)["contenders"].values()
    assert (entry["device"], entry["times_floor"]) == ("a fast one", None)


def test_time_to_accuracy_leaves_waiting_and_testing_out():
    point = of_model("sigmoid_mse", 100)._replace(num_epochs=1)  # 10 steps
    rows = made_rows(point, {"jaxnets": (2.0, 1.0, 3.0)}, part_steps=5)
    for row, correct, since in zip(rows[2:5], (90, 96, 98), (5.0, 20, 40), strict=True):
        row.update(correct=[correct], since_start=since)
    [entry] = point_result(point, rows)["contenders"].values()
    assert entry["start_seconds"] == 2.0
    assert entry["compile_seconds"] == 1.0
    assert entry["to_accuracy"]["0.95"] == {"epoch": 1.0, "seconds": 6.0}
    assert entry["to_accuracy"]["0.97"] is None  # beyond the recipe's epochs
    assert entry["curve"]["seconds"] == [5.0, 6.0, 9.0]
    assert entry["curve"]["epochs"] == [0.5, 1.0, 1.5]
    assert entry["epoch_seconds"]["median"] == 4.0


def test_kerass_compile_time_is_what_its_first_part_took_longer():
    point = of_size(64, 1000, 10)
    rows = made_rows(point, {"tf_keras": (9.0, 7.0, 8.0, 8.5)})
    [entry] = point_result(point, rows)["contenders"].values()
    assert entry["compile_seconds"] == 1.0


def made_sweep(*seconds, rates=(1e12, 1e12, None)):
    """The results of widths 64, 640 and so on, by their seconds."""
    sweep = [of_size(64 * 10**place, 1000, 10) for place in range(len(seconds))]
    rows = [
        row
        for point, medians in zip(sweep, seconds, strict=True)
        for row in made_rows(
            point,
            {name: (9.0, *values) for name, values in medians.items()},
            rates=rates,
        )
    ]
    return results.results(Config(), rows, sweep, {"width": sweep})


def test_level_and_trend_by_hand():
    # Eight times as long, and half the ratio for each tenfold; and in a second round
    # four times, and as much at all widths.
    content = made_sweep(
        {"jaxnets": (1.0, 1.0), "tf_keras": (8.0, 4.0)},
        {"jaxnets": (2.0, 1.0), "tf_keras": (8.0, 4.0)},
        {"jaxnets": (4.0, 1.0), "tf_keras": (8.0, 4.0)},
    )
    [line] = content["trends"]
    assert (line["contender"], line["values"]) == ("tf_keras", [64, 6400])
    assert [ratio["median"] for ratio in line["ratios"]] == [6.0, 3.0]
    assert line["per_tenfold"]["min"] == pytest.approx(0.5)
    assert line["per_tenfold"]["max"] == pytest.approx(1.0)
    assert content["sweeps"] == {"width": [0, 1, 2]}
    assert content["device"] == "an abacus"


def test_tables_and_figures_of_any_rows():
    # One point, and several where not everybody was measured; a model.
    model = of_model("flax_dense", 100)
    rows = made_rows(model, {"jaxnets": (2.0, 1.0), "tf_keras": (3.0, 2.0)})
    trial = {"row": "trial", "point": model.name, "contender": "tf_keras_tuned"}
    settings = {"threads": "all", "steps_per_execution": 64, "jit_compile": True}
    rows.append({**trial, "settings": settings, "epoch_seconds": 1.0})
    for content in (
        made_sweep({"numpy_batched": (1.0,)}),
        made_sweep(
            {"jaxnets": (1.0,), "tf_keras": (2.0,)},
            {"tf_keras": (2.0,), "from_scratch": (1.0,)},
        ),
        results.results(Config(), rows, [model], {}),
        results.results(Config(), [], [model], {}),
    ):
        assert page.lead(content)
        for section in page.sections(content):
            if hasattr(section, "figure"):
                assert section.figure().axes
            else:
                assert {len(row) for row in section.rows} <= {len(section.header)}
    assert "tf.keras, defaults 2.00" in page.lead(
        results.results(Config(), rows, [model], {})
    )


def test_a_row_of_panels_shows_all_of_its_lines():
    seconds = ({"jaxnets": (1.0,)}, {"jaxnets": (100.0,)}, {"jaxnets": (0.01,)})
    points = made_sweep(*seconds)["points"]
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
        patch.setattr(measure, "IDLE_SECONDS", 0.1)
        patch.setitem(measure.GOALS, "sigmoid_mse", 0.3)
        broken = CONTENDERS["from_scratch"]._replace(
            program="not_there", kinds=("scaling",)
        )
        patch.setitem(CONTENDERS, "from_scratch", broken)
        missing = CONTENDERS["keras_on_jax"]._replace(needs=("no_such_package",))
        patch.setitem(CONTENDERS, "keras_on_jax", missing)
        # A process of JAX takes seconds: one to choose, and one that takes part.
        once = CONTENDERS["jaxnets"]._replace(kinds=("sigmoid_mse",), threads=("all",))
        patch.setitem(CONTENDERS, "jaxnets", once)
        again = CONTENDERS["jaxnets_again"]._replace(
            program="numpy_batched",
            settings_of="numpy_batched",
            kinds=("sigmoid_mse",),
        )
        patch.setitem(CONTENDERS, "jaxnets_again", again)
        patch.setattr(tune, "MOST", 64)
        names = ("numpy_batched", "keras_on_jax", "from_scratch", "jaxnets")
        config = Config(
            dataset="digits",
            validation_examples=237,  # whole batches are left
            points=("models", "scaling"),
            models=("sigmoid_mse",),
            widths=(8,),
            width=8,
            examples_list=(2000, 10**12),
            num_examples=2000,
            batch_sizes=(10,),
            batch_size=10,
            contenders=(*names, "jaxnets_again"),
            rounds=1,
            part_seconds=1e-6,
            turn_seconds=1e-6,
            goal_seconds=1.0,
            output=folder,
        )
        return main(config), folder


def test_a_run_from_end_to_end(finished):
    results, folder = finished
    assert results == json.loads((folder / "results.json").read_text())
    assert results["status"] == "complete"
    assert results["precision"] == "highest"
    assert "no_such_package is not installed" in results["left_out"]["keras_on_jax"]
    [(name, error)] = results["errors"].items()
    assert name.endswith("batch 10, from_scratch")
    assert "not_there" in error
    model, [point] = results["models"]["sigmoid_mse"], results["points"]
    assert results["sweeps"] == {"width": [0], "examples": [0], "batch_size": [0]}
    assert any("GiB are free" in reason for reason in results["left_out"].values())
    assert set(model["contenders"]) == {"numpy_batched", "jaxnets", "jaxnets_again"}
    assert set(point["contenders"]) == {"numpy_batched"}
    assert point["contenders"]["numpy_batched"]["part_steps"] == 64
    trials = {
        (row["contender"], row["settings"]["threads"])
        for row in results["search_trials"]
    }
    numpys = {("numpy_batched", threads) for threads in ("1", "all")}
    assert trials == {*numpys, ("jaxnets", "all")}
    assert model["contenders"]["jaxnets"]["ratio"]["median"] == 1
    assert model["contenders"]["jaxnets"]["compile_seconds"] > 0
    # The same program with the same seed.
    entry, again = (model["contenders"][n] for n in ("numpy_batched", "jaxnets_again"))
    shared = min(len(e["curve"]["test_accuracy"]) for e in (entry, again))
    ours, theirs = (e["curve"]["test_accuracy"][:shared] for e in (entry, again))
    assert ours == theirs
    for entry in (*model["contenders"].values(), *point["contenders"].values()):
        assert max(entry["curve"]["test_accuracy"]) > 0.15  # chance is 0.1
        assert entry["device"] == "cpu"
        assert entry["start_seconds"] > 0
        assert entry["peak_bytes"] is None or entry["peak_bytes"] > 2**20
    page = (folder / "report.html").read_text()
    names = ("benchmark", "accuracy", "scaling", "scaling_memory")
    for figure in names:
        assert (folder / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
    assert page.count("<img ") == len(names)


def test_a_finished_run_is_drawn_again_without_timing(finished, monkeypatch):
    results, folder = finished
    (folder / "scaling.png").unlink()
    rows = (folder / "metrics.jsonl").read_text()
    monkeypatch.setattr(process, "iterate", None)
    assert main(Config(redraw=folder)) == results
    assert (folder / "scaling.png").exists()
    assert (folder / "metrics.jsonl").read_text() == rows


def test_an_interrupt_keeps_what_was_measured(tmp_path, monkeypatch):
    def interrupted(config, dataset, planned, earlier):
        del config, dataset, earlier
        yield from made_rows(planned[0], {"jaxnets": (3.0, 1.5)})
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules[main.__module__], "measure", interrupted)
    output = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        main(Config(dataset="digits", contenders=("jaxnets",), output=output))
    results = json.loads((output / "results.json").read_text())
    assert results["status"] == "interrupted"
    entry = results["models"]["sigmoid_mse"]["contenders"]["jaxnets"]
    assert entry["epoch_seconds"]["median"] == 1.5
    assert "<td" in (output / "report.html").read_text()


def test_who_takes_over_settings_comes_after_whose_they_are():
    names = ("keras_on_jax_logits", "jaxnets_again", "keras_on_jax", "jaxnets")
    order = measure.contenders.present(names, "relu_softmax")
    assert order.index("jaxnets_again") > order.index("jaxnets")
    assert order.index("keras_on_jax_logits") > order.index("keras_on_jax")


def test_a_second_run_takes_over_the_settings_of_the_first(tmp_path):
    config = Config(
        dataset="digits",
        models=("sigmoid_mse",),
        contenders=("numpy_batched",),
        rounds=1,
        turn_seconds=1e-6,
        goal_seconds=0.0,
        output=tmp_path / "first",
    )
    first = main(config)
    anew = {"output": tmp_path / "second", "settings_of": config.output}
    second = main(dataclasses.replace(config, **anew))
    settings = [
        run["models"]["sigmoid_mse"]["contenders"]["numpy_batched"]["settings"]
        for run in (first, second)
    ]
    assert settings[0] == settings[1] and first["search_trials"]
    assert not second["search_trials"]
    assert second["settings_of"] == str(config.output)
    [kept] = tune.choices_of(tmp_path / "second").values()  # for a third
    assert kept["settings"] == settings[0]
    # What the first run did not choose is searched for.
    anew["output"] = tmp_path / "third"
    other = {"contenders": ("scikit_learn",), "models": ("relu_softmax",)}
    assert main(dataclasses.replace(config, **anew, **other))["search_trials"]


@pytest.mark.parametrize(
    "options", [{"tf_data": "sequential"}, {"prefetch": 1, "tf_data": True}]
)
def test_settings_that_another_version_had_are_refused(tmp_path, monkeypatch, options):
    settings = {"threads": "1", "steps_per_execution": 782}  # of an epoch's steps
    row = {"row": "choice", "point": "relu_softmax", "contender": "tf_keras_tuned"}
    rows = [{**row, "settings": settings}]
    monkeypatch.setattr(tune.resume, "require_run", lambda *_: None)
    monkeypatch.setattr(tune.folder, "read_rows", lambda _: rows)
    assert tune.choices_of(tmp_path) == {("relu_softmax", "tf_keras_tuned"): rows[0]}
    rows.append({**row, "contender": "gone", "settings": {"threads": "1", "x": 1}})
    tune.choices_of(tmp_path)  # nobody asks for it
    settings |= options
    option, value = next(iter(options.items()))
    with pytest.raises(InputError, match=rf"tf_keras_tuned has {option}={value!r}"):
        tune.choices_of(tmp_path)


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
    model = of_model("flax_dense", 100)
    assert published._replace(kind=model.kind, num_epochs=5) == model


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
        (
            {"contenders": ("jaxnets", "jaxnets")},
            r"must be one or more of .*, each once",
        ),
        ({"part_seconds": 0.0}, "part_seconds=0.0 must be greater than 0"),
        ({"turn_seconds": float("nan")}, "turn_seconds=nan must be greater than 0"),
        ({"goal_seconds": -1.0}, "goal_seconds=-1.0 must be at least 0"),
        (
            {"models": ("sigmoid_mse",), "contenders": ("scikit_learn",)},
            "none trains sigmoid_mse .* those that train it: numpy_per_example",
        ),
        ({"examples": 0}, "examples=0 must be between 1 and"),
        ({"settings_of": Path("none")}, "none is not the folder of a run of speed"),
        ({"examples": 9}, "batch size 10 must be at most 9"),
        (
            {"points": ("scaling",), "examples_list": (9,)},
            "batch size 32 must be at most 9, the training images",
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
