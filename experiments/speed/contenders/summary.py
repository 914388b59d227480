"""From the workers' reports to the figures in results.json."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from experiments.speed.contenders import CONTENDERS, REFERENCE, label
from experiments.speed.contenders.task import Report

ACCURACIES = (0.95, 0.97)  # of the test set; when they are first reached is noted


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median with the smallest and the largest value."""
    return {"min": min(values), "median": median(values), "max": max(values)}


def steady(reports: Sequence[Report], num_rounds: int) -> list[float]:
    """Seconds of the timing rounds' epochs; the first epoch is warm-up."""
    return [report.seconds for report in reports[1 : num_rounds + 1]]


def compile_seconds(how: str, reports: Sequence[Report], typical: float) -> float:
    """Told as `Contender.compiles` says; `typical` is a later epoch's seconds."""
    if how == "apart":
        return reports[0].compile_seconds
    if how == "first epoch":  # what it took longer than a later one
        return max(0.0, reports[0].seconds - typical)
    return 0.0


def _reached(
    reports: Sequence[Report], accuracy: float, max_epochs: int
) -> dict[str, Any] | None:
    """When the test accuracy was first reached, within the recipe's epochs.

    From the process's start: what came before the second epoch as the clock
    showed it, and then the epochs alone, without waiting and testing.
    """
    seconds = reports[0].since_start
    for number, report in enumerate(reports[:max_epochs], start=1):
        if number > 1:
            seconds += report.seconds
        if report.correct / report.seen >= accuracy:
            return {"epoch": number, "seconds": seconds}
    return None


def contender_result(
    name: str, reports: Sequence[Report], num_rounds: int, max_epochs: int
) -> dict[str, Any]:
    """A contender's entry; it has finished two epochs or more."""
    seconds = steady(reports, num_rounds)
    first = reports[0]
    how = CONTENDERS[name].compiles
    start = first.since_start - first.seconds - first.compile_seconds
    return {
        "label": label(name),
        "epoch_seconds": spread(seconds),
        "epochs": [report.seconds for report in reports],
        "test_accuracy": [report.correct / report.seen for report in reports],
        "start_seconds": start,  # process, imports, data
        "compile_seconds": compile_seconds(how, reports, median(seconds)),
        "to_accuracy": {
            str(accuracy): _reached(reports, accuracy, max_epochs)
            for accuracy in ACCURACIES
        },
        "peak_bytes": reports[-1].peak_bytes,
    }


def model_result(
    reports: dict[str, list[Report]],
    num_rounds: int,
    max_epochs: int,
    floor: dict[str, Any],
) -> dict[str, Any]:
    """A model's entry: its contenders, their ratios, and the floor."""
    timed = {name: found for name, found in reports.items() if len(found) > 1}
    entries = {
        name: contender_result(name, found, num_rounds, max_epochs)
        for name, found in timed.items()
    }
    best = _best(entries)
    for name, entry in entries.items():
        entry["ratio"] = None
        if REFERENCE in best:
            # Round by round: both of a pair met the machine in the same state.
            pairs = zip(
                steady(timed[name], num_rounds),
                steady(timed[best[REFERENCE]], num_rounds),
                strict=False,  # an interrupted round may lack one of them
            )
            entry["ratio"] = spread([theirs / ours for theirs, ours in pairs])
        entry["times_floor"] = entry["epoch_seconds"]["median"] / floor["seconds"]
    return {"floor": floor, "contenders": entries, "best": best}


def _best(entries: dict[str, Any]) -> dict[str, str]:
    """The faster member of each family, by name: those differ in threads only."""
    best: dict[str, str] = {}
    for name in sorted(entries, key=lambda n: entries[n]["epoch_seconds"]["median"]):
        best.setdefault(CONTENDERS[name].family, name)
    return best
