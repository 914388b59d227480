"""Lesson 6, the same network three ways."""

import itertools

import numpy as np

from jaxnets.types import Dense


def parameter_count(layer_sizes):
    """A weight for each pair of neighbours in neighbouring layers, a bias a neuron."""
    pairs = itertools.pairwise(layer_sizes)
    return sum(inputs * size + size for inputs, size in pairs)


def layers_of(weights):
    """Every second array is a kernel, the others are biases."""
    return tuple(map(Dense, weights[::2], weights[1::2]))


def adam_step(w, slope, m, v, t):
    """The means first; then the step, by the new ones."""
    m = 0.9 * m + 0.1 * slope
    v = 0.999 * v + 0.001 * slope**2
    rate = 0.001 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    return w - rate * m / (np.sqrt(v) + 1e-7), m, v


SOLUTIONS = {"6.1": parameter_count, "6.2": layers_of, "6.3": adam_step}
