"""From the rows of a run to the content of results.json. Nothing is measured here."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from experiments.kit.numbers import finite, percent, text
from experiments.kit.run import Row
from experiments.kit.statistics import lower_bound
from experiments.speedrun.settings import KERAS_EPOCHS, Record

CHANCE = 0.01  # that the mean of so many seeds is so high, and the true one is not


def results(
    mark: float,
    record: Record,
    rows: Sequence[Row],
    *,
    planned: int,
    as_recorded: bool,
    changes: str | None,
    scored: str,
) -> dict[str, Any]:
    """The content of results.json beside its head.

    Args:
      mark: per cent.
      rows: of `measure`.
      planned: seeds that were asked for.
      as_recorded: whether data and settings are those of the record.
      changes: what has changed between the sessions of a resumed run; None: nothing.
      scored: "test", or "validation" while settings are chosen.
    """
    runs, keras = ([r for r in rows if r["kind"] == kind] for kind in ("run", "keras"))
    [start] = [row for row in rows if row["kind"] == "start"] or [{}]
    seconds = [row["seconds"] for row in runs]
    accuracies = [row["accuracy"] for row in runs]
    epochs = [row["seconds"] for row in keras]
    median = float(np.median(seconds)) if seconds else None
    epoch = float(np.median(epochs)) if epochs else None
    bound = lower_bound(accuracies, CHANCE)
    content = {
        "mark": mark,
        "seed": [row["seed"] for row in runs],
        "seconds": seconds,
        "test_accuracy": accuracies if scored == "test" else [],
        "validation_accuracy": accuracies if scored == "validation" else [],
        "keras_epoch_seconds": epoch,
        "keras_seconds": epochs,
        "median_seconds": median,
        "keras_epochs": median / epoch if median and epoch else None,
        "mean_accuracy": finite(np.mean(accuracies)) if runs else None,
        "sd_accuracy": finite(np.std(accuracies, ddof=1)) if len(runs) > 1 else None,
        "lower_bound": bound,
        # Of an ensemble `fit_many` tells; the start has compiled a single network.
        "compile_seconds": runs[0].get("compile_seconds")
        if runs and record.networks > 1
        else start.get("compile_seconds"),
        "cold_start_seconds": start.get("cold_start_seconds"),
        "sessions": max((row.get("session", 1) for row in rows), default=0),
        "networks": record.networks,
        "all_images": record.all_images,
        "settings": asdict(record.settings) | {"hidden": [*record.settings.hidden]},
    }
    rules = rules_of(
        content,
        record,
        planned,
        as_recorded=as_recorded,
        changes=changes,
        scored=scored,
    )
    return {**content, "rules": rules, "stands": all(rule["holds"] for rule in rules)}


def rules_of(
    content: Row,
    record: Record,
    planned: int,
    *,
    as_recorded: bool,
    changes: str | None,
    scored: str,
) -> list[dict[str, Any]]:
    """Each rule of a record, what this run has, and whether it keeps the rule."""
    runs, bound, mark = content["seed"], content["lower_bound"], content["mark"]
    source = "as recorded" if as_recorded else "changed, or other data"
    if as_recorded and record.caveat:
        source += f"; but {record.caveat}"
    of_one = " (of one network)" if record.networks > 1 else ""
    rules = [
        (
            "data and settings of the record, which were chosen on validation",
            source,
            as_recorded,
        ),
        (
            "the test set is opened once a seed, at the end, and nothing else",
            f"{scored} set",
            scored == "test",
        ),
        (
            f"at least {record.least_seeds} seeds in a row, as many as were asked for",
            f"{len(runs)} of {planned}, from {runs[0]}" if runs else f"0 of {planned}",
            len(runs) == planned >= record.least_seeds,
        ),
        (
            f"the mean's lower bound (Student, one-sided, p < {CHANCE:g}) is above "
            f"{mark:g} %",
            f"{percent(bound)} %; mean {percent(content['mean_accuracy'])} %",
            bound is not None and bound > mark / 100,
        ),
        (
            "the clock runs from images in the host's memory to the last evaluation, "
            "with copying, initial weights, shuffling and distortions inside",
            f"median {text(content['median_seconds'], '.2f')} s",
            bool(runs),
        ),
        (
            "compiling, and the cold start of a process up to the clock, stand beside",
            f"{text(content['compile_seconds'], '.1f')} s, "
            f"{text(content['cold_start_seconds'], '.1f')} s{of_one}",
            content["cold_start_seconds"] is not None,
        ),
        (
            f"{KERAS_EPOCHS} epochs or more of Model 3 by Keras's fit, defaults, are "
            "measured in the same run",
            f"median {text(content['keras_epoch_seconds'], '.2f')} s of "
            f"{len(content['keras_seconds'])}",
            len(content["keras_seconds"]) >= KERAS_EPOCHS,
        ),
        (
            "one source, which is in the run's folder, one version and one device",
            changes or "source/",
            changes is None,
        ),
    ]
    return [dict(zip(("rule", "here", "holds"), rule, strict=True)) for rule in rules]
