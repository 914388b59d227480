"""`experiments/compare.py`: what it prints, writes, refuses and survives."""

import base64
import csv
import itertools
import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import processes
import pytest
import sklearn.datasets
import sklearn.linear_model
from PIL import Image

from experiments.compare import __main__ as compare
from experiments.compare import results
from jaxnets import data, running, types
from jaxnets import models as recipes
from jaxnets.errors import InputError, NonFiniteLoss

pytestmark = pytest.mark.usefixtures("undrawn")

PROGRAM = Path(__file__).parents[1] / "experiments" / "compare.py"
JAX_MODELS = ("sigmoid_mse", "relu_softmax", "flax_dense")
EPOCHS = 3
FIGURES = ("curves", "confusion", "gallery", "first_layer")
TINY = replace(recipes.SIGMOID_MSE, layer_sizes=(784, 10))


def quick(output: Path, **settings) -> compare.Config:
    """A comparison of one small network that takes a second."""
    standard = {
        "models": ("sigmoid_mse",),
        "dataset": "digits",
        "epochs": 1,
        "sigmoid_mse": TINY,
    }
    return compare.Config(**{**standard, "output": output, **settings})


def start(*arguments: object) -> subprocess.Popen:
    """The program as a user starts it."""
    return processes.start(PROGRAM, *arguments)


def lines_of(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def weights_of(file: Path) -> types.Params:
    with np.load(file) as arrays:
        depth = sum(name.startswith("kernel_") for name in arrays)
        return tuple(
            types.Dense(arrays[f"kernel_{place}"], arrays[f"bias_{place}"])
            for place in range(depth)
        )


def predictions_of(file: Path) -> list[dict[str, str]]:
    with open(file, newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, digits):
    """One run of the three JAX networks, and everything it left behind."""
    output = tmp_path_factory.mktemp("compare") / "run"
    config = compare.Config(
        models=JAX_MODELS, epochs=EPOCHS, seed=1, dataset="digits", output=output
    )
    with compare.console.capture() as capture:
        returned = compare.main(config)
    return SimpleNamespace(
        path=output,
        returned=returned,
        printed=capture.get(),
        results=json.loads((output / "results.json").read_text()),
        rows=predictions_of(output / "predictions.csv"),
        metrics=lines_of(output / "metrics.jsonl"),
    )


def test_the_folder_holds_what_was_promised(finished):
    names = sorted(
        str(file.relative_to(finished.path))
        for file in finished.path.rglob("*")
        if file.is_file()
    )
    assert names == sorted(
        [
            "config.json",
            "metrics.jsonl",
            "predictions.csv",
            "report.html",
            "results.json",
            *(f"{figure}.png" for figure in FIGURES),
            *(f"weights/{model}.npz" for model in JAX_MODELS),
        ]
    )


def test_results_say_how_they_came_about(finished):
    # Oracles: the published schema, the installed packages, the dataset's sizes.
    results = finished.results
    assert finished.returned == results
    assert results["status"] == "complete"
    assert results["dataset"] == "digits"
    assert results["notice"] is None
    sizes = [results[f"{part}_examples"] for part in ("train", "validation", "test")]
    assert sizes == [1198, 239, 360]
    assert results["seed"] == 1
    assert results["versions"]["jax"] == metadata.version("jax")
    assert results["versions"]["python"] == sys.version.split()[0]
    assert results["device"]
    assert 1 <= results["cpu_count"] <= os.cpu_count()
    assert list(results["models"]) == list(JAX_MODELS)


def test_what_looks_wrong_is_on_screen_and_page(tmp_path, capsys):
    # A rate below float32's resolution moves no parameter.
    still = replace(TINY, learning_rate=1e-30)
    results = compare.main(quick(tmp_path / "run", sigmoid_mse=still))
    kinds = [found["kind"] for found in results["diagnosis"]["sigmoid_mse"]]
    assert kinds[0] == "untrained"
    said = "training moved no parameter"
    assert said in capsys.readouterr().out
    assert said in (tmp_path / "run" / "report.html").read_text()


def test_the_zero_line_is_below_the_table(finished, digits):
    # Oracles: NumPy's counts, and scikit-learn's perceptron, which is no average.
    found = finished.results["zero_line"]
    frequent = np.bincount(digits.train.label).argmax()
    assert found["most_frequent_class"] == frequent
    share = np.mean(digits.test.label == frequent)
    assert found["most_frequent_accuracy"] == pytest.approx(share)
    train, test = (
        part.image.reshape(len(part.label), -1) / 255
        for part in (digits.train, digits.test)
    )
    theirs = sklearn.linear_model.Perceptron(random_state=0)
    expected = theirs.fit(train, digits.train.label).score(test, digits.test.label)
    assert found["perceptron_accuracy"] == pytest.approx(expected, abs=0.05)
    assert f"on {found['perceptron_accuracy']:.2%}." in finished.printed


def test_where_nothing_looks_wrong_nothing_is_said(finished):
    # 360 test images, after 3 epochs: the ReLU networks learned, Model 1 hardly.
    diagnosis = finished.results["diagnosis"]
    assert list(diagnosis) == list(JAX_MODELS)
    assert diagnosis["relu_softmax"] == diagnosis["flax_dense"] == []
    found = [entry["text"] for entry in diagnosis["sigmoid_mse"]]
    assert ("What looks wrong" in finished.printed) == bool(found)


@pytest.mark.parametrize("name", JAX_MODELS)
def test_a_models_entry_is_complete(finished, name):
    # Oracle: the published schema; parameters counted from the layer sizes.
    entry = finished.results["models"][name]
    assert set(entry) >= {
        "layer_sizes",
        "num_params",
        "epochs",
        "batch_size",
        "learning_rate",
        "test_correct",
        "test_seen",
        "test_accuracy",
        "test_interval_95",
        "validation_accuracy",
        "compile_seconds",
        "train_seconds",
        "epoch_seconds_median",
        "reported_accuracy",
    }
    recipe = recipes.RECIPES[name]
    sizes = entry["layer_sizes"]
    assert tuple(sizes) == recipe.layer_sizes
    assert entry["num_params"] == sum(
        (num_in + 1) * num_out for num_in, num_out in itertools.pairwise(sizes)
    )
    assert entry["epochs"] == EPOCHS
    assert entry["batch_size"] == recipe.batch_size
    assert entry["learning_rate"] == recipe.learning_rate
    assert entry["reported_accuracy"] is None  # the write-up speaks of MNIST
    assert entry["compile_seconds"] > 0

    seconds = [line["seconds"] for line in finished.metrics if line["model"] == name]
    assert entry["train_seconds"] == pytest.approx(sum(seconds))
    assert entry["epoch_seconds_median"] == sorted(seconds)[1]


@pytest.mark.parametrize("name", JAX_MODELS)
def test_the_test_score_can_be_recounted(finished, name):
    # Oracles: scikit-learn's own labels, and Wilson's (1927) formula.
    labels = sklearn.datasets.load_digits().target[-360:]
    assert [int(row["index"]) for row in finished.rows] == list(range(360))
    assert [int(row["label"]) for row in finished.rows] == labels.tolist()
    assert {row["dataset"] for row in finished.rows} == {"digits"}
    guesses = np.array([int(row[name]) for row in finished.rows])
    correct = int(np.sum(guesses == labels))

    entry = finished.results["models"][name]
    assert entry["test_correct"] == correct
    assert entry["test_seen"] == 360
    share = entry["test_accuracy"]
    assert share == correct / 360 > 0.5  # 0.1 is chance
    z = 1.959963984540054  # the normal distribution's 97.5 % point
    middle = (share + z**2 / 720) / (1 + z**2 / 360)
    half = z / (1 + z**2 / 360) * math.sqrt(share * (1 - share) / 360 + (z / 720) ** 2)
    assert entry["test_interval_95"] == pytest.approx([middle - half, middle + half])
    assert f"{correct} / 360" in finished.printed


@pytest.mark.parametrize("name", JAX_MODELS)
def test_the_weights_give_the_predictions_again(finished, digits, name):
    # Oracle: the network itself on the saved weights, without any of the run's state.
    params = weights_of(finished.path / "weights" / f"{name}.npz")
    assert types.layer_sizes_of(params) == recipes.RECIPES[name].layer_sizes
    network = recipes.NETWORKS[name]
    again = network.predict(params, digits.test.image)
    assert [int(row[name]) for row in finished.rows] == again.label.tolist()
    written = [float(row[f"{name}_probability"]) for row in finished.rows]
    # atol: rounding to six decimals, and float32 sums of 784 terms in two orders
    np.testing.assert_allclose(written, again.probability.max(axis=1), atol=1e-5)

    validated = network.predict(params, digits.validation.image).label
    correct = int(np.sum(validated == digits.validation.label))
    assert finished.results["models"][name]["validation_accuracy"] == correct / 239
    last = [line for line in finished.metrics if line["model"] == name][-1]
    assert (last["validation_correct"], last["validation_seen"]) == (correct, 239)


def test_metrics_have_a_line_per_model_and_epoch(finished):
    expected = [(name, epoch) for name in JAX_MODELS for epoch in range(1, EPOCHS + 1)]
    assert [(line["model"], line["epoch"]) for line in finished.metrics] == expected
    for line in finished.metrics:
        assert line["dataset"] == "digits"
        correct, seen = line["validation_correct"], line["validation_seen"]
        assert line["validation_accuracy"] == correct / seen
    for name in JAX_MODELS:
        losses = [
            line["train_loss"] for line in finished.metrics if line["model"] == name
        ]
        assert losses == sorted(losses, reverse=True)
        assert losses[-1] < losses[0]


def test_the_screen_shows_nielsens_lines(finished):
    # Oracle: the form his program prints; the numbers from metrics.jsonl.
    for line in finished.metrics[:EPOCHS]:
        said = f"Epoch {line['epoch']}: {line['validation_correct']} / 239"
        assert said in finished.printed
    assert str(finished.path) in finished.printed


def test_config_holds_the_settings_as_applied(finished):
    config = json.loads((finished.path / "config.json").read_text())
    assert config["seed"] == 1
    assert config["dataset"] == "digits"
    assert list(config["recipes"]) == list(JAX_MODELS)
    applied = config["recipes"]["flax_dense"]
    assert applied["num_epochs"] == EPOCHS
    assert applied["layer_sizes"] == [784, 1024, 10]


def test_the_figures_show_something(finished):
    for figure in FIGURES:
        with Image.open(finished.path / f"{figure}.png") as image:
            image.load()
            assert min(image.size) > 200
            grey = np.asarray(image.convert("L"))
        # A blank page or an empty frame has next to no ink.
        assert np.mean(grey < 200) > 0.01, figure


def test_the_page_stands_alone(finished):
    page = (finished.path / "report.html").read_text()
    assert not re.search(r"https?://|src=\"(?!data:)|<link|<script", page)
    assert page.count("<img ") == len(FIGURES)
    for figure in FIGURES:
        png = (finished.path / f"{figure}.png").read_bytes()
        assert base64.b64encode(png).decode() in page
    for name, entry in finished.results["models"].items():
        assert f"<th>{name}</th>" in page
        assert f"<td>{entry['test_correct']} / 360</td>" in page


@pytest.mark.keras
def test_keras_trains_in_a_process_of_its_own(tmp_path, digits):
    # Oracle: the saved Keras weights in the Flax mirror, which must agree.
    output = tmp_path / "run"
    small = replace(recipes.KERAS_DENSE, layer_sizes=(784, 64, 10))
    config = quick(output, models=("keras_dense",), epochs=3, keras_dense=small)
    entry = compare.main(config)["models"]["keras_dense"]
    assert entry["num_params"] == 784 * 64 + 64 + 64 * 10 + 10
    assert entry["test_seen"] == 360
    assert entry["test_accuracy"] > 0.5  # 0.1 is chance
    assert entry["epoch_seconds_median"] > 0

    params = weights_of(output / "weights" / "keras_dense.npz")
    mirrored = recipes.NETWORKS["flax_dense"].predict(params, digits.test.image).label
    rows = predictions_of(output / "predictions.csv")
    assert [int(row["keras_dense"]) for row in rows] == mirrored.tolist()
    assert np.sum(mirrored == digits.test.label) == entry["test_correct"]
    assert [line["epoch"] for line in lines_of(output / "metrics.jsonl")] == [1, 2, 3]


def test_an_only_epoch_of_keras_has_no_steady_state(tmp_path, digits):
    # Its compilation is in that epoch, so a speed would be wrong.
    record = running.EpochRecord(1, 2.0, 0.1, None, None, 0, 3.0, ())
    prediction = types.Prediction(digits.test.label, np.eye(10)[digits.test.label])
    run = results.ModelRun("keras_dense", recipes.KERAS_DENSE, [record])
    run.trained = running.Trained(prediction, None)
    entry = results.model_result(run, digits.test.label, "digits")
    assert entry["epoch_seconds_median"] is None
    assert entry["compile_seconds"] is None
    run.epochs += [record._replace(seconds=1.0), record._replace(seconds=1.5)]
    run.trained = running.Trained(prediction, 1.75)  # 3 - median(1, 1.5)
    entry = results.model_result(run, digits.test.label, "digits")
    assert entry["epoch_seconds_median"] == 1.25
    assert entry["train_seconds"] == 3.75


def test_an_unforeseen_error_keeps_the_finished_models(tmp_path, monkeypatch):
    def train(name, *arguments):
        if name == "relu_softmax":
            raise MemoryError("no room for 10**11 neurons")
        yield from running.train(name, *arguments)

    monkeypatch.setattr(compare, "train", train)
    config = quick(tmp_path / "run", models=("sigmoid_mse", "relu_softmax"))
    with pytest.raises(MemoryError):
        compare.main(config)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["status"] == "failed"
    assert list(results["models"]) == ["sigmoid_mse"]
    assert results["unfinished"]["relu_softmax"]["epochs_done"] == 0
    assert (tmp_path / "run" / "weights" / "sigmoid_mse.npz").is_file()


def test_keras_is_refused_early_where_tensorflow_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(compare, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="keras_dense needs tensorflow"):
        compare.main(quick(tmp_path / "run", models=("keras_dense",)))
    assert not (tmp_path / "run").exists()


def test_a_reader_that_leaves_does_not_cost_the_folder(tmp_path):
    arguments = ("--models", "sigmoid_mse", "--dataset", "digits", "--epochs", 3)
    with start(*arguments, "--output", tmp_path / "run [best]") as process:
        process.stdout.close()
        complaint = process.stderr.read()
    assert process.returncode == 0, complaint
    results = json.loads((tmp_path / "run [best]" / "results.json").read_text())
    assert results["status"] == "complete"


@pytest.mark.drawn
def test_no_validation_examples(tmp_path):
    results = compare.main(quick(tmp_path / "run", validation_examples=0))
    assert results["train_examples"] == 1437
    assert results["models"]["sigmoid_mse"]["validation_accuracy"] is None
    [line] = lines_of(tmp_path / "run" / "metrics.jsonl")
    assert line["validation_seen"] == 0
    assert line["validation_accuracy"] is line["validation_loss"] is None


def test_a_substitute_dataset_is_said_everywhere(tmp_path, digits, monkeypatch):
    notice = "no MNIST, <digits> instead"
    substitute = digits._replace(notice=notice)
    monkeypatch.setattr(data, "load", lambda *args, **kwargs: substitute)
    with compare.console.capture() as capture:
        results = compare.main(quick(tmp_path / "run", dataset=None))
    assert results["notice"] == notice
    assert (
        "no MNIST, &lt;digits&gt; instead"
        in (tmp_path / "run" / "report.html").read_text()
    )
    printed = capture.get()
    assert printed.startswith(f"NOTICE: {notice}")
    assert printed.count(notice) == 2  # before the training and after the tables


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"models": ()}, "model"),
        ({"models": ("sigmoid_mse", "sigmoid_mse")}, "sigmoid_mse"),
        ({"models": ("sigmoid_mse", "perceptron")}, "unknown model 'perceptron'"),
        ({"dataset": "mnits"}, "unknown dataset 'mnits'"),
        ({"seed": -1}, "seed=-1 must be between 0 and 4294967295"),
        ({"seed": 2**32}, "seed=4294967296"),
        ({"epochs": 0}, "0 epochs"),
        ({"epochs": -3}, "-3 epochs"),
        ({"sigmoid_mse": replace(TINY, learning_rate=-1.0)}, "learning rate -1.0"),
        ({"sigmoid_mse": replace(TINY, learning_rate=math.nan)}, "learning rate nan"),
        ({"sigmoid_mse": replace(TINY, learning_rate=math.inf)}, "learning rate inf"),
        ({"sigmoid_mse": replace(TINY, batch_size=0)}, "batch size 0"),
        ({"sigmoid_mse": replace(TINY, batch_size=1199)}, "batch size 1199"),
        ({"sigmoid_mse": replace(TINY, layer_sizes=(64, 10))}, "must begin with 784"),
        ({"sigmoid_mse": replace(TINY, layer_sizes=(784, 9))}, "must end with 10"),
        ({"sigmoid_mse": replace(TINY, layer_sizes=(784,))}, "two or more"),
        ({"sigmoid_mse": replace(TINY, layer_sizes=(784, 0, 10))}, "at least 1"),
        ({"dataset": "mnist", "mnist_dir": Path("no-such")}, "no-such lacks"),
        ({"validation_examples": 1437}, "leaves nothing to train on"),
        ({"validation_examples": -1}, "0 or more"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(
    tmp_path, settings, message
):
    output = tmp_path / "runs" / "run"
    with pytest.raises(InputError, match=message):
        compare.main(quick(output, **settings))
    assert not output.parent.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--models", "perceptron"], "error: unknown model 'perceptron'"),
        (
            ["--dataset", "digits", "--sigmoid-mse.batch-size", "5000"],
            "batch size 5000",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_1(tmp_path, arguments, message):
    output = tmp_path / "run"
    process = start(*arguments, "--output", output)
    printed, complaint = process.communicate()
    assert process.returncode == 1
    assert printed == ""
    [line] = complaint.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not output.exists()


def test_an_output_that_is_taken_is_left_alone(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        compare.main(quick(file, overwrite=True))
    assert file.read_text() == "mine"

    with pytest.raises(InputError, match="not empty; name another or add --overwrite"):
        compare.main(quick(tmp_path))
    with pytest.raises(InputError, match="not the folder of a run"):
        compare.main(quick(tmp_path, overwrite=True))
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("content", ["{}", '{"name": "thesis"}', "[]", "not JSON"])
def test_overwrite_spares_a_foreign_folder_with_its_own_config(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="not the folder of a run"):
        compare.main(quick(tmp_path, overwrite=True))
    assert sorted(os.listdir(tmp_path)) == ["config.json", "thesis.txt"]
    assert (tmp_path / "config.json").read_text() == content


def test_overwrite_replaces_an_earlier_run_and_only_then(tmp_path):
    output = tmp_path / "run"
    compare.main(quick(output, seed=1))
    (output / "weights" / "stray.npz").write_text("of the earlier run")
    with pytest.raises(InputError):  # found after the data is loaded, before training
        compare.main(
            quick(output, overwrite=True, sigmoid_mse=replace(TINY, batch_size=5000))
        )
    assert json.loads((output / "results.json").read_text())["seed"] == 1

    compare.main(quick(output, seed=2, overwrite=True))
    assert json.loads((output / "results.json").read_text())["seed"] == 2
    assert os.listdir(output / "weights") == ["sigmoid_mse.npz"]
    assert len(lines_of(output / "metrics.jsonl")) == 1


def test_an_empty_folder_may_be_used_through_a_link(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    compare.main(quick(tmp_path / "link"))
    assert (tmp_path / "folder" / "report.html").is_file()


def test_ctrl_c_leaves_a_readable_folder(tmp_path):
    output = tmp_path / "run"
    process = start(
        *("--dataset", "digits", "--epochs", 1_000_000, "--output", output),
        *("--models", "sigmoid_mse", "relu_softmax"),
    )
    metrics = output / "metrics.jsonl"
    processes.wait_for_line(process, metrics)
    complaint = processes.interrupt(process)
    assert process.returncode == 130
    assert complaint.splitlines()[-1] == "error: interrupted"
    assert "Traceback" not in complaint
    results = json.loads((output / "results.json").read_text())
    assert results["status"] == "interrupted"
    assert results["models"] == {}  # none finished
    epochs = [line["epoch"] for line in lines_of(metrics)]
    assert epochs == list(range(1, len(epochs) + 1))
    sizes = types.layer_sizes_of(weights_of(output / "weights" / "sigmoid_mse.npz"))
    assert sizes == (784, 30, 10)
    assert os.listdir(output / "weights") == ["sigmoid_mse.npz"]


@pytest.mark.drawn
def test_a_diverging_run_keeps_what_it_reached(tmp_path):
    # At this rate one step of one batch gives weights near 1e14, whose loss is still
    # finite; the second step overflows.
    output = tmp_path / "run"
    diverging = replace(
        recipes.RELU_SOFTMAX,
        layer_sizes=(784, 30, 10),
        batch_size=1198,
        learning_rate=1e15,
    )
    config = quick(
        output, models=("sigmoid_mse", "relu_softmax"), relu_softmax=diverging, epochs=4
    )
    with pytest.raises(
        NonFiniteLoss, match=r"relu_softmax: .* in epoch 2 at learning rate 1e\+15"
    ):
        compare.main(config)
    results = json.loads((output / "results.json").read_text())
    assert results["status"] == "failed"
    assert list(results["models"]) == ["sigmoid_mse"]
    lines = [
        (line["model"], line["epoch"]) for line in lines_of(output / "metrics.jsonl")
    ]
    assert lines == [
        *(("sigmoid_mse", epoch) for epoch in (1, 2, 3, 4)),
        ("relu_softmax", 1),
    ]
    for layer in weights_of(output / "weights" / "relu_softmax.npz"):
        assert np.isfinite(layer.kernel).all()
    assert "relu_softmax" not in predictions_of(output / "predictions.csv")[0]


def assert_whole(folder: Path) -> None:
    """No file of the folder is cut short, and none is a leftover."""
    for file in folder.rglob("*"):
        assert not file.name.startswith("."), file
        if file.suffix == ".json":
            json.loads(file.read_text())
        elif file.suffix == ".jsonl":
            lines_of(file)
            assert file.read_text().endswith("\n")
        elif file.suffix == ".npz":
            weights_of(file)


def test_a_full_disk_ends_with_one_line(small_disk):
    # 64 KiB hold the configuration, not the 94 KiB of the weights.
    output = small_disk / "run"
    process = start(
        *("--models", "sigmoid_mse", "--dataset", "digits", "--epochs", 1),
        *("--output", output),
    )
    _, complaint = process.communicate()
    assert process.returncode == 1
    [line] = complaint.splitlines()
    assert line.startswith("error: No space left on device")
    assert_whole(output)
    results = output / "results.json"
    assert not results.exists() or json.loads(results.read_text())["status"] == "failed"


def test_a_disk_that_fills_up_leaves_no_half_line(small_disk):
    output = small_disk / "run"
    with pytest.raises(OSError, match="No space left") as caught:
        compare.main(quick(output, epochs=1000))
    assert caught.type is OSError
    assert len(lines_of(output / "metrics.jsonl")) > 50
    assert_whole(output)


@pytest.mark.mnist
@pytest.mark.usefixtures("mnist", "optimized")
def test_relu_softmax_on_mnist(tmp_path):
    # Oracle: MNIST's published size, and the accuracy of such networks after two
    # epochs, 96 % (LeCun's table lists 95.3 % for 300 hidden units).
    results = compare.main(
        compare.Config(
            models=("relu_softmax",), epochs=2, dataset="mnist", output=tmp_path / "run"
        )
    )
    entry = results["models"]["relu_softmax"]
    assert (results["train_examples"], results["validation_examples"]) == (
        50_000,
        10_000,
    )
    assert entry["test_seen"] == 10_000
    assert entry["reported_accuracy"] == 0.971  # the write-up's Model 2
    assert entry["test_accuracy"] > 0.94
    labels = [
        int(row["label"]) for row in predictions_of(tmp_path / "run/predictions.csv")
    ]
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(labels).tolist() == counts  # of the published test set
