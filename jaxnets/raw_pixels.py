"""Networks on pixels of 0 to 255, whose own inputs are pixels of 0 to 1."""

import jax

from jaxnets.pixels import WHITE
from jaxnets.types import Batch, LossFn, Params, Totals


def for_bytes(params: Params) -> Params:
    """Weights that do to scaled pixels what `params` would do to raw ones.

    The first kernel is 255 times as large, and the gradient goes through the factor.
    """
    first, *others = params
    return (first._replace(kernel=first.kernel * WHITE), *others)


def on_bytes(loss_fn: LossFn) -> LossFn:
    """The loss with pixels of 0 to 255 in place of 0 to 1."""

    def raw_loss(params: Params, batch: Batch) -> tuple[jax.Array, Totals]:
        return loss_fn(for_bytes(params), batch)

    return raw_loss
