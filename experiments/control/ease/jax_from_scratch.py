"""JAX and nothing else: init, forward pass, loss and Adam written out."""

import itertools
import sys

import jax
import jax.numpy as jnp
import numpy as np


def init(key, layer_sizes):
    """Glorot uniform kernels, zero biases."""
    params = []
    for num_in, num_out in itertools.pairwise(layer_sizes):
        key, kernel_key = jax.random.split(key)
        limit = jnp.sqrt(6 / (num_in + num_out))
        kernel = jax.random.uniform(kernel_key, (num_in, num_out), minval=-1)
        params.append((limit * kernel, jnp.zeros((1, num_out))))
    return params


def apply(params, images):
    """Logits."""
    activations = images.reshape(len(images), -1) / 255
    for kernel, bias in params[:-1]:
        activations = jax.nn.relu(activations @ kernel + bias)
    kernel, bias = params[-1]
    return activations @ kernel + bias


def loss_fn(params, images, labels):
    """Mean cross-entropy."""
    log_probabilities = jax.nn.log_softmax(apply(params, images))
    return -jnp.mean(log_probabilities[jnp.arange(len(labels)), labels])


@jax.jit
def train_step(params, opt_state, images, labels):
    """One step of Adam (Kingma and Ba 2015, algorithm 1)."""
    step, means, squares = opt_state
    step += 1
    grads = jax.grad(loss_fn)(params, images, labels)
    means = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, means, grads)
    squares = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, squares, grads)

    def update(param, mean, square):
        mean, square = mean / (1 - 0.9**step), square / (1 - 0.999**step)
        return param - 1e-3 * mean / (jnp.sqrt(square) + 1e-8)

    params = jax.tree.map(update, params, means, squares)
    return params, (step, means, squares)


images, labels, test_images, test_labels = np.load(sys.argv[1]).values()
params = init(jax.random.key(0), (784, 128, 10))
zeros = jax.tree.map(jnp.zeros_like, params)
opt_state = (0, zeros, zeros)
order = np.random.default_rng(0).permutation(len(labels))
for start in range(0, len(order), 32):
    rows = order[start : start + 32]
    params, opt_state = train_step(params, opt_state, images[rows], labels[rows])
answers = apply(params, test_images).argmax(axis=1)
accuracy = (answers == test_labels).mean()
print(f"test accuracy {accuracy:.4f}")
