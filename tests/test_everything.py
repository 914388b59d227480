"""`experiments.everything`: every experiment in turn, and one page for all."""

import importlib
import json
import signal
from pathlib import Path

import numpy as np
import processes
import pytest
import tyro

from experiments import everything
from experiments.everything import Entry
from experiments.kit.command import PartFailed
from jaxnets.errors import InputError

ROOT = Path(__file__).parents[1]


# The program itself, with one experiment that is soon done and one that is not.
PROGRAM = """
from experiments import everything
from experiments.everything import Entry
from experiments.kit.command import run_command

everything.FULL["compare"] = (
    "--models sigmoid_mse --sigmoid-mse.layer-sizes 784 10 --epochs 1 "
    "--validation-examples 237"  # whole batches are left
)
everything.FULL["control"] = "--programs numpy_from_scratch --rounds 1000"
run_command(everything.main, everything.Config)
"""


@pytest.mark.slow
def test_pages_are_gathered_up_to_a_stop_signal(tmp_path):
    # The working folder has a file called as one of Python's own modules.
    (tmp_path / "random.py").write_text("raise SystemExit('the wrong module')")
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "everything.py").write_text(PROGRAM)
    path = tmp_path / "run"
    process = processes.start(
        *(tmp_path / "program" / "everything.py", "--dataset", "digits"),
        *("--experiments", "compare", "control", "bugs", "--output", path),
        cwd=tmp_path,
        PYTHONPATH=str(ROOT),
        JAX_ENABLE_X64="1",  # nothing may depend on JAX's default
    )
    processes.wait_for_line(process, path / "control" / "metrics.jsonl")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    numbers = children.read_text().split() if children.exists() else []
    complaint = processes.interrupt(process, signal.SIGTERM)
    assert process.returncode == 143
    assert complaint.splitlines()[-1] == "error: stopped by SIGTERM"
    assert not any(processes.is_running(int(number)) for number in numbers)

    entries = json.loads((path / "results.json").read_text())["experiments"]
    ends = [(entry["name"], entry["exit_code"]) for entry in entries]
    assert ends == [("compare", 0), ("control", 143)]
    assert entries[0]["command"] == (
        "python -m experiments.compare --models sigmoid_mse "
        "--sigmoid-mse.layer-sizes 784 10 --epochs 1 --validation-examples 237 "
        "--dataset digits"
    )
    for entry, status in zip(entries, ("complete", "interrupted"), strict=True):
        inner = json.loads((path / entry["name"] / "results.json").read_text())
        assert (inner["status"], inner["dataset"]) == (status, "digits")
    with np.load(path / "compare" / "weights" / "sigmoid_mse.npz") as arrays:
        assert arrays["kernel_0"].dtype == arrays["bias_0"].dtype == np.float32
    page = (path / "index.html").read_text()
    assert 'href="compare/report.html"' in page
    assert 'src="compare/curves.png"' in page
    assert page.count('class="failed"') == 1 and "exit code 143" in page


def test_one_that_fails_is_named_and_does_not_stop_the_others(
    tmp_path, monkeypatch, capfd
):
    # In Python's place a program that says what it was asked for and refuses.
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "refused: $*" >&2\nexit 1\n')
    python.chmod(0o755)
    monkeypatch.setattr(everything.sys, "executable", str(python))
    output = tmp_path / "run"
    config = everything.Config(
        experiments=("neurons", "seeds"), quick=True, dataset="digits", output=output
    )
    with pytest.raises(PartFailed, match="failed: neurons, seeds"):
        everything.main(config)
    assert capfd.readouterr().err.splitlines() == [
        f"refused: -m experiments.{name} {everything.QUICK[name]} "
        f"{everything.QUICK_DATA} --dataset digits --output {output / name}"
        for name in ("neurons", "seeds")
    ]
    page = (output / "index.html").read_text()
    assert page.count("exit code 1") == 2


def test_every_experiment_is_among_them():
    folders = {path.parent.name for path in ROOT.glob("experiments/*/__main__.py")}
    assert set(everything.FULL) == set(everything.QUICK) == folders


@pytest.mark.parametrize("name", everything.FULL)
def test_every_experiment_takes_its_options(name, digits):
    # Oracle: the experiment's own command line, and the smallest data set's size.
    experiment = importlib.import_module(f"experiments.{name}.__main__")
    options = f"{everything.FULL[name]} {everything.QUICK[name]} "
    options += f"{everything.QUICK_DATA} --dataset digits"
    config = tyro.cli(experiment.Config, args=options.split())
    assert config.dataset == "digits"
    assert config.examples is None or config.examples <= len(digits.train.label)
    assert everything.question(name)


@pytest.mark.parametrize("experiments", [(), ("no_such",), ("bugs", "bugs")])
def test_unknown_experiments_are_refused(tmp_path, experiments):
    config = everything.Config(experiments=experiments, output=tmp_path / "run")
    with pytest.raises(InputError, match="must be one or more of compare"):
        everything.main(config)
    assert not (tmp_path / "run").exists()


def test_the_index_shows_each_end_and_other_data(tmp_path):
    for name, picture in (("compare", "curves.png"), ("bugs", None)):
        (tmp_path / name).mkdir()
        if picture:
            (tmp_path / name / picture).write_bytes(b"")
    content = {"notice": "only <digits>", "finding": "7 of 12"}
    (tmp_path / "bugs" / "results.json").write_text(json.dumps(content))
    entries = [
        Entry("compare", "Which?", "python", 0, "ended with exit code 0", 1.0),
        Entry("bugs", "Why?", "python", -9, "was killed (signal 9)", 1.0),
    ]
    page = everything.index(tmp_path, entries)
    assert page.count('class="failed"') == 1 and "It was killed (signal 9)." in page
    assert '<p class="lead">7 of 12</p>' in page
    assert '<p class="notice">only &lt;digits&gt;</p>' in page
    assert 'src="compare/curves.png"' in page
    assert "report.html" not in page  # there is none to link


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("choices", {"validation_examples": 0}, "validation_examples=0"),
        ("choices", {"images": 10}, "batch size 64"),
        ("control", {"rounds": 0}, "rounds=0"),
        ("ladder", {"batch_size": 201}, "batch size 201 must be at most 200"),
        ("neurons", {"examples": 1}, "all of one class"),
        ("parity", {"steps": 0}, "steps=0"),
        ("seeds", {"examples": 20}, "batch size 64 must be at most 20"),
        ("speedrun", {"validation_examples": 0, "validation": True}, "examples=0"),
        ("speedrun", {"batch_size": 201}, "batch size 201 must be at most 200"),
        ("sweep", {"validation_examples": 0}, "validation_examples=0"),
        ("sweep", {"batch_sizes": (500,)}, "batch size 500"),
    ],
)
def test_bad_input_leaves_nothing_behind(tmp_path, name, settings, message):
    experiment = importlib.import_module(f"experiments.{name}.__main__")
    settings = {"dataset": "digits", "examples": 200, **settings}
    with pytest.raises(InputError, match=message):
        experiment.main(experiment.Config(output=tmp_path / "run", **settings))
    assert not (tmp_path / "run").exists()
