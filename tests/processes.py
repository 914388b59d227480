"""Programs started and interrupted as a user does it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PATIENCE = 30  # seconds for what takes one or two


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
    """Until the process has written a line to the file, a minute at most."""
    for _ in range(1200):
        if file.is_file() and b"\n" in file.read_bytes():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    stop(process)
    raise AssertionError(f"{file} has no line after a minute")


def interrupt(process: subprocess.Popen) -> str:
    """Press Ctrl-C until the process ends; returns its standard error.

    Python drops an interruption that comes while a destructor or a callback of a
    library runs, which is rare; then a user presses again.
    """
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        try:
            return process.communicate(timeout=PATIENCE)[1]
        except subprocess.TimeoutExpired:
            continue
    said = stop(process)
    raise AssertionError(f"the process goes on in spite of Ctrl-C: {said}")


def stop(process: subprocess.Popen) -> str:
    """End the process at once; returns its standard error."""
    process.kill()
    return process.communicate()[1]
