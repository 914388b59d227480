"""The measurements: the networks of every step, no two with the same seed.

A row is a network, or an ensemble of some of the last step's:

    step, seed       of the ensemble's first network
    test_accuracy
    seconds          of training and answering, without compiling
"""

from collections.abc import Iterator, Mapping

import jax
import numpy as np

from experiments.kit.progress import Progress
from experiments.kit.run import Row
from experiments.ladder.steps import LAST
from experiments.speedrun.settings import Settings
from experiments.speedrun.train import compile_programs, run_once
from jaxnets.data import Dataset


def measure(
    settings: Mapping[str, Settings],
    data: Dataset,
    *,
    seeds: int,
    first_seed: int,
    ensemble: int,
) -> Iterator[Row]:
    """Train `seeds` networks of each step; test each once, and the last's together."""
    totals = dict.fromkeys(settings, seeds)
    with jax.default_matmul_precision("highest"), Progress(totals) as progress:
        for number, (name, of_step) in enumerate(settings.items()):
            progress.text(name, "compiling")
            programs = compile_programs(of_step, data.train, data.test)
            start = first_seed + number * seeds
            probabilities, seconds = [], 0.0  # of the networks of an ensemble
            for seed in range(start, start + seeds):
                outcome = run_once(
                    programs, of_step.num_epochs, seed, data.train, data.test.image
                )
                accuracy = outcome.accuracy(data.test.label)
                progress.advance(name, text=f"test accuracy {accuracy:.2%}")
                yield _row(name, seed, accuracy, outcome.seconds)
                probabilities.append(outcome.probability)
                seconds += outcome.seconds
                if len(probabilities) == ensemble and number == len(settings) - 1:
                    answers = np.mean(probabilities, axis=0).argmax(axis=-1)
                    accuracy = float(np.mean(answers == data.test.label))
                    yield _row(LAST, seed - ensemble + 1, accuracy, seconds)
                    probabilities, seconds = [], 0.0


def _row(step: str, seed: int, accuracy: float, seconds: float) -> Row:
    return {"step": step, "seed": seed, "test_accuracy": accuracy, "seconds": seconds}
