"""`index.html`: one page that links the pages of several experiments."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.kit.page import templates


def render(folder: Path, done: Sequence[Any]) -> str:
    """The page as HTML text.

    Args:
      folder: holds a folder for each experiment, under its name.
      done: per experiment its `name`, `question`, `command`, `exit_code`,
        `seconds`, `notice`.
    """
    entries = [
        {
            **entry._asdict(),
            "page": _link(folder, entry.name, "report.html"),
            "picture": _first_picture(folder, entry.name),
        }
        for entry in done
    ]
    return templates().get_template("index.html").render(entries=entries)


def _first_picture(folder: Path, name: str) -> str | None:
    """The picture that was written first: experiments begin with what matters most."""
    files = (folder / name).glob("*.png")
    first = min(files, key=lambda file: file.stat().st_mtime_ns, default=None)
    return f"{name}/{first.name}" if first else None


def _link(folder: Path, name: str, file: str) -> str | None:
    return f"{name}/{file}" if (folder / name / file).is_file() else None
