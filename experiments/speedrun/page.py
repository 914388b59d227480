"""The tables and figures of the page, from results.json."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from experiments.kit.figures import new_figure
from experiments.kit.numbers import percent, text
from experiments.kit.page import Picture, Table, table
from experiments.kit.run import Row
from jaxnets import augment
from jaxnets.augment import Distortion

SHOWN, DISTORTED = 12, 5  # images, and distortions of each


def lead(content: Row) -> str:
    """The mean, its bound and the time."""
    epochs = text(content["keras_epochs"], ".2f")
    return (
        f"{content['mark']:g} % {'stands' if content['stands'] else 'does not stand'}: "
        f"mean {percent(content['mean_accuracy'])} % of {len(content['seconds'])} "
        f"seeds, lower bound {percent(content['lower_bound'])} %, in "
        f"{text(content['median_seconds'], '.2f')} s (median), {epochs} epochs of "
        "Keras's fit of Model 3."
    )


def sections(content: Row, images: np.ndarray) -> Iterator[Table | Picture]:
    """Runs, rules, settings, and what the network sees of images uint8 [B, H, W]."""
    if content["seconds"]:
        yield Picture(
            "speedrun",
            "Every run",
            "A dot is a run. The line is the mark, the diamond the mean, and its bar "
            "reaches down to the lower bound.",
            partial(dots, content),
        )
    yield table(
        "Rules",
        "Of a record, and what this run has.",
        content["rules"],
        {
            "rule": "rule",
            "here": "here",
            "kept": lambda rule: "yes" if rule["holds"] else "no",
        },
    )
    yield table(
        "Settings",
        f"{content['networks']} network(s) a run. A distortion's strengths are in "
        "pixels, degrees, shares; elastic and smoothness are Simard's alpha and sigma.",
        [
            {"setting": name, "value": _value(value)}
            for name, value in content["settings"].items()
        ],
        {"setting": "setting", "value": "value"},
        on_screen=False,
    )
    distortion = Distortion(**content["settings"]["distortion"])
    if distortion != Distortion(smoothness=distortion.smoothness):
        yield Picture(
            "distorted",
            "What the network sees",
            "Training images, first as they are; below, distorted anew in each epoch.",
            partial(distorted, distortion, images),
        )


def _value(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {entry:g}" for name, entry in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def dots(content: Row) -> Figure:
    """Accuracy and seconds of every run."""
    figure, [[axes]] = new_figure(size=(9, 4.4))
    accuracies = content["test_accuracy"] or content["validation_accuracy"]
    axes.plot(content["seconds"], accuracies, "o", color="#0072B2", alpha=0.7)
    axes.axhline(content["mark"] / 100, color="#D55E00", label=f"{content['mark']:g} %")
    mean, bound = content["mean_accuracy"], content["lower_bound"]
    at = content["median_seconds"]
    if bound is not None:
        axes.plot([at, at], [bound, mean], color="black", lw=2)
    axes.plot([at], [mean], "D", color="black", mfc="white", label="mean and bound")
    scored = "test" if content["test_accuracy"] else "validation"
    axes.set(xlabel="seconds", ylabel=f"{scored} accuracy")
    axes.set_xlim(0, 1.15 * max(content["seconds"]))
    if content["keras_epoch_seconds"]:
        unit = content["keras_epoch_seconds"]
        top = axes.secondary_xaxis(
            "top", functions=(lambda s: s / unit, lambda epochs: epochs * unit)
        )
        top.set_xlabel("epochs of Keras's fit of Model 3")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=2))
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def distorted(distortion: Distortion, images: np.ndarray) -> Figure:
    """The first images, and some distortions of each below it."""
    distort = augment.make_distort(distortion)
    originals = images[:SHOWN]
    keys = jax.random.split(jax.random.key(0), DISTORTED)
    seen = [distort(key, jnp.asarray(originals)) for key in keys]
    rows = [originals, *map(np.asarray, seen)]
    figure, [[axes]] = new_figure(size=(9, 9 * len(rows) / SHOWN))
    axes.imshow(np.vstack([np.hstack(list(row)) for row in rows]), cmap="gray_r")
    axes.axhline(originals.shape[1] - 0.5, color="#D55E00")
    axes.set_axis_off()
    return figure
