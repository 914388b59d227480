"""Tells a right answer to an exercise from a wrong one, and gives a hint.

The exercises themselves are in `lessons.exercises`: one function each, which raises
`Wrong` with a hint, `Open` where there is no answer yet, and returns of a right one.
"""

import importlib
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

TOLERANCE = 1e-4  # of the largest value: answers may be float32, and rounded by hand


class Open(Exception):
    """The answer still holds `...`."""


class Wrong(Exception):
    """The answer is wrong; the message is a hint."""


class Verdict(NamedTuple):
    """What is to be said of an answer."""

    right: bool | None  # None: there is no answer yet
    text: str


def check(number: str, answer: object) -> None:
    """Print what is to be said of the answer to an exercise, such as "2.1"."""
    print(judge(number, answer).text)


def judge(number: str, answer: object) -> Verdict:
    """Whether the answer to an exercise is right; never raises because of it."""
    lesson, _, place = number.partition(".")
    module = importlib.import_module(f"lessons.exercises.lesson_{lesson}")
    try:
        require_answered(answer)
        getattr(module, f"exercise_{place}")(answer)
    except Open:
        text = "is still open. Put your answer in the place of `...` and run it again."
        return Verdict(None, f"Exercise {number} {text}")
    except Wrong as hint:
        return Verdict(False, f"Exercise {number}: not yet. {hint}")
    return Verdict(True, f"Exercise {number}: right.")


def require_answered(answer: object) -> None:
    """Raise Open where the answer, or a part of it, is `...`."""
    if answer is ...:
        raise Open
    if isinstance(answer, dict):
        answer = list(answer.values())
    if isinstance(answer, list | tuple):
        for part in answer:
            require_answered(part)


def call(answer: object, *args: object) -> Any:
    """What the answer, a function, returns; raises Open, or Wrong where it fails.

    It is given copies of arrays, so that it may change them in place.
    """
    if not callable(answer):
        raise Wrong(f"The answer must be a function, not {_kind(answer)}.")
    try:
        with np.errstate(all="ignore"):  # infinite and undefined values are judged
            result = answer(*map(_own, args))
    except Exception as error:
        if "ellipsis" in str(error):  # as of `2 * ...`
            raise Open from error
        message = textwrap.shorten(str(error) or "no message", 250)
        text = f"Your function raises {type(error).__name__}: {message}"
        shapes = [str(list(arg.shape)) for arg in args if hasattr(arg, "shape")]
        if shapes:
            text += f" (It was given arrays of the shapes {', '.join(shapes)}.)"
        raise Wrong(text) from error
    if result is None:
        raise Wrong("Your function returns nothing: it must end with `return ...`.")
    require_answered(result)
    return result


def _own(argument: object) -> object:
    return argument.copy() if isinstance(argument, np.ndarray) else argument


def array_of(
    value: object, shape: tuple[int, ...], what: str, why: str = ""
) -> np.ndarray:
    """The value as float64 of this shape; Wrong, with the right shape, otherwise.

    Args:
      value: whatever the student gave.
      shape: `()` for a number.
      what: the subject of the hint, such as "The gradient".
      why: an end of the hint.
    """
    wanted = f"numbers of the shape {list(shape)}" if shape else "one number"
    try:
        array = np.asarray(value)
        if array.dtype.kind in "OUSc":  # such as of None, or of "1"
            raise TypeError
        array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        given = "something else" if isinstance(value, list | tuple) else _kind(value)
        raise Wrong(f"{what} must be {wanted}, not {given}. {why}".rstrip()) from error
    if array.shape != shape:
        given = f"{'' if shape else 'an array of the shape '}{list(array.shape)}"
        raise Wrong(f"{what} must be {wanted}, not {given}. {why}".rstrip())
    return array


def parts_of(answer: object, names: str) -> tuple:
    """The parts of an answer, such as "weights bias"; Wrong where it has others."""
    count = len(names.split())
    if not isinstance(answer, tuple | list) or len(answer) != count:
        raise Wrong(f"The answer has {count} parts: {', '.join(names.split())}.")
    return tuple(answer)


def number_of(value: object, what: str = "The answer") -> float:
    """The value as a number; Wrong otherwise."""
    return float(array_of(value, (), what))


def require_equal(
    value: ArrayLike,
    expected: ArrayLike,
    mistakes: Mapping[str, ArrayLike],
    otherwise: str,
    tolerance: float = TOLERANCE,
) -> None:
    """Raise Wrong unless the value is the expected one, but for rounding.

    Args:
      value, expected: of the same shape.
      mistakes: from a hint to the value that the mistake it speaks of would give.
      otherwise: the hint for every other value.
      tolerance: relative to the largest expected value.
    """
    if _is_close(value, expected, tolerance):
        return
    for hint, wrong in mistakes.items():
        if _is_close(value, wrong, tolerance):
            raise Wrong(hint)
    raise Wrong(otherwise)


def _is_close(value: ArrayLike, expected: ArrayLike, tolerance: float) -> bool:
    value, expected = np.asarray(value), np.asarray(expected)
    if value.shape != expected.shape:
        return False
    largest = float(np.max(np.abs(expected), initial=0.0))
    return bool(np.all(np.abs(value - expected) <= tolerance * max(largest, 1e-12)))


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def slopes_of(
    function: Callable[[np.ndarray], float], at: np.ndarray, step: float = 1e-6
) -> np.ndarray:
    """The slopes of a function of a float64 array, by central differences."""
    slopes = np.empty_like(at)
    for place in np.ndindex(at.shape):
        above, below = at.copy(), at.copy()
        above[place] += step
        below[place] -= step
        slopes[place] = (function(above) - function(below)) / (2 * step)
    return slopes
