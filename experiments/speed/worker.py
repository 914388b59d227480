"""A contender's process: one turn at a time, when the parent asks for it."""

import importlib
import sys
import time
from collections.abc import Callable
from statistics import fmean

from experiments.speed.task import Epoch, Report, Task, read_data

EVALUATION_BATCH = 1000  # test images at a time, so that testing adds little memory


def serve(
    send: Callable[[Report], None], program: str, task: Task, started: float
) -> None:
    """Train, and send a report after each turn; for `process.iterate` in lockstep.

    The first turn is one epoch, each later one `task.epochs_per_turn`.

    Args:
      send: returns when the next turn is to begin.
      program: a module's name in `experiments.speed.programs`.
      task: what to train.
      started: `time.time()` when this process was started.
    """
    turn: list[Epoch] = []
    turn_size = 1

    def on_epoch(epoch: Epoch) -> None:
        nonlocal turn_size
        turn.append(epoch)
        if len(turn) == turn_size:
            send(_report(turn, task, started))
            turn.clear()
            turn_size = task.epochs_per_turn

    module = importlib.import_module(f"experiments.speed.programs.{program}")
    module.run(task, read_data(task.folder, "train", task.num_examples), on_epoch)


def _report(turn: list[Epoch], task: Task, started: float) -> Report:
    """The mean of a turn's epochs, and the state after the last one."""
    since_start = time.time() - started
    peak = peak_bytes()
    last = turn[-1]
    correct, seen = _evaluate(last, task)
    return Report(
        seconds=fmean(epoch.seconds for epoch in turn),
        compile_seconds=last.compile_seconds,
        since_start=since_start,
        correct=correct,
        seen=seen,
        peak_bytes=peak,
        fixed_seconds=fmean(epoch.fixed_seconds for epoch in turn),
        device=last.device,
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
