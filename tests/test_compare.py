"""`experiments.compare`: what it prints, writes, refuses and survives."""

import csv
import itertools
import json
import math
import os
import shutil
import signal
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import processes
import pytest
import sklearn.datasets
import sklearn.linear_model
from PIL import Image

from experiments.compare import __main__ as compare
from experiments.compare import figures, page, results
from experiments.compare import settings as compare_settings
from experiments.compare.results import Answers
from experiments.kit import folder
from experiments.kit.command import PartFailed
from experiments.kit.run import Run
from jaxnets import data, draw, models
from jaxnets.errors import InputError, NonFiniteLoss
from jaxnets.models import MODELS
from jaxnets.training import Epoch
from jaxnets.types import Batch, Dense, Prediction, Totals, TrainState

ROOT = Path(__file__).parents[1]
PROGRAM = ("-m", "experiments.compare")
TWO = ("relu_softmax", "sigmoid_mse")
FIGURES = (
    *("curves", "confused", "gallery", "calibration", "confusion"),
    *("first_layer", "first_layer_by_epoch"),
)
SMALL = (784, 30, 10)  # the sizes of sigmoid_mse: what compiles for it serves others
# Of 1,437 records; 1,280 are left, which fill batches of 10 and of 64.
VALIDATION = 157
TINY = replace(MODELS["sigmoid_mse"].recipe, layer_sizes=(784, 10))


def quick(output: Path, **settings) -> compare.Config:
    """A comparison of one small network that takes a second."""
    standard = {
        "models": ("sigmoid_mse",),
        "dataset": "digits",
        "validation_examples": VALIDATION,
        "epochs": 1,
        "relu_softmax": replace(MODELS["relu_softmax"].recipe, layer_sizes=SMALL),
    }
    return compare.Config(**{**standard, "output": output, **settings})


def files_of(path: Path) -> dict[str, bytes]:
    """The content of every file, but the lock, which is empty."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and file.name != folder.LOCK
    }


def lines_of(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def results_of(path: Path) -> dict:
    return json.loads((path / "results.json").read_text())


def predictions_of(file: Path) -> list[dict[str, str]]:
    with open(file, newline="") as stream:
        return list(csv.DictReader(stream))


def weights_of(path: Path, name: str) -> tuple[Dense, ...]:
    with np.load(path / "weights" / f"{name}.npz") as arrays:
        depth = sum(key.startswith("kernel_") for key in arrays)
        assert all(arrays[key].dtype == np.float32 for key in arrays if "_" in key)
        pairs = [(arrays[f"kernel_{i}"], arrays[f"bias_{i}"]) for i in range(depth)]
    return tuple(Dense(*pair) for pair in pairs)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run as a user with an unlucky environment starts it, and what it left.

    Files of the working folder have the names of Python's modules, the output is a
    pipe that cannot encode the folder's name, and the variables suit a notebook.
    """
    base = tmp_path_factory.mktemp("compare")
    for name in ("random.py", "queue.py"):
        (base / name).write_text("raise SystemExit('the wrong module')")
    process = processes.start(
        *(*PROGRAM, "--models", *TWO, "--epochs", 1, "--seed", 1),
        *("--dataset", "digits", "--validation-examples", VALIDATION),
        *("--relu-softmax.layer-sizes", *SMALL, "--output=~/run ✓"),
        cwd=base,
        HOME=str(base / "home"),
        PYTHONPATH=str(ROOT),
        PYTHONIOENCODING="cp1252",
        MPLBACKEND="module://no_such_module",
        FORCE_COLOR="1",
    )
    printed, complaint = process.communicate()
    assert process.returncode == 0, complaint
    path = base / "home" / "run ✓"
    return SimpleNamespace(
        base=base,
        path=path,
        printed=printed,
        complaint=complaint,
        results=results_of(path),
        rows=predictions_of(path / "predictions.csv"),
        metrics=lines_of(path / "metrics.jsonl"),
    )


@pytest.fixture(scope="module")
def dataset():
    """What the run had."""
    return data.load("digits", validation_examples=VALIDATION)


def test_the_folder_holds_what_was_promised(finished):
    names = set(files_of(finished.path))
    assert names == {
        *("config.json", "metrics.jsonl", "baselines.json", "results.json"),
        *("checkpoint.npz", "checkpoint.npz.previous"),
        *("predictions.csv", "report.html", "draw.html"),
        *(f"{figure}.png" for figure in FIGURES),
        *(f"weights/{model}.npz" for model in TWO),
        *(f"weights/first_layer_{model}_{n}.npz" for model in TWO for n in (0, 1)),
    }
    assert not (finished.base / "~").exists()


def test_the_screen_is_plain_lines_without_a_terminal(finished):
    # In spite of FORCE_COLOR; and what cannot be encoded is escaped.
    for line in finished.metrics:
        accuracy = f"{line['validation_accuracy']:.2%}"
        assert any(
            line["model"] in printed and accuracy in printed
            for printed in finished.printed.splitlines()
        )
    assert "run \\u2713" in finished.printed
    assert "Traceback" not in finished.complaint


def test_results_say_how_they_came_about(finished):
    # Oracles: the published schema, the installed packages, the dataset's sizes.
    results = finished.results
    assert (results["experiment"], results["status"]) == ("compare", "complete")
    assert (results["dataset"], results["notice"]) == ("digits", None)
    sizes = [results[f"{part}_examples"] for part in ("train", "validation", "test")]
    assert sizes == [1280, VALIDATION, 360]
    assert results["seed"] == 1
    assert results["versions"]["jax"] == metadata.version("jax")
    assert results["versions"]["python"] == sys.version.split()[0]
    assert results["device"] and 1 <= results["cpu_count"] <= os.cpu_count()
    assert list(results["models"]) == list(TWO)
    config = json.loads((finished.path / "config.json").read_text())
    assert (config["seed"], config["dataset"]) == (1, "digits")
    assert list(config["recipes"]) == list(TWO)
    assert config["recipes"]["relu_softmax"]["num_epochs"] == 1


def test_the_zero_line_is_below_the_table(finished, dataset):
    # Oracles: NumPy's counts, and scikit-learn's perceptron, which is no average.
    baselines = finished.results["zero_line"]
    frequent = np.bincount(dataset.train.label).argmax()
    assert baselines["most_frequent_class"] == frequent
    share = np.mean(dataset.test.label == frequent)
    assert baselines["most_frequent_accuracy"] == pytest.approx(share)
    train, test = (
        part.image.reshape(len(part.label), -1) / 255
        for part in (dataset.train, dataset.test)
    )
    theirs = sklearn.linear_model.Perceptron(random_state=0)
    expected = theirs.fit(train, dataset.train.label).score(test, dataset.test.label)
    assert baselines["perceptron_accuracy"] == pytest.approx(expected, abs=0.05)
    assert f"{baselines['perceptron_accuracy']:.2%}" in finished.printed


@pytest.mark.parametrize("name", TWO)
def test_the_test_score_can_be_recounted(finished, name):
    # Oracles: scikit-learn's own labels, and Wilson's (1927) formula.
    labels = sklearn.datasets.load_digits().target[-360:]
    assert [int(row["index"]) for row in finished.rows] == list(range(360))
    assert [int(row["label"]) for row in finished.rows] == labels.tolist()
    assert {row["dataset"] for row in finished.rows} == {"digits"}
    guesses = np.array([int(row[name]) for row in finished.rows])
    correct = int(np.sum(guesses == labels))
    entry = finished.results["models"][name]
    assert (entry["test_correct"], entry["test_seen"]) == (correct, 360)
    share = entry["test_accuracy"]
    assert share == correct / 360 > 0.3  # 0.1 is chance
    z = 1.959963984540054  # the normal distribution's 97.5 % point
    middle = (share + z**2 / 720) / (1 + z**2 / 360)
    half = z / (1 + z**2 / 360) * math.sqrt(share * (1 - share) / 360 + (z / 720) ** 2)
    assert entry["test_interval_95"] == pytest.approx([middle - half, middle + half])
    for shown in (finished.printed, (finished.path / "report.html").read_text()):
        assert f"{share:.2%}" in shown


@pytest.mark.parametrize("name", TWO)
def test_a_models_entry_follows_from_its_recipe_and_rows(finished, name):
    # Oracle: the published schema; parameters counted from the layer sizes.
    entry, recipe = finished.results["models"][name], MODELS[name].recipe
    sizes = entry["layer_sizes"]
    assert tuple(sizes) == SMALL
    assert entry["num_params"] == sum(
        (num_in + 1) * num_out for num_in, num_out in itertools.pairwise(sizes)
    )
    assert entry["epochs"] == 1
    for setting in ("batch_size", "optimizer", "learning_rate"):
        assert entry[setting] == getattr(recipe, setting)
    assert entry["reported_accuracy"] is None  # the write-up speaks of MNIST
    [row] = [line for line in finished.metrics if line["model"] == name]
    assert (row["epoch"], row["dataset"]) == (1, "digits")
    assert row["validation_seen"] == VALIDATION
    assert row["validation_accuracy"] == row["validation_correct"] / VALIDATION
    assert entry["train_seconds"] == entry["epoch_seconds_median"] == row["seconds"]
    assert entry["compile_seconds"] == row["compile_seconds"] > 0
    assert {"compile_cached", "validation_accuracy"} < set(entry)


@pytest.mark.parametrize("name", TWO)
def test_the_weights_give_the_predictions_again(finished, dataset, name):
    # Oracle: the network itself on the saved weights, without any of the run's state.
    params = weights_of(finished.path, name)
    network = MODELS[name].network
    predict = jax.jit(network.predict)
    again = predict(params, dataset.test.image)
    assert [int(row[name]) for row in finished.rows] == again.label.tolist()
    written = [float(row[f"{name}_probability"]) for row in finished.rows]
    # atol: rounding to six decimals, and float32 sums of 784 terms in two orders
    np.testing.assert_allclose(written, again.probability.max(axis=1), atol=1e-5)
    validated = predict(params, dataset.validation.image).label
    correct = int(np.sum(validated == dataset.validation.label))
    entry = finished.results["models"][name]
    assert entry["validation_accuracy"] == correct / VALIDATION


def test_the_figures_show_something(finished):
    html = (finished.path / "report.html").read_text()
    assert html.count("<img ") == len(FIGURES)
    for figure in FIGURES:
        with Image.open(finished.path / f"{figure}.png") as image:
            image.load()
            grey = np.asarray(image.convert("L"))
        # A blank page or an empty frame has next to no ink.
        assert np.mean(grey < 200) > 0.01, figure


def test_a_redrawn_run_is_the_same_without_training(finished, monkeypatch, capsys):
    monkeypatch.setattr(models, "train_and_test", None)
    monkeypatch.setattr(
        compare_settings, "find_spec", lambda name: None
    )  # no TensorFlow either
    path = finished.base / "copy"
    shutil.copytree(finished.path, path)
    pictures = [f"{figure}.png" for figure in FIGURES]
    for name in ("report.html", "draw.html", *pictures):
        (path / name).unlink()
    assert compare.main(compare.Config(redraw=path)) == finished.results
    before, after = files_of(finished.path), files_of(path)
    assert after.keys() == before.keys()
    for name in before:
        assert after[name] == before[name], name
    printed = capsys.readouterr().out
    for entry in finished.results["models"].values():
        assert f"{entry['test_accuracy']:.2%}" in printed


@pytest.mark.usefixtures("undrawn")
def test_the_page_to_draw_on_is_linked_and_may_fail(finished, tmp_path, monkeypatch):
    link = 'href="draw.html"'
    assert link in (finished.path / "report.html").read_text()
    path = tmp_path / "copy"
    shutil.copytree(finished.path, path)

    def fail(*_, **__):
        raise RuntimeError("no page")

    monkeypatch.setattr(draw, "write", fail)
    with pytest.raises(PartFailed, match=r"draw\.html could not be made"):
        compare.main(compare.Config(redraw=path))
    assert results_of(path) == finished.results
    assert link not in (path / "report.html").read_text()


def test_weights_that_are_gone_are_named(finished, tmp_path):
    path = tmp_path / "copy"
    shutil.copytree(finished.path, path)
    (path / "weights" / "sigmoid_mse.npz").unlink()
    with pytest.raises(InputError, match="no weights of sigmoid_mse"):
        compare.main(compare.Config(redraw=path))


# ---- runs that end otherwise


def children_of(pid: int) -> list[int]:
    """Process numbers, where the system tells them."""
    file = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in file.read_text().split()] if file.exists() else []


@pytest.mark.slow
@pytest.mark.keras
def test_sigterm_while_keras_trains(tmp_path, digits):
    path = tmp_path / "run"
    process = processes.start(
        *(*PROGRAM, "--models", "keras_dense", "sigmoid_mse"),
        *("--dataset", "digits", "--keras-dense.layer-sizes", 784, 16, 10),
        *("--epochs", 1_000_000, "--output", path),
    )
    processes.wait_for_line(process, path / "metrics.jsonl")
    children = children_of(process.pid)
    assert children or sys.platform != "linux"
    complaint = processes.interrupt(process, signal.SIGTERM)
    assert process.returncode == 143
    assert complaint.splitlines()[-1] == "error: stopped by SIGTERM"
    assert "Traceback" not in complaint
    for child in children:
        processes.wait_for_end(child)

    rows = lines_of(path / "metrics.jsonl")
    assert [row["epoch"] for row in rows] == list(range(1, len(rows) + 1))
    written = results_of(path)
    assert (written["status"], written["models"]) == ("interrupted", {})
    assert list(written["unfinished"]) == ["keras_dense", "sigmoid_mse"]
    assert written["unfinished"]["keras_dense"]["epochs_done"] == len(rows)
    # Oracle: the Flax mirror with the weights that Keras had reached.
    params = weights_of(path, "keras_dense")
    answers = MODELS["flax_dense"].network.predict(params, digits.validation.image)
    correct = np.sum(answers.label == digits.validation.label)
    assert correct == rows[-1]["validation_correct"]
    assert compare.main(compare.Config(redraw=path)) == written


@pytest.mark.usefixtures("undrawn")
def test_an_error_keeps_the_finished_models(tmp_path, monkeypatch):
    train_and_test = models.train_and_test

    def with_a_defect(name, *args, **options):
        events = train_and_test(name, *args, **options)
        yield from events if name == "sigmoid_mse" else itertools.islice(events, 1)
        if name == "relu_softmax":
            raise jax.errors.JaxRuntimeError("INTERNAL: no kernel")

    monkeypatch.setattr(models, "train_and_test", with_a_defect)
    path = tmp_path / "run"
    with pytest.raises(jax.errors.JaxRuntimeError):
        compare.main(quick(path, models=("sigmoid_mse", "relu_softmax")))
    written = results_of(path)
    assert (written["status"], list(written["models"])) == ("failed", ["sigmoid_mse"])
    assert written["unfinished"]["relu_softmax"]["epochs_done"] == 1
    assert "INTERNAL: no kernel" in (path / "traceback.txt").read_text()
    assert all((path / "weights" / f"{name}.npz").exists() for name in TWO)
    assert "relu_softmax" not in predictions_of(path / "predictions.csv")[0]
    assert (path / "report.html").is_file()


@pytest.mark.usefixtures("undrawn")
def test_a_diverging_run_keeps_what_it_reached(tmp_path):
    # At this rate one step of one batch gives weights near 1e14, whose loss is still
    # finite; the second step overflows.
    diverging = replace(
        MODELS["relu_softmax"].recipe,
        layer_sizes=SMALL,
        batch_size=1280,
        learning_rate=1e15,
    )
    config = quick(
        tmp_path / "run", models=("relu_softmax",), relu_softmax=diverging, epochs=4
    )
    message = r"relu_softmax: .* in epoch 2 at learning rate 1e\+15"
    with pytest.raises(NonFiniteLoss, match=message):
        compare.main(config)
    assert results_of(tmp_path / "run")["status"] == "failed"
    [row] = lines_of(tmp_path / "run" / "metrics.jsonl")
    assert row["epoch"] == 1
    for layer in weights_of(tmp_path / "run", "relu_softmax"):
        assert np.isfinite(layer.kernel).all()


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("epochs", "num_lines"),
    # 64 KiB hold the configuration and a row, not the 94 KiB of the weights; and not a
    # thousand rows.
    [(1, 0), (1000, 50)],
)
def test_a_disk_that_fills_up_leaves_no_half_file(small_disk, epochs, num_lines):
    path = small_disk / "run"
    with pytest.raises(OSError, match="No space left"):
        # Without a checkpoint after each epoch: not one would fit.
        compare.main(quick(path, epochs=epochs, checkpoint_seconds=3600))
    assert len(lines_of(path / "metrics.jsonl")) > num_lines
    assert_whole(path)


def assert_whole(path: Path) -> None:
    """No file of the folder is cut short, and none is a leftover."""
    for file in path.rglob("*"):
        assert not file.name.startswith(".") or file.name == folder.LOCK, file
        if file.suffix == ".json":
            json.loads(file.read_text())
        elif file.suffix == ".jsonl":
            lines_of(file)
            assert file.read_text().endswith("\n")
        elif file.suffix == ".npz":
            weights_of(path, file.stem)


# ---- settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"models": ()}, "model"),
        ({"models": ("sigmoid_mse", "sigmoid_mse")}, "sigmoid_mse"),
        ({"models": ("sigmoid_mse", "perceptron")}, "'perceptron'"),
        ({"dataset": "mnits"}, "unknown dataset 'mnits'"),
        ({"seed": -1}, "seed=-1 must be between 0 and 4294967295"),
        ({"seed": 2**32}, "seed=4294967296"),
        ({"epochs": 0}, "0 epochs"),
        ({"epochs": -3}, "-3 epochs"),
        ({"sigmoid_mse": replace(TINY, learning_rate=-1.0)}, "learning rate -1.0"),
        ({"sigmoid_mse": replace(TINY, learning_rate=math.nan)}, "learning rate nan"),
        ({"sigmoid_mse": replace(TINY, learning_rate=math.inf)}, "learning rate inf"),
        ({"sigmoid_mse": replace(TINY, batch_size=0)}, "batch size 0"),
        ({"sigmoid_mse": replace(TINY, batch_size=1281)}, "batch size 1281"),
        ({"sigmoid_mse": replace(TINY, layer_sizes=(64, 10))}, "must begin with 784"),
        ({"sigmoid_mse": replace(TINY, layer_sizes=(784, 9))}, "must end with 10"),
        ({"sigmoid_mse": replace(TINY, layer_sizes=(784,))}, "two or more"),
        ({"sigmoid_mse": replace(TINY, layer_sizes=(784, 0, 10))}, "at least 1"),
        ({"dataset": "mnist", "mnist_dir": Path("no-such")}, "no-such lacks"),
        ({"validation_examples": 1437}, "leaves nothing to train on"),
        ({"validation_examples": -1}, "0 or more"),
        ({"examples": 0}, "examples=0 must be between 1 and 1280"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(
    tmp_path, settings, message
):
    output = tmp_path / "runs" / "run"
    with pytest.raises(InputError, match=message):
        compare.main(quick(output, **settings))
    assert not output.parent.exists()


def test_keras_is_refused_early_where_tensorflow_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(compare_settings, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="keras_dense needs tensorflow"):
        compare.main(quick(tmp_path / "run", models=("keras_dense",)))
    assert not (tmp_path / "run").exists()


def test_a_device_that_is_not_there_is_one_line(tmp_path):
    process = processes.start(
        *(*PROGRAM, "--dataset", "digits", "--models", "relu_softmax"),
        *("--output", tmp_path / "run"),
        JAX_PLATFORMS="cuda",
    )
    printed, complaint = process.communicate()
    assert (process.returncode, printed) == (1, "")
    assert complaint.splitlines()[-1].startswith("error: JAX finds no device for ")
    assert "Traceback" not in complaint
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("undrawn")
def test_a_network_without_hidden_layer_and_without_validation(tmp_path, capsys):
    # A rate below float32's resolution moves no parameter: something looks wrong.
    still = replace(TINY, learning_rate=1e-30)
    settings = {"validation_examples": 0, "examples": 1280, "sigmoid_mse": still}
    written = compare.main(quick(tmp_path / "run", **settings))
    assert (written["status"], written["validation_examples"]) == ("complete", 0)
    findings = written["diagnosis"]["sigmoid_mse"]
    [finding] = [each for each in findings if each["kind"] == "untrained"]
    assert finding["text"] in capsys.readouterr().out
    [row] = lines_of(tmp_path / "run" / "metrics.jsonl")
    assert row["validation_seen"] == 0
    assert row["validation_accuracy"] is row["validation_loss"] is None


# ---- tables and figures from stored rows


LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 4])
SURE = np.full(10, 0.6, np.float32)
ANSWERS = {  # class 3 has no image; relu_softmax never answers 1
    "sigmoid_mse": Answers(np.array([0, 0, 1, 1, 1, 2, 2, 0, 2, 4]), SURE),
    "relu_softmax": Answers(np.array([0, 2, 2, 2, 0, 2, 2, 2, 2, 3]), SURE),
}


def epoch_row(number, loss, correct, *, seconds=0.25, seen=50):
    train = Totals(np.int32(30), np.float32(40 * loss), np.int32(40))
    held_out = Totals(
        np.int32(correct), np.float32(seen * (loss + 0.1)), np.int32(seen)
    )
    state = TrainState(np.int32(1), (), ())
    epoch = Epoch(number, state, train, (held_out,), seconds, 0.1, 1.25)
    return results.epoch_row("sigmoid_mse", epoch, "digits")


ROWS = [epoch_row(1, 0.9, 40), epoch_row(2, 0.5, 45)]


def test_a_row_is_strict_json_with_means():
    assert json.loads(json.dumps(ROWS[0], allow_nan=False)) == {
        "dataset": "digits",
        "model": "sigmoid_mse",
        "epoch": 1,
        "train_loss": pytest.approx(0.9),
        "train_accuracy": 0.75,
        "validation_loss": pytest.approx(1.0),
        "validation_correct": 40,
        "validation_seen": 50,
        "validation_accuracy": 0.8,
        "seconds": 0.25,
        "evaluation_seconds": 0.1,
        "compile_seconds": 1.25,
        "compile_cached": False,
    }
    assert "80.00%" in results.in_words(ROWS[0])
    unchecked = epoch_row(1, 0.9, 0, seen=0)
    assert unchecked["validation_loss"] is unchecked["validation_correct"] is None
    assert "75.00%" in results.in_words(unchecked)


def test_predictions_are_read_back(tmp_path, digits):
    rng = np.random.default_rng(0)
    few = digits._replace(test=Batch(digits.test.image[:7], digits.test.label[:7]))
    probability = rng.dirichlet(np.ones(10), 7).astype(np.float32)
    answers = probability.argmax(axis=1).astype(np.int32)
    run = SimpleNamespace(
        path=tmp_path,
        data=few,
        write_csv=lambda name, *table: folder.write_csv(tmp_path / name, *table),
    )
    assert results.read_predictions(run) == {}
    prediction = Prediction(answers, probability)
    results.write_predictions(run, {"row_rnn": results.answers_of(prediction)})
    [(name, read)] = results.read_predictions(run).items()
    assert name == "row_rnn"
    np.testing.assert_array_equal(read.label, answers)
    largest = probability.max(axis=1)
    np.testing.assert_allclose(read.probability, largest, atol=5e-7)  # six decimals
    # A resumed run writes what it has read: the same bytes.
    written = (tmp_path / "predictions.csv").read_bytes()
    results.write_predictions(run, results.read_predictions(run))
    assert (tmp_path / "predictions.csv").read_bytes() == written


def test_keras_compiles_within_its_first_epoch():
    # Oracle: by hand; without a later epoch nothing can be told of the first.
    def entry(*seconds):
        rows = [
            epoch_row(i, 0.5, 40, seconds=s) for i, s in enumerate(seconds, start=1)
        ]
        keras, right = MODELS["keras_dense"], np.array([True, False])
        return results.model_result(keras, keras.recipe, rows, right)

    only = entry(3.0)
    assert only["epoch_seconds_median"] is only["compile_seconds"] is None
    assert (only["train_seconds"], only["test_accuracy"]) == (3.0, 0.5)
    three = entry(3.0, 1.0, 1.5)
    assert three["epoch_seconds_median"] == 1.25
    assert three["compile_seconds"] == 1.75  # 3 - 1.25
    assert three["train_seconds"] == 3.75
    assert entry(1.0, 1.0, 1.5)["compile_seconds"] is None  # no slower than the later


def result(**changes) -> dict:
    """A model's entry in results.json."""
    return {
        "layer_sizes": [784, 1024, 10],
        "optimizer": "adam",
        "batch_size": 32,
        "epochs": 5,
        "num_params": 23860,
        "test_correct": 9501,
        "test_seen": 10000,
        "test_accuracy": 0.9501,
        "test_interval_95": [0.9457, 0.9542],
        "validation_accuracy": None,
        "compile_seconds": 1.25,
        "train_seconds": 3.0,
        "compile_cached": False,
        "epoch_seconds_median": 0.5,
        "reported_accuracy": 0.1041,
        **changes,
    }


def comparison_rows(entries, ties=None):
    baselines = {
        "most_frequent_class": 1,
        "most_frequent_accuracy": 0.1135,
        "perceptron_accuracy": 0.87,
        "perceptron_epochs": 3,
    }
    ties = ties or dict.fromkeys(entries, ())
    content = {"models": entries, "ties": ties, "zero_line": baselines}
    table = page.comparison(content, "mnist")
    assert table.header == ("", *entries)
    assert "11.35%" in table.caption and "87.00%" in table.caption
    return {row[0]: row[1:] for row in table.rows}


def test_the_comparison_as_a_table():
    # Oracle: the entries; 0.5 s / 2 s is a quarter.
    entries = {
        "sigmoid_mse": result(layer_sizes=[784, 30, 10]),
        "keras_dense": result(epoch_seconds_median=2.0, compile_seconds=None),
        "flax_dense": result(epoch_seconds_median=0.5, validation_accuracy=0.98),
    }
    ties = {
        "sigmoid_mse": [],
        "keras_dense": ["flax_dense", "sigmoid_mse"],
        "flax_dense": ["keras_dense"],
    }
    rows = comparison_rows(entries, ties)
    assert rows["layers"][0] == "784-30-10"
    assert rows["write-up reported"][0] == "10.41%"
    assert rows["test accuracy"][0] == "95.01%"
    assert rows["95 % interval"][0] == "94.57% to 95.42%"
    assert rows["not told apart from"][0] == "-"
    assert rows["not told apart from"][1].split() == ["flax_dense", "sigmoid_mse"]
    assert rows["validation accuracy"] == ("-", "-", "98.00%")
    assert rows["parameters"][0] == "23,860"
    assert rows["compile time, s"][1] == "-"
    assert rows["times Keras's epoch (fit)"] == (
        "-",
        "1.00",
        "0.25",
    )  # the same network

    entries["flax_dense"]["compile_cached"] = True
    entries["keras_dense"]["epoch_seconds_median"] = None  # its only epoch compiled
    rows = comparison_rows(entries)
    assert "cached" in rows["compile time, s"][2]
    assert rows["median epoch, s"][1] == "-"
    assert rows["times Keras's epoch (fit)"] == ("-", "-", "-")
    del entries["keras_dense"]
    assert comparison_rows(entries)["times Keras's epoch (fit)"] == ("-", "-")


def test_pairs_of_weights_are_told_apart_after_holms_correction():
    # Oracle: the two-sided binomial test of the images that one model alone gets
    # right: 0 of 7 has p = 2 / 2^7, 0 of 10 has 2 / 2^10; times 2 and 3 by hand.
    right = {name: np.ones(40, bool) for name in ("a", "b", "c")}
    right["b"][:7] = False
    right["c"][10:20] = False
    pairs = results.differences(right)
    p_values = {(pair["first"], pair["second"]): pair["p_value"] for pair in pairs}
    assert p_values["a", "c"] == pytest.approx(3 * 2 / 2**10)
    assert p_values["a", "b"] == pytest.approx(2 * 2 / 2**7)
    assert results.ties("a", pairs) == []
    assert results.ties("b", pairs) == ["c"]
    assert results.ties("c", pairs) == ["b"]


def test_the_most_confused_pairs():
    # Oracle: counted by hand from LABELS and ANSWERS.
    pairs = results.confused_pairs(ANSWERS, LABELS)
    assert pairs[0] == (0, 2, {"sigmoid_mse": 0, "relu_softmax": 2})
    assert (1, 2, {"sigmoid_mse": 0, "relu_softmax": 1}) in pairs
    assert sum(sum(counts.values()) for *_, counts in pairs) == 7
    images = np.zeros((len(LABELS), 4, 4), np.uint8)
    axes = figures.confused(ANSWERS, Batch(images, LABELS)).axes[0]
    assert axes.texts[0].get_text() == "0 taken for 2"
    assert [text.get_text() for text in axes.texts[1:3]] == ["0", "2"]


def test_calibration_shows_shares_by_confidence():
    # Oracle: by hand; the sure half is right on 4 of 5, the other on 1 of 5.
    labels = np.zeros(10, int)
    answer = np.array([0, 0, 0, 0, 1, 0, 1, 1, 1, 1])
    probability = np.repeat([0.97, 0.6], 5).astype(np.float32)
    figure = figures.calibration({"flax_dense": Answers(answer, probability)}, labels)
    *_, line = figure.axes[0].lines[:2]
    np.testing.assert_allclose(line.get_xydata(), [[0.6, 0.2], [0.97, 0.8]], rtol=1e-6)


def test_first_layers_are_kept_by_epoch(tmp_path):
    run = Run.open("compare", quick(tmp_path / "run"))
    kernels = {n: np.full((784, 5), n, np.float32) for n in (0, 2)}
    rows = [{"model": "relu_softmax", "epoch": n} for n in (1, 2)]

    def record():
        for number, kernel in kernels.items():
            params = {"kernel": kernel, "bias": np.zeros(5)}
            results.keep_first_layer(run, "relu_softmax", number, params)
        yield from rows

    run.record(record())
    run.publish({}, title="T", lead=lambda: "L")
    [(name, kept)] = results.first_layers(run, ["relu_softmax"]).items()
    assert (name, list(kept)) == ("relu_softmax", [0, 2])
    np.testing.assert_array_equal(kept[2], kernels[2][:, : results.NEURONS])
    [axes] = figures.first_layer_by_epoch({name: kept}, (28, 28)).axes
    drawn = axes.images[0].get_array().compressed()
    assert np.sum(drawn == 0) == np.sum(drawn == 2) == 784 * results.NEURONS


def test_curves_show_the_epochs():
    by_epoch, by_seconds, loss, *_ = figures.curves({"sigmoid_mse": ROWS}).axes
    solid, dotted = by_epoch.lines
    np.testing.assert_allclose(solid.get_xydata(), [[1, 40 / 50], [2, 45 / 50]])
    np.testing.assert_allclose(dotted.get_xydata(), [[1, 30 / 40], [2, 30 / 40]])
    [line] = by_seconds.lines
    np.testing.assert_allclose(line.get_xydata(), [[0.25, 0.8], [0.5, 0.9]])
    losses = [list(line.get_ydata()) for line in loss.lines]
    np.testing.assert_allclose(losses, [[1.0, 0.6], [0.9, 0.5]], rtol=1e-6)
    assert "validation" in by_epoch.get_ylabel()
    both = figures.curves({"sigmoid_mse": ROWS, "row_rnn": ROWS}).axes
    assert [axes.get_ylabel() for axes in both[2:]] == list(figures.COSTS.values())


def test_curves_without_a_validation_set_show_the_training():
    rows = [epoch_row(1, 0.9, 0, seen=0), epoch_row(2, 0.5, 0, seen=0)]
    by_epoch, _, loss = figures.curves({"row_rnn": rows}).axes
    assert list(by_epoch.lines[0].get_ydata()) == [0.75, 0.75]
    assert len(loss.lines) == 1
    assert "training" in by_epoch.get_ylabel()


@pytest.mark.parametrize(
    ("shape", "tiles"),
    [((784, 10), True), ((784, 1), True), ((28, 10), False), ((29, 1), False)],
)
def test_first_layers_of_any_size_are_drawn(shape, tiles):
    # (28, 10) is row_rnn without a hidden layer, (29, 1) with one of a single neuron.
    kernel = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    params = (Dense(kernel, np.zeros(shape[1], np.float32)),)
    [axes] = figures.first_layer({"a model": params}, (28, 28)).axes
    drawn = axes.images[0].get_array().compressed()
    np.testing.assert_array_equal(np.sort(drawn), np.sort(kernel.ravel()))
    assert axes.images[0].get_clim()[1] == pytest.approx(
        np.percentile(np.abs(kernel), 99.5)
    )


def test_the_confusion_matrix_counts():
    # Oracle: counted by hand; rows are labels, columns answers. Classes 0, 1, 2, 4.
    one, two = figures.confusion(ANSWERS, LABELS).axes
    cells = {
        (round(text.get_position()[1]), round(text.get_position()[0])): text.get_text()
        for text in one.texts
    }
    assert cells == {(0, 1): "1", (2, 0): "1"}
    assert "2 errors" in one.get_title()
    assert one.images[0].get_clim() == two.images[0].get_clim() == (0, 2)


def test_the_gallery_begins_with_what_most_models_miss():
    # Oracle: by hand. Both models miss image 2, one of them six others; of those it
    # is surest of image 4.
    images = np.zeros((len(LABELS), 4, 4), np.uint8)
    sure = SURE.copy()
    sure[4] = 0.9
    answers = ANSWERS | {"relu_softmax": Answers(ANSWERS["relu_softmax"].label, sure)}
    axes = figures.gallery(answers, Batch(images, LABELS)).axes[0]
    words = [text.get_text() for text in axes.texts]
    titles = [text for text in words if text.startswith("no.")]
    numbers = [int(text.split(":")[0].removeprefix("no. ")) for text in titles]
    assert numbers == [2, 4, 1, 3, 7, 9]
    assert len(axes.images) == 6
    assert words[3:6] == ["no. 4: 1", "1\n60", "0\n90"]
    assert [text.get_fontweight() for text in axes.texts[4:6]] == ["normal", "bold"]
    assert "6 of 10" in axes.get_title()
    assert "1 by all" in axes.get_title()


def test_figures_of_models_without_errors():
    right = {"sigmoid_mse": Answers(LABELS, SURE)}
    images = np.zeros((len(LABELS), 4, 4), np.uint8)
    assert "0 errors" in figures.confusion(right, LABELS).axes[0].get_title()
    for make in (figures.gallery, figures.confused):
        figure = make(right, Batch(images, LABELS))
        figure.canvas.draw()  # the layout of a figure without images must hold
        assert not figure.axes[0].texts


def test_nothing_is_drawn_where_no_model_was_tested(capsys):
    unfinished = {"epochs_done": 1, "epochs": 5, "validation_accuracy": None}
    content = {"models": {}, "unfinished": {"row_rnn": unfinished}}
    assert list(page.sections(None, content, {}, {})) == []
    assert "row_rnn stopped after 1 of 5 epochs" in capsys.readouterr().out


# ---- on MNIST


@pytest.mark.slow
@pytest.mark.mnist
@pytest.mark.usefixtures("mnist", "undrawn")
def test_relu_softmax_on_mnist(tmp_path):
    # Oracle: MNIST's published size, and the accuracy of such networks after an
    # epoch or two (LeCun's table lists 95.3 % for 300 hidden units).
    small = replace(
        MODELS["relu_softmax"].recipe,
        layer_sizes=SMALL,
        batch_size=100,  # whole batches
        learning_rate=0.2,
    )
    config = compare.Config(
        models=("relu_softmax",),
        relu_softmax=small,
        epochs=2,
        dataset="mnist",
        output=tmp_path / "run",
    )
    written = compare.main(config)
    entry = written["models"]["relu_softmax"]
    sizes = [written[f"{part}_examples"] for part in ("train", "validation")]
    assert sizes == [50_000, 10_000]
    assert entry["test_seen"] == 10_000
    assert entry["reported_accuracy"] == 0.971  # the write-up's Model 2
    assert entry["test_accuracy"] > 0.9
    rows = predictions_of(tmp_path / "run" / "predictions.csv")
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    # Oracle: the published test set.
    assert np.bincount([int(row["label"]) for row in rows]).tolist() == counts
