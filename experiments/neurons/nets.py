"""Nets of perceptrons: logic, and what loops do without and with time."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.kit.run import Row
from jaxnets.neurons import gates
from jaxnets.neurons.cascade import Timing, ring, spread
from jaxnets.neurons.perceptron import step
from jaxnets.types import Array, Dense

NEURONS = 8  # of the nets whose every state is tried
NETS = 2000
LINKS, REACH, BACKWARD = 3, 8, 0.4  # of the large nets; see `random_net`
STIMULATED = 3  # the first neurons of a large net, at the first step
RING = 20

Gate = Callable[[Array, Array], Array]
GATES: dict[str, tuple[Gate, Gate]] = {  # from perceptrons, and of integers
    "NAND": (gates.nand, lambda a, b: 1 - (a & b)),
    "AND": (gates.and_gate, lambda a, b: a & b),
    "OR": (gates.or_gate, lambda a, b: a | b),
    "NOR": (gates.nor_gate, lambda a, b: 1 - (a | b)),
    "XOR": (gates.xor_gate, lambda a, b: a ^ b),
}


def all_inputs(num_inputs: int) -> np.ndarray:
    """Every input there is: uint8 [2^n, n], row r the bits of r, lowest first."""
    rows = np.arange(2**num_inputs)
    return (rows[:, None] >> np.arange(num_inputs)[None, :] & 1).astype(np.uint8)


def check_circuits(num_bits: int) -> dict[str, dict[str, int]]:
    """How many of all inputs each gate and adder gets right, by NumPy's integers."""
    two, three, bits = (all_inputs(number).T for number in (2, 3, 2 * num_bits))
    low, high = bits[:num_bits], bits[num_bits:]
    answers: dict[str, tuple[Array, Array]] = {
        name: (gate(*two), truth(*two)) for name, (gate, truth) in GATES.items()
    }
    answers["half adder"] = _numbers(gates.half_adder(*two)), two.sum(axis=0)
    answers["full adder"] = _numbers(gates.full_adder(*three)), three.sum(axis=0)
    total = _numbers(jax.jit(gates.add_bits)(low, high))
    answers[f"{num_bits}-bit adder"] = total, _numbers(low) + _numbers(high)
    return {
        name: {"inputs": truth.size, "right": int(np.sum(answer == truth))}
        for name, (answer, truth) in answers.items()
    }


def _numbers(bits: Sequence[Array] | Array) -> np.ndarray:
    """Whole numbers [...] of bits [n, ...], lowest first."""
    bits = np.asarray(bits).astype(np.int64)
    return np.tensordot(2 ** np.arange(len(bits)), bits, axes=1)


def random_net(
    key: jax.Array, num_neurons: int, *, links: int, reach: int, backward: Array
) -> Dense:
    """Neurons in a row, each stimulating a few others that are not far.

    A link goes `reach` places of the row at most. The share `backward` of the links
    leads back; without them there is no loop. Those that leave the row are dropped.
    """
    distance_key, back_key = jax.random.split(key)
    shape = (num_neurons, links)
    distance = jax.random.randint(distance_key, shape, 1, reach + 1)
    turned = jax.random.bernoulli(back_key, backward, shape)
    here = jnp.arange(num_neurons)[:, None]
    there = here + jnp.where(turned, -distance, distance)
    # A negative index would count from the end; beyond the end it is dropped.
    there = jnp.where(there < 0, num_neurons, there)
    kernel = jnp.zeros((num_neurons, num_neurons), jnp.float32)
    kernel = kernel.at[jnp.broadcast_to(here, shape), there].set(1.0, mode="drop")
    return Dense(kernel, jnp.full(num_neurons, -0.5, jnp.float32))


def num_consistent(layer: Dense) -> jax.Array:
    """States that are their own output: int32 [].

    In a net without delay every output must fit the outputs at the same instant.
    """
    states = jnp.asarray(all_inputs(layer.bias.shape[0]), jnp.float32)
    sums = jnp.dot(states, layer.kernel, precision="highest") + layer.bias[None, :]
    return jnp.sum(jnp.all(step(sums) == states, axis=1), dtype=jnp.int32)


def consistency(key: jax.Array) -> Row:
    """How many consistent states nets with normal weights and biases have."""
    kernel_key, bias_key = jax.random.split(key)
    kernels = jax.random.normal(kernel_key, (NETS, NEURONS, NEURONS), jnp.float32)
    biases = jax.random.normal(bias_key, (NETS, NEURONS), jnp.float32)
    count = jax.jit(jax.vmap(num_consistent))
    counted: dict[str, Any] = {"nets": NETS, "neurons": NEURONS}
    kinds = {"feedforward": jnp.triu(kernels, k=1), "with loops": kernels}
    for name, kernel in kinds.items():
        counts = np.asarray(count(Dense(kernel, biases)))
        counted[name] = {
            "none": int((counts == 0).sum()),
            "one": int((counts == 1).sum()),
            "several": int((counts > 1).sum()),
        }
    return counted


def cascades(
    key: jax.Array, num_neurons: int, num_steps: int, timing: Timing
) -> Iterator[Row]:
    """A ring, a net without loops, and the same with some links turned back."""
    shares = jnp.array([0.0, BACKWARD])  # one key: the same links, some turned back
    draw = partial(random_net, key, num_neurons, links=LINKS, reach=REACH)
    drawn = jax.jit(jax.vmap(lambda share: draw(backward=share)))(shares)
    ahead, looped = (Dense(*leaves) for leaves in zip(*drawn, strict=True))
    spread_jit = jax.jit(spread, static_argnums=2)
    for name, layer, stimulated in (
        ("ring", ring(RING), 1),
        ("feedforward", ahead, STIMULATED),
        ("with loops", looped, STIMULATED),
    ):
        stimulus = np.zeros((num_steps, layer.bias.shape[0]), bool)
        stimulus[0, :stimulated] = True
        fires = np.asarray(spread_jit(layer, stimulus, timing))
        yield {
            "net": name,
            "neurons": fires.shape[1],
            "stimulated": stimulated,
            **summary(fires),
            "raster": bursts(fires).tolist(),
        }


def bursts(fires: np.ndarray) -> np.ndarray:
    """Every burst of bool [steps, neurons]: its neuron, first step, step after it."""
    edges = np.diff(np.pad(fires.astype(np.int8), ((1, 1), (0, 0))), axis=0)
    neurons, begins = np.nonzero(edges.T == 1)
    ends = np.nonzero(edges.T == -1)[1]
    return np.column_stack([neurons, begins, ends])


def summary(fires: np.ndarray) -> Row:
    """How far a cascade went, how long it lasted, how long its bursts were."""
    all_bursts = bursts(fires)
    ended = all_bursts[all_bursts[:, 2] < len(fires)]  # the others may be cut short
    active = np.flatnonzero(fires.any(axis=1))
    return {
        "steps": len(fires),
        "reached": int(fires.any(axis=0).sum()),
        "bursts": len(all_bursts),
        "burst_lengths": np.unique(ended[:, 2] - ended[:, 1]).tolist(),
        "last_active_step": int(active[-1]) if active.size else None,
        "most_at_once": int(fires.sum(axis=1).max()),
    }
