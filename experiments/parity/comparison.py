"""One network in several programs, step by step: how far apart are their weights?

Every side starts from the same weights and takes the same batches in the same order.
The JAX sides run in this process, the Keras ones in a process a backend.
"""

import contextlib
from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from experiments.parity import jax_sides, keras_sides
from experiments.parity.task import BETAS, Side, Snapshot, Task, rounded_otherwise
from jaxnets.errors import NonFiniteLoss
from jaxnets.pixels import WHITE
from jaxnets.types import Params

PAIRS = (("tf_keras", "flax"), ("flax", "scratch"), ("tf_keras", "keras_on_jax"))
PRECISIONS = ("float32", "float64")
CAUSE_STEPS = 200  # by then a cause has done what it does, but for clipping


class Comparison(NamedTuple):
    """Two sides that are watched as they train."""

    name: str
    one: Side
    other: Side
    num_steps: int  # watched so long
    cause: str | None = None  # what is to keep them apart, in words

    def runs_with(self, programs: Sequence[str]) -> bool:
        """Whether both sides are among these programs."""
        return self.one.program in programs and self.other.program in programs


def programs() -> list[str]:
    """What can run here: without TensorFlow there is no tf.keras."""
    return [*keras_sides.installed(), *jax_sides.NETWORKS]


def equals(num_steps: int) -> list[Comparison]:
    """The pairs that ought to agree, in both precisions."""

    def side(program: str, precision: str) -> Side:
        # Keras clips probabilities on JAX and computes from logits on TensorFlow.
        return Side(program, precision, softmax=program != "keras_on_jax")

    return [
        Comparison(
            f"{one} / {other}, {precision}",
            side(one, precision),
            side(other, precision),
            num_steps,
        )
        for precision in PRECISIONS
        for one, other in PAIRS
    ]


def causes(num_steps: int) -> list[Comparison]:
    """Pairs in float64 that differ in one thing each."""
    flax = Side("flax", "float64")
    keras = Side("tf_keras", "float64")
    keras_on_jax = Side("keras_on_jax", "float64")
    pairs = [
        (
            "optax's Adam",
            flax._replace(optax_eps=1e-8),
            flax,
            "optax.adam's own epsilon, 1e-8 inside the bias correction, in place of "
            "1e-7 outside",
        ),
        (
            "betas",
            keras._replace(betas=BETAS),
            flax._replace(betas=BETAS),
            "0.9 and 0.999: Keras on TensorFlow rounds them to float32 in the bias "
            "correction, but not in the averages",
        ),
        (
            "pixels",
            keras._replace(numpy_pixels=True),
            flax,
            "pixels divided by 255 in NumPy; XLA multiplies by 1/255, and "
            f"{rounded_otherwise()} of {WHITE + 1} values differ in the last bit of "
            "float32",
        ),
        (
            "clipping",
            keras_on_jax,
            flax,
            "Keras on JAX with a softmax layer: it clips probabilities to "
            "[1e-7, 1 - 1e-7], which on TensorFlow it does not",
        ),
    ]
    # A clip acts once the network is certain of an image: on MNIST after 300 updates.
    return [
        Comparison(
            name,
            one,
            other,
            num_steps if name == "clipping" else min(num_steps, CAUSE_STEPS),
            cause,
        )
        for name, one, other, cause in pairs
    ]


def relative_difference(some: Params, others: Params) -> float:
    """The largest |a - b| in an array, by its largest |b|; the worst of all arrays."""
    pairs = zip(jax.tree.leaves(some), jax.tree.leaves(others), strict=True)
    return max(float(np.max(np.abs(a - b)) / np.max(np.abs(b))) for a, b in pairs)


def compare(
    comparisons: Sequence[Comparison], task: Task
) -> Iterator[tuple[int, dict[str, float]]]:
    """Train all sides abreast; yield each mark with every pair's difference there.

    Raises:
      NonFiniteLoss: a weight is infinite or not a number.
    """
    with contextlib.ExitStack() as stack:
        streams = [
            stack.enter_context(contextlib.closing(stream))
            for stream in _streams(_steps(comparisons), task)
        ]
        for mark, *parts in zip(task.marks, *streams, strict=True):
            reached = {side: params for part in parts for side, params in part.items()}
            check_finite(reached, mark, task.learning_rate)
            found = {
                pair.name: relative_difference(reached[pair.one], reached[pair.other])
                for pair in comparisons
                if mark <= pair.num_steps
            }
            yield mark, found


def check_finite(reached: Snapshot, step: int, learning_rate: float) -> None:
    """Raise NonFiniteLoss where weights are not finite: there is nothing to compare."""
    for side, params in reached.items():
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params)):
            raise NonFiniteLoss(
                f"the weights of {side.program}, {side.precision}, are not finite at "
                f"step {step} at learning rate {learning_rate:g}; try a smaller one"
            )


def _steps(comparisons: Sequence[Comparison]) -> dict[Side, int]:
    """Each side once, with the most steps that a comparison asks of it."""
    steps: dict[Side, int] = {}
    for pair in comparisons:
        for side in (pair.one, pair.other):
            steps[side] = max(steps.get(side, 0), pair.num_steps)
    return steps


def _streams(
    steps: dict[Side, int], task: Task
) -> list[Generator[Snapshot, None, None]]:
    """Snapshots from a process for each Keras backend, and from this one."""

    def of(programs: Sequence[str]) -> dict[Side, int]:
        return {side: steps[side] for side in steps if side.program in programs}

    streams = [
        keras_sides.snapshots(backend, of([backend]), task)
        for backend in keras_sides.BACKENDS
        if of([backend])
    ]
    return [*streams, jax_sides.snapshots(of(list(jax_sides.NETWORKS)), task)]
