"""Programs started and interrupted as a user does it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PATIENCE = 180  # seconds; on a busy machine a start takes a minute


def start(*command: object, **environment: str) -> subprocess.Popen:
    """A Python process with its output in pipes."""
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
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


def interrupt(process: subprocess.Popen) -> str:
    """Press Ctrl-C and wait for the end; returns the process's standard error."""
    process.send_signal(signal.SIGINT)
    try:
        return process.communicate(timeout=PATIENCE)[1]
    except subprocess.TimeoutExpired:
        said = stop(process)
        raise AssertionError(f"it goes on in spite of Ctrl-C: {said}") from None


def stop(process: subprocess.Popen) -> str:
    """End the process at once; returns its standard error."""
    process.kill()
    return process.communicate()[1]
