"""Oracles of lesson 7: plain loops, and Student's distribution."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from lessons.kit.checks import Wrong, array_of, call, number_of, require_equal


def exercise_1(answer: object) -> None:
    """The accuracy of each of three networks."""
    rng = np.random.default_rng(0)
    kernels = rng.normal(size=(3, 5, 4)).astype(np.float32)
    images = rng.normal(size=(7, 5)).astype(np.float32)
    labels = np.argmax(images @ kernels[0], axis=1)
    labels[:2] = (labels[:2] + 1) % 4  # the first network is right on 5 of 7

    def apply(params: dict[str, jax.Array], images: jax.Array) -> jax.Array:
        if jnp.ndim(params["kernel"]) != 2:
            raise ValueError(
                "apply got the parameters of all networks together; it takes one "
                "network's. `jax.vmap` over `in_axes=(0, None)` hands them over singly"
            )
        return jnp.asarray(images) @ params["kernel"]

    networks = {"kernel": jnp.asarray(kernels)}
    result = call(answer, apply, networks, jnp.asarray(images), jnp.asarray(labels))
    table = np.array(
        [np.argmax(images @ kernel, axis=1) == labels for kernel in kernels]
    )
    expected = table.mean(axis=1)
    shape = np.shape(result) if isinstance(result, jax.Array | np.ndarray) else ()
    why = "One number for each network."
    if shape == table.shape:
        why += (
            " You have one for each network and image: take the mean over the images."
        )
    elif shape == (len(images),):
        why += " You have one for each image: the mean is over the other axis."
    elif np.ndim(result) == 0 and not isinstance(result, list | tuple):
        why += " You have taken the mean over the networks as well."
    value = array_of(result, (3,), "For 3 networks and 7 images, the result", why)
    mistakes = {
        "Those are counts. Divide by the number of images.": table.sum(axis=1),
        "Those are the shares of wrong answers.": 1 - expected,
        "Those are percent; a share is asked for.": 100 * expected,
    }
    text = "The answer to an image is the class with the largest output: arg-max."
    require_equal(value, expected, mistakes, text)


def exercise_2(answer: object) -> None:
    """Student's interval of a mean."""
    values = np.array([97.9, 98.1, 97.6, 98.0, 97.8])
    count, mean = len(values), values.mean()
    result = call(answer, values)
    if np.shape(result) != (2,):
        raise Wrong("It must return two numbers: the lower and the upper end.")
    ends = array_of(result, (2,), "The interval")
    t = scipy.stats.t.ppf(0.975, count - 1)  # not by stdtrit, as the answer will
    s, root = np.std(values, ddof=1), math.sqrt(count)
    halves = {
        "That is with 1.96, for many seeds. For few of them Student's t is larger.": (
            1.96 * s / root
        ),
        "The standard deviation has n - 1 in the denominator: `ddof=1`.": (
            t * np.std(values) / root
        ),
        "That is the spread of single seeds. The mean varies less, by sqrt(n).": t * s,
        "Divide by the root of n, not by n.": t * s / count,
        "There are n - 1 degrees of freedom.": (
            scipy.stats.t.ppf(0.975, count) * s / root
        ),
        "2.5 % lie beyond each end, so 97.5 % lie below the upper one.": (
            scipy.stats.t.ppf(0.95, count - 1) * s / root
        ),
        "That is one standard error on each side; multiply by t.": s / root,
    }
    mistakes = {hint: [mean - half, mean + half] for hint, half in halves.items()}
    mistakes["The lower end comes first."] = [mean + t * s / root, mean - t * s / root]
    expected = [mean - t * s / root, mean + t * s / root]
    text = "The middle must be the mean, and half the width t s / sqrt(n)."
    # The ends are near 98, so that a tolerance relative to them would be blunt.
    centred = {hint: np.subtract(wrong, mean) for hint, wrong in mistakes.items()}
    require_equal(ends - mean, np.subtract(expected, mean), centred, text, 1e-3)


def exercise_3(answer: object) -> None:
    """The optimism of choosing the epoch on the test set."""
    rng = np.random.default_rng(2)
    validation = 97 + rng.normal(size=(6, 4))
    test = 96.5 + rng.normal(size=(6, 4))
    seeds = np.arange(4)
    value = number_of(call(answer, validation, test), "The optimism")
    chosen = [test[int(np.argmax(validation[:, seed])), seed] for seed in seeds]
    best = [max(test[:, seed]) for seed in seeds]
    expected = float(np.mean(np.subtract(best, chosen)))
    mistakes = {
        "You compare with the last epoch, not with the one that validation chooses.": (
            float(np.mean(best - test[-1]))
        ),
        "Read the test set at the chosen epoch, not the validation set.": (
            float(np.mean(best - validation.max(axis=0)))
        ),
        "The other way round: the best test epoch is the higher one.": -expected,
        "Each seed has its own best epoch: take the maximum over the epochs, axis 0.": (
            float(np.max(test) - np.mean(chosen))
        ),
        "Each seed has its own chosen epoch; you chose one for all.": (
            float(np.mean(best - test[np.argmax(validation.mean(axis=1))]))
        ),
        "The mean over the seeds is asked for, not the sum.": 4 * expected,
    }
    rows = test[np.argmax(validation, axis=0)]
    mistakes[
        "`test[chosen]` takes whole rows, the epochs with all their seeds. Give each "
        "epoch its own seed: `test[chosen, np.arange(num_seeds)]`."
    ] = float(np.mean(best - rows))
    # An epoch chosen along the wrong axis is a seed, and may not exist.
    text = "For each column: the largest test value, minus the test value in the row "
    text += "where the validation column is largest."
    require_equal(value, expected, mistakes, text)
