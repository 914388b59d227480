"""Rehearse a cluster: an experiment in several processes of this machine.

    python -m experiments.launch --processes 2 compare --models relu_softmax

What comes after the experiment's name are its own options. Each process has
--distributed and what goes with it, and trains on the processor unless JAX_PLATFORMS
says otherwise; `--devices 2` gives each two devices. Process 0 prints, and writes the
run's folder. When one process ends before its time, whatever the reason, all end, and
the run can be resumed; when this program ends, none is left.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from experiments.kit.command import (
    FAREWELL_SECONDS,
    LAUNCHED,
    PartFailed,
    run_command,
    uninterrupted,
)
from experiments.kit.options import require_at_least
from jaxnets.errors import InputError
from jaxnets.process import exit_in_words

EXPERIMENTS = ("compare",)  # that take --distributed
POLL_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Config:
    """How many processes; then an experiment's name, and its options."""

    processes: int = 2
    """Processes to start."""


@dataclass(frozen=True)
class Process:
    """One process of the run, and what it has to say."""

    number: int
    popen: subprocess.Popen
    errors: IO[bytes] | None  # None: the screen

    def failure(self) -> str:
        """How it ended, in a line: its own last one, or its exit code in words."""
        if self.errors is not None and self.popen.returncode != -signal.SIGKILL:
            self.errors.seek(0)
            lines = self.errors.read().decode(errors="replace").split("\n")
            own = [line for line in lines if line.startswith("error: ")]
            if own:
                return f"process {self.number}: {own[-1].removeprefix('error: ')}"
        return f"process {self.number} {exit_in_words(self.popen.returncode)}"


def split(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """The options before the experiment's name; the name, and what follows."""
    places = [i for i, arg in enumerate(args) if arg in EXPERIMENTS]
    first = places[0] if places else len(args)
    return list(args[:first]), list(args[first:])


def launch(config: Config, command: Sequence[str]) -> None:
    """Start the processes, and end when they have ended.

    Raises:
      InputError: there is no experiment to launch.
      PartFailed: a process other than the first ended before its time.
      SystemExit: process 0 did, and has said why.
    """
    require_at_least(config, processes=1)
    if not command:
        raise InputError(f"name an experiment to launch: {', '.join(EXPERIMENTS)}")
    with started(config.processes, command) as processes:
        try:
            first_failure = wait(processes)
        except KeyboardInterrupt as error:  # `Stopped` too
            with uninterrupted():  # process 0 writes what it reached
                number = getattr(error, "number", signal.SIGINT)
                processes[0].popen.send_signal(number)
                _wait_for(processes[0], FAREWELL_SECONDS)
            code = processes[0].popen.returncode
            if code is not None and code > 0:
                sys.exit(code)  # it has said why
            raise
        if first_failure is None:
            return
        _wait_for(processes[0], FAREWELL_SECONDS)
        reason = first_failure.failure()
    if processes[0].popen.returncode > 0 and first_failure.popen.returncode > 0:
        sys.exit(processes[0].popen.returncode)  # it has said why
    raise PartFailed(reason)


@contextlib.contextmanager
def started(count: int, command: Sequence[str]) -> Iterator[list[Process]]:
    """The processes; none is left when the block ends."""
    experiment, *options = command
    address = f"127.0.0.1:{free_port()}"
    shared = ["--distributed", "--coordinator", address, "--num-processes", str(count)]
    # A cluster's own words would be taken for those of this one.
    foreign = ("SLURM_", "OMPI_", "KUBERNETES_", "JAX_COORDINATOR_", "TPU_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    environment = {"JAX_PLATFORMS": "cpu", **kept, LAUNCHED: "1"}
    processes: list[Process] = []
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: end(processes))
        for number in range(count):
            errors = stack.enter_context(tempfile.TemporaryFile()) if number else None
            own = [*shared, "--process-id", str(number)]
            popen = subprocess.Popen(
                [sys.executable, "-m", f"experiments.{experiment}", *options, *own],
                stdin=subprocess.PIPE,  # it ends with this program
                stdout=errors,
                stderr=errors,
                env=environment,
                start_new_session=True,  # what the terminal sends comes from here
            )
            processes.append(Process(number, popen, errors))
        yield processes


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait(processes: Sequence[Process]) -> Process | None:
    """Until all have ended well, or one has not: that one, of several the cause."""
    while True:
        failed = [process for process in processes if process.popen.poll()]
        if failed:
            # One that was killed (a negative code) took the others with it.
            return min(failed, key=lambda process: process.popen.returncode)
        if all(process.popen.returncode == 0 for process in processes):
            return None
        time.sleep(POLL_SECONDS)


def _wait_for(process: Process, seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.popen.wait(seconds)


def end(processes: Sequence[Process]) -> None:
    """Kill those that still run; one that is stopped (SIGSTOP) too."""
    for process in processes:
        process.popen.kill()
        process.popen.wait()
        assert process.popen.stdin
        process.popen.stdin.close()


def main(config: Config) -> None:
    """Launch what the command line names."""
    _, command = split(sys.argv[1:])
    launch(config, command)


if __name__ == "__main__":
    own, _ = split(sys.argv[1:])
    run_command(main, Config, args=own)
