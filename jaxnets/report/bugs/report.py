"""What `experiments/bugs.py` leaves behind: screen, tables, page."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from jaxnets.bugs.summary import NEAR, Examined, PixelTrials, tally
from jaxnets.diagnose import diagnose
from jaxnets.experiment import Experiment
from jaxnets.report.progress import console
from jaxnets.report.screen import print_table

ACCURACY_NOTE = (
    "Mean over seeds after the last epoch, a 95 % bootstrap interval of that mean (too "
    "narrow with so few seeds), and the extremes. The last columns speak of every seed "
    "after every epoch: whether the extremes there enclose what was reported, and how "
    "many come within half a point of it. Where nothing is learned they speak of all "
    "the untrained networks."
)
SIGNATURE_NOTE = (
    "Means over seeds after the last epoch. Flat: the share of hidden activations at 0 "
    "or 1. Error slope: the mean slope of the outputs, weighted by their errors. "
    "Change: root mean square, of the parameters. Diagnosis: the first thing that "
    "jaxnets.diagnose says of each seed."
)
PIXEL_NOTE = "As above; what was reported is Model 3's accuracy."


PIXELS = {"scaled": "0 to 1", "bytes": "0 to 255"}
Content = tuple[str, list[str], list[list[str]]]  # a table's title, header and rows


class ZooProgress:
    """One bar on a terminal, a line a program elsewhere; use as a context manager."""

    def __init__(self, num_epochs: int) -> None:
        self._bars = Progress(
            TextColumn("{task.description:<26}"),
            BarColumn(),
            TextColumn("epoch {task.completed:.0f}/{task.total:.0f}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bars.add_task("", total=num_epochs)

    def __enter__(self) -> "ZooProgress":
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def begin(self, name: str) -> None:
        """Training of some networks starts."""
        self._bars.update(self._task, description=name)

    def epoch(self) -> None:
        """They have trained for an epoch."""
        self._bars.advance(self._task)

    def ended(self, line: str) -> None:
        """They are done; the line says with what."""
        self._bars.console.print(line)


def program_line(examined: Examined) -> str:
    """A finished program in words."""
    trials = examined.trials
    return _line(trials.program.name, trials.final, tally(examined.findings))


def pixel_line(trials: PixelTrials) -> str:
    """Model 3 with one kind of pixels in words."""
    found = tally([diagnose(run) for run in trials.runs])
    return _line(f"{trials.model}, {trials.pixels}", trials.final, found)


def _line(name: str, final: Any, found: dict[str, int]) -> str:
    return (
        f"{name:<20} {len(final):>2} seeds  {final.min():7.2%} to {final.max():7.2%}  "
        f"{_tallied(found)}"
    )


def print_tables(results: dict[str, Any]) -> None:
    """The tables on the screen, and the finding."""
    print_table(*_accuracy_table(results))
    console.print(ACCURACY_NOTE)
    print_table(*_signature_table(results))
    console.print(SIGNATURE_NOTE)
    if results["model_3"]:
        print_table(*_pixel_table(results))
    console.print()
    for sentence in finding(results):
        console.print(sentence)


def finding(results: dict[str, Any]) -> list[str]:
    """The answer in sentences, with its figures."""
    programs, reported = results["programs"], results["reported_accuracy"]
    able = sorted(
        results["can_give_it"],
        key=lambda name: -programs[name]["reported_after_any_epoch"]["near_share"],
    )
    tried = len(programs) - ("healthy" in programs)
    shares = [
        f"{name} ({programs[name]['reported_after_any_epoch']['near_share']:.0%})"
        for name in able
    ]
    sentences = [
        f"Of {tried} mistakes {len(able)} can give {reported:.2%}; within half a point "
        f"of it come, of all seeds and epochs: {', '.join(shares) or 'none'}."
    ]
    start = results["untrained"]
    if start is not None:
        sentences.append(
            f"Of {start['of']:,} networks as they start, {start['near_share']:.0%} "
            f"come as near and {start['exactly']} give it to the digit; they reach "
            f"{start['lowest']:.1%} to {start['highest']:.1%}."
        )
    for model, kinds in results["model_3"].items():
        words = [
            f"{PIXELS[kind]} give {entry['test_accuracy']:.2%} ({entry['lowest']:.2%} "
            f"to {entry['highest']:.2%})"
            for kind, entry in kinds.items()
        ]
        sentences.append(
            f"{model}, reported {results['reported_accuracy_model_3']:.1%}: pixels "
            f"{', '.join(words)}."
        )
    return sentences


def _accuracy_table(results: dict[str, Any]) -> Content:
    reported = f"{results['reported_accuracy']:.2%}"
    header = ["program", "mistake", "test, %", "interval", "extremes"]
    header += [f"can give {reported}", f"within {NEAR:.1%} of it"]
    rows = []
    for name, entry in results["programs"].items():
        reached = entry["reported_after_any_epoch"]
        rows.append(
            [
                name,
                entry["mistake"],
                *_spread_cells(entry),
                "yes" if reached["can_give_it"] else "no",
                f"{reached['near_share']:.0%}",
            ]
        )
    return f"Model 1 on the test set of {results['dataset']}", header, rows


def _spread_cells(entry: dict[str, Any]) -> list[str]:
    """In per cent: mean, interval, extremes."""
    pairs = [entry["interval_95"], (entry["lowest"], entry["highest"])]
    return [
        f"{100 * entry['test_accuracy']:.2f}",
        *(f"{100 * p[0]:.2f} to {100 * p[1]:.2f}" if p else "-" for p in pairs),
    ]


def _signature_table(results: dict[str, Any]) -> Content:
    header = [
        "program",
        "seeds",
        "training loss",
        "flat",
        "error slope",
        "change",
        "diagnosis",
    ]
    rows = []
    for name, entry in results["programs"].items():
        loss = entry["train_loss"]
        rows.append(
            [
                name,
                str(len(entry["seeds"])),
                "-" if loss is None else f"{loss:.4g}",
                f"{entry['flat_hidden']:.3f}",
                f"{entry['error_slope']:.4f}",
                f"{entry['parameter_change']:.2f}",
                _tallied(entry["diagnosis"]),
            ]
        )
    return "Signatures", header, rows


def _pixel_table(results: dict[str, Any]) -> Content:
    header = ["model", "pixels", "seeds", "test, %", "interval", "extremes"]
    header += [f"encloses {results['reported_accuracy_model_3']:.1%}", "training loss"]
    header += ["diagnosis"]
    rows = []
    for model, kinds in results["model_3"].items():
        for kind, entry in kinds.items():
            rows.append(
                [
                    model,
                    PIXELS[kind],
                    str(len(entry["by_seed"])),
                    *_spread_cells(entry),
                    "yes" if entry["reported_at_the_end"]["can_give_it"] else "no",
                    f"{entry['train_loss']:.3f}",
                    _tallied(entry["diagnosis"]),
                ]
            )
    return "Model 3", header, rows


def _tallied(found: dict[str, int]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in found.items())


def write_page(
    run: Experiment,
    results: dict[str, Any],
    examined: Sequence[Examined],
    pixel_trials: Sequence[PixelTrials],
) -> None:
    """The figures as PNG files, and `report.html` with all of it inside."""
    from jaxnets.report.bugs import figures as bugs_figures  # loads matplotlib
    from jaxnets.report.page import Table

    def table(content: Content, caption: str) -> Table:
        title, header, rows = content
        return Table(title, caption, header, rows)

    pictures = bugs_figures.pictures(examined, pixel_trials, run.dataset)
    sections = [
        pictures[0],
        table(_accuracy_table(results), ACCURACY_NOTE),
        table(_signature_table(results), SIGNATURE_NOTE),
        *pictures[1:],
    ]
    if results["model_3"]:
        sections.append(table(_pixel_table(results), PIXEL_NOTE))
    run.write_page(
        results,
        sections,
        title="Why 10.41 %?",
        lead=" ".join(finding(results)),
    )
