"""What a small change of weights and bias does to either kind of neuron."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.neurons import sigmoid
from jaxnets.neurons.perceptron import Neuron, fire, step, weighted_sum

SIZES = tuple(10 ** (exponent / 4) for exponent in range(-8, 2))  # 0.01 to 1.8
SMALL = 0.2  # sizes up to this decide the order of the error
FACTORS = (1, 3, 10, 30, 100)


def measure(key: jax.Array, num_neurons: int, num_inputs: int) -> dict[str, Any]:
    """Changes of growing size, in random directions, to random neurons.

    Weights and bias are normal; the perceptrons' inputs are random bits, the sigmoid
    neurons' uniform in [0, 1]. A change of size s moves weights and bias together
    by a vector of length s.
    """
    changed = jax.jit(_all_changes, static_argnums=(1, 2))
    measured = changed(key, num_neurons, num_inputs)
    jumped, actual, predicted, gaps = map(np.asarray, measured)
    error = np.median(np.abs(actual - predicted), axis=1)
    small = np.array(SIZES) <= SMALL
    order, _ = np.polyfit(np.log(np.array(SIZES)[small]), np.log(error[small]), 1)
    rows = [
        {
            "size": size,
            "jumps": float(np.mean(jumped[place] != 0)),
            "jump_size": float(np.abs(jumped[place]).max()),
            "mean_change": float(np.abs(actual[place]).mean()),
            "largest_change": float(np.abs(actual[place]).max()),
            "median_error": float(error[place]),
            "largest_error": float(np.abs(actual[place] - predicted[place]).max()),
        }
        for place, size in enumerate(SIZES)
    ]
    return {
        "neurons": num_neurons,
        "inputs": num_inputs,
        "sizes": rows,
        "order_of_error": float(order),
        "approach": [_approach(*pair) for pair in zip(FACTORS, gaps, strict=True)],
        "rounds_to_one_at": sigmoid.smallest_rounded_to_one(),
        "curves": jax.tree.map(_as_list, jax.jit(curves)()),
    }


def _all_changes(
    key: jax.Array, num_neurons: int, num_inputs: int
) -> tuple[jax.Array, ...]:
    """Three kinds of change, [sizes, neurons], and gaps to the step.

    The perceptron's change, the sigmoid neuron's, the predicted one; and how far the
    sigmoid neuron is from the step with weights times a factor, [factors, neurons].
    """
    keys = jax.random.split(key, 4)
    neurons = _normal(keys[0], num_neurons, num_inputs)
    changes = _normal(keys[1], num_neurons, num_inputs)
    length = jnp.sqrt(jnp.sum(changes.weights**2, axis=1) + changes.bias**2)
    changes = Neuron(changes.weights / length[:, None], changes.bias / length)
    bits = jax.random.bernoulli(keys[2], shape=(num_neurons, num_inputs))
    greys = jax.random.uniform(keys[3], (num_neurons, num_inputs))
    over_neurons = jax.vmap(_one_change, in_axes=(0, 0, 0, 0, None))
    over_sizes = jax.vmap(over_neurons, in_axes=(None, None, None, None, 0))
    gap_of_neurons = jax.vmap(_gap, in_axes=(0, 0, None))
    gaps = jax.vmap(gap_of_neurons, in_axes=(None, None, 0))
    return (
        *over_sizes(neurons, changes, bits, greys, jnp.asarray(SIZES)),
        gaps(neurons, greys, jnp.asarray(FACTORS)),
    )


def _normal(key: jax.Array, num_neurons: int, num_inputs: int) -> Neuron:
    weight_key, bias_key = jax.random.split(key)
    weights = jax.random.normal(weight_key, (num_neurons, num_inputs))
    return Neuron(weights, jax.random.normal(bias_key, (num_neurons,)))


def _one_change(
    neuron: Neuron, change: Neuron, bits: jax.Array, greys: jax.Array, size: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    after = sigmoid.moved(neuron, change, size)
    jumped = fire(after, bits) - fire(neuron, bits)
    actual = sigmoid.output(after, greys) - sigmoid.output(neuron, greys)
    return jumped, actual, size * sigmoid.predicted_change(neuron, greys, change)


def _gap(neuron: Neuron, inputs: jax.Array, factor: jax.Array) -> jax.Array:
    output = sigmoid.output(sigmoid.scaled(neuron, factor), inputs)
    return jnp.abs(output - step(weighted_sum(neuron, inputs)))


def _approach(factor: int, gaps: np.ndarray) -> dict[str, float]:
    within = float(np.mean(gaps < 0.01))
    return {
        "factor": factor,
        "mean_gap": float(gaps.mean()),
        "within_1_percent": within,
    }


def curves() -> dict[str, Any]:
    """For the figure: the output as one weight moves, and the approach to the step."""
    weight = jnp.linspace(-6, 6, 241)
    one_input = jnp.ones(1)
    start = Neuron(jnp.ones(1), jnp.float32(0))  # the tangent touches at weight 1
    by_weight = jax.vmap(lambda w: sigmoid.output(Neuron(w, start.bias), one_input))
    unit = Neuron(jnp.ones(1), jnp.float32(0))
    slope = sigmoid.predicted_change(start, one_input, unit)
    sums = weight[:, None]
    return {
        "weight": weight,
        "sigmoid": by_weight(sums),
        "tangent": sigmoid.output(start, one_input) + slope * (weight - 1),
        "approach": {str(factor): by_weight(factor * sums) for factor in FACTORS[:4]},
    }


def _as_list(values: jax.Array) -> list[float]:
    return np.asarray(values).tolist()
