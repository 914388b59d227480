"""Optimizers, as optax's pure transformations of gradients."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from optax import ScaleByAdamState

from jaxnets import processor
from jaxnets.types import Params, Recipe, TrainState

KERAS_EPSILON = 1e-7  # keras.config.epsilon()


def keras_adam(
    learning_rate: float | optax.Schedule, b1: float = 0.9, b2: float = 0.999
) -> optax.GradientTransformation:
    """Adam as tf.keras computes it.

    At step t, with m and v the running means of the gradient and of its square:

        update = -learning_rate sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + 1e-7)

    Keras adds its epsilon outside the bias correction; Kingma and Ba's paper (2015,
    algorithm 1) and optax add it inside. The two agree where optax's epsilon is
    1e-7 / sqrt(1 - b2^t). b1 and b2 are in [0, 1). A schedule gives the rate of step t
    from t - 1, the updates before it.

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
        rate_now = (
            learning_rate(state.count) if callable(learning_rate) else learning_rate
        )

        def step(m: jax.Array, v: jax.Array) -> jax.Array:
            rate = jnp.asarray(rate_now * correction, m.dtype)
            return -rate * m / (jnp.sqrt(v) + KERAS_EPSILON)

        return jax.tree.map(step, mean, square), ScaleByAdamState(count, mu, nu)

    return optax.GradientTransformation(init, update)


def one_cycle(peak: float, num_steps: int, rise: float = 0.25) -> optax.Schedule:
    """A rate that rises from peak / 25 to peak and falls to 0, both in a line.

    Smith, "A disciplined approach to neural network hyper-parameters" (2018). `rise`,
    between 0 and 1, is the share of the steps in which it rises. (optax's own looks
    the pieces up in arrays, which `processor.suits` cannot tell from rows of a kernel.)
    """
    top = max(1, round(rise * num_steps))
    up = optax.linear_schedule(peak / 25, peak, top)
    down = optax.linear_schedule(peak, 0.0, max(1, num_steps - top))
    return optax.join_schedules([up, down], [top])


def max_norm(limit: float) -> optax.GradientTransformation:
    """After the update, no unit's incoming weights are longer than `limit`, above 0.

    Longer ones are scaled back to it: Srivastava et al., "Dropout" (2014), section 5.1.
    Last in `optax.chain`. A kernel is [in, out], so that a unit's weights are a column;
    biases are left alone.
    """

    def update(
        updates: Params, state: optax.EmptyState, params: Params | None = None
    ) -> tuple[Params, optax.EmptyState]:
        def limited(step: jax.Array, kernel: jax.Array) -> jax.Array:
            if kernel.ndim < 2:
                return step
            moved = kernel + step
            lengths = jnp.linalg.norm(moved, axis=-2, keepdims=True)
            return moved * jnp.minimum(1, limit / lengths) - kernel

        return jax.tree.map(limited, updates, params), state

    return optax.GradientTransformation(lambda _: optax.EmptyState(), update)


class Averaged(NamedTuple):
    """The state of `averaged`."""

    num_updates: jax.Array  # int32 []
    average: Params


def averaged(decay: float) -> optax.GradientTransformation:
    """Keep a running mean of the parameters; the updates are as they were.

        average = d average + (1 - d) params,  d = min(decay, (1 + t) / (10 + t))

    after step t, so that the start is soon forgotten. Polyak and Juditsky (1992) weigh
    all steps equally; this is the usual form for networks. Last in `optax.chain`;
    `average_of` reads it. `decay` is in [0, 1).
    """

    def update(
        updates: Params, state: Averaged, params: Params | None = None
    ) -> tuple[Params, Averaged]:
        step_number = state.num_updates + 1
        past = (1.0 + step_number) / (10.0 + step_number)
        share = 1 - jnp.minimum(decay, past)

        def mean(average: jax.Array, step: jax.Array, param: jax.Array) -> jax.Array:
            return average + share.astype(average.dtype) * (param + step - average)

        average = jax.tree.map(mean, state.average, updates, params)
        return updates, Averaged(step_number, average)

    def init(params: Params) -> Averaged:
        # An array of its own, as in `keras_adam`.
        return Averaged(jnp.int32(0), jax.tree.map(jnp.array, params))

    return optax.GradientTransformation(init, update)


def average_of(state: TrainState) -> Params:
    """The parameters' running mean where `averaged` keeps one, else the parameters."""
    average = optax.tree_utils.tree_get(state.opt_state, "average")
    return state.params if average is None else average


MAKERS = {"sgd": optax.sgd, "adam": keras_adam}  # by a recipe's name for them


def make(recipe: Recipe) -> optax.GradientTransformation:
    """The recipe's optimizer."""
    return MAKERS[recipe.optimizer](recipe.learning_rate)
