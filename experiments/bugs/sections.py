"""What this experiment shows, in the order of its page."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from experiments.bugs.rows import UNTRAINED, finished_networks
from experiments.kit.numbers import text
from experiments.kit.page import Picture, Table
from experiments.kit.run import Row

Results = Mapping[str, Any]

PIXELS = {"scaled": "0 to 1", "bytes": "0 to 255"}


def lead(results: Results) -> str:
    """What was asked, and the answer in numbers."""
    reported = results["reported_accuracy"]
    tried = len(results["programs"].keys() - {"healthy"})
    if reported is None:
        return f"{tried} likely mistakes in Model 1, made one at a time."
    return (
        f"{reported:.2%} is what the write-up reports of Model 1. Of {tried} likely "
        f"mistakes, made one at a time, {len(results['can_give_it'])} can give it."
    )


def of(results: Results, rows: Sequence[Row]) -> list[Table | Picture]:
    """Tables and pictures; none where no network is finished."""
    if not results["programs"]:
        return []
    scores, answers, losses, model_3 = _pictures(results, rows)
    sections: list[Table | Picture] = [scores, accuracies(results)]
    sections += [signatures(results), healthy(results), answers, losses]
    if results["model_3"]:
        sections += [pixels(results), model_3]
    return sections


def accuracies(results: Results) -> Table:
    """What each program scores, and whether it can be what was reported."""
    reported = results["reported_accuracy"]
    entries = dict(results["programs"])
    if results["untrained"]:
        entries[UNTRAINED] = {
            "mistake": "tested as it starts",
            **results["untrained"],
            "reported_after_any_epoch": results["untrained"],
        }
    header = ["program", "mistake", "test, %", "interval", "extremes"]
    rows = [[name, e["mistake"], *_spread(e)] for name, e in entries.items()]
    caption = (
        "Mean over seeds after the last epoch, a 95 % bootstrap interval of that mean "
        "(too narrow with so few seeds), and the extremes."
    )
    if reported is not None:
        header.append(f"gives {reported:.2%}")
        for row, entry in zip(rows, entries.values(), strict=True):
            reached = entry["reported_after_any_epoch"]
            answer = "yes" if reached["can_give_it"] else "no"
            row.append(f"{answer}, {reached['near_share']:.0%}")
        caption += (
            " The last column holds every seed after every epoch against what was "
            "reported: whether the extremes enclose it, and how many come within half "
            "a point of it. Where nothing is learned it speaks of all the untrained "
            "networks."
        )
    title = f"Model 1 on the test set of {results['dataset']}"
    return Table(title, caption, header, rows)


def signatures(results: Results) -> Table:
    """What each program looks like from outside."""
    rows = [
        [
            name,
            str(len(entry["seeds"])),
            text(entry["train_loss"], ".4g"),
            text(entry["flat_hidden"], ".3f"),
            text(entry["error_slope"], ".4f"),
            text(entry["parameter_change"], ".3g"),
            _tally(entry["diagnosis"]),
        ]
        for name, entry in results["programs"].items()
    ]
    return Table(
        "Signatures",
        "Means over seeds after the last epoch. Loss: in training, as the program "
        "reports it. Flat: the share of hidden activations at 0 or 1. Error slope: the "
        "mean slope of the outputs, weighted by their errors. Change: root mean "
        "square, of the parameters. Diagnosis: the first finding of jaxnets.diagnose, "
        "and of how many seeds it is.",
        ["program", "seeds", "loss", "flat", "error slope", "change", "diagnosis"],
        rows,
    )


def healthy(results: Results) -> Table:
    """The networks without a mistake of which something is found."""
    entry = results["programs"]["healthy"]
    named = [network["seed"] for network in entry["flagged"]]
    rows = [
        [
            f"seed {network['seed']}",
            _percent(network["test_accuracy"]),
            "; ".join(network["said"]),
            "yes" if network["is_true"] else "no",
        ]
        for network in entry["flagged"]
    ]
    pairs = zip(entry["seeds"], entry["by_seed"], strict=True)
    others = [accuracy for seed, accuracy in pairs if seed not in named]
    if others:
        extremes = f"{_percent(min(others))} to {_percent(max(others))}"
        rows.append([f"{len(others)} others", extremes, "nothing", "yes"])
    return Table(
        "Networks without a mistake",
        f"What jaxnets.diagnose finds wrong with {len(named)} of "
        f"{len(entry['seeds'])}, and whether it is so.",
        ["network", "test, %", "finding", "true"],
        rows,
    )


def pixels(results: Results) -> Table:
    """What bytes in place of pixels in [0, 1] do to Model 3."""
    reported = results["reported_accuracy_model_3"]
    header = ["model", "pixels", "seeds", "test, %", "interval", "extremes"]
    header += ["training loss", "diagnosis"]
    header += [] if reported is None else [f"encloses {reported:.1%}"]
    rows = []
    for model, kinds in results["model_3"].items():
        for kind, entry in kinds.items():
            seeds = str(len(entry["by_seed"]))
            row = [model, PIXELS[kind], seeds, *_spread(entry)]
            row += [text(entry["train_loss"], ".3f"), _tally(entry["diagnosis"])]
            if reported is not None:
                encloses = entry["reported_at_the_end"]["can_give_it"]
                row.append("yes" if encloses else "no")
            rows.append(row)
    return Table("Model 3", "As the tables of Model 1.", header, rows)


def _spread(entry: Results) -> list[str]:
    """In per cent: mean, interval, extremes."""
    pairs = [entry["interval_95"], (entry["lowest"], entry["highest"])]
    ranges = [f"{_percent(p[0])} to {_percent(p[1])}" if p else "-" for p in pairs]
    return [_percent(entry["test_accuracy"]), *ranges]


def _percent(accuracy: float) -> str:
    return f"{100 * accuracy:.2f}"


def _tally(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in counts.items())


def _pictures(results: Results, rows: Sequence[Row]) -> list[Picture]:
    from experiments.bugs import figures  # loads Matplotlib

    networks = finished_networks(rows)
    networks.pop(UNTRAINED, None)
    model_1 = {name: networks.pop(name) for name in results["programs"]}
    reported = results["reported_accuracy"]
    reported_model_3 = results["reported_accuracy_model_3"]
    dots = (
        "Test accuracy of every seed: grey after each epoch, in colour after the last"
    )
    line = "" if reported is None else f"; the line is the reported {reported:.2%}"
    line_3 = "" if reported is None else f"; the line is {reported_model_3:.1%}"
    return [
        Picture(
            "accuracies",
            "What each mistake scores",
            f"{dots}{line}.",
            partial(figures.accuracies, model_1, reported),
        ),
        Picture(
            "answers",
            "What each mistake answers",
            f"Which classes are answered how often, a line a seed, of {figures.SHOWN} "
            "seeds at most. With arg-max along the images the answers are places in a "
            "mini-batch.",
            partial(figures.answers, model_1),
        ),
        Picture(
            "losses",
            "Training loss",
            "As each program reports it, a line a seed; grey is the healthy program. "
            "Those that train as it does, or not at all, are left out.",
            partial(figures.losses, model_1),
        ),
        Picture(
            "model_3",
            "Model 3, pixels scaled and as bytes",
            f"{dots}{line_3}.",
            partial(figures.model_3, networks, reported_model_3),
        ),
    ]
