"""What single neurons do, learn and cannot learn, and what many do in time.

    python -m experiments.neurons

It puts the statements about perceptrons, sigmoid neurons and recurrent nets to the
test: logic from NAND, the learning rule on truth tables and on every two digits, a
ten-class perceptron, small changes of weights. Cascades and nets with loops are
demonstrations: they show what they are built to show.

Expected on MNIST: the learning rule converges on 26 of the 45 pairs of digits within
200 passes; after five passes a perceptron for two digits is right on 98.0 % of the test
images with its last weights and on 98.7 % with the mean of its weights, a sigmoid
neuron on 98.6 %; the ten-class perceptron on 92.5 to 92.8 % (mean of its steps, grey
pixels, 5 seeds). The error of the linear prediction goes with the square of the change.
About 40 s on two CPU cores.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax

from experiments.kit.command import run_command
from experiments.kit.options import Options, require_at_least
from experiments.kit.progress import Progress
from experiments.kit.run import Row, Run
from experiments.neurons import learning, nets, random_neurons
from experiments.neurons.results import results
from jaxnets.errors import InputError
from jaxnets.neurons.cascade import Timing, require_timing
from jaxnets.training import require_seed, run_keys

MAX_BITS = 8  # 65,536 sums
TIMING = Timing()


@dataclass(frozen=True, kw_only=True)
class Config(Options):
    """How much to measure."""

    bits: int = 6
    """Of the adder's numbers; all pairs of numbers are added."""
    max_passes: int = 200
    """Where the learning rule gives up."""
    sigmoid_passes: int = 5
    """Of the sigmoid neuron over two digits, and of the perceptron beside it."""
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
    validate_config(config)
    run = Run.open("neurons", config)
    learning.pairs_of(run.data)  # InputError where there is none
    with jax.default_matmul_precision("highest"):
        run.record(measure(run))
    from experiments.neurons import page  # loads Matplotlib

    content = results(run.rows, run.data)
    return run.publish(
        content,
        title="Neurons",
        lead=lambda: page.lead(content),
        sections=lambda: page.sections(run, content),
    )


def validate_config(config: Config) -> None:
    """Raise InputError where an option makes no sense whatever the data."""
    if not 1 <= config.bits <= MAX_BITS:
        raise InputError(f"bits={config.bits} must be between 1 and {MAX_BITS}")
    require_at_least(config, max_passes=1, sigmoid_passes=1, epochs=1, steps=1)
    require_at_least(config, neurons=nets.STIMULATED)
    if not 0 < config.rate < float("inf"):
        raise InputError(f"rate={config.rate} must be greater than 0")
    if not config.seeds or len(set(config.seeds)) < len(config.seeds):
        raise InputError(f"seeds {config.seeds} must be one or more, each once")
    for seed in (*config.seeds, config.seed):
        require_seed(seed)
    require_timing(Timing(config.duration, config.delay, config.rest))


def make_keys(seed: int) -> jax.Array:
    """Keys [4] of random neurons and nets; orders of images come from data keys."""
    return jax.random.split(run_keys(seed).extra, 4)


def measure(run: Run[Config]) -> Iterator[Row]:
    """Single neurons and nets, then neurons that learn digits; rows name their part."""
    config = run.config
    changes_key, importance_key, consistency_key, cascades_key = make_keys(config.seed)
    yield {"part": "logic", **nets.check_circuits(config.bits)}
    yield {"part": "gate_learning", **learning.learn_gates(config.max_passes)}
    yield {"part": "small_changes", **random_neurons.small_changes(changes_key)}
    yield {"part": "importance", **random_neurons.importance(importance_key)}
    yield {"part": "consistency", **nets.consistency(consistency_key)}
    timing = Timing(config.duration, config.delay, config.rest)
    bursts: list[tuple[object, ...]] = []
    pairs: list[tuple[object, ...]] = []
    for row in nets.cascades(cascades_key, config.neurons, config.steps, timing):
        yield {"part": "cascades", **row}
        bursts += [(row["net"], *burst) for burst in row["raster"]]
    run.write_csv("bursts.csv", ("net", "neuron", "begin", "end"), bursts)
    totals = {
        "two digits": len(learning.pairs_of(run.data)),
        "ten classes": len(learning.INPUTS) * len(config.seeds) * config.epochs,
    }
    passes = (config.max_passes, config.sigmoid_passes)
    orders = (config.seeds, config.epochs)
    with Progress(totals) as progress:
        progress.text("two digits", "compiling")
        for row in learning.pair_rows(run.data, *passes, config.rate):
            yield {"part": "pairs", **row}
            texts = {**row, "digits": "-".join(map(str, row["digits"]))}
            pairs.append(tuple(texts.values()))
            run.write_csv("pairs.csv", tuple(row), pairs)
            progress.advance("two digits")
        progress.text("ten classes", "compiling")
        for row, layers in learning.ten_class_rows(run.data, *orders):
            for name, layer in layers.items():
                run.write_weights(f"ten_{name}", (layer,))
            yield {"part": "ten_classes", **row}
            progress.advance("ten classes")


if __name__ == "__main__":
    run_command(main, Config)
