"""What a finished run leaves behind, and the measures that tell its state.

Everything here is NumPy on the host, apart from the code that trained the run.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

Cost = Literal["quadratic", "cross_entropy"]

FLAT = 1e-6  # a sigmoid's slope through which nothing is learned; at most 0.25


class Run(NamedTuple):
    """What a run leaves behind: N held-out images, K classes; None where unknown.

    Host arrays. Outputs are activations in (0, 1) for the quadratic cost, logits or
    log-probabilities for the cross-entropy.
    """

    cost: Cost  # the recipe's
    labels: np.ndarray  # int [N]
    answers: np.ndarray  # int [N], the classes that the program gives
    accuracy: float  # on these images, as the program reports it
    seen: int  # images that its evaluation counted
    loss: float | None = None  # mean on these images, as the program reports it
    train_loss: Sequence[float] = ()  # mean, an entry an epoch
    train_seen: int | None = None  # images trained on in an epoch
    first: Any = None  # parameters before training, input to output
    last: Any = None  # and after it
    outputs: np.ndarray | None = None  # float [N, K], after training
    first_outputs: np.ndarray | None = None  # float [N, K], before it
    hidden: Sequence[np.ndarray] = ()  # activations [N, size] of each hidden layer
    inputs: np.ndarray | None = None  # float [n, pixels] that reach the first layer


def mean_loss(cost: Cost, outputs: np.ndarray, labels: np.ndarray) -> float:
    """The recipe's loss in float64: half the squared distance, or cross-entropy."""
    outputs = np.asarray(outputs, np.float64)
    rows = np.arange(len(labels))
    if cost == "quadratic":
        targets = np.zeros_like(outputs)
        targets[rows, labels] = 1.0
        return float(np.mean(np.sum((outputs - targets) ** 2, axis=1)) / 2)
    shifted = outputs - outputs.max(axis=1, keepdims=True)
    log_sum = np.log(np.sum(np.exp(shifted), axis=1))
    return float(np.mean(log_sum - shifted[rows, labels]))


def guess_loss(cost: Cost, labels: np.ndarray) -> float:
    """The least loss of one constant output: the labels' frequencies p."""
    share = np.bincount(labels) / len(labels)
    if cost == "quadratic":
        return float((1 - np.sum(share**2)) / 2)
    return float(-np.sum(share * np.log(np.where(share > 0, share, 1.0))))


def flat_share(cost: Cost, hidden: Sequence[np.ndarray]) -> float:
    """The share of hidden activations that let no gradient through.

    Sigmoids (quadratic cost) at 0 or 1, ReLUs (cross-entropy) at 0.
    """
    values = np.concatenate([np.ravel(layer) for layer in hidden])
    slopes = values * (1 - values) if cost == "quadratic" else values
    return float(np.mean(slopes < FLAT))


def error_slope(outputs: np.ndarray, labels: np.ndarray) -> float:
    """Mean slope a (1 - a) of sigmoid outputs, each weighted by its error |a - y|.

    The quadratic cost's gradient is the error times this slope (Nielsen, chapter 2,
    equation BP1): near 0, errors teach nothing. Between 0 and 0.25.
    """
    outputs = np.asarray(outputs, np.float64)
    errors = np.abs(outputs - np.eye(outputs.shape[1])[labels])
    return float(np.sum(errors * outputs * (1 - outputs)) / max(np.sum(errors), 1e-30))


def change(first: Any, last: Any) -> float:
    """Root mean square change of the parameters."""
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(last), strict=True)
    parts = [np.ravel(np.subtract(b, a, dtype=np.float64)) for a, b in pairs]
    return float(np.sqrt(np.mean(np.concatenate(parts) ** 2)))
