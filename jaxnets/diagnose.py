"""What looks wrong with a finished run, from what it leaves behind.

`diagnose` takes a `Run` and names mistakes (evaluation, untrained, equal weights, byte
range, another cost, diverging, saturated, labels out of step) and symptoms in the
answers (collapsed, never answered). An empty list says that nothing looks wrong.

Whatever is called little or much is so against the labels' own frequencies: a network
that is as one-sided as its labels is no suspect. The limits below were set between what
20 healthy networks show and what `experiments/bugs` measures of each mistake; the
figures beside them are from there. Everything is NumPy on the host.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import numpy as np

from jaxnets.errors import InputError
from jaxnets.types import Params

Cost = Literal["quadratic", "cross_entropy"]

FLAT = 1e-6  # a slope through which nothing is learned; a sigmoid's is at most 0.25
EVALUATION_TOLERANCE = 0.001  # of the images: float32 ties may fall either way
TIES = 2  # of few images a thousandth is less than one
UNMOVED = 1e-6  # change over size of the parameters: float32's resolution is 6e-8
EQUAL = 1e-4  # spread over size of equal columns; rounding makes 2e-7 of it
BYTE_RANGE = 16.0  # standardised pixels end at 3, bytes at 255
COST_TOLERANCE = 0.01  # of a loss computed twice; float32 makes 1e-5 of it
LEAST_LOSS = 1e-6  # below it losses are equal; Keras clips probabilities at 1e-7
HEDGED = 1.1  # training loss over a guess's; shuffled labels 1.00 to 1.01
FAR = 1.5  # first loss over a guess's; Model 1 starts at 3 to 6, the others near 1
MIN_EPOCHS = 3  # that show whether a loss still falls
SETTLED = 1.03  # training loss halfway over the last; shuffled 1.00 to 1.03, slow 1.07
BY_HEART = 1.05  # held-out over training loss; shuffled to 1.4, barely trained 1.05
FLAT_SHARE = 0.99  # of hidden activations; bytes 1.000, healthy 0.57 to 0.65
ERROR_SLOPE = 0.015  # steps too large 0 to 0.005, healthy 0.05 to 0.11
MUCH_LOSS = 0.25  # of a guess's; healthy 0.05 to 0.16, too large steps 0.5 to 1.1
SKILL = 0.11  # of what a guess gets wrong, put right; 20 % right of ten equal classes
COLLAPSED = 0.055  # images answered otherwise over those labelled so; 95 % one class
MIN_IMAGES = 10  # of a class; if answered as often, all are missed with chance e^-10


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
    first: Params | None = None  # parameters before training; kernels [..., in, out]
    last: Params | None = None  # and after it
    outputs: np.ndarray | None = None  # float [N, K], after training
    first_outputs: np.ndarray | None = None  # float [N, K], before it
    hidden: Sequence[np.ndarray] = ()  # activations of each hidden layer, if any
    inputs: np.ndarray | None = None  # float [n, pixels] that reach the first layer


class Finding(NamedTuple):
    """Something that looks wrong."""

    kind: str  # one of those in `CHECKS` and `SYMPTOMS`, or "labels"
    text: str  # a sentence


def diagnose(run: Run) -> list[Finding]:
    """Name what looks wrong, causes first; empty where nothing does.

    Raises:
      InputError: there is no image, or the outputs do not fit the labels.
    """
    _require_images(run)
    texts = [(kind, check(run)) for kind, check in CHECKS.items()]
    if not any(text for _, text in texts):
        texts.append(("labels", _labels(run)))
    texts += [(kind, check(run)) for kind, check in SYMPTOMS.items()]
    return [Finding(kind, text) for kind, text in texts if text]


# Measures.


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


def guess_accuracy(labels: np.ndarray) -> float:
    """The greatest accuracy of one constant answer: the commonest label's share."""
    return float(np.max(np.bincount(labels)) / len(labels))


def flat_share(cost: Cost, hidden: Sequence[np.ndarray]) -> float:
    """The share of hidden activations that let no gradient through; NaN of none.

    Sigmoids (quadratic cost) at 0 or 1, ReLUs (cross-entropy) at 0.
    """
    values = np.concatenate([np.ravel(layer) for layer in hidden] or [np.empty(0)])
    slopes = values * (1 - values) if cost == "quadratic" else values
    return float(np.mean(slopes < FLAT)) if len(values) else float("nan")


def error_slope(outputs: np.ndarray, labels: np.ndarray) -> float:
    """Mean slope a (1 - a) of sigmoid outputs, each weighted by its error |a - y|.

    The quadratic cost's gradient is the error times this slope (Nielsen, chapter 2,
    equation BP1): near 0, errors teach nothing. Between 0 and 0.25.
    """
    outputs = np.asarray(outputs, np.float64)
    errors = np.abs(outputs - np.eye(outputs.shape[1])[labels])
    return float(np.sum(errors * outputs * (1 - outputs)) / max(np.sum(errors), 1e-30))


def change(first: Params, last: Params) -> float:
    """Root mean square change of the parameters, two pytrees of the same structure."""
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(last), strict=True)
    parts = [np.ravel(np.subtract(b, a, dtype=np.float64)) for a, b in pairs]
    return float(np.sqrt(np.mean(np.concatenate(parts) ** 2)))


# Checks: a sentence where something looks wrong.


def _require_images(run: Run) -> None:
    count, classes = len(run.labels), 1 + int(np.max(run.labels, initial=-1))
    if not count or not len(run.answers):
        raise InputError("a run without images shows nothing; give it held-out ones")
    for outputs in (run.outputs, run.first_outputs):
        if outputs is None or (len(outputs) == count and outputs.shape[1] >= classes):
            continue
        raise InputError(
            f"outputs of shape {outputs.shape} do not fit {count} labels of {classes} "
            "classes"
        )


def _evaluated(run: Run) -> str | None:
    count = len(run.labels)
    if run.seen == count:
        return None
    return (
        f"{run.seen:,} of {count:,} images were evaluated: is a last, partial batch "
        "dropped?"
    )


def _evaluation(run: Run) -> str | None:
    """The network's outputs, or without them its loss, against the reported score."""
    count = len(run.labels)
    missing = max(0, count - run.seen)
    tolerance = max(TIES, EVALUATION_TOLERANCE * count)
    if run.outputs is not None:
        right = _share_right(run) * count
        if abs(run.accuracy * run.seen - right) <= missing + tolerance:
            return None
        score = f"{right / count:.2%} of its outputs"
    elif run.loss is not None:
        # A wrong arg-max has another output at or above the label's: the quadratic
        # cost of that image is then 1/4 or more, its cross-entropy log 2 or more.
        least = 0.25 if run.cost == "quadratic" else np.log(2)
        wrong = 1 - run.accuracy * run.seen / count
        if wrong <= run.loss / least + (missing + tolerance) / count:
            return None
        score = f"{1 - run.loss / least:.2%} or more, by its loss of {run.loss:.3g},"
    else:
        return None
    return (
        f"the evaluation reports {run.accuracy:.2%}, but {score} are right: see how "
        "answers and labels are made and compared"
    )


def _share_right(run: Run) -> float:
    """By the outputs, where they are known."""
    if run.outputs is None:
        return run.accuracy
    return float(np.mean(run.outputs.argmax(axis=1) == run.labels))


def _is_unmoved(run: Run) -> bool:
    if run.train_seen == 0:
        return True
    if run.first is None or run.last is None:
        losses = np.asarray(run.train_loss)
        return len(losses) > 1 and bool(np.ptp(losses) <= UNMOVED * abs(losses[0]))
    zero = jax.tree.map(np.zeros_like, run.last)
    return change(run.first, run.last) <= UNMOVED * change(zero, run.last)


def _untrained(run: Run) -> str | None:
    if not _is_unmoved(run):
        return None
    if run.train_seen == 0:
        return "no image was trained on: is the data's iterator used up?"
    return (
        "training moved no parameter: is what the step returns kept, and is there a "
        "gradient?"
    )


def _equal_weights(run: Run) -> str | None:
    for leaves in _hidden_layers(run):
        size = max(np.abs(leaf).max() for leaf in leaves if np.ndim(leaf) > 1)
        spread = max(np.ptp(leaf, axis=-1).max() for leaf in leaves)
        num_neurons = np.shape(leaves[0])[-1]
        if num_neurons > 1 and spread <= EQUAL * size:
            return (
                f"the {num_neurons} neurons of a hidden layer have equal weights and "
                "count as one: start from random ones"
            )
    return None


def _hidden_layers(run: Run) -> list[list[np.ndarray]]:
    """Kernels and biases of each layer but the output's.

    A layer is what a node of the pytree holds for as many neurons. The last that is as
    wide as there are classes is the output's: the targets tell its neurons apart.
    """
    params = run.first if run.last is None else run.last
    nodes: dict[tuple[object, int], list[np.ndarray]] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if np.ndim(leaf):
            key = (path[:-1], np.shape(leaf)[-1])
            nodes.setdefault(key, []).append(np.asarray(leaf))
    layers = [
        leaves for leaves in nodes.values() if max(leaf.ndim for leaf in leaves) > 1
    ]
    classes = 1 + np.max(run.labels) if run.outputs is None else run.outputs.shape[1]
    is_output = [leaves[0].shape[-1] == classes for leaves in layers] or [False]
    output = len(layers) - 1 - (is_output[::-1].index(True) if any(is_output) else 0)
    return [leaves for number, leaves in enumerate(layers) if number != output]


def _byte_range(run: Run) -> str | None:
    if run.inputs is None or np.abs(run.inputs).max() <= BYTE_RANGE:
        return None
    return (
        f"inputs reach {np.abs(run.inputs).max():.0f}: pixels look like bytes; divide "
        "them by 255"
    )


def _other_cost(run: Run) -> str | None:
    if run.outputs is None or run.loss is None or not np.isfinite(run.loss):
        return None
    expected = mean_loss(run.cost, run.outputs, run.labels)
    if abs(run.loss - expected) <= COST_TOLERANCE * expected + LEAST_LOSS:
        return None
    return (
        f"the reported loss is {run.loss:.3g}, the recipe's {expected:.3g} on the "
        "same outputs: a sum in place of a mean, a mean over the outputs, or targets "
        "that are not one-hot?"
    )


def _diverging(run: Run) -> str | None:
    losses = [*run.train_loss, *([] if run.loss is None else [run.loss])]
    if not np.all(np.isfinite(losses)):
        return "a loss is not finite: try a smaller learning rate"
    if not run.train_loss or _is_unmoved(run):
        return None
    if run.train_loss[-1] <= HEDGED * guess_loss(run.cost, run.labels):
        return None
    before, after = run.train_loss[0], run.train_loss[-1]
    if run.outputs is not None and run.first_outputs is not None:
        before = mean_loss(run.cost, run.first_outputs, run.labels)
        after = mean_loss(run.cost, run.outputs, run.labels)
    if after <= before:
        return None
    return (
        f"the loss went up, from {before:.3g} to {after:.3g}: see the sign of the "
        "update and the learning rate"
    )


def _saturated(run: Run) -> str | None:
    share = flat_share(run.cost, run.hidden)
    if share > FLAT_SHARE:  # not NaN, where there is no hidden layer
        return (
            f"{share:.1%} of the hidden activations let no gradient through: inputs, "
            "first weights or steps are too large"
        )
    if run.cost != "quadratic" or run.outputs is None:
        return None
    guess = guess_loss(run.cost, run.labels)
    slope = error_slope(run.outputs, run.labels)
    loss = mean_loss(run.cost, run.outputs, run.labels)
    # Labels of one class are no measure of much; comparisons with NaN are false.
    if not (guess > 0 and slope < ERROR_SLOPE and loss >= MUCH_LOSS * guess):
        return None
    return (
        f"the outputs stand at 0 or 1 where they are wrong (mean slope {slope:.1g}), "
        "so that errors teach nothing: the steps are too large"
    )


def _labels(run: Run) -> str | None:
    """An accuracy near a guess's that no check before this one explains.

    A network that has barely begun stands there too, so it takes a training that has
    run its course: to labels learned by heart, or to a guess that it keeps to.
    """
    right, chance = _share_right(run), guess_accuracy(run.labels)
    if not run.train_loss or chance == 1 or right > chance + SKILL * (1 - chance):
        return None
    if not (_is_by_heart(run) or _has_settled(run)):
        return None
    return (
        f"{right:.1%} right is near a guess's {chance:.1%}, though the training loss "
        f"came down to {run.train_loss[-1]:.3g} (a guess's is "
        f"{guess_loss(run.cost, run.labels):.3g}): images and labels look out of step"
    )


def _is_by_heart(run: Run) -> bool:
    """Training labels are known better than by a guess, the held-out ones are not."""
    loss = run.loss
    if run.outputs is not None:
        loss = mean_loss(run.cost, run.outputs, run.labels)
    if loss is None:
        return False
    guess, trained = guess_loss(run.cost, run.labels), run.train_loss[-1]
    return trained < guess <= loss and loss > BY_HEART * trained


def _has_settled(run: Run) -> bool:
    """The training loss came down a long way to a guess's, and stays there."""
    losses = run.train_loss
    if len(losses) < MIN_EPOCHS or run.first_outputs is None:
        return False
    guess = guess_loss(run.cost, run.labels)
    began = mean_loss(run.cost, run.first_outputs, run.labels)
    middle, last = losses[(len(losses) - 1) // 2], losses[-1]
    return began > FAR * guess and last <= HEDGED * guess and middle <= SETTLED * last


def _collapsed(run: Run) -> str | None:
    """One class is answered to nearly all, more than its share of the labels."""
    counts = np.bincount(run.answers)
    answer = int(np.argmax(counts))
    answered = counts[answer] / len(run.answers)
    others = int(np.sum(run.labels != answer))
    if others < MIN_IMAGES or 1 - answered > COLLAPSED * others / len(run.labels):
        return None
    return (
        f"it answers {answer} to {answered:.1%} of the images, of which "
        f"{1 - others / len(run.labels):.1%} are labelled so"
    )


def _never_answered(run: Run) -> str | None:
    if _collapsed(run):
        return None
    labels = np.flatnonzero(np.bincount(run.labels) >= MIN_IMAGES)
    never = [str(label) for label in labels if label not in run.answers]
    return f"it never answers {', '.join(never)}" if never else None


CHECKS = {
    "evaluated": _evaluated,
    "evaluation": _evaluation,
    "equal_weights": _equal_weights,
    "untrained": _untrained,
    "byte_range": _byte_range,
    "other_cost": _other_cost,
    "diverging": _diverging,
    "saturated": _saturated,
}
SYMPTOMS = {"collapsed": _collapsed, "never_answered": _never_answered}
