"""The content of results.json, from the rows: what each took, and who is ahead."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from experiments.kit.run import Row
from experiments.speed.contenders import CONTENDERS, REFERENCE, label
from experiments.speed.machine import ADAM, best_rates, floor
from experiments.speed.settings import Config
from experiments.speed.worker import SCALING, Task

ACCURACIES = (0.95, 0.97)  # of the test set; when they are first reached is noted
FACTORS = {  # of the sweeps, in words
    "width": "hidden width",
    "examples": "training images",
    "batch_size": "batch size",
}

Content = dict[str, Any]  # of results.json, or of a part of it


def results(
    config: Config,
    rows: Sequence[Row],
    points: Sequence[Task],
    sweeps: Mapping[str, Sequence[Task]],
) -> Content:
    """The content of results.json beside the run's head.

    Of all the points, and of those of each factor, what anybody was timed at.
    """
    results = {point: _point(point, rows, config.rounds) for point in points}
    timed = {point: result for point, result in results.items() if result}
    rates = {point: best_rates(rows, point) for point in timed}
    scaling = [point for point in timed if point.kind == SCALING]
    swept = {
        factor: [scaling.index(point) for point in sweep if point in timed]
        for factor, sweep in sweeps.items()
    }
    unknown: Row = {"processor": "unknown", "num_cores": None, "versions": {}}
    machine = next((row for row in rows if row["row"] == "machine"), unknown)
    left_out = [row for row in rows if row["row"] == "left_out"]
    failures = [row for row in rows if row["row"] == "failure"]
    settings = ("seed", "rounds", "part_seconds", "precision", "quick")
    return {
        **{name: getattr(config, name) for name in settings},
        "jax_device": config.device,
        "versions": machine["versions"],
        "device": machine["processor"],
        "machine": {
            **next(iter(rates.values()), {}),
            ADAM: {str(p.width): rate[ADAM] for p, rate in rates.items() if rate[ADAM]},
            "num_cores": machine["num_cores"],
        },
        "left_out": {row["contender"]: row["reason"] for row in left_out},
        "errors": {f"{r['point']}, {r['contender']}": r["error"] for r in failures},
        "models": {p.kind: timed[p] for p in timed if p.kind != SCALING},
        "sweeps": swept,
        "points": [timed[point] for point in scaling],
        "conclusion": {
            "step_costs": [
                cost
                for factor, places in swept.items()
                for cost in step_costs(factor, [timed[scaling[i]] for i in places])
            ],
            "below_floor": [
                {"point": p.name, "contender": name, "times": entry["times_floor"]}
                for p, result in timed.items()
                for name, entry in result["contenders"].items()
                if entry["times_floor"] is not None and entry["times_floor"] < 1
            ],
        },
    }


def best_of_families(seconds: Mapping[str, float]) -> dict[str, str]:
    """The fastest member of each family, the fastest family first."""
    best: dict[str, str] = {}
    for name in sorted(seconds, key=seconds.__getitem__):
        best.setdefault(CONTENDERS[name].family, name)
    return best


def of_family(result: Content, family: str) -> Content | None:
    """The entry of a family's best member at a point; None where it has none."""
    return result["contenders"].get(result["best"].get(family))


def _point(point: Task, rows: Sequence[Row], rounds: int) -> Content | None:
    """All contenders at one point; None where nobody was timed."""
    turns: dict[str, list[Row]] = {}
    for row in rows:
        if row["row"] == "turn" and row["point"] == point.name:
            turns.setdefault(row["contender"], []).append(row)
    turns = {name: found for name, found in turns.items() if len(found) > 1}
    if not turns:  # the first turn is warm-up
        return None
    seconds = {
        name: [row["epoch_seconds"] for row in found[1 : rounds + 1]]
        for name, found in turns.items()
    }
    best = best_of_families({name: median(seconds[name]) for name in seconds})
    fastest, *others = best.values()
    plan = {key: turns[fastest][0][key] for key in ("part_steps", "epochs_per_turn")}
    least = floor(point, best_rates(rows, point))
    reference = seconds.get(best.get(REFERENCE[point.kind], ""), [])
    fields = ("name", "kind", "width", "examples", "batch_size", "steps", "num_epochs")
    return {
        **{field: getattr(point, field) for field in fields},
        "layer_sizes": list(point.layer_sizes),
        "measured": {**plan, "words": point._replace(**plan).words},
        "floor": least,
        "contenders": {
            name: _entry(point, turns[name], seconds[name], reference, least)
            for name in turns
        },
        "best": best,
        "ties": [n for n in others if min(seconds[n]) <= max(seconds[fastest])],
        "fastest": fastest,
        "not_contending": [name for name in CONTENDERS if name not in turns],
    }


def _entry(
    point: Task,
    turns: Sequence[Row],
    timed: Sequence[float],
    reference: Sequence[float],
    least: Content,
) -> Content:
    """One contender at one point; `timed` are the epochs that count, in seconds."""
    first, middle = turns[0], median(timed)
    epochs = [row["seconds"] for row in turns]
    measured = epochs[1 : len(timed) + 1]
    compile_seconds = first["compile_seconds"]
    if CONTENDERS[first["contender"]].compiles_in_first_epoch:
        compile_seconds = max(0.0, epochs[0] - median(measured))
    accuracies = [row["correct"] / row["seen"] for row in turns]
    to_accuracy: dict[str, Content | None] = {}
    for goal in ACCURACIES:
        right = enumerate(accuracies[: point.num_epochs], start=1)
        epoch = next((number for number, share in right if share >= goal), None)
        # From the process's start: what came before the second epoch as the clock
        # showed it, and then the epochs alone, without waiting and testing.
        seconds = sum(epochs[1:epoch], first["since_start"])
        to_accuracy[str(goal)] = {"epoch": epoch, "seconds": seconds} if epoch else None
    # Round by round: both of a pair met the machine in the same state. A round that
    # was broken off may lack one of them.
    ratios = [a / b for a, b in zip(timed, reference, strict=False)]
    return {
        "label": label(first["contender"]),
        "device": first["device"],
        "epoch_seconds": spread(timed),
        "images_per_second": point.examples / middle,
        "step_seconds": middle / point.steps,
        "epochs": epochs,
        "measured_seconds": measured,
        "test_accuracy": accuracies,
        "start_seconds": first["since_start"] - epochs[0] - first["compile_seconds"],
        "compile_seconds": compile_seconds,
        "to_accuracy": to_accuracy,
        "peak_bytes": turns[-1]["peak_bytes"],
        "ratio": spread(ratios) if ratios else None,
        "times_floor": middle / least["seconds"] if first["device"] == "cpu" else None,
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Of one value or more."""
    return {"min": min(values), "median": median(values), "max": max(values)}


def step_costs(factor: str, results: Sequence[Content]) -> list[Content]:
    """What each family's step takes at both ends of a sweep of two points or more.

    "constant" are the seconds that do not grow with the factor: the line through the
    two lowest values, at 0, between 0 and the lowest's step. Larger points would hide
    it: there caches overflow, and products get efficient. It is None where one of the
    two was not measured, or where the factor does not change a step.
    """
    costs: list[Content] = []
    for family in results[0]["best"] if len(results) > 1 else ():
        low, second, high = (of_family(results[i], family) for i in (0, 1, -1))
        if not low or not high:
            continue
        constant = None
        if second and factor != "examples":
            values = [result[factor] for result in results[:2]]
            rise = max(0.0, second["step_seconds"] - low["step_seconds"])
            constant = low["step_seconds"] - values[0] * rise / (values[1] - values[0])
        ends = ((results[0], low), (results[-1], high))
        cost = {
            "factor": factor,
            "family": family,
            "values": [result[factor] for result, _ in ends],
            "ratios": [e["ratio"] and e["ratio"]["median"] for _, e in ends],
            "above_floor": [
                entry["step_seconds"] - result["floor"]["seconds"] / result["steps"]
                for result, entry in ends
            ],
            "constant": None if constant is None else max(0.0, constant),
        }
        costs.append(cost)
    return costs
