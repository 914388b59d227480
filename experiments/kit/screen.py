"""Tables on the terminal."""

from collections.abc import Sequence

from rich.table import Table

from experiments.kit.progress import console


def print_table(
    title: str, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Print rows of text below a header; the first column is on the left."""
    screen = Table(title=title, title_justify="left", title_style="bold")
    for place, name in enumerate(header):
        screen.add_column(name, justify="left" if place == 0 else "right")
    for row in rows:
        screen.add_row(*row)
    console.print()
    console.print(screen)
