"""What does each step add on the way from a plain network to those of the records?

    python -m experiments.ladder

A plain network and ten steps, each on top of those before: a one-cycle learning rate,
width, dropout, max-norm, smoothed labels, averaged weights, then random shifts, affine
and elastic distortions, and an ensemble. Each step has networks of its own seeds, and
is compared with the step before; where the seeds cannot tell, the table says so.
Published results of fully connected networks stand beside.

All steps train for the same number of epochs, which favours steps that need few: what
regularises pays off later. Nothing is chosen by the test set, which each network sees
once. A ladder that was broken off goes on at its next network with --resume RUN.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import numpy as np

from experiments.kit.command import run_command
from experiments.kit.options import Resumable, require_at_least
from experiments.kit.progress import Progress
from experiments.kit.provenance import source_sha256
from experiments.kit.run import Row, Run
from experiments.kit.statistics import EQUAL, SIGNIFICANCE, compare_pairs, paired
from experiments.ladder.steps import CHANGES, FIRST, LAST, PUBLISHED, steps
from experiments.speedrun.settings import Settings
from experiments.speedrun.train import compile_programs, run_once, validate_data
from jaxnets import training
from jaxnets.errors import InputError

SOURCE = ("jaxnets", "experiments.speedrun", "experiments.ladder")


@dataclass(frozen=True, kw_only=True)
class Config(Resumable):
    """How many networks, and how long they train."""

    fixed: ClassVar[tuple[str, ...]] = ("seeds", "first_seed", "ensemble")

    seeds: int = 12
    """Networks of each step."""
    first_seed: int = 0
    """The seeds count up from here; the next step goes on where one ends."""
    ensemble: int = 3
    """Networks of the last step whose mean probabilities answer together."""
    epochs: int = 10
    """Epochs of each network."""
    batch_size: int = 128
    """Images an update."""


def main(config: Config) -> dict[str, Any]:
    """Climb; return the content of results.json."""
    validate_config(config)
    source = {"source_sha256": source_sha256(*SOURCE)}
    run = Run.open("ladder", config, settings=lambda _: source)
    config = run.config
    settings = steps(config.epochs, config.batch_size)
    validate_data(settings[FIRST], run.data)
    run.record(measure(run, settings))
    content = results(run.rows, config.ensemble)
    from experiments.ladder import page  # loads Matplotlib

    return run.publish(
        content,
        title="What each step adds",
        lead=lambda: page.lead(content),
        sections=lambda: page.sections(content),
        facts={"epochs": str(config.epochs), "batch size": str(config.batch_size)},
    )


def validate_config(config: Config) -> None:
    """Raise InputError where an option makes no sense whatever the data."""
    require_at_least(config, seeds=1, first_seed=0, ensemble=1, epochs=1, batch_size=1)
    if config.ensemble > config.seeds:
        raise InputError(f"ensemble={config.ensemble} must be at most {config.seeds=}")
    training.require_seed(config.first_seed + len(CHANGES) * config.seeds - 1)


def measure(run: Run, settings: Mapping[str, Settings]) -> Iterator[Row]:
    """Train networks of each step; test each once, and some of the last's together.

    What an earlier session of a resumed run has done is passed by. A row is a network,
    or an ensemble of some of the last step's:

        step, seed       of the ensemble's first network
        test_accuracy
        seconds          of training and answering, without compiling
    """
    config, data = run.config, run.data
    seeds, ensemble = config.seeds, config.ensemble
    totals = dict.fromkeys(settings, seeds)
    finished = {(row["step"], row["seed"]) for row in run.rows}
    with jax.default_matmul_precision("highest"), Progress(totals) as progress:
        for number, (name, of_step) in enumerate(settings.items()):
            start = config.first_seed + number * seeds
            of_all = range(start, start + seeds)
            left = [seed for seed in of_all if (name, seed) not in finished]
            if len(left) < seeds:
                count = seeds - len(left)
                progress.advance(name, count, f"{count} finished before")
            if not left:
                continue
            progress.text(name, "compiling")
            programs = compile_programs(of_step, data.train, data.test)
            answers_together = number == len(settings) - 1
            probabilities, seconds = [], 0.0  # of the networks of an ensemble
            for seed in left:
                outcome = run_once(
                    programs, of_step.num_epochs, seed, data.train, data.test.image
                )
                accuracy = outcome.accuracy(data.test.label)
                progress.advance(name, text=f"test accuracy {accuracy:.2%}")
                yield _row(name, seed, accuracy, outcome.seconds)
                if answers_together:
                    probabilities.append(outcome.probability)
                    seconds += outcome.seconds
                if len(probabilities) == ensemble:
                    answers = np.mean(probabilities, axis=0).argmax(axis=-1)
                    accuracy = float(np.mean(answers == data.test.label))
                    yield _row(LAST, seed - ensemble + 1, accuracy, seconds)
                    probabilities, seconds = [], 0.0
                if not probabilities:  # an ensemble is trained in one session
                    run.checkpoint({}, step=name, seed=seed)


def _row(step: str, seed: int, accuracy: float, seconds: float) -> Row:
    return {"step": step, "seed": seed, "test_accuracy": accuracy, "seconds": seconds}


def results(rows: Sequence[Row], ensemble: int) -> dict[str, Any]:
    """The steps in their order, and each against the one before, by Holm.

    The ensembles, whose networks are of the step before, have a test of their own.
    """
    scores: dict[str, list[float]] = {}
    for row in rows:
        scores.setdefault(row["step"], []).append(row["test_accuracy"])
    steps = {
        name: {
            "test_accuracy": values,
            "mean": float(np.mean(values)),
            "seconds": float(
                np.median([row["seconds"] for row in rows if row["step"] == name])
            ),
        }
        for name, values in scores.items()
    }
    own = [name for name in scores if name != LAST]
    pairs = compare_pairs(scores, [(new, old) for old, new in itertools.pairwise(own)])
    return {
        "steps": steps,
        "gains": [pair.as_row() for pair in pairs],
        "ensemble": ensemble,
        "ensemble_gain": ensemble_gain(rows, ensemble),
        "published": [entry._asdict() for entry in PUBLISHED],
    }


def ensemble_gain(rows: Sequence[Row], ensemble: int) -> dict[str, Any] | None:
    """Of an ensemble over the mean of its own networks, by pairs; None of too few."""
    alone = {r["seed"]: r["test_accuracy"] for r in rows if r["step"] != LAST}
    gains = []
    for row in rows:
        if row["step"] == LAST:
            own = [alone[row["seed"] + number] for number in range(ensemble)]
            gains.append(row["test_accuracy"] - np.mean(own))
    gain = paired(gains)
    if gain is None:
        return None
    verdict = "not told apart"
    if gain.p_value < SIGNIFICANCE:
        verdict = f"{LAST if gain.mean > 0 else 'its networks'} ahead"
    elif gain.equal_p_value() < SIGNIFICANCE:
        verdict = EQUAL
    return {
        "difference": gain.mean,
        "interval": gain.interval,
        "p_value": gain.p_value,
        "verdict": verdict,
    }


if __name__ == "__main__":
    run_command(main, Config, all_cores=True)
