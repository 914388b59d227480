"""What looks wrong with a finished run, from what it leaves behind.

`diagnose` takes a `Run` and names mistakes (evaluation, untrained, equal weights, byte
range, another cost, diverging, saturated, labels out of step) and what is seen in the
answers (collapsed, never answered). An empty list says that nothing looks wrong.

The limits below were set between what 20 healthy networks show and what
`experiments/bugs.py` measures of each mistake; the figures beside them are from there.
"""

from typing import NamedTuple

import jax
import numpy as np

from jaxnets.signs import Run, change, error_slope, flat_share, guess_loss, mean_loss

EVALUATION_TOLERANCE = 0.001  # of the images: float32 ties may fall either way
TIES = 2  # of few images a thousandth is less than one
UNMOVED = 1e-6  # change over size of the parameters: float32's resolution is 6e-8
EQUAL = 1e-4  # spread over size of equal columns; rounding makes 2e-7 of it
BYTE_RANGE = 16.0  # standardised pixels end at 3, bytes at 255
COST_TOLERANCE = 0.01  # of a loss computed twice; float32 makes 1e-5 of it
HEDGED = 1.1  # training loss over a guess's; shuffled labels 1.00 to 1.01
FAR = 1.5  # first loss over a guess's; Model 1 starts at 3 to 6, the others near 1
MIN_EPOCHS = 3  # that show whether a loss still falls
SETTLED = 1.03  # training loss halfway over the last; shuffled 1.00 to 1.03, slow 1.07
BY_HEART = 1.05  # held-out over training loss; shuffled to 1.4, barely trained 1.05
FLAT_SHARE = 0.99  # of hidden activations; bytes 1.000, healthy 0.57 to 0.65
ERROR_SLOPE = 0.015  # steps too large 0 to 0.005, healthy 0.05 to 0.11
MUCH_LOSS = (
    0.25  # of a guess's; healthy 0.05 to 0.16 in training, too large steps 0.5 to 1.1
)
COLLAPSED = 0.95  # of the answers one class; a class has a tenth of the images
NEVER = 10  # images of a class that are too many to be missed by chance


class Finding(NamedTuple):
    """Something that looks wrong."""

    kind: str  # one of those in `CHECKS` and `SYMPTOMS`
    text: str  # a sentence


def diagnose(run: Run) -> list[Finding]:
    """Name what looks wrong, causes first; empty where nothing does."""
    found = [(kind, check(run)) for kind, check in CHECKS.items()]
    if not any(text for _, text in found):
        found.append(("labels", _labels(run)))
    found += [(kind, check(run)) for kind, check in SYMPTOMS.items()]
    return [Finding(kind, text) for kind, text in found if text]


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
        right = int(np.sum(run.outputs.argmax(axis=1) == run.labels))
        apart = abs(run.accuracy * run.seen - right)
        if apart <= missing + tolerance:
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
    params = run.first if run.last is None else run.last
    kernels = [leaf for leaf in jax.tree.leaves(params) if np.ndim(leaf) == 2][:-1]
    for kernel in map(np.asarray, kernels):
        spread = np.ptp(kernel, axis=1).max()
        if kernel.shape[1] > 1 and spread <= EQUAL * np.abs(kernel).max():
            return (
                f"the {kernel.shape[1]} neurons of a hidden layer have equal weights "
                "and count as one: start from random ones"
            )
    return None


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
    if abs(run.loss - expected) <= COST_TOLERANCE * expected:
        return None
    return (
        f"the reported loss is {run.loss / expected:.3g} times the recipe's on the "
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
    if run.hidden and flat_share(run.cost, run.hidden) > FLAT_SHARE:
        share = flat_share(run.cost, run.hidden)
        return (
            f"{share:.1%} of the hidden activations let no gradient through: inputs, "
            "first weights or steps are too large"
        )
    if run.cost != "quadratic" or run.outputs is None:
        return None
    much = MUCH_LOSS * guess_loss(run.cost, run.labels)
    slope = error_slope(run.outputs, run.labels)
    loss = mean_loss(run.cost, run.outputs, run.labels)
    if not slope < ERROR_SLOPE or not loss >= much:  # nor where they are NaN
        return None
    return (
        f"the outputs stand at 0 or 1 where they are wrong (mean slope {slope:.1g}), "
        "so that errors teach nothing: the steps are too large"
    )


def _labels(run: Run) -> str | None:
    """An accuracy near chance that no check before this one explains.

    A network that has barely begun stands there too, so it takes a training that has
    run its course: to labels learned by heart, or to a guess that it keeps to.
    """
    right = run.accuracy
    if run.outputs is not None:
        right = float(np.mean(run.outputs.argmax(axis=1) == run.labels))
    chance = 1 / (1 + int(run.labels.max()))
    if not run.train_loss or right > 2 * chance:
        return None
    if not (_is_by_heart(run) or _has_settled(run)):
        return None
    return (
        f"{right:.1%} right is near chance, though the training loss came down to "
        f"{run.train_loss[-1]:.3g} (a guess's is "
        f"{guess_loss(run.cost, run.labels):.3g}): images and labels look out of step"
    )


def _is_by_heart(run: Run) -> bool:
    """Training labels are known better than by a guess, the held-out ones are not."""
    here = run.loss
    if run.outputs is not None:
        here = mean_loss(run.cost, run.outputs, run.labels)
    if here is None:
        return False
    guess, trained = guess_loss(run.cost, run.labels), run.train_loss[-1]
    return trained < guess <= here and here > BY_HEART * trained


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
    counts = np.bincount(run.answers)
    share = np.max(counts) / len(run.answers)
    if share < COLLAPSED:
        return None
    return f"it answers {np.argmax(counts)} to {share:.1%} of the images"


def _never_answered(run: Run) -> str | None:
    if _collapsed(run):
        return None
    there = np.flatnonzero(np.bincount(run.labels) >= NEVER)
    never = [str(digit) for digit in there if digit not in run.answers]
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
