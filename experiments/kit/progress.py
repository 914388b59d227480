"""The screen: progress of long work, tables, and lines of text.

On a terminal progress is a live display of bars. Elsewhere, in a file or a pipe, it is
plain lines.
"""

import functools
import os
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table as ScreenTable

from experiments.kit.page import Table

PIPE_WIDTH = 120  # columns where there is no terminal to ask


class _Screen(Console):
    """A console that goes on in silence when nobody reads any more."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_terminal() -> bool:
    """Whether somebody watches: colours may be forced, a terminal may not."""
    return getattr(sys.stdout, "isatty", lambda: False)()


@functools.cache
def console() -> Console:
    """The screen; words are wrapped for a terminal, and printed without markup."""
    watched = is_terminal()
    width = None if watched else PIPE_WIDTH
    return _Screen(highlight=False, markup=False, soft_wrap=not watched, width=width)


def print_table(table: Table) -> None:
    """Print rows of text below a header, and the caption."""
    screen = ScreenTable(title=table.title, title_justify="left", title_style="bold")
    for name, kind in zip(table.header, table.kinds, strict=True):
        screen.add_column(name, justify="right" if kind == "number" else "left")
    for row in table.rows:
        screen.add_row(*row)
    console().print()
    console().print(screen)
    console().print(table.caption)


class Progress:
    """Progress of some tasks; use as a context manager.

    Args:
      totals: what each task has to do, by its name, in the order of the work.
    """

    def __init__(self, totals: Mapping[str, int]) -> None:
        self._live = is_terminal()
        self._width = max(map(len, totals), default=0)
        self._bars = Bars(
            TextColumn(f"{{task.description:<{self._width}}}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console(),
            disable=not self._live,
        )
        self._tasks = {
            name: self._bars.add_task(name, total=total, start=False, text="waiting")
            for name, total in totals.items()
        }

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

    def text(self, task: str, text: str) -> None:
        """Say what is going on in a task."""
        self.advance(task, 0, text)

    def advance(self, task: str, amount: int = 1, text: str = "") -> None:
        """So much more of a task is done; `text` says with what result."""
        self._bars.start_task(self._tasks[task])
        if self._live:
            self._bars.update(self._tasks[task], advance=amount, text=text)
        elif text:
            console().print(f"{task:<{self._width}} {text}")

    def print(self, line: str) -> None:
        """A line that stays."""
        console().print(line)
