"""A recurrent net: neurons fire for a while, fall quiet, and stimulate others later.

Each neuron is a perceptron whose inputs are the outputs of all neurons, `delay` steps
ago. Where they, or a stimulus from outside, make it fire, it fires for `duration`
steps whatever happens, and then rests for `rest` steps, deaf to everything. So a loop
never asks for an output that depends on itself: the inputs are past.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.errors import InputError
from jaxnets.types import Array, Dense


class Timing(NamedTuple):
    """How long things last, in steps, each 1 or more."""

    duration: int = 4  # a neuron fires
    delay: int = 2  # from a neuron's firing to its effect
    rest: int = 8  # a neuron is deaf after it fired; without it, bursts would merge


def spread(layer: Dense, stimulus: Array, timing: Timing) -> jax.Array:
    """Who fires when: bool [steps, n].

    Args:
      layer: kernel float32 [n, n] from neuron to neuron, bias [n]: minus the
        threshold. It may have loops, and neurons that stimulate themselves.
      stimulus: bool [steps, n], what fires a neuron from outside, at once.
      timing: not traced.

    Raises InputError for a time below 1, or shapes that do not fit.
    """
    require_timing(timing)
    stimulus = jnp.asarray(stimulus, bool)
    num_neurons = layer.bias.shape[0]
    if layer.kernel.shape != (num_neurons, num_neurons):
        given, needed = list(layer.kernel.shape), [num_neurons, num_neurons]
        raise InputError(f"kernel {given} must be {needed}: from each neuron to each")
    if stimulus.ndim != 2 or stimulus.shape[1] != num_neurons:
        raise InputError(
            f"stimulus {list(stimulus.shape)} must be [steps, {num_neurons}]"
        )

    def one_step(activity: tuple[jax.Array, jax.Array], outside: jax.Array):
        busy, sent = activity
        arriving = sent[-1].astype(jnp.float32)
        sums = jnp.dot(arriving, layer.kernel, precision="highest") + layer.bias
        begins = (busy == 0) & ((sums > 0) | outside)
        busy = jnp.where(begins, timing.duration + timing.rest, busy)
        fires = busy > timing.rest
        sent = jnp.concatenate([fires[None], sent[:-1]])
        return (jnp.maximum(busy - 1, 0), sent), fires

    busy = jnp.zeros(num_neurons, jnp.int32)  # steps that each stays busy
    sent = jnp.zeros((timing.delay, num_neurons), bool)  # who fired, latest first
    return lax.scan(one_step, (busy, sent), stimulus)[1]


def require_timing(timing: Timing) -> None:
    """Raise InputError unless every time is a whole number of at least 1."""
    for name, steps in timing._asdict().items():
        if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
            raise InputError(f"{name} of {steps} must be 1 step or more")


def ring(num_neurons: int) -> Dense:
    """Each neuron stimulates the next, and the last one the first."""
    kernel = jnp.roll(jnp.eye(num_neurons, dtype=jnp.float32), 1, axis=1)
    return Dense(kernel, jnp.full(num_neurons, -0.5, jnp.float32))
