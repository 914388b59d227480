"""The parent's side: contenders in processes of their own, in interleaved rounds.

All contenders of a model live at the same time and only one of them works at a
time, so a drift of the machine's speed hits all alike.
"""

import contextlib
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Container, Iterator, Mapping
from statistics import median

from experiments.speed.contenders import Contender
from experiments.speed.contenders.task import Report, Task
from experiments.speed.contenders.worker import serve

PAUSE_SECONDS = 0.1  # between epochs: threads of the last one may still spin
GOALS = {  # Model 1 ends near 95 % and never reaches the second one
    "sigmoid_mse": (0.95,),
    "relu_softmax": (0.95, 0.97),
    "flax_dense": (0.95, 0.97),
}
OnReport = Callable[[str, int, Report], None]  # contender, epoch from 1, its figures


class ContenderFailed(RuntimeError):
    """A contender's process ended with an error; the message is its traceback."""


class Worker:
    """A contender's process; its first epoch begins with it."""

    def __init__(self, contender: Contender, task: Task) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        arguments = (theirs, contender.module, task, time.time())
        self._process = context.Process(target=serve, args=arguments, daemon=True)
        environment = _environment(contender.environment)
        with environment, _interrupts_ignored(), _script_hidden():
            self._process.start()
        theirs.close()  # so that the end of the process is seen here

    def next_epoch(self) -> None:
        """Let the next epoch begin."""
        with contextlib.suppress(BrokenPipeError):  # `report` tells why
            self._connection.send("next")

    def report(self) -> Report:
        """Wait for the epoch's end."""
        try:
            message = self._connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            raise ContenderFailed(
                f"its process ended with exit code {self._process.exitcode}"
            ) from None
        if isinstance(message, str):
            raise ContenderFailed(message)
        return message

    def stop(self) -> None:
        """End the process, whatever it does."""
        self._process.terminate()
        self._process.join()
        self._connection.close()


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set for a process to inherit: libraries read them when they are loaded."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """A process started here ignores Ctrl-C from its first moment on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _script_hidden() -> Iterator[None]:
    """A process started here does not import the script that the user started.

    `spawn` would, and each contender would carry what that script loads.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def measure(
    contenders: Mapping[str, Contender],
    task: Task,
    num_rounds: int,
    max_epochs: int,
    note: OnReport,
) -> Iterator[dict[str, str]]:
    """Train one model with all its contenders, noting each turn as it ends.

    The first epoch of each comes with its start, one contender after the other.
    Then follow `num_rounds` rounds of a turn each, in a new order each time;
    and then those go on that have not reached the accuracies in `GOALS`, up to
    `max_epochs`, the recipe's number (0: nobody): of a family the fastest member
    only.

    Yields:
      After the start and after each round: who failed so far, and why.
    """
    workers: dict[str, Worker] = {}
    reports: dict[str, list[Report]] = {name: [] for name in contenders}
    failed: dict[str, str] = {}
    shuffle = random.Random(task.seed).shuffle

    def one_epoch(name: str) -> None:
        try:
            if name in workers:
                workers[name].next_epoch()
            else:
                workers[name] = Worker(contenders[name], task)
            reports[name].append(workers[name].report())
        except ContenderFailed as error:
            failed[name] = str(error)
            return
        note(name, len(reports[name]), reports[name][-1])
        time.sleep(PAUSE_SECONDS)

    def takes_part(name: str, round_number: int) -> bool:
        if name in failed:
            return False
        if round_number <= num_rounds:
            return True
        if len(reports[name]) >= max_epochs or _done(reports[name], task.model):
            return False
        return name in _fastest(contenders, reports, failed, num_rounds)

    try:
        round_number = 0  # the start
        while turns := [name for name in contenders if takes_part(name, round_number)]:
            shuffle(turns)
            for name in turns:
                one_epoch(name)
            yield dict(failed)
            round_number += 1
    finally:
        for worker in workers.values():
            worker.stop()


def _fastest(
    contenders: Mapping[str, Contender],
    reports: dict[str, list[Report]],
    failed: Container[str],
    num_rounds: int,
) -> set[str]:
    """The faster member of each family: only its time to an accuracy counts."""
    seconds = {
        name: median(report.seconds for report in found[1 : num_rounds + 1])
        for name, found in reports.items()
        if name not in failed
    }
    best: dict[str, str] = {}
    for name in sorted(seconds, key=seconds.__getitem__):
        best.setdefault(contenders[name].family, name)
    return set(best.values())


def _done(reports: list[Report], model: str) -> bool:
    best = max(report.correct / report.seen for report in reports)
    return best >= GOALS[model][-1]
