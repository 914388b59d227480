"""`experiments/all.py`: every experiment in turn, and one page for all."""

import importlib
import json
from pathlib import Path

import pytest
import tyro

from experiments.kit import index
from jaxnets.errors import InputError, ProcessFailed

everything = importlib.import_module("all")  # the name of a builtin
EXPERIMENTS = Path(__file__).parents[1] / "experiments"
LESSONS = {"sigmoid_mse", "relu_softmax", "row_rnn", "keras_vs_flax"}


def run(tmp_path, monkeypatch, *arguments):
    monkeypatch.setitem(everything.FULL, "compare", arguments)
    monkeypatch.setitem(everything.QUICK, "compare", ())
    config = everything.Config(
        experiments=("compare",), quick=True, dataset="digits", output=tmp_path / "run"
    )
    return everything.main(config)


def test_the_pages_are_gathered(tmp_path, monkeypatch):
    arguments = ("--models", "sigmoid_mse", "--epochs", "1")
    results = run(tmp_path, monkeypatch, *arguments)
    [entry] = results["experiments"]
    assert (entry["name"], entry["exit_code"]) == ("compare", 0)
    assert entry["notice"] is None
    assert entry["command"] == (
        "python experiments/compare.py --models sigmoid_mse --epochs 1 --dataset digits"
    )
    assert json.loads((tmp_path / "run" / "results.json").read_text()) == results
    index = (tmp_path / "run" / "index.html").read_text()
    assert 'href="compare/report.html"' in index
    assert 'src="compare/curves.png"' in index
    assert "failed" not in index.partition("</style>")[2]
    inner = json.loads((tmp_path / "run" / "compare" / "results.json").read_text())
    assert (inner["status"], inner["dataset"]) == ("complete", "digits")


def test_one_that_fails_is_named(tmp_path, monkeypatch, capfd):
    with pytest.raises(ProcessFailed, match="failed: compare"):
        run(tmp_path, monkeypatch, "--models", "perceptron")
    assert "unknown model 'perceptron'" in capfd.readouterr().err
    index = (tmp_path / "run" / "index.html").read_text()
    assert "It ended with exit code 1." in index


def test_every_experiment_is_among_them():
    scripts = {file.stem for file in EXPERIMENTS.glob("*.py")}
    assert set(everything.FULL) == scripts - LESSONS - {"all"}
    assert everything.QUICK.keys() == everything.FULL.keys()


@pytest.mark.parametrize("name", everything.FULL)
def test_every_experiment_takes_its_options(name, digits):
    # Oracle: the experiment's own command line, and the smallest data set's size.
    experiment = importlib.import_module(name)
    options = [*everything.FULL[name], *everything.QUICK[name], "--dataset", "digits"]
    config = tyro.cli(experiment.Config, args=options)
    assert config.dataset == "digits"
    few = getattr(config, "examples", None)
    assert few is None or few <= len(digits.train.label)


def test_unknown_experiments_are_refused(tmp_path):
    config = everything.Config(experiments=("no_such",), output=tmp_path / "run")
    with pytest.raises(InputError, match="must be of: neurons"):
        everything.main(config)
    assert not (tmp_path / "run").exists()


def test_other_data_than_asked_for_is_said(tmp_path):
    # Without a data set, and MNIST out of reach: the experiment's own results say so.
    (tmp_path / "results.json").write_text('{"notice": "only digits"}')
    assert everything._notice(tmp_path) == "only digits"
    assert everything._notice(tmp_path / "nowhere") is None
    entry = everything.Done("compare", "?", "python", 0, 1.0, "only digits")
    assert '<p class="notice">only digits</p>' in index.render(tmp_path, [entry])
