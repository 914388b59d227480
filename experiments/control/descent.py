"""Gradient descent from inside: a learning rate a layer, and the loss's sharpness.

`ensemble.fit_many` makes one program of all networks with other rates: the same
initial weights, the same order of the images.

The Hessian of 100,000 weights has 10^10 entries and is never formed. `jvp` of `grad`
gives its product with a vector for about two gradients' work (Pearlmutter 1994), and
Lanczos's method finds its largest eigenvalue, the sharpness, from a few products.
Along full-batch gradient descent it rises until it stands near 2 / learning rate,
above which a quadratic would diverge (Cohen, Kaur, Li, Kolter and Talwalkar, "Gradient
Descent on Neural Networks Typically Occurs at the Edge of Stability", ICLR 2021).
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.flatten_util import ravel_pytree

from experiments.kit.numbers import finites
from experiments.kit.run import Row, Run
from jaxnets import ensemble, models, training
from jaxnets import relu_softmax as network
from jaxnets.training import Epoch
from jaxnets.types import Batch, Layers, Params, Recipe

ITERATIONS = 20  # of Lanczos, one Hessian-vector product each
DESCENT_ITERATIONS = 12  # along gradient descent; the rows hold the residuals
EVERY = 5  # steps of gradient descent between two measurements


def hessian_vector_product(params: Params, vector: Params, data: Batch) -> Params:
    """H v of the mean loss, without H: the derivative of its gradient along v."""

    def gradient(params: Params) -> Params:
        return jax.grad(network.loss_fn, has_aux=True)(params, data)[0]

    return jax.jvp(gradient, (params,), (vector,))[1]


def sharpness(
    params: Params, data: Batch, key: jax.Array, iterations: int = ITERATIONS
) -> dict[str, jax.Array]:
    """The largest eigenvalue of the Hessian of the mean loss, from a random vector.

    It is never above the true one but for rounding; the residual is
    |H v - eigenvalue v| of its unit vector v. Both float32 [].
    """
    flat, unravel = ravel_pytree(params)

    def times_hessian(vector: jax.Array) -> jax.Array:
        image = hessian_vector_product(params, unravel(vector), data)
        return ravel_pytree(image)[0]

    start = jax.random.normal(key, flat.shape, flat.dtype)
    diagonal, beside = lanczos(times_hessian, start, iterations)
    tridiagonal = jnp.diag(diagonal) + jnp.diag(beside[:-1], 1)
    values, vectors = jnp.linalg.eigh(tridiagonal + jnp.diag(beside[:-1], -1))
    residual = jnp.abs(beside[-1] * vectors[-1, -1])
    return {"eigenvalue": values[-1], "residual": residual}


def lanczos(
    times: Callable[[jax.Array], jax.Array], start: jax.Array, iterations: int
) -> tuple[jax.Array, jax.Array]:
    """The tridiagonal matrix that a symmetric one is in its Krylov space.

    Lanczos (1950); each vector is made orthogonal to all earlier ones twice, which
    float32 needs. Returns its diagonal, and the numbers beside it, both [iterations];
    the last of these would lead on to the next row.
    """

    def step(basis, index):
        image = times(basis[index])
        on_diagonal = basis[index] @ image
        for _ in range(2):
            image = image - (basis @ image) @ basis
        length = jnp.linalg.norm(image)
        following = image / jnp.maximum(length, jnp.finfo(image.dtype).tiny)
        return basis.at[index + 1].set(following), (on_diagonal, length)

    basis = jnp.zeros((iterations + 1, *start.shape), start.dtype)
    basis = basis.at[0].set(start / jnp.linalg.norm(start))
    _, (diagonal, beside) = lax.scan(step, basis, jnp.arange(iterations))
    return diagonal, beside


def entries(measured: dict[str, jax.Array]) -> list[dict[str, float | None]]:
    """What a row holds of the sharpness of each of some networks."""
    pairs = zip(*map(finites, measured.values()), strict=True)
    return [dict(zip(measured, pair, strict=True)) for pair in pairs]


def layerwise_sgd(rates: jax.Array) -> optax.GradientTransformation:
    """SGD with one learning rate a layer, input to output: float32 [layers]."""

    def update(grads: Layers, opt_state: Any, params: Any = None) -> Any:
        updates = tuple(
            jax.tree.map(lambda grad, rate=rate: -rate * grad, layer)
            for rate, layer in zip(rates, grads, strict=True)
        )
        return updates, opt_state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def fit_rates(
    recipe: Recipe,
    rates: Sequence[tuple[float, ...]],  # [C, layers], input to output
    train: Batch,
    held_out: Sequence[Batch] = (),
    *,
    seed: int,
) -> Iterator[Epoch]:
    """Train a network for each of C combinations; arrays have a first axis of them."""
    return ensemble.fit_many(
        lambda key: network.init(key, recipe.layer_sizes),
        network.loss_fn,
        layerwise_sgd,
        train,
        held_out,
        seeds=[seed] * len(rates),
        learning_rates=np.array(rates, np.float32),
        batch_size=recipe.batch_size,
        num_epochs=recipe.num_epochs,
    )


def train_all(run: Run[Any], key: jax.Array) -> Generator[Row, None, Layers]:
    """Train a network for each combination of rates, and test all of them at the end.

    Yields rows "rates", one an epoch, and one "test"; of the networks with one rate in
    all layers also "sharpness", before the first epoch and after each. Returns the
    last network, NumPy; raises NonFiniteLoss where it diverged.
    """
    recipe, rates, seed = run.config.recipe, run.config.combinations, run.config.seed
    uniform = [index for index, row in enumerate(rates) if len(set(row)) == 1]
    curved = jax.device_put(first_images(run, run.config.sharpness_images))
    measure = jax.jit(jax.vmap(sharpness, in_axes=(0, None, None)))

    def sharpness_row(params: Params, number: int) -> Row:
        # Through the host: the networks may lie on several devices.
        chosen = jax.tree.map(lambda leaf: np.asarray(leaf)[uniform], params)
        measured = measure(chosen, curved, jax.random.fold_in(key, number))
        return {
            "part": "sharpness",
            "epoch": number,
            "learning_rates": [rates[index][0] for index in uniform],
            "images": len(curved.label),
            "sharpness": entries(measured),
        }

    yield sharpness_row(initial(run, len(rates)), 0)
    held_out = (run.data.validation,)
    for epoch in fit_rates(recipe, rates, run.data.train, held_out, seed=seed):
        [validation] = epoch.held_out
        seen = int(validation.seen[-1])
        yield {
            "part": "rates",
            "epoch": epoch.number,
            "rates": rates,
            "train_loss": finites(epoch.train.mean_loss),
            "validation_accuracy": finites(validation.accuracy) if seen else None,
            "seconds": epoch.seconds,  # of all networks together
            "compile_seconds": epoch.compile_seconds,
        }
        with models.divergence_named("relu_softmax", recipe):
            training.require_finite(epoch.number, epoch.train.loss[-1])
        yield sharpness_row(epoch.state.params, epoch.number)
    evaluate = jax.jit(ensemble.make_evaluate(network.loss_fn))
    totals = jax.device_get(evaluate(epoch.state.params, run.data.test))
    correct, seen = totals.correct.tolist(), int(totals.seen[0])
    yield {"part": "test", "rates": rates, "correct": correct, "seen": seen}
    return jax.tree.map(lambda leaf: np.array(leaf[-1]), epoch.state.params)


def first_images(run: Run[Any], count: int | None) -> Batch:
    """So many of the training images; or all."""
    return Batch(run.data.train.image[:count], run.data.train.label[:count])


def initial(run: Run[Any], count: int) -> Layers:
    """The run's initial parameters `count` times, along a first axis of every leaf."""
    key = training.run_keys(run.config.seed).init
    params = network.init(key, run.config.layer_sizes)
    return jax.tree.map(lambda leaf: jnp.stack([leaf] * count), params)


def descend(run: Run[Any], key: jax.Array) -> Iterator[Row]:
    """Full-batch descent, a network a rate, from the same weights; a row a 5 steps."""
    rates = run.config.descent_rates
    data = jax.device_put(first_images(run, run.config.sharpness_images))

    @jax.jit
    @partial(jax.vmap, in_axes=(0, 0, None, None))
    def descend_steps(params: Layers, rate: jax.Array, data: Batch, key: jax.Array):
        def step(params: Layers, _: None) -> tuple[Layers, None]:
            grads, _ = jax.grad(network.loss_fn, has_aux=True)(params, data)
            return jax.tree.map(lambda p, g: p - rate * g, params, grads), None

        params, _ = lax.scan(step, params, None, length=EVERY)
        measured = sharpness(params, data, key, DESCENT_ITERATIONS)
        return params, network.loss_fn(params, data)[0], measured

    params = initial(run, len(rates))
    for step in range(EVERY, run.config.descent_steps + 1, EVERY):
        params, losses, measured = descend_steps(
            params, jnp.float32(rates), data, jax.random.fold_in(key, step)
        )
        yield {
            "part": "descent",
            "step": step,
            "learning_rates": rates,
            "images": len(data.label),
            "loss": finites(losses),
            "sharpness": entries(measured),
        }
