"""Random neurons: what a small change does to them, and what their weights say."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiments.kit.run import Row
from experiments.neurons.nets import all_inputs
from jaxnets.neurons import sigmoid
from jaxnets.neurons.perceptron import Neuron, fire, weighted_sum
from jaxnets.types import Array

NEURONS, INPUTS = 1000, 10
SIZES = tuple(10 ** (exponent / 4) for exponent in range(-8, 2))  # 0.01 to 1.8
SMALL = 0.2  # sizes up to this decide the order of the error
FACTORS = (1, 3, 10, 30, 100)
DRAWN = 60  # neurons in the figure of importance
EQUAL = 1e-6  # probabilities closer than this are the same; they are float32 sums


def normal_neurons(key: jax.Array) -> Neuron:
    """Weights float32 [NEURONS, INPUTS] and bias [NEURONS], normal."""
    values = jax.random.normal(key, (NEURONS, INPUTS + 1), jnp.float32)
    return Neuron(values[:, :-1], values[:, -1])


def uniform_inputs(key: jax.Array) -> jax.Array:
    """float32 [NEURONS, INPUTS], uniform in [0, 1)."""
    return jax.random.uniform(key, (NEURONS, INPUTS), jnp.float32)


def small_changes(key: jax.Array) -> Row:
    """Changes of growing size, in random directions, to either kind of neuron.

    The perceptrons' inputs are random bits, the sigmoid neurons' uniform in [0, 1]. A
    change of size s moves weights and bias together by a vector of length s.
    """
    neuron_key, change_key, bits_key, greys_key = jax.random.split(key, 4)
    neurons, directions = normal_neurons(neuron_key), normal_neurons(change_key)
    bits, greys = uniform_inputs(bits_key) < 0.5, uniform_inputs(greys_key)
    sums = np.asarray(jax.jit(jax.vmap(weighted_sum))(neurons, greys))
    sizes, approach = [], []
    for size in SIZES:
        changed = _change(neurons, directions, bits, greys, np.float32(size))
        jumped, actual, predicted = map(np.asarray, changed)
        error = np.abs(actual - predicted)
        row = {
            "size": size,
            "jumps": np.mean(jumped != 0),
            "jump_size": np.abs(jumped).max(),
            "mean_change": np.abs(actual).mean(),
            "largest_change": np.abs(actual).max(),
            "median_error": np.median(error),
            "largest_error": error.max(),
        }
        sizes.append({name: float(value) for name, value in row.items()})
    for factor in FACTORS:  # of weights and bias, and so of the sums
        gaps = np.abs(jax.nn.sigmoid(factor * sums) - (sums > 0))
        near = {"mean_gap": gaps.mean(), "within_1_percent": np.mean(gaps < 0.01)}
        approach.append({"factor": factor, **{k: float(v) for k, v in near.items()}})
    small = [(r["size"], r["median_error"]) for r in sizes if r["size"] <= SMALL]
    log_size, log_error = np.log(small).T
    edges = jnp.arange(0, 40, 0.01, jnp.float32)
    is_one = np.asarray(jax.nn.sigmoid(edges)) == 1
    weight = np.linspace(-6, 6, 241, dtype=np.float32)  # of a neuron with input 1
    output, slope = jax.value_and_grad(jax.nn.sigmoid)(jnp.float32(1))
    curves = {  # for the figure: one weight moves; the approach to the step
        "weight": weight,
        "sigmoid": jax.nn.sigmoid(weight),
        "tangent": output + slope * (weight - 1),
        "approach": {str(n): jax.nn.sigmoid(n * weight) for n in FACTORS[:4]},
    }
    return {
        "neurons": NEURONS,
        "inputs": INPUTS,
        "sizes": sizes,
        "order_of_error": float(np.polyfit(log_size, log_error, 1)[0]),
        "approach": approach,
        "rounds_to_one_at": float(edges[is_one.argmax()]) if is_one.any() else None,
        "curves": jax.tree.map(lambda curve: curve.tolist(), curves),
    }


@jax.jit
@partial(jax.vmap, in_axes=(0, 0, 0, 0, None))
def _change(
    neuron: Neuron, direction: Neuron, bits: Array, greys: Array, size: Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Of the perceptron's output, of the sigmoid neuron's, and what is predicted."""
    length = jnp.sqrt(jnp.sum(direction.weights**2) + direction.bias**2)
    change = jax.tree.map(lambda value: size / length * value, direction)
    after = jax.tree.map(jnp.add, neuron, change)
    jumped = fire(after, bits) - fire(neuron, bits)
    actual = sigmoid.output(after, greys) - sigmoid.output(neuron, greys)
    return jumped, actual, sigmoid.predicted_change(neuron, greys, change)


def importance(key: jax.Array) -> Row:
    """`orders` for inputs equally often 1, and for those of uniform probabilities."""
    neuron_key, probability_key = jax.random.split(key)
    neurons, uniform = normal_neurons(neuron_key), uniform_inputs(probability_key)
    chances = {
        "equally often 1": jnp.full_like(uniform, 0.5),
        "some often 1, some rarely": uniform,
    }
    of_all = jax.jit(jax.vmap(influence))
    effects = {name: np.asarray(of_all(neurons, p)) for name, p in chances.items()}
    weights = np.asarray(neurons.weights)
    return {
        "neurons": NEURONS,
        "inputs": INPUTS,
        **{name: orders(weights, effect) for name, effect in effects.items()},
        "weights": weights[:DRAWN].tolist(),
        "influences": {name: e[:DRAWN].tolist() for name, e in effects.items()},
    }


def influence(neuron: Neuron, probability: Array) -> jax.Array:
    """How probable it is that drawing one input anew changes the output.

    It is Sobol's total index, but for a factor, of a neuron whose inputs are
    independent, each 1 with its `probability`, float32 [n]. Every input is tried, so
    it is exact. Returns float32 [n], 0 to 1/2.
    """
    num_inputs = neuron.weights.shape[0]
    inputs = all_inputs(num_inputs)
    rows, bits = np.arange(len(inputs)), 1 << np.arange(num_inputs)
    outputs = fire(neuron, inputs)
    decides = outputs[:, None] != outputs[rows[:, None] ^ bits[None, :]]
    of_value = jnp.where(inputs == 1, probability[None, :], 1 - probability[None, :])
    of_row = jnp.prod(of_value, axis=1, keepdims=True)
    return jnp.sum(of_row * (1 - of_value) * decides, axis=0)


def orders(weights: np.ndarray, effects: np.ndarray) -> dict[str, int]:
    """Pairs of inputs by whether the larger weight, in size, has the larger effect."""
    first, second = np.triu_indices(weights.shape[1], k=1)
    sizes = np.abs(weights)
    by_weight = sizes[:, first] - sizes[:, second]
    by_effect = effects[:, first] - effects[:, second]
    equal = np.abs(by_effect) <= EQUAL
    kept = ~equal & (np.sign(by_weight) == np.sign(by_effect))
    return {
        "pairs": equal.size,
        "kept": int(kept.sum()),
        "equal": int(equal.sum()),
        "reversed": int((~equal & ~kept).sum()),
    }
