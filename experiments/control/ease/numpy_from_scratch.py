"""NumPy and nothing else: backpropagation and Adam by hand."""

import itertools
import sys

import numpy as np


def init(rng, layer_sizes):
    """Glorot uniform kernels and zero biases, in one list."""
    params = []
    for num_in, num_out in itertools.pairwise(layer_sizes):
        limit = np.sqrt(6 / (num_in + num_out))
        kernel = rng.uniform(-limit, limit, (num_in, num_out))
        params += [kernel.astype(np.float32), np.zeros(num_out, np.float32)]
    return params


def forward(params, images):
    """Every layer's activations: the input first, the logits last."""
    activations = [images.reshape(len(images), -1) / np.float32(255)]
    for place in range(0, len(params), 2):
        weighted = activations[-1] @ params[place] + params[place + 1]
        is_last = place == len(params) - 2
        activations.append(weighted if is_last else np.maximum(weighted, 0))
    return activations


def backward(params, activations, labels):
    """The gradient of the mean cross-entropy, in the order of the parameters."""
    logits = activations[-1]
    delta = np.exp(logits - logits.max(axis=1, keepdims=True))
    delta /= delta.sum(axis=1, keepdims=True)
    delta[np.arange(len(labels)), labels] -= 1
    delta /= len(labels)
    grads = []
    for place in range(len(params) - 2, -1, -2):
        inputs = activations[place // 2]
        grads = [inputs.T @ delta, delta.sum(axis=0), *grads]
        if place:  # nobody asks for the gradient of the images
            delta = (delta @ params[place].T) * (inputs > 0)
    return grads


def adam_step(params, grads, means, squares, step):
    """One step of Adam (Kingma and Ba 2015, algorithm 1), in place."""
    for param, grad, mean, square in zip(params, grads, means, squares, strict=True):
        mean[...] += 0.1 * (grad - mean)
        square[...] += 0.001 * (grad**2 - square)
        corrected = np.sqrt(square / (1 - 0.999**step)) + 1e-8
        param[...] -= 1e-3 * mean / (1 - 0.9**step) / corrected


images, labels, test_images, test_labels = np.load(sys.argv[1]).values()
rng = np.random.default_rng(0)
params = init(rng, (784, 128, 10))
means = [np.zeros_like(param) for param in params]
squares = [np.zeros_like(param) for param in params]
order = rng.permutation(len(labels))
for step, start in enumerate(range(0, len(order), 32), start=1):
    rows = order[start : start + 32]
    activations = forward(params, images[rows])
    grads = backward(params, activations, labels[rows])
    adam_step(params, grads, means, squares, step)
answers = forward(params, test_images)[-1].argmax(axis=1)
accuracy = (answers == test_labels).mean()
print(f"test accuracy {accuracy:.4f}")
