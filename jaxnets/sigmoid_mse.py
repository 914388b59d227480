"""Model 1: sigmoid layers and the quadratic cost, as in Nielsen's book.

Nielsen, "Neural Networks and Deep Learning" (2015), chapter 1. His weight
matrices are [out, in]; `Dense.kernel` is [in, out].
"""

import itertools

import jax
import jax.numpy as jnp

from jaxnets.losses import quadratic_cost
from jaxnets.pixels import to_vectors
from jaxnets.types import Batch, Dense, Layers, Prediction, Totals, count


def init(key: jax.Array, layer_sizes: tuple[int, ...]) -> Layers:
    """Kernels and biases from the standard normal distribution N(0, 1)."""
    layer_keys = jax.random.split(key, len(layer_sizes) - 1)
    sizes = itertools.pairwise(layer_sizes)
    params = []
    for layer_key, (num_in, num_out) in zip(layer_keys, sizes, strict=True):
        kernel_key, bias_key = jax.random.split(layer_key)
        kernel = jax.random.normal(kernel_key, (num_in, num_out), jnp.float32)
        bias = jax.random.normal(bias_key, (num_out,), jnp.float32)
        params.append(Dense(kernel, bias))
    return tuple(params)


def activations_of(params: Layers, images: jax.Array) -> list[jax.Array]:
    """Every layer's activations float32 [B, size] in (0, 1), the output's last."""
    activations = [to_vectors(images)]
    for layer in params:
        weighted = activations[-1] @ layer.kernel + layer.bias[None, :]
        activations.append(jax.nn.sigmoid(weighted))
    return activations[1:]


def apply(params: Layers, images: jax.Array) -> jax.Array:
    """Output activations float32 [B, classes] in (0, 1); images uint8 [B, H, W]."""
    return activations_of(params, images)[-1]


def loss_fn(params: Layers, batch: Batch) -> tuple[jax.Array, Totals]:
    """Mean quadratic cost of the batch, and its totals."""
    activations = apply(params, batch.image)
    losses = quadratic_cost(activations, batch.label)
    return jnp.mean(losses), count(activations, losses, batch.label)


def predict(params: Layers, images: jax.Array) -> Prediction:
    """Classes, and activations scaled to sum to 1, of images uint8 [B, H, W].

    Ten independent sigmoids are no distribution. Dividing by their sum keeps
    their order and makes them comparable with the other models' probabilities.
    Where all of them vanish in float32, every class is as likely as another.
    """
    activations = apply(params, images)
    total = jnp.sum(activations, axis=-1, keepdims=True)
    smallest = jnp.finfo(total.dtype).tiny  # below it, quotients lose their digits
    share = activations / jnp.maximum(total, smallest)
    probability = jnp.where(total < smallest, 1 / share.shape[-1], share)
    label = jnp.argmax(activations, axis=-1).astype(jnp.int32)
    return Prediction(label, probability)
