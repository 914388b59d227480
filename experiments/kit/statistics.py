"""What a test result is worth: intervals, and ties within chance."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy  # whose parts load when they are used; `stats` alone takes a second
from numpy.typing import ArrayLike

SIGNIFICANCE = 0.05  # of the comparison of two models
CONFIDENCE = 0.95  # of an accuracy's interval
MIN_SEEDS = 3  # that an interval over seeds needs
ROUNDING = 1e-9  # accuracies nearer than this are equal but for rounding


def wilson_interval(correct: int, seen: int) -> tuple[float, float]:
    """Wilson's 95 % interval of an accuracy over images of the same kind.

    Wilson (1927), as in Newcombe (1998), method 3. It covers the choice of test
    images, not that of the seed.

    Args:
      correct: 0 to `seen`.
      seen: 1 or more.
    """
    share = correct / seen
    z = float(scipy.special.ndtri(0.5 + CONFIDENCE / 2))
    width = 2 * (seen + z**2)
    middle = (2 * correct + z**2) / width
    half = z * math.sqrt(4 * correct * (1 - share) + z**2) / width
    # At the ends the two terms cancel but for rounding.
    low = 0.0 if correct == 0 else middle - half
    high = 1.0 if correct == seen else middle + half
    return low, high


def mcnemar_p_value(right_a: np.ndarray, right_b: np.ndarray) -> float:
    """Exact two-sided McNemar test of two models on the same images.

    McNemar (1947): where both were equally good, each image that exactly one of
    them gets right is a fair coin's throw.

    Args:
      right_a, right_b: bool [images], whether each model is right.
    """
    only_a = int(np.sum(right_a & ~right_b))
    only_b = int(np.sum(right_b & ~right_a))
    if only_a == only_b:
        return 1.0
    tail = scipy.special.bdtr(min(only_a, only_b), only_a + only_b, 0.5)
    return min(1.0, 2 * float(tail))


def ties(right: dict[str, np.ndarray]) -> dict[str, list[str]]:
    """For each model those whose difference from it is within chance."""
    return {
        name: [
            other
            for other in right
            if other != name
            and mcnemar_p_value(right[name], right[other]) >= SIGNIFICANCE
        ]
        for name in right
    }


def bootstrap_interval(values: ArrayLike) -> tuple[float, float] | None:
    """A 95 % interval of the mean over seeds, by the bootstrap; None if there is none.

    Efron's BCa bootstrap (1987), by SciPy, with a fixed random state. Fewer than
    three values, or equal ones, say nothing of their spread: None. With fewer than
    about ten the interval is too narrow, since a bootstrap sees no more than it has.

    Args:
      values: float [seeds].
    """
    values = np.asarray(values, np.float64)
    if len(values) < MIN_SEEDS or np.ptp(values) <= ROUNDING:
        return None
    bootstrap = scipy.stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=CONFIDENCE,
        method="BCa",
        rng=np.random.default_rng(0),
    )
    low, high = bootstrap.confidence_interval
    return float(low), float(high)


def paired_p_value(values_a: ArrayLike, values_b: ArrayLike) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test (1945), by SciPy.

    For two models over the same seeds, as Demsar (2006) recommends over data sets:
    it assumes no normal distribution, and one seed that got stuck decides nothing.
    With n seeds it is at least 2 / 2^n, so that five seeds cannot reach 0.05. It is
    exact, but for more than 13 seeds with ties, where a normal distribution stands in.

    Args:
      values_a, values_b: float [seeds], the same seeds in the same order.
    """
    differences = np.asarray(values_a, np.float64) - np.asarray(values_b, np.float64)
    # Counts divided by a count: equal differences must stay equal in floating point.
    differences = np.round(differences / ROUNDING) * ROUNDING
    differences = differences[differences != 0]  # as Wilcoxon did
    return float(scipy.stats.wilcoxon(differences).pvalue) if len(differences) else 1.0


class TTest(NamedTuple):
    """A mean's 95 % interval, and the p-value of its being zero."""

    interval: tuple[float, float]
    p_value: float


def t_test(differences: ArrayLike) -> TTest | None:
    """Student's (1908) two-sided test of a mean, which takes its terms for normal.

    Fewer than two, or equal ones, say nothing of their spread: None.

    Args:
      differences: float [seeds], of two models over the same seeds.
    """
    differences = np.asarray(differences, np.float64)
    if len(differences) < 2 or np.ptp(differences) <= ROUNDING:
        return None
    freedom = len(differences) - 1
    mean = float(np.mean(differences))
    error = float(np.std(differences, ddof=1)) / math.sqrt(len(differences))
    half = float(scipy.special.stdtrit(freedom, 0.5 + CONFIDENCE / 2)) * error
    p_value = 2 * float(scipy.special.stdtr(freedom, -abs(mean) / error))
    return TTest((mean - half, mean + half), p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values, in the order given.

    Below 0.05 all that remain are safe together: the chance of one false finding
    among them is at most 0.05, whatever the dependence.
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(np.argsort(p_values, kind="stable")):
        highest = max(highest, (len(p_values) - place) * p_values[index])
        adjusted[index] = min(1.0, highest)
    return adjusted


class Pair(NamedTuple):
    """Two models over the seeds that both were trained from."""

    first: str
    second: str
    seeds: int  # that both have
    difference: float  # mean of first minus second
    interval: tuple[float, float] | None  # of the difference, `bootstrap_interval`
    median: float  # of first minus second; one seed that got stuck moves it little
    p_value: float  # `paired_p_value`, after Holm's correction over all pairs

    @property
    def ahead(self) -> str | None:
        """The better model; None where the data cannot rank the two, a tie.

        It is a tie too where mean and median disagree on who is better.
        """
        if self.p_value >= SIGNIFICANCE or self.difference * self.median <= 0:
            return None
        return self.first if self.difference > 0 else self.second


def compare_pairs(scores: Mapping[str, Mapping[int, float]]) -> list[Pair]:
    """Every pair of models that have seeds in common, Holm-corrected together.

    Args:
      scores: of each model, by seed.
    """
    pairs = []
    for first, second in itertools.combinations(scores, 2):
        common = sorted(scores[first].keys() & scores[second].keys())
        if common:
            values_a = np.array([scores[first][seed] for seed in common])
            values_b = np.array([scores[second][seed] for seed in common])
            gaps = values_a - values_b
            pair = Pair(
                first,
                second,
                seeds=len(common),
                difference=float(np.mean(gaps)),
                interval=bootstrap_interval(gaps),
                median=float(np.median(gaps)),
                p_value=paired_p_value(values_a, values_b),
            )
            pairs.append(pair)
    adjusted = holm([pair.p_value for pair in pairs])
    return [
        pair._replace(p_value=p_value)
        for pair, p_value in zip(pairs, adjusted, strict=True)
    ]


def ranks(names: Iterable[str], pairs: Iterable[Pair]) -> dict[str, tuple[int, int]]:
    """Each model's best and worst place that the pairs allow; 1 is the best.

    A model is behind those that are significantly better and before those that are
    significantly worse, the others tie with it (Mogstad, Romano, Shaikh and Wilhelm,
    2024, "Inference for ranks", section 3). Equal numbers: the rank is certain.
    """
    names = list(names)
    better, worse = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for pair in pairs:
        if pair.ahead:
            behind = pair.second if pair.ahead == pair.first else pair.first
            worse[pair.ahead] += 1
            better[behind] += 1
    return {name: (1 + better[name], len(names) - worse[name]) for name in names}


def rank_text(rank: tuple[int, int]) -> str:
    """A rank in words: `1`, or `1 to 2, tie`."""
    best, worst = rank
    return f"{best}" if best == worst else f"{best} to {worst}, tie"
