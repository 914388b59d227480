"""The best settings of each contender: a short search before the rounds.

    python -m experiments.speed --search all   # every combination, and more steps

One thread or one per core, for everybody; for Keras, tuned, also its `grid`. The short
search goes through the grid one option at a time, from the defaults on, keeps what was
faster, and begins anew until nothing is. The fastest of some trials decides, and none
of them is a result.
"""

import itertools
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from experiments.kit.run import Row
from experiments.speed.contenders import (
    CONTENDERS,
    MAX_STEPS,
    STEPS_PER_EXECUTION,
    environment,
)
from experiments.speed.results import epoch_seconds
from experiments.speed.settings import WHOLE, Config
from experiments.speed.worker import SCALING, Task, read_data, serve
from jaxnets import process
from jaxnets.errors import InputError, NonFiniteLoss, ProcessFailed

FAILURES = (ProcessFailed, InputError, NonFiniteLoss, OSError)
STEPS = MAX_STEPS[-1]  # of a trial, at most; Keras's hold all that may be executed
LEAST = 256  # in a part
TRIALS = {"none": 1, "short": 2, "all": 5}  # timed ones, after one that is not

Options = dict[str, Any]


def best_settings(
    name: str, task: Task, config: Config, threads: Sequence[str]
) -> Generator[Row, None, tuple[Options, float]]:
    """Yield a row a trial; return the best settings and an epoch's seconds with them.

    Raises what a contender's process raises.
    """
    # Parts of one epoch, if it has so many steps.
    grid = CONTENDERS[name].grid
    part = min(STEPS, task.steps // (1 + TRIALS[config.search]))
    least = STEPS if grid else 1
    is_whole = (CONTENDERS[name].is_whole and task.kind != SCALING) or part < least
    task = task._replace(part_steps=None if is_whole else part, turn_seconds=0.0)
    results: list[tuple[float, Options]] = []
    for number in threads if config.search != "none" else threads[-1:]:
        variables = environment(name, number, config.device, config.precision)
        trials = _trials(name, task, TRIALS[config.search], variables)
        if grid:
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
    steps = task.part_steps or task.steps
    grid = {
        option: tuple(dict.fromkeys(min(value, steps) for value in values))
        if option in STEPS_PER_EXECUTION
        else values
        for option, values in CONTENDERS[name].grid.items()
    }
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
    """The best that is met by one option after the other, from the first values on.

    And so again, until nothing is better. No combination is tried twice.
    """
    tried: dict[tuple[Any, ...], float] = {}

    def seconds(options: Options) -> float:
        key = (*options.values(),)
        if key not in tried:
            tried[key] = trial(options)
        return tried[key]

    best = {name: values[0] for name, values in grid.items()}
    before: Options = {}
    while best != before:
        before = best
        for name, values in grid.items():
            ways = [{**best, name: value} for value in values]
            best = min(ways, key=seconds)
    return best


def fit_to(name: str, task: Task, settings: Options, epoch_seconds: float) -> Task:
    """The task with a contender's settings, in parts where a model's epoch takes long.

    A part takes a turn's time, and LEAST steps at least, so that what begins and ends
    it weighs little. What would be more than half of an epoch is timed whole.
    """
    options = {key: value for key, value in settings.items() if key != "threads"}
    is_long = task.kind != SCALING and epoch_seconds > WHOLE * task.turn_seconds
    if is_long and not CONTENDERS[name].is_whole:
        part = math.ceil(task.steps * task.turn_seconds / epoch_seconds)
        part = max(part, LEAST)
        task = task._replace(part_steps=part if 2 * part <= task.steps else None)
    if task.part_steps and "steps_per_execution" in options:
        size = min(options["steps_per_execution"], task.part_steps)
        options["steps_per_execution"] = math.gcd(size, task.part_steps)
    return task.with_options(**CONTENDERS[name].options, **options)
