"""From the workers' reports at one point to its entry in results.json."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from experiments.speed.contenders import SCALING, label
from experiments.speed.contenders.points import Plan, Point
from experiments.speed.contenders.summary import compile_seconds, spread, steady
from experiments.speed.contenders.task import Report

Entries = dict[str, dict[str, Any]]


def epoch_seconds(report: Report, point: Point, plan: Plan) -> float:
    """Seconds of a whole epoch; a part's steps stand for all of them."""
    if plan.part_steps is None:
        return report.seconds
    steps_seconds = report.seconds - report.fixed_seconds
    return report.fixed_seconds + steps_seconds * point.steps / plan.part_steps


def _contender(
    name: str, reports: Sequence[Report], point: Point, plan: Plan, rounds: int
) -> dict[str, Any]:
    measured = steady(reports, rounds)
    timed = reports[1 : rounds + 1]
    seconds = spread([epoch_seconds(report, point, plan) for report in timed])
    first, last = reports[0], reports[-1]
    how = SCALING[name].compiles
    return {
        "label": label(name, SCALING),
        "epoch_seconds": seconds,
        "images_per_second": point.examples / seconds["median"],
        "step_seconds": seconds["median"] / point.steps,
        "measured_seconds": measured,
        "start_seconds": first.since_start - first.seconds - first.compile_seconds,
        "compile_seconds": compile_seconds(how, reports, median(measured)),
        "test_accuracy": last.correct / last.seen,  # after all that it trained here
        "peak_bytes": last.peak_bytes,
    }


def point_result(
    point: Point,
    plan: Plan,
    reports: dict[str, list[Report]],
    floor: dict[str, Any],
    rounds: int,
) -> dict[str, Any]:
    """A point's entry: how it was measured, its floor and its contenders."""
    entries = {
        name: _contender(name, found, point, plan, rounds)
        for name, found in reports.items()
        if len(found) > 1  # the first epoch is warm-up
    }
    for entry in entries.values():
        entry["times_floor"] = entry["epoch_seconds"]["median"] / floor["seconds"]
    return {
        **point._asdict(),
        "steps": point.steps,
        "measured": {**plan._asdict(), "words": plan.words(point)},
        "floor": {**floor, "images_per_second": point.examples / floor["seconds"]},
        "contenders": entries,
        "best": best(entries),
        **_fastest(entries),
    }


def best(entries: Entries) -> dict[str, str]:
    """The faster member of each family: those differ in threads only."""
    found: dict[str, str] = {}
    for name in sorted(entries, key=lambda n: entries[n]["epoch_seconds"]["median"]):
        found.setdefault(SCALING[name].family, name)
    return found


def _fastest(entries: Entries) -> dict[str, Any]:
    """Who has the smallest median, and of other families whose range meets its own."""
    names = list(best(entries).values())  # the fastest first
    if not names:
        return {"fastest": None, "ties": []}
    slowest_epoch = entries[names[0]]["epoch_seconds"]["max"]
    ties = [
        name
        for name in names[1:]
        if entries[name]["epoch_seconds"]["min"] <= slowest_epoch
    ]
    return {"fastest": names[0], "ties": ties}
