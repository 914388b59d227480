"""The benchmark: equal work, the protocol between processes, the files left."""

import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import contenders
import jax
import numpy as np
import pytest

from experiments.speed import benchmark as benchmark
from experiments.speed import benchmark_report as benchmark_report
from experiments.speed.contenders import (
    floor,
    numpy_batched,
    numpy_per_example,
    rates,
    rounds,
)
from experiments.speed.contenders.numpy_updates import UPDATES
from experiments.speed.contenders.task import Data, Report, Task, to_vectors
from jaxnets import data, training
from jaxnets import models as recipes
from jaxnets.errors import InputError
from jaxnets.types import Batch

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
NUM_IMAGES = 205  # leaves a short last batch at sizes 10 and 64


def make_task(model, folder=Path(), num_epochs=5):
    recipe = recipes.RECIPES[model]
    return Task(
        model=model,
        layer_sizes=recipe.layer_sizes,
        optimizer=recipe.optimizer,
        learning_rate=recipe.learning_rate,
        batch_size=recipe.batch_size,
        num_epochs=num_epochs,
        seed=1,
        folder=folder,
    )


@pytest.fixture(scope="module")
def digits():
    dataset = data.load("digits")
    return dataset, Data(*(array[:NUM_IMAGES] for array in dataset.train))


def jaxnets_epoch(model, train):
    """Weights before and after one epoch of jaxnets, and the order it took."""
    recipe = recipes.RECIPES[model]
    network, tx = recipes.NETWORKS[model], recipes.optimizer(recipe)
    params = network.init(jax.random.key(3), recipe.layer_sizes)
    before = jax.tree.map(np.array, params)
    order = np.array(training.epoch_order(jax.random.key(4), 0, len(train.label)))
    epoch = jax.jit(training.make_train_epoch(network.loss_fn, tx, recipe.batch_size))
    state, _ = epoch(training.start(params, tx), Batch(*train), order)
    return before, jax.tree.map(np.array, state.params), order


@pytest.mark.parametrize("model", ["sigmoid_mse", "relu_softmax"])
def test_batched_numpy_does_the_work_of_jaxnets(model, digits):
    _, train = digits
    before, after, order = jaxnets_epoch(model, train)
    layers = [(layer.kernel.copy(), layer.bias.copy()) for layer in before]
    targets = numpy_batched.one_hot(train.label, 10)
    vectors = to_vectors(train.image)
    task = make_task(model)
    update = UPDATES[task.optimizer](layers, task.learning_rate)
    numpy_batched.train_epoch(layers, update, vectors, targets, order, task=task)
    for (kernel, bias), expected in zip(layers, after, strict=True):
        # float32 rounding of 784-term sums, carried through up to 21 updates
        np.testing.assert_allclose(kernel, expected.kernel, atol=2e-5)
        np.testing.assert_allclose(bias, expected.bias, atol=2e-5)


def test_per_example_numpy_does_the_work_of_jaxnets(digits):
    _, train = digits
    before, after, order = jaxnets_epoch("sigmoid_mse", train)
    weights = [layer.kernel.T.astype(np.float64) for layer in before]
    biases = [layer.bias[:, None].astype(np.float64) for layer in before]
    weights, biases = numpy_per_example.train_epoch(
        weights,
        biases,
        numpy_per_example.to_examples(train, 10),
        order,
        make_task("sigmoid_mse"),
    )
    for weight, bias, expected in zip(weights, biases, after, strict=True):
        # jaxnets' float32 against float64
        np.testing.assert_allclose(weight.T, expected.kernel, atol=2e-5)
        np.testing.assert_allclose(bias[:, 0], expected.bias, atol=2e-5)


@pytest.mark.skipif(not find_spec("torch"), reason="PyTorch is an extra")
@pytest.mark.parametrize("model", contenders.MODELS)
def test_pytorch_takes_the_step_of_jaxnets(model, digits):
    torch = pytest.importorskip("torch")
    from experiments.speed.contenders import pytorch

    _, (images, labels) = digits
    recipe = recipes.RECIPES[model]
    train = Data(images[: recipe.batch_size], labels[: recipe.batch_size])
    before, after, order = jaxnets_epoch(model, train)
    network = pytorch.build(make_task(model))
    linear = [layer for layer in network if isinstance(layer, torch.nn.Linear)]
    with torch.no_grad():
        for layer, dense in zip(linear, before, strict=True):
            layer.weight.copy_(torch.from_numpy(dense.kernel.T.copy()))
            layer.bias.copy_(torch.from_numpy(dense.bias))
    outputs = network(torch.from_numpy(to_vectors(train.image[order])))
    targets = torch.from_numpy(train.label[order].astype(np.int64))
    if model == "sigmoid_mse":
        one_hot = torch.nn.functional.one_hot(targets, 10).float()
        loss = pytorch.quadratic_cost(outputs, one_hot)
    else:
        loss = torch.nn.functional.cross_entropy(outputs, targets)
    update = pytorch.optimizer(network, make_task(model))
    loss.backward()
    update.step()
    # Adam's first step is the learning rate times the gradient's sign, save where
    # the gradient is near epsilon: there the two forms of Adam differ by part of it.
    rate = recipe.learning_rate
    largest, typical = (rate, rate / 100) if model == "flax_dense" else (1e-5, 1e-6)
    for layer, dense in zip(linear, after, strict=True):
        moved = np.abs(layer.weight.detach().numpy().T - dense.kernel)
        assert moved.max() < largest
        assert np.median(moved) < typical


def one_batch(model, digits):
    """As many images as make one step of the model's recipe."""
    _, train = digits
    return Data(*(array[: recipes.RECIPES[model].batch_size] for array in train))


def assert_same_step(layers, after, model):
    """Whether kernels and biases are those of jaxnets after its one step."""
    # Adam divides a gradient by its size plus epsilon: where both are alike, float32
    # rounding of 784-term sums becomes a share of the step, the learning rate.
    adam = recipes.RECIPES[model].optimizer == "adam"
    largest, typical = (2e-5, 1e-7) if adam else (1e-6, 1e-7)
    for (kernel, bias), dense in zip(layers, after, strict=True):
        for found, expected in ((kernel, dense.kernel), (bias, dense.bias)):
            moved = np.abs(np.asarray(found) - expected)
            assert moved.max() < largest
            assert np.median(moved) < typical


@pytest.mark.parametrize("model", contenders.CONTENDERS["scikit_learn"].models)
def test_scikit_learn_takes_the_step_of_jaxnets(model, digits):
    from experiments.speed.contenders import sklearn_mlp

    train = one_batch(model, digits)
    before, after, _ = jaxnets_epoch(model, train)
    network = sklearn_mlp.build(make_task(model))

    def step():  # what the contender calls, on data of one batch
        vectors = to_vectors(train.image)
        network.partial_fit(vectors, train.label, classes=np.arange(10))

    step()  # makes the arrays
    for kernel, bias, dense in zip(
        network.coefs_, network.intercepts_, before, strict=True
    ):
        kernel[:], bias[:] = dense.kernel, dense.bias
    del network._optimizer  # and its moments; the next step makes it anew
    step()
    layers = zip(network.coefs_, network.intercepts_, strict=True)
    assert_same_step(layers, after, model)


@pytest.mark.slow
@pytest.mark.keras
def test_tf_keras_takes_the_step_of_jaxnets(digits):
    from experiments.speed.contenders import keras_fit

    model = "flax_dense"
    train = one_batch(model, digits)
    before, after, _ = jaxnets_epoch(model, train)
    network = keras_fit.build(make_task(model), train.image.shape[1:])
    network.set_weights([array for dense in before for array in dense])
    scaled = train.image.astype(np.float32) / 255
    network.fit(scaled, train.label, batch_size=len(train.label), verbose=0)
    weights = network.get_weights()
    assert_same_step(zip(weights[::2], weights[1::2], strict=True), after, model)


def test_memory_and_start_are_the_contenders_own():
    code = "import benchmark, contenders.worker, contenders.numpy_batched, sys;"
    code += "print(*sorted({'jax', 'tensorflow', 'torch', 'sklearn'} & {*sys.modules}))"
    environment = {**os.environ, "PYTHONPATH": str(EXPERIMENTS)}
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout.strip() == ""


def test_flops_and_parameters_by_hand():
    # Per example: 2 flops x (forward, weights' gradient) of the first layer, and
    # the inputs' gradient too of the second.
    assert floor.flops_per_example((784, 30, 10)) == 2 * (2 * 23520 + 3 * 300)
    assert floor.num_params((784, 1024, 10)) == 814_090


def test_a_contender_below_the_floor_is_said():
    contender = {"label": "jaxnets", "times_floor": 0.961}
    slower = {"label": "scikit-learn", "times_floor": 1.2}
    results = {"models": {"flax_dense": {"contenders": {"a": contender, "b": slower}}}}
    [sentence] = benchmark_report.below_floor("flax_dense", results)
    assert sentence.startswith("Below the floor at flax_dense: jaxnets (0.96 times). ")
    contender["times_floor"] = 1.0
    assert benchmark_report.below_floor("flax_dense", results) == []


def test_time_to_accuracy_leaves_waiting_and_testing_out():
    from experiments.speed.contenders.summary import contender_result

    reports = [
        Report(2.0, 1.0, 5.0, 90, 100, 10),
        Report(1.0, 1.0, 20.0, 96, 100, 20),
        Report(3.0, 1.0, 40.0, 98, 100, 20),
    ]
    result = contender_result("jaxnets_all", reports, num_rounds=2, max_epochs=2)
    assert result["epoch_seconds"] == {"min": 1.0, "median": 2.0, "max": 3.0}
    assert result["start_seconds"] == 2.0
    assert result["compile_seconds"] == 1.0
    assert result["to_accuracy"]["0.95"] == {"epoch": 2, "seconds": 6.0}
    assert result["to_accuracy"]["0.97"] is None  # beyond the recipe's epochs
    assert result["peak_bytes"] == 20


def test_the_better_of_one_thread_and_all_is_what_others_are_compared_with():
    # Oracle: the quotients by hand, round by round.
    from experiments.speed.contenders.summary import model_result

    def reports(*seconds):
        return [Report(each, 0.5, 4.0, 90, 100, 10) for each in (9.0, *seconds)]

    timed = {
        "jaxnets_all": reports(4.0, 4.0),
        "jaxnets_1": reports(1.0, 2.0),
        "numpy_batched_1": reports(2.0, 3.0),
    }
    found = model_result(timed, 2, 3, {"seconds": 0.5})
    ratios = {name: one["ratio"] for name, one in found["contenders"].items()}
    assert found["best"]["jaxnets"] == "jaxnets_1"
    assert ratios["numpy_batched_1"] == {"min": 1.5, "median": 1.75, "max": 2.0}
    assert ratios["jaxnets_all"] == {"min": 2.0, "median": 3.0, "max": 4.0}
    assert found["contenders"]["jaxnets_1"]["times_floor"] == 3.0


@pytest.fixture
def in_a_hurry(monkeypatch):
    """Few epochs, no pauses, rough rates; these tests look at no figure's size."""
    monkeypatch.setattr(rates, "TRIAL_SECONDS", 0)
    monkeypatch.setattr(rates, "MATRIX_SIZES", (64,))
    monkeypatch.setattr(rounds, "GOALS", dict.fromkeys(contenders.MODELS, (0.3,)))
    monkeypatch.setattr(rounds, "PAUSE_SECONDS", 0)


def run_benchmark(folder, models, names, **settings):
    config = benchmark.Config(
        dataset="digits", models=models, contenders=names, output=folder, **settings
    )
    return benchmark.main(config)


@pytest.mark.usefixtures("in_a_hurry")
def test_the_benchmark_from_end_to_end(tmp_path, capsys):
    names = ["numpy_per_example", "numpy_batched_1", "jaxnets_all", "pytorch_1"]
    models = ("sigmoid_mse", "relu_softmax")
    folder = tmp_path / "run"
    began = time.perf_counter()
    results = run_benchmark(folder, models, tuple(names), rounds=2, examples=400)
    elapsed = time.perf_counter() - began
    assert results == json.loads((folder / "results.json").read_text())
    assert json.loads((folder / "config.json").read_text())["rounds"] == 2
    assert (folder / "benchmark.png").read_bytes().startswith(b"\x89PNG")
    assert "jaxnets" in (folder / "report.html").read_text()
    if not find_spec("torch"):
        assert "torch is not installed" in capsys.readouterr().out
        names.remove("pytorch_1")
    assert results["status"] == "complete"
    assert results["errors"] == {}
    assert set(results["models"]["sigmoid_mse"]["contenders"]) == set(names)
    for model in results["models"].values():
        assert model["floor"]["seconds"] > 0
        for entry in model["contenders"].values():
            assert max(entry["test_accuracy"]) > 0.3  # chance is 0.1
            assert len(entry["epochs"]) >= 3
            assert entry["start_seconds"] > 0
            assert entry["peak_bytes"] is None or entry["peak_bytes"] > 2**20
        assert model["contenders"]["jaxnets_all"]["ratio"]["median"] == 1
        assert model["contenders"]["jaxnets_all"]["compile_seconds"] > 0
    # One is at work at a time, so what they took is part of what all took.
    assert sum(map(working_seconds, results["models"].values())) < elapsed


def working_seconds(model):
    """Of all contenders: start, compiling and every epoch."""
    return sum(
        entry["start_seconds"] + entry["compile_seconds"] + sum(entry["epochs"])
        for entry in model["contenders"].values()
    )


@pytest.mark.usefixtures("in_a_hurry")
@pytest.mark.slow
@pytest.mark.keras
def test_the_frameworks_learn_too(tmp_path):
    # tf_keras is the same module with another backend; test_scaling.py has it.
    names = ("scikit_learn", "keras_on_jax", "jaxnets_all")
    models = ("flax_dense",)
    results = run_benchmark(tmp_path / "run", models, names, rounds=3, examples=640)
    assert results["errors"] == {}
    entries = results["models"]["flax_dense"]["contenders"]
    assert set(entries) == set(names)
    for entry in entries.values():
        assert max(entry["test_accuracy"]) > 0.7  # chance is 0.1


@pytest.mark.usefixtures("in_a_hurry")
def test_a_contender_that_fails_is_left_out_and_said(tmp_path, monkeypatch, capsys):
    broken = contenders.CONTENDERS["numpy_batched_1"]._replace(module="not_there")
    monkeypatch.setitem(contenders.CONTENDERS, "numpy_batched_1", broken)
    names = ("numpy_batched_1", "numpy_batched_all")
    results = run_benchmark(
        tmp_path / "run", ("relu_softmax",), names, rounds=1, examples=64
    )
    assert set(results["models"]["relu_softmax"]["contenders"]) == {"numpy_batched_all"}
    assert "not_there" in results["left_out"]["numpy_batched_1"]
    assert "left out" in capsys.readouterr().out


@pytest.mark.usefixtures("in_a_hurry")
def test_an_interrupt_keeps_what_was_measured(tmp_path, monkeypatch):
    from experiments.speed.contenders import session

    def interrupted(names, task, num_rounds, max_epochs, note):
        for seconds in (3.0, 1.5):
            note("jaxnets_all", 1, Report(seconds, 0.5, 4.0, 90, 100, 2**20))
        yield {}
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(tmp_path / "run", ("relu_softmax",), ("jaxnets_all",))
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["status"] == "interrupted"
    entry = results["models"]["relu_softmax"]["contenders"]["jaxnets_all"]
    assert entry["epoch_seconds"]["median"] == 1.5
    assert "1.500" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"models": ("model_4",)}, "unknown model 'model_4'"),
        ({"contenders": ("theano",)}, "unknown contender 'theano'"),
        ({"seed": -1}, "seed=-1 must be between"),
        ({"rounds": 0}, "rounds=0 must be at least 1"),
        (
            {"models": ("sigmoid_mse",), "contenders": ("tf_keras",)},
            "nobody is left to train sigmoid_mse: .* train it: numpy_per_example",
        ),
        ({"examples": 0, "dataset": "digits"}, "examples=0 must be between 1 and"),
        ({"examples": 9, "dataset": "digits"}, "batch size 10 must be at most 9"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(
    tmp_path, settings, message
):
    config = benchmark.Config(output=tmp_path / "run", **settings)
    with pytest.raises(InputError, match=message):
        benchmark.main(config)
    assert not (tmp_path / "run").exists()
