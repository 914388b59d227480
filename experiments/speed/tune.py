"""The best settings of each contender: a short search before the rounds.

    python -m experiments.speed --search all   # every combination, and more steps

One thread or one per core, for everybody; for Keras, tuned, also its `grid`. The short
search goes through the grid one option at a time, from the first values on, and keeps
what was faster. The fastest of some trials decides, and none of them is a result.
"""

import itertools
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from experiments.kit.run import Row
from experiments.speed.contenders import (
    CONTENDERS,
    STEPS_PER_EXECUTION,
    environment,
)
from experiments.speed.results import epoch_seconds
from experiments.speed.settings import WHOLE, Config
from experiments.speed.worker import SCALING, Task, read_data, serve
from jaxnets import process
from jaxnets.errors import InputError, NonFiniteLoss, ProcessFailed

FAILURES = (ProcessFailed, InputError, NonFiniteLoss, OSError)
MULTIPLE = max(STEPS_PER_EXECUTION["steps_per_execution"])  # in parts, which hold all
STEPS = 4 * MULTIPLE  # of a trial, at most
TRIALS = {"none": 1, "short": 2, "all": 5}  # timed ones, after one that is not

Options = dict[str, Any]


def best_settings(
    name: str, task: Task, config: Config, threads: Sequence[str]
) -> Generator[Row, None, tuple[Options, float]]:
    """Yield a row a trial; return the best settings and an epoch's seconds with them.

    Raises what a contender's process raises.
    """
    # Parts of one epoch, if it has so many steps.
    part = min(STEPS, task.steps // (1 + TRIALS[config.search]) // MULTIPLE * MULTIPLE)
    is_whole = CONTENDERS[name].is_whole or not part
    task = task._replace(part_steps=None if is_whole else part, turn_seconds=0.0)
    results: list[tuple[float, Options]] = []
    for number in threads if config.search != "none" else threads[-1:]:
        variables = environment(name, number, config.device, config.precision)
        trials = _trials(name, task, TRIALS[config.search], variables)
        if CONTENDERS[name].grid:
            how = (search_grid, name, task, config.search)
            trials = process.iterate(*how, environment=variables)
        for options, seconds in trials:
            settings = {"threads": number, **options}
            row = {"point": task.name, "contender": name, "settings": settings}
            yield {"row": "trial", **row, "epoch_seconds": seconds}
            results.append((seconds, settings))
    seconds, settings = min(results, key=lambda result: result[0])
    return settings, seconds


def _trials(
    name: str, task: Task, number: int, variables: Mapping[str, str]
) -> Generator[tuple[Options, float], None, None]:
    task = task.with_options(**CONTENDERS[name].options)
    reports = process.iterate(
        *(serve, CONTENDERS[name].program, task, 0.0),
        environment=variables,
        lockstep=True,
    )
    turns = list(itertools.islice(reports, 1 + number))
    reports.close()
    yield (
        {},
        min(epoch_seconds(turn, task.steps, task.part_steps) for turn in turns[1:]),
    )


def search_grid(
    send: Callable[[tuple[Options, float]], None], name: str, task: Task, search: str
) -> None:
    """Send options of Keras and what an epoch takes with them; in a process."""
    from experiments.speed.programs import keras_fit

    data = read_data(task.folder, "train", task.examples)
    grid = CONTENDERS[name].grid
    task = task.with_options(**CONTENDERS[name].options)

    def trial(options: Options) -> float:
        seconds = keras_fit.trial(task, data, options, TRIALS[search])
        seconds *= task.steps / (task.part_steps or task.steps)
        send((options, seconds))
        return seconds

    if search == "all":
        for values in itertools.product(*grid.values()):
            trial(dict(zip(grid, values, strict=True)))
    elif search == "none":
        trial({option: values[-1] for option, values in grid.items()})
    else:
        descend(trial, grid)


def descend(
    trial: Callable[[Options], float], grid: Mapping[str, Sequence[Any]]
) -> Options:
    """One option after the other, from the first values on; the best that was met."""
    best = {name: values[0] for name, values in grid.items()}
    least = trial(best)
    for name, (_, *others) in grid.items():
        for value in others:
            options = {**best, name: value}
            if (seconds := trial(options)) < least:
                least, best = seconds, options
    return best


def fit_to(name: str, task: Task, settings: Options, epoch_seconds: float) -> Task:
    """The task with a contender's settings, in parts where a model's epoch takes long.

    A part takes a turn's time, and holds a whole number of executions.
    """
    options = {key: value for key, value in settings.items() if key != "threads"}
    is_long = task.kind != SCALING and epoch_seconds > WHOLE * task.turn_seconds
    if is_long and not CONTENDERS[name].is_whole:
        steps = task.steps * task.turn_seconds / epoch_seconds
        part = math.ceil(steps / MULTIPLE) * MULTIPLE
        task = task._replace(part_steps=part if part < task.steps else None)
    if task.part_steps and "steps_per_execution" in options:
        size = math.gcd(options["steps_per_execution"], task.part_steps)
        options["steps_per_execution"] = size
    return task.with_options(**CONTENDERS[name].options, **options)
