"""What is compared: for each choice its arms, which differ in nothing else."""

import itertools
import math
from typing import Any, NamedTuple

import jax
import numpy as np
import scipy

from jaxnets.data import Dataset, first_examples
from jaxnets.ensemble import Init
from jaxnets.models import MODELS, Model
from jaxnets.pixels import WHITE
from jaxnets.types import Batch, Dense, Layers, LossFn, Params, Totals

MODEL_1, MODEL_2 = MODELS["sigmoid_mse"], MODELS["relu_softmax"]
GOLDEN = (5**0.5 - 1) / 2
EQUAL = 0.01  # of equal weights: with 1 the sigmoids are flat, another mistake


class Arm(NamedTuple):
    """Networks that differ in nothing but the seed."""

    name: str
    init: Init
    loss_fn: LossFn
    rate: float | None  # None: the best of the grid
    batch_size: int
    num_epochs: int  # at most
    patience: int  # epochs without a better validation accuracy that end a network


def _arm(
    name: str, model: Model, num_epochs: int, patience: int, **changes: Any
) -> Arm:
    """A model by its recipe, but for the changes."""
    recipe, network = model.recipe, model.network
    arm = Arm(
        name,
        init=lambda key: network.init(key, recipe.layer_sizes),
        loss_fn=network.loss_fn,
        rate=recipe.learning_rate,
        batch_size=recipe.batch_size,
        num_epochs=num_epochs,
        patience=patience,
    )
    return arm._replace(**changes)


def rate_arms(config: Any) -> list[Arm]:
    """Model 2 at the recipe's rate and at a smaller one.

    An epoch at a tenth of the rate moves the weights a tenth as far: patience lasts
    as many times longer, or it would end a network whose loss still falls.
    """
    rate = MODEL_2.recipe.learning_rate
    return [
        _arm(
            f"rate {rate * share:g}",
            MODEL_2,
            config.rate_epochs,
            math.ceil(config.patience / share),
            rate=rate * share,
        )
        for share in (1, config.smaller)
    ]


def scale_arms(config: Any) -> list[Arm]:
    """Model 2 with pixels of one scale, of two, and of a large one; weights as ever."""
    pixels = np.arange(MODEL_2.recipe.layer_sizes[0])
    is_large = {
        "all pixels 0 to 1": pixels < 0,
        "every second 0 to 255": pixels % 2 == 1,
        "all pixels 0 to 255": pixels >= 0,
    }
    arms = []
    for name, large in is_large.items():
        loss_fn = on_scale(MODEL_2.network.loss_fn, np.where(large, WHITE, 1))
        changes = {"rate": None, "loss_fn": loss_fn}
        arm = _arm(name, MODEL_2, config.scale_epochs, config.patience, **changes)
        arms.append(arm)
    return arms


def on_scale(loss_fn: LossFn, scale: np.ndarray) -> LossFn:
    """The loss with pixels of 0 to `scale`, [pixels], for dense layers.

    The first kernel's rows are so many times as large, and the gradient goes through
    the factor.
    """
    factors = scale.astype(np.float32)[:, None]

    def scaled_loss(params: Params, batch: Batch) -> tuple[jax.Array, Totals]:
        first, *others = params
        return loss_fn((first._replace(kernel=first.kernel * factors), *others), batch)

    return scaled_loss


def start_arms(config: Any) -> list[Arm]:
    """Model 1 from random weights, from distinct ones, and from equal ones."""
    sizes = MODEL_1.recipe.layer_sizes
    starts = {
        "distinct, not random": quantiles(sizes),
        "all 0": constant(sizes, 0),
        f"all {EQUAL}": constant(sizes, EQUAL),
    }

    def always(start: Layers) -> Init:
        return lambda key: start

    random = _arm("random", MODEL_1, config.start_epochs, config.patience)
    fixed = ((name, always(start)) for name, start in starts.items())
    return [random, *(random._replace(name=name, init=init) for name, init in fixed)]


def constant(layer_sizes: tuple[int, ...], value: float) -> Layers:
    """Every weight and bias of the same value."""
    return tuple(
        Dense(*(np.full(shape, value, np.float32) for shape in (pair, pair[1:])))
        for pair in itertools.pairwise(layer_sizes)
    )


def quantiles(layer_sizes: tuple[int, ...]) -> Layers:
    """Weights and biases spread as N(0, 1), and no random number in them.

    Weight n of the network is the normal quantile of the fractional part of n times
    the golden section: Weyl's (1916) sequence, which is evenly spread over (0, 1).
    """
    leaves, structure = jax.tree.flatten(constant(layer_sizes, 0))
    ends = np.cumsum([leaf.size for leaf in leaves])
    values = scipy.special.ndtri(np.arange(1, ends[-1] + 1) * GOLDEN % 1)
    parts = np.split(values.astype(np.float32), ends[:-1])
    shaped = [p.reshape(leaf.shape) for p, leaf in zip(parts, leaves, strict=True)]
    return jax.tree.unflatten(structure, shaped)


def first_images(dataset: Dataset, count: int) -> Dataset:
    """The dataset with `count` training images, or all where it has fewer."""
    return first_examples(dataset, min(count, len(dataset.train.label)))


CHOICES = {"rate": rate_arms, "scale": scale_arms, "start": start_arms}
