"""A recurrent network: it reads an image row by row, from top to bottom.

    state_t = relu(concat(row_t, state_t-1) @ kernel + bias)
    logits  = state_last @ kernel + bias

This is Elman's simple recurrent network (1990). The weights are the same for
every row, and gradients flow back through all of them. With the states of `tanh`
in place of `relu` it would be Keras's SimpleRNN.
"""

import itertools

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.losses import softmax_cross_entropy
from jaxnets.pixels import to_vectors
from jaxnets.types import Batch, Dense, Layers, Prediction, Totals, count


def input_size(image_shape: tuple[int, ...]) -> int:
    """What layer sizes begin with: the network takes one row [W] at a time."""
    return image_shape[-1]


def init(key: jax.Array, layer_sizes: tuple[int, ...]) -> Layers:
    """Glorot normal kernels, states that begin by keeping what they hold, zero biases.

    A hidden layer of n neurons has one kernel [in + n, n]: the first `in` rows are
    for its input, the others for its own state one image row earlier. These begin
    as the identity (Le, Jaitly and Hinton 2015), so that a gradient neither
    vanishes nor grows on its way back through the rows.
    """
    make_kernel = jax.nn.initializers.glorot_normal()
    kernel_keys = jax.random.split(key, len(layer_sizes) - 1)
    params: list[Dense] = []
    sizes = itertools.pairwise(layer_sizes)
    for kernel_key, (num_in, num_out) in zip(kernel_keys, sizes, strict=True):
        kernel = make_kernel(kernel_key, (num_in, num_out), jnp.float32)
        if len(params) < len(layer_sizes) - 2:
            kernel = jnp.concatenate([kernel, jnp.eye(num_out, dtype=jnp.float32)])
        params.append(Dense(kernel, jnp.zeros(num_out, jnp.float32)))
    return tuple(params)


def apply(params: Layers, images: jax.Array) -> jax.Array:
    """Logits float32 [B, classes] of images uint8 [B, H, W]."""
    *hidden, output = params
    num_images, height, width = images.shape
    rows = to_vectors(images).reshape(num_images, height, width).swapaxes(0, 1)
    for layer in hidden:
        rows = states(layer, rows)
    return rows[-1] @ output.kernel + output.bias[None, :]


def states(layer: Dense, inputs: jax.Array) -> jax.Array:
    """A recurrent layer's states [H, B, n], from zero, after its inputs [H, B, in]."""
    num_in = inputs.shape[-1]
    from_input, from_state = layer.kernel[:num_in], layer.kernel[num_in:]
    weighted = inputs @ from_input + layer.bias[None, None, :]  # all rows at once

    def step(state: jax.Array, row: jax.Array) -> tuple[jax.Array, jax.Array]:
        state = jax.nn.relu(row + state @ from_state)
        return state, state

    empty = jnp.zeros(weighted.shape[1:], weighted.dtype)
    return lax.scan(step, empty, weighted)[1]


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
