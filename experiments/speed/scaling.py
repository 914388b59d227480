"""Who is faster as network, data and batch grow: Keras, or a network from scratch?

    python experiments/scaling.py

The write-up says that Keras is far more efficient, "especially when scaling to
larger networks and datasets". Here tf.keras, Keras on JAX, Flax, the from-scratch
network in JAX and batched NumPy train the write-up's Model 3, 784-1024-10 with Adam
and batches of 32, and one factor at a time changes: hidden width 64 to 4,096,
training images 1,000 to 480,000 (the dataset repeated), batch size 10 to 4,096.

Adam, because the published Model 3 uses it, and Keras's users do. Each contender has
a fresh process at each point, so that compiling is cold and its peak memory is the
point's own; epochs alternate in interleaved rounds. A long epoch is measured in
part: its first steps, 50 or more and the same for all, scaled to the whole.
All contenders live at once: 480,000 images take about 16 GiB.

Expected on two CPU cores of an Intel Xeon with AVX-512, in about nine minutes: tf.keras
is faster than the network from scratch at one of 11 points, batches of 4,096, by 6 %;
elsewhere its epoch takes 1.4 to 7.8 times as long, most where network or batch is
small: a step of tf.keras takes a millisecond before any arithmetic. Keras on JAX takes
1.1 to 2.3 times as long.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.compare.results import processor
from experiments.kit import command as runtime
from experiments.kit import run as experiment
from experiments.kit.run import Experiment
from experiments.speed import scaling_report as scaling_report
from experiments.speed.contenders import SCALING, is_installed
from experiments.speed.contenders.points import Point, check_memory, sweeps
from experiments.speed.contenders.scaling_session import ScalingSession
from jaxnets import models as recipes
from jaxnets.errors import InputError

PUBLISHED = recipes.KERAS_DENSE  # the point in which the sweeps meet


@dataclass(frozen=True, kw_only=True)
class Config(experiment.Options):
    """What to vary; --examples limits the images that are repeated."""

    widths: tuple[int, ...] = (64, 256, 1024, 4096)
    """Neurons of the hidden layer."""
    examples_list: tuple[int, ...] = (1000, 8000, 60_000, 480_000)
    """Training images of an epoch, the dataset's repeated as often as it takes."""
    batch_sizes: tuple[int, ...] = (10, 32, 128, 512, 4096)
    """Images of an update."""
    width: int = PUBLISHED.layer_sizes[1]
    """Hidden width where another factor varies."""
    num_examples: int = 60_000
    """Training images where another factor varies."""
    batch_size: int = PUBLISHED.batch_size
    """Batch size where another factor varies."""
    contenders: tuple[str, ...] = tuple(SCALING)
    """Who takes part; who is not installed is left out, and the run says so."""
    rounds: int = 3
    """Timed turns of each contender at each point, after an epoch that is not timed."""
    part_seconds: float = 0.1
    """Of each epoch measure what takes so long at the machine's floor, 50 steps at
    least; epochs that are shorter are repeated. Contenders take several times as
    long."""
    seed: int = 3
    """Decides initial weights, the order of images, and the order in a round."""


def main(config: Config) -> dict[str, Any]:
    """Measure all points; return the content of results.json."""
    _check(config)
    base = Point(config.width, config.num_examples, config.batch_size)
    values = (config.widths, config.examples_list, config.batch_sizes)
    found = sweeps(base, *values)
    points = list(dict.fromkeys(point for sweep in found.values() for point in sweep))
    _check_points(points)
    run = experiment.prepare("scaling", config)
    check_memory(points, config.contenders, run.dataset.train.image[0].size)
    run.begin()
    with tempfile.TemporaryDirectory(prefix="jaxnets-scaling-") as scratch:
        session = ScalingSession(
            run.dataset,
            Path(scratch),
            run.written,
            rounds=config.rounds,
            part_seconds=config.part_seconds,
            seed=config.seed,
        )

        def work() -> None:
            names = session.present(dict.fromkeys(config.contenders))
            for number, point in enumerate(points, start=1):
                session.run(point, names, f"[{number}/{len(points)}]")

        def finish(status: str) -> dict[str, Any]:
            return _finish(run, config, session, found, status)

        return run.carry_out(work, finish)


def _check(config: Config) -> None:
    """Raise InputError for settings that make no sense whatever the data."""
    recipes.check_seed(config.seed)
    known = ", ".join(SCALING)
    for name in config.contenders:
        if name not in SCALING:
            raise InputError(f"unknown contender {name!r}; known: {known}")
    if not config.contenders:
        raise InputError(f"no contender is named; known: {known}")
    if not any(is_installed(name, SCALING) for name in config.contenders):
        missing = ", ".join(dict.fromkeys(SCALING[n].needs for n in config.contenders))
        raise InputError(f"none of the contenders is installed; missing: {missing}")
    for name in ("widths", "examples_list", "batch_sizes"):
        values = getattr(config, name)
        if not values or min(values) < 1:
            raise InputError(f"{name}={values} must be one or more, each at least 1")
    for name in ("width", "num_examples", "batch_size", "rounds"):
        if getattr(config, name) < 1:
            raise InputError(f"{name}={getattr(config, name)} must be at least 1")
    if not 0 < config.part_seconds < float("inf"):
        raise InputError(f"part_seconds={config.part_seconds} must be greater than 0")


def _check_points(points: list[Point]) -> None:
    for point in points:
        if point.batch_size > point.examples:
            raise InputError(
                f"batch size {point.batch_size} must be at most the {point.examples} "
                "training images of its point; change --batch-sizes, --batch-size, "
                "--examples-list or --num-examples"
            )


def _finish(
    run: Experiment,
    config: Config,
    session: ScalingSession,
    found: dict[str, list[Point]],
    status: str,
) -> dict[str, Any]:
    """Print and write what was measured."""
    entries = session.points()
    places = {point: place for place, point in enumerate(entries)}
    content = {
        **run.head(status),
        "device": processor(),  # where the contenders are, whatever JAX has here
        "seed": config.seed,
        "rounds": config.rounds,
        "part_seconds": config.part_seconds,
        "machine": session.rates(),
        "left_out": session.left_out,
        "errors": session.errors,
        "sweeps": {
            factor: [places[point] for point in sweep if point in places]
            for factor, sweep in found.items()
        },
        "points": list(entries.values()),
    }
    content["conclusion"] = scaling_report.conclusion(content)
    if entries:
        scaling_report.print_tables(content)
        scaling_report.write_page(run, content)
    return content


if __name__ == "__main__":
    runtime.run(main, Config)
