"""`report.html`: one page with table and figures inside, no network needed."""

import base64
import contextlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

RESOLUTION = 110  # dots per inch


class Picture(NamedTuple):
    """A figure with the words that go with it."""

    name: str  # of its file, without the ending
    title: str
    caption: str
    png: bytes


class Table(NamedTuple):
    """Rows of text below a header."""

    title: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def picture(
    name: str, title: str, caption: str, figure: Figure, *, dataset: str
) -> Picture:
    """Draw a figure as PNG, with the dataset's name in its corner, and close it."""
    import matplotlib.pyplot as plt

    figure.text(
        0.998, 0.004, dataset, ha="right", va="bottom", fontsize=7, color="gray"
    )
    engine = figure.get_layout_engine()
    if engine is not None and figure.axes:
        # `savefig` would draw the whole figure twice, the first time for the layout.
        figure.set_dpi(RESOLUTION)
        with contextlib.suppress(ValueError):  # as when a figure draws itself
            engine.execute(figure)
        figure.set_layout_engine(None)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=RESOLUTION)
    plt.close(figure)
    return Picture(name, title, caption, stream.getvalue())


def environment() -> Environment:
    """Where templates are found, and how strictly they are read."""
    found = Environment(
        loader=PackageLoader("experiments.kit"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["base64"] = lambda data: base64.b64encode(data).decode()
    return found


def render(
    *,
    title: str,
    lead: str,
    notice: str | None,
    facts: dict[str, Any],
    sections: Sequence[Table | Picture],
) -> str:
    """The page as HTML text."""
    return (
        environment()
        .get_template("page.html")
        .render(title=title, lead=lead, notice=notice, facts=facts, sections=sections)
    )
