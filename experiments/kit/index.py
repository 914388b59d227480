"""`index.html`: one page that links the pages of several experiments."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.kit.page import templates


class Entry(NamedTuple):
    """How one experiment ended."""

    name: str  # of the experiment, and of its folder
    question: str
    command: str  # as a user would type it
    exit_code: int  # 0: well
    ending: str  # the exit code in words
    seconds: float
    notice: str | None  # set where it ran on other data than was asked for


def render(path: Path, entries: Sequence[Entry]) -> str:
    """The page as HTML text.

    Args:
      path: holds a folder for each experiment, under its name.
      entries: in the order of the page.
    """
    cards = [
        {
            **entry._asdict(),
            "page": _link(path, entry.name, "report.html"),
            "picture": _first_picture(path, entry.name),
        }
        for entry in entries
    ]
    return templates().get_template("index.html").render(entries=cards)


def _first_picture(path: Path, name: str) -> str | None:
    """The picture that was written first: experiments begin with what matters most."""
    files = (path / name).glob("*.png")
    first = min(files, key=lambda file: file.stat().st_mtime_ns, default=None)
    return f"{name}/{first.name}" if first else None


def _link(path: Path, name: str, file: str) -> str | None:
    return f"{name}/{file}" if (path / name / file).is_file() else None
