"""What loops do to a net, without and with time."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.neurons.cascade import Timing, random_net, ring, spread
from jaxnets.neurons.perceptron import all_inputs, step
from jaxnets.types import Dense

NEURONS = 8  # of the nets whose every state is tried
NETS = 2000
LINKS, REACH, BACKWARD = 3, 8, 0.4  # of the large nets; see `random_net`
STIMULATED = 3  # the first neurons of a large net, at the first step
RING = 20


def num_consistent(layer: Dense) -> jax.Array:
    """States that are their own output: int32 [].

    In a net without delay every output must fit the outputs at the same instant.
    """
    states = jnp.asarray(all_inputs(layer.bias.shape[0]), jnp.float32)
    sums = jnp.dot(states, layer.kernel, precision="highest") + layer.bias[None, :]
    return jnp.sum(jnp.all(step(sums) == states, axis=1), dtype=jnp.int32)


def consistency(key: jax.Array) -> dict[str, Any]:
    """How many consistent states random nets have, with loops and without.

    Weights and biases are normal. Without loops, neurons see only earlier ones.
    """

    def count_all(key: jax.Array) -> dict[str, jax.Array]:
        kernel_key, bias_key = jax.random.split(key)
        kernels = jax.random.normal(kernel_key, (NETS, NEURONS, NEURONS))
        biases = jax.random.normal(bias_key, (NETS, NEURONS))
        counted = jax.vmap(num_consistent)
        return {
            "feedforward": counted(Dense(jnp.triu(kernels, k=1), biases)),
            "with loops": counted(Dense(kernels, biases)),
        }

    results: dict[str, Any] = {"nets": NETS, "neurons": NEURONS}
    for name, counts in jax.device_get(jax.jit(count_all)(key)).items():
        results[name] = {
            "none": int((counts == 0).sum()),
            "one": int((counts == 1).sum()),
            "several": int((counts > 1).sum()),
        }
    return results


def cascades(
    key: jax.Array, num_neurons: int, num_steps: int, timing: Timing
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A ring, a net without loops, and the same with some links turned back.

    Returns:
      A summary of each, and its raster, bool [steps, neurons].
    """

    def draw(key: jax.Array, backward: jax.Array) -> Dense:
        return random_net(key, num_neurons, links=LINKS, reach=REACH, backward=backward)

    shares = jnp.array([0.0, BACKWARD])  # one key: the same links, some turned back
    drawn = jax.jit(jax.vmap(draw, in_axes=(None, 0)))(key, shares)
    ahead, looped = (
        jax.tree.map(lambda leaf, place=place: leaf[place], drawn) for place in (0, 1)
    )
    nets = {
        "ring": (ring(RING), 1),
        "feedforward": (ahead, STIMULATED),
        "with loops": (looped, STIMULATED),
    }
    spread_jit = jax.jit(spread, static_argnums=2)
    results, rasters = {}, {}
    for name, (layer, stimulated) in nets.items():
        stimulus = np.zeros((num_steps, layer.bias.shape[0]), bool)
        stimulus[0, :stimulated] = True
        raster = np.asarray(spread_jit(layer, stimulus, timing))
        rasters[name] = raster
        results[name] = {
            "neurons": raster.shape[1],
            "stimulated": stimulated,
            **summary(raster),
        }
    return results, rasters


def bursts(raster: np.ndarray) -> np.ndarray:
    """Every burst: rows of neuron, first step and the step after the last, int."""
    edges = np.diff(np.pad(raster.astype(np.int8), ((1, 1), (0, 0))), axis=0)
    neurons, begins = np.nonzero(edges.T == 1)
    ends = np.nonzero(edges.T == -1)[1]
    return np.column_stack([neurons, begins, ends])


def summary(raster: np.ndarray) -> dict[str, Any]:
    """How far a cascade went, how long it lasted, how long its bursts were."""
    found = bursts(raster)
    ended = found[found[:, 2] < len(raster)]  # the others may be cut short
    active = np.nonzero(raster.any(axis=1))[0]
    return {
        "steps": len(raster),
        "reached": int(raster.any(axis=0).sum()),
        "bursts": len(found),
        "burst_lengths": sorted(set((ended[:, 2] - ended[:, 1]).tolist())),
        "last_active_step": int(active[-1]) if active.size else None,
        "most_at_once": int(raster.sum(axis=1).max()),
    }
