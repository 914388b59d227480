"""What single neurons do, learn and cannot learn, and what many do in time.

    python -m experiments.neurons

It puts the statements about perceptrons, sigmoid neurons and recurrent nets to the
test: logic from NAND, the learning rule on truth tables and on every two digits, a
ten-class perceptron, small changes of weights, cascades in nets with loops.

Expected on MNIST: the learning rule converges on 26 of the 45 pairs of digits within
200 passes; one perceptron for two digits is right on 98.0 % of the test images, a
sigmoid neuron on 98.6 %; the ten-class perceptron on 92.5 to 92.8 % (mean of its steps,
grey pixels, 5 seeds). The error of the linear prediction goes with the square of the
change. About 40 s on two CPU cores.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax

from experiments.kit.command import run_command
from experiments.kit.options import Options
from experiments.kit.progress import Progress
from experiments.kit.run import Row, Run
from experiments.neurons import (
    digit_pairs,
    importance,
    logic,
    loops,
    sections,
    small_changes,
    ten_classes,
)
from experiments.neurons.results import part, results
from jaxnets.errors import InputError
from jaxnets.neurons.cascade import Timing, require_timing
from jaxnets.training import require_seed, run_keys

RANDOM_NEURONS = 1000
RANDOM_INPUTS = 10
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

    @property
    def timing(self) -> Timing:
        """Of the recurrent net."""
        return Timing(self.duration, self.delay, self.rest)


class Keys(NamedTuple):
    """What random neurons and nets are drawn from."""

    small_changes: jax.Array
    importance: jax.Array
    consistency: jax.Array
    cascades: jax.Array


def make_keys(seed: int) -> Keys:
    """All of them; the orders of images come from the data keys of `seeds`."""
    return Keys(*jax.random.split(run_keys(seed).extra, len(Keys._fields)))


def main(config: Config) -> dict[str, Any]:
    """Measure everything; return the content of results.json."""
    validate_config(config)
    run = Run.open("neurons", config)
    digit_pairs.pairs_of(run.data)  # InputError where there is none
    with jax.default_matmul_precision("highest"):
        run.record(measure(run))
    content = results(run.rows, run.data)
    return run.publish(
        content,
        title="Neurons",
        lead="What one neuron does, can learn and cannot, and what many do in time.",
        sections=sections.of(run, content),
    )


def validate_config(config: Config) -> None:
    """Raise InputError where an option makes no sense whatever the data."""
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
        require_seed(seed)
    require_timing(config.timing)


def measure(run: Run[Config]) -> Iterator[Row]:
    """Single neurons and nets, then neurons that learn digits; rows name their part."""
    config = run.config
    keys = make_keys(config.seed)
    random = (RANDOM_NEURONS, RANDOM_INPUTS)
    yield {"part": "logic", **logic.check_circuits(config.bits)}
    yield {"part": "gate_learning", **logic.learn_gates(config.max_passes)}
    yield {
        "part": "small_changes",
        **small_changes.measure(keys.small_changes, *random),
    }
    yield {"part": "importance", **importance.measure(keys.importance, *random)}
    yield {"part": "consistency", **loops.consistency(keys.consistency)}
    net = (config.neurons, config.steps, config.timing)
    for row in loops.cascades(keys.cascades, *net):
        yield {"part": "cascades", **row}
    write_bursts(run)
    totals = {
        "two digits": len(digit_pairs.pairs_of(run.data)),
        "ten classes": len(ten_classes.INPUTS) * len(config.seeds) * config.epochs,
    }
    with Progress(totals) as progress:
        progress.text("two digits", "compiling")
        for row in digit_pairs.measure(
            run.data,
            max_passes=config.max_passes,
            sigmoid_passes=config.sigmoid_passes,
            rate=config.rate,
        ):
            yield {"part": "pairs", **row}
            progress.advance("two digits")
            write_pairs(run)
        progress.text("ten classes", "compiling")
        for row, layers in ten_classes.measure(run.data, config.seeds, config.epochs):
            for name, layer in layers.items():
                run.write_weights(f"ten_{name}", (layer,))
            yield {"part": "ten_classes", **row}
            progress.advance("ten classes")


def write_bursts(run: Run[Config]) -> None:
    """All bursts of the nets as a CSV file."""
    nets = part(run.rows, "cascades")
    bursts = ((net["net"], *burst) for net in nets for burst in net["raster"])
    run.write_csv("bursts.csv", ("net", "neuron", "begin", "end"), bursts)


def write_pairs(run: Run[Config]) -> None:
    """The pairs of digits so far as a CSV file."""
    pairs = part(run.rows, "pairs")
    digits = ("-".join(map(str, pair["digits"])) for pair in pairs)
    rows = ({**pair, "digits": text} for pair, text in zip(pairs, digits, strict=True))
    run.write_csv("pairs.csv", tuple(pairs[0]), (tuple(row.values()) for row in rows))


if __name__ == "__main__":
    run_command(main, Config)
