"""The exercises: every solution is accepted, every typical mistake gets a hint."""

import importlib
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.types import Dense
from lessons.kit import check
from lessons.kit.checks import judge

SOLUTIONS: dict = {}
for lesson in range(1, 8):
    SOLUTIONS |= importlib.import_module(f"lessons.solutions.lesson_{lesson}").SOLUTIONS


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def sigmoid_slope(z):
    return sigmoid(z) * (1 - sigmoid(z))


def softmax(logits):
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


def one_hot(labels, num_classes):
    return np.eye(num_classes)[labels]


def tree_map(function, *trees):
    return {name: function(*(tree[name] for tree in trees)) for name in trees[0]}


def momentum(velocity_of, params_of):
    """A momentum step from the rules of one velocity, and of one parameter."""

    def step(params, velocity, slopes, rate, mu):
        new = tree_map(lambda v, g: velocity_of(v, g, rate, mu), velocity, slopes)
        return tree_map(params_of, params, velocity, new), new

    return step


def in_place(params, velocity, slopes, rate, mu):
    for name in params:
        velocity[name] *= mu
        velocity[name] -= rate * slopes[name]
        params[name] += velocity[name]
    return params, velocity


def adam(*, correct=True, outside=True, squared=True, sign=-1, root=np.sqrt, late=0):
    def step(w, slope, m, v, t):
        rate, t = 0.001, t + late
        m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope ** (1 + squared)
        factors = (1 - 0.9**t, 1 - 0.999**t) if correct else (1, 1)
        if outside:
            change = rate * np.sqrt(factors[1]) / factors[0] * m / (root(v) + 1e-7)
        else:
            change = rate * m / factors[0] / (root(v / factors[1]) + 1e-7)
        return w + sign * change, m, v

    return step


def interval(quantile, spread, *, freedom=1):
    from scipy.special import stdtrit

    def ends(values):
        half = stdtrit(len(values) - freedom, quantile) * spread(values)
        return np.mean(values) - half, np.mean(values) + half

    return ends


def right_answers(apply, networks, images, labels):
    """bool [networks, images]."""
    outputs = jax.vmap(apply, in_axes=(0, None))(networks, images)
    return jnp.argmax(outputs, axis=2) == labels[None, :]


# Typical wrong answers, each with a word of the hint that it must get.
WRONG = {
    "1.1": [
        (([1, 1], -1), "exactly|only above 0"),  # a sum at the threshold
        (([1, 1], -1.5), "must be enough"),  # AND
        (([1, 1], 0.5), "without any input"),
        (([1, 1, 1], -0.5), r"\[2\]"),
    ],
    "1.2": [
        (lambda nand, a, b: nand(nand(a, a), nand(b, b)), "OR"),
        (lambda nand, a, b: nand(a, b), "NAND itself"),
        (lambda nand, a, b: int(a != b), "not made of NAND"),
        (lambda nand, a, b: None, "returns nothing"),
        (lambda nand, a, b: nand(a), "raises TypeError.*second"),
        (
            lambda nand, a, b: nand(nand(a, b), nand(nand(a, a), nand(b, b))),
            "opposite",
        ),
    ],
    "1.3": [
        (([1, 1], 1), "first pass"),
        (([1, 1], 0), "bias"),
        (([1, 1], -1), "eight lines"),
        (([2, 1, 0], 0), r"\[2\]"),
    ],
    "2.1": [
        (np.log(99), "z that is needed"),
        (2 * np.log(100), "1/99"),
        (2 * np.log10(99), "natural"),
        ([9.19], r"one number, not an array of the shape \[1\]"),
        ("9.19", "one number, not a str"),
    ],
    "2.2": [
        (sigmoid, "sigma itself"),
        (lambda z: sigmoid(z) * (1 + sigmoid(z)), "sign"),
        (lambda z: z * (1 - z), "where you have z"),
        (lambda z: 1 - sigmoid(z), "factor"),
        (lambda z: float(sigmoid(z[0])), r"\[5\]"),
    ],
    "2.3": [
        (lambda w, b, x, wanted: wanted, "itself"),
        (
            lambda w, b, x, wanted: wanted * sigmoid_slope(w @ x + b),
            "Divide",
        ),
        (lambda w, b, x, wanted: wanted / sigmoid(w @ x + b), "its slope"),
        (
            lambda w, b, x, wanted: wanted / sigmoid_slope(b),
            "not the bias",
        ),
        (lambda w, b, x, wanted: 2 * wanted, "moves the output"),
        (
            lambda w, b, x, wanted: b + wanted / sigmoid_slope(w @ x + b),
            "new bias",
        ),
        (lambda w, b, x, wanted: wanted / sigmoid_slope(w @ x), "belongs to it"),
    ],
    "3.1": [
        (0.6, "other way"),
        (30, "1/2"),
        (6, "ten outputs"),
        (3, "multiple"),
        (5, "3 before"),
    ],
    "3.2": [
        (lambda d, k, a: (d @ k.T) * a * (1 - a), "slope of sigma"),
        (lambda d, k, a: d @ k.T, "missing"),
        (lambda d, k, a: (d @ k) * (1 - a**2), r"raises.*\[4, 5\], \[3, 5\], \[4, 3\]"),
        (lambda d, k, a: (d @ k.T) * (1 - a) ** 2, "Square a alone"),
        (lambda d, k, a: (k @ d.T) * (1 - a.T**2), r"\[4, 3\]"),
    ],
    "3.3": [
        (lambda a, d, k, decay: a.T @ d + decay * k, "mean"),
        (lambda a, d, k, decay: a.T @ d / len(a), "penalty is missing"),
        (lambda a, d, k, decay: a.T @ d / len(a) + 2 * decay * k, "it is w"),
        (lambda a, d, k, decay: (a.T @ d / len(a)).T, r"\[3, 2\]"),
        (lambda a, d, k, decay: a.T @ d / len(a) + decay * k**2, "no square"),
        (lambda a, d, k, decay: a.T @ d / len(a) + decay / 2 * k**2, "penalty itself"),
    ],
    "4.1": [
        (in_place, "changes the trees"),
        (
            momentum(
                lambda v, g, rate, mu: mu * v + rate * g, lambda w, v, new: w + new
            ),
            "Against",
        ),
        (
            momentum(lambda v, g, rate, mu: mu * v - rate * g, lambda w, v, new: w + v),
            "new velocity",
        ),
        (
            momentum(lambda v, g, rate, mu: -rate * g, lambda w, v, new: w + new),
            "without momentum",
        ),
        (lambda params, *_: params, "two trees.*call it once for each"),
        (lambda params, velocity, *_: (1.0, velocity), "structure"),
    ],
    "4.2": [
        (24_992, "short last batch"),
        (25_000, "no part"),
        (782, "one epoch"),
    ],
    "4.3": [
        ({"A": "used_up", "B": "labels_apart", "C": "bytes"}, "A: "),
        ({"A": "one_hot_rows", "B": "bytes", "C": "labels_apart"}, "B: .*C: "),
        ({"A": "one_hot_rows", "B": "labels_apart", "C": "byte"}, "'byte' is not one"),
        ({"A": ["bytes"], "B": "bytes", "C": "bytes"}, "is not one"),
    ],
    "5.1": [
        (softmax, "not a number"),
        (lambda z: np.exp(z) / np.exp(z).sum(axis=0), "column"),
        (lambda z: np.exp(z - z.max()) / np.exp(z - z.max()).sum(), "All numbers"),
        (
            lambda z: np.exp(z - z.max()) / np.exp(z - z.max()).sum(1, keepdims=True),
            "not a number|changes it",
        ),
        (lambda z: softmax(z)[0], r"\[3, 4\]"),
    ],
    "5.2": [
        (lambda p, y: p - one_hot(y, 5), "divide"),
        (lambda p, y: (one_hot(y, 5) - p) / len(y), "sign"),
        (lambda p, y: p / len(y), "label's own"),
        (lambda p, y: (p - y[:, None]) / len(y), "Compare"),
        (lambda p, y: (p[np.arange(4), y] - 1) / 4, r"\[4, 5\]"),
    ],
    "5.3": [
        (lambda delta, z: delta * np.maximum(z, 0), "slope, 1 or 0"),
        (lambda delta, z: delta, "silent"),
        (lambda delta, z: np.maximum(delta, 0), "z that decides"),
        (lambda delta, z: delta * (z < 0), "other half"),
    ],
    "6.1": [
        (lambda sizes: sum(a * b for a, b in itertools.pairwise(sizes)), "bias"),
        (
            lambda sizes: sum(a * b for a, b in itertools.pairwise(sizes)) + sum(sizes),
            "Inputs",
        ),
        (sum, "number of neurons"),
        (lambda sizes: sizes[0] * sizes[1] + sizes[1], "all of them"),
    ],
    "6.2": [
        (lambda ws: tuple(map(Dense, ws[1::2], ws[::2])), "changed places"),
        (lambda ws: tuple(zip(ws[::2], ws[1::2], strict=True)), "not a tuple"),
        (
            lambda ws: tuple(
                Dense(k.T, b) for k, b in zip(ws[::2], ws[1::2], strict=False)
            ),
            r"\[5, 4\]",
        ),
        (lambda ws: tuple(Dense(w, w) for w in ws), "you return 6"),
        (lambda ws: list(map(Dense, ws[::2], ws[1::2])), "it is a list"),
    ],
    "6.3": [
        (adam(correct=False), "powers of beta"),
        (adam(outside=False), "paper's form"),
        (adam(squared=False), "square the slope"),
        (adam(sign=1), "subtract"),
        (adam(root=lambda v: v), "square root"),
        (adam(root=lambda v: np.sqrt(v + 1e-7) - 1e-7), "not under it"),
        (adam(late=1), "t = 1 already"),
    ],
    "7.1": [
        (right_answers, r"\[3\], not \[3, 7\].*mean over the images"),
        (lambda *a: jnp.mean(right_answers(*a)), r"\[3\].*over the networks"),
        (lambda *a: jnp.mean(right_answers(*a), axis=0), "other axis"),
        (lambda *a: jnp.sum(right_answers(*a), axis=1), "counts"),
        (
            lambda apply, networks, images, labels: apply(networks, images),
            "one network's",
        ),
    ],
    "7.2": [
        (interval(0.975, lambda x: np.std(x) / np.sqrt(len(x))), "ddof=1"),
        (interval(0.975, lambda x: np.std(x, ddof=1)), "single seeds"),
        (
            interval(0.95, lambda x: np.std(x, ddof=1) / np.sqrt(len(x))),
            "97.5 %",
        ),
        (
            lambda x: (
                np.mean(x) - 1.96 * np.std(x, ddof=1) / np.sqrt(len(x)),
                np.mean(x) + 1.96 * np.std(x, ddof=1) / np.sqrt(len(x)),
            ),
            "1.96",
        ),
        (np.mean, "two numbers"),
    ],
    "7.3": [
        (lambda validation, test: np.mean(test.max(axis=0) - test[-1]), "last epoch"),
        (
            lambda validation, test: np.mean(test.max(axis=0) - validation.max(axis=0)),
            "not the validation",
        ),
        (
            lambda validation, test: np.mean(
                test.max(axis=0) - test[np.argmax(validation.mean(axis=1))]
            ),
            "one for all",
        ),
        (lambda validation, test: test.max(axis=0), "one number"),
        (
            lambda validation, test: np.mean(
                test.max(axis=0) - test[np.argmax(validation, axis=0)]
            ),
            "takes whole rows",
        ),
    ],
}
NAMES = [f"{lesson}.{place}" for lesson in range(1, 8) for place in range(1, 4)]
MISTAKES = [
    pytest.param(number, answer, hint, id=f"{number}-{place}")
    for number, answers in WRONG.items()
    for place, (answer, hint) in enumerate(answers)
]


def test_every_exercise_has_a_solution_and_two_mistakes_or_more():
    assert list(SOLUTIONS) == list(WRONG) == NAMES  # 21
    assert all(len(answers) >= 2 for answers in WRONG.values())


@pytest.mark.parametrize("number", NAMES)
def test_the_solution_is_accepted(number, capsys):
    assert judge(number, SOLUTIONS[number]).right is True
    check(number, SOLUTIONS[number])
    assert capsys.readouterr().out == f"Exercise {number}: right.\n"


def test_an_answer_may_change_what_it_is_given():
    def slopes(before, delta, kernel, decay):
        delta /= len(before)
        return before.T @ delta + decay * kernel

    def shares(logits):
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        return logits

    for number, answer in (("3.3", slopes), ("5.1", shares)):
        verdict = judge(number, answer)
        assert verdict.right is True, verdict.text


@pytest.mark.parametrize(("number", "answer", "hint"), MISTAKES)
def test_a_typical_mistake_gets_its_hint(number, answer, hint):
    verdict = judge(number, answer)
    assert verdict.right is False
    assert verdict.text.startswith(f"Exercise {number}: not yet. ")
    assert re.search(hint, verdict.text, re.DOTALL), verdict.text


@pytest.mark.parametrize("number", NAMES)
def test_an_open_exercise_says_so(number, capsys):
    def same(answer):
        """The answer with `...` in the place of every leaf."""
        return jax.tree.map(lambda _: ..., answer)

    solution = SOLUTIONS[number]
    holes = [...]
    if callable(solution):
        holes += [lambda *args: ..., lambda *args: (..., ...), lambda *args: 2 * ...]
    else:
        holes.append(same(solution))
    for hole in holes:
        assert judge(number, hole).right is None, number
    check(number, ...)
    assert "still open" in capsys.readouterr().out


@pytest.mark.parametrize("number", NAMES)
def test_nonsense_is_an_answer_too(number):
    def fails(*args):
        raise KeyError("no such thing")

    for answer in ("text", None, 7.25, fails, lambda: None, lambda *args: "text"):
        verdict = judge(number, answer)
        assert verdict.right is False, (number, answer)
        assert verdict.text
