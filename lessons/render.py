"""Make the notebooks of docs/lessons from the lessons, with their outputs.

    python -m lessons.render
    python -m lessons.render --lessons 4 6
    python -m lessons.render --check

The lessons are the sources; notebooks are never edited by hand. All seven take a few
minutes and need MNIST. --check runs nothing: it fails where a notebook is stale, which
means that its cells are not those of the lesson, or that it lacks outputs.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from experiments.kit.command import run_command
from jaxnets import data
from jaxnets.errors import InputError
from jaxnets.files import write_text
from lessons.kit.data import VARIABLE

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "lessons").glob("[0-9]*.py"))
FOLDER = ROOT / "docs" / "lessons"
PATIENCE = 600  # seconds for one cell
METADATA = {  # the same on every machine
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which notebooks, and what to do with them."""

    lessons: tuple[int, ...] = ()
    """Numbers of lessons; left out: all."""
    check: bool = False
    """Run nothing; fail where a notebook is stale."""


def main(config: Config) -> None:
    """Render the notebooks, or check that they are fresh."""
    sources = chosen(config.lessons)
    if config.check:
        faults = [fault for source in sources if (fault := staleness(source))]
        if faults:
            raise InputError(f"{'; '.join(faults)}. Run python -m lessons.render")
        return
    data.load("mnist")  # or say at once how to get it
    os.environ[VARIABLE] = "mnist"
    for source in sources:
        notebook = notebook_of(source)
        execute(notebook, ROOT)
        FOLDER.mkdir(parents=True, exist_ok=True)
        write_text(path_of(source), nbformat.writes(notebook) + "\n")
        print(path_of(source).relative_to(ROOT))


def chosen(numbers: Sequence[int]) -> list[Path]:
    """The lessons of these numbers, all of them for none; InputError for others."""
    by_number = {int(source.name[:2]): source for source in SOURCES}
    for number in numbers:
        if number not in by_number:
            known = f"{min(by_number)} to {max(by_number)}"
            raise InputError(f"there is no lesson {number}; they are {known}")
    return [by_number[number] for number in numbers or by_number]


def path_of(source: Path) -> Path:
    """Where a lesson's notebook is."""
    return FOLDER / f"{source.stem}.ipynb"


def notebook_of(source: Path) -> NotebookNode:
    """The lesson as a notebook without outputs, the same on every machine."""
    notebook = jupytext.read(source, fmt="py:percent")
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number}", NotebookNode()
    notebook.metadata = nbformat.from_dict(METADATA)
    return notebook


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run the cells in the folder, and keep of the outputs what does not vary."""
    from nbclient import NotebookClient

    NotebookClient(
        notebook,
        timeout=PATIENCE,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    ).execute()
    notebook.metadata = nbformat.from_dict(METADATA)  # without Python's version
    for cell in notebook.cells:
        cell.metadata = NotebookNode()
        if cell.cell_type == "code":
            cell.outputs = _merged(cell.outputs)


def _merged(outputs: Sequence[NotebookNode]) -> list[NotebookNode]:
    """Pieces of text that follow each other as one; pictures without an address."""
    merged: list[NotebookNode] = []
    for output in outputs:
        last = merged[-1] if merged else NotebookNode()
        if output.output_type == "stream" and last.get("name") == output.name:
            last.text += output.text
            continue
        if "image/png" in output.get("data", {}):
            output.data["text/plain"] = "A figure"
            output.metadata = NotebookNode()
        merged.append(output)
    return merged


def staleness(source: Path, path: Path | None = None) -> str | None:
    """What is wrong with a lesson's notebook, in words; None where it is fresh."""
    path = path or path_of(source)
    if not path.is_file():
        return f"{path.name} is missing"
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    cells, expected = (
        [(cell.cell_type, cell.source) for cell in book.cells]
        for book in (notebook, notebook_of(source))
    )
    if cells != expected:
        pairs = zip(cells, expected, strict=False)
        same = [cell == other for cell, other in pairs]
        place = same.index(False) if False in same else len(same)
        return f"{path.name} is stale from cell {place + 1} on"
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type == "code":
            if cell.execution_count is None:
                return f"{path.name} has no output of cell {number}"
            if any(output.output_type == "error" for output in cell.outputs):
                return f"{path.name} failed in cell {number}"
    return None


if __name__ == "__main__":
    run_command(main, Config)
