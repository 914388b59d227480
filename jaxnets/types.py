"""Every container of the package, with its shapes.

B is the number of images, H and W their height and width (28 for MNIST).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias

import chex
import jax
import jax.numpy as jnp
import optax

Array: TypeAlias = Any  # jax.Array on a device, np.ndarray on the host


class Batch(NamedTuple):
    """Images with their labels; a whole data set is one big batch."""

    image: Array  # uint8 [B, H, W], 0 (paper) to 255 (ink)
    label: Array  # int32 [B], 0 to num_classes - 1


class Dense(NamedTuple):
    """A fully connected layer: `inputs @ kernel + bias`."""

    kernel: Array  # float32 [in, out], as in Keras and Flax
    bias: Array  # float32 [out]


Params = tuple[Dense, ...]  # input to output


class TrainState(NamedTuple):
    """All that changes while a network trains."""

    step: jax.Array  # int32 [], updates done so far
    params: Params
    opt_state: optax.OptState


class Totals(NamedTuple):
    """Sums over examples; divide once, at the end."""

    correct: Array  # int32 [], examples whose arg-max is the label
    loss: Array  # float32 [], sum of the per-example losses
    seen: Array  # int32 [], examples counted

    @classmethod
    def zeros(cls) -> "Totals":
        return cls(jnp.int32(0), jnp.float32(0), jnp.int32(0))

    def __add__(self, other: "Totals") -> "Totals":  # type: ignore[override]
        return Totals(*(a + b for a, b in zip(self, other, strict=True)))


class Prediction(NamedTuple):
    """What a network says of some images."""

    label: Array  # int32 [B], the most probable class
    probability: Array  # float32 [B, num_classes], rows sum to 1


LossFn = Callable[[Params, Batch], tuple[jax.Array, Totals]]


class Network(Protocol):
    """What a model's module offers; the module itself is the object."""

    def init(self, key: jax.Array, layer_sizes: tuple[int, ...], /) -> Params: ...

    def apply(self, params: Params, images: jax.Array, /) -> jax.Array: ...

    def loss_fn(self, params: Params, batch: Batch, /) -> tuple[jax.Array, Totals]: ...

    def predict(self, params: Params, images: jax.Array, /) -> Prediction: ...


def layer_sizes_of(params: Params) -> tuple[int, ...]:
    """Sizes from input to output, read from the kernels' shapes."""
    return (params[0].kernel.shape[0], *(layer.bias.shape[0] for layer in params))


def num_params(params: Params) -> int:
    """Weights and biases together."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def count(outputs: jax.Array, losses: jax.Array, labels: jax.Array) -> Totals:
    """Totals of one batch: outputs [B, classes], losses [B], labels [B]."""
    chex.assert_rank([outputs, losses, labels], [2, 1, 1])
    chex.assert_equal_shape_prefix([outputs, losses, labels], 1)
    correct = jnp.sum(jnp.argmax(outputs, axis=-1) == labels, dtype=jnp.int32)
    return Totals(correct, jnp.sum(losses), jnp.int32(labels.shape[0]))
