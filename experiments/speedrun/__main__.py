"""How soon does a fully connected network reach 98 or 99 % of MNIST's test set?

    python -m experiments.speedrun --mark 98              # 30 seeds
    python -m experiments.speedrun --mark 99 --seeds 10
    python -m experiments.speedrun --mark 98.9            # without any distortion
    python -m experiments.speedrun --mark 99.4
    python -m experiments.speedrun --mark 99.5            # an ensemble of ten a run

A record has rules, which are printed with the result and kept or not. Its recipe is in
`settings.py`. Time is told in seconds and in epochs of Model 3 by Keras's `fit` with
defaults, which are measured in the same run, spread among the others.

`--num-epochs` and the options below it change a record's settings, and `--validation`
scores on the validation set: that is how settings are chosen, `--validation` first,
then once without it. A record that was broken off goes on at its next seed with
--resume RUN.
Marks, figures and times: docs/records.md.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from experiments.kit.command import run_command
from experiments.kit.options import Resumable, from_json, require_at_least
from experiments.kit.provenance import source_sha256
from experiments.kit.resume import changes_in
from experiments.kit.run import Run
from experiments.speedrun import train
from experiments.speedrun.measure import SOURCE, measure
from experiments.speedrun.results import results
from experiments.speedrun.settings import KERAS_EPOCHS, RECORDS, Record
from jaxnets import training
from jaxnets.data import Dataset
from jaxnets.errors import InputError

DATASET = "mnist"  # of the records
LENGTHS = ("max_norm", "adversary")
SHARES = ("dropout", "input_dropout", "smoothing", "average")
# Of settings, by options.
CHANGES = ("num_epochs", "batch_size", "peak_rate", "hidden", *LENGTHS, *SHARES)


@dataclass(frozen=True, kw_only=True)
class Config(Resumable):
    """Which record, from which seeds."""

    fixed: ClassVar[tuple[str, ...]] = ("mark", "first_seed", "ensemble", "validation")

    mark: float = 98.0
    """Per cent of the test images: 98, 98.9, 99, 99.4 or 99.5. The last trains on the
    validation images too, but with --validation or --examples."""
    seeds: int | None = None
    """Runs; left out: as many as the record needs."""
    first_seed: int = 0
    """The seeds count up from here."""
    ensemble: int | None = None
    """Networks of each run, trained together; their mean probabilities answer. Left
    out: the record's, 10 for 99.5 and 1 for the others."""
    keras_epochs: int = KERAS_EPOCHS
    """Epochs of Keras's fit of Model 3 that are timed; 0: none, without TensorFlow."""
    validation: bool = False
    """Score on the validation set, to choose settings; the test set stays closed."""
    num_epochs: int | None = None
    """Epochs of each network, in place of the record's."""
    batch_size: int | None = None
    """Images an update, in place of the record's."""
    peak_rate: float | None = None
    """Adam's highest learning rate, in place of the record's."""
    hidden: tuple[int, ...] | None = None
    """Neurons of each hidden layer, in place of the record's."""
    dropout: float | None = None
    """Share of the hidden activations that are dropped, in place of the record's."""
    input_dropout: float | None = None
    """Share of the pixels that are dropped, in place of the record's."""
    max_norm: float | None = None
    """Norm of a unit's incoming weights at most, in place of the record's; 0: any."""
    smoothing: float | None = None
    """Of the labels, in place of the record's: the share spread over all classes."""
    adversary: float | None = None
    """How far each image moves against the network, in place of the record's: its
    Euclidean length, where 1 is one pixel from paper to ink."""
    average: float | None = None
    """Decay of the weights' running mean, in place of the record's; 0: without."""


def main(config: Config) -> dict[str, Any]:
    """Run from all seeds; return the content of results.json."""
    validate_config(config)
    here = about(config)
    run = Run.open("speedrun", config, settings=lambda _: here)
    config = run.config
    kept = run.kept("config") if config.redraw else here
    record = recorded(kept, run.path)
    seeds = seeds_of(config, record)
    validate_data(config, record, run.data)
    run.record(measure(run, record, seeds))
    scored = "validation" if config.validation else "test"
    training = "training and validation" if record.all_images else "training"
    # Nothing is cut off, nothing stands in, and no option changes the settings.
    is_cut = config.examples is not None or config.validation_examples is not None
    is_whole = run.data.name == DATASET and not is_cut
    content = results(
        config.mark,
        record,
        run.rows,
        planned=len(seeds),
        as_recorded=is_whole and kept["as_recorded"],
        changes=changes_in(run.data.notice),
        scored=scored,
    )
    from experiments.speedrun import page  # loads Matplotlib

    return run.publish(
        content,
        title=f"Time to {config.mark:g} %",
        lead=lambda: page.lead(content),
        sections=lambda: page.sections(content, run.data.train.image),
        facts={
            "scored on": scored,
            "trained on": f"{training} images",
            "sessions": str(content["sessions"]),
        },
    )


def about(config: Config) -> dict[str, Any]:
    """What `config.json` holds beside the options: one source, one recipe.

    Neither may change when a run goes on, and it is redrawn with the recipe it had.
    """
    record = record_of(config)
    return {
        "source_sha256": source_sha256(*SOURCE),
        "record": json.loads(json.dumps(asdict(record))),
        "as_recorded": record == RECORDS[config.mark],
    }


def recorded(kept: Mapping[str, Any], path: Path) -> Record:
    """The recipe in the content of `config.json`; InputError where there is none."""
    if "record" not in kept:
        raise InputError(
            f"{path}/config.json is of a version that did not keep the recipe; redraw "
            f"the run with the source in {path}/source"
        )
    return from_json(Record, kept["record"])


def record_of(config: Config) -> Record:
    """The record of the mark, with what options change."""
    record = RECORDS[config.mark]
    given = {name: getattr(config, name) for name in CHANGES}
    changes = {name: value for name, value in given.items() if value is not None}
    networks = record.networks if config.ensemble is None else config.ensemble
    settings = replace(record.settings, **changes)
    # What is scored on does not train, and of a try-out nothing but its images.
    is_apart = config.validation or config.examples is not None
    all_images = record.all_images and not is_apart
    return replace(record, settings=settings, networks=networks, all_images=all_images)


def seeds_of(config: Config, record: Record) -> range:
    """One for each run."""
    count = record.least_seeds if config.seeds is None else config.seeds
    return range(config.first_seed, config.first_seed + count)


def validate_config(config: Config) -> None:
    """Raise InputError where an option makes no sense whatever the data."""
    if config.mark not in RECORDS:
        marks = ", ".join(f"{mark:g}" for mark in RECORDS)
        raise InputError(f"mark={config.mark:g} must be one of {marks}")
    require_at_least(config, seeds=1, first_seed=0, ensemble=1, keras_epochs=0)
    require_at_least(config, num_epochs=1, batch_size=1, hidden=1)
    rate = config.peak_rate
    if rate is not None and not 0 < rate < float("inf"):
        raise InputError(f"peak_rate={rate} must be greater than 0")
    for name in SHARES:
        share = getattr(config, name)
        if share is not None and not 0 <= share < 1:
            raise InputError(f"{name}={share} must be from 0 to below 1")
    for name in LENGTHS:
        length = getattr(config, name)
        if length is not None and not 0 <= length < float("inf"):
            raise InputError(f"{name}={length} must be 0 or more, and finite")
    record = record_of(config)
    train.make_loss_fn(record.settings)  # or InputError
    last = seeds_of(config, record)[-1]
    training.require_seed((last + 1) * record.networks - 1)


def validate_data(config: Config, record: Record, dataset: Dataset) -> None:
    """Raise InputError where there is nothing to score on, or settings do not fit."""
    if config.validation and not len(dataset.validation.label):
        raise InputError("validation_examples=0 leaves nothing for --validation")
    train.validate_data(record.settings, dataset)


if __name__ == "__main__":
    run_command(main, Config, all_cores=True)
