"""What `experiments/neurons.py` leaves behind: tables, files, figures, page."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from experiments.kit.progress import console
from experiments.kit.run import Experiment
from experiments.kit.screen import print_table
from experiments.neurons import loops, ten_class_runs
from experiments.neurons.statements import statement_rows
from experiments.neurons.tables import (
    PAIR_HEADER,
    TEN_HEADER,
    cell,
    pair_rows,
    summarise,
    ten_rows,
)
from jaxnets.types import Dense

STATEMENT_HEADER = ("what is said", "verdict", "measured")


@dataclass
class Found:
    """What is measured so far."""

    parts: dict[str, Any] = field(default_factory=dict)  # as in results.json
    pairs: list[dict[str, Any]] = field(default_factory=list)
    epochs: list[dict[str, Any]] = field(default_factory=list)  # of the ten classes
    layers: dict[str, Dense] = field(default_factory=dict)  # of the newest epoch
    rasters: dict[str, np.ndarray] = field(default_factory=dict)


def content(run: Experiment, found: Found, status: str) -> dict[str, Any]:
    """The content of results.json."""
    ten = ten_class_runs.outcome(found.epochs, run.dataset)
    results = {**run.head(status), **found.parts, "pairs": found.pairs}
    results["pair_summary"] = summarise(found.pairs)
    results["ten_classes"] = ten if ten["runs"] else None
    return results


def finish(run: Experiment, found: Found, status: str) -> dict[str, Any]:
    """Print and write what was measured, whatever ended the run."""
    results = content(run, found, status)
    for said, verdict, figure in statement_rows(results):
        console.print(f"\n{said}: {verdict}\n    {figure}")
    if results["ten_classes"]:
        print_table("Ten classes", TEN_HEADER, ten_rows(results))
    if found.pairs:
        header = tuple(found.pairs[0])
        rows = ([cell(value) for value in pair.values()] for pair in found.pairs)
        run.written.write_csv("pairs.csv", header, rows)
    if found.rasters:
        bursts = (
            (name, *burst)
            for name, raster in found.rasters.items()
            for burst in loops.bursts(raster).tolist()
        )
        run.written.write_csv("bursts.csv", ("net", "neuron", "begin", "end"), bursts)
    for name, layer in found.layers.items():
        run.written.write_weights(f"ten_{name}", (layer,), dataset=run.dataset.name)
    if found.parts or found.pairs or found.epochs:
        _write_page(run, results, found)
    return results


def _write_page(run: Experiment, results: dict[str, Any], found: Found) -> None:
    from experiments.kit.page import Table
    from experiments.neurons.figures import pictures

    rows = statement_rows(results)
    sections: list[Any] = [
        Table("What is said of neurons", "", STATEMENT_HEADER, rows),
        *pictures(results, found.epochs, found.layers, found.rasters, run.dataset),
    ]
    if results["ten_classes"]:
        caption = (
            "Validation and test set: means over the seeds. No rate and no random "
            "start: a seed decides the order of the images alone."
        )
        sections.append(Table("Ten classes", caption, TEN_HEADER, ten_rows(results)))
    if found.pairs:
        caption = (
            "Test accuracy of one perceptron and one sigmoid neuron for two digits, on "
            "the same bits in the same order. Better: by an exact McNemar test, p "
            "below 0.05; else a tie."
        )
        sections.append(
            Table("Two digits", caption, PAIR_HEADER, pair_rows(found.pairs))
        )
    run.write_page(
        results,
        sections,
        title="Neurons",
        lead="What one neuron does, can learn and cannot, and what many do in time.",
    )
