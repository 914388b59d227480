"""Model 2's layers, trained with dropout and smoothed labels.

The network is `relu_softmax`: the same parameters, and the same functions to evaluate
and to predict. What trains it draws random numbers, and so takes a key:

    loss = relu_dropout.make_loss_fn(hidden_rate=0.5, input_rate=0.2)
    training.fit(relu_dropout.loss_fn, ..., train_loss_fn=loss, loss_key=keys.extra)
"""

import jax
import jax.numpy as jnp

from jaxnets.augment import random_bytes
from jaxnets.errors import InputError
from jaxnets.losses import smoothed_cross_entropy
from jaxnets.pixels import to_vectors
from jaxnets.relu_softmax import apply, init, loss_fn, predict
from jaxnets.types import Batch, KeyedLossFn, Layers, Totals, count

__all__ = ["apply", "dropout", "init", "loss_fn", "make_loss_fn", "predict"]

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


def make_loss_fn(
    *, hidden_rate: float = 0.0, input_rate: float = 0.0, smoothing: float = 0.0
) -> KeyedLossFn:
    """The loss to train with: (params, batch, key) to mean loss and totals.

    Args:
      hidden_rate, input_rate: dropout of the hidden layers' activations and of pixels.
      smoothing: of the labels, as in `losses.smoothed_cross_entropy`.

    Raises InputError unless all are from 0 to below 1; 255 of 256 levels at most drop.
    """
    rates = {"hidden_rate": hidden_rate, "input_rate": input_rate}
    for name, value in (rates | {"smoothing": smoothing}).items():
        if not 0 <= value <= (LEVELS - 1) / LEVELS:
            raise InputError(f"{name}={value} must be from 0 to below 1")

    def noisy_loss(
        params: Layers, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, Totals]:
        input_key, *hidden_keys = jax.random.split(key, len(params))
        activations = dropout(input_key, to_vectors(batch.image), input_rate)
        for layer, layer_key in zip(params[:-1], hidden_keys, strict=True):
            activations = jax.nn.relu(activations @ layer.kernel + layer.bias[None, :])
            activations = dropout(layer_key, activations, hidden_rate)
        logits = activations @ params[-1].kernel + params[-1].bias[None, :]
        losses = smoothed_cross_entropy(logits, batch.label, smoothing)
        return jnp.mean(losses), count(logits, losses, batch.label)

    return noisy_loss
