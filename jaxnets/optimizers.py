"""Optimizers, as optax's pure transformations of gradients."""

import jax
import jax.numpy as jnp
import optax
from optax import ScaleByAdamState

from jaxnets import processor
from jaxnets.types import Params, Recipe

KERAS_EPSILON = 1e-7  # keras.config.epsilon()


def keras_adam(
    learning_rate: float, b1: float = 0.9, b2: float = 0.999
) -> optax.GradientTransformation:
    """Adam as tf.keras computes it.

    At step t, with m and v the running means of the gradient and of its square:

        update = -learning_rate sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + 1e-7)

    Keras adds its epsilon outside the bias correction; Kingma and Ba's paper (2015,
    algorithm 1) and optax add it inside. The two agree where optax's epsilon is
    1e-7 / sqrt(1 - b2^t). b1 and b2 are in [0, 1).

    Where XLA computes several arrays in one loop (`processor.fuses_outputs`), m and v
    of the update are computed a second time, in other words, so that all three arrays
    come out of one loop over memory in place of three. Elsewhere that would be slower.
    """

    def init(params: Params) -> ScaleByAdamState:
        # Arrays of their own, so that a step can be given them for good (donated).
        mu, nu = (jax.tree.map(jnp.zeros_like, params) for _ in range(2))
        return ScaleByAdamState(jnp.int32(0), mu, nu)

    def update(
        grads: Params, state: ScaleByAdamState, _: Params | None = None
    ) -> tuple[Params, ScaleByAdamState]:
        count = state.count + 1
        mu = jax.tree.map(lambda m, g: m + (1 - b1) * (g - m), state.mu, grads)
        nu = jax.tree.map(lambda v, g: v + (1 - b2) * (g * g - v), state.nu, grads)
        mean, square = mu, nu
        if processor.fuses_outputs():
            mean = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, grads)
            square = jax.tree.map(
                lambda v, g: b2 * v + ((1 - b2) * g) * g, state.nu, grads
            )
        steps = jnp.asarray(count, float)
        correction = jnp.sqrt(1 - b2**steps) / (1 - b1**steps)

        def step(m: jax.Array, v: jax.Array) -> jax.Array:
            rate = jnp.asarray(learning_rate * correction, m.dtype)
            return -rate * m / (jnp.sqrt(v) + KERAS_EPSILON)

        return jax.tree.map(step, mean, square), ScaleByAdamState(count, mu, nu)

    return optax.GradientTransformation(init, update)


def make(recipe: Recipe) -> optax.GradientTransformation:
    """The recipe's optimizer."""
    make_tx = {"sgd": optax.sgd, "adam": keras_adam}[recipe.optimizer]
    return make_tx(recipe.learning_rate)
