"""A contender's process: one epoch at a time, when the parent says so."""

import importlib
import signal
import sys
import time
import traceback
from multiprocessing.connection import Connection
from statistics import fmean

from experiments.speed.contenders.task import Epoch, Report, Task, read_data

EVALUATION_BATCH = 1000  # test images at a time, so that testing adds little memory


def serve(connection: Connection, module: str, task: Task, started: float) -> None:
    """Train until the parent ends the process.

    Sends a `Report` after each turn, then waits for a word before the next; the
    first turn begins at once and is one epoch. An error is sent as its traceback.

    Args:
      connection: to the parent.
      module: of the contender, in this package.
      task: what to train.
      started: `time.time()` when the parent started this process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle

    turn: list[Epoch] = []
    epochs_per_turn = 1

    def on_epoch(epoch: Epoch) -> None:
        nonlocal epochs_per_turn
        turn.append(epoch)
        if len(turn) < epochs_per_turn:
            return
        connection.send(_report(turn, task, started))
        turn.clear()
        epochs_per_turn = task.epochs_per_turn
        connection.recv()

    try:
        contender = importlib.import_module(f"contenders.{module}")
        data = read_data(task.folder, "train", task.num_examples)
        contender.run(task, data, on_epoch)
    except (EOFError, BrokenPipeError):
        return  # the parent is gone
    except Exception:
        connection.send(traceback.format_exc())


def _report(turn: list[Epoch], task: Task, started: float) -> Report:
    """The mean of a turn's epochs, and the state after the last one."""
    since_start = time.time() - started
    peak = peak_bytes()
    correct, seen = _evaluate(turn[-1], task)
    return Report(
        seconds=fmean(epoch.seconds for epoch in turn),
        compile_seconds=turn[-1].compile_seconds,
        since_start=since_start,
        correct=correct,
        seen=seen,
        peak_bytes=peak,
        fixed_seconds=fmean(epoch.fixed_seconds for epoch in turn),
    )


def _evaluate(epoch: Epoch, task: Task) -> tuple[int, int]:
    """Test images recognised, and all of them."""
    test = read_data(task.folder, "test")
    correct = 0
    for first in range(0, len(test.label), EVALUATION_BATCH):
        part = slice(first, first + EVALUATION_BATCH)
        correct += int((epoch.predict(test.image[part]) == test.label[part]).sum())
    return correct, len(test.label)


def peak_bytes() -> int | None:
    """The most memory that this process has held, where the system tells it.

    Linux's VmHWM rather than ru_maxrss: that one survives `exec`, and so would
    be the parent's memory when the parent is the larger.
    """
    try:
        with open("/proc/self/status", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
