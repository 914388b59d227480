"""What a test result is worth: intervals, and ties within chance."""

import itertools
import math
from collections import Counter
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
    z = float(scipy.special.ndtri(0.5 + CONFIDENCE / 2))
    width = 2 * (seen + z**2)
    middle = (2 * correct + z**2) / width
    half = z * math.sqrt(4 * correct * (1 - correct / seen) + z**2) / width
    # At the ends the two terms cancel but for rounding.
    low = middle - half if correct else 0.0
    return low, (middle + half if correct < seen else 1.0)


def mcnemar_p_value(right_a: np.ndarray, right_b: np.ndarray) -> float:
    """Exact two-sided McNemar test of two models on the same images.

    McNemar (1947): where both were equally good, each image that exactly one of
    them gets right is a fair coin's throw.

    Args:
      right_a, right_b: bool [images], whether each model is right.
    """
    only_a, only_b = np.sum(right_a & ~right_b), np.sum(right_b & ~right_a)
    tail = scipy.special.bdtr(min(only_a, only_b), only_a + only_b, 0.5)
    return min(1.0, 2 * float(tail))


def ties(right: dict[str, np.ndarray]) -> dict[str, list[str]]:
    """For each model those whose difference from it is within chance."""
    tied: dict[str, list[str]] = {name: [] for name in right}
    for name, other in itertools.permutations(right, 2):
        if mcnemar_p_value(right[name], right[other]) >= SIGNIFICANCE:
            tied[name].append(other)
    return tied


def bootstrap_interval(values: ArrayLike) -> list[float] | None:
    """A 95 % interval of the mean over seeds, low and high; None if there is none.

    Efron's BCa bootstrap (1987), by SciPy, with a fixed random state. Fewer than
    three values, or equal ones, say nothing of their spread: None. With fewer than
    about ten the interval is too narrow, since a bootstrap sees no more than it has.

    Args:
      values: float [seeds].
    """
    values = np.asarray(values, np.float64)
    if len(values) < MIN_SEEDS or np.ptp(values) <= ROUNDING:
        return None
    rng = np.random.default_rng(0)
    bootstrap = scipy.stats.bootstrap(
        (values,), np.mean, confidence_level=CONFIDENCE, method="BCa", rng=rng
    )
    return [float(end) for end in bootstrap.confidence_interval]


def paired_p_value(differences: ArrayLike) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test (1945), by SciPy.

    For two models over the same seeds, as Demsar (2006) recommends over data sets:
    it assumes no normal distribution, and one seed that got stuck decides nothing.
    With n seeds it is at least 2 / 2^n, so that five seeds cannot reach 0.05. It is
    exact, but for more than 13 seeds with ties, where a normal distribution stands in.

    Args:
      differences: as in `t_test`.
    """
    # Counts divided by a count: equal differences must stay equal in floating point.
    rounded = np.round(np.asarray(differences, float) / ROUNDING) * ROUNDING
    rounded = rounded[rounded != 0]  # as Wilcoxon did
    return float(scipy.stats.wilcoxon(rounded).pvalue) if len(rounded) else 1.0


def t_test(differences: ArrayLike) -> tuple[list[float], float] | None:
    """A mean's 95 % interval and the p-value of its being zero; None if there is none.

    Student's (1908) two-sided test, which takes its terms for normal. Fewer than two,
    or equal ones, say nothing of their spread: None.

    Args:
      differences: float [seeds], of two models over the same seeds.
    """
    differences = np.asarray(differences, np.float64)
    if len(differences) < 2 or np.ptp(differences) <= ROUNDING:
        return None
    freedom, mean = len(differences) - 1, float(np.mean(differences))
    error = float(np.std(differences, ddof=1)) / math.sqrt(len(differences))
    half = float(scipy.special.stdtrit(freedom, 0.5 + CONFIDENCE / 2)) * error
    p_value = 2 * float(scipy.special.stdtr(freedom, -abs(mean) / error))
    return [mean - half, mean + half], p_value


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values, in the order given.

    Below 0.05 all that remain are safe together: the chance of one false finding
    among them is at most 0.05, whatever the dependence.
    """
    order = np.argsort(p_values)
    adjusted = np.empty(len(p_values))
    rising = np.arange(len(p_values), 0, -1) * np.asarray(p_values, float)[order]
    adjusted[order] = np.minimum(1, np.maximum.accumulate(rising))
    return adjusted.tolist()


class Pair(NamedTuple):
    """Two models over the seeds that both were trained from."""

    first: str
    second: str
    seeds: int  # that both have
    difference: float  # mean of first minus second
    interval: list[float] | None  # of the difference, `bootstrap_interval`
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
    """All pairs of models with common seeds, of scores by model and seed; by Holm."""
    pairs = []
    for first, second in itertools.combinations(scores, 2):
        common = sorted(scores[first].keys() & scores[second].keys())
        if common:
            gaps = [scores[first][seed] - scores[second][seed] for seed in common]
            pair = Pair(
                first,
                second,
                seeds=len(common),
                difference=float(np.mean(gaps)),
                interval=bootstrap_interval(gaps),
                median=float(np.median(gaps)),
                p_value=paired_p_value(gaps),
            )
            pairs.append(pair)
    adjusted = holm([pair.p_value for pair in pairs])
    return [pair._replace(p_value=p) for pair, p in zip(pairs, adjusted, strict=True)]


def ranks(names: Iterable[str], pairs: Iterable[Pair]) -> dict[str, tuple[int, int]]:
    """Each model's best and worst place that the pairs allow; 1 is the best.

    A model is behind those that are significantly better and before those that are
    significantly worse, the others tie with it (Mogstad, Romano, Shaikh and Wilhelm,
    2024, "Inference for ranks", section 3). Equal numbers: the rank is certain.
    """
    names, ranked = list(names), [pair for pair in pairs if pair.ahead]
    better = Counter(pair.ahead for pair in ranked)
    either = Counter(name for pair in ranked for name in (pair.first, pair.second))
    worst = {name: len(names) - better[name] for name in names}
    return {name: (1 + either[name] - better[name], worst[name]) for name in names}


def rank_text(rank: tuple[int, int]) -> str:
    """A rank in words: `1`, or `1 to 2, tie`."""
    best, worst = rank
    return f"{best}" if best == worst else f"{best} to {worst}, tie"
