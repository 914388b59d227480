"""Oracles of lesson 1: truth tables, and the learning rule in whole numbers."""

import itertools

import numpy as np

from lessons.kit.checks import (
    Wrong,
    array_of,
    call,
    number_of,
    parts_of,
    require_equal,
)

CORNERS = list(itertools.product([0, 1], repeat=2))


def exercise_1(answer: object) -> None:
    """OR: weights [2] and a bias."""
    given_weights, given_bias = parts_of(answer, "weights bias")
    weights = array_of(given_weights, (2,), "The weights", "There are two inputs.")
    bias = number_of(given_bias, "The bias")
    for corner in reversed(CORNERS):
        total = float(weights @ np.array(corner)) + bias
        fires, should = total > 0, any(corner)
        if fires == should:
            continue
        text = f"For {corner[0]}, {corner[1]} the sum with the bias is {total:g}"
        if total == 0:
            raise Wrong(f"{text}, and a neuron fires only above 0.")
        if should:
            raise Wrong(f"{text}, so it stays silent. One input of 1 must be enough.")
        raise Wrong(f"{text}, so it fires without any input. What must the bias be?")


def exercise_2(answer: object) -> None:
    """XOR from a gate that is counted."""
    calls = 0

    def nand(first: int, second: int) -> int:
        nonlocal calls
        calls += 1
        return int(not (first and second))

    table = [call(answer, nand, *corner) for corner in CORNERS]
    values = array_of(table, (4,), "The outputs for the four pairs of inputs")
    known = {
        "That is OR: it fires where both inputs are 1 as well.": [0, 1, 1, 1],
        "That is XOR's opposite: one NAND more, or one less.": [1, 0, 0, 1],
        "That is AND.": [0, 0, 0, 1],
        "That is NAND itself.": [1, 1, 1, 0],
    }
    pairs = ", ".join(
        f"{a}{b} gives {value:g}" for (a, b), value in zip(CORNERS, values, strict=True)
    )
    require_equal(values, [0, 1, 1, 0], known, f"It should be 0, 1, 1, 0, but {pairs}.")
    if calls < 4 * len(CORNERS):
        raise Wrong(
            "The outputs are right, but they are not made of NAND alone: XOR takes at "
            f"least four of them, and yours asks {calls} for the four pairs together."
        )


def exercise_3(answer: object) -> None:
    """AND after two passes: weights [2] and a bias."""
    given_weights, given_bias = parts_of(answer, "weights bias")
    weights = array_of(given_weights, (2,), "The weights", "There are two inputs.")
    value = [*weights, number_of(given_bias, "The bias")]
    mistakes = {
        "That is after the first pass. Show it the four corners once more.": _learned(
            1
        ),
        "You moved the weights only. The bias moves as well, by target minus output.": (
            _learned(2, with_bias=False)
        ),
        "A sum of exactly 0 does not fire.": _learned(2, fires_at_zero=True),
        "The sign is the wrong way round: add target minus output.": _learned(
            2, sign=-1
        ),
    }
    require_equal(
        value,
        _learned(2),
        mistakes,
        "Write down eight lines: inputs, sum with the bias, output, target, and the "
        "new weights and bias. In the first pass only the last one changes anything.",
    )


def _learned(
    num_passes: int,
    *,
    with_bias: bool = True,
    fires_at_zero: bool = False,
    sign: int = 1,
) -> list[int]:
    """Both weights and the bias after so many passes over AND."""
    first, second, bias = 0, 0, 0
    for x, y in CORNERS * num_passes:
        total = first * x + second * y + bias
        fires = total >= 0 if fires_at_zero else total > 0
        error = sign * ((x and y) - fires)
        first, second = first + error * x, second + error * y
        bias += error * with_bias
    return [first, second, bias]
