"""From rows to figures: what each contender took at each point, and who is ahead."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from experiments.kit.run import Row
from experiments.speed.contenders import CONTENDERS, REFERENCE, SCALING, label
from experiments.speed.machine import Floor, Rates, floor
from experiments.speed.points import Plan, Point, plan
from experiments.speed.task import Report

ACCURACIES = (0.95, 0.97)  # of the test set; when they are first reached is noted
OF_POINT = ("name", "width", "examples", "batch_size", "steps")


@dataclass(frozen=True)
class Spread:
    """Median with the smallest and the largest value."""

    min: float
    median: float
    max: float


@dataclass(frozen=True)
class Reached:
    """When an accuracy was first reached."""

    epoch: int
    seconds: float  # from the process's start, without waiting and testing


@dataclass(frozen=True)
class Entry:
    """One contender at one point."""

    label: str
    device: str
    epoch_seconds: Spread  # of the timed turns; a part's steps stand for all
    images_per_second: float
    step_seconds: float
    epochs: list[float]  # seconds as measured, the first turn included
    measured_seconds: list[float]  # likewise, of the timed turns
    test_accuracy: list[float]  # after each turn
    start_seconds: float  # process, imports, data
    compile_seconds: float
    to_accuracy: dict[str, Reached | None]
    peak_bytes: int | None
    ratio: Spread | None  # to the reference family's best, round by round
    times_floor: float | None  # None: it is not on the processor


@dataclass(frozen=True)
class PointResult:
    """All contenders at one point."""

    point: Point
    measured: Plan
    floor: Floor
    contenders: dict[str, Entry]
    best: dict[str, str]  # the faster member of each family, the fastest first
    ties: list[str]  # of other families, whose range meets that of the fastest

    @property
    def fastest(self) -> str:
        """The contender with the smallest median."""
        return next(iter(self.best.values()))

    def of_family(self, family: str) -> Entry | None:
        """The entry of a family's best member."""
        return self.contenders[self.best[family]] if family in self.best else None

    def to_json(self) -> dict[str, Any]:
        """Its entry in results.json."""
        return {
            **{name: getattr(self.point, name) for name in OF_POINT},
            "layer_sizes": list(self.point.layer_sizes),
            **{key: value for key, value in asdict(self).items() if key != "point"},
            "fastest": self.fastest,
            "not_contending": [n for n in CONTENDERS if n not in self.contenders],
        }


@dataclass(frozen=True)
class StepCost:
    """What a family's step takes at the lowest and the highest value of a sweep."""

    factor: str
    family: str
    values: list[int]  # the two
    ratios: list[float | None]  # of epochs, to the reference family
    above_floor: list[float]  # seconds; below 0: the floor was too high
    constant: float | None  # seconds of a step that do not grow with the factor


Timed = Mapping[Point, PointResult]
Sweeps = Mapping[str, Sequence[Point]]


def results(rows: Sequence[Row], timed: Timed, sweeps: Sweeps) -> dict[str, Any]:
    """The content of results.json beside the run's head and its settings."""
    processor = machine(rows)
    failures = [row for row in rows if row["row"] == "failure"]
    left_out = [row for row in rows if row["row"] == "left_out"]
    of_sweeps = [point for point in timed if point.kind == SCALING]
    rates = {point: best_rates(rows, point) for point in timed}
    adam = {str(p.width): rate.bytes_per_second_adam for p, rate in rates.items()}
    return {
        "device": processor["processor"],
        "machine": {
            **(next(iter(rates.values()))._asdict() if rates else {}),
            "bytes_per_second_adam": {key: v for key, v in adam.items() if v},
            "num_cores": processor["num_cores"],
        },
        "left_out": {row["contender"]: row["reason"] for row in left_out},
        "errors": {f"{r['point']}, {r['contender']}": r["error"] for r in failures},
        "models": {
            point.kind: result.to_json()
            for point, result in timed.items()
            if point.kind != SCALING
        },
        "sweeps": {
            factor: [of_sweeps.index(point) for point in sweep if point in timed]
            for factor, sweep in sweeps.items()
        },
        "points": [timed[point].to_json() for point in of_sweeps],
        "conclusion": {
            "step_costs": [asdict(cost) for cost in step_costs(timed, sweeps)],
            "below_floor": [
                {"point": point.name, "contender": name, "times": entry.times_floor}
                for point, result in timed.items()
                for name, entry in result.contenders.items()
                if entry.times_floor is not None and entry.times_floor < 1
            ],
        },
    }


def machine(rows: Sequence[Row]) -> Row:
    """What was noted of the machine before anything was timed."""
    unknown: Row = {"processor": "unknown", "num_cores": None, "versions": {}}
    return next((row for row in rows if row["row"] == "machine"), unknown)


def point_results(
    points: Sequence[Point], rows: Sequence[Row], rounds: int
) -> dict[Point, PointResult]:
    """The results of all points at which anybody was timed."""
    turns: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["row"] == "turn":
            turns[row["point"]][row["contender"]].append(row)
    timed = {}
    for point in points:
        here = turns[point.name].items()
        of_point = {name: found for name, found in here if len(found) > 1}
        if of_point:  # the first turn is warm-up
            least = floor(point, best_rates(rows, point))
            timed[point] = _point_result(point, of_point, rounds, least)
    return timed


def best_rates(rows: Sequence[Row], point: Point) -> Rates:
    """The machine's best rates; Adam's for arrays of the point's size."""
    rates = [row for row in rows if row["row"] == "rates"]
    adam = [
        row["bytes_per_second_adam"]
        for row in rates
        if row["num_params"] == point.num_params
    ]
    return Rates(
        max(row["flops_per_second_one_core"] for row in rates),
        max(row["flops_per_second_all_cores"] for row in rates),
        max(filter(None, adam), default=None),
    )


def epoch_seconds(report: Report, point: Point, measured: Plan) -> float:
    """Seconds of a whole epoch; a part's steps stand for all of them."""
    if measured.part_steps is None:
        return report.seconds
    steps_seconds = report.seconds - report.fixed_seconds
    return report.fixed_seconds + steps_seconds * point.steps / measured.part_steps


def spread(values: Sequence[float]) -> Spread:
    """Of one value or more."""
    return Spread(min(values), median(values), max(values))


def _point_result(
    point: Point, turns: Mapping[str, Sequence[Row]], rounds: int, least: Floor
) -> PointResult:
    seconds = {
        name: [row["epoch_seconds"] for row in found[1 : rounds + 1]]
        for name, found in turns.items()
    }
    best: dict[str, str] = {}
    for name in sorted(seconds, key=lambda name: median(seconds[name])):
        best.setdefault(CONTENDERS[name].family, name)
    reference = seconds.get(best.get(REFERENCE[point.kind], ""))
    fastest, *others = best.values()
    row = turns[fastest][0]
    return PointResult(
        point=point,
        measured=plan(point, row["part_steps"], row["epochs_per_turn"]),
        floor=least,
        contenders={
            name: _entry(
                name, point, found, seconds[name], reference=reference, least=least
            )
            for name, found in turns.items()
        },
        best=best,
        ties=[name for name in others if min(seconds[name]) <= max(seconds[fastest])],
    )


def _entry(
    name: str,
    point: Point,
    turns: Sequence[Row],
    timed: Sequence[float],
    *,
    reference: Sequence[float] | None,
    least: Floor,
) -> Entry:
    reports = [Report(*(row[field] for field in Report._fields)) for row in turns]
    first = reports[0]
    epochs = [report.seconds for report in reports]
    measured = epochs[1 : len(timed) + 1]
    seconds = spread(timed)
    compile_seconds = first.compile_seconds
    if CONTENDERS[name].compiles_in_first_epoch:  # what it took longer than later ones
        compile_seconds = max(0.0, first.seconds - median(measured))
    # Round by round: both of a pair met the machine in the same state. A round that
    # was broken off may lack one of them.
    pairs = zip(timed, reference or (), strict=False)
    return Entry(
        label=label(name),
        device=first.device,
        epoch_seconds=seconds,
        images_per_second=point.examples / seconds.median,
        step_seconds=seconds.median / point.steps,
        epochs=epochs,
        measured_seconds=measured,
        test_accuracy=[report.correct / report.seen for report in reports],
        start_seconds=first.since_start - first.seconds - first.compile_seconds,
        compile_seconds=compile_seconds,
        to_accuracy={
            str(accuracy): _reached(reports[: point.num_epochs], accuracy)
            for accuracy in ACCURACIES
        },
        peak_bytes=reports[-1].peak_bytes,
        ratio=spread([a / b for a, b in pairs]) if reference else None,
        times_floor=seconds.median / least.seconds if first.device == "cpu" else None,
    )


def _reached(reports: Sequence[Report], accuracy: float) -> Reached | None:
    """When the accuracy was first reached, within the recipe's epochs.

    From the process's start: what came before the second epoch as the clock
    showed it, and then the epochs alone, without waiting and testing.
    """
    seconds = 0.0
    for number, report in enumerate(reports, start=1):
        seconds += report.since_start if number == 1 else report.seconds
        if report.correct / report.seen >= accuracy:
            return Reached(number, seconds)
    return None


def swept(timed: Timed, sweeps: Sweeps) -> dict[str, list[PointResult]]:
    """The results of each sweep's points, of sweeps where any was measured."""
    found = {
        factor: [timed[point] for point in sweep if point in timed]
        for factor, sweep in sweeps.items()
    }
    return {factor: points for factor, points in found.items() if points}


def step_costs(timed: Timed, sweeps: Sweeps) -> list[StepCost]:
    """One entry a factor and family, of sweeps with two points or more."""
    costs = []
    for factor, (low, *others) in swept(timed, sweeps).items():
        for family in low.best:
            first = low.of_family(family)
            last = others[-1].of_family(family) if others else None
            if first is None or last is None:
                continue
            ends = ((low, first), (others[-1], last))
            values = [getattr(end.point, factor) for end, _ in ends]
            ratios = [e.ratio.median if e.ratio else None for _, e in ends]
            floors = [end.floor.seconds / end.point.steps for end, _ in ends]
            above = [first.step_seconds - floors[0], last.step_seconds - floors[1]]
            constant = constant_part(low, others[0], factor, family)
            costs.append(StepCost(factor, family, values, ratios, above, constant))
    return costs


def constant_part(
    low: PointResult, high: PointResult, factor: str, family: str
) -> float | None:
    """Seconds of a step that do not grow with a factor: the line through two, at 0.

    Between 0 and the smaller point's step; None where one of them is not measured, or
    where the factor does not change a step. Larger points would hide it: there caches
    overflow, and products get efficient.
    """
    first, second = low.of_family(family), high.of_family(family)
    if first is None or second is None or factor == "examples":
        return None
    low_value, high_value = getattr(low.point, factor), getattr(high.point, factor)
    rise = max(0.0, second.step_seconds - first.step_seconds)
    return max(0.0, first.step_seconds - low_value * rise / (high_value - low_value))
