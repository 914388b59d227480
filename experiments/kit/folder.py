"""The folder of one run: made once, never mixed with another's files."""

import csv
import io
import itertools
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from jaxnets import __version__
from jaxnets.errors import InputError
from jaxnets.files import append_line, write_atomically, write_text
from jaxnets.types import Params

CONFIG = "config.json"  # written first
MARK = "jaxnets"  # its key that says that a folder is one of ours


def default_path(experiment: str) -> Path:
    """`runs/<local time>-<experiment>` below the working folder, with a free name."""
    path = Path("runs") / f"{datetime.now():%Y-%m-%d-%H%M%S}-{experiment}"
    return next(name for name in _names(path) if not name.exists())


def claim(path: Path) -> Path:
    """Make a new folder of this name, or of the next one that is free.

    So programs that start in the same second get a folder each.
    """
    for name in _names(path):
        try:
            name.mkdir(parents=True)
        except FileExistsError:
            if not name.exists():
                raise  # something else is in the way, perhaps above it
        else:
            break
    return name


def _names(path: Path) -> Iterator[Path]:
    yield path
    for number in itertools.count(2):
        yield path.with_name(f"{path.name}-{number}")


def check(path: Path, *, overwrite: bool) -> None:
    """Raise InputError unless the folder can be made; change nothing."""
    if path.exists() and not path.is_dir():
        raise InputError(f"output {path} is a file; name a folder")
    if path.is_dir() and any(path.iterdir()):
        if not overwrite:
            raise InputError(
                f"output folder {path} exists and is not empty; name another or add "
                "--overwrite"
            )
        if not _is_run(path):
            raise InputError(
                f"output folder {path} is not the folder of a run (its {CONFIG} is not "
                "of this package), so --overwrite leaves it alone; name another"
            )
    parent = path.absolute()
    while not parent.exists():
        if parent.is_symlink():
            raise InputError(
                f"output folder {path} cannot be made: {parent} is a link to "
                f"{parent.readlink()}, which does not exist; make that folder or name "
                "another"
            )
        parent = parent.parent
    if not parent.is_dir():
        raise InputError(f"output folder {path} cannot be made: {parent} is a file")
    if not os.access(parent, os.W_OK):
        raise InputError(f"output folder {path} cannot be made: {parent} is read-only")


def _is_run(path: Path) -> bool:
    try:
        config = json.loads((path / CONFIG).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and MARK in config


def _empty(path: Path) -> None:
    """Remove what is inside; the folder may be a link or the root of a disk."""
    for entry in path.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


class RunFolder:
    """Writes a run's files, each one complete or not at all."""

    def __init__(self, path: Path, config: dict[str, Any], *, overwrite: bool) -> None:
        check(path, overwrite=overwrite)
        path.mkdir(parents=True, exist_ok=True)
        _empty(path)
        self.path = path
        self.write_json(CONFIG, {MARK: __version__, **config})

    def write_json(self, name: str, content: Any) -> None:
        """Write strict JSON; NaN is refused."""
        text = json.dumps(content, indent=2, allow_nan=False, default=str)
        self.write_text(name, text + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write UTF-8 text."""
        write_text(self.path / name, text)

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a binary file."""
        with write_atomically(self.path / name) as stream:
            stream.write(content)

    def append_line(self, name: str, content: dict[str, Any]) -> None:
        """Add a line to a JSON Lines file; readable when this returns."""
        append_line(self.path / name, json.dumps(content, allow_nan=False))

    def write_csv(
        self, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]
    ) -> None:
        """Write a table with a header line."""
        file = self.path / name
        with write_atomically(file) as stream:
            text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)
            text.detach()

    def write_weights(self, name: str, params: Params, **notes: str) -> None:
        """Write `weights/<name>.npz` with `kernel_0`, `bias_0`, `kernel_1`, ..."""
        folder = self.path / "weights"
        folder.mkdir(exist_ok=True)
        arrays: dict[str, Any] = dict(notes)
        for number, layer in enumerate(params):
            arrays[f"kernel_{number}"] = np.asarray(layer.kernel)
            arrays[f"bias_{number}"] = np.asarray(layer.bias)
        with write_atomically(folder / f"{name}.npz") as stream:
            np.savez(stream, **arrays)
