"""Start a program many times from one process, and kill it at random moments.

The process imports what the program needs and computes nothing, so that it may be
forked. Each program is a fork of it that runs the command's own `main`, and so starts
in a fraction of the time.
"""

import importlib
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.durability.ends import compared, left_behind
from experiments.kit import folder, resume
from experiments.kit.command import run_command
from experiments.kit.publish import prepare_to_draw
from jaxnets import data

START_SHARE = 0.15  # of the kills at any moment of the start, the others after it
PATIENCE = 300.0  # seconds that a program may take to its next checkpoint or its end
GRACE = 20.0  # seconds that the processes of a dead program have to end
LAST_LINES = 5  # of what a program printed that failed


class Plan(NamedTuple):
    """Runs of one kind."""

    networks: str  # "jax" or "keras"
    options: tuple[str, ...]  # of experiments.compare
    kills: int  # in all runs together
    most_epochs: float  # from the first checkpoint to the kill, as time


def kill_runs(
    send: Callable[[dict[str, Any]], None], plan: Plan, path: Path, seed: int
) -> None:
    """Kill and resume runs below `path`; send a row for each kill and each run's end.

    First comes a run that nobody kills, which the others are compared with.
    """
    from experiments.compare.__main__ import Config, main

    # What the programs import late is imported here.
    importlib.import_module("jaxnets.flax_dense")
    data.load("digits")
    prepare_to_draw()
    rng = np.random.default_rng((seed, len(plan.networks)))

    def start(output: Path) -> int:
        arguments: tuple[object, ...] = ("--resume", output)
        if not (output / folder.CONFIG).exists():
            shutil.rmtree(output, ignore_errors=True)  # killed before there was a run
            arguments = ("--output", output, *plan.options)
        return _fork(lambda: run_command(main, Config), arguments, _log(output))

    whole = path / f"{plan.networks}-whole"
    began = time.monotonic()
    pid = start(whole)
    ending = _wait(pid, _next_save(whole))
    start_seconds = time.monotonic() - began
    _require_well(ending if ending is not None else _wait(pid), whole)
    window = plan.most_epochs * _seconds_per_epoch(whole)
    kills = number = 0
    while kills < plan.kills:
        number += 1
        output = path / f"{plan.networks}-{number}"
        about, kills_before = {"networks": plan.networks, "run": number}, kills
        while True:
            began, saved = time.monotonic(), _next_save(output)
            pid = start(output)
            if kills == plan.kills:
                ending = _wait(pid)
            elif rng.random() < START_SHARE:
                ending = _wait(pid, _in(rng.uniform(0, start_seconds)))
            else:
                ending, wait = _wait(pid, saved), rng.uniform(0, window)
                ending = _wait(pid, _in(wait)) if ending is None else ending
            if ending is not None:
                break
            survivors = _kill(pid)
            seconds, kills = time.monotonic() - began, kills + 1
            left = left_behind(output, has_saved=saved())
            row = {"kind": "kill", **about, "seconds": seconds, "survivors": survivors}
            send({**row, **left._asdict()})
        _require_well(ending, output)
        row = {"kind": "end", **about, "kills": kills - kills_before}
        send({**row, **compared(whole, output)._asdict()})


def _fork(command: Callable[[], None], arguments: Sequence[object], log: Path) -> int:
    """Run the command in a fork of this process; returns its number."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        with open(log, "ab") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
        # It ends with the process that began it all, as its parent does.
        threading.Thread(target=_end_with_input, daemon=True).start()
        sys.argv = ["compare", *map(str, arguments)]
        command()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _end_with_input() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


def _wait(pid: int, moment: Callable[[], bool] = lambda: False) -> int | None:
    """Wait for a moment: None; or the exit code of the program, if it ends before."""
    patience = time.monotonic() + PATIENCE
    while not moment():
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > patience:
            _kill(pid)
            raise RuntimeError(f"a program did nothing for {PATIENCE:.0f} s")
        time.sleep(0.001)
    return None


def _in(seconds: float) -> Callable[[], bool]:
    moment = time.monotonic() + seconds
    return lambda: time.monotonic() >= moment


def _next_save(output: Path) -> Callable[[], bool]:
    """Whether the run has saved a checkpoint since now."""

    def stamp() -> int:
        try:
            return (output / resume.CHECKPOINT).stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    before = stamp()
    return lambda: stamp() != before


def _kill(pid: int) -> int:
    """Kill the program; how many of its own processes are there after a while."""
    file = Path(f"/proc/{pid}/task/{pid}/children")
    children = file.read_text().split() if file.exists() else []
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    patience = time.monotonic() + GRACE
    while children and time.monotonic() < patience:
        children = [child for child in children if Path(f"/proc/{child}").exists()]
        time.sleep(0.01)
    return len(children)


def _log(output: Path) -> Path:
    return output.with_name(f"{output.name}.log")


def _require_well(exit_code: int | None, output: Path) -> None:
    if exit_code:
        lines = _log(output).read_text(errors="replace").splitlines()[-LAST_LINES:]
        text = " ".join(lines)
        raise RuntimeError(f"the run in {output} ended with code {exit_code}: {text}")


def _seconds_per_epoch(output: Path) -> float:
    """Between two checkpoints: the median of the run's epochs, and a save."""
    rows = folder.read_rows(output)
    seconds = [row["seconds"] + row["evaluation_seconds"] for row in rows]
    return float(np.median(seconds))
