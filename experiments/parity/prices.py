"""What each difference between two programs costs in accuracy, over seeds.

Each choice changes one thing of the Keras network's mirror in Flax.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.kit import statistics
from experiments.kit.numbers import finites
from experiments.kit.run import Row
from jaxnets import ensemble, flax_dense, optimizers
from jaxnets.data import Dataset
from jaxnets.pixels import on_bytes
from jaxnets.types import Batch, Dense, Layers, LossFn, Recipe, Totals, count

CLIP = 1e-7  # keras.config.epsilon()


def lecun_init(key: jax.Array, layer_sizes: tuple[int, ...]) -> Layers:
    """Flax's default: kernels from N(0, 1 / in), cut at two deviations; biases zero.

    Source: LeCun, Bottou, Orr and Mueller (1998), "Efficient BackProp", section 4.6.
    """
    make_kernel = jax.nn.initializers.lecun_normal()
    keys = jax.random.split(key, len(layer_sizes) - 1)
    layers = zip(keys, itertools.pairwise(layer_sizes), strict=True)
    return tuple(
        Dense(make_kernel(k, sizes), jnp.zeros(sizes[1])) for k, sizes in layers
    )


def clipped_loss(params: Layers, batch: Batch) -> tuple[jax.Array, Totals]:
    """Cross-entropy from probabilities kept within [1e-7, 1 - 1e-7].

    As Keras computes it where it cannot see the logits behind a softmax; only its
    TensorFlow backend can. Beyond the limits the gradient is zero: an example that the
    network is sure of, rightly or wrongly, teaches nothing.
    """
    logits = flax_dense.apply(params, batch.image)
    probability = jnp.clip(jax.nn.softmax(logits), CLIP, 1 - CLIP)
    chosen = jnp.take_along_axis(probability, batch.label[:, None], axis=-1)[:, 0]
    losses = -jnp.log(chosen)
    return jnp.mean(losses), count(logits, losses, batch.label)


class Choice(NamedTuple):
    """One way to build and train the network."""

    what: str
    init: Callable[[jax.Array, tuple[int, ...]], Layers] = flax_dense.init
    loss_fn: LossFn = flax_dense.loss_fn
    make_tx: Callable[[float], optax.GradientTransformation] = optimizers.keras_adam


AS_KERAS = "as tf.keras"
CHOICES = {
    AS_KERAS: Choice("Glorot, logits, [0, 1], Adam's epsilon of 1e-7 outside"),
    "epsilon inside": Choice("1e-7 inside", make_tx=partial(optax.adam, eps=1e-7)),
    "optax's Adam": Choice("1e-8 inside: optax's and the paper's", make_tx=optax.adam),
    "LeCun normal": Choice("Flax's default initialisation", init=lecun_init),
    "clipped": Choice("cross-entropy of clipped probabilities", loss_fn=clipped_loss),
    "raw pixels": Choice("0 to 255, not 0 to 1", loss_fn=on_bytes(flax_dense.loss_fn)),
    "raw pixels, clipped": Choice("both at once", loss_fn=on_bytes(clipped_loss)),
}


def train(
    name: str, recipe: Recipe, data: Dataset, seeds: Sequence[int]
) -> Iterator[Row]:
    """Train a choice from each seed, as many at once as the devices like.

    Yields a row for each epoch of the networks that train together.
    """
    choice, began, size = CHOICES[name], time.perf_counter(), recipe.batch_size

    def init(key: jax.Array) -> Layers:
        return choice.init(key, recipe.layer_sizes)

    tx = choice.make_tx(recipe.learning_rate)
    work = (init, choice.loss_fn, tx, data.train)
    at_once = ensemble.num_at_once(*work, batch_size=size)
    for some in ensemble.chunks(seeds, at_once):
        for epoch in ensemble.fit_many(
            *work,
            (data.test,),
            seeds=some,
            batch_size=size,
            num_epochs=recipe.num_epochs,
        ):
            yield {
                "choice": name,
                "epoch": epoch.number,
                "seeds": list(some),
                "train_loss": finites(epoch.train.mean_loss),
                "test_accuracy": epoch.held_out[0].accuracy.tolist(),
                "seconds": time.perf_counter() - began,
            }


def entries(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Each choice's accuracy, and its difference from `AS_KERAS`, seed by seed.

    The tests are Student's for paired samples, which takes the differences for normal:
    five or six leave no better choice. The p-values of a difference are Holm-corrected
    together, and so are those of equality. The rows are those of the last epoch.
    """
    accuracy: dict[str, dict[int, float]] = {}
    for row in rows:
        pairs = zip(row["seeds"], row["test_accuracy"], strict=True)
        accuracy.setdefault(row["choice"], {}).update(pairs)
    of_choices: list[dict[str, Any]] = []
    tested: list[tuple[dict[str, Any], statistics.Difference]] = []
    base = accuracy.get(AS_KERAS, {})
    for name, by_seed in accuracy.items():
        common = sorted(by_seed.keys() & base.keys()) if name != AS_KERAS else []
        gaps = {str(seed): by_seed[seed] - base[seed] for seed in common}
        values, differences = list(by_seed.values()), list(gaps.values())
        difference = statistics.paired(differences)
        entry = {
            "name": name,
            "what": CHOICES[name].what,
            "accuracy": {str(seed): value for seed, value in by_seed.items()},
            "mean": float(np.mean(values)),
            "deviation": float(np.std(values, ddof=1)) if len(values) > 1 else None,
            "gaps": gaps or None,
            "difference": float(np.mean(differences)) if gaps else None,
            "interval": difference and difference.interval,
            "p_value": None,
            "equal_p_value": None,
            "detectable": None,
            "verdict": None,
        }
        of_choices.append(entry)
        if gaps:
            is_few = len(gaps) < statistics.MIN_SEEDS
            entry["verdict"] = statistics.TOO_FEW if is_few else "no spread"
        if difference:
            tested.append((entry, difference))
    p_values = statistics.holm([d.p_value for _, d in tested])
    equal = statistics.holm([d.equal_p_value() for _, d in tested])
    for (entry, difference), p, equal_p in zip(tested, p_values, equal, strict=True):
        entry |= {"p_value": p, "equal_p_value": equal_p}
        entry["detectable"] = difference.detectable(len(tested))
        entry["verdict"] = verdict(difference.mean, p, equal_p)
    return of_choices


def verdict(difference: float, p_value: float, equal_p_value: float) -> str:
    """What the tests say of a choice."""
    if p_value < statistics.SIGNIFICANCE:
        return "better" if difference > 0 else "worse"
    is_equal = equal_p_value < statistics.SIGNIFICANCE
    return statistics.EQUAL if is_equal else "not told apart"
