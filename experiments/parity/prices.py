"""What each difference between two programs costs in accuracy, over seeds.

Each choice changes one thing of the Keras network's mirror in Flax.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnets import ensemble as many
from jaxnets import flax_dense
from jaxnets import models as recipes
from jaxnets.data import Dataset
from jaxnets.models import Recipe
from jaxnets.raw_pixels import on_bytes
from jaxnets.types import Batch, Dense, LossFn, Params, Totals, count

CLIP = 1e-7  # keras.config.epsilon()
Init = Callable[[jax.Array, tuple[int, ...]], Params]


class Choice(NamedTuple):
    """One way to build and train the network."""

    name: str
    what: str
    init: Init = flax_dense.init
    loss_fn: LossFn = flax_dense.loss_fn
    tx: Callable[[float], optax.GradientTransformation] = recipes.keras_adam


class ChoiceEpoch(NamedTuple):
    """An epoch of some seeds of a choice."""

    number: int
    seeds: Sequence[int]
    train_loss: np.ndarray  # float [seeds]
    test_accuracy: np.ndarray  # float [seeds], after the epoch's last step


def lecun_init(key: jax.Array, layer_sizes: tuple[int, ...]) -> Params:
    """Flax's default: kernels from N(0, 1 / in), cut at two deviations; biases zero.

    Source: LeCun, Bottou, Orr and Mueller (1998), "Efficient BackProp", section 4.6.
    """
    make_kernel = jax.nn.initializers.lecun_normal()
    kernel_keys = jax.random.split(key, len(layer_sizes) - 1)
    sizes = itertools.pairwise(layer_sizes)
    return tuple(
        Dense(make_kernel(kernel_key, shape), jnp.zeros(shape[1]))
        for kernel_key, shape in zip(kernel_keys, sizes, strict=True)
    )


def clipped_loss(params: Params, batch: Batch) -> tuple[jax.Array, Totals]:
    """Cross-entropy from probabilities kept within [1e-7, 1 - 1e-7].

    Keras computes it so where it cannot see the logits behind a softmax, which only
    its TensorFlow backend can. Beyond the limits the gradient is zero: an example
    that the network is sure of, rightly or wrongly, teaches nothing.
    """
    logits = flax_dense.apply(params, batch.image)
    probability = jnp.clip(jax.nn.softmax(logits), CLIP, 1 - CLIP)
    chosen = jnp.take_along_axis(probability, batch.label[:, None], axis=-1)[:, 0]
    losses = -jnp.log(chosen)
    return jnp.mean(losses), count(logits, losses, batch.label)


AS_KERAS = Choice("as tf.keras", "Adam's epsilon 1e-7 outside, Glorot, logits, [0, 1]")
CHOICES = (
    AS_KERAS,
    Choice(
        "epsilon inside",
        "Adam's epsilon 1e-7 inside the bias correction",
        tx=lambda rate: optax.adam(rate, eps=1e-7),
    ),
    Choice(
        "optax's Adam",
        "epsilon 1e-8 inside: optax's default, and the paper's",
        tx=optax.adam,
    ),
    Choice("LeCun normal", "Flax's default initialisation", init=lecun_init),
    Choice("clipped", "cross-entropy of clipped probabilities", loss_fn=clipped_loss),
    Choice(
        "raw pixels",
        "0 to 255 in place of 0 to 1",
        loss_fn=on_bytes(flax_dense.loss_fn),
    ),
    Choice(
        "raw pixels, clipped",
        "both of these at once",
        loss_fn=on_bytes(clipped_loss),
    ),
)


def train(
    choice: Choice, recipe: Recipe, dataset: Dataset, seeds: Sequence[int]
) -> Iterator[ChoiceEpoch]:
    """Train the choice from each seed, as many at once as the devices like."""

    def init(key: jax.Array) -> Params:
        return choice.init(key, recipe.layer_sizes)

    tx = choice.tx(recipe.learning_rate)
    for some in many.chunks(seeds, many.num_at_once(init, tx)):
        for epoch in many.fit_seeds(
            init,
            choice.loss_fn,
            tx,
            dataset.train,
            [dataset.test],
            seeds=some,
            batch_size=recipe.batch_size,
            num_epochs=recipe.num_epochs,
        ):
            tested = epoch.held_out[0]
            yield ChoiceEpoch(
                epoch.number,
                some,
                epoch.train.loss / epoch.train.seen,
                tested.correct / tested.seen,
            )
