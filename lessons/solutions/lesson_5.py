"""Lesson 5, ReLU, softmax, cross-entropy."""

import numpy as np


def softmax(logits):
    """With the largest logit subtracted, no power is above e^0 and one of them is 1."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def logit_slopes(probabilities, labels):
    """C = log(sum of e^z) - z_y: the first part has the slope p, the second -1 at y."""
    one_hot = np.eye(probabilities.shape[1])[labels]
    return (probabilities - one_hot) / len(labels)


def through_relu(delta, z):
    """The slope is 1 where z is above 0, else 0."""
    return delta * (z > 0)


SOLUTIONS = {"5.1": softmax, "5.2": logit_slopes, "5.3": through_relu}
