"""Model 3's mirror: the Keras network as a Flax NNX module.

The module lives inside these functions only. Outside, its weights are the same
`Layers` that the from-scratch networks use, which is also what `keras_dense`
reads and writes: no conversion and no `nnx.jit` in a training loop.
"""

import itertools

import jax
import jax.numpy as jnp
from flax import nnx

from jaxnets.losses import softmax_cross_entropy
from jaxnets.pixels import to_vectors
from jaxnets.types import Batch, Dense, Layers, Prediction, Totals, count


class DenseNet(nnx.Module):
    """Dense layers with ReLU between them; the last one gives logits."""

    def __init__(self, layer_sizes: tuple[int, ...], rngs: nnx.Rngs) -> None:
        # Keras starts from Glorot uniform; Flax's default is LeCun normal.
        glorot_uniform = jax.nn.initializers.glorot_uniform()
        sizes = itertools.pairwise(layer_sizes)
        self.layers = nnx.List(
            nnx.Linear(num_in, num_out, kernel_init=glorot_uniform, rngs=rngs)
            for num_in, num_out in sizes
        )

    def __call__(self, vectors: jax.Array) -> jax.Array:
        *hidden, output = self.layers
        for layer in hidden:
            vectors = nnx.relu(layer(vectors))
        return output(vectors)


def init(key: jax.Array, layer_sizes: tuple[int, ...]) -> Layers:
    """Glorot uniform kernels (Glorot and Bengio 2010, equation 16), zero biases."""
    _, state = nnx.split(DenseNet(layer_sizes, nnx.Rngs(key)))
    layers = nnx.to_pure_dict(state)["layers"]
    return tuple(Dense(**layers[number]) for number in sorted(layers))


def module(params: Layers) -> DenseNet:
    """The Flax module that holds these weights."""
    sizes = (params[0].kernel.shape[0], *(len(layer.bias) for layer in params))
    model = nnx.eval_shape(lambda: DenseNet(sizes, nnx.Rngs(0)))
    for layer, dense in zip(model.layers, params, strict=True):
        layer.kernel, layer.bias = nnx.Param(dense.kernel), nnx.Param(dense.bias)
    return model


def apply(params: Layers, images: jax.Array) -> jax.Array:
    """Logits float32 [B, classes] of images uint8 [B, H, W]."""
    return module(params)(to_vectors(images))


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
