"""What a test result is worth: intervals, and comparisons of samples of seeds."""

import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy  # whose parts load when they are used; `stats` alone takes a second
from numpy.typing import ArrayLike

SIGNIFICANCE = 0.05  # of the comparison of two models
CONFIDENCE = 0.95  # of an accuracy's interval
MIN_SEEDS = 3  # that an interval over seeds needs
MARGIN = 0.001  # 0.1 points: what counts as no difference where equality is tested
EQUAL = f"equal within {100 * MARGIN:g} points"
POWER = 0.8  # of the difference that a design is said to detect
# What a Mann-Whitney test needs a difference of normal values larger than Welch's for
# the same power: by the root of how many more values (Hodges and Lehmann, 1956).
MANN_WHITNEY = math.sqrt(math.pi / 3)
TOO_FEW = "too few seeds"  # where even the smallest possible p-value is not below 0.05
ROUNDING = 1e-9  # accuracies nearer than this are equal but for rounding
CELLS = 10**7  # 80 MB
FAR_OUT = 3.0  # interquartile ranges below the lower quartile; Tukey (1977)


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
    return sign_test_p_value(int(only_a), int(only_b))


def sign_test_p_value(more: int, fewer: int) -> float:
    """Exact two-sided sign test of pairs, equal ones left out; 1 where all are equal.

    Dixon and Mood (1946): where neither side tends to be larger, each pair that
    differs is a fair coin's throw.

    Args:
      more, fewer: pairs whose difference is above and below 0, 0 or more each.
    """
    tail = scipy.special.bdtr(min(more, fewer), more + fewer, 0.5)
    return min(1.0, 2 * float(tail))


def median_interval(values: ArrayLike) -> list[float] | None:
    """A 95 % interval of the median: two of the values themselves; None if too few.

    By order statistics (Hahn and Meeker, 1991, section 5.2): how many values lie below
    the median is binomial, whatever their distribution, so that seeds that got stuck
    do no harm. It covers at least 95 %. Fewer than six values cannot.

    Args:
      values: float [seeds].
    """
    values = np.sort(np.asarray(values, np.float64))
    # Twice the chance that at most 0, 1, ... of them are below the median.
    tails = 2 * scipy.special.bdtr(np.arange(len(values) // 2), len(values), 0.5)
    left_out = int(np.count_nonzero(tails <= 1 - CONFIDENCE)) - 1  # at each end
    if left_out < 0:
        return None
    return [float(values[left_out]), float(values[-1 - left_out])]


def far_out(values: ArrayLike) -> np.ndarray:
    """Which values lie far below the others (Tukey, 1977): of seeds that got stuck.

    Args:
      values: float [seeds], one or more.

    Returns:
      bool [seeds].
    """
    values = np.asarray(values, np.float64)
    low, high = np.quantile(values, (0.25, 0.75))
    # The smallest range that counts is one of rounding, where quartiles are equal.
    return values < low - FAR_OUT * (high - low) - ROUNDING


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


class Difference(NamedTuple):
    """A difference of means and what is known of it, of values taken for normal."""

    mean: float
    error: float  # standard error of the mean
    freedom: float  # degrees of freedom of Student's t

    @property
    def interval(self) -> list[float]:
        """95 %, of the difference."""
        t = float(scipy.special.stdtrit(self.freedom, 0.5 + CONFIDENCE / 2))
        return [self.mean - t * self.error, self.mean + t * self.error]

    @property
    def p_value(self) -> float:
        """Two-sided, of there being none."""
        t = abs(self.mean) / self.error
        return 2 * float(scipy.special.stdtr(self.freedom, -t))

    def equal_p_value(self, margin: float = MARGIN) -> float:
        """Of two one-sided tests (TOST; Schuirmann, 1987) of |difference| < margin.

        Below 0.05 the means are equal within the margin.
        """
        t = (margin - abs(self.mean)) / self.error
        return float(scipy.special.stdtr(self.freedom, -t))

    def detectable(self, num_tests: int) -> float:
        """The true difference that the test finds with 80 % power.

        For these spreads, at Holm's first and strictest step of `num_tests`.
        """
        chances = 1 - SIGNIFICANCE / 2 / num_tests, POWER
        return float(np.sum(scipy.special.stdtrit(self.freedom, chances)) * self.error)


def paired(differences: ArrayLike) -> Difference | None:
    """Of two networks that share each seed's weights and order of images.

    By Student (1908). Fewer than three, or equal ones, say nothing of their spread:
    None. Unpaired ones are for `compare_pairs`.

    Args:
      differences: float [seeds].
    """
    differences = np.asarray(differences, np.float64)
    count = len(differences)
    if count < MIN_SEEDS or np.ptp(differences) <= ROUNDING:
        return None
    error = float(np.std(differences, ddof=1)) / math.sqrt(count)
    return Difference(float(np.mean(differences)), error, count - 1)


def lower_bound(values: ArrayLike, chance: float) -> float | None:
    """What the mean of such values is above, but for a one-sided `chance`.

    By Student (1908), of values taken for normal; None where `paired` gives none.

    Args:
      values: float [seeds].
      chance: 0 to 0.5.
    """
    above = paired(values)
    if above is None:
        return None
    return (
        above.mean + float(scipy.special.stdtrit(above.freedom, chance)) * above.error
    )


def welch(first: ArrayLike, second: ArrayLike) -> Difference | None:
    """First minus second, of two independent samples (Welch, 1947).

    None where one has fewer than three values, or neither has any spread.
    """
    samples = [np.asarray(values, np.float64) for values in (first, second)]
    counts = np.array([len(values) for values in samples])
    if min(counts) < MIN_SEEDS or max(map(np.ptp, samples)) <= ROUNDING:
        return None
    squares = np.array([np.var(values, ddof=1) for values in samples]) / counts
    freedom = np.sum(squares) ** 2 / np.sum(squares**2 / (counts - 1))
    mean = np.mean(samples[0]) - np.mean(samples[1])
    return Difference(float(mean), math.sqrt(np.sum(squares)), float(freedom))


def win_share(first: ArrayLike, second: ArrayLike) -> float:
    """How often a value of the first beats one of the second; equal counts half.

    Mann and Whitney's (1947) U over its largest value; Bouthillier et al. (2021)
    call it the probability of outperforming.
    """
    gaps = np.subtract.outer(np.asarray(first, float), np.asarray(second, float))
    return float(np.mean((np.sign(np.where(abs(gaps) > ROUNDING, gaps, 0)) + 1) / 2))


def mann_whitney_p_value(first: ArrayLike, second: ArrayLike) -> float:
    """Two-sided p-value of Mann and Whitney's (1947) test, exact with ties too.

    It assumes no normal distribution, and one seed that got stuck decides nothing.
    SciPy's exact method takes no account of ties, which counts of images have: here
    all choices of n of the n + m ranks are counted, twice the smaller tail of them.
    Where the count would take more than `CELLS` numbers, from some 135 values of each
    on, SciPy's normal approximation takes its place.

    Args:
      first, second: float [n] and [m], one value or more of each.
    """
    samples = np.ravel(np.asarray(first, float)), np.ravel(np.asarray(second, float))
    few, many = sorted(samples, key=len)
    values = np.concatenate([few, many])
    _, place, counts = np.unique(
        np.round(values / ROUNDING), return_inverse=True, return_counts=True
    )
    ranks = (2 * np.cumsum(counts) - counts + 1)[place]  # twice those in the middle
    size, shape = len(few), (len(few) + 1, np.sum(ranks) + 1)
    if math.prod(shape) > CELLS:
        split = ranks[:size], ranks[size:]
        return float(scipy.stats.mannwhitneyu(*split, method="asymptotic").pvalue)
    ways = np.zeros(shape)  # to choose so many with such a sum
    ways[0, 0] = 1
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, :-rank]
    observed = np.sum(ranks[:size])
    tails = np.sum(ways[size, : observed + 1]), np.sum(ways[size, observed:])
    return min(1.0, 2 * float(min(tails) / np.sum(ways[size])))


class Pair(NamedTuple):
    """Two models over seeds of their own: nothing but chance pairs two seeds."""

    first: str
    second: str
    seeds: tuple[int, int]  # of each
    difference: float  # of the means, first minus second
    interval: list[float] | None  # of the difference, `welch`, 95 %; None if stuck
    wins: float  # `win_share` of the first
    p_value: float  # `mann_whitney_p_value`, after Holm's correction over all pairs
    least_p_value: float  # that so many seeds could have reached
    equal_p_value: float | None  # of `Difference`, after Holm's correction likewise
    detectable: float | None  # the true difference that is found with 80 % power

    @property
    def ahead(self) -> str | None:
        """The better model; None where the data cannot tell.

        Nor can it where the means and most of the runs disagree on who is better.
        """
        if self.p_value >= SIGNIFICANCE or self.difference * (self.wins - 0.5) <= 0:
            return None
        return self.first if self.difference > 0 else self.second

    @property
    def verdict(self) -> str:
        """What the data says of the two."""
        if self.least_p_value >= SIGNIFICANCE:
            return TOO_FEW
        if self.ahead:
            return f"{self.ahead} ahead"
        if self.equal_p_value is not None and self.equal_p_value < SIGNIFICANCE:
            return EQUAL
        return "not told apart"

    def as_row(self) -> dict[str, Any]:
        """What `results.json` has of it."""
        seeds = [*self.seeds]
        verdicts = {"ahead": self.ahead, "verdict": self.verdict}
        return {**self._asdict(), "seeds": seeds, **verdicts}


def compare_pairs(
    scores: Mapping[str, Collection[float]],
    names: Sequence[tuple[str, str]] | None = None,
) -> list[Pair]:
    """Pairs of these names, or all, from each one's scores over its seeds; by Holm.

    Where a seed got stuck (`far_out`), nothing is said that takes values for normal:
    no interval of the difference, no test of equality, no power.
    """
    names = list(itertools.combinations(scores, 2)) if names is None else names
    samples = [[np.array([*scores[name]]) for name in pair] for pair in names]
    sizes = [(len(first), len(second)) for first, second in samples]
    means = [
        None if any(far_out(sample).any() for sample in pair) else welch(*pair)
        for pair in samples
    ]
    p_values = holm([mann_whitney_p_value(*pair) for pair in samples])
    least = holm([min(1.0, 2 / math.comb(n + m, n)) for n, m in sizes])
    equal = iter(holm([mean.equal_p_value() for mean in means if mean]))
    return [
        Pair(
            *names[index],
            seeds=sizes[index],
            difference=float(np.mean(first) - np.mean(second)),
            interval=mean and mean.interval,
            wins=win_share(first, second),
            p_value=p_values[index],
            least_p_value=least[index],
            equal_p_value=mean and next(equal),
            detectable=mean and mean.detectable(len(names)) * MANN_WHITNEY,
        )
        for index, ((first, second), mean) in enumerate(
            zip(samples, means, strict=True)
        )
    ]


Rank = tuple[int, int]  # a model's best and worst place; 1 is the best


def ranks(names: Iterable[str], pairs: Sequence[Pair]) -> dict[str, Rank | None]:
    """Each model's places that the pairs allow; None where seeds are too few.

    A model is behind those that are significantly better and before those that are
    significantly worse; the order of the others is open (Mogstad, Romano, Shaikh and
    Wilhelm, 2024, "Inference for ranks", section 3).
    """
    names, places = list(names), {}
    for name in names:
        own = [pair for pair in pairs if name in (pair.first, pair.second)]
        better = sum(pair.ahead == name for pair in own)
        behind = sum(pair.ahead is not None for pair in own) - better
        unknown = own and all(pair.verdict == TOO_FEW for pair in own)
        places[name] = None if unknown else (1 + behind, len(names) - better)
    return places


def rank_text(rank: Sequence[int] | None) -> str:
    """A rank in words: `1`, `1 to 2`, or that there are too few seeds."""
    if rank is None:
        return TOO_FEW
    best, worst = rank
    return f"{best}" if best == worst else f"{best} to {worst}"
