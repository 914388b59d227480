"""Every container of the library, with its shapes.

B is the number of images, H and W their height and width (28 for MNIST).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import chex
import jax
import jax.numpy as jnp
import optax

Array: TypeAlias = Any  # jax.Array on a device, np.ndarray on the host
Params: TypeAlias = chex.ArrayTree  # any pytree whose leaves have names


class Batch(NamedTuple):
    """Images with their labels; a whole data set is one big batch."""

    image: Array  # uint8 [B, H, W], 0 (paper) to 255 (ink)
    label: Array  # int32 [B], 0 to num_classes - 1

    def split(self, count: int) -> tuple["Batch", "Batch"]:
        """The first `count` images, and the rest."""
        image, label = self
        return Batch(image[:count], label[:count]), Batch(image[count:], label[count:])


class Dense(NamedTuple):
    """A fully connected layer: `inputs @ kernel + bias`."""

    kernel: Array  # float32 [in, out], as in Keras and Flax
    bias: Array  # float32 [out]


Layers: TypeAlias = tuple[Dense, ...]  # of a dense network, input to output


class TrainState(NamedTuple):
    """All that changes while a network trains."""

    step: Array  # int32 [], updates so far
    params: Params
    opt_state: optax.OptState


class Totals(NamedTuple):
    """Sums over examples; divide once, at the end."""

    correct: Array  # int32 [], examples whose arg-max is the label
    loss: Array  # float32 [], sum of the per-example losses
    seen: Array  # int32 [], examples counted

    @classmethod
    def zeros(cls) -> "Totals":
        """No example yet."""
        return cls(jnp.int32(0), jnp.float32(0), jnp.int32(0))

    def __add__(self, other: "Totals") -> "Totals":  # type: ignore[override]
        return Totals(*(a + b for a, b in zip(self, other, strict=True)))

    @property
    def accuracy(self) -> Array:
        """Share of the examples that are recognised, 0 to 1."""
        return self.correct / self.seen

    @property
    def mean_loss(self) -> Array:
        """Loss per example."""
        return self.loss / self.seen


Step: TypeAlias = tuple[TrainState, Totals]  # after it, and of what it saw


class Prediction(NamedTuple):
    """What a network answers to some images."""

    label: Array  # int32 [B], the most probable class
    probability: Array  # float32 [B, num_classes], rows sum to 1


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one network is built and trained."""

    layer_sizes: tuple[int, ...]  # neurons, from the images' pixels to the classes
    optimizer: Literal["sgd", "adam"]  # Adam in Keras's form
    learning_rate: float  # step size of the optimizer, greater than 0
    batch_size: int  # examples per update
    num_epochs: int  # passes over the training set


LossFn: TypeAlias = Callable[[Params, Batch], tuple[jax.Array, Totals]]
# A loss that draws random numbers, as for dropout: another key at each step.
KeyedLossFn: TypeAlias = Callable[[Params, Batch, jax.Array], tuple[jax.Array, Totals]]


class Network(Protocol):
    """What a network's module offers; the module itself is the object."""

    def init(self, key: jax.Array, layer_sizes: tuple[int, ...], /) -> Params: ...

    # Outputs float32 [B, classes] of images uint8 [B, H, W].
    def apply(self, params: Params, images: jax.Array, /) -> jax.Array: ...

    # Mean loss of the batch, and its totals.
    def loss_fn(self, params: Params, batch: Batch, /) -> tuple[jax.Array, Totals]: ...

    def predict(self, params: Params, images: jax.Array, /) -> Prediction: ...


def without_key(loss_fn: LossFn) -> KeyedLossFn:
    """The same loss as one that takes a key, and does without."""
    return lambda params, batch, key: loss_fn(params, batch)


def num_params(params: Params) -> int:
    """Weights and biases together."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def count(outputs: jax.Array, losses: jax.Array, labels: jax.Array) -> Totals:
    """Totals of one batch: outputs [B, classes], losses [B], labels int32 [B]."""
    chex.assert_rank([outputs, losses, labels], [2, 1, 1])
    chex.assert_equal_shape_prefix([outputs, losses, labels], 1)
    answers = jnp.argmax(outputs, axis=-1).astype(jnp.int32)
    correct = jnp.sum(answers == labels.astype(jnp.int32), dtype=jnp.int32)
    loss = jnp.sum(losses).astype(jnp.float32)
    return Totals(correct, loss, jnp.int32(labels.shape[0]))
