"""Training the arms' networks, many seeds at once, and what follows from it.

A row is one network after one epoch, until it has ended:

    choice, arm, stage, seed, rate   of the network; stage "tune" or "compare"
    epoch                            1 for the first
    train_loss                       mean; null where it is not finite
    validation_accuracy

Its last row is of the epoch that is best on the validation set, the first of equals:
`chosen_epoch` in place of `epoch`, `plateau`, whether patience ended it and not the
number of epochs, and where it is compared `test_accuracy` and `fitted_loss`: of the
weights chosen, the mean loss on the training images. An epoch's `train_loss` is one
over its batches, while the weights move.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
import optax

from experiments.choices.arms import CHOICES, Arm, first_images
from experiments.kit.numbers import finite, finites
from experiments.kit.progress import Progress
from experiments.kit.run import Row
from experiments.kit.statistics import compare_pairs, median_interval
from jaxnets import ensemble
from jaxnets.data import Dataset
from jaxnets.types import Params

FIRST_TUNED = 10**6  # seeds from here on tune, so that none of them is compared
KEPT = ("seed", "test_accuracy", "chosen_epoch", "plateau", "fitted_loss")
SHOWN = 20  # epochs from one line on the screen to the next


def measure(config: Any, dataset: Dataset) -> Iterator[Row]:
    """Train the networks of every choice, arm after arm, each with its own seeds."""
    tuned = range(FIRST_TUNED, FIRST_TUNED + config.tune_seeds)
    few = first_images(dataset, config.images)
    plan = [
        (choice, arm, range(place * config.seeds, (place + 1) * config.seeds))
        for choice in config.choices
        for place, arm in enumerate(CHOICES[choice](config))
    ]
    totals = {arm.name: config.seeds for _, arm, _ in plan}
    with jax.default_matmul_precision("highest"), Progress(totals) as progress:
        for choice, arm, seeds in plan:
            data = dataset if choice == "start" else few
            head: Row = {"choice": choice, "arm": arm.name}
            rate = arm.rate
            tries: list[Row] = []
            if rate is None:
                progress.text(arm.name, f"trying {len(config.grid)} rates")
                networks = [(seed, rate) for rate in config.grid for seed in tuned]
                for row in train(arm, data, networks):
                    tries.append({**head, "stage": "tune", **row})
                    yield tries[-1]
                rate = best_rate(tries)
            progress.text(arm.name, "compiling")
            networks = [(seed, rate) for seed in seeds]
            for row in train(arm, data, networks, test=True):
                yield {**head, "stage": "compare", **row}
                if "chosen_epoch" in row:
                    accuracy = f"test accuracy {row['test_accuracy']:.2%}"
                    progress.advance(arm.name, text=accuracy)
                elif row["epoch"] % SHOWN == 0 and row["seed"] == seeds[0]:
                    progress.text(arm.name, f"epoch {row['epoch']}")


def train(
    arm: Arm,
    data: Dataset,
    networks: Sequence[tuple[int, float]],
    *,
    test: bool = False,
) -> Iterator[Row]:
    """Rows of networks of these seeds and rates, trained several at once."""
    evaluate = jax.jit(ensemble.make_evaluate(arm.loss_fn))
    at_once = ensemble.num_at_once(
        arm.init, arm.loss_fn, optax.sgd(1.0), data.train, batch_size=arm.batch_size
    )
    for group in ensemble.chunks(range(len(networks)), at_once):
        seeds, rates = zip(*(networks[index] for index in group), strict=True)
        heads = [{"seed": s, "rate": r} for s, r in zip(seeds, rates, strict=True)]
        chosen = np.zeros(len(group), int)  # the best epoch so far
        best = np.full(len(group), -1.0)  # validation accuracy in it
        weights: Params = None  # after it
        for epoch in ensemble.fit_many(
            arm.init,
            arm.loss_fn,
            optax.sgd,
            data.train,
            (data.validation,),
            seeds=seeds,
            learning_rates=np.array(rates),
            batch_size=arm.batch_size,
            num_epochs=arm.num_epochs,
        ):
            accuracy = epoch.held_out[0].accuracy
            # Whose plateau is behind it has ended, whatever it does with the others.
            goes_on = epoch.number - chosen <= arm.patience
            better = goes_on & (accuracy > best)
            chosen = np.where(better, epoch.number, chosen)
            best = np.where(better, accuracy, best)
            params = jax.device_get(epoch.state.params)
            weights = params if weights is None else _where(better, params, weights)
            for index in np.flatnonzero(goes_on).tolist():
                yield {
                    **heads[index],
                    "epoch": epoch.number,
                    "train_loss": finite(epoch.train.mean_loss[index]),
                    "validation_accuracy": float(accuracy[index]),
                }
            plateau = epoch.number - chosen >= arm.patience
            if plateau.all():
                break
        ends = {
            "chosen_epoch": chosen.tolist(),
            "validation_accuracy": best.tolist(),
            "plateau": plateau.tolist(),
        }
        if test:
            fitted, tested = (evaluate(weights, d) for d in (data.train, data.test))
            ends["fitted_loss"] = finites(fitted.mean_loss)
            ends["test_accuracy"] = np.asarray(tested.accuracy).tolist()
        for index, head in enumerate(heads):
            yield {**head, **{key: values[index] for key, values in ends.items()}}


def _where(chosen: np.ndarray, new: Params, old: Params) -> Params:
    """The new parameters of the networks chosen, bool [S], the old ones of others."""
    return jax.tree.map(
        lambda n, o: np.where(chosen.reshape(-1, *[1] * (n.ndim - 1)), n, o), new, old
    )


def results(rows: Sequence[Row]) -> dict[str, Any]:
    """By choice its arms, of the finished networks, and their pairs, by Holm."""
    content: dict[str, Any] = {}
    for row in rows:
        if "test_accuracy" in row:
            arms = content.setdefault(row["choice"], {"arms": {}})["arms"]
            arm = arms.setdefault(row["arm"], {"rate": row["rate"]})
            for key in KEPT:
                arm.setdefault(key, []).append(row.get(key))  # older rows lack a loss
    for choice in content.values():
        for name, arm in choice["arms"].items():
            arm["mean"] = float(np.mean(arm["test_accuracy"]))
            arm["median"] = float(np.median(arm["test_accuracy"]))
            arm["median_interval_95"] = median_interval(arm["test_accuracy"])
            arm["median_epoch"] = float(np.median(arm["chosen_epoch"]))
            losses = [np.inf if loss is None else loss for loss in arm["fitted_loss"]]
            arm["median_loss"] = finite(np.median(losses))
            arm["tried"] = tried([row for row in rows if row["arm"] == name])
        scores = {name: arm["test_accuracy"] for name, arm in choice["arms"].items()}
        choice["pairs"] = [pair.as_row() for pair in compare_pairs(scores)]
    return content


def tried(rows: Sequence[Row]) -> list[list[float]]:
    """Each rate that an arm's rows try, and its networks' mean validation accuracy."""
    shares: dict[float, list[float]] = {}
    for row in rows:
        if row["stage"] == "tune" and "chosen_epoch" in row:
            shares.setdefault(row["rate"], []).append(row["validation_accuracy"])
    return [[rate, float(np.mean(shares[rate]))] for rate in sorted(shares)]


def best_rate(rows: Sequence[Row]) -> float:
    """The rate that validates best."""
    return max(tried(rows), key=lambda entry: entry[1])[0]
