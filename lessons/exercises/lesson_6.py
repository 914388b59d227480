"""Oracles of lesson 6: counted arrays, named arrays, and Adam in NumPy."""

import itertools

import numpy as np

from jaxnets.types import Dense
from lessons.kit.checks import Wrong, array_of, call, number_of, require_equal


def exercise_1(answer: object) -> None:
    """The number of parameters of any dense network."""
    for sizes in ((784, 1024, 10), (5, 3, 4, 2), (7, 2)):
        value = number_of(call(answer, sizes), f"The count for {sizes}")
        # Counted, not computed: the arrays of such a network.
        pairs = list(itertools.pairwise(sizes))
        kernels = sum(np.empty(pair).size for pair in pairs)
        biases = sum(np.empty(size).size for size in sizes[1:])
        mistakes = {
            "Each neuron has a bias, too.": kernels,
            "Inputs have no biases: the first size counts for the kernel only.": (
                kernels + sum(sizes)
            ),
            "That is the number of neurons; count the weights between.": sum(sizes),
            "The kernel between two layers has a weight for each pair of neurons.": (
                biases
            ),
            "That is right for the first two layers; count all of them.": (
                pairs[0][0] * pairs[0][1] + pairs[0][1]
            ),
            "One bias for each neuron, not one for each layer.": kernels + len(pairs),
        }
        text = f"For {sizes} you give {value:,.0f}. Draw the arrays of a small network."
        require_equal(value, kernels + biases, mistakes, text, tolerance=1e-9)


def exercise_2(answer: object) -> None:
    """From Keras's flat list to `Dense` layers."""
    rng = np.random.default_rng(0)
    sizes = ((5, 4), (4, 3), (3, 2))
    layers = [Dense(rng.normal(size=size), rng.normal(size=size[1])) for size in sizes]
    flat = [array for layer in layers for array in layer]
    result = call(answer, list(flat))
    if not isinstance(result, tuple | list):
        raise Wrong(f"It must return a tuple of Dense, not a {type(result).__name__}.")
    if len(result) != len(layers):
        raise Wrong(
            f"A list of {len(flat)} arrays has {len(layers)} layers, a kernel and a "
            f"bias each; you return {len(result)}."
        )
    for number, (own, layer) in enumerate(zip(result, layers, strict=True), start=1):
        if not isinstance(own, Dense):
            kind = type(own).__name__
            raise Wrong(f"Layer {number} must be Dense(kernel, bias), not a {kind}.")
        if np.shape(own.kernel) == layer.bias.shape and np.ndim(own.bias) == 2:
            raise Wrong(f"In layer {number} kernel and bias have changed places.")
        why = "Keras stores it as [inputs, neurons], as we do."
        kernel = array_of(own.kernel, layer.kernel.shape, f"Kernel {number}", why)
        bias = array_of(own.bias, layer.bias.shape, f"Bias {number}")
        text = f"Layer {number} has the right shapes, but not its own numbers."
        require_equal(kernel, layer.kernel, {}, text)
        require_equal(bias, layer.bias, {}, text)
    if not isinstance(result, tuple):
        raise Wrong("Right, but it is a list: parameters here are a tuple of layers.")


def exercise_3(answer: object) -> None:
    """A step of Adam in Keras's form."""
    # Slopes near epsilon, where the two forms of Adam differ.
    slope = np.array([1e-6, -2e-6, 3e-7])
    w, m, v = (
        np.full(3, 0.5),
        np.array([2e-7, 1e-7, -1e-7]),
        np.array([1e-14, 4e-14, 0]),
    )
    t, rate, epsilon = 3, 0.001, 1e-7
    result = call(answer, w, slope, m, v, t)
    if not isinstance(result, tuple | list) or len(result) != 3:
        raise Wrong("It must return three arrays: w, m and v.")
    names = ("w", "m", "v")
    values = [
        array_of(value, (3,), f"For arrays of 3 numbers the new {name}")
        for name, value in zip(names, result, strict=True)
    ]
    new_m, new_v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope**2
    require_equal(
        values[1],
        new_m,
        {
            "The two parts of m are the wrong way round: most of the old m stays.": (
                0.1 * m + 0.9 * slope
            ),
            "m is returned as it was.": m,
        },
        "m is not 0.9 m + 0.1 slope.",
    )
    require_equal(
        values[2],
        new_v,
        {
            "v is a mean of squares: square the slope.": 0.999 * v + 0.001 * slope,
            "v is returned as it was.": v,
        },
        "v is not 0.999 v + 0.001 slope^2.",
    )
    root, powers = np.sqrt(new_v), (1 - 0.9**t, 1 - 0.999**t)
    corrected = rate * np.sqrt(powers[1]) / powers[0]
    mistakes = {
        "The factor with the powers of beta is missing.": rate
        * new_m
        / (root + epsilon),
        "That is the paper's form: there epsilon is added after the correction.": (
            rate * new_m / powers[0] / (np.sqrt(new_v / powers[1]) + epsilon)
        ),
        "w goes against m: subtract.": -corrected * new_m / (root + epsilon),
        "Divide by the square root of v.": corrected * new_m / (new_v + epsilon),
        "Use the new m and v for the step.": corrected * m / (np.sqrt(v) + epsilon),
        "Epsilon is added to the root, not under it.": (
            corrected * new_m / np.sqrt(new_v + epsilon)
        ),
        "The first step has t = 1 already: the powers are beta^t.": (
            rate * np.sqrt(1 - 0.999 ** (t + 1)) / (1 - 0.9 ** (t + 1))
        )
        * new_m
        / (root + epsilon),
        "Epsilon is missing; it matters where slopes are tiny.": corrected
        * new_m
        / root,
    }
    text = "m and v are right; the step of w is not. Mind the order of operations."
    require_equal(
        w - values[0], corrected * new_m / (root + epsilon), mistakes, text, 1e-3
    )
