"""The lesson scripts, end to end on scikit-learn's digits."""

import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import relu_softmax as relu_lesson
import sigmoid_mse as sigmoid_lesson

from jaxnets import models as recipes
from jaxnets import running, sigmoid_mse
from jaxnets.errors import InputError, NonFiniteLoss

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
TEST_IMAGES = 360  # scikit-learn's last fifth of 1,797
CHANCE = TEST_IMAGES // 10
LESSONS = {"sigmoid_mse": sigmoid_lesson, "relu_softmax": relu_lesson}


def compared(name: str, digits, **settings) -> list:
    """What the comparison does with the same recipe and seed."""
    recipe = replace(recipes.RECIPES[name], **settings)
    return list(running.train(name, recipe, digits, seed=1))


def test_sigmoid_mse_learns_and_agrees_with_the_comparison(digits, capsys):
    # Oracle: the comparison's own run of this model, which compiles other functions.
    results = sigmoid_lesson.main(
        sigmoid_lesson.Config(dataset="digits", epochs=10, seed=1)
    )
    *records, trained = compared("sigmoid_mse", digits, num_epochs=10)
    right = trained.prediction.label == digits.test.label
    assert results["test_seen"] == TEST_IMAGES
    assert results["test_correct"] == right.sum() > 5 * CHANCE
    expected = [record.validation_correct for record in records]
    assert results["validation_correct"] == expected

    # Oracle: the form of the line that Nielsen's program prints.
    printed = capsys.readouterr().out
    lines = re.findall(r"^Epoch (\d+): ([\d,]+) / 239$", printed, re.MULTILINE)
    assert [int(number) for number, _ in lines] == list(range(1, 11))
    assert [int(count) for _, count in lines] == expected
    assert f"{right.sum()} / 360" in printed


def test_sigmoid_mse_says_which_digits_it_never_answers(digits, capsys):
    # Oracle: the forward pass in float64 NumPy. At this rate nothing is learned.
    config = sigmoid_lesson.Config(dataset="digits", epochs=1, learning_rate=1e-12)
    results = sigmoid_lesson.main(config)
    activations = digits.test.image.reshape(TEST_IMAGES, -1) / 255
    init_key, _ = recipes.run_keys(config.seed)
    for kernel, bias in sigmoid_mse.init(init_key, config.layer_sizes):
        weighted = activations @ np.float64(kernel) + np.float64(bias)[None, :]
        activations = 1 / (1 + np.exp(-weighted))
    answers = activations.argmax(axis=1)
    never = [digit for digit in range(10) if digit not in answers]
    assert never  # else this seed shows nothing; take another
    assert results["never_answered"] == never
    assert results["test_correct"] == np.sum(answers == digits.test.label)
    assert f"It never answers {', '.join(map(str, never))}." in capsys.readouterr().out


def test_relu_softmax_writes_out_what_fit_does(digits, capsys):
    # Oracle: the comparison, which goes through `training.fit`.
    results = relu_lesson.main(relu_lesson.Config(dataset="digits", epochs=3, seed=1))
    *records, trained = compared("relu_softmax", digits, num_epochs=3)
    right = trained.prediction.label == digits.test.label
    assert results["test_seen"] == TEST_IMAGES
    assert results["test_correct"] == right.sum() > 6 * CHANCE
    # rtol: the same float32 program, compiled within another one
    expected = [record.train_loss for record in records]
    np.testing.assert_allclose(results["losses"], expected, rtol=1e-5)
    assert results["losses"][-1] < 0.5 * math.log(10)  # log(10) is a guess's loss

    printed = capsys.readouterr().out
    assert f"{right.sum()} / 360" in printed
    guesses = trained.prediction.label[:5]
    for label, guess in zip(digits.test.label, guesses, strict=False):
        assert f"A {label} is read as {guess}, with probability" in printed


@pytest.mark.keras
def test_keras_and_flax_take_the_same_steps(capsys):
    import keras_vs_flax as keras_lesson

    config = keras_lesson.Config(
        dataset="digits", layer_sizes=(784, 64, 10), learning_rate=0.002, epochs=4
    )
    results = keras_lesson.main(config)
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


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")  # of 1e300
@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("relu_softmax", 1e38),
        ("sigmoid_mse", 1e300),  # infinite in float32; 1e38 only saturates a sigmoid
    ],
)
def test_a_lesson_says_that_it_diverged(name, rate):
    lesson = LESSONS[name]
    config = lesson.Config(
        dataset="digits", layer_sizes=(784, 10), epochs=2, learning_rate=rate
    )
    message = DIVERGED.format(name, re.escape(f"{rate:g}"))
    with pytest.raises(NonFiniteLoss, match=message):
        lesson.main(config)


@pytest.mark.keras
def test_the_lesson_with_keras_says_that_keras_diverged():
    import keras_vs_flax as keras_lesson

    config = keras_lesson.Config(
        dataset="digits", layer_sizes=(784, 10), epochs=1, learning_rate=1e38
    )
    message = DIVERGED.format(r"tf\.keras", r"1e\+38")
    with pytest.raises(NonFiniteLoss, match=message):
        keras_lesson.main(config)


@pytest.mark.parametrize("name", LESSONS)
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "0 epochs"),
        ({"learning_rate": -0.5}, "-0.5"),
        ({"batch_size": 1199}, "1199"),
        ({"layer_sizes": (784, 10, 9)}, "must end with 10"),
        ({"dataset": "mnits"}, "'mnits'"),
    ],
)
def test_a_lesson_refuses_bad_settings(name, settings, message):
    lesson = LESSONS[name]
    with pytest.raises(InputError, match=message):
        lesson.main(lesson.Config(**{"dataset": "digits", **settings}))


def test_bad_input_is_one_line_on_stderr():
    command = [sys.executable, EXPERIMENTS / "sigmoid_mse.py", "--dataset", "mnits"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("error: unknown dataset 'mnits'")
