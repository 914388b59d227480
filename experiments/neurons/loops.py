"""What loops do to a net, without and with time."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.kit.run import Row
from experiments.neurons.logic import all_inputs
from jaxnets.neurons.cascade import Timing, ring, spread
from jaxnets.neurons.perceptron import step
from jaxnets.types import Dense

NEURONS = 8  # of the nets whose every state is tried
NETS = 2000
LINKS, REACH, BACKWARD = 3, 8, 0.4  # of the large nets; see `random_net`
STIMULATED = 3  # the first neurons of a large net, at the first step
RING = 20


def random_net(
    key: jax.Array,
    num_neurons: int,
    *,
    links: int,
    reach: int,
    backward: float | jax.Array,
) -> Dense:
    """Neurons in a row, each stimulating a few others that are not far.

    Args:
      key: decides the links.
      num_neurons: n, in the row.
      links: drawn for each neuron; those that leave the row are dropped.
      reach: how far a link goes at most, in places of the row.
      backward: the share of links that lead back; without them there is no loop.
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
    """How many consistent states random nets have, with loops and without.

    Weights and biases are normal. Without loops, neurons see only earlier ones.
    """

    def count_all(key: jax.Array) -> dict[str, jax.Array]:
        kernel_key, bias_key = jax.random.split(key)
        kernels = jax.random.normal(kernel_key, (NETS, NEURONS, NEURONS), jnp.float32)
        biases = jax.random.normal(bias_key, (NETS, NEURONS), jnp.float32)
        count = jax.vmap(num_consistent)
        return {
            "feedforward": count(Dense(jnp.triu(kernels, k=1), biases)),
            "with loops": count(Dense(kernels, biases)),
        }

    counted: dict[str, Any] = {"nets": NETS, "neurons": NEURONS}
    for name, counts in jax.device_get(jax.jit(count_all)(key)).items():
        counted[name] = {
            "none": int((counts == 0).sum()),
            "one": int((counts == 1).sum()),
            "several": int((counts > 1).sum()),
        }
    return counted


def cascades(
    key: jax.Array, num_neurons: int, num_steps: int, timing: Timing
) -> Iterator[Row]:
    """A ring, a net without loops, and the same with some links turned back.

    Yields:
      A row of each net: its name, its `summary`, and as `raster` the `bursts`.
    """

    def draw(key: jax.Array, backward: jax.Array) -> Dense:
        return random_net(key, num_neurons, links=LINKS, reach=REACH, backward=backward)

    shares = jnp.array([0.0, BACKWARD])  # one key: the same links, some turned back
    drawn = jax.jit(jax.vmap(draw, in_axes=(None, 0)))(key, shares)
    nets = {
        "ring": (ring(RING), 1),
        "feedforward": (jax.tree.map(lambda leaf: leaf[0], drawn), STIMULATED),
        "with loops": (jax.tree.map(lambda leaf: leaf[1], drawn), STIMULATED),
    }
    spread_jit = jax.jit(spread, static_argnums=2)
    for name, (layer, stimulated) in nets.items():
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
    """Every burst of bool [steps, neurons]: int [bursts, 3].

    Columns are the neuron, the first step and the step after the last.
    """
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
        "burst_lengths": sorted(set((ended[:, 2] - ended[:, 1]).tolist())),
        "last_active_step": int(active[-1]) if active.size else None,
        "most_at_once": int(fires.sum(axis=1).max()),
    }
