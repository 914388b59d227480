"""Oracles of lesson 5: NumPy in float64, and finite differences."""

import numpy as np

from lessons.kit.checks import Wrong, array_of, call, require_equal, slopes_of


def exercise_1(answer: object) -> None:
    """A softmax, of large logits too."""
    logits = np.array(
        [[2.0, 1.0, -1.0, 0.0], [0.5, 0.5, 3.0, -2.0], [0.1, 4.0, 1.0, 2.0]]
    )
    value = array_of(call(answer, logits), (3, 4), "For logits [3, 4], the result")
    powers = np.exp(logits)
    mistakes = {
        "Each column sums to 1. The classes of one image are a row: `axis=1`.": (
            powers / powers.sum(axis=0)
        ),
        "All numbers together sum to 1. Each image has a distribution of its own.": (
            powers / powers.sum()
        ),
        "That is the logarithm of the softmax.": (
            logits - np.log(powers.sum(axis=1, keepdims=True))
        ),
        "Divide by the sum over the classes.": powers,
    }
    expected = powers / powers.sum(axis=1, keepdims=True)
    text = f"The first image's probabilities sum to {value[0].sum():.3f}, not to 1."
    if np.allclose(value.sum(axis=1), 1):
        text = "The rows sum to 1, but not every value is e^z_k over the row's sum."
    require_equal(value, expected, mistakes, text)

    large = call(answer, logits + np.array([[1000.0], [-1000.0], [0.0]]))
    value = array_of(large, (3, 4), "For logits [3, 4], the result")
    if not np.all(np.isfinite(value)):
        raise Wrong(
            "Right for small logits. For logits near 1000, or near -1000, the result "
            "is not a number: subtract each image's own largest logit first."
        )
    text = "Right for small logits, but adding 1000 to an image's logits changes it."
    require_equal(value, expected, {}, text)


def exercise_2(answer: object) -> None:
    """The slope of the mean cross-entropy with respect to the logits."""
    logits = np.random.default_rng(0).normal(size=(4, 5))
    labels = np.array([0, 3, 4, 3])
    rows = np.arange(4)

    def softmax(logits: np.ndarray) -> np.ndarray:
        return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    def cost(logits: np.ndarray) -> float:
        return float(-np.mean(np.log(softmax(logits)[rows, labels])))

    probabilities, one_hot = softmax(logits), np.eye(5)[labels]
    value = array_of(
        call(answer, probabilities, labels),
        (4, 5),
        "For 4 images and 5 classes, the array of slopes",
        "A row for each image, a column for each class.",
    )
    difference = probabilities - one_hot
    mistakes = {
        "The cost is a mean over the images: divide by their number.": difference,
        "The sign: more of a wrong class makes the cost larger.": -difference / 4,
        "The label's own logit counts twice: in its power and in the sum.": (
            probabilities / 4
        ),
        "The sign, and the mean over the images.": -difference,
        "There is no factor p (1 - p) left: it cancels against the logarithm.": (
            difference * probabilities * (1 - probabilities) / 4
        ),
        "The mean is over the 4 images, not over all numbers.": difference / 20,
    }
    text = "Compare with p minus the one-hot label; what does the mean add?"
    require_equal(value, slopes_of(cost, logits), mistakes, text)


def exercise_3(answer: object) -> None:
    """The slope with respect to the sums of a ReLU layer."""
    rng = np.random.default_rng(1)
    delta, z = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    value = array_of(call(answer, delta, z), (3, 4), "For a delta [3, 4], the result")
    mistakes = {
        "That is delta times the output. Multiply by the slope, 1 or 0.": (
            delta * np.maximum(z, 0)
        ),
        "Neurons with z below 0 are silent: no message goes through them.": delta,
        "It is z that decides who is active, not the sign of the message.": (
            np.maximum(delta, 0)
        ),
        "The other half: the neurons with z above 0 are active.": delta * (z < 0),
        "That is the slope alone. Multiply delta by it.": (z > 0).astype(float),
    }
    expected = slopes_of(lambda z: float(np.sum(np.maximum(z, 0) * delta)), z)
    text = "Each number of delta either passes or is stopped, as z says."
    require_equal(value, expected, mistakes, text)
