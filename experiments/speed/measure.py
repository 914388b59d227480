"""The session: points one after the other, contenders in interleaved rounds.

All contenders of a point live at the same time, each in a process of its own, and only
one of them works at a time, so a drift of the machine's speed hits all alike.
"""

import contextlib
import itertools
import random
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from experiments.kit.progress import console
from experiments.kit.run import Row, processor_name
from experiments.speed import contenders
from experiments.speed.contenders import CONTENDERS, label
from experiments.speed.machine import best_rates, floor, measure_rates
from experiments.speed.results import best_of_families
from experiments.speed.settings import Config, planned
from experiments.speed.worker import Task, serve, write_data
from jaxnets import process
from jaxnets.data import Dataset
from jaxnets.devices import cpu_count
from jaxnets.errors import InputError, NonFiniteLoss, ProcessFailed

# Test accuracies until which contenders go on after the rounds; Model 1 ends near 95 %.
GOALS = {"sigmoid_mse": 0.95, "relu_softmax": 0.97, "flax_dense": 0.97}
PAUSE_SECONDS = 0.1  # between turns: threads of the last one may still spin


def measure(config: Config, dataset: Dataset, points: Sequence[Task]) -> Iterator[Row]:
    """Time the contenders at all points, each in a fresh process.

    Yields rows of the kinds "machine", "left_out", "rates", "turn" and "failure".
    What happens is printed in plain lines: a live display would slow the contenders.
    """
    versions = {}
    for package in ("torch", "scikit-learn"):  # beside those of the run's head
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    machine = {"processor": processor_name(), "num_cores": cpu_count()}
    yield {"row": "machine", **machine, "versions": versions}
    for name in config.contenders:
        if missing := contenders.missing_packages(name):
            reason = f"{label(name)}: {', '.join(missing)} is not installed"
            console().print(f"left out: {reason}", style="bold red")
            yield {"row": "left_out", "contender": name, "reason": reason}
    rates: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="jaxnets-speed-") as folder:
        write_data(Path(folder), train=dataset.train, test=dataset.test)
        for number, point in enumerate(points, start=1):
            if all(row["num_params"] != point.num_params for row in rates):
                rates.append(measure_rates(point))
                yield rates[-1]
            least = floor(point, best_rates(rates, point))["seconds"]
            task = planned(point, least, config.part_seconds, config.rounds)
            task = task._replace(seed=config.seed, folder=Path(folder))
            console().print(f"[{number}/{len(points)}] {task.name}: {task.words}")
            for row in interleaved_rounds(task, config):
                console().print(f"  {_words(row)}")
                yield row
            rates.append(measure_rates(point))  # again: others may have been at work
            yield rates[-1]


def interleaved_rounds(task: Task, config: Config) -> Iterator[Row]:
    """Train one network with all contenders: a row a turn, or a failure.

    The first turn of each comes with its start, one contender after the other. Then
    follow the rounds of a turn each, in a new order each time. Then those go on that
    have not reached the goal, up to `task.num_epochs`, of a family the fastest member
    only.
    """
    names = contenders.present(config.contenders, task.kind)
    processes = {name: _process(name, task, config) for name in names}
    turns: dict[str, list[Row]] = {name: [] for name in names}
    fields = ("width", "examples", "batch_size", "part_steps", "epochs_per_turn")
    settings = {field: getattr(task, field) for field in fields}
    shuffle = random.Random(config.seed).shuffle
    try:
        for round_number in itertools.count():  # 0: the start
            names = list(turns)
            if round_number > config.rounds:
                names = _unfinished(turns, task, config.rounds)
            if not names:
                return
            shuffle(names)
            for name in names:
                who = {"point": task.name, "contender": name}
                try:
                    report = next(processes[name])
                except (ProcessFailed, InputError, NonFiniteLoss, OSError) as error:
                    del turns[name]
                    yield {"row": "failure", **who, "error": str(error)}
                    continue
                turn = {"turn": len(turns[name]) + 1, **settings}
                turn["epoch_seconds"] = epoch_seconds(report, task)
                turns[name].append({"row": "turn", **who, **turn, **report})
                yield turns[name][-1]
                time.sleep(PAUSE_SECONDS)
    finally:
        for worker in processes.values():
            worker.close()


def _process(
    name: str, task: Task, config: Config
) -> Generator[dict[str, Any], None, None]:
    """A contender's process, which starts when its first report is asked for."""
    contender = CONTENDERS[name]
    num_epochs = max(task.num_epochs, 1 + config.rounds * task.epochs_per_turn)
    network = contender.network or task.network
    task = task._replace(network=network, num_epochs=num_epochs)
    yield from process.iterate(
        *(serve, contender.program, task, time.time()),
        environment=contenders.environment(name, config.device, config.precision),
        lockstep=True,
    )


def epoch_seconds(report: Row, task: Task) -> float:
    """Seconds of a whole epoch; a part's steps stand for all of them."""
    if task.part_steps is None:
        return report["seconds"]
    fixed = report["fixed_seconds"]
    return fixed + (report["seconds"] - fixed) * task.steps / task.part_steps


def _unfinished(
    turns: Mapping[str, Sequence[Row]], task: Task, rounds: int
) -> list[str]:
    """Of each family the fastest member, unless it has reached the goal."""
    medians = {
        name: median(row["seconds"] for row in rows[1 : rounds + 1])
        for name, rows in turns.items()
    }
    return [
        name
        for name in best_of_families(medians).values()
        if len(turns[name]) < task.num_epochs
        and max(r["correct"] / r["seen"] for r in turns[name]) < GOALS[task.kind]
    ]


def _words(row: Row) -> str:
    who = f"{label(row['contender']):<36}"
    if row["row"] == "failure":
        return f"{who} failed: {row['error'].splitlines()[0]}"
    kind = "warm-up" if row["turn"] == 1 else f"turn {row['turn']}"
    accuracy = row["correct"] / row["seen"]
    seconds = f"{row['epoch_seconds']:8.3f} s per epoch"
    return f"{kind:<8} {who} {seconds}  test accuracy {accuracy:.2%}"
