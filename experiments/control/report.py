"""What `experiments/control.py` leaves behind: screen, files, page."""

import functools
import itertools
from typing import Any

from rich.progress import BarColumn, TextColumn, TimeElapsedColumn

from experiments.control import findings as control_findings
from experiments.control import tables as control_tables
from experiments.control.study import Study
from experiments.kit.progress import Display, console
from experiments.kit.run import Experiment
from experiments.kit.screen import print_table


class Steps(Display):
    """One bar for all that is done, and a line for each thing."""

    def __init__(self, total: int) -> None:
        super().__init__(TextColumn("control"), BarColumn(), TimeElapsedColumn())
        self._task = self._bars.add_task("", total=total)

    def done(self, line: str) -> None:
        """Something is done, and told in a line."""
        self._bars.advance(self._task)
        self._bars.console.print(line)


def write(run: Experiment, content: dict[str, Any], study: Study) -> None:
    """Tables on the screen; the ranking, the figures and the page as files."""
    tables = control_tables.tables(content)
    for title, note, header, rows in tables:
        print_table(title, header, rows)
        console.print(note)
    said = control_findings.findings(content)
    console.print()
    for line in itertools.chain(*said.values()):
        console.print(f"- {line}")
    if study.norms is not None:
        _write_ranking(run, study)
    _write_page(run, content, study, tables, said)


def _write_ranking(run: Experiment, study: Study) -> None:
    """`gradient_norms.csv`: every training image, the most surprising first."""
    from experiments.control.per_example import largest

    assert study.norms is not None
    labels = study.dataset.train.label
    assert study.losses is not None and study.answers is not None
    rows = (
        (
            int(row),
            int(labels[row]),
            int(study.answers[row]),
            f"{study.norms[row]:.6g}",
            f"{study.losses[row]:.6g}",
        )
        for row in largest(study.norms, len(labels))
    )
    header = ("record", "label", "answer", "gradient_norm", "loss")
    run.written.write_csv("gradient_norms.csv", header, rows)


def _write_page(
    run: Experiment,
    content: dict[str, Any],
    study: Study,
    tables: list[control_tables.Table],
    said: dict[str, list[str]],
) -> None:
    from experiments.control import figures as control_figures
    from experiments.kit import page

    picture = functools.partial(page.picture, dataset=run.dataset.name)
    words = {part: " ".join(lines) for part, lines in said.items()}
    drawn = control_figures.pictures(content, study, words)
    run.write_page(
        content,
        [
            *(picture(*each) for each in drawn),
            *(
                page.Table(title, note, header, rows)
                for title, note, header, rows in tables
            ),
        ],
        title="Ease and control",
        lead="Lines and seconds of the same task, and three looks inside a network.",
    )
