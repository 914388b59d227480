"""Oracles of lesson 4: NumPy, a known number, and the mistakes that were made."""

import math

import numpy as np

from experiments.bugs.programs import MISTAKES
from lessons.kit.checks import Wrong, array_of, call, number_of, require_equal

# The broken programs of the lesson. Reading on spoils exercise 4.3.
MYSTERIES = {
    "A": MISTAKES["one_hot_rows"],
    "B": MISTAKES["labels_apart"],
    "C": MISTAKES["bytes"],
}
HINTS = {
    "A": "A: its loss came down and its answers are spread like those of a network "
    "that has learned. So the training is healthy: what is wrong comes after it.",
    "B": "B: its loss stays at that of a guess, though messages still reach a part of "
    "its hidden neurons. "
    "It learns all that there is to learn. What can be wrong with its data?",
    "C": "C: nearly all hidden neurons are flat. What makes the sums that they see so "
    "large?",
}


def exercise_1(answer: object) -> None:
    """A step of SGD with momentum, as a pure function of trees."""
    rng = np.random.default_rng(0)

    def tree() -> dict[str, np.ndarray]:
        return {"kernel": rng.normal(size=(2, 3)), "bias": rng.normal(size=3)}

    params, velocity, slopes = tree(), tree(), tree()
    kept = [
        {name: array.copy() for name, array in t.items()} for t in (params, velocity)
    ]
    result = call(answer, params, velocity, slopes, 0.1, 0.9)
    for given, copy in zip((params, velocity), kept, strict=True):
        if any(not np.array_equal(given[name], copy[name]) for name in copy):
            raise Wrong(
                "It changes the trees that it was given. A pure function makes new "
                "arrays: `a + b`, never `a += b`."
            )
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise Wrong(
            "It must return two trees: the parameters, and the velocity. "
            "`jax.tree.map` makes one; call it once for each."
        )
    for tree_of_answer in result:
        if not isinstance(tree_of_answer, dict) or set(tree_of_answer) != set(params):
            raise Wrong(
                "Parameters and velocity must have the structure of the parameters: "
                "`jax.tree.map` of one function over the trees gives that."
            )
    for name in params:
        w, v, slope = params[name], velocity[name], slopes[name]
        what = f"For a {name} of that shape, the new"
        values = [
            array_of(result[0][name], w.shape, f"{what} parameter"),
            array_of(result[1][name], w.shape, f"{what} velocity"),
        ]
        new = 0.9 * v - 0.1 * slope
        mistakes = {
            "The weights move by the new velocity, not by the old one.": [w + v, new],
            "Against the slope: the velocity loses rate times slope.": [
                w + 0.9 * v + 0.1 * slope,
                0.9 * v + 0.1 * slope,
            ],
            "The velocity is added to the weights; its sign is in it already.": [
                w - new,
                new,
            ],
            "The slope is multiplied by the rate.": [
                w + 0.9 * v - slope,
                0.9 * v - slope,
            ],
            "That is SGD without momentum: a part of the old velocity stays.": [
                w - 0.1 * slope,
                -0.1 * slope,
            ],
            "The parameters come first, then the velocity.": [new, w + new],
            "The old velocity is to be returned renewed.": [w + new, v],
        }
        text = "First v = momentum * v - rate * slope, then w + v with this new v."
        require_equal(values, [w + new, new], mistakes, text)


def exercise_2(answer: object) -> None:
    """The number of steps with a short last batch."""
    value = number_of(answer)
    full, short, epochs = 50_000 // 64, math.ceil(50_000 / 64), 32
    mistakes = {
        "You left out the short last batch of every epoch.": full * epochs,
        "There is no part of a step: the last batch of an epoch is a step.": (
            50_000 / 64 * epochs
        ),
        "That is one epoch.": short,
        "That is one epoch, without its short last batch.": full,
        "The short batch comes in every epoch, not once.": full * epochs + 1,
    }
    text = "How many batches has an epoch, the last included? Then times the epochs."
    require_equal(value, short * epochs, mistakes, text, tolerance=1e-6)


def exercise_3(answer: object) -> None:
    """The names of the mistakes that the three programs make."""
    if not isinstance(answer, dict) or set(answer) != set(MYSTERIES):
        raise Wrong(f"The answer is a dictionary of the programs {list(MYSTERIES)}.")
    names = answer
    unknown = [
        name
        for name in names.values()
        if not isinstance(name, str) or name not in MISTAKES
    ]
    if unknown:
        raise Wrong(f"{unknown[0]!r} is not one of {', '.join(MISTAKES)}.")
    wrong = [
        HINTS[letter]
        for letter, program in MYSTERIES.items()
        if names.get(letter) != program.name
    ]
    if wrong:
        raise Wrong(" ".join(wrong))
