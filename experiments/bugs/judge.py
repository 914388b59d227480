"""Whether `jaxnets.diagnose` is right about runs that set none of its limits.

Its limits were set on MNIST's 50,000 training images at the recipes' learning rates,
on seeds 0 to 19. The networks here have seeds of their own, from FIRST_SEED on, and no
two settings share one: another length of training, fewer images, other learning rates,
other data. Their rows are those of `train`, of the last epoch only, with the setting's
name beside them.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from experiments.bugs.programs import BYTES, HEALTHY, PROGRAMS, SCALED, Program
from experiments.bugs.train import train_in_parts
from experiments.kit.numbers import percent
from experiments.kit.page import Table, table
from experiments.kit.run import Row
from experiments.kit.statistics import MIN_SEEDS, wilson_interval
from jaxnets import data
from jaxnets.data import Dataset
from jaxnets.diagnose import CHECKS
from jaxnets.types import Recipe

FIRST_SEED = 1000
SHORT = 5  # epochs of Model 1 on all images
SYMPTOMS = ("collapsed", "never_answered")  # of the answers; they name no mistake
JUDGED = {**PROGRAMS, **{program.name: program for program in (SCALED, BYTES)}}


def trained_together(programs: Sequence[Program]) -> list[list[Program]]:
    """Groups that train the same way: with the first program, and each other alone."""
    first, *others = programs
    alike = [program for program in others if program.learns_as(first)]
    return [[first, *alike], *([other] for other in others if other not in alike)]


class Setting(NamedTuple):
    """What a group of networks is trained on, and how."""

    name: str
    model: str  # of the recipe, in `MODELS`
    dataset: Dataset
    recipe: Recipe
    programs: Sequence[Program]  # the first is healthy
    rates: Sequence[float]  # so many networks of each seed

    def num_rows(self, healthy_seeds: int, seeds: int) -> int:
        """How many rows `train` yields."""
        with_healthy, *others = trained_together(self.programs)
        num_networks = len(with_healthy) * healthy_seeds + len(others) * seeds
        return len(self.rates) * num_networks

    def train(self, first: int, healthy_seeds: int, seeds: int) -> Iterator[Row]:
        """A row of every program and seed; seeds are counted from `first`."""
        for place, group in enumerate(trained_together(self.programs)):
            count = len(self.rates) * (seeds if place else healthy_seeds)
            own = range(first, first + count)
            rates = dict(zip(own, itertools.cycle(self.rates), strict=False))
            rows = train_in_parts(
                group, self.recipe, self.dataset, own, rates=rates, ends_only=True
            )
            for row in rows:
                rate = rates[row["seed"]]
                is_own = rate == self.recipe.learning_rate
                name = self.name if is_own else f"{self.name}, rate {rate:g}"
                yield {"setting": name, **row}


def settings(
    own: Dataset,
    others: Sequence[Dataset],
    mistakes: Sequence[Program],
    model_1: Recipe,
    model_3: Recipe,
    *,
    examples: Sequence[int],
    rates: Sequence[float],
) -> list[Setting]:
    """Model 1 on all images for SHORT epochs, on parts, and on other data; Model 3.

    The largest part, as large as the largest of `examples`, or all images where there
    are no more, is what other data are cut to, what is learned with other `rates`, and
    what Model 3 learns from.
    """
    count = len(own.train.label)
    *smaller, largest = sorted({min(part, count) for part in examples})
    short = replace(model_1, num_epochs=min(SHORT, model_1.num_epochs))
    parts = [
        (own, count, short, ()),
        *((own, part, model_1, ()) for part in smaller),
        (own, largest, model_1, rates),
        *((other, largest, model_1, ()) for other in others),
    ]
    result = []
    for dataset, count, recipe, more in parts:
        part = data.first_examples(dataset, min(count, len(dataset.train.label)))
        result.append(
            Setting(
                f"Model 1, {part.name}, {len(part.train.label):,} images, "
                f"{recipe.num_epochs} epochs",
                "sigmoid_mse",
                part,
                recipe,
                [HEALTHY, *mistakes],
                [recipe.learning_rate, *more],
            )
        )
    part = data.first_examples(own, largest)
    name = f"Model 3, {own.name}, {largest:,} images, {model_3.num_epochs} epochs"
    programs, rates = [SCALED, BYTES], [model_3.learning_rate]
    return [*result, Setting(name, "keras_dense", part, model_3, programs, rates)]


def train(settings: Sequence[Setting], healthy_seeds: int, seeds: int) -> Iterator[Row]:
    """The rows of all settings, each with seeds of its own from FIRST_SEED on."""
    first = FIRST_SEED
    for setting in settings:
        yield from setting.train(first, healthy_seeds, seeds)
        first += len(setting.rates) * max(healthy_seeds, seeds)


def share(flags: Iterable[Any]) -> dict[str, Any]:
    """How many hold, of how many, and Wilson's interval; None of too few."""
    flags = [bool(flag) for flag in flags]
    count, total = sum(flags), len(flags)
    interval = list(wilson_interval(count, total)) if total >= MIN_SEEDS else None
    return {"count": count, "of": total, "interval_95": interval}


def pooled(flags: Iterable[Any]) -> dict[str, Any]:
    """`share` without an interval: networks of several mistakes have seeds in common,
    and how often one is missed depends on which mistakes there are."""
    return share(flags) | {"interval_95": None}


def kinds(network: Row) -> list[str]:
    """What was found, in its order."""
    return [finding["kind"] for finding in network["diagnosis"]]


def is_healthy(network: Row) -> bool:
    """Whether its program makes no mistake."""
    return JUDGED[network["program"]].sign is None


def is_accused(network: Row) -> bool:
    """Whether a mistake is named, right or wrong."""
    return not set(SYMPTOMS).issuperset(kinds(network))


def is_missed(network: Row) -> bool:
    """Whether the first finding is not the program's mistake."""
    return kinds(network)[:1] != [JUDGED[network["program"]].sign]


def results(rows: Sequence[Row]) -> dict[str, Any]:
    """What was found right and wrong, from the rows that settings yield."""
    healthy = [row for row in rows if is_healthy(row)]
    mistaken = [row for row in rows if not is_healthy(row)]
    by_setting, by_mistake = [], []
    for setting, group in _by(rows, "setting").items():
        sound = [row for row in group if is_healthy(row)]
        broken = [row for row in group if not is_healthy(row)]
        by_setting.append(
            {
                "setting": setting,
                "healthy_accuracy": np.median([row["test_accuracy"] for row in sound]),
                "false_alarms": share(map(is_accused, sound)),
                "missed": pooled(map(is_missed, broken)),
            }
        )
    for name, group in _by(mistaken, "program").items():
        missed = [row for row in group if is_missed(row)]
        instead = Counter((*kinds(row), "healthy")[0] for row in missed)
        accuracies = [row["test_accuracy"] for row in missed]
        by_mistake.append(
            {
                "program": name,
                "mistake": JUDGED[name].mistake,
                "missed": share(map(is_missed, group)),
                "instead": dict(instead),
                "missed_accuracy": np.median(accuracies) if missed else None,
            }
        )
    by_finding = [
        {
            "finding": kind,
            "healthy": share(kind in kinds(row) for row in healthy),
            "mistaken": pooled(kind in kinds(row) for row in mistaken),
        }
        for kind in (*CHECKS, "labels", *SYMPTOMS)
    ]
    return {
        "false_alarms": share(map(is_accused, healthy)),
        "missed": pooled(map(is_missed, mistaken)),
        "by_setting": by_setting,
        "by_mistake": by_mistake,
        "by_finding": by_finding,
    }


def _by(rows: Sequence[Row], name: str) -> dict[str, list[Row]]:
    """The rows of each value, in the order of the first of each."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[name], []).append(row)
    return groups


def amount(part: Mapping[str, Any]) -> str:
    """A `share` in words, with its interval in per cent."""
    words = f"{part['count']:,} of {part['of']:,}"
    if part["interval_95"] is None:
        return words
    low, high = part["interval_95"]
    return f"{words} ({100 * low:.0f} to {100 * high:.0f} %)"


def tables(judgement: Mapping[str, Any]) -> list[Table]:
    """How often `diagnose` is right, by setting and by mistake, and what is usual."""

    def instead(entry: Mapping[str, Any]) -> str:
        return ", ".join(f"{kind} {n}" for kind, n in entry["instead"].items()) or "-"

    return [
        table(
            "Is jaxnets.diagnose right?",
            "Networks that set none of its limits: other seeds, and in all but the "
            "first setting other images or learning rates. A false alarm names a "
            "mistake in a network without one; a mistake is missed where the first "
            "finding is another or none. Mistakes of scoring are made with the healthy "
            "networks themselves, and used_up and thrown_away with the same untrained "
            "ones. In brackets Wilson's 95 % interval, of a sum as if "
            "each network were drawn from the settings' mixture; networks with "
            "different mistakes share seeds, so that their sums have none.",
            judgement["by_setting"],
            {
                "setting": "setting",
                "healthy, median, %": lambda entry: percent(entry["healthy_accuracy"]),
                "false alarms": lambda entry: amount(entry["false_alarms"]),
                "missed mistakes": lambda entry: amount(entry["missed"]),
            },
        ),
        table(
            "Which mistakes are missed",
            "Over all settings, with Wilson's 95 % interval as if each network were "
            "drawn from their mixture. The last columns are of the missed ones: their "
            "test accuracy says whether the mistake did harm.",
            judgement["by_mistake"],
            {
                "program": "program",
                "mistake": "mistake",
                "missed": lambda entry: amount(entry["missed"]),
                "found instead": instead,
                "their median, %": lambda entry: percent(entry["missed_accuracy"]),
            },
        ),
        table(
            "How usual each finding is",
            "Of the same networks, those with the finding at any place of the list. "
            "What healthy networks show as well is a symptom and names no mistake.",
            judgement["by_finding"],
            {
                "finding": "finding",
                "without a mistake": lambda entry: amount(entry["healthy"]),
                "with one": lambda entry: amount(entry["mistaken"]),
            },
        ),
    ]
