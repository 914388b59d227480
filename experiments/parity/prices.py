"""What each difference between two programs costs in accuracy, over seeds.

Each choice changes one thing of the Keras network's mirror in Flax.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from experiments.kit.numbers import finites
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
    kernel_keys = jax.random.split(key, len(layer_sizes) - 1)
    sizes = itertools.pairwise(layer_sizes)
    return tuple(
        Dense(make_kernel(kernel_key, shape), jnp.zeros(shape[1]))
        for kernel_key, shape in zip(kernel_keys, sizes, strict=True)
    )


def clipped_loss(params: Layers, batch: Batch) -> tuple[jax.Array, Totals]:
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


class Choice(NamedTuple):
    """One way to build and train the network."""

    name: str
    what: str
    init: Callable[[jax.Array, tuple[int, ...]], Layers] = flax_dense.init
    loss_fn: LossFn = flax_dense.loss_fn
    tx: Callable[[float], optax.GradientTransformation] = optimizers.keras_adam


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
        "raw pixels, clipped", "both of these at once", loss_fn=on_bytes(clipped_loss)
    ),
)


def train(
    choice: Choice, recipe: Recipe, data: Dataset, seeds: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """Train the choice from each seed, as many at once as the devices like.

    Yields a row for each epoch of the networks that train together.
    """

    def init(key: jax.Array) -> Layers:
        return choice.init(key, recipe.layer_sizes)

    began = time.perf_counter()
    work = (init, choice.loss_fn, choice.tx(recipe.learning_rate), data.train)
    held_out = (data.test,)
    at_once = ensemble.num_at_once(*work, held_out, batch_size=recipe.batch_size)
    for some in ensemble.chunks(seeds, at_once):
        for epoch in ensemble.fit_many(
            *work,
            held_out,
            seeds=some,
            batch_size=recipe.batch_size,
            num_epochs=recipe.num_epochs,
        ):
            yield {
                "choice": choice.name,
                "epoch": epoch.number,
                "seeds": list(some),
                "train_loss": finites(epoch.train.mean_loss),
                "test_accuracy": epoch.held_out[0].accuracy.tolist(),
                "seconds": time.perf_counter() - began,
            }
