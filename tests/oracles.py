"""Slow truths in NumPy float64, one example at a time, after the textbooks.

They share no code with jaxnets. A network is a list of `(kernel, bias)` pairs,
kernel [in, out]; an image is uint8 [H, W]; a `backprop` takes a network, an image
and its label, and gives the loss, the outputs and a gradient per pair.
"""

import chex
import numpy as np


def network_of(params):
    """A jaxnets network's weights, copied to float64."""
    return [
        (np.array(layer.kernel, np.float64), np.array(layer.bias, np.float64))
        for layer in params
    ]


def pixels_of(image):
    return np.array([value / 255 for value in image.ravel()], np.float64)


def target_of(label, num_classes):
    target = np.zeros(num_classes)
    target[label] = 1.0
    return target


def sigmoid_backprop(network, image, label):
    """Quadratic cost of sigmoid layers: Nielsen, chapter 2, equations BP1 to BP4."""
    activations = [pixels_of(image)]
    for kernel, bias in network:
        z = kernel.T @ activations[-1] + bias
        activations.append(1 / (1 + np.exp(-z)))
    error = activations[-1] - target_of(label, len(activations[-1]))
    loss = 0.5 * sum(value**2 for value in error)
    delta = error * activations[-1] * (1 - activations[-1])  # BP1
    gradients = []
    for index in reversed(range(len(network))):
        gradients.insert(0, (np.outer(activations[index], delta), delta))  # BP4, BP3
        slope = activations[index] * (1 - activations[index])
        delta = (network[index][0] @ delta) * slope  # BP2
    return loss, activations[-1], gradients


def relu_backprop(network, image, label):
    """Softmax cross-entropy of ReLU layers with logits at the end."""
    activations = [pixels_of(image)]
    for index, (kernel, bias) in enumerate(network):
        z = kernel.T @ activations[-1] + bias
        is_last = index == len(network) - 1
        activations.append(z if is_last else np.where(z > 0, z, 0))
    logits = activations[-1]
    weights = np.exp(logits - logits.max())
    probability = weights / weights.sum()
    loss = logits.max() + np.log(weights.sum()) - logits[label]
    delta = probability - target_of(label, len(logits))
    gradients = []
    for index in reversed(range(len(network))):
        gradients.insert(0, (np.outer(activations[index], delta), delta))
        delta = (network[index][0] @ delta) * (activations[index] > 0)
    return loss, logits, gradients


def batch_gradients(backprop, network, images, labels):
    """Mean loss and mean gradients of a batch, example by example."""
    loss = 0.0
    means = [(np.zeros_like(kernel), np.zeros_like(bias)) for kernel, bias in network]
    for image, label in zip(images, labels, strict=True):
        one_loss, _, gradients = backprop(network, image, label)
        loss += one_loss / len(labels)
        for mean, gradient in zip(means, gradients, strict=True):
            for total, part in zip(mean, gradient, strict=True):
                np.add(total, part / len(labels), out=total)
    return loss, means


def sgd_step(backprop, network, images, labels, rate):
    """Stochastic gradient descent on the batch's mean loss."""
    _, gradients = batch_gradients(backprop, network, images, labels)
    return [
        (kernel - rate * d_kernel, bias - rate * d_bias)
        for (kernel, bias), (d_kernel, d_bias) in zip(network, gradients, strict=True)
    ]


def sgd_epoch(backprop, network, images, labels, order, *, batch_size, rate):
    """One epoch in the given order; the last batch may be short.

    Returns the network, and over the epoch the number of right answers and the
    summed loss, each example judged before the step that learns from it.
    """
    correct, loss = 0, 0.0
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        for row in rows:
            one_loss, outputs, _ = backprop(network, images[row], labels[row])
            loss += one_loss
            correct += int(np.argmax(outputs) == labels[row])
        network = sgd_step(backprop, network, images[rows], labels[rows], rate)
    return network, correct, loss


def finite_differences(backprop, network, image, label, step=1e-6):
    """Gradients by central differences of the loss, parameter by parameter."""
    gradients = []
    for arrays in network:
        pair = []
        for array in arrays:
            gradient = np.zeros_like(array)
            for index in np.ndindex(array.shape):
                kept = array[index]
                array[index] = kept + step
                above = backprop(network, image, label)[0]
                array[index] = kept - step
                below = backprop(network, image, label)[0]
                array[index] = kept
                gradient[index] = (above - below) / (2 * step)
            pair.append(gradient)
        gradients.append(tuple(pair))
    return gradients


def keras_adam(value, gradients, *, rate, b1=0.9, b2=0.999, epsilon=1e-7):
    """Adam in tf.keras's documented form, after each of the given gradients."""
    value = np.array(value, np.float64)
    mean, square = np.zeros_like(value), np.zeros_like(value)
    for step, gradient in enumerate(gradients, start=1):
        mean = b1 * mean + (1 - b1) * gradient
        square = b2 * square + (1 - b2) * gradient**2
        corrected = rate * np.sqrt(1 - b2**step) / (1 - b1**step)
        value = value - corrected * mean / (np.sqrt(square) + epsilon)
        yield value


def assert_close(params, network, rtol, atol):
    """jaxnets' tree of (kernel, bias) against the list of pairs of an oracle."""
    pairs = tuple(type(params[0])(*pair) for pair in network)
    chex.assert_trees_all_close(params, pairs, rtol=rtol, atol=atol)
