"""The best settings of each contender: a short search before the rounds.

    python -m experiments.speed --search all   # every combination

One thread or one per core, for everybody; for Keras, tuned, also its `grid`. The short
search tries all switches together, keeps the fastest, and goes on with one option after
the other until nothing is faster. The fastest few are tried again in turn,
each in two fresh processes and for longer, as in the rounds, and the best median of
these is taken. No trial is a result. What was chosen is kept in the run, and a later
one takes it over with `--settings-of`: then both time the same programs.
"""

import gc
import itertools
import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from experiments.kit import folder, resume
from experiments.kit.run import Row
from experiments.speed.contenders import (
    CONTENDERS,
    STEPS_PER_EXECUTION,
    environment,
    without,
)
from experiments.speed.settings import WHOLE, Config
from experiments.speed.worker import (
    SCALING,
    SHORT,
    Task,
    epoch_seconds,
    read_data,
    serve,
)
from jaxnets import process
from jaxnets.errors import InputError, NonFiniteLoss, ProcessFailed

FAILURES = (ProcessFailed, InputError, NonFiniteLoss, OSError)
LEAST = 256  # steps in a part of a model's epoch
MOST = 1024  # steps of a trial's part
WHOLE_FLOOR = 1.0  # the longest epoch of a sweep that is timed whole, at the floor
TRIALS = {"none": 1, "short": 2, "all": 5}  # timed ones, after one that is not
AGAIN = 3  # settings tried again, of all numbers of threads
PROCESSES = 2  # fresh ones, of each of these
LONGER = 5  # timed trials in each of them

Options = dict[str, Any]
Choices = dict[tuple[str, str], Row]  # of an earlier run, by point and contender


def choices_of(run: Path | None) -> Choices:
    """What a run's searches chose, by point and contender; of no run nothing.

    Raises:
      InputError: the folder is not that of a run of `speed`, nothing was chosen, or
        what was is no option of this version.
    """
    if run is None:
        return {}
    resume.require_run(run, "speed")
    rows = [row for row in folder.read_rows(run) if row["row"] == "choice"]
    if not rows:
        raise InputError(f"settings_of={run}: that run chose no settings")
    choices: Choices = {(row["point"], row["contender"]): row for row in rows}
    for (_, name), row in choices.items():
        if name not in CONTENDERS:  # nobody will ask for it
            continue
        for option, value in _options(row["settings"]).items():
            known = CONTENDERS[name].grid.get(option, ())
            if not known or (option not in STEPS_PER_EXECUTION and value not in known):
                raise InputError(
                    f"settings_of={run}: that run's {name} has {option}={value!r}, "
                    "which this version does not know (it knows "
                    f"{', '.join(map(repr, known)) or 'no such option'}); use that "
                    "run's version, or leave --settings-of out for a search"
                )
    return choices


def choice(
    name: str, task: Task, config: Config, threads: Sequence[str], earlier: Choices
) -> Generator[Row, None, tuple[Options, float]]:
    """Yield the rows of a search and its choice; return the latter.

    Where an earlier run chose at this point there is no search. Raises what
    `best_settings` raises.
    """
    row = earlier.get((task.name, name))
    if row is None:
        settings, seconds = yield from best_settings(name, task, config, threads)
        names = {"point": task.name, "contender": name, "settings": settings}
        row = {"row": "choice", **names, "epoch_seconds": seconds}
    yield row
    return row["settings"], row["epoch_seconds"]


def best_settings(
    name: str, task: Task, config: Config, threads: Sequence[str]
) -> Generator[Row, None, tuple[Options, float]]:
    """Yield a row a trial; return the best settings and an epoch's seconds with them.

    A sweep's task has its parts; a model's gets them here, but for Keras. Raises what
    a contender's process raises.
    """
    if task.kind != SCALING:
        part = min(MOST, task.steps // (1 + TRIALS[config.search]))
        is_whole = CONTENDERS[name].is_whole or part < 1
        task = task._replace(part_steps=None if is_whole else part)
    task = task._replace(turn_seconds=0.0)

    def row(settings: Options, seconds: float) -> Row:
        names = {"point": task.name, "contender": name, "settings": settings}
        return {"row": "trial", **names, "epoch_seconds": seconds}

    def trials(
        number: str, again: Options | None = None
    ) -> Iterator[tuple[Options, list[float]]]:
        """With this number of threads, of the whole grid or of these options."""
        variables = environment(name, number, config.device, config.precision)
        if not CONTENDERS[name].grid:
            count = TRIALS[config.search] if again is None else LONGER
            return _trials(name, task, count, variables)
        how: dict[str, Any] = {"without": without(name), "environment": variables}
        return process.iterate(search_grid, name, task, config.search, again, **how)

    results: list[tuple[float, Options]] = []
    for number in threads if config.search != "none" else threads[-1:]:
        for options, times in trials(number):
            results.append((min(times), {"threads": number, **options}))
            yield row(results[-1][1], min(times))
    results.sort(key=lambda result: result[0])
    if len(results) > 1 and config.search != "none":
        fastest = [settings for _, settings in results[:AGAIN]]
        again: list[list[float]] = [[] for _ in fastest]
        for place, settings in [*enumerate(fastest)] * PROCESSES:
            try:
                [(_, times)] = trials(settings["threads"], _options(settings))
            except FAILURES:  # it went once; another of the fastest may go again
                continue
            again[place] += times
            yield row(settings, median(times))
        medians = [
            (median(times), settings)
            for times, settings in zip(again, fastest, strict=True)
            if times
        ]
        results = medians or results
    seconds, settings = min(results, key=lambda result: result[0])
    return settings, seconds


def _options(settings: Options) -> Options:
    return {key: value for key, value in settings.items() if key != "threads"}


def _trials(
    name: str, task: Task, number: int, variables: Mapping[str, str]
) -> Generator[tuple[Options, list[float]], None, None]:
    task = task.with_options(**CONTENDERS[name].options)
    reports = process.iterate(
        *(serve, CONTENDERS[name].program, task, 0.0),
        without=without(name),
        environment=variables,
        lockstep=True,
    )
    turns = list(itertools.islice(reports, 1 + number))
    reports.close()
    yield {}, [epoch_seconds(turn, task.steps, task.part_steps) for turn in turns[1:]]


def search_grid(
    send: Callable[[tuple[Options, list[float]]], None],
    name: str,
    task: Task,
    search: str,
    again: Options | None = None,
) -> None:
    """Send options of Keras and what epochs take with them; in a process.

    Of `again` alone, for longer, or of those that the search leads to. What fails is
    passed over, unless all does.
    """
    from experiments.speed.programs import keras_fit

    data = read_data(task.folder, "train", task.examples)
    grid = {
        option: tuple(dict.fromkeys(steps_at_once(value, task) for value in values))
        if option in STEPS_PER_EXECUTION
        else values
        for option, values in CONTENDERS[name].grid.items()
    }
    task = task.with_options(**CONTENDERS[name].options)
    has_gone = False
    failure: Exception | None = None

    def trial(options: Options) -> float:
        nonlocal has_gone, failure
        gc.collect()  # models of earlier trials
        number = TRIALS[search] if again is None else LONGER
        try:
            times = keras_fit.trial(task, data, options, number)
        except Exception as error:  # Keras's back ends raise many kinds
            failure = error
            return math.inf
        has_gone = True
        send((options, times))
        return min(times)

    if again is not None:
        trial(again)
    elif search == "none":
        trial(
            {
                option: max(values) if option in STEPS_PER_EXECUTION else values[-1]
                for option, values in grid.items()
            }
        )
    elif search == "all":
        for way in product(*grid.values()):
            trial(dict(zip(grid, way, strict=True)))
    else:
        descend(trial, grid)
    if failure is not None and not has_gone:
        raise failure


def descend(
    trial: Callable[[Options], float], grid: Mapping[str, Sequence[Any]]
) -> Options:
    """The best options that are met on the way from the first values on.

    All options but numbers are tried in all combinations, and then one option after the
    other, until nothing is better. No combination is tried twice.
    """
    tried: dict[tuple[Any, ...], float] = {}

    def seconds(options: Options) -> float:
        key = (*options.values(),)
        if key not in tried:
            tried[key] = trial(options)
        return tried[key]

    def fastest(best: Options, *names: str) -> Options:
        ways = product(*(grid[name] for name in names))
        return min(
            (best | dict(zip(names, way, strict=True)) for way in ways), key=seconds
        )

    switches = [name for name in grid if name not in STEPS_PER_EXECUTION]
    best = fastest({name: values[0] for name, values in grid.items()}, *switches)
    before: Options = {}
    while best != before:
        before = best
        for name in sorted(grid, key=switches.__contains__):  # numbers first
            best = fastest(best, name)
    return best


def fit_to(name: str, task: Task, settings: Options, epoch_seconds: float) -> Task:
    """The task with a contender's settings, in parts where an epoch takes long.

    A model's part takes a turn's time, and LEAST steps at least, so that what begins
    and ends it weighs little. What would be more than half of an epoch is timed whole.

    Args:
      name, task, settings: whose, what and how.
      epoch_seconds: of the contender's trial; of a sweep's point at the floor.
    """
    options = _options(settings)
    is_whole = CONTENDERS[name].is_whole
    if task.kind == SCALING:
        if is_whole and epoch_seconds <= WHOLE_FLOOR:
            task = task._replace(part_steps=None)
    elif epoch_seconds > WHOLE * task.turn_seconds and not is_whole:
        part = math.ceil(task.steps * task.turn_seconds / epoch_seconds)
        part = max(part, LEAST)
        task = task._replace(part_steps=part if 2 * part <= task.steps else None)
    for option in options.keys() & STEPS_PER_EXECUTION.keys():
        options[option] = steps_at_once(options[option], task)
    return task.with_options(**CONTENDERS[name].options, **options)


def steps_at_once(wanted: int, task: Task) -> int:
    """Steps of an execution of Keras: no more than an epoch has.

    Of a part a divisor, and as many as the shorter part has at most, which tells what
    an epoch takes once.
    """
    if not task.part_steps:
        return min(wanted, task.steps)
    return math.gcd(min(wanted, max(1, task.part_steps // SHORT)), task.part_steps)
