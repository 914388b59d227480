"""One network in several programs, step by step: how far apart are their weights?

Every side starts from the same weights and takes the same batches in the same order.
The JAX sides run in this process, the Keras ones in a process a backend.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

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
    cause: str | None = None  # what is to keep them apart

    def runs_with(self, installed: Sequence[str]) -> bool:
        """Whether both sides are among these programs."""
        return {self.one.program, self.other.program} <= set(installed)


def programs() -> list[str]:
    """What can run here: without TensorFlow there is no tf.keras."""
    return [*keras_sides.installed(), *jax_sides.NETWORKS]


def comparisons(num_steps: int) -> list[Comparison]:
    """Pairs that ought to agree, then pairs in float64 that differ in one thing each.

    A cause is watched for `CAUSE_STEPS`. A clip acts once the network is certain of an
    image, on MNIST after 300 updates, so it is watched to the end.
    """
    equals = [
        Comparison(
            f"{one} / {other}, {precision}",
            # Keras clips probabilities on JAX and computes from logits on TensorFlow.
            Side(one, precision, softmax=one != "keras_on_jax"),
            Side(other, precision, softmax=other != "keras_on_jax"),
            num_steps,
        )
        for precision in PRECISIONS
        for one, other in PAIRS
    ]
    flax = Side("flax", "float64")
    keras = Side("tf_keras", "float64")
    short = min(num_steps, CAUSE_STEPS)
    return [
        *equals,
        Comparison(
            "optax's Adam",
            flax._replace(optax_eps=1e-8),
            flax,
            short,
            "optax.adam's own epsilon, 1e-8 inside the bias correction, in place of "
            "1e-7 outside",
        ),
        Comparison(
            "betas",
            keras._replace(betas=BETAS),
            flax._replace(betas=BETAS),
            short,
            "0.9 and 0.999: Keras on TensorFlow rounds them to float32 in the bias "
            "correction, but not in the averages",
        ),
        Comparison(
            "pixels",
            keras._replace(numpy_pixels=True),
            flax,
            short,
            "pixels divided by 255 in NumPy; XLA multiplies by 1/255, and "
            f"{rounded_otherwise()} of {WHITE + 1} values differ in the last bit of "
            "float32",
        ),
        Comparison(
            "clipping",
            Side("keras_on_jax", "float64"),
            flax,
            num_steps,
            "Keras on JAX with a softmax layer: it clips probabilities to "
            "[1e-7, 1 - 1e-7], which on TensorFlow it does not",
        ),
    ]


def relative_difference(some: Params, others: Params) -> float:
    """The largest |a - b| in an array, by its largest |b|; the worst of all arrays."""
    pairs = zip(jax.tree.leaves(some), jax.tree.leaves(others), strict=True)
    return max(float(np.max(np.abs(a - b)) / np.max(np.abs(b))) for a, b in pairs)


def compare(pairs: Sequence[Comparison], task: Task) -> Iterator[dict[str, Any]]:
    """Train all sides abreast; yield a row at each mark.

    Its `apart` holds the relative difference of each pair that is still watched.

    Raises:
      NonFiniteLoss: a weight is infinite or not a number.
    """
    began = time.perf_counter()
    steps: dict[Side, int] = {}  # each side once, with the most that a pair asks of it
    for pair in pairs:
        for side in (pair.one, pair.other):
            steps[side] = max(steps.get(side, 0), pair.num_steps)
    parts = {
        program: {side: steps[side] for side in steps if side.program == program}
        for program in keras_sides.BACKENDS
    }
    in_jax = {side: steps[side] for side in steps if side.program not in parts}
    with contextlib.ExitStack() as stack:
        streams = [
            keras_sides.snapshots(program, part, task)
            for program, part in parts.items()
            if part
        ]
        streams.append(jax_sides.snapshots(in_jax, task))
        for stream in streams:
            stack.enter_context(contextlib.closing(stream))
        for mark, *snapshots in zip(task.marks, *streams, strict=True):
            reached: Snapshot = {}
            for snapshot in snapshots:
                reached |= snapshot
            require_finite(reached, mark, task.learning_rate)
            apart = {
                pair.name: relative_difference(reached[pair.one], reached[pair.other])
                for pair in pairs
                if mark <= pair.num_steps
            }
            seconds = time.perf_counter() - began
            yield {"step": mark, "apart": apart, "seconds": seconds}


def require_finite(reached: Snapshot, step: int, learning_rate: float) -> None:
    """Raise NonFiniteLoss where weights are not finite: there is nothing to compare."""
    for side, params in reached.items():
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params)):
            raise NonFiniteLoss(
                f"the weights of {side.program}, {side.precision}, are not finite at "
                f"step {step} at learning rate {learning_rate:g}; try a smaller one"
            )
