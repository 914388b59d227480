"""How sharply the loss bends: its Hessian, seen through products with vectors.

The Hessian of 100,000 weights has 10^10 entries and is never formed. `jvp` of `grad`
gives its product with a vector for about two gradients' work (Pearlmutter 1994), and
Lanczos's method finds its largest eigenvalue, the sharpness, from a few products.

Cohen, Kaur, Li, Kolter and Talwalkar, "Gradient Descent on Neural Networks Typically
Occurs at the Edge of Stability" (ICLR 2021): along full-batch gradient descent the
sharpness rises until it stands near 2 / learning rate, above which a quadratic would
diverge.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree

from experiments.kit.numbers import finite, finites
from experiments.kit.run import Row
from jaxnets.training import scan_batches
from jaxnets.types import Batch, LossFn, Params

CHUNK = 1000  # examples whose activations are in memory together
ITERATIONS = 20  # of Lanczos, one Hessian-vector product each
DESCENT_ITERATIONS = 12  # along gradient descent; the rows hold the residuals
EVERY = 5  # steps of gradient descent between two measurements


class Sharpness(NamedTuple):
    """The largest eigenvalue of the mean loss's Hessian."""

    eigenvalue: jax.Array  # float32 [], never above the true one but for rounding
    residual: jax.Array  # float32 [], |H v - eigenvalue v| of its unit vector v


def hessian_vector_product(
    loss: Callable[[Params], jax.Array], params: Params, vector: Params
) -> Params:
    """H v, without H: the derivative of the gradient along the vector."""
    return jax.jvp(jax.grad(loss), (params,), (vector,))[1]


def make_product(
    loss_fn: LossFn, data: Batch, chunk: int = CHUNK
) -> Callable[[Params, Params], Params]:
    """`product(params, vector)` for the mean loss over all of the data.

    It is the mean of the chunks' products, each with the weight of its examples.
    """
    num_examples = data.label.shape[0]

    def product(params: Params, vector: Params) -> Params:
        def add(total: Params, batch: Batch) -> Params:
            part = hessian_vector_product(
                lambda params: loss_fn(params, batch)[0], params, vector
            )
            share = batch.label.shape[0] / num_examples
            return jax.tree.map(lambda sum_, new: sum_ + share * new, total, part)

        return scan_batches(add, jax.tree.map(jnp.zeros_like, params), data, chunk)

    return product


def sharpness(
    loss_fn: LossFn,
    params: Params,
    data: Batch,
    key: jax.Array,
    *,
    iterations: int = ITERATIONS,
    chunk: int = CHUNK,
) -> Sharpness:
    """The largest eigenvalue of the Hessian of the mean loss over the data.

    Lanczos (1950) from a random vector, made orthogonal to all earlier ones twice,
    which float32 needs. Its smallest and largest eigenvalues settle first.

    Args:
      iterations: 1 to the number of weights.
    """
    flat, unravel = ravel_pytree(params)
    product = make_product(loss_fn, data, chunk)

    def times_hessian(vector: jax.Array) -> jax.Array:
        return ravel_pytree(product(params, unravel(vector)))[0]

    start = jax.random.normal(key, flat.shape, flat.dtype)
    diagonal, beside = lanczos(times_hessian, start, iterations)
    tridiagonal = jnp.diag(diagonal) + jnp.diag(beside[:-1], 1)
    values, vectors = jnp.linalg.eigh(tridiagonal + jnp.diag(beside[:-1], -1))
    return Sharpness(values[-1], jnp.abs(beside[-1] * vectors[-1, -1]))


def lanczos(
    times: Callable[[jax.Array], jax.Array], start: jax.Array, iterations: int
) -> tuple[jax.Array, jax.Array]:
    """The tridiagonal matrix that a symmetric one is in its Krylov space.

    Returns:
      Its diagonal [iterations], and the numbers beside it [iterations]; the last of
      these is what would lead on to the next row.
    """

    def step(carry, index):
        basis, vector = carry
        basis = basis.at[index].set(vector)
        image = times(vector)
        on_diagonal = vector @ image
        for _ in range(2):
            image = image - (basis @ image) @ basis
        length = jnp.linalg.norm(image)
        following = image / jnp.maximum(length, jnp.finfo(image.dtype).tiny)
        return (basis, following), (on_diagonal, length)

    basis = jnp.zeros((iterations, *start.shape), start.dtype)
    first = start / jnp.linalg.norm(start)
    _, (diagonal, beside) = lax.scan(step, (basis, first), jnp.arange(iterations))
    return diagonal, beside


def make_descent(
    loss_fn: LossFn, num_steps: int
) -> Callable[..., tuple[Params, jax.Array, Sharpness]]:
    """Steps of full-batch gradient descent, then the loss and the sharpness reached."""

    def descend(
        params: Params, learning_rate: jax.Array, data: Batch, key: jax.Array
    ) -> tuple[Params, jax.Array, Sharpness]:
        def step(params: Params, _: None) -> tuple[Params, None]:
            grads, _ = jax.grad(loss_fn, has_aux=True)(params, data)
            return jax.tree.map(lambda p, g: p - learning_rate * g, params, grads), None

        params, _ = lax.scan(step, params, None, length=num_steps)
        measured = sharpness(loss_fn, params, data, key, iterations=DESCENT_ITERATIONS)
        return params, loss_fn(params, data)[0], measured

    return descend


def repeated(params: Params, count: int) -> Params:
    """The same parameters `count` times, along a new first axis of every leaf."""
    return jax.tree.map(lambda leaf: jnp.stack([leaf] * count), params)


def entries(measured: Sharpness) -> list[dict[str, float | None]]:
    """Of arrays with an axis of networks: what a row holds of each."""
    pairs = zip(*map(finites, measured), strict=True)
    return [{"eigenvalue": value, "residual": residual} for value, residual in pairs]


def descend(
    loss_fn: LossFn,
    params: Params,
    data: Batch,
    key: jax.Array,
    *,
    rates: Sequence[float],
    num_steps: int,
) -> Iterator[Row]:
    """Full-batch descent, a network a rate, all from `params`; a row each 5 steps."""
    together = jax.vmap(make_descent(loss_fn, EVERY), in_axes=(0, 0, None, None))
    run_steps = jax.jit(together)
    params, data = repeated(params, len(rates)), jax.device_put(data)
    learning_rates = jnp.array(rates, jnp.float32)
    for step in range(EVERY, num_steps + 1, EVERY):
        step_key = jax.random.fold_in(key, step)
        params, losses, measured = run_steps(params, learning_rates, data, step_key)
        yield {
            "part": "descent",
            "step": step,
            "learning_rates": rates,
            "images": len(data.label),
            "loss": finites(losses),
            "sharpness": entries(measured),
        }


def measure_on_all(
    loss_fn: LossFn, params: Params, train: Batch, key: jax.Array
) -> Iterator[Row]:
    """One row: the sharpness on all training images, chunk by chunk."""
    measured = jax.jit(partial(sharpness, loss_fn))(params, jax.device_put(train), key)
    yield {
        "part": "sharpness_on_all",
        "images": len(train.label),
        "eigenvalue": finite(measured.eigenvalue),
        "residual": finite(measured.residual),
    }
