"""What `experiments/bugs.py` leaves behind: screen, tables, page."""

from collections.abc import Sequence
from typing import Any

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from experiments.bugs.summary import NEAR, Examined, PixelTrials, tally
from experiments.kit.numbers import text
from experiments.kit.progress import Display, console
from experiments.kit.run import Experiment
from experiments.kit.screen import print_table
from jaxnets.diagnose import diagnose

TITLE = "Why 10.41 %?"
OTHER_TITLE = "What mistakes look like"  # on data that the write-up has nothing of
ACCURACY_NOTE = (
    "Mean over seeds after the last epoch, a 95 % bootstrap interval of that mean (too "
    "narrow with so few seeds), and the extremes."
)
REPORTED_NOTE = (
    " The last columns speak of every seed after every epoch: whether the extremes "
    "there enclose what was reported, and how many come within half a point of it. "
    "Where nothing is learned they speak of all the untrained networks."
)
SIGNATURE_NOTE = (
    "Means over seeds after the last epoch. Flat: the share of hidden activations at 0 "
    "or 1. Error slope: the mean slope of the outputs, weighted by their errors. "
    "Change: root mean square, of the parameters. Diagnosis: the first thing that "
    "jaxnets.diagnose says of each seed."
)
PIXEL_NOTE = "As above."

PIXELS = {"scaled": "0 to 1", "bytes": "0 to 255"}
Content = tuple[str, list[str], list[list[str]]]  # a table's title, header and rows


class ZooProgress(Display):
    """One bar for all programs, and a line for each."""

    def __init__(self, num_epochs: int) -> None:
        super().__init__(
            TextColumn("{task.description:<26}"),
            BarColumn(),
            TextColumn("epoch {task.completed:.0f}/{task.total:.0f}"),
            TimeRemainingColumn(),
        )
        self._task = self._bars.add_task("", total=num_epochs)

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
    console.print(_accuracy_note(results))
    print_table(*_signature_table(results))
    console.print(SIGNATURE_NOTE)
    if results["model_3"]:
        print_table(*_pixel_table(results))
    console.print()
    for sentence in finding(results):
        console.print(sentence)


def finding(results: dict[str, Any]) -> list[str]:
    """The answer in sentences, with its figures."""
    return [
        *_about_reported(results),
        *_about_healthy(results["programs"].get("healthy")),
        *_about_untrained(results["untrained"]),
        *_about_pixels(results),
    ]


def _about_reported(results: dict[str, Any]) -> list[str]:
    """Which mistakes can give the write-up's figure; nothing where it has none."""
    programs, reported = results["programs"], results["reported_accuracy"]
    if reported is None:
        return []
    able = sorted(
        results["can_give_it"],
        key=lambda name: -programs[name]["reported_after_any_epoch"]["near_share"],
    )
    tried = len(programs) - ("healthy" in programs)
    shares = [
        f"{name} ({programs[name]['reported_after_any_epoch']['near_share']:.0%})"
        for name in able
    ]
    return [
        f"Of {tried} mistakes {len(able)} can give {reported:.2%}; within half a point "
        f"of it come, of all seeds and epochs: {', '.join(shares) or 'none'}."
    ]


def _about_healthy(healthy: dict[str, Any] | None) -> list[str]:
    """Of how many networks without a mistake something is said, and whether rightly."""
    if healthy is None:
        return []
    seeds, flagged = healthy["seeds"], healthy["flagged"]
    number = len(seeds)
    if not flagged:
        return [f"Nothing is said of the {number} networks without a mistake."]
    false = sum(not each["is_true"] for each in flagged)
    named = {each["seed"] for each in flagged}
    others = [
        accuracy
        for seed, accuracy in zip(seeds, healthy["by_seed"], strict=True)
        if seed not in named
    ]
    beside = (
        f"; the others reach {min(others):.2%} to {max(others):.2%}" if others else ""
    )
    told = "; ".join(
        f"seed {each['seed']}, right on {each['test_accuracy']:.2%}: "
        f"{', '.join(each['said'])} ({'true' if each['is_true'] else 'a false alarm'})"
        for each in flagged
    )
    return [
        f"Of {number} networks without a mistake {len(flagged)} are flagged, "
        f"{false} of them falsely: {told}{beside}."
    ]


def _about_untrained(start: dict[str, Any] | None) -> list[str]:
    if start is None:
        return []
    span = f"{start['lowest']:.1%} to {start['highest']:.1%}"
    if start["near_share"] is None:
        return [f"{start['of']:,} networks as they start reach {span}."]
    return [
        f"Of {start['of']:,} networks as they start, {start['near_share']:.0%} "
        f"come as near and {start['exactly']} give it to the digit; they reach {span}."
    ]


def _about_pixels(results: dict[str, Any]) -> list[str]:
    reported = results["reported_accuracy_model_3"]
    beside = "" if reported is None else f", reported {reported:.1%}"
    sentences = []
    for model, kinds in results["model_3"].items():
        words = [
            f"{PIXELS[kind]} give {entry['test_accuracy']:.2%} ({entry['lowest']:.2%} "
            f"to {entry['highest']:.2%})"
            for kind, entry in kinds.items()
        ]
        sentences.append(f"{model}{beside}: pixels {', '.join(words)}.")
    return sentences


def _accuracy_note(results: dict[str, Any]) -> str:
    is_reported = results["reported_accuracy"] is not None
    return ACCURACY_NOTE + (REPORTED_NOTE if is_reported else "")


def _accuracy_table(results: dict[str, Any]) -> Content:
    reported = results["reported_accuracy"]
    header = ["program", "mistake", "test, %", "interval", "extremes"]
    if reported is not None:
        header += [f"can give {reported:.2%}", f"within {NEAR:.1%} of it"]
    rows = []
    for name, entry in results["programs"].items():
        cells = [name, entry["mistake"], *_spread_cells(entry)]
        if reported is not None:
            reached = entry["reported_after_any_epoch"]
            cells += ["yes" if reached["can_give_it"] else "no"]
            cells += [f"{reached['near_share']:.0%}"]
        rows.append(cells)
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
        rows.append(
            [
                name,
                str(len(entry["seeds"])),
                text(entry["train_loss"], ".4g"),
                text(entry["flat_hidden"], ".3f"),
                text(entry["error_slope"], ".4f"),
                text(entry["parameter_change"], ".3g"),
                _tallied(entry["diagnosis"]),
            ]
        )
    return "Signatures", header, rows


def _pixel_table(results: dict[str, Any]) -> Content:
    header = ["model", "pixels", "seeds", "test, %", "interval", "extremes"]
    reported = results["reported_accuracy_model_3"]
    if reported is not None:
        header += [f"encloses {reported:.1%}"]
    header += ["training loss", "diagnosis"]
    rows = []
    for model, kinds in results["model_3"].items():
        for kind, entry in kinds.items():
            seeds = str(len(entry["by_seed"]))
            cells = [model, PIXELS[kind], seeds, *_spread_cells(entry)]
            if reported is not None:
                encloses = entry["reported_at_the_end"]["can_give_it"]
                cells += ["yes" if encloses else "no"]
            cells += [text(entry["train_loss"], ".3f"), _tallied(entry["diagnosis"])]
            rows.append(cells)
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
    from experiments.bugs import figures as bugs_figures
    from experiments.kit.page import Table

    def table(content: Content, caption: str) -> Table:
        title, header, rows = content
        return Table(title, caption, header, rows)

    pictures = bugs_figures.pictures(examined, pixel_trials, run.dataset)
    sections = [
        pictures[0],
        table(_accuracy_table(results), _accuracy_note(results)),
        table(_signature_table(results), SIGNATURE_NOTE),
        *pictures[1:],
    ]
    if results["model_3"]:
        sections.append(table(_pixel_table(results), PIXEL_NOTE))
    run.write_page(
        results,
        sections,
        title=TITLE if results["reported_accuracy"] is not None else OTHER_TITLE,
        lead=" ".join(finding(results)),
    )
