"""A program's start and end: caches, readers that leave, Ctrl-C, exit codes."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import processes
import pytest
from processes import start

COMPARE = Path(__file__).parents[1] / "experiments" / "compare.py"
HELLO = """
from dataclasses import dataclass
from experiments.kit import command as runtime

@dataclass
class Config:
    name: str = "you"

def main(config):
    print("hello", config.name)

runtime.run(main, Config)
"""
TRAIN = HELLO.replace(
    'print("hello", config.name)',
    """
    from dataclasses import replace
    from jaxnets import data, running
    from jaxnets import models as recipes
    recipe = replace(recipes.SIGMOID_MSE, num_epochs=1)
    *_, trained = running.train("sigmoid_mse", recipe, data.load("digits"), seed=1)
    print("cached:", trained.compile_cached)
""",
)


def test_a_program_that_ends_well():
    with start("-c", HELLO, "--name", "world") as process:
        assert process.communicate() == ("hello world\n", "")
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ('errors.InputError("size 0")', "size 0"),
        ('errors.NonFiniteLoss("the loss is nan")', "the loss is nan"),
        ('errors.ProcessFailed("it ended")', "it ended"),
        ('OSError(28, "No space", "file")', "No space: file"),
    ],
)
def test_an_error_that_is_told_is_one_line_and_exit_code_1(error, message):
    said = 'print("hello", config.name)'
    assert said in HELLO
    failing = f"from jaxnets import errors\n    raise {error}"
    with start("-c", HELLO.replace(said, failing)) as process:
        assert process.communicate() == ("", f"error: {message}\n")
    assert process.returncode == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [(), ("--help",)], ids=["run", "help"])
def test_a_reader_that_has_gone_is_no_traceback(arguments, unbuffered):
    # Buffered output meets the closed pipe at the end, unbuffered at once.
    with start("-c", HELLO, *arguments, PYTHONUNBUFFERED=unbuffered) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_ctrl_c_while_the_program_loads_is_one_line(tmp_path):
    interrupting = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
    (tmp_path / "tyro.py").write_text(interrupting)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    with start("-c", HELLO, PYTHONPATH=path) as process:
        assert process.communicate() == ("", "error: interrupted\n")
    assert process.returncode == 130


def test_the_second_start_does_not_compile(tmp_path):
    def start_prints() -> str:
        with start("-c", TRAIN, XDG_CACHE_HOME=str(tmp_path)) as process:
            printed, complaint = process.communicate()
        assert process.returncode == 0, complaint
        return printed

    assert start_prints() == "cached: False\n"
    kept = os.listdir(tmp_path / "jaxnets" / "compiled")
    assert any(name.startswith("jit_shuffle_and_train") for name in kept)
    # The small program of the evaluation is kept as soon as it has taken 0.05 s to
    # compile, which may happen in the second start for the first time.
    assert any(start_prints() == "cached: True\n" for _ in range(2))


def children_of(pid: int) -> list[int]:
    """Process numbers, where the system tells them."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return (
        [int(child) for child in listed.read_text().split()] if listed.exists() else []
    )


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.keras
def test_ctrl_c_while_keras_trains(tmp_path):
    output = tmp_path / "run"
    metrics = output / "metrics.jsonl"
    process = start(
        *(COMPARE, "--models", "keras_dense", "--dataset", "digits"),
        *("--keras-dense.layer-sizes", 784, 16, 10),
        *("--epochs", 1_000_000, "--output", output),
    )
    processes.wait_for_line(process, metrics)
    children = children_of(process.pid)
    assert children or sys.platform != "linux"
    complaint = processes.interrupt(process)
    assert process.returncode == 130
    assert complaint.splitlines()[-1] == "error: interrupted"
    assert "Traceback" not in complaint
    assert not any(map(is_running, children))

    results = json.loads((output / "results.json").read_text())
    assert (results["status"], results["models"]) == ("interrupted", {})
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    epochs = [line["epoch"] for line in lines]
    assert epochs == list(range(1, len(epochs) + 1))
    assert results["unfinished"]["keras_dense"]["epochs_done"] == len(epochs)
    with np.load(output / "weights" / "keras_dense.npz") as arrays:
        assert arrays["kernel_0"].shape == (784, 16)
