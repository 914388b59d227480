"""Lesson 2, sigmoid neurons."""

import math

import numpy as np

# For the input 1, z = c - c / 2 = c / 2. 1 / (1 + e^-z) = 0.99 where e^z = 99.
SMALLEST_C = 2 * math.log(99)


def sigmoid(z):
    """As in the lesson."""
    return 1 / (1 + np.exp(-z))


def sigmoid_slope(z):
    """The chain rule: e^-z / (1 + e^-z)^2, which is a (1 - a) with a = sigma(z)."""
    a = sigmoid(z)
    return a * (1 - a)


def bias_change(weights, bias, inputs, wanted):
    """The output follows the bias with the slope sigma'(z), so divide by it."""
    return wanted / sigmoid_slope(weights @ inputs + bias)


SOLUTIONS = {"2.1": SMALLEST_C, "2.2": sigmoid_slope, "2.3": bias_change}
