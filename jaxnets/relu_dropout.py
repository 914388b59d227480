"""Model 2's layers, trained with dropout, smoothed labels and adversarial images.

The network is `relu_softmax`: the same parameters, and the same functions to evaluate
and to predict. What trains it draws random numbers, and so takes a key:

    loss = relu_dropout.make_loss_fn(hidden_rate=0.5, input_rate=0.2)
    training.fit(relu_dropout.loss_fn, ..., train_loss_fn=loss, loss_key=keys.extra)
"""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jaxnets.augment import random_bytes
from jaxnets.errors import InputError
from jaxnets.losses import smoothed_cross_entropy
from jaxnets.pixels import to_vectors
from jaxnets.relu_softmax import apply, init, loss_fn, predict
from jaxnets.types import Batch, KeyedLossFn, Layers, Totals, count

__all__ = [
    "adversarial",
    "apply",
    "dropout",
    "init",
    "loss_fn",
    "make_loss_fn",
    "predict",
]

LEVELS = 256  # of a random byte


def dropout(key: jax.Array, activations: jax.Array, rate: float) -> jax.Array:
    """Each activation 0 with probability `rate`, the others divided by 1 - rate.

    So that means stay as they are, and evaluating needs no change. Srivastava et al.,
    "Dropout: a simple way to prevent neural networks from overfitting" (2014), section
    4; there it is evaluating that scales.

    Args:
      activations: float32, of any shape; the result is of the same.
      rate: 0 to below 1, taken to the nearest of 256 levels, of which at least one
        stays; 0 changes nothing.
    """
    num_dropped = min(round(LEVELS * rate), LEVELS - 1)
    if not num_dropped:
        return activations
    kept = random_bytes(key, activations.shape) >= num_dropped
    return jnp.where(kept, activations * (LEVELS / (LEVELS - num_dropped)), 0)


def adversarial(
    losses_of: Callable[[jax.Array], jax.Array], vectors: jax.Array, length: float
) -> jax.Array:
    """Each image moved by `length` in the direction in which its loss rises most.

        x + length g / |g|,  g = d loss / d x

    The fast gradient step of Goodfellow et al., "Explaining and harnessing adversarial
    examples" (2015), section 4, under the Euclidean norm in place of the largest
    change of a pixel. It knows nothing of what is beside what in an image. The result
    is a constant of the loss that is trained with it; pixels may leave [0, 1].

    Args:
      losses_of: from images, float32 [B, pixels] in [0, 1], to their losses [B].
      length: 0 or more; 1 is one pixel from paper to ink. 0 changes nothing.
    """
    if not length:
        return vectors
    gradients = jax.grad(lambda vectors: losses_of(vectors).sum())(vectors)
    norms = jnp.linalg.norm(gradients, axis=-1, keepdims=True)
    # An image whose loss is flat stays as it is.
    directions = gradients / jnp.where(norms > 0, norms, 1)
    return jax.lax.stop_gradient(vectors + length * directions)


def make_loss_fn(
    *,
    hidden_rate: float = 0.0,
    input_rate: float = 0.0,
    smoothing: float = 0.0,
    adversary: float = 0.0,
) -> KeyedLossFn:
    """The loss to train with: (params, batch, key) to mean loss and totals.

    Args:
      hidden_rate, input_rate: dropout of the hidden layers' activations and of pixels.
      smoothing: of the labels, as in `losses.smoothed_cross_entropy`.
      adversary: the `length` of `adversarial`, whose images are trained on in place of
        those that are given; the network that they move against has other activations
        dropped than the one that is trained.

    Raises InputError unless adversary is 0 or more, and finite, and the others are from
    0 to below 1; 255 of 256 levels at most drop.
    """
    if not 0 <= adversary < math.inf:
        raise InputError(f"{adversary=} must be 0 or more, and finite")
    rates = {"hidden_rate": hidden_rate, "input_rate": input_rate}
    for name, value in (rates | {"smoothing": smoothing}).items():
        if not 0 <= value <= (LEVELS - 1) / LEVELS:
            raise InputError(
                f"{name}={value} must be from 0 to below 1, by 1/{LEVELS} at least"
            )

    def noisy_logits(
        params: Layers, keys: Sequence[jax.Array], vectors: jax.Array
    ) -> jax.Array:
        input_key, *hidden_keys = keys
        activations = dropout(input_key, vectors, input_rate)
        for layer, layer_key in zip(params[:-1], hidden_keys, strict=True):
            activations = jax.nn.relu(activations @ layer.kernel + layer.bias[None, :])
            activations = dropout(layer_key, activations, hidden_rate)
        return activations @ params[-1].kernel + params[-1].bias[None, :]

    def noisy_loss(
        params: Layers, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, Totals]:
        *keys, moving_key = jax.random.split(key, len(params) + 1)

        def losses_of(vectors: jax.Array) -> jax.Array:
            moving_keys = list(jax.random.split(moving_key, len(params)))
            logits = noisy_logits(params, moving_keys, vectors)
            return smoothed_cross_entropy(logits, batch.label, smoothing)

        vectors = adversarial(losses_of, to_vectors(batch.image), adversary)
        logits = noisy_logits(params, keys, vectors)
        losses = smoothed_cross_entropy(logits, batch.label, smoothing)
        return jnp.mean(losses), count(logits, losses, batch.label)

    return noisy_loss
