"""Perceptrons as logic, checked on every input; and gates learned from examples."""

from collections.abc import Callable, Sequence

import jax
import numpy as np

from jaxnets.neurons import gates
from jaxnets.neurons.learning import learn_pass, silent
from jaxnets.types import Array

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


def all_inputs(num_inputs: int) -> np.ndarray:
    """Every input there is: uint8 [2^n, n], row r the bits of r, lowest first."""
    rows = np.arange(2**num_inputs)
    return (rows[:, None] >> np.arange(num_inputs)[None, :] & 1).astype(np.uint8)


def check_circuits(num_bits: int) -> dict[str, dict[str, int]]:
    """Every gate and adder on every input, against Python's integers.

    Returns:
      For each circuit the number of `inputs` and how many answers are `right`.
    """
    first, second = all_inputs(2).T
    checked = {}
    for name, gate in BUILT.items():
        truth = list(map(TRUTH[name], first.tolist(), second.tolist()))
        checked[name] = _score(gate(first, second), truth)
    checked["half adder"] = _score(
        _numbers(gates.half_adder(first, second)), first + second
    )
    bits = all_inputs(3).T
    checked["full adder"] = _score(_numbers(gates.full_adder(*bits)), bits.sum(axis=0))
    bits = all_inputs(2 * num_bits).T
    low, high = bits[:num_bits], bits[num_bits:]
    total = _numbers(jax.jit(gates.add_bits)(low, high))
    checked[f"{num_bits}-bit adder"] = _score(total, _numbers(low) + _numbers(high))
    return checked


def _numbers(bits: Sequence[Array] | Array) -> np.ndarray:
    """Whole numbers [...] of bits [n, ...], lowest first."""
    bits = np.asarray(bits).astype(np.int64)
    return np.tensordot(2 ** np.arange(len(bits)), bits, axes=1)


def _score(answers: Array, truth: Sequence[int] | np.ndarray) -> dict[str, int]:
    right = np.asarray(answers) == np.asarray(truth)
    return {"inputs": right.size, "right": int(right.sum())}


def learn_gates(max_passes: int) -> dict[str, dict[str, object]]:
    """What the learning rule makes of the truth tables of two bits.

    Returns:
      For each gate `converged`, `passes`, `mistakes` of every pass, the last
      `weights` and `bias`, and `returns`: two passes after which the weights are the
      same, or None. The rule sees the same examples in the same order, so weights
      that come back do so for ever, and no larger cap would help.
    """
    inputs = all_inputs(2)
    learn = jax.jit(learn_pass)
    learned: dict[str, dict[str, object]] = {}
    for name, truth in TRUTH.items():
        targets = np.array([truth(a, b) for a, b in inputs.tolist()], np.int32)
        neuron = silent(2)
        mistakes: list[int] = []
        states: list[tuple[float, ...]] = []
        while len(mistakes) < max_passes and 0 not in mistakes[-1:]:
            neuron, wrong = learn(neuron, inputs, targets)
            mistakes.append(int(wrong))
            states.append((*neuron.weights.tolist(), float(neuron.bias)))
        learned[name] = {
            "converged": mistakes[-1] == 0,
            "passes": len(mistakes),
            "mistakes": mistakes,
            "weights": list(states[-1][:2]),
            "bias": states[-1][2],
            "returns": None if mistakes[-1] == 0 else first_return(states),
        }
    return learned


def first_return(states: Sequence[tuple[float, ...]]) -> list[int] | None:
    """The first two states, counted from 1, that are equal; None where all differ."""
    seen: dict[tuple[float, ...], int] = {}
    for number, state in enumerate(states, start=1):
        earlier = seen.setdefault(state, number)
        if earlier != number:
            return [earlier, number]
    return None
