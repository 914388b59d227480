"""The session: points one after the other, contenders in interleaved rounds.

All contenders of a point live at the same time, each in a process of its own, and only
one of them works at a time, so a drift of the machine's speed hits all alike.
"""

import contextlib
import random
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from experiments.kit.numbers import text
from experiments.kit.progress import console
from experiments.kit.provenance import processor_name
from experiments.kit.run import Row
from experiments.speed import contenders, tune
from experiments.speed.contenders import CONTENDERS, in_words
from experiments.speed.machine import (
    MAX_FOREIGN,
    Load,
    best_rates,
    counts,
    floor,
    foreign_share,
    measure_rates,
    round_rate,
)
from experiments.speed.settings import Config, lack_of_memory, planned
from experiments.speed.worker import SCALING, Task, serve, write_data
from jaxnets import process
from jaxnets.data import Dataset
from jaxnets.devices import cpu_count

# Test accuracies until which contenders go on after the rounds; Model 1 ends near 95 %.
GOALS = {"sigmoid_mse": 0.95, "relu_softmax": 0.97, "flax_dense": 0.97}
PAUSE_SECONDS = 0.1  # between turns: threads of the last one may still spin
IDLE_SECONDS = 2.0  # of doing nothing, to see what others do

Settings = dict[str, dict[str, Any]]  # by contender


def measure(
    config: Config, dataset: Dataset, points: Sequence[Task], earlier: tune.Choices
) -> Iterator[Row]:
    """Time the contenders at all points, each in a fresh process.

    Settings that an `earlier` run chose are not searched for. Yields rows of the kinds
    "machine", "left_out", "idle", "rates", "trial", "choice", "turn", "round" and
    "failure". What happens is printed in plain lines: a live display would slow the
    contenders.
    """
    with tempfile.TemporaryDirectory(prefix="jaxnets-speed-") as folder:
        write_data(Path(folder), train=dataset.train, test=dataset.test)
        for row in _session(config, points, Path(folder), earlier):
            if words := _words(row):
                console().print(words, style="bold red" if "reason" in row else None)
            yield row


def _session(
    config: Config, points: Sequence[Task], folder: Path, earlier: tune.Choices
) -> Iterator[Row]:
    versions = {}
    for package in ("torch", "scikit-learn"):  # beside those of the run's head
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    machine = {"processor": processor_name(), "num_cores": cpu_count()}
    yield {"row": "machine", **machine, "versions": versions}
    for name in config.contenders:
        if needs := contenders.missing(name):
            label = CONTENDERS[name].label
            reason = f"{label}: {', '.join(needs)} is not installed"
            yield {"row": "left_out", "name": name, "reason": reason}
    before = Load.now()
    time.sleep(IDLE_SECONDS)
    yield {"row": "idle", "foreign_share": foreign_share(before, Load.now())}
    rates: list[Row] = []
    round_rates: list[float] = []
    for number, point in enumerate(points, start=1):
        console().print(f"[{number}/{len(points)}] {point.name}")
        if lack := lack_of_memory(config, point):
            yield {"row": "left_out", "name": point.name, "reason": lack}
            continue
        if all(row["num_params"] != point.num_params for row in rates):
            rates.append(measure_rates(point))
            yield rates[-1]
        least = floor(point, best_rates(rates, point))["seconds"]
        task = planned(point, least, config)._replace(seed=config.seed, folder=folder)
        if point.kind == SCALING:
            settings = yield from _settings_of_sweep(task, least, config, earlier)
            tasks = {
                name: tune.fit_to(name, task, chosen, least)
                for name, chosen in settings.items()
            }
        else:
            tasks, settings = yield from _choose(task, config, earlier)
        yield from interleaved_rounds(tasks, settings, config, round_rates)
        rates.append(measure_rates(point))  # again: others may have been at work
        yield rates[-1]


def _choose(
    task: Task, config: Config, earlier: tune.Choices
) -> Generator[Row, None, tuple[dict[str, Task], Settings]]:
    """Each contender's task at a model, with the best settings of a search."""
    tasks: dict[str, Task] = {}
    settings: Settings = {}
    for name in contenders.present(config.contenders, task.kind):
        source = CONTENDERS[name].settings_of
        if source in settings:
            settings[name] = settings[source]
            tasks[name] = tasks[source].with_options(**CONTENDERS[name].options)
            continue
        try:
            settings[name], seconds = yield from tune.choice(
                name, task, config, CONTENDERS[name].threads, earlier
            )
        except tune.FAILURES as error:
            yield _failure(task, name, error)
            continue
        tasks[name] = tune.fit_to(name, task, settings[name], seconds)
    return tasks, settings


def _settings_of_sweep(
    task: Task, floor_seconds: float, config: Config, earlier: tune.Choices
) -> Generator[Row, None, Settings]:
    """One thread per core for all; for Keras, tuned, the best settings of a search.

    They are searched on what the rounds time, whole epochs or parts.
    """
    names = contenders.present(config.contenders, SCALING)
    settings: Settings = {name: {"threads": "all"} for name in names}
    for name in filter(lambda name: CONTENDERS[name].grid, names):
        timed = tune.fit_to(name, task, {}, floor_seconds)
        try:
            choice = tune.choice(name, timed, config, ["all"], earlier)
            settings[name], _ = yield from choice
        except tune.FAILURES as error:
            yield _failure(task, name, error)
            del settings[name]
    return settings


def interleaved_rounds(
    tasks: Mapping[str, Task],
    settings: Mapping[str, Mapping[str, Any]],
    config: Config,
    rates: list[float],
) -> Iterator[Row]:
    """Train one network with all contenders: a row a turn, or a failure.

    The first turn of each, round 0, comes with its start. Then follow the rounds of a
    turn each, in a new order each time, until enough count by the rule of an idle
    machine. Then those go on that have not reached the goal, without a round.

    Args:
      tasks, settings: by contender, of one point.
      config: the options.
      rates: of the session's rounds so far; added to.
    """
    processes = {
        name: _process(name, task, settings[name]["threads"], config)
        for name, task in tasks.items()
    }
    turns: dict[str, list[Row]] = {name: [] for name in tasks}
    shuffle = random.Random(config.seed).shuffle

    def turn(names: Sequence[str], round_number: int | None) -> Iterator[Row]:
        names = list(names)
        shuffle(names)
        for name in names:
            task = tasks[name]
            try:
                report = next(processes[name])
            except tune.FAILURES as error:
                del turns[name]
                yield _failure(task, name, error)
                continue
            who = {"point": task.name, "contender": name, "round": round_number}
            used = {key: task.options.get(key, v) for key, v in settings[name].items()}
            plan = {"settings": used, "part_steps": task.part_steps}
            turns[name].append({"row": "turn", **who, **plan, **report})
            yield turns[name][-1]
            time.sleep(PAUSE_SECONDS)

    try:
        yield from turn(list(turns), 0)
        counted: list[Row] = []
        for number in range(1, 2 * config.rounds + 1):
            point = next((tasks[name].name for name in turns), None)
            if point is None or len(counted) == config.rounds:
                break
            rates.append(round_rate())
            before = Load.now()
            yield from turn(list(turns), number)
            row = {"row": "round", "point": point, "round": number, "rate": rates[-1]}
            row["foreign_share"] = foreign_share(before, Load.now())
            yield row
            if counts(row, median(rates)):
                counted.append(row)
        while names := [n for n in turns if _goes_on(turns[n], tasks[n], config)]:
            yield from turn(names, None)
    finally:
        for worker in processes.values():
            worker.close()


def _process(
    name: str, task: Task, threads: str, config: Config
) -> Generator[dict[str, Any], None, None]:
    """A contender's process, which starts when its first report is asked for."""
    contender = CONTENDERS[name]
    task = task._replace(network=contender.network or task.network)
    environment = contenders.environment(name, threads, config.device, config.precision)
    yield from process.iterate(
        *(serve, contender.program, task, time.time()),
        without=contenders.without(name),
        environment=environment,
        lockstep=True,
    )


def _goes_on(rows: Sequence[Row], task: Task, config: Config) -> bool:
    """Whether a contender at a model has neither reached the goal nor its time."""
    parts = sum(len(row["seconds"]) for row in rows)
    epochs = parts * (task.part_steps or task.steps) / task.steps
    seconds = sum(sum(row["seconds"]) for row in rows)
    if epochs >= task.num_epochs or seconds >= config.goal_seconds:
        return False
    best = max(correct / row["seen"] for row in rows for correct in row["correct"])
    return best < GOALS[task.kind]


def _failure(task: Task, name: str, error: Exception) -> Row:
    names = {"point": task.name, "contender": name}
    return {"row": "failure", **names, "error": str(error)}


def _words(row: Row) -> str:
    if row["row"] == "left_out":
        return f"left out: {row['reason']}"
    if row["row"] in ("idle", "round"):
        share, name = row["foreign_share"], row.get("round", "the start")
        is_busy = share is not None and share >= MAX_FOREIGN
        note = f", {MAX_FOREIGN:.0%} or more" if is_busy else ""
        return f"  other processes in round {name}: {text(share, '.1%')}{note}"
    if row["row"] not in ("trial", "choice", "turn", "failure"):
        return ""
    who = f"  {CONTENDERS[row['contender']].label:<38}"
    if row["row"] == "failure":
        return f"{who} failed: {row['error'].splitlines()[0]}"
    if row["row"] in ("trial", "choice"):
        seconds, settings = row["epoch_seconds"], in_words(row["settings"])
        mark = "chosen: " if row["row"] == "choice" else ""
        return f"{who} {seconds:8.3f} s per epoch, {mark}{settings}"
    accuracy = row["correct"][-1] / row["seen"]
    return f"{who} {sum(row['seconds']):8.3f} s, test accuracy {accuracy:.2%}"
