"""`report.html`: one page with tables and figures inside, no network needed."""

import base64
import contextlib
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.kit.numbers import text

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure

RESOLUTION = 110  # dots per inch
# A cell that begins as numbers do, and is short; "-" stands where there is none.
NUMBER = re.compile(r"[<>≥≤~±+\-]*(\d|$).{0,24}$")
# A tenth larger than at the usual 6, in a third of the time.
QUICK = {"compress_level": 1}


class Table(NamedTuple):
    """Rows of text below a header, for the screen and the page."""

    title: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    on_screen: bool = True

    @property
    def kinds(self) -> list[str]:
        """Of each column "number", or "text": to the left, and wrapped.

        One cell in four may be text among numbers.
        """
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.header)
        shares = [len(list(filter(NUMBER.match, c))) / max(len(c), 1) for c in columns]
        return ["number" if share >= 0.75 else "text" for share in shares]


def table(
    title: str,
    caption: str,
    entries: Iterable[Any],
    columns: Mapping[str, "str | Callable[[Any], str]"],
    *,
    on_screen: bool = True,
) -> Table:
    """A table with a row an entry.

    Args:
      title, caption, on_screen: as in `Table`.
      entries: mappings, or what `columns` have functions for.
      columns: by their heading, in their order: "key" or "key:format" of an entry's
        value, written as `numbers.text` does; or a function of the entry.
    """
    rows = [[_cell(entry, column) for column in columns.values()] for entry in entries]
    return Table(title, caption, list(columns), rows, on_screen)


def _cell(entry: Any, column: "str | Callable[[Any], str]") -> str:
    if callable(column):
        return column(entry)
    key, _, form = column.partition(":")
    return text(entry[key], form)


class Picture(NamedTuple):
    """A figure with the words that go with it; drawn when it is needed."""

    name: str  # of its file, without the ending
    title: str
    caption: str
    figure: "Callable[[], Figure]"
    has_data: bool = True  # the dataset's name stands in its corner


class Link(NamedTuple):
    """Another page of the run, which the report links."""

    file: str  # its name
    text: str  # of the link
    write: Callable[[], object]  # makes it


class Drawn(NamedTuple):
    """A picture as PNG."""

    name: str
    title: str
    caption: str
    png: bytes


def draw(picture: Picture, dataset: str) -> Drawn:
    """Draw a picture, with the dataset's name in its corner where it shows data."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = picture.figure()
    if picture.has_data:
        name = figure.text(0.998, 0.004, dataset, fontsize=7, color="gray")
        name.set(ha="right", va="bottom")
    FigureCanvasAgg(figure)  # whatever the user's own figures are drawn by
    engine = figure.get_layout_engine()
    if engine is not None and figure.axes:
        # `savefig` would draw the whole figure twice, the first time for the layout.
        figure.set_dpi(RESOLUTION)
        with contextlib.suppress(ValueError):  # as when a figure draws itself
            engine.execute(figure)
        figure.set_layout_engine(None)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=RESOLUTION, pil_kwargs=QUICK)
    return Drawn(picture.name, picture.title, picture.caption, stream.getvalue())


def templates() -> "Environment":
    """Where templates are, and how strictly they are read."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode()
    return environment


def render(template: str, **content: object) -> str:
    """A page as HTML text."""
    return templates().get_template(template).render(**content)
