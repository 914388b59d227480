"""What takes an epoch's time on a processor: ways to run it, and its operations.

    python -m experiments.speed.epoch
    python -m experiments.speed.epoch --models relu_softmax --rounds 20

First the same epoch in several ways, in turn: each adds to those above it one thing
that `jaxnets.processor` and `jaxnets.devices` do for speed, the last is how
`training.fit` runs it. Then JAX's profiler looks at the last way: how long each
operation of its program takes, summed over cores. A profiled epoch takes longer, by
what the profiler does at each operation; both times are told. What an operation
computes is told by its result, the function of JAX that it comes from, and whether that
is part of the forward pass, of the backward pass, or of the rest, such as the optimizer
and the totals.

A minute on two cores, idle; docs/speed.md has what came out.
"""

import re
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.kit.command import run_command
from experiments.kit.options import Options, require_at_least, require_names
from experiments.kit.progress import Progress
from experiments.kit.run import Row, Run
from experiments.kit.statistics import median_interval
from jaxnets import devices, models, optimizers, processor, training
from jaxnets.batches import epoch_order
from jaxnets.errors import InputError
from jaxnets.models import JAX_MODELS
from jaxnets.training import TrainEpoch
from jaxnets.types import Batch, Step, TrainState

AS_FIT = "rows gathered in blocks, flat: as fit does"
WAYS = ("plain", "512-bit vectors", "kernels as [out, in]", AS_FIT)
CONTAINERS = ("while", "call", "conditional")  # of other operations
PROFILED = 2  # epochs that are profiled together
# An operation of a compiled program: its name, its result, and where it comes from.
OPERATION = re.compile(
    r"^\s*(?:ROOT )?%(?P<name>\S+) = (?P<result>\(.*?\)|\S+) (?P<kind>[\w-]+)\(.*?"
    r'op_name="(?P<source>[^"]*)"',
    re.MULTILINE,
)


@dataclass(frozen=True, kw_only=True)
class Config(Options):
    """Which networks, and how often."""

    models: tuple[str, ...] = ("sigmoid_mse", "relu_softmax", "flax_dense")
    """Networks of JAX, by their recipes."""
    rounds: int = 12
    """Epochs of each way that are timed, in turn, after a first one."""
    seed: int = 0
    """Decides initial weights, the order of images, and the order in a round."""


def main(config: Config) -> dict[str, Any]:
    """Time and profile; return the content of results.json."""
    require_names(config, "models", JAX_MODELS)
    require_at_least(config, rounds=1)
    training.require_seed(config.seed)
    run = Run.open("epoch", config)
    config = run.config
    if config.redraw is None:
        if jax.default_backend() != "cpu":
            raise InputError(
                f"JAX trains on {jax.default_backend()}, and what is timed here is a "
                "processor's; set JAX_PLATFORMS=cpu"
            )
        for name in config.models:
            models.validate_fits(name, models.get(name).recipe, run.data)
    run.record(measure(config, run.data.train))
    content = results(run.rows)
    from experiments.speed import epoch_page  # loads Matplotlib

    return run.publish(
        content,
        title="Inside an epoch",
        lead=lambda: epoch_page.lead(content, AS_FIT),
        sections=lambda: epoch_page.sections(content),
    )


def measure(config: Config, train: Batch) -> Iterator[Row]:
    """Rows, told apart by `row`, all with `model`:

    epoch       way, round, seconds
    profile     updates, seconds (of an epoch while it is profiled)
    operation   name, result, function, phase; microseconds and times an update
    """
    totals = dict.fromkeys(config.models, config.rounds + 1)
    with Progress(totals) as progress:
        for name in config.models:
            progress.text(name, "compiling")
            state, programs = compile_ways(name, config.seed, train)
            data = jax.device_put(train)
            for number in range(config.rounds + 1):
                shuffled = np.random.default_rng((config.seed, number))
                for way in shuffled.permutation(WAYS).tolist():
                    seconds = timed(programs[way], state, data, number)
                    if number:
                        entry = {"way": way, "round": number, "seconds": seconds}
                        yield {"row": "epoch", "model": name, **entry}
                progress.advance(name, text=f"round {number}: {seconds:.3f} s")
            updates = -(-len(train.label) // models.get(name).recipe.batch_size)
            yield from profile(name, programs[AS_FIT], state, data, updates)


def timed(program: Callable, state: TrainState, data: Batch, number: int) -> float:
    """Seconds of an epoch, its order included."""
    began = time.perf_counter()
    jax.block_until_ready(program(state, data, np.int32(number)))
    return time.perf_counter() - began


def compile_ways(
    name: str, seed: int, train: Batch
) -> tuple[TrainState, dict[str, Callable]]:
    """A state to begin with, and the program of each way."""
    model = models.get(name)
    loss_fn, batch_size = model.network.loss_fn, model.recipe.batch_size
    tx, keys = optimizers.make(model.recipe), training.run_keys(seed)
    params = model.network.init(keys.init, model.recipe.layer_sizes)
    state = training.start(params, tx)
    if not processor.suits(tx, state):
        raise InputError(f"the optimizer of {name} is trained as it is written")
    step = training.make_train_step(loss_fn, tx)
    stored = training.make_train_step(processor.on_transposed(loss_fn), tx)
    plain = training.make_train_epoch(step, batch_size)
    transposed = training.make_train_epoch(stored, batch_size)

    def of_transposed(state: TrainState, data: Batch, order: jax.Array) -> Step:
        state, totals = transposed(processor.transpose(state), data, order)
        return processor.transpose(state), totals

    def run_epoch(
        train_epoch: TrainEpoch, state: TrainState, data: Batch, number: jax.Array
    ) -> Step:
        order = epoch_order(keys.data, number, len(data.label))
        return train_epoch(state, data, order)

    arguments = (state, train, np.int32(0))
    as_fit = processor.make_train_epoch(stored, batch_size)
    unaided = jax.jit(partial(run_epoch, plain)).lower(*arguments).compile()
    aided = [
        devices.compile_ahead(partial(run_epoch, train_epoch), *arguments)
        for train_epoch in (plain, of_transposed, as_fit)
    ]
    return state, dict(zip(WAYS, (unaided, *aided), strict=True))


def profile(
    name: str, program: Any, state: TrainState, data: Batch, updates: int
) -> Iterator[Row]:
    """The operations of some epochs, by JAX's profiler."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            seconds = [timed(program, state, data, n) for n in range(PROFILED)]
        [file] = Path(folder).rglob("*.xplane.pb")
        profiled = jax.profiler.ProfileData.from_file(str(file))
    mean = statistics.mean(seconds)
    yield {"row": "profile", "model": name, "updates": updates, "seconds": mean}
    operations = OPERATION.finditer(program.as_text())
    known = {o["name"]: o for o in operations if o["kind"] not in CONTAINERS}
    nanoseconds: Counter[str] = Counter()
    times: Counter[str] = Counter()
    for event in (e for p in profiled.planes for line in p.lines for e in line.events):
        if event.name in known:
            nanoseconds[event.name] += event.duration_ns
            times[event.name] += 1
    for operation, duration in nanoseconds.most_common():
        found = known[operation]
        yield {
            "row": "operation",
            "model": name,
            "name": operation,
            "result": re.sub(r"\{[\d,]*\}|/\*.*?\*/", "", found["result"]),
            "function": found["source"].rpartition("/")[2],
            "phase": phase(found["source"]),
            "microseconds": duration / 1e3 / PROFILED / updates,
            "times": times[operation] / PROFILED / updates,
        }


def phase(source: str) -> str:
    """Of an update, from the name that JAX gives an operation."""
    if "transpose(" in source:
        return "backward"
    return "forward" if "jvp(" in source else "rest"


def results(rows: Sequence[Row]) -> dict[str, Any]:
    """By model: ways beside how `fit` does it, and operations from long to short."""
    content: dict[str, Any] = {}
    for name in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in rows if row["model"] == name]
        by_way: dict[str, dict[int, float]] = {}
        for row in own:
            if row["row"] == "epoch":
                by_way.setdefault(row["way"], {})[row["round"]] = row["seconds"]
        as_fit = by_way.get(AS_FIT, {})
        [profile] = [row for row in own if row["row"] == "profile"] or [{}]
        content[name] = {
            "ways": [
                {
                    "way": way,
                    "seconds": statistics.median(seconds.values()),
                    **ratio_to(as_fit, seconds),
                }
                for way, seconds in ((w, by_way[w]) for w in WAYS if w in by_way)
            ],
            "updates": profile.get("updates"),
            "profiled_seconds": profile.get("seconds"),
            "operations": [row for row in own if row["row"] == "operation"],
        }
    return {"models": content}


def ratio_to(as_fit: dict[int, float], seconds: dict[int, float]) -> dict[str, Any]:
    """Of the rounds that have both: the median ratio and its interval, if any."""
    ratios = [seconds[n] / as_fit[n] for n in seconds if n in as_fit]
    if not ratios:
        return {"ratio": None, "interval": None}
    return {"ratio": statistics.median(ratios), "interval": median_interval(ratios)}


if __name__ == "__main__":
    run_command(main, Config)
