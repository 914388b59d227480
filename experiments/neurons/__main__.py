"""What single neurons do, learn and cannot learn, and what many do in time.

    python experiments/neurons.py

It puts the statements about perceptrons, sigmoid neurons and recurrent nets to the
test: logic from NAND, the learning rule on truth tables and on every two digits, a
ten-class perceptron, small changes of weights, cascades in nets with loops.

Expected on MNIST: the learning rule ends on 26 of the 45 pairs of digits within 200
passes; one perceptron for two digits is right on 98.0 % of the test images, a sigmoid
neuron on 98.6 %; the ten-class perceptron on 92.5 to 92.8 % (mean of its steps, grey
pixels, 5 seeds), the zero line of the comparison. The error of the linear prediction
goes with the square of the change. About 40 s on two CPU cores.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
from rich.progress import track

from experiments.kit import command as runtime
from experiments.kit import run as experiment
from experiments.kit.progress import console
from experiments.kit.run import Experiment
from experiments.kit.statistics import mcnemar_p_value
from experiments.neurons import (
    digit_pairs,
    importance,
    logic_check,
    loops,
    small_changes,
    ten_class_runs,
)
from experiments.neurons import report as neurons_report
from experiments.neurons.report import Found
from jaxnets import models as recipes
from jaxnets.errors import InputError
from jaxnets.neurons.cascade import Timing, check_timing

RANDOM_NEURONS = 1000
RANDOM_INPUTS = 10
MAX_BITS = 8  # 65,536 sums
TIMING = Timing()
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Config(experiment.Options):
    """How much to measure."""

    bits: int = 6
    """Of the adder's numbers; all pairs of numbers are added."""
    max_passes: int = 200
    """Where the learning rule gives up."""
    sigmoid_passes: int = 5
    """Of the sigmoid neuron over two digits."""
    rate: float = 0.01
    """Its learning rate."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Of the ten-class perceptron: each an order of the images."""
    epochs: int = 10
    """Of the ten-class perceptron."""
    neurons: int = 120
    """In the recurrent net."""
    steps: int = 200
    """Of time in the recurrent net."""
    duration: int = TIMING.duration
    """Steps for which a neuron fires."""
    delay: int = TIMING.delay
    """Steps from its firing to its effect on others."""
    rest: int = TIMING.rest
    """Steps after firing in which nothing makes it fire again."""
    seed: int = 1
    """Decides the random neurons and nets."""


def main(config: Config) -> dict[str, Any]:
    """Measure everything; return the content of results.json."""
    _check(config)
    run = experiment.prepare("neurons", config)
    digit_pairs.check(run.dataset)
    run.begin()
    found = Found()

    def work() -> None:
        _measure_neurons(config, found)
        _measure_pairs(config, run, found)
        _measure_ten_classes(config, run, found)

    def finish(status: str) -> dict[str, Any]:
        return neurons_report.finish(run, found, status)

    return run.carry_out(work, finish)


def _check(config: Config) -> None:
    if not 1 <= config.bits <= MAX_BITS:
        raise InputError(f"bits={config.bits} must be between 1 and {MAX_BITS}")
    for name in ("max_passes", "sigmoid_passes", "epochs", "steps"):
        if getattr(config, name) < 1:
            raise InputError(f"{name}={getattr(config, name)} must be at least 1")
    if config.neurons < loops.STIMULATED:
        raise InputError(
            f"neurons={config.neurons} must be at least {loops.STIMULATED}, those that "
            "are stimulated"
        )
    if not 0 < config.rate < float("inf"):
        raise InputError(f"rate={config.rate} must be greater than 0")
    if not config.seeds or len(set(config.seeds)) < len(config.seeds):
        raise InputError(f"seeds {config.seeds} must be one or more, each once")
    for seed in (*config.seeds, config.seed):
        recipes.check_seed(seed)
    check_timing(_timing(config))


def _timing(config: Config) -> Timing:
    return Timing(config.duration, config.delay, config.rest)


def _measure_neurons(config: Config, found: Found) -> None:
    """What needs no data set."""
    console.print("single neurons and small nets ...")
    keys = jax.random.split(jax.random.key(config.seed), 4)
    random = (RANDOM_NEURONS, RANDOM_INPUTS)
    parts = found.parts
    parts["logic"] = logic_check.check(config.bits)
    parts["gate_learning"] = logic_check.learn_gates(config.max_passes)
    parts["small_changes"] = small_changes.measure(keys[0], *random)
    parts["importance"] = importance.measure(keys[1], *random)
    parts["consistency"] = loops.consistency(keys[2])
    parts["cascades"], found.rasters = loops.cascades(
        keys[3], config.neurons, config.steps, _timing(config)
    )


def _measure_pairs(config: Config, run: Experiment, found: Found) -> None:
    rows = digit_pairs.measure(
        run.dataset,
        max_passes=config.max_passes,
        sigmoid_passes=config.sigmoid_passes,
        rate=config.rate,
    )
    total = len(digit_pairs.pairs_of(run.dataset))
    for row, right in _shown(rows, "two digits", total):
        found.pairs.append({**row, "p_value": mcnemar_p_value(*right)})


def _measure_ten_classes(config: Config, run: Experiment, found: Found) -> None:
    rows = ten_class_runs.fit(run.dataset, config.seeds, config.epochs)
    total = len(ten_class_runs.INPUTS) * len(config.seeds) * config.epochs
    for row, layers in _shown(rows, "ten classes", total):
        found.epochs.append(row)
        found.layers = layers
        run.written.append_line("metrics.jsonl", row)


def _shown(rows: Iterable[Item], name: str, total: int) -> Iterable[Item]:
    """The rows, with a bar on a terminal and a line elsewhere."""
    if not console.is_terminal:
        console.print(f"{name} ...")
    return track(
        rows, name, total=total, console=console, disable=not console.is_terminal
    )


if __name__ == "__main__":
    runtime.run(main, Config)
