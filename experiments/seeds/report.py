"""What `experiments/seeds.py` leaves behind: tables, files, page."""

import functools
from collections.abc import Sequence
from typing import Any

from experiments.kit.progress import console
from experiments.kit.run import Experiment
from experiments.kit.screen import print_table
from experiments.seeds import claims as seeds_claims
from experiments.seeds import results as seeds_results
from experiments.seeds.results import ModelSeeds
from experiments.seeds.tables import Text, tables


def finish(
    run: Experiment, models: Sequence[ModelSeeds], status: str
) -> dict[str, Any]:
    """Print and write what was reached; return the content of results.json."""
    content = {**run.head(status), **seeds_results.results(models, run.dataset.name)}
    speeds = {model.name: seeds_claims.throughput(model) for model in models}
    content["throughput"] = {name: speed for name, speed in speeds.items() if speed}
    content["write_up"] = []
    if run.dataset.name == "mnist":  # the write-up's accuracies are of no other
        last = seeds_results.scores_by_model(models, "last")
        content["write_up"] = seeds_claims.write_up(last)
    for model in models:
        if len(model.finished) < len(model.seeds):
            console.print(
                f"{model.name}: {len(model.finished)} of {len(model.seeds)} networks "
                "were finished; the others are not in the tables."
            )
    if content["models"]:
        found = tables(content)
        for table in found:
            print_table(table.title, table.header, table.rows)
            console.print(table.caption)
        for claim in content["write_up"]:
            console.print(f"\n{seeds_claims.in_words(claim)}")
        _write_csv(run, models)
        _write_page(run, content, models, found)
    return content


def _write_csv(run: Experiment, models: Sequence[ModelSeeds]) -> None:
    """`seeds.csv`: a row per finished network with its three numbers."""
    header = ("model", "seed", "last", "chosen_epoch", "chosen", "best", "dataset")
    rows = []
    for model in models:
        for seed, epochs in sorted(model.finished.items()):
            numbers = seeds_results.three_numbers(epochs)
            chosen = numbers.get("chosen")
            number = None if chosen is None else seeds_results.chosen_epoch(epochs)
            cells = (numbers["last"], number, chosen, numbers["best"])
            rows.append((model.name, seed, *cells, run.dataset.name))
    run.written.write_csv("seeds.csv", header, rows)


def _write_page(
    run: Experiment,
    content: dict[str, Any],
    models: Sequence[ModelSeeds],
    found: Sequence[Text],
) -> None:
    from experiments.kit import page
    from experiments.seeds import figures as seeds_figures

    picture = functools.partial(page.picture, dataset=run.dataset.name)
    done = [model for model in models if model.finished]
    pictures = [
        picture(
            "seeds",
            "Every network",
            "A dot is a network. The black bar is the 95 % interval of the mean, the "
            "white diamond the median. The error's scale is logarithmic.",
            seeds_figures.strips(done, content),
        ),
        picture(
            "epochs",
            "Accuracy by epoch",
            "Thin lines are networks, the thick one is their median, the band holds "
            "the middle half.",
            seeds_figures.by_epoch(done),
        ),
    ]
    said = " ".join(seeds_claims.in_words(claim) for claim in content["write_up"][:1])
    counts = ", ".join(
        f"{entry['last']['seeds']} x {name}"
        for name, entry in content["models"].items()
    )
    sections = [pictures[0], *(page.Table(*table) for table in found), pictures[1]]
    run.write_page(
        content,
        sections,
        title="What one run is worth",
        lead=f"Networks that differ in nothing but the seed: {counts}. {said}".strip(),
        facts={"seconds": _seconds(content)},
    )


def _seconds(content: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {entry['wall_seconds']:.0f}"
        for name, entry in content["models"].items()
    )
