"""Model 2: dense layers with ReLU, logits at the end, softmax cross-entropy."""

import itertools

import jax
import jax.numpy as jnp

from jaxnets.losses import softmax_cross_entropy
from jaxnets.pixels import to_vectors
from jaxnets.types import Batch, Dense, Layers, Prediction, Totals, count


def init(key: jax.Array, layer_sizes: tuple[int, ...]) -> Layers:
    """Kernels from N(0, 2 / (in + out)), biases zero.

    The variance is Glorot and Bengio's (2010, equation 12), with the normal
    distribution of the write-up in place of their uniform one.
    """
    make_kernel = jax.nn.initializers.variance_scaling(1.0, "fan_avg", "normal")
    kernel_keys = jax.random.split(key, len(layer_sizes) - 1)
    sizes = itertools.pairwise(layer_sizes)
    return tuple(
        Dense(
            kernel=make_kernel(kernel_key, (num_in, num_out), jnp.float32),
            bias=jnp.zeros(num_out, jnp.float32),
        )
        for kernel_key, (num_in, num_out) in zip(kernel_keys, sizes, strict=True)
    )


def apply(params: Layers, images: jax.Array) -> jax.Array:
    """Logits float32 [B, classes] of images uint8 [B, H, W]."""
    activations = to_vectors(images)
    for layer in params[:-1]:
        activations = jax.nn.relu(activations @ layer.kernel + layer.bias[None, :])
    return activations @ params[-1].kernel + params[-1].bias[None, :]


def loss_fn(params: Layers, batch: Batch) -> tuple[jax.Array, Totals]:
    """Mean cross-entropy of the batch, and its totals."""
    logits = apply(params, batch.image)
    losses = softmax_cross_entropy(logits, batch.label)
    return jnp.mean(losses), count(logits, losses, batch.label)


def predict(params: Layers, images: jax.Array) -> Prediction:
    """Classes and softmax probabilities of images uint8 [B, H, W]."""
    logits = apply(params, images)
    label = jnp.argmax(logits, axis=-1).astype(jnp.int32)
    return Prediction(label, jax.nn.softmax(logits))
