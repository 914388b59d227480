"""Oracles of lesson 2: a known value, and finite differences of the sigmoid."""

import math

import numpy as np

from lessons.kit.checks import Wrong, array_of, call, number_of, require_equal

STEP = 1e-5  # of finite differences in float64


def exercise_1(answer: object) -> None:
    """The weight c with sigma(c - c / 2) = 0.99."""
    value = number_of(answer)
    half = math.log(99)  # sigma(z) = 0.99 where e^-z = 1 / 99
    mistakes = {
        "That is the z that is needed. What is z for the input 1, with the bias?": half,
        "Is e^-z to be 1/100 or 1/99? Solve 1 / (1 + e^-z) = 0.99.": 2 * math.log(100),
        "The logarithm must be the natural one.": 2 * math.log10(99),
    }
    output = _sigmoid(np.clip(value / 2, -700, 700))
    require_equal(
        value,
        2 * half,
        mistakes,
        f"With c = {value:g} the output for the input 1 is {output:.4f}, not 0.99.",
        tolerance=2e-3,  # three digits
    )


def exercise_2(answer: object) -> None:
    """The slope of the sigmoid, an array for an array."""
    z = np.array([-3.0, -0.5, 0.0, 1.0, 2.5])
    value = array_of(call(answer, z), z.shape, "The slope at five points")
    a = _sigmoid(z)
    mistakes = {
        "That is sigma itself.": a,
        "That is 1 - sigma(z); one factor is missing.": 1 - a,
        "A sign: the slope is largest at z = 0 and falls on both sides.": a * (1 + a),
        "Write sigma(z) where you have z.": z * (1 - z),
        "The slope is positive: the curve always rises.": -a * (1 - a),
    }
    slopes = (_sigmoid(z + STEP) - _sigmoid(z - STEP)) / (2 * STEP)
    text = f"At z = 1 you give {value[3]:.6f}; two close points give {slopes[3]:.6f}."
    require_equal(value, slopes, mistakes, text)


def exercise_3(answer: object) -> None:
    """The change of the bias for a wanted change of the output."""
    rng = np.random.default_rng(3)
    weights, bias, inputs = rng.normal(size=4), 1.5, rng.uniform(size=4)
    wanted = 1e-6  # where first order and the truth agree
    value = number_of(call(answer, weights, bias, inputs, wanted))
    z = weights @ inputs + bias
    # What the answer does, measured: no formula of a slope is needed.
    reached = _sigmoid(z + value) - _sigmoid(z)
    a, at_bias, without = _sigmoid(z), _sigmoid(bias), _sigmoid(weights @ inputs)
    slope = a * (1 - a)
    mistakes = {
        "That is `wanted` itself: the output follows the bias by the slope.": wanted,
        "Divide by the slope: the flatter the curve, the larger the change.": (
            wanted * slope
        ),
        "You divided by sigma(z); it takes its slope.": wanted / a,
        "z is w . x + b, not the bias alone.": wanted / (at_bias * (1 - at_bias)),
        "z is w . x + b: the bias belongs to it.": wanted / (without * (1 - without)),
        "That is the new bias. How much was added to it?": bias + wanted / slope,
    }
    for hint, wrong in mistakes.items():
        require_different(value, wrong, hint)
    require_equal(
        reached,
        wanted,
        {},
        f"Your change moves the output by {reached:.3g}, not by {wanted:g}.",
        tolerance=1e-3,
    )


def require_different(value: float, wrong: float, hint: str) -> None:
    """Raise Wrong with the hint where the value is that wrong one."""
    if math.isclose(value, wrong, rel_tol=1e-4):
        raise Wrong(hint)


def _sigmoid(z: np.ndarray | float) -> np.ndarray:
    return 1 / (1 + np.exp(-np.asarray(z)))
