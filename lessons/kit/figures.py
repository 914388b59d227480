"""Figures: in a notebook beneath the cell, of a program in a folder."""

import io
import sys
from pathlib import Path

from matplotlib.figure import Figure

from experiments.kit.figures import COLORS, new_figure
from jaxnets.files import write_atomically

__all__ = ["COLORS", "new_figure", "show"]

FOLDER = Path("runs/lessons")  # in the working folder
DOTS_PER_INCH = 80  # legible in a page, and small in a repository


def show(figure: Figure, name: str) -> None:
    """Display the figure, or save it as runs/lessons/<name>.png and print the path."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=DOTS_PER_INCH)
    if _in_notebook():
        from IPython.display import Image, display

        display(Image(data=picture.getvalue(), alt=name))
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.png"
    with write_atomically(path) as stream:
        stream.write(picture.getvalue())
    print(f"Figure: {path}")


def _in_notebook() -> bool:
    """Whether a notebook's kernel runs this."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")
