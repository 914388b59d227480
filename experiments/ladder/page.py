"""The tables and the figure of the page, from results.json."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from experiments.kit.figures import new_figure
from experiments.kit.numbers import percent
from experiments.kit.page import Picture, Table, table
from experiments.kit.run import Row
from experiments.ladder.steps import LAST

OWN, OTHERS = "#0072B2", "#D55E00"


def lead(content: Row) -> str:
    """From where to where, and which steps are told apart."""
    steps, gains = content["steps"], content["gains"]
    if not steps:
        return "No network has finished."
    ends = [(name, f"{step['mean']:.2%}") for name, step in steps.items()]
    ahead = [pair["first"] for pair in gains if pair["verdict"].endswith("ahead")]
    return (
        f"Mean test accuracy from {ends[0][1]} ({ends[0][0]}) to {ends[-1][1]} "
        f"({ends[-1][0]}). Told apart from the step before: "
        f"{', '.join(ahead) or 'none'}; the other {len(gains) - len(ahead)} of "
        f"{len(gains)} steps that have networks of their own are not."
    )


def sections(content: Row) -> Iterator[Table | Picture]:
    """The ladder, step by step, beside what was published."""
    if not content["steps"]:
        return
    yield Picture(
        "ladder",
        "The ladder",
        "A dot is a network, or an ensemble of "
        f"{content['ensemble']} of the last step's; a diamond is the mean. On the "
        "right, published results of fully connected networks. The error's scale is "
        "logarithmic.",
        partial(ladder, content),
    )
    gains = {pair["first"]: pair for pair in content["gains"]}
    gains[LAST] = content.get("ensemble_gain") or {}
    unknown = dict.fromkeys(("difference", "interval", "p_value"))
    yield table(
        "Steps",
        "Each step adds its change to those before. Gain: points of mean accuracy "
        "over the step before, with Welch's interval, 95 % each by itself; p: Mann "
        "and Whitney's, by Holm over these steps. No two networks share a seed. An "
        "ensemble's are of the step before: its gain is over their mean, and its "
        "interval and p are Student's by pairs, by themselves.",
        [
            {
                "step": name,
                "runs": len(step["test_accuracy"]),
                "verdict": "-",
                **unknown,
                **gains.get(name, {}),
                **{key: step[key] for key in ("mean", "seconds")},
            }
            for name, step in content["steps"].items()
        ],
        {
            "step": "step",
            "runs": "runs",
            "mean": "mean:.2%",
            "gain": lambda entry: percent(entry["difference"], "+"),
            "95 % interval": lambda entry: percent(entry["interval"], "+"),
            "p": "p_value:.2g",
            "verdict": "verdict",
            "seconds": "seconds:.1f",
        },
    )
    yield table(
        "Published",
        "Test accuracy of fully connected networks that others report, trained on "
        "60,000 images, for far more epochs; the best of a few runs, or of one.",
        content["published"],
        {"source": "source", "network": "what", "accuracy": "accuracy:.2%"},
    )


def ladder(content: Row) -> Figure:
    """Every network of every step, and the published results."""
    steps, published = content["steps"], content["published"]
    figure, [[axes]] = new_figure(size=(11, 6))
    for place, step in enumerate(steps.values()):
        errors = 1 - np.array(step["test_accuracy"])
        axes.plot(np.full(len(errors), place), errors, "o", color=OWN, alpha=0.5, ms=4)
        axes.plot([place], [1 - step["mean"]], "D", color=OWN, mfc="white")
    places = range(len(steps) + 1, len(steps) + 1 + len(published))
    others = [1 - entry["accuracy"] for entry in published]
    axes.plot(places, others, "s", color=OTHERS)
    names = [f"{entry['source']}\n{entry['what']}" for entry in published]
    axes.set_xticks(
        [*range(len(steps)), *places],
        [*steps, *names],
        rotation=40,
        ha="right",
        fontsize=8,
    )
    axes.set(yscale="log", ylabel="test error")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.yaxis.set_minor_formatter(PercentFormatter(1, decimals=1))
    axes.invert_yaxis()
    axes.grid(alpha=0.3, which="both", axis="y")
    return figure
