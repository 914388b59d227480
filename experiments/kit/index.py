"""`index.html`: one page that links the pages of several experiments."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from experiments.kit import folder
from experiments.kit.page import templates


class Entry(NamedTuple):
    """How one experiment ended."""

    name: str  # of the experiment, and of its folder
    question: str
    command: str  # as a user would type it
    exit_code: int  # 0: well
    ending: str  # the exit code in words
    seconds: float


def render(path: Path, entries: Sequence[Entry]) -> str:
    """The page as HTML text.

    Args:
      path: holds a folder for each experiment, under its name.
      entries: in the order of the page.
    """
    cards = []
    for entry in entries:
        file = path / entry.name / "results.json"
        results = folder.read_object(file)
        has_page = (path / entry.name / "report.html").is_file()
        card = {
            **entry._asdict(),
            **{key: results.get(key) for key in ("finding", "notice", "dataset")},
            "page": f"{entry.name}/report.html" if has_page else None,
            "picture": _first_picture(path, entry.name),
        }
        cards.append(card)
    date = f"{datetime.now():%Y-%m-%d}"
    return templates().get_template("index.html").render(entries=cards, date=date)


def _first_picture(path: Path, name: str) -> str | None:
    """The picture that was written first: experiments begin with what matters most."""
    files = (path / name).glob("*.png")
    first = min(files, key=lambda file: file.stat().st_mtime_ns, default=None)
    return f"{name}/{first.name}" if first else None
