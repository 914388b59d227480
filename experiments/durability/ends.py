"""What a killed run leaves, and whether a finished one is what it should be."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.kit import folder, resume
from jaxnets import checkpoint

TIMES = ("seconds", "evaluation_seconds", "compile_seconds", "compile_cached")


class Left(NamedTuple):
    """The folder of a run that was killed."""

    moment: str  # "start", "save", "write", "epoch" or "end"; see `left_behind`
    model: str | None  # of the last row
    rows: int  # of metrics.jsonl, the last one whole
    lost: int  # of them, after the checkpoint
    is_newest: bool  # whether the newest checkpoint is sound


def left_behind(path: Path, *, has_saved: bool) -> Left:
    """Look at the folder; raises as `checkpoint.load` where nothing sound is left.

    The moment is "save" or "write" where a checkpoint or another file was being
    written, "start" before the program's first checkpoint, "end" when all epochs were
    over, and else "epoch".
    """
    unfinished = [file.name for file in path.rglob(".*") if file.name != folder.LOCK]
    rows = folder.read_rows(path)
    file = path / resume.CHECKPOINT
    kept = 0
    is_newest = True
    if file.exists() or checkpoint.previous(file).exists():
        origin = resume.find_origin(path, {})
        assert origin.kept
        kept, is_newest = origin.num_rows, origin.kept.file == file
    if any(name.startswith(f".{resume.CHECKPOINT}") for name in unfinished):
        moment = "save"
    elif unfinished:
        moment = "write"
    elif not has_saved:
        moment = "start"
    else:
        moment = "end" if _is_over(path, rows) else "epoch"
    model = rows[-1]["model"] if rows else None
    return Left(moment, model, len(rows), len(rows) - kept, is_newest)


def _is_over(path: Path, rows: list[dict[str, Any]]) -> bool:
    recipes = (folder.read_config(path) or {})["recipes"]
    return len(rows) == sum(recipe["num_epochs"] for recipe in recipes.values())


class Compared(NamedTuple):
    """A finished run beside one that nobody killed."""

    epochs: int
    bytes: int  # compared
    differences: list[str]  # names of files, and of arrays in them; empty: none


def compared(whole: Path, path: Path) -> Compared:
    """Compare all that a run leaves but times: parameters, optimizer, rows, answers."""
    one, other = _contents(whole), _contents(path)
    names = {**one, **other}
    differences = [name for name in names if one.get(name) != other.get(name)]
    return Compared(
        len(folder.read_rows(path)), sum(map(len, other.values())), differences
    )


def _contents(path: Path) -> dict[str, bytes]:
    """The bytes that must be the same, by file and array."""
    files = ("predictions.csv", "baselines.json")
    contents = {name: (path / name).read_bytes() for name in files}
    rows = folder.read_rows(path)
    for number, row in enumerate(rows, start=1):
        values = {key: value for key, value in row.items() if key not in TIMES}
        contents[f"{folder.ROWS} {number}"] = json.dumps(values).encode()
    for file in sorted(path.glob("weights/*.npz")):
        with np.load(file, allow_pickle=False) as arrays:
            for name, array in arrays.items():
                contents[f"{file.name} {name}"] = array.tobytes()
    kept = checkpoint.load(path / resume.CHECKPOINT)
    for name, array in kept.arrays.items():
        contents[f"{resume.CHECKPOINT} {name}"] = array.tobytes()
    return contents
