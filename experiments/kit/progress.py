"""Progress of training: a live display on a terminal, plain lines elsewhere."""

import os
import sys
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from experiments.compare.results import ModelRun
from jaxnets.running import EpochRecord

PIPE_WIDTH = 120  # columns where there is no terminal to ask


class _Screen(Console):
    """A console that goes on in silence when nobody reads any more."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# Paths and messages are printed as they are: no markup.
console = _Screen(
    highlight=False,
    markup=False,
    soft_wrap=True,
    width=None if sys.stdout.isatty() else PIPE_WIDTH,
)


def epoch_line(name: str, num_epochs: int, record: EpochRecord) -> str:
    """One finished epoch in words."""
    if name == "sigmoid_mse" and record.validation_seen:
        # The line that Nielsen's program prints.
        head = f"Epoch {record.number}: "
        score = f"{record.validation_correct:,} / {record.validation_seen:,}"
    else:
        head = f"epoch {record.number}/{num_epochs}  "
        score = f"{which_accuracy(record)} accuracy {record.accuracy:.2%}"
    return (
        f"{name:<12} {head}{score}  loss {record.train_loss:.4f}  "
        f"{record.seconds:.2f} s"
    )


def which_accuracy(record: EpochRecord) -> str:
    """Of which examples `record.accuracy` speaks."""
    return "validation" if record.validation_seen else "training"


class Display:
    """Bars on a terminal, and none elsewhere; use as a context manager."""

    def __init__(self, *columns: Any) -> None:
        self._live = console.is_terminal
        self._bars = Progress(*columns, console=console, disable=not self._live)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()


class TrainingProgress(Display):
    """A bar per model."""

    def __init__(self, runs: list[ModelRun]) -> None:
        super().__init__(
            TextColumn("{task.description:<12}"),
            BarColumn(),
            TextColumn("epoch {task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
        )
        self._tasks = {
            run.name: self._bars.add_task(
                run.name, total=run.recipe.num_epochs, start=False, state="waiting"
            )
            for run in runs
        }

    def begin(self, run: ModelRun) -> None:
        """Training of a model starts: its compilation comes first."""
        self._bars.start_task(self._tasks[run.name])
        self._bars.update(self._tasks[run.name], state="compiling")
        if not self._live:
            sizes = "-".join(map(str, run.recipe.layer_sizes))
            console.print(f"{run.name:<12} {sizes}, compiling ...")

    def epoch(self, run: ModelRun, record: EpochRecord) -> None:
        """An epoch has ended."""
        state = (
            f"loss {record.train_loss:.4f}  {which_accuracy(record)} "
            f"{record.accuracy:.2%}"
        )
        self._bars.update(self._tasks[run.name], advance=1, state=state)
        if not self._live or run.name == "sigmoid_mse":
            line = epoch_line(run.name, run.recipe.num_epochs, record)
            self._bars.console.print(line)
