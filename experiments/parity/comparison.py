"""One network in several programs, step by step: how far apart are their weights?

Every side starts from the same weights and takes the same batches in the same order.
"""

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from experiments.kit.run import Row
from experiments.parity.sides import Side, Task, snapshots
from jaxnets import flax_dense, keras_dense, training
from jaxnets.batches import epoch_order
from jaxnets.data import Dataset
from jaxnets.errors import NonFiniteLoss
from jaxnets.pixels import to_vectors
from jaxnets.types import Params, Recipe

PAIRS = (("tf_keras", "flax"), ("flax", "scratch"), ("tf_keras", "keras_on_jax"))
CAUSE_STEPS = 200  # by then a cause has done what it does, but for clipping
CAUSES = {
    "optax's Adam": "optax.adam's own epsilon, 1e-8 inside the bias correction, not "
    "1e-7 outside",
    "betas": "0.9 and 0.999: Keras on TensorFlow rounds them to float32 in the bias "
    "correction, but not in the averages",
    "pixels": "pixels divided by 255 in NumPy; XLA multiplies by 1/255, and half of "
    "the values differ in the last bit of float32",
    "clipping": "Keras on JAX with a softmax layer: it clips probabilities to "
    "[1e-7, 1 - 1e-7], which on TensorFlow it does not",
    "Flax as timed": "float32; tf.keras and Flax with all that is made equal above "
    "left as it is: pixels divided in NumPy for Keras, betas of 0.9 and 0.999",
    "Keras on JAX as timed": "likewise tf.keras and Keras on JAX, which clips",
}
EQUAL = 1e-8  # relative difference below which two programs in float64 are one


class Comparison(NamedTuple):
    """Two sides that are watched as they train."""

    name: str
    one: Side
    other: Side
    num_steps: int  # watched so long
    cause: str | None = None  # what is to keep them apart


def comparisons(num_steps: int, installed: Sequence[str]) -> list[Comparison]:
    """Pairs made to agree, pairs in float64 with one difference each, and as timed.

    Made to agree: all take the same float32 betas and the same pixels, and Keras on JAX
    ends in logits. Keras trains by `train_on_batch`, so that all take equal batches;
    that stays where the rest is as it is timed.
    """
    pairs = []
    for precision, names in itertools.product(("float32", "float64"), PAIRS):
        # Keras clips probabilities on JAX and computes from logits on TensorFlow.
        one, other = (Side(n, precision, softmax=n != "keras_on_jax") for n in names)
        name = f"{one.program} / {other.program}, {precision}"
        pairs.append(Comparison(name, one, other, num_steps))
    flax, keras = Side("flax", "float64"), Side("tf_keras", "float64")
    betas = (0.9, 0.999)  # Keras's and optax's default
    timed = partial(Side, betas=betas, numpy_pixels=True)  # as `model.fit` has it
    apart = {
        "optax's Adam": (flax._replace(optax_eps=1e-8), flax),
        "betas": (keras._replace(betas=betas), flax._replace(betas=betas)),
        "pixels": (keras._replace(numpy_pixels=True), flax),
        "clipping": (Side("keras_on_jax", "float64"), flax),
        "Flax as timed": (timed("tf_keras"), Side("flax", betas=betas)),
        "Keras on JAX as timed": (timed("tf_keras"), timed("keras_on_jax")),
    }
    for name, sides in apart.items():
        # A clip acts once the network is certain of an image, on MNIST after 300 steps.
        is_short = sides[0].precision == "float64" and name != "clipping"
        watched = min(num_steps, CAUSE_STEPS) if is_short else num_steps
        pairs.append(Comparison(name, *sides, watched, CAUSES[name]))
    return [p for p in pairs if {p.one.program, p.other.program} <= set(installed)]


def make_task(recipe: Recipe, data: Dataset, seed: int, num_steps: int) -> Task:
    """The task of so many updates, its weights and its order decided by the seed.

    The weights are compared after round numbers of steps, evenly on a logarithmic
    axis, and after the last one.
    """
    keys = training.run_keys(seed)
    params = jax.device_get(flax_dense.init(keys.init, recipe.layer_sizes))
    decades = (digit * 10**power for power in range(8) for digit in (1, 2, 3, 5, 7))
    marks = (0, *(step for step in decades if step < num_steps), num_steps)
    size, count = recipe.batch_size, len(data.train.label)
    indices: list[np.ndarray] = []
    for epoch in range(-(-num_steps // -(-count // size))):
        order = np.asarray(epoch_order(keys.data, epoch, count))  # as in training
        indices += np.split(order, range(size, count, size))
    batches = {end: indices[start:end] for start, end in itertools.pairwise(marks)}
    return Task(recipe, params, data.train, batches, pixel_values())


def pixel_values() -> np.ndarray:
    """float32 [2, 256]: a pixel in a compiled program, and one divided in NumPy.

    XLA multiplies by 1/255 where NumPy divides by 255: about half of the values differ
    in the last bit, which is enough to keep two programs apart.
    """
    image = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    return np.stack([jax.jit(to_vectors)(image)[0], keras_dense.scaled(image).ravel()])


def relative_difference(some: Params, others: Params) -> float:
    """The largest |a - b| in an array, by its largest |b|; the worst of all arrays."""
    pairs = zip(jax.tree.leaves(some), jax.tree.leaves(others), strict=True)
    with np.errstate(invalid="ignore"):  # it is NaN where a weight is not finite
        gaps = [np.max(np.abs(a - b)) / np.max(np.abs(b)) for a, b in pairs]
    return float(np.max(gaps))


def compare(pairs: Sequence[Comparison], task: Task) -> Iterator[Row]:
    """Train all sides abreast; yield a row at each mark, of the pairs watched so long.

    Raises:
      NonFiniteLoss: a weight is infinite or not a number: there is nothing to compare.
    """
    began = time.perf_counter()
    by_length = sorted(pairs, key=lambda pair: pair.num_steps)
    # Each side once, with the most that a pair asks of it.
    steps = {side: p.num_steps for p in by_length for side in (p.one, p.other)}
    with closing(snapshots(steps, task)) as stream:
        for mark, weights in zip(task.batches, stream, strict=True):
            apart = {
                pair.name: relative_difference(weights[pair.one], weights[pair.other])
                for pair in pairs
                if mark <= pair.num_steps
            }
            for name, gap in apart.items():
                if not np.isfinite(gap):
                    raise NonFiniteLoss(
                        f"weights of {name} are not finite at step {mark} at learning "
                        f"rate {task.recipe.learning_rate:g}; try a smaller one"
                    )
            seconds = time.perf_counter() - began
            yield {"step": mark, "apart": apart, "seconds": seconds}


def entries(rows: Iterable[Row], pairs: Sequence[Comparison]) -> list[Row]:
    """The pairs of results.json, from the rows of `compare`."""
    of_pairs: list[Row] = []
    for pair in pairs:
        by_step = {row["step"]: row["apart"].get(pair.name) for row in rows}
        apart = {step: gap for step, gap in by_step.items() if gap is not None}
        is_whole = pair.num_steps in apart
        entry = {
            "name": pair.name,
            "cause": pair.cause,
            "one": pair.one._asdict(),
            "other": pair.other._asdict(),
            "steps": list(apart),
            "apart": list(apart.values()),
            "identical": not any(apart.values()) if is_whole else None,
            "equal": max(apart.values()) < EQUAL if is_whole else None,
        }
        of_pairs.append(entry)
    return of_pairs
