"""What looks wrong with a finished run, from what it leaves behind.

`diagnose` takes a `Run` and names mistakes (evaluation, untrained, equal weights, byte
range, another cost, diverging, saturated, labels out of step) and symptoms in the
answers (collapsed, never answered). An empty list says that nothing looks wrong.

Whatever is called little or much is so against the labels' own frequencies: a network
that is as one-sided as its labels is no suspect. The limits below were set between what
20 healthy networks show and what `experiments/bugs` measures of each mistake; the
figures beside them are from there. It then judges them on networks of other seeds, data
and learning rates, and counts how often healthy ones show each finding. A symptom is no
mistake: a tenth of Model 1's healthy networks never answer some class. Everything is
NumPy on the host.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
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
    names: Sequence[str] = ()  # of the classes; without them, their numbers


class Finding(NamedTuple):
    """Something that looks wrong."""

    kind: str  # one of those in `CHECKS`, "labels", "collapsed" or "never_answered"
    text: str  # a sentence


def diagnose(run: Run) -> list[Finding]:
    """Name what looks wrong, causes first; empty where nothing does.

    Raises InputError where there is no image, or outputs do not fit the labels.
    """
    _require_images(run)
    causes = [
        Finding(kind, text) for kind, check in CHECKS.items() for text in check(run)
    ]
    return [*(causes or _labels(run)), *_symptoms(run)]


# Measures.


def mean_loss(cost: Cost, outputs: np.ndarray, labels: np.ndarray) -> float:
    """The recipe's loss in float64: half the squared distance, or cross-entropy."""
    outputs = np.asarray(outputs, np.float64)
    if cost == "quadratic":
        targets = np.eye(outputs.shape[1])[labels]
        return float(np.mean(np.sum((outputs - targets) ** 2, axis=1)) / 2)
    shifted = outputs - outputs.max(axis=1, keepdims=True)
    log_sum = np.log(np.sum(np.exp(shifted), axis=1))
    return float(np.mean(log_sum - shifted[np.arange(len(labels)), labels]))


def guess_loss(cost: Cost, labels: np.ndarray) -> float:
    """The least loss of one constant output: the labels' frequencies p."""
    share = np.bincount(labels) / len(labels)
    if cost == "quadratic":
        return float((1 - np.sum(share**2)) / 2)
    return float(-np.sum(share * np.log(np.where(share > 0, share, 1.0))))


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


def _scores(run: Run) -> tuple[float, float | None]:
    """Accuracy and mean loss of the outputs; without them, as the program reports."""
    if run.outputs is None:
        return run.accuracy, run.loss
    right = float(np.mean(run.outputs.argmax(axis=1) == run.labels))
    return right, mean_loss(run.cost, run.outputs, run.labels)


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


def _evaluated(run: Run) -> Iterator[str]:
    if run.seen > len(run.labels):
        yield (
            f"{run.seen:,} images were evaluated, of {len(run.labels):,}: is a last "
            "batch filled up, or are some seen twice?"
        )
    elif run.seen < len(run.labels):
        yield (
            f"{run.seen:,} of {len(run.labels):,} images were evaluated: is a last, "
            "partial batch dropped?"
        )


def _evaluation(run: Run) -> Iterator[str]:
    """The network's outputs, or without them its loss, against the reported score."""
    count = len(run.labels)
    tolerance = abs(count - run.seen) + max(TIES, EVALUATION_TOLERANCE * count)
    right, loss = _scores(run)
    if run.outputs is not None:
        excess = abs(right * count - run.accuracy * run.seen)
        score = f"{right:.2%} of its outputs"
    elif loss is not None and np.isfinite(loss):
        # A wrong arg-max has another output at or above the label's: the quadratic
        # cost of that image is then 1/4 or more, its cross-entropy log 2 or more.
        right = 1 - loss / (0.25 if run.cost == "quadratic" else np.log(2))
        excess = right * count - run.accuracy * run.seen
        score = f"{right:.2%} or more, by its loss of {loss:.3g},"
    else:
        return
    if not excess <= tolerance:
        yield (
            f"the evaluation reports {run.accuracy:.2%}, but {score} are right: see "
            "how answers and labels are made and compared"
        )


def _equal_weights(run: Run) -> Iterator[str]:
    for leaves in _hidden_layers(run):
        size = max(np.abs(leaf).max() for leaf in leaves if leaf.ndim > 1)
        spread = max(np.ptp(leaf, axis=-1).max() for leaf in leaves)
        num_neurons = leaves[0].shape[-1]
        if num_neurons > 1 and spread <= EQUAL * size:
            yield (
                f"the {num_neurons} neurons of a hidden layer have equal weights and "
                "count as one: start from random ones"
            )
            return


def _hidden_layers(run: Run) -> list[list[np.ndarray]]:
    """Kernels and biases of each layer but the output's.

    A layer is what a node of the pytree holds for as many neurons. The last that is as
    wide as there are classes is the output's: the targets tell its neurons apart.
    """
    nodes = defaultdict(list)
    params = run.first if run.last is None else run.last
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if np.ndim(leaf):
            nodes[path[:-1], np.shape(leaf)[-1]].append(np.asarray(leaf))
    layers = [
        leaves for leaves in nodes.values() if max(leaf.ndim for leaf in leaves) > 1
    ]
    classes = 1 + np.max(run.labels) if run.outputs is None else run.outputs.shape[1]
    is_output = [leaves[0].shape[-1] == classes for leaves in layers]
    places = np.flatnonzero(is_output) if any(is_output) else [len(layers) - 1]
    return layers[: places[-1]] + layers[places[-1] + 1 :]


def _untrained(run: Run) -> Iterator[str]:
    if run.train_seen == 0:
        yield "no image was trained on: is the data's iterator used up?"
    elif _is_unmoved(run):
        yield "no parameter moved: is the step's result kept, and is there a gradient?"


def _is_unmoved(run: Run) -> bool:
    if run.first is None or run.last is None:
        losses = np.asarray(run.train_loss)
        return len(losses) > 1 and bool(np.ptp(losses) <= UNMOVED * abs(losses[0]))
    zero = jax.tree.map(np.zeros_like, run.last)
    return change(run.first, run.last) <= UNMOVED * change(zero, run.last)


def _byte_range(run: Run) -> Iterator[str]:
    largest = 0 if run.inputs is None else np.abs(run.inputs).max()
    if largest > BYTE_RANGE:
        yield f"inputs reach {largest:.0f}: pixels look like bytes; divide them by 255"


def _other_cost(run: Run) -> Iterator[str]:
    _, expected = _scores(run)
    if run.loss is None or expected is None or not np.isfinite(run.loss):
        return
    if not abs(run.loss - expected) <= COST_TOLERANCE * expected + LEAST_LOSS:
        yield (
            f"the reported loss is {run.loss:.3g}, the recipe's {expected:.3g} on the "
            "same outputs: a sum in place of a mean, a mean over the outputs, or "
            "targets that are not one-hot?"
        )


def _diverging(run: Run) -> Iterator[str]:
    losses = [*run.train_loss, *([] if run.loss is None else [run.loss])]
    if not np.all(np.isfinite(losses)):
        yield "a loss is not finite: try a smaller learning rate"
        return
    if not len(run.train_loss) or run.train_seen == 0 or _is_unmoved(run):
        return
    before, after = run.train_loss[0], run.train_loss[-1]
    if after <= HEDGED * guess_loss(run.cost, run.labels):
        return
    if run.outputs is not None and run.first_outputs is not None:
        before = mean_loss(run.cost, run.first_outputs, run.labels)
        after = mean_loss(run.cost, run.outputs, run.labels)
    if not after <= before:
        yield (
            f"the loss went up, from {before:.3g} to {after:.3g}: see the sign of the "
            "update and the learning rate"
        )


def _saturated(run: Run) -> Iterator[str]:
    share = flat_share(run.cost, run.hidden)
    if share > FLAT_SHARE:  # not NaN, where there is no hidden layer
        yield (
            f"{share:.1%} of the hidden activations let no gradient through: inputs, "
            "first weights or steps are too large"
        )
    elif run.cost == "quadratic" and run.outputs is not None:
        guess = guess_loss(run.cost, run.labels)
        slope = error_slope(run.outputs, run.labels)
        loss = mean_loss(run.cost, run.outputs, run.labels)
        # Labels of one class are no measure of much; comparisons with NaN are false.
        if guess > 0 and slope < ERROR_SLOPE and loss >= MUCH_LOSS * guess:
            yield (
                f"the outputs stand at 0 or 1 where they are wrong (mean slope "
                f"{slope:.1g}), so that errors teach nothing: the steps are too large"
            )


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


def _labels(run: Run) -> Iterator[Finding]:
    """An accuracy near a guess's that no check before this one explains.

    A network that has barely begun stands there too, so it takes a training that has
    run its course: to labels learned by heart, or to a guess that it keeps to.
    """
    losses, guess = run.train_loss, guess_loss(run.cost, run.labels)
    chance = np.max(np.bincount(run.labels)) / len(run.labels)
    right, loss = _scores(run)
    if not len(losses) or chance == 1 or right > chance + SKILL * (1 - chance):
        return
    last = losses[-1]
    by_heart = loss is not None and last < guess <= loss and loss > BY_HEART * last
    settled = False
    if len(losses) >= MIN_EPOCHS and run.first_outputs is not None:
        began = mean_loss(run.cost, run.first_outputs, run.labels)
        came_down = began > FAR * guess and last <= HEDGED * guess
        settled = came_down and losses[(len(losses) - 1) // 2] <= SETTLED * last
    if by_heart or settled:
        yield Finding(
            "labels",
            f"{right:.1%} right is near a guess's {chance:.1%}, though the training "
            f"loss came down to {last:.3g} (a guess's is {guess:.3g}): images and "
            "labels look out of step",
        )


def _symptoms(run: Run) -> Iterator[Finding]:
    """One class is answered to nearly all, more than its share; or some never are."""
    answer = int(np.argmax(np.bincount(run.answers)))
    answered = np.mean(run.answers == answer)
    others = np.sum(run.labels != answer)
    share = others / len(run.labels)
    if others >= MIN_IMAGES and 1 - answered <= COLLAPSED * share:
        yield Finding(
            "collapsed",
            f"it answers {_name(run, answer)} to {answered:.1%} of the images, of "
            f"which {1 - share:.1%} are labelled so",
        )
        return
    labels = np.flatnonzero(np.bincount(run.labels) >= MIN_IMAGES)
    never = [_name(run, label) for label in labels if label not in run.answers]
    if never:
        yield Finding("never_answered", f"it never answers {', '.join(never)}")


def _name(run: Run, label: "int | np.integer") -> str:
    return run.names[int(label)] if run.names else str(label)
