"""What a perceptron's weights say of the importance of its inputs."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.kit.run import Row
from experiments.neurons.logic import all_inputs
from experiments.neurons.random_neurons import normal_neurons, uniform_inputs
from jaxnets.neurons.perceptron import Neuron, fire
from jaxnets.types import Array

DRAWN = 60  # neurons in the figure
EQUAL = 1e-6  # probabilities closer than this are the same; they are float32 sums


def influence(neuron: Neuron, probability: Array) -> jax.Array:
    """How probable it is that drawing one input anew changes the output.

    It is Sobol's total index, but for a factor, of a neuron whose inputs are
    independent; every input is tried, so it is exact.

    Args:
      neuron: a perceptron of n inputs, 20 at most.
      probability: float32 [n], of each input to be 1.

    Returns:
      float32 [n], 0 to 1/2.
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
    """Pairs of inputs by whether the larger weight has the larger effect.

    Args:
      weights, effects: float32 [neurons, inputs]; a weight counts by its size.
    """
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


def measure(key: jax.Array, num_neurons: int, num_inputs: int) -> Row:
    """`orders` of random perceptrons, for inputs equally often 1 and for others.

    Weights and bias are normal; the other inputs' probabilities are uniform.
    """
    neuron_key, probability_key = jax.random.split(key)
    neurons = normal_neurons(neuron_key, num_neurons, num_inputs)
    uniform = np.asarray(uniform_inputs(probability_key, num_neurons, num_inputs))
    weights = np.asarray(neurons.weights)
    chances = {
        "equally often 1": np.full_like(uniform, 0.5),
        "some often 1, some rarely": uniform,
    }
    of_all = jax.jit(jax.vmap(influence))
    results: dict[str, object] = {"neurons": num_neurons, "inputs": num_inputs}
    drawn = {}
    for name, probability in chances.items():
        effects = np.asarray(of_all(neurons, probability))
        results[name] = orders(weights, effects)
        drawn[name] = effects[:DRAWN].tolist()
    return {**results, "weights": weights[:DRAWN].tolist(), "influences": drawn}
