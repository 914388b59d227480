"""The content of results.json, from the rows: what each took, and who is ahead."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from experiments.kit.run import Row
from experiments.kit.statistics import median_interval
from experiments.speed.contenders import CONTENDERS, NOISE, REFERENCE
from experiments.speed.machine import ADAM, best_rates, counts, floor
from experiments.speed.settings import Config
from experiments.speed.worker import SCALING, Task, epoch_seconds

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
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        kinds.setdefault(row["row"], []).append(row)
    rounds = kinds.get("round", [])
    median_rate = median([row["rate"] for row in rounds] or [0.0])
    timed: dict[Task, Content] = {}
    for point in points:
        names = {
            row["round"]: counts(row, median_rate) for row in rounds if _at(row, point)
        }
        turns = [row for row in kinds.get("turn", []) if _at(row, point)]
        rates = best_rates(rows, point) if turns else {}
        if result := _point(point, turns, names, rates):
            timed[point] = result
    rates_at = {point: best_rates(rows, point) for point in timed}
    scaling = [point for point in timed if point.kind == SCALING]
    swept = {
        factor: [scaling.index(point) for point in sweep if point in timed]
        for factor, sweep in sweeps.items()
    }
    unknown: Row = {"processor": "unknown", "num_cores": None, "versions": {}}
    machine = kinds.get("machine", [unknown])[0]
    failures = kinds.get("failure", [])
    settings = ("seed", "rounds", "turn_seconds", "part_seconds", "search", "precision")
    return {
        **{name: getattr(config, name) for name in settings},
        "settings_of": config.settings_of and str(config.settings_of),
        "quick": config.quick,
        "jax_device": config.device,
        "versions": machine["versions"],
        "device": machine["processor"],
        "machine": {
            **next(iter(rates_at.values()), {}),
            ADAM: {str(p.width): r[ADAM] for p, r in rates_at.items() if r[ADAM]},
            "num_cores": machine["num_cores"],
            "foreign_share_at_start": next(
                (row["foreign_share"] for row in kinds.get("idle", [])), None
            ),
            "foreign_share_median": median(
                [row["foreign_share"] or 0.0 for row in rounds] or [0.0]
            ),
        },
        "left_out": {row["name"]: row["reason"] for row in kinds.get("left_out", [])},
        "errors": {f"{r['point']}, {r['contender']}": r["error"] for r in failures},
        "search_trials": [
            {key: value for key, value in row.items() if key != "row"}
            for row in kinds.get("trial", [])
        ],
        "models": {p.kind: timed[p] for p in timed if p.kind != SCALING},
        "sweeps": swept,
        "points": [timed[point] for point in scaling],
        "trends": [
            line
            for factor, places in swept.items()
            for line in trends(factor, [timed[scaling[place]] for place in places])
        ],
    }


def _at(row: Row, point: Task) -> bool:
    return row["point"] == point.name


def _point(
    point: Task,
    rows: Sequence[Row],
    rounds: Mapping[int, bool],
    rates: Mapping[str, Any],
) -> Content | None:
    """All contenders at one point; None where nobody was timed.

    Args:
      point: the task.
      rows: its turns.
      rounds: by number, whether a round counts. Where none does, all do.
      rates: the machine's best ones.
    """
    turns: dict[str, list[Row]] = {}
    for row in rows:
        turns.setdefault(row["contender"], []).append(row)
    used = {number for number, is_good in rounds.items() if is_good} or {*rounds}
    every_round = {
        name: {
            row["round"]: epoch_seconds(row, point.steps, row["part_steps"])
            for row in own
            if row["round"] in rounds
        }
        for name, own in turns.items()
    }
    seconds = {
        name: {number: own[number] for number in own if number in used}
        for name, own in every_round.items()
    }
    names = sorted(
        (name for name in seconds if seconds[name]),
        key=lambda name: median(seconds[name].values()),
    )
    if not names:
        return None
    reference = REFERENCE if REFERENCE in names else names[0]
    fields = ("name", "kind", "width", "examples", "batch_size", "steps", "num_epochs")
    least = floor(point, rates)
    contenders = {}
    for name in names:
        ratios = _ratios(seconds[name], seconds[reference])
        all_ratios = _ratios(every_round[name], every_round[reference])
        contenders[name] = {
            **_entry(point, turns[name], seconds[name], ratios, least),
            "ratio_all_rounds": median(all_ratios.values()) if all_ratios else None,
        }
    return {
        **{field: getattr(point, field) for field in fields},
        "layer_sizes": list(point.layer_sizes),
        "floor": least,
        "rounds_run": len(rounds),
        "rounds_counted": sum(rounds.values()),
        "reference": reference,
        "contenders": contenders,
        "noise": contenders[NOISE]["ratio"] if NOISE in names else None,
        "fastest": names[0],
        "not_contending": [name for name in CONTENDERS if name not in names],
    }


def _ratios(own: Mapping[int, float], others: Mapping[int, float]) -> dict[int, float]:
    """Of seconds by round: both of a pair met the machine in the same state.

    A round that was broken off may lack one of them.
    """
    return {number: own[number] / others[number] for number in own if number in others}


def _entry(
    point: Task,
    turns: Sequence[Row],
    timed: Mapping[int, float],
    ratios: Mapping[int, float],
    least: Content,
) -> Content:
    """One contender at one point: an epoch's seconds and their ratios, by round."""
    first, contender = turns[0], CONTENDERS[turns[0]["contender"]]
    middle = median(timed.values())
    compile_seconds = first["compile_seconds"]
    if contender.compiles_in_first_turn:
        parts = [seconds for turn in turns[1:] for seconds in turn["seconds"]]
        compile_seconds = max(0.0, first["seconds"][0] - median(parts or [0.0]))
    # From the process's start: what came before the second turn as the clock showed
    # it, and then the training alone, without waiting and testing.
    parts = [seconds for turn in turns for seconds in turn["seconds"]]
    parts[0] = first["since_start"]
    correct = [number for turn in turns for number in turn["correct"]]
    ends, accuracies = np.cumsum(parts), np.array(correct) / first["seen"]
    epochs = np.arange(1, len(parts) + 1)
    epochs = epochs * ((first["part_steps"] or point.steps) / point.steps)
    to_accuracy: dict[str, Content | None] = {}
    for goal in ACCURACIES:
        place = int(np.argmax(accuracies >= goal))
        is_reached = accuracies[place] >= goal and epochs[place] <= point.num_epochs
        to_accuracy[str(goal)] = (
            {"epoch": float(epochs[place]), "seconds": float(ends[place])}
            if is_reached
            else None
        )
    return {
        "label": contender.label,
        "settings": first["settings"],
        "part_steps": first["part_steps"],
        "parts_per_turn": len(turns[min(1, len(turns) - 1)]["seconds"]),
        "device": first["device"],
        "epoch_seconds": spread(list(timed.values())),
        "images_per_second": point.examples / middle,
        "ratio": spread(list(ratios.values())) if ratios else None,
        "drift": _drift(list(ratios.values())),
        "ratios": {str(number): ratio for number, ratio in ratios.items()},
        "times_floor": middle / least["seconds"] if first["device"] == "cpu" else None,
        "start_seconds": first["since_start"]
        - first["seconds"][0]
        - first["compile_seconds"],
        "compile_seconds": compile_seconds,
        "to_accuracy": to_accuracy,
        "curve": {
            "seconds": ends.tolist(),
            "epochs": epochs.tolist(),
            "test_accuracy": accuracies.tolist(),
        },
        "peak_bytes": turns[-1]["peak_bytes"],
    }


def spread(values: Sequence[float]) -> Content:
    """Of one value or more; the interval is the median's, None of fewer than six."""
    return {
        "min": min(values),
        "median": median(values),
        "max": max(values),
        "interval": median_interval(values),
    }


def _drift(ratios: Sequence[float]) -> float | None:
    """The later half's median ratio over the earlier half's; None of fewer than four.

    Far from 1, a contender may get slower or faster as it trains, so that its median
    depends on how long that was.
    """
    half = len(ratios) // 2
    return median(ratios[-half:]) / median(ratios[:half]) if half > 1 else None


def trends(factor: str, points: Sequence[Content]) -> list[Content]:
    """How each contender's ratio to the reference changes along a sweep.

    The slope of log ratio by log factor, by least squares over the points, in each
    round; "per_tenfold" is what the ratio is multiplied with as the factor grows
    tenfold. Beside it the level: the ratio at both ends.
    """
    lines: list[Content] = []
    for name in CONTENDERS:
        own = [p for p in points if (p["contenders"].get(name) or {}).get("ratio")]
        if len(own) < 2 or name in {p["reference"] for p in own}:
            continue
        entries = [p["contenders"][name] for p in own]
        logs = [np.log(list(entry["ratios"].values())) for entry in entries]
        num_rounds = min(map(len, logs))
        heights = np.array([log[:num_rounds] for log in logs])  # [points, rounds]
        values = [point[factor] for point in own]
        slopes, _ = np.polyfit(np.log10(values), heights, 1)
        line = {
            "factor": factor,
            "contender": name,
            "label": entries[0]["label"],
            "values": [values[0], values[-1]],
            "ratios": [entries[0]["ratio"], entries[-1]["ratio"]],
            "per_tenfold": spread(np.exp(slopes).tolist()),
        }
        lines.append(line)
    return lines
