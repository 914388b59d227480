"""Oracles of lesson 3: a known factor, and derivatives by finite differences."""

import numpy as np

from lessons.kit.checks import array_of, call, number_of, require_equal, slopes_of


def exercise_1(answer: object) -> None:
    """The rate at which the mean over ten outputs makes the steps of the formula."""
    value = number_of(answer)
    mistakes = {
        "The other way round: the new cost is smaller, so its slopes are, too.": 0.6,
        "You have the ten outputs. The formula has a 1/2 that the mean has not.": 30,
        "You have the 1/2. The mean also divides by the ten outputs.": 1.5,
        "The 1/2 makes the formula's cost smaller, the ten outputs make it larger.": 6,
        "Slopes change with the cost: C is a multiple of the new cost. Which?": 3,
        "The other way round, twice: is the 1/2 in C or in the mean?": 0.3,
        "That is how many times C is the mean. The rate was 3 before.": 5,
    }
    text = "Write both costs for one image, and divide one by the other."
    require_equal(value, 15, mistakes, text)


def exercise_2(answer: object) -> None:
    """BP2 for tanh."""
    rng = np.random.default_rng(0)
    z, kernel = rng.normal(size=(4, 3)), rng.normal(size=(3, 5))
    next_delta = rng.normal(size=(4, 5))
    a = np.tanh(z)
    value = array_of(
        call(answer, next_delta, kernel, a),
        (4, 3),
        "For 4 images, a layer of 3 and a next layer of 5, the delta",
        "A row for each image, a column for each neuron of the layer.",
    )
    # The next layer's z is a W: a cost whose slope there is `next_delta`.
    expected = slopes_of(lambda z: np.sum(np.tanh(z) @ kernel * next_delta), z)
    back = next_delta @ kernel.T
    mistakes = {
        "The slope is missing: multiply by 1 - a^2, number by number.": back,
        "That is the slope of sigma. The one of tanh is 1 - a^2.": back * a * (1 - a),
        "The slope is 1 - a^2 of the output a; you took tanh of a again.": (
            back * (1 - np.tanh(a) ** 2)
        ),
        "The slope is 1 - a^2, not 1 - a.": back * (1 - a),
        "Square a alone: 1 - a^2, not (1 - a)^2.": back * (1 - a) ** 2,
    }
    text = "Send the next delta back through its kernel, transposed; then the slope."
    require_equal(value, expected, mistakes, text)


def exercise_3(answer: object) -> None:
    """BP4 with a penalty."""
    rng = np.random.default_rng(1)
    before, delta = rng.uniform(size=(4, 3)), rng.normal(size=(4, 2))
    kernel, decay = rng.normal(size=(3, 2)), 0.3
    value = array_of(
        call(answer, before, delta, kernel, decay),
        (3, 2),
        "For 4 images, 3 inputs and 2 neurons, the array of slopes",
        "It is shaped as the kernel.",
    )

    def cost(kernel: np.ndarray) -> float:
        """A cost whose slope at each image's z is `delta`, with the penalty."""
        mean = np.mean(np.sum(before @ kernel * delta, axis=1))
        return float(mean + decay / 2 * np.sum(kernel**2))

    slopes = before.T @ delta
    mistakes = {
        "The cost is a mean over the images: divide the sum by their number.": (
            slopes + decay * kernel
        ),
        "The penalty is missing.": slopes / 4,
        "Differentiate w^2 / 2 once more: the 2 cancels.": (
            slopes / 4 + decay / 2 * kernel
        ),
        "Differentiate w^2 / 2 once more: it is w.": slopes / 4 + 2 * decay * kernel,
        "That adds the penalty itself. What is the slope of w^2 / 2?": (
            slopes / 4 + decay / 2 * kernel**2
        ),
        "That adds the sum itself. Each weight has the slope of its own w^2 / 2.": (
            slopes / 4 + decay / 2 * np.sum(kernel**2)
        ),
        "What is the slope of w^2 / 2? It has no square.": slopes / 4
        + decay * kernel**2,
        "The penalty is added to the cost, so its slope is added.": (
            slopes / 4 - decay * kernel
        ),
        "The penalty is no mean over images: only the first part is divided.": (
            slopes / 4 + decay * kernel / 4
        ),
        "The slope of the penalty is a matrix: each weight has its own.": (
            slopes / 4 + decay * np.sum(kernel)
        ),
    }
    text = "It is BP4 plus the slope of the penalty, for each weight."
    require_equal(value, slopes_of(cost, kernel), mistakes, text)
