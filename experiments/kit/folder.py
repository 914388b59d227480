"""The folder of one run: made once, never mixed with another's files."""

import csv
import io
import itertools
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from jaxnets import __version__
from jaxnets.errors import InputError
from jaxnets.files import append_line, is_unfinished, write_atomically, write_text

CONFIG = "config.json"  # written first
MARK = "jaxnets"  # its key that says that a folder is one of ours
ROWS = "metrics.jsonl"
RESULTS = "results.json"
LOCK = ".lock"  # held by the process whose run it is, as long as it lives


def default_path(experiment: str) -> Path:
    """`runs/<local time>-<experiment>` below the working folder, with a free name."""
    path = Path("runs") / f"{datetime.now():%Y-%m-%d-%H%M%S}-{experiment}"
    return next(name for name in _names(path.absolute()) if not name.exists())


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


def require_free(path: Path, *, overwrite: bool) -> None:
    """Raise InputError unless the folder can be made; change nothing."""
    if path.exists() and not path.is_dir():
        raise InputError(f"output {path} is a file; name a folder")
    # A run that could not even write its config.json leaves nothing but its lock.
    if path.is_dir() and any(entry.name != LOCK for entry in path.iterdir()):
        if not overwrite:
            raise InputError(
                f"output folder {path} exists and is not empty; name another or add "
                "--overwrite"
            )
        if read_config(path) is None:
            raise InputError(
                f"output folder {path} is not the folder of a run (its {CONFIG} is not "
                "of this package), so --overwrite leaves it alone; name another"
            )
        lock(path).release()
    parent = path
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


def lock(path: Path) -> FileLock:
    """The lock of a run's folder, taken; the system frees it when its owner dies.

    Raises:
      InputError: another process holds it.
    """
    held = FileLock(path / LOCK)
    try:
        held.acquire(blocking=False)
    except Timeout:
        raise InputError(
            f"output folder {path} belongs to a run that is still going on; name "
            "another, or wait for it to end"
        ) from None
    return held


def make(path: Path, config: Mapping[str, Any], *, overwrite: bool) -> FileLock:
    """Make and lock the folder, empty but for `config.json`.

    Raises:
      InputError: as `require_free` and `lock`.
    """
    require_free(path, overwrite=overwrite)
    path.mkdir(parents=True, exist_ok=True)
    held = lock(path)
    try:
        for entry in path.iterdir():  # the folder itself may be a link or a disk's root
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != LOCK:
                entry.unlink()
        write_config(path, config)
    except BaseException:
        held.release()
        raise
    return held


def write_config(path: Path, config: Mapping[str, Any]) -> None:
    """Write `config.json`."""
    write_json(path / CONFIG, {MARK: __version__, **config})


def read_config(path: Path) -> dict[str, Any] | None:
    """The content of `config.json`; None where the folder is not that of a run."""
    config = read_object(path / CONFIG)
    is_of_run = MARK in config and isinstance(config.get("head", {}), dict)
    return config if is_of_run else None


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of `metrics.jsonl`, without a last one that was cut off."""
    try:
        lines = (path / ROWS).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(dict(json.loads(line)))
        except (TypeError, ValueError) as error:
            if number < len(lines):
                raise InputError(
                    f"line {number} of {path / ROWS} is damaged: {error}"
                ) from error
    return rows


def keep_rows(path: Path, count: int) -> None:
    """Cut off the rows of `metrics.jsonl` after the first so many."""
    file = path / ROWS
    if file.exists():
        with open(file, "rb+") as stream:
            for _ in range(count):
                stream.readline()
            stream.truncate(stream.tell())


def sync_rows(path: Path) -> None:
    """Let the rows be on the disk, whatever happens to the machine."""
    file = path / ROWS
    if file.exists():
        with open(file, "rb+") as stream:
            os.fsync(stream.fileno())


def remove_unfinished(path: Path) -> None:
    """Remove files that a killed process was still writing."""
    for file in path.rglob(".*"):
        if is_unfinished(file.name) and file.is_file():
            file.unlink()


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Add a row to `metrics.jsonl`; readable when this returns."""
    append_line(path / ROWS, json.dumps(row, allow_nan=False))


def write_json(file: Path, content: Any) -> None:
    """Write strict JSON; NaN is refused."""
    text = json.dumps(content, indent=2, allow_nan=False, default=str)
    write_text(file, text + "\n")


def read_json(file: Path) -> Any:
    """What `write_json` wrote; None where the file is not there, or damaged."""
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None


def read_object(file: Path) -> dict[str, Any]:
    """As `read_json`, of a file with an object; empty where there is none."""
    content = read_json(file)
    return content if isinstance(content, dict) else {}


def write_csv(
    file: Path, header: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Write a table with a header line."""
    with write_atomically(file) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
        text.detach()
