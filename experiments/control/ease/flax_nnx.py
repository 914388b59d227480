"""Flax NNX, its own way: a module, `nnx.Optimizer`, a step under `nnx.jit`."""

import sys

import numpy as np
import optax
from flax import nnx


class DenseNet(nnx.Module):
    """784-128-10 with ReLU; gives logits."""

    def __init__(self, rngs):
        self.hidden = nnx.Linear(784, 128, rngs=rngs)
        self.output = nnx.Linear(128, 10, rngs=rngs)

    def __call__(self, images):
        vectors = images.reshape(len(images), -1) / 255
        return self.output(nnx.relu(self.hidden(vectors)))


def loss_fn(model, images, labels):
    """Mean cross-entropy."""
    losses = optax.losses.softmax_cross_entropy_with_integer_labels(
        model(images), labels
    )
    return losses.mean()


@nnx.jit
def train_step(model, optimizer, images, labels):
    """One update of model and optimizer, in place."""
    grads = nnx.grad(loss_fn)(model, images, labels)
    optimizer.update(model, grads)


images, labels, test_images, test_labels = np.load(sys.argv[1]).values()
model = DenseNet(nnx.Rngs(0))
optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
order = np.random.default_rng(0).permutation(len(labels))
for start in range(0, len(order), 32):
    rows = order[start : start + 32]
    train_step(model, optimizer, images[rows], labels[rows])
accuracy = (model(test_images).argmax(axis=1) == test_labels).mean()
print(f"test accuracy {accuracy:.4f}")
