"""Programs started, interrupted and killed as a user does it."""

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

from jaxnets.process import KERAS_DOES_WITHOUT, iterate

PATIENCE = 180  # seconds; on a busy machine a start takes a minute


def iterate_here(function, *args, **options):
    """In place of `process.iterate`: in this process, where TensorFlow loads only once.

    For tests that ask nothing of the process; everything is pickled all the same.
    """
    del options  # what is loaded stays
    function, args = pickle.loads(pickle.dumps((function, args)))
    sent, end = [], None
    try:
        function(lambda value: sent.append(pickle.dumps(value)), *args)
    except Exception as error:
        end = error
    yield from map(pickle.loads, sent)
    if end:
        raise end


def iterate_keras_here(function, *args, **options):
    """`iterate_here` for what loads tf.keras; all else has its own process."""
    is_keras = options.get("without") == KERAS_DOES_WITHOUT
    return (iterate_here if is_keras else iterate)(function, *args, **options)


def start(
    *command: object, stdin: bool = False, cwd: Path | None = None, **environment: str
) -> subprocess.Popen:
    """A Python process with its output in pipes, and its input where that is asked.

    It has as many devices as the tests' own process, and so the same compiled programs.
    """
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "2", **environment}
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        stdin=subprocess.PIPE if stdin else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=environment,
        text=True,
    )


def wait_for_line(process: subprocess.Popen, file: Path) -> None:
    """Until the process has written a line to the file; starting takes seconds."""
    for _ in range(20 * PATIENCE):
        if file.is_file() and b"\n" in file.read_bytes():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError(f"{file} has no line in {PATIENCE} s: {stop(process)}")


def interrupt(process: subprocess.Popen, number: signal.Signals = signal.SIGINT) -> str:
    """Press Ctrl-C, or send another signal, and wait for the end; returns stderr."""
    process.send_signal(number)
    try:
        return process.communicate(timeout=PATIENCE)[1]
    except subprocess.TimeoutExpired:
        stderr = stop(process)
        raise AssertionError(f"it goes on in spite of {number!r}: {stderr}") from None


def stop(process: subprocess.Popen) -> str:
    """Kill the process, which it cannot notice; returns its standard error."""
    process.kill()
    return process.communicate()[1]


def is_running(pid: int) -> bool:
    """Whether there is such a process; one that nobody has waited for has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")  # "pid (name) state ..."; Z: ended, X: dead
    return not (
        stat.exists() and stat.read_text().rpartition(")")[2].split()[0] in "ZX"
    )


def wait_for_end(pid: int) -> None:
    """Until the process has ended."""
    for _ in range(20 * PATIENCE):
        if not is_running(pid):
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} still runs after {PATIENCE} s")
