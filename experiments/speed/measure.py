"""The session: points one after the other, contenders in interleaved rounds.

All contenders of a point live at the same time, each in a process of its own, and only
one of them works at a time, so a drift of the machine's speed hits all alike.
"""

import importlib.util
import random
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from statistics import median

from experiments.kit.progress import console
from experiments.kit.run import Row, processor_name
from experiments.speed.contenders import (
    CONTENDERS,
    MODELS,
    SCALING,
    environment,
    label,
    missing_packages,
    present,
)
from experiments.speed.machine import floor, measure_rates
from experiments.speed.points import Plan, Point, choose_plan
from experiments.speed.settings import Config
from experiments.speed.summary import best_rates, epoch_seconds
from experiments.speed.task import Data, Report, Task, write_data
from experiments.speed.worker import serve
from jaxnets import process
from jaxnets.data import Dataset
from jaxnets.devices import cpu_count
from jaxnets.errors import InputError, NonFiniteLoss, ProcessFailed

RIVALS = {"torch": "torch", "scikit-learn": "sklearn"}  # beside the head's versions
PAUSE_SECONDS = 0.1  # between turns: threads of the last one may still spin


def measure(config: Config, dataset: Dataset, points: Sequence[Point]) -> Iterator[Row]:
    """Time the contenders at all points, each in a fresh process.

    Yields rows of the kinds "machine", "left_out", "rates", "turn" and "failure".
    What happens is printed in plain lines: a live display would slow the contenders.
    """
    yield {
        "row": "machine",
        "processor": processor_name(),
        "num_cores": cpu_count(),
        "versions": {
            name: metadata.version(name)
            for name, package in RIVALS.items()
            if importlib.util.find_spec(package)
        },
    }
    for name in dict.fromkeys(config.contenders):
        if missing := missing_packages(name):
            reason = f"{label(name)}: {', '.join(missing)} is not installed"
            console().print(f"left out: {reason}", style="bold red")
            yield {"row": "left_out", "contender": name, "reason": reason}
    rates: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="jaxnets-speed-") as folder:
        write_data(Path(folder), Data(*dataset.train), Data(*dataset.test))
        for number, point in enumerate(points, start=1):
            if all(row["num_params"] != point.num_params for row in rates):
                rates.append(_rates(point))
                yield rates[-1]
            least = floor(point, best_rates(rates, point)).seconds
            plan = choose_plan(point, least, config.part_seconds, config.rounds)
            task = make_task(point, plan, config, Path(folder))
            console().print(f"[{number}/{len(points)}] {point.name}: {plan.words}")
            for row in interleaved_rounds(point, plan, task, config):
                console().print(f"  {_words(row)}")
                yield row
            rates.append(_rates(point))  # again: others may have been at work
            yield rates[-1]


def make_task(point: Point, plan: Plan, config: Config, folder: Path) -> Task:
    """What the contenders' processes get."""
    return Task(
        network=MODELS[-1] if point.kind == SCALING else point.kind,
        layer_sizes=point.layer_sizes,
        optimizer=point.optimizer,
        learning_rate=point.learning_rate,
        batch_size=point.batch_size,
        num_epochs=max(point.num_epochs, 1 + config.rounds * plan.epochs_per_turn),
        seed=config.seed,
        folder=folder,
        num_examples=point.examples,
        part_steps=plan.part_steps,
        epochs_per_turn=plan.epochs_per_turn,
    )


def interleaved_rounds(
    point: Point, plan: Plan, task: Task, config: Config
) -> Iterator[Row]:
    """Train one network with all contenders: a row a turn, or a failure.

    The first turn of each comes with its start, one contender after the other. Then
    follow the rounds of a turn each, in a new order each time. Then those go on that
    have not reached the point's goal, up to `task.num_epochs`, of a family the fastest
    member only.
    """
    names = present(config.contenders, point.kind)
    processes: dict[str, Generator[Report, None, None]] = {}
    reports: dict[str, list[Report]] = {name: [] for name in names}
    shuffle = random.Random(config.seed).shuffle
    round_number = 0  # the start
    try:
        while names:
            shuffle(names)
            for name in names:
                row = {"point": point.name, "contender": name}
                try:
                    if name not in processes:
                        processes[name] = _start(name, task, config)
                    report = next(processes[name])
                except (ProcessFailed, InputError, NonFiniteLoss, OSError) as error:
                    del reports[name]
                    yield {"row": "failure", **row, "error": str(error)}
                    continue
                reports[name].append(report)
                yield {
                    "row": "turn",
                    **row,
                    "turn": len(reports[name]),
                    "width": point.width,
                    "examples": point.examples,
                    "batch_size": point.batch_size,
                    "part_steps": plan.part_steps,
                    "epochs_per_turn": plan.epochs_per_turn,
                    "epoch_seconds": epoch_seconds(report, point, plan),
                    **report._asdict(),
                }
                time.sleep(PAUSE_SECONDS)
            round_number += 1
            names = list(reports)
            if round_number > config.rounds:
                names = _unfinished(reports, point, config.rounds)
    finally:
        for worker in processes.values():
            worker.close()


def _start(name: str, task: Task, config: Config) -> Generator[Report, None, None]:
    """A contender's process, which starts when it is first asked."""
    contender = CONTENDERS[name]
    task = task._replace(network=contender.network or task.network)
    arguments = (contender.program, task, time.time())
    variables = environment(name, config.device, config.precision)
    return process.iterate(serve, *arguments, environment=variables, lockstep=True)


def _unfinished(
    reports: Mapping[str, Sequence[Report]], point: Point, rounds: int
) -> list[str]:
    """Of each family the fastest member, unless it has reached the goal."""
    if point.goal is None:
        return []
    seconds = {
        name: median(report.seconds for report in reports[name][1 : rounds + 1])
        for name in reports
    }
    fastest: dict[str, str] = {}
    for name in sorted(seconds, key=seconds.__getitem__):
        fastest.setdefault(CONTENDERS[name].family, name)
    return [
        name
        for name in fastest.values()
        if len(reports[name]) < point.num_epochs
        and max(report.correct / report.seen for report in reports[name]) < point.goal
    ]


def _rates(point: Point) -> Row:
    rates = measure_rates(point)._asdict()
    return {"row": "rates", "num_params": point.num_params, **rates}


def _words(row: Row) -> str:
    who = f"{label(row['contender']):<36}"
    if row["row"] == "failure":
        return f"{who} failed: {row['error'].splitlines()[0]}"
    kind = "warm-up" if row["turn"] == 1 else f"turn {row['turn']}"
    accuracy = row["correct"] / row["seen"]
    seconds = f"{row['epoch_seconds']:8.3f} s per epoch"
    return f"{kind:<8} {who} {seconds}  test accuracy {accuracy:.2%}"
