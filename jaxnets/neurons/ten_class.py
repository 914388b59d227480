"""One neuron a class, the largest weighted sum wins: the simplest classifier here.

Where the winner is wrong, the label's weights gain the inputs and the winner's lose
them; nothing else changes (Kesler's construction: Duda and Hart, 1973, section 5.12).
There is no rate to choose and no random start: a seed decides the order of the images.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.pixels import to_vectors
from jaxnets.types import Array, Batch, Dense

Encode = Callable[[jax.Array], jax.Array]  # uint8 [B, H, W] to float32 [B, H * W]


class Learner(NamedTuple):
    """A layer as it learns, and its mean over the run's steps."""

    layer: Dense  # kernel [inputs, classes], after the last step
    average: Dense  # mean over all steps so far (Freund and Schapire, 1999)
    epochs: Array  # int32 []


def ink(images: jax.Array) -> jax.Array:
    """1 where a pixel is darker than half, else 0: a perceptron's binary inputs."""
    return (to_vectors(images) > 0.5).astype(jnp.float32)


def start(num_inputs: int, num_classes: int) -> Learner:
    """All weights 0."""
    zeros = Dense(jnp.zeros((num_inputs, num_classes)), jnp.zeros(num_classes))
    return Learner(zeros, zeros, jnp.int32(0))


def scores(layer: Dense, inputs: jax.Array) -> jax.Array:
    """Weighted sums float32 [B, classes] of inputs [B, n]."""
    product = jnp.dot(inputs, layer.kernel, precision="highest")
    return product + layer.bias[None, :]


def make_learn_epoch(
    encode: Encode,
) -> Callable[[Learner, Batch, jax.Array], tuple[Learner, jax.Array]]:
    """An epoch for `jax.jit`: from learner, data and order to learner and mistakes."""

    def learn_epoch(
        learner: Learner, data: Batch, order: jax.Array
    ) -> tuple[Learner, jax.Array]:
        num_steps = order.shape[0]
        num_classes = learner.layer.bias.shape[0]

        def learn_one(carry, place):
            index, share = place
            layer, _, _ = carry
            inputs = encode(data.image[index][None])[0]
            label = data.label[index]
            sums = jnp.dot(layer.kernel, inputs, precision="highest") + layer.bias
            guess = jnp.argmax(sums)

            def correct(carry):
                layer, average, mistakes = carry
                signs = jnp.arange(num_classes)
                signs = (signs == label) * 1.0 - (signs == guess) * 1.0
                change = Dense(signs[:, None] * inputs[None, :], signs)
                layer = jax.tree.map(jnp.add, layer, change)
                average = jax.tree.map(lambda a, c: a + share * c, average, change)
                return layer, average, mistakes + 1

            return lax.cond(guess == label, lambda kept: kept, correct, carry), None

        # A change is in the weights after its own step and after all later ones.
        shares = jnp.arange(num_steps, 0, -1) / num_steps
        stored = _transpose(learner.layer)
        carry = (stored, stored, jnp.int32(0))
        carry, _ = lax.scan(learn_one, carry, (order, shares))
        layer, of_epoch, mistakes = carry
        epochs = learner.epochs + 1
        average = jax.tree.map(
            lambda mean, new: mean + (new - mean) / epochs,
            learner.average,
            _transpose(of_epoch),
        )
        return Learner(_transpose(layer), average, epochs), mistakes

    return learn_epoch


def make_count_correct(encode: Encode) -> Callable[[Dense, Batch], jax.Array]:
    """How many images a layer gets right, int32 []."""

    def count_correct(layer: Dense, data: Batch) -> jax.Array:
        guesses = jnp.argmax(scores(layer, encode(data.image)), axis=-1)
        return jnp.sum(guesses == data.label, dtype=jnp.int32)

    return count_correct


def _transpose(layer: Dense) -> Dense:
    """Weights as [out, in], in which the scan is three times as fast, and back."""
    return Dense(layer.kernel.T, layer.bias)
