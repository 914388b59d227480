"""The lessons, end to end on scikit-learn's digits."""

import importlib
import math
import re
from dataclasses import replace

import jax
import numpy as np
import processes
import pytest
from small import random_layers

from jaxnets import checkpoint, data, keras_dense, models, sigmoid_mse, training
from jaxnets.errors import InputError, NonFiniteLoss
from jaxnets.models import MODELS
from jaxnets.types import Prediction, Totals
from lessons import keras_vs_flax, relu_softmax, row_rnn
from lessons import sigmoid_mse as sigmoid_lesson

TEST_IMAGES = 360  # scikit-learn's last fifth of 1,797
CHANCE = TEST_IMAGES // 10
LESSONS = {
    "sigmoid_mse": sigmoid_lesson,
    "relu_softmax": relu_softmax,
    "row_rnn": row_rnn,
}


@pytest.fixture
def digits(thousand_digits, monkeypatch):
    """What lessons load. Other tests compile for as many."""
    monkeypatch.setattr(data, "load", lambda *args, **kwargs: thousand_digits)
    return thousand_digits


def by_models(name, digits, **settings):
    """Epochs and right answers of the same recipe and seed by `models`."""
    recipe = replace(MODELS[name].recipe, **settings)
    *epochs, prediction = models.train_and_test(name, recipe, digits, 1)
    assert isinstance(prediction, Prediction)
    return epochs, prediction.label


def test_sigmoid_mse_learns_and_prints_nielsens_lines(digits, capsys):
    # Oracle: `models.train_and_test`.
    lesson = sigmoid_lesson
    settings = {"layer_sizes": (784, 10), "batch_size": 25}
    config = lesson.Config(dataset="digits", epochs=10, seed=1, **settings)
    results = lesson.main(config)
    epochs, answers = by_models("sigmoid_mse", digits, num_epochs=10, **settings)
    right = int(np.sum(answers == digits.test.label))
    assert results["test_seen"] == TEST_IMAGES
    assert results["test_correct"] == right > 2 * CHANCE
    expected = [epoch.held_out[0].correct for epoch in epochs]
    assert results["validation_correct"] == expected
    # Oracle: the form of the line that Nielsen's program prints.
    printed = capsys.readouterr().out
    lines = re.findall(r"^Epoch (\d+): ([\d,]+) / 239$", printed, re.MULTILINE)
    assert [int(number) for number, _ in lines] == list(range(1, 11))
    assert [int(count) for _, count in lines] == expected
    assert f"{right} / 360" in printed


@pytest.mark.parametrize("name", ["sigmoid_mse", "relu_softmax"])
def test_a_lesson_goes_on_from_its_checkpoint(name, digits, tmp_path, monkeypatch):
    # Oracle: the same lesson, never stopped.
    lesson, file = LESSONS[name], tmp_path / "state"
    settings = {"layer_sizes": (784, 10), "batch_size": 25}
    config = lesson.Config(dataset="digits", epochs=3, seed=1, **settings)
    whole = lesson.main(replace(config, checkpoint=tmp_path / "whole"))
    lesson.main(replace(config, epochs=2, checkpoint=file))
    later = lesson.main(replace(config, checkpoint=file))
    assert later["test_correct"] == whole["test_correct"]
    ends = [checkpoint.load(path).arrays for path in (file, tmp_path / "whole")]
    jax.tree.map(np.testing.assert_array_equal, *ends)
    again = lesson.main(replace(config, checkpoint=file))  # all epochs are over
    assert again["test_correct"] == whole["test_correct"]
    with pytest.raises(InputError, match=r"state has learning_rate .*, not 5\.0"):
        lesson.main(replace(config, learning_rate=5.0, checkpoint=file))


@pytest.fixture
def untrained(monkeypatch):
    """`fit` yields the state that it is given; here is what it was asked for."""
    calls = []

    def fit(loss_fn, tx, state, train, held_out, **options):
        calls.append((loss_fn, train, held_out, options))
        none = Totals(0, 0.0, 1)
        yield training.Epoch(1, state, none, (none,) * len(held_out), seconds=1.0)

    monkeypatch.setattr(training, "fit", fit)
    return calls


@pytest.mark.usefixtures("untrained")
def test_sigmoid_mse_names_the_digits_that_it_never_answers(
    digits, capsys, monkeypatch
):
    # Oracle: the forward pass in float64 NumPy, of weights that nothing trains.
    params = random_layers((784, 30, 10))
    monkeypatch.setattr(sigmoid_mse, "init", lambda key, layer_sizes: params)
    results = sigmoid_lesson.main(sigmoid_lesson.Config(dataset="digits", epochs=1))
    activations = digits.test.image.reshape(TEST_IMAGES, -1) / 255
    for kernel, bias in params:
        weighted = activations @ np.float64(kernel) + np.float64(bias)[None, :]
        activations = 1 / (1 + np.exp(-weighted))
    answers = activations.argmax(axis=1)
    never = [digit for digit in range(10) if digit not in answers]
    assert never  # else these weights show nothing; take others
    assert results["never_answered"] == never
    assert results["test_correct"] == np.sum(answers == digits.test.label)
    assert f"It never answers {', '.join(map(str, never))}." in capsys.readouterr().out


def test_relu_softmax_writes_out_what_fit_does(digits, capsys):
    # Oracle: `models.train_and_test`, which goes through `training.fit`.
    settings = {"layer_sizes": (784, 10), "batch_size": 25}
    config = relu_softmax.Config(dataset="digits", epochs=4, seed=1, **settings)
    results = relu_softmax.main(config)
    epochs, answers = by_models("relu_softmax", digits, num_epochs=4, **settings)
    right = int(np.sum(answers == digits.test.label))
    assert results["test_seen"] == TEST_IMAGES
    assert results["test_correct"] == right > 2 * CHANCE
    # rtol: the same float32 sums, ordered otherwise by another program
    expected = [epoch.train.mean_loss for epoch in epochs]
    np.testing.assert_allclose(results["losses"], expected, rtol=1e-5)
    assert results["losses"][-1] < 0.5 * math.log(10)  # log(10) is a guess's loss
    printed = capsys.readouterr().out
    assert f"{right} / 360" in printed
    for label, answer in zip(digits.test.label[:5], answers[:5], strict=True):
        assert f"A {label} is read as {answer}, with probability" in printed


def test_row_rnn_is_asked_after_each_row(digits, untrained):
    # Oracle: the network's own answers to images that end after that row.
    config = row_rnn.Config(dataset="digits", seed=1)
    results = row_rnn.main(config)
    [(loss_fn, train, (held_out,), options)] = untrained
    network, keys = MODELS["row_rnn"].network, training.run_keys(1)
    assert loss_fn is network.loss_fn
    assert (train, held_out) == (digits.train, digits.validation)
    assert options.pop("key") == keys.data
    assert options == {"batch_size": 64, "num_epochs": 15}
    params, predict = network.init(keys.init, (28, 128, 10)), jax.jit(network.predict)
    for rows in (28, 20):
        answers = predict(params, digits.test.image[:, :rows]).label
        right = np.sum(answers == digits.test.label)
        assert results["after_each_row"][rows - 1] == right
    assert results["test_correct"] == results["after_each_row"][27]


@pytest.mark.keras
@pytest.mark.usefixtures("digits")
def test_keras_and_flax_take_the_same_steps(capsys):
    config = keras_vs_flax.Config(
        dataset="digits",
        layer_sizes=(784, 10),
        learning_rate=0.002,
        batch_size=25,
        epochs=4,
    )
    results = keras_vs_flax.main(config)
    steps = results["steps"]
    assert len(steps) == 10
    # Oracle: Adam's first step is the learning rate times the gradient's sign
    # (Kingma and Ba 2015, algorithm 1, at t = 1); rtol: the start's float32 digits.
    assert steps[0]["moved"] == pytest.approx(0.002, rel=1e-3)
    assert 0.01 < steps[9]["moved"] <= 0.0201
    # Tolerance: float32 rounding, 1e-7 a weight, which Adam's division by a small
    # gradient enlarges. With Adam in optax's own form the last is above 1e-3.
    assert steps[0]["apart"] < 2e-6
    assert steps[9]["apart"] < 5e-5
    printed = capsys.readouterr().out
    for name in ("tf.keras", "Flax"):
        assert results[name]["test_seen"] == TEST_IMAGES
        assert results[name]["test_correct"] > 7 * CHANCE
        assert f"{name}: {results[name]['test_correct']} / 360" in printed


DIVERGED = "^{}: .* epoch 1 at learning rate {}. Try a smaller learning rate.$"


@pytest.mark.usefixtures("digits")
def test_relu_softmax_says_that_it_diverged():
    config = relu_softmax.Config(
        layer_sizes=(784, 10), batch_size=25, epochs=2, learning_rate=1e38
    )
    message = DIVERGED.format("relu_softmax", re.escape("1e+38"))
    with pytest.raises(NonFiniteLoss, match=message):
        relu_softmax.main(config)


def diverging_fit(*_, **__):
    raise NonFiniteLoss("the loss is nan in epoch 1")


def diverging_epochs(*_, **__):
    yield diverging_fit()


@pytest.mark.usefixtures("digits")
@pytest.mark.parametrize(
    ("name", "lesson", "sizes"),
    [
        ("sigmoid_mse", sigmoid_lesson, (784, 10)),
        ("row_rnn", row_rnn, (28, 128, 10)),
        pytest.param("tf.keras", keras_vs_flax, (784, 10), marks=pytest.mark.keras),
    ],
)
def test_a_lesson_says_that_fit_diverged(name, lesson, sizes, monkeypatch):
    monkeypatch.setattr(training, "fit", diverging_epochs)
    monkeypatch.setattr(keras_dense, "fit", diverging_epochs)
    monkeypatch.setattr(keras_vs_flax, "STEPS", 0)
    config = lesson.Config(layer_sizes=sizes)
    message = DIVERGED.format(re.escape(name), f"{config.learning_rate:g}")
    with pytest.raises(NonFiniteLoss, match=message):
        lesson.main(config)


@pytest.mark.parametrize("name", [*LESSONS, "keras_vs_flax"])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "0 epochs"),
        ({"learning_rate": -0.5}, "-0.5"),
        ({"batch_size": 1199}, "1199"),
        ({"layer_sizes": (784, 10, 9)}, "must (begin with 28|end with 10)"),
        ({"dataset": "mnits"}, "'mnits'"),
    ],
)
def test_a_lesson_refuses_bad_settings(name, settings, message):
    lesson = importlib.import_module(f"lessons.{name}")
    with pytest.raises(InputError, match=message):
        lesson.main(lesson.Config(**{"dataset": "digits", **settings}))


def test_a_lesson_is_a_program():
    process = processes.start("-m", "lessons.sigmoid_mse", "--dataset", "mnits")
    printed, complaint = process.communicate()
    assert (process.returncode, printed) == (1, "")
    [line] = complaint.splitlines()
    assert line.startswith("error: unknown dataset 'mnits'")
