"""Perceptrons as logic, checked on every input; and gates learned from examples."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.neurons.convergence import learn, make_examples
from jaxnets.neurons import gates
from jaxnets.neurons.learning import neurons_by_pass
from jaxnets.neurons.perceptron import all_inputs

TRUTH: dict[str, Callable[[int, int], int]] = {  # Python's own operators
    "NAND": lambda a, b: 1 - (a & b),
    "AND": lambda a, b: a & b,
    "OR": lambda a, b: a | b,
    "NOR": lambda a, b: 1 - (a | b),
    "XOR": lambda a, b: a ^ b,
}
BUILT = {
    "NAND": gates.nand,
    "AND": gates.and_gate,
    "OR": gates.or_gate,
    "NOR": gates.nor_gate,
    "XOR": gates.xor_gate,
}


def check(num_bits: int) -> dict[str, Any]:
    """Every gate and adder on every input, against Python's integers.

    Returns:
      For each circuit the number of `inputs` and how many answers are `right`.
    """
    first, second = all_inputs(2).T
    results = {}
    for name, gate in BUILT.items():
        truth = [
            TRUTH[name](a, b)
            for a, b in zip(first.tolist(), second.tolist(), strict=True)
        ]
        results[name] = _score(gate(first, second), truth)
    half = jnp.stack(gates.half_adder(first, second))
    results["half adder"] = _score(gates.from_bits(half), first + second)
    bits = all_inputs(3).T
    full = jnp.stack(gates.full_adder(*bits))
    results["full adder"] = _score(gates.from_bits(full), bits.sum(axis=0))
    numbers = np.arange(2**num_bits)
    left, right = np.repeat(numbers, len(numbers)), np.tile(numbers, len(numbers))
    added = jax.jit(gates.add_bits)(
        gates.to_bits(left, num_bits), gates.to_bits(right, num_bits)
    )
    truth = [a + b for a, b in zip(left.tolist(), right.tolist(), strict=True)]
    results[f"{num_bits}-bit adder"] = _score(gates.from_bits(added), truth)
    return results


def _score(answers: Any, truth: Any) -> dict[str, int]:
    right = np.asarray(answers) == np.asarray(truth)
    return {"inputs": right.size, "right": int(right.sum())}


def learn_gates(max_passes: int) -> dict[str, Any]:
    """What the learning rule makes of the truth tables of two bits.

    Returns:
      For each gate `converged`, `passes`, `mistakes` of every pass, the last
      `weights` and `bias`, and `returns`: two passes after which the weights are the
      same, or None. The rule sees the same examples in the same order, so weights
      that come back do so for ever, and no larger cap would help.
    """
    inputs = all_inputs(2)
    learn_jit = jax.jit(learn, static_argnums=1)
    results = {}
    for name, truth in TRUTH.items():
        targets = np.array([truth(a, b) for a, b in inputs.tolist()], np.int32)
        learned = learn_jit(make_examples(inputs, targets), max_passes)
        passes = int(learned.passes)
        states = None
        if not learned.converged:
            neurons = neurons_by_pass(inputs, targets, passes)
            states = np.column_stack([neurons.weights, neurons.bias])
        results[name] = {
            "converged": learned.converged,
            "passes": passes,
            "mistakes": np.asarray(learned.mistakes)[:passes].tolist(),
            "weights": np.asarray(learned.neuron.weights).tolist(),
            "bias": float(learned.neuron.bias),
            "returns": None if states is None else first_return(states),
        }
    return results


def first_return(states: np.ndarray) -> list[int] | None:
    """The first two rows, counted from 1, that are equal; None where all differ."""
    seen: dict[bytes, int] = {}
    for number, state in enumerate(states, start=1):
        earlier = seen.setdefault(state.tobytes(), number)
        if earlier != number:
            return [earlier, number]
    return None
