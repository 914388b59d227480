"""Neurons and inputs drawn at random, by programs that two measurements share."""

from functools import partial

import jax
import jax.numpy as jnp

from jaxnets.neurons.perceptron import Neuron


@partial(jax.jit, static_argnums=(1, 2))
def normal_neurons(key: jax.Array, num_neurons: int, num_inputs: int) -> Neuron:
    """Weights float32 [neurons, inputs] and bias [neurons], normal."""
    values = jax.random.normal(key, (num_neurons, num_inputs + 1), jnp.float32)
    return Neuron(values[:, :-1], values[:, -1])


@partial(jax.jit, static_argnums=(1, 2))
def uniform_inputs(key: jax.Array, num_neurons: int, num_inputs: int) -> jax.Array:
    """float32 [neurons, inputs], uniform in [0, 1)."""
    return jax.random.uniform(key, (num_neurons, num_inputs), jnp.float32)
