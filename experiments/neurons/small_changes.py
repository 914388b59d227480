"""What a small change of weights and bias does to either kind of neuron."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.kit.run import Row
from experiments.neurons.random_neurons import normal_neurons, uniform_inputs
from jaxnets.neurons import sigmoid
from jaxnets.neurons.perceptron import Neuron, fire, step, weighted_sum

SIZES = tuple(10 ** (exponent / 4) for exponent in range(-8, 2))  # 0.01 to 1.8
SMALL = 0.2  # sizes up to this decide the order of the error
FACTORS = (1, 3, 10, 30, 100)


def measure(key: jax.Array, num_neurons: int, num_inputs: int) -> Row:
    """Changes of growing size, in random directions, to random neurons.

    Weights and bias are normal; the perceptrons' inputs are random bits, the sigmoid
    neurons' uniform in [0, 1]. A change of size s moves weights and bias together
    by a vector of length s.
    """
    shape = (num_neurons, num_inputs)
    neuron_key, change_key, bits_key, greys_key = jax.random.split(key, 4)
    neurons = normal_neurons(neuron_key, *shape)
    directions = normal_neurons(change_key, *shape)
    bits = uniform_inputs(bits_key, *shape) < 0.5
    greys = uniform_inputs(greys_key, *shape)
    drawn = (neurons, directions, bits, greys)
    changed = jax.jit(jax.vmap(_change, in_axes=(0, 0, 0, 0, None)))
    gap = jax.jit(jax.vmap(_gap_to_step, in_axes=(0, 0, None)))
    sizes = [
        {"size": size, **_summary(*map(np.asarray, changed(*drawn, np.float32(size))))}
        for size in SIZES
    ]
    small = np.log(
        [[r["size"], r["median_error"]] for r in sizes if r["size"] <= SMALL]
    )
    gaps = {n: np.asarray(gap(neurons, greys, np.float32(n))) for n in FACTORS}
    return {
        "neurons": num_neurons,
        "inputs": num_inputs,
        "sizes": sizes,
        "order_of_error": float(np.polyfit(small[:, 0], small[:, 1], 1)[0]),
        "approach": [
            {
                "factor": factor,
                "mean_gap": float(gap.mean()),
                "within_1_percent": float(np.mean(gap < 0.01)),
            }
            for factor, gap in gaps.items()
        ],
        "rounds_to_one_at": smallest_rounded_to_one(),
        "curves": jax.tree.map(lambda curve: curve.tolist(), jax.jit(_curves)()),
    }


def _change(
    neuron: Neuron,
    direction: Neuron,
    bits: jax.Array,
    greys: jax.Array,
    size: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Of the perceptron's output, of the sigmoid neuron's, and what is predicted."""
    length = jnp.sqrt(jnp.sum(direction.weights**2) + direction.bias**2)
    change = jax.tree.map(lambda value: size / length * value, direction)
    after = jax.tree.map(jnp.add, neuron, change)
    jumped = fire(after, bits) - fire(neuron, bits)
    actual = sigmoid.output(after, greys) - sigmoid.output(neuron, greys)
    return jumped, actual, sigmoid.predicted_change(neuron, greys, change)


def _summary(
    jumped: np.ndarray, actual: np.ndarray, predicted: np.ndarray
) -> dict[str, float]:
    error = np.abs(actual - predicted)
    return {
        "jumps": float(np.mean(jumped != 0)),
        "jump_size": float(np.abs(jumped).max()),
        "mean_change": float(np.abs(actual).mean()),
        "largest_change": float(np.abs(actual).max()),
        "median_error": float(np.median(error)),
        "largest_error": float(error.max()),
    }


def _gap_to_step(neuron: Neuron, inputs: jax.Array, factor: jax.Array) -> jax.Array:
    """How far the output is from the step, weights and bias times a factor."""
    scaled = jax.tree.map(lambda value: factor * value, neuron)
    output = sigmoid.output(scaled, inputs)
    return jnp.abs(output - step(weighted_sum(neuron, inputs)))


def _curves() -> dict[str, Any]:
    """For the figure: the output as one weight moves, and the approach to the step."""
    weight = jnp.linspace(-6, 6, 241, dtype=jnp.float32)
    one, no_bias = jnp.ones(1, jnp.float32), jnp.float32(0)
    by_weight = jax.vmap(lambda value: sigmoid.output(Neuron(value, no_bias), one))
    touched = Neuron(one, no_bias)  # by the tangent, at weight 1
    slope = sigmoid.predicted_change(touched, one, Neuron(one, no_bias))
    return {
        "weight": weight,
        "sigmoid": by_weight(weight[:, None]),
        "tangent": sigmoid.output(touched, one) + slope * (weight - 1),
        "approach": {str(n): by_weight(n * weight[:, None]) for n in FACTORS[:4]},
    }


def smallest_rounded_to_one() -> float | None:
    """The smallest sum below 40, to 0.01, with an output of exactly 1 in float32."""
    sums = jnp.arange(0, 40, 0.01, jnp.float32)
    is_one = np.asarray(jax.nn.sigmoid(sums)) == 1
    return float(sums[is_one.argmax()]) if is_one.any() else None
