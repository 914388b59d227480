"""What this experiment shows, in the order of its page."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from experiments.bugs.results import finished_networks
from experiments.bugs.rows import UNTRAINED
from experiments.kit.numbers import text
from experiments.kit.page import Picture, Table, table
from experiments.kit.run import Row

Results = Mapping[str, Any]

PIXELS = {"scaled": "0 to 1", "bytes": "0 to 255"}


def lead(results: Results) -> str:
    """What was asked, and the answer in numbers."""
    reported = results["reported_accuracy"]
    tried = f"{len(results['programs'].keys() - {'healthy'})} likely mistakes"
    if reported is None:
        return f"{tried} in Model 1, made one at a time."
    return (
        f"{reported:.2%} is what the write-up reports of Model 1. Of {tried}, made one "
        f"at a time, {len(results['can_give_it'])} can give it."
    )


def of(results: Results, rows: Sequence[Row]) -> list[Table | Picture]:
    """Tables and pictures; none where no network is finished."""
    if not results["programs"]:
        return []
    from experiments.bugs import figures  # loads Matplotlib

    networks = finished_networks(rows)
    networks.pop(UNTRAINED, None)
    model_1 = {name: networks.pop(name) for name in results["programs"]}
    reported = results["reported_accuracy"]
    reported_3 = results["reported_accuracy_model_3"]
    dots = "Test accuracy of every seed: grey after each epoch, colour after the last"
    line = "." if reported is None else f"; the line is the reported {reported:.2%}."
    line_3 = "." if reported is None else f"; the line is {reported_3:.1%}."
    sections: list[Table | Picture] = [
        Picture(
            "accuracies",
            "What each mistake scores",
            dots + line,
            partial(figures.accuracies, model_1, reported),
        ),
        accuracies(results),
        signatures(results),
        healthy(results["programs"]["healthy"]),
        Picture(
            "answers",
            "What each mistake answers",
            f"The share of each answer, a line a seed, of {figures.SHOWN} seeds at "
            "most. Arg-max along the images gives places in a mini-batch.",
            partial(figures.answers, model_1),
        ),
        Picture(
            "losses",
            "Training loss",
            "As each program reports it, a line a seed; grey is the healthy program. "
            "Those that train as it does, or not at all, are left out.",
            partial(figures.losses, model_1),
        ),
        pixels(results),
        Picture(
            "model_3",
            "Model 3, pixels scaled and as bytes",
            dots + line_3,
            partial(figures.model_3, networks, reported_3),
        ),
    ]
    return sections if results["model_3"] else sections[:-2]


def _percent(value: Any) -> str:
    """An accuracy in per cent, or a pair of them, or none."""
    if isinstance(value, list | tuple):
        return " to ".join(map(_percent, value))
    return text(value and 100 * value, ".2f")


def _tally(entry: Results) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in entry["diagnosis"].items())


def _yes(value: bool) -> str:
    return "yes" if value else "no"


SPREAD = {  # columns
    "test, %": lambda entry: _percent(entry["test_accuracy"]),
    "interval": lambda entry: _percent(entry["interval_95"]),
    "extremes": lambda entry: _percent((entry["lowest"], entry["highest"])),
}
SEEDS = {"seeds": lambda entry: str(len(entry["by_seed"]))}


def accuracies(results: Results) -> Table:
    """What each program scores, and whether it can be what was reported."""
    reported, start = results["reported_accuracy"], results["untrained"]
    entries = list(results["programs"].values())
    if start:
        words = {"program": UNTRAINED, "mistake": "tested as it starts"}
        entries.append({**words, **start, "reported_after_any_epoch": start})
    columns: dict[str, Any] = {"program": "program", "mistake": "mistake", **SPREAD}
    caption = (
        "Mean over seeds after the last epoch, a 95 % bootstrap interval of that mean "
        "(too narrow with so few seeds), and the extremes."
    )
    if reported is not None:

        def gives(entry: Results) -> str:
            reached = entry["reported_after_any_epoch"]
            return f"{_yes(reached['can_give_it'])}, {reached['near_share']:.0%}"

        columns[f"gives {reported:.2%}"] = gives
        caption += (
            " The last column is of every seed after every epoch, or of all untrained "
            "networks where nothing is learned: whether the extremes enclose what was "
            "reported, and how many come within half a point of it."
        )
    title = f"Model 1 on the test set of {results['dataset']}"
    return table(title, caption, entries, columns)


def signatures(results: Results) -> Table:
    """What each program looks like from outside."""
    return table(
        "Signatures",
        "Means over seeds after the last epoch. Loss: in training, as the program "
        "reports it. Flat: the share of hidden activations at 0 or 1. Error slope: the "
        "mean slope of the outputs, weighted by their errors. Change: root mean "
        "square, of the parameters. Diagnosis: the first finding of jaxnets.diagnose, "
        "and of how many seeds it is.",
        results["programs"].values(),
        {
            "program": "program",
            **SEEDS,
            "loss": "train_loss:.4g",
            "flat": "flat_hidden:.3f",
            "error slope": "error_slope:.4f",
            "change": "parameter_change:.3g",
            "diagnosis": _tally,
        },
    )


def healthy(entry: Results) -> Table:
    """The networks without a mistake of which something is found."""
    flagged = {network["seed"]: network for network in entry["flagged"]}
    rows = [
        (
            f"seed {seed}",
            _percent(network["test_accuracy"]),
            "; ".join(network["said"]),
            _yes(network["is_true"]),
        )
        for seed, network in flagged.items()
    ]
    pairs = zip(entry["seeds"], entry["by_seed"], strict=True)
    if others := [accuracy for seed, accuracy in pairs if seed not in flagged]:
        extremes = _percent((min(others), max(others)))
        rows.append((f"{len(others)} others", extremes, "nothing", "yes"))
    return Table(
        "Networks without a mistake",
        f"What jaxnets.diagnose finds wrong with {len(flagged)} of "
        f"{len(entry['seeds'])}, and whether it is so.",
        ("network", "test, %", "finding", "true"),
        rows,
    )


def pixels(results: Results) -> Table:
    """What bytes in place of pixels in [0, 1] do to Model 3."""
    entries = [
        {"model": model, "pixels": PIXELS[kind], **entry}
        for model, kinds in results["model_3"].items()
        for kind, entry in kinds.items()
    ]
    columns: dict[str, Any] = {"model": "model", "pixels": "pixels", **SEEDS, **SPREAD}
    columns |= {"training loss": "train_loss:.3f", "diagnosis": _tally}
    reported = results["reported_accuracy_model_3"]
    if reported is not None:
        columns[f"encloses {reported:.1%}"] = lambda entry: _yes(
            entry["reported_at_the_end"]["can_give_it"]
        )
    return table("Model 3", "As the tables of Model 1.", entries, columns)
