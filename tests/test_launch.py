"""Several processes on one machine: the same training, and none survives another."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import processes
import pytest

from experiments import launch
from experiments.kit import alike, cluster
from experiments.kit.cluster import DeviceOptions
from jaxnets.errors import InputError

ROOT = Path(__file__).parents[1]
# Sizes and data of other tests, whose programs are in the cache.
COMPARE = (
    *("compare", "--models", "relu_softmax", "--dataset", "digits", "--seed", 1),
    *("--relu-softmax.layer-sizes", 784, 30, 10),
)
BOUND = 30  # seconds until the others have ended


def start(*options, count=2):
    """Processes of two devices each."""
    program = ("-m", "experiments.launch", "--processes", count)
    options = (*program, *COMPARE, "--devices", 2, *options)
    # As JAX sets it, and not as conftest does.
    return processes.start(*options, cwd=ROOT, TF_CPP_MIN_LOG_LEVEL="1")


def children_of(process):
    """The numbers of the launched processes, the first one's first."""
    listing = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not listing.exists():
        pytest.skip("only Linux lists a process's children")
    return [int(number) for number in listing.read_text().split()]


def lines_of(path):
    text = (path / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A run of two processes, one of which is killed in mid-epoch; four go on."""
    path = tmp_path_factory.mktemp("launch") / "run"
    process = start("--epochs", 40, "--output", path)
    processes.wait_for_line(process, path / "metrics.jsonl")
    children = children_of(process)
    os.kill(children[1], signal.SIGKILL)
    began = time.monotonic()
    try:
        _, complaint = process.communicate(timeout=processes.PATIENCE)
    except subprocess.TimeoutExpired:
        raise AssertionError(processes.stop(process)) from None
    seconds = time.monotonic() - began
    survivors = [number for number in children if processes.is_running(number)]
    reached = len(lines_of(path))
    more = ("--epochs", reached + 1, "--allow-changes")
    resumed = start("--resume", path, *more, count=4)
    printed, words = resumed.communicate(timeout=processes.PATIENCE)
    assert resumed.returncode == 0, words
    return path, process.returncode, complaint, seconds, survivors, reached, printed


def test_of_several_that_ended_the_killed_one_is_the_cause():
    def ended(number, end):
        popen = subprocess.Popen([sys.executable, "-c", f"import os; {end}"])
        popen.wait()
        return launch.Process(number, popen, None)

    processes_ = [ended(0, "os._exit(1)"), ended(1, "os.kill(os.getpid(), 9)")]
    assert launch.wait(processes_).number == 1
    assert launch.wait(processes_[:1]).number == 0
    assert launch.wait([ended(0, "os._exit(0)")]) is None


def test_all_end_soon_when_one_is_killed_and_each_says_why(killed):
    _, code, complaint, seconds, survivors, _, _ = killed
    assert code == 1 and survivors == []
    assert seconds < BOUND
    first, second = complaint.splitlines()
    # The error of a connection, or where it does not reach Python, JAX's own end.
    lost = "another process has been lost|process 0 was ended, as JAX does when another"
    assert re.match(f"error: ({lost}).*--resume", first)
    assert re.match(r"error: process 1 was killed \(signal 9\)", second)


def test_what_was_reached_is_written_and_the_run_goes_on(killed):
    path, *_, reached, printed = killed
    rows = lines_of(path)
    assert [row["epoch"] for row in rows] == list(range(1, reached + 2))
    results = json.loads((path / "results.json").read_text())
    assert results["status"] == "complete"
    assert printed.count("The run is complete") == 1  # one process prints
    assert "not bit for bit" in results["notice"]
    assert "process_count was 2 and is 4" in results["notice"]
    assert "Gloo" not in printed


def test_two_and_four_processes_train_as_one(killed, digits):
    # Oracle: the same network in this process, on one device.
    from dataclasses import replace

    from jaxnets import models

    path, *_, reached, _ = killed
    recipe = models.get("relu_softmax").recipe
    recipe = replace(recipe, layer_sizes=(784, 30, 10), num_epochs=reached + 1)
    *epochs, _ = models.train_and_test("relu_softmax", recipe, digits, 1)
    for row, epoch in zip(lines_of(path), epochs, strict=True):
        assert row["validation_seen"] == epoch.held_out[0].seen
        # float32 rounding of at most a few thousand updates; an image may change sides
        assert abs(row["validation_correct"] - epoch.held_out[0].correct) <= 3
        np.testing.assert_allclose(row["train_loss"], epoch.train.mean_loss, rtol=1e-2)
    first = lines_of(path)[0]
    np.testing.assert_allclose(
        first["train_loss"], epochs[0].train.mean_loss, rtol=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_all_end_when_one_is_stopped(tmp_path, number):
    path = tmp_path / "run"
    process = start("--epochs", 1000, "--output", path)
    processes.wait_for_line(process, path / "metrics.jsonl")
    children = children_of(process)
    os.kill(children[number], signal.SIGSTOP)
    _, complaint = process.communicate(
        timeout=cluster.HEARTBEAT_SECONDS + launch.FAREWELL_SECONDS + BOUND
    )
    assert process.returncode == 1
    assert not any(map(processes.is_running, children))
    assert f"process {1 - number} was ended, as JAX does" in complaint


@pytest.mark.slow
def test_a_signal_ends_all_and_what_was_reached_is_written(tmp_path):
    path = tmp_path / "run"
    process = start("--epochs", 1000, "--output", path)
    processes.wait_for_line(process, path / "metrics.jsonl")
    children = children_of(process)
    complaint = processes.interrupt(process, signal.SIGTERM)
    assert process.returncode == 143, complaint
    assert complaint == "error: stopped by SIGTERM\n"  # once
    assert not any(map(processes.is_running, children))
    results = json.loads((path / "results.json").read_text())
    assert results["status"] == "interrupted"


def test_processes_that_differ_are_told_apart():
    first = {"epochs": 3, "head": {"versions": {"jax": "1"}, "train_examples": 5}}
    other = {"epochs": 3, "head": {"versions": {"jax": "2"}}, "stream": True}
    assert alike.differences(first, first) == []
    assert alike.differences(first, other) == [
        "head.versions.jax is 2, not 1",
        "head.train_examples is None, not 5",
        "stream is True, not None",
    ]


def given(*values):
    names = ("coordinator", "num_processes", "process_id")
    return {"distributed": True, **dict(zip(names, values, strict=True))}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": 0}, "devices=0 must be at least 1"),
        ({"coordinator": "a:1"}, "need --distributed"),
        ({"process_id": 0}, "need --distributed"),
        (
            {"distributed": True, "coordinator": "a:1"},
            "coordinator=a:1, num_processes=None, process_id=None: name all three",
        ),
        (given("a:1", 2, 2), "process_id=2 must be less than num_processes=2"),
        (given("a", 2, 0), "coordinator=a must be HOST:PORT"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with (
        pytest.raises(InputError, match=message),
        cluster.joined(DeviceOptions(**options)),
    ):
        pass


def test_devices_that_are_not_there():
    with pytest.raises(InputError, match=r"devices=64, but JAX finds 2 \(cpu\)"):
        cluster.mesh(DeviceOptions(devices=64))
    assert cluster.mesh(DeviceOptions()) is None
    assert cluster.mesh(DeviceOptions(devices=2)).axis_names == ("data",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--distributed finds no Slurm, .*name --coordinator"),
        (("127.0.0.1:9", 2, 1), "have not met at the coordinator 127.0.0.1:9 within"),
        (("127.0.0.1:9", 2, 0), "have not met|coordinator 127.0.0.1:9"),
    ],
)
def test_processes_that_do_not_meet(options, message):
    names = ("--coordinator", "--num-processes", "--process-id")
    given = [text for pair in zip(names, options, strict=False) for text in pair]
    program = (
        "from experiments.kit import cluster, command\n"
        "cluster.CONNECT_SECONDS = 1\n"
        "def main(options):\n"
        "    with cluster.joined(options): pass\n"
        "command.run_command(main, cluster.DeviceOptions)"
    )
    process = processes.start(
        *("-c", program, "--distributed", *given), cwd=ROOT, TF_CPP_MIN_LOG_LEVEL="1"
    )
    _, complaint = process.communicate(timeout=processes.PATIENCE)
    assert process.returncode == 1
    (line,) = complaint.splitlines()
    assert line.startswith("error: ") and re.search(message, line)


def test_the_launcher_takes_its_own_options_only():
    args = ["--processes", "4", "compare", "--models", "relu_softmax"]
    assert launch.split(args) == (args[:2], args[2:])
    assert launch.split(["--help"]) == (["--help"], [])
    with pytest.raises(InputError, match="name an experiment to launch: compare"):
        launch.launch(launch.Config(), [])
    with pytest.raises(InputError, match="processes=0 must be at least 1"):
        launch.launch(launch.Config(processes=0), ["compare"])


def test_no_process_outlives_the_launcher(tmp_path):
    path = tmp_path / "run"
    process = start("--epochs", 1000, "--output", path)
    processes.wait_for_line(process, path / "metrics.jsonl")
    children = children_of(process)
    process.kill()
    process.communicate()
    for number in children:
        processes.wait_for_end(number)


def test_the_python_of_the_last_word():
    program = [sys.executable, "-S", "-c", cluster.LAST_WORD, "lost\n"]
    for goodbye, words in ((b"", b"lost\n"), (cluster.GOODBYE, b"")):
        result = subprocess.run(program, input=goodbye, capture_output=True, check=True)
        assert result.stderr == words
