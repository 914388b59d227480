"""Intervals and tests against their textbook formulas."""

import itertools
import math
import subprocess
import sys
from math import comb

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from experiments.kit import statistics
from experiments.kit.statistics import (
    MANN_WHITNEY,
    Difference,
    compare_pairs,
    far_out,
    holm,
    lower_bound,
    mann_whitney_p_value,
    mcnemar_p_value,
    median_interval,
    paired,
    rank_text,
    ranks,
    sign_test_p_value,
    welch,
    wilson_interval,
    win_share,
)


@given(st.integers(1, 100_000), st.floats(0, 1))
def test_wilson_interval_is_scipys(seen, share):
    correct = round(share * seen)
    # Oracle: SciPy's statistics, which the subject does not load.
    expected = scipy.stats.binomtest(correct, seen).proportion_ci(method="wilson")
    # float64; near the ends two terms of 1e-5 cancel
    np.testing.assert_allclose(
        wilson_interval(correct, seen), expected, rtol=1e-12, atol=1e-15
    )


def test_wilson_interval_of_a_published_result():
    # 9,800 of 10,000, by an independent calculator: 0.9771 to 0.9826.
    low, high = wilson_interval(9_800, 10_000)
    assert (round(low, 4), round(high, 4)) == (0.9771, 0.9826)
    assert isinstance(low, float)


def answers(only_a, only_b, both, neither):
    """Whether models a and b are right, image by image."""
    pairs = [(1, 0)] * only_a + [(0, 1)] * only_b + [(1, 1)] * both + [(0, 0)] * neither
    return np.array(pairs, bool).reshape(-1, 2).T


@given(*[st.integers(0, 40)] * 4)
def test_mcnemar_is_a_fair_coin_on_the_images_that_one_model_misses(
    only_a, only_b, both, neither
):
    right_a, right_b = answers(only_a, only_b, both, neither)
    tosses = only_a + only_b
    fewer = sum(comb(tosses, heads) for heads in range(min(only_a, only_b) + 1))
    expected = min(1.0, 2 * fewer / 2**tosses)  # exact, both tails
    # float64 sums of at most 81 terms
    assert mcnemar_p_value(right_a, right_b) == pytest.approx(expected, rel=1e-9)
    assert mcnemar_p_value(right_b, right_a) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("only_a", "only_b"), [(212, 187), (900, 1001), (3, 480)])
def test_mcnemar_of_many_images_is_scipys_binomial_test(only_a, only_b):
    expected = scipy.stats.binomtest(only_a, only_a + only_b).pvalue
    measured = mcnemar_p_value(*answers(only_a, only_b, 0, 0))
    assert measured == pytest.approx(expected, rel=1e-9)  # float64


def test_intervals_of_accuracies_do_not_load_scipys_statistics():
    program = (
        "import sys; from experiments.kit import statistics as s; import numpy as np;"
        "s.wilson_interval(9, 10); s.compare_pairs({'a': [1, 2, 3], 'b': [4, 5, 6]});"
        "s.mcnemar_p_value(np.array([True, True]), np.array([False, True]));"
        "sys.exit('scipy.stats' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_sign_test_is_scipys_binomial_test(more, fewer):
    expected = scipy.stats.binomtest(more, more + fewer).pvalue if more + fewer else 1.0
    assert sign_test_p_value(more, fewer) == pytest.approx(
        expected, rel=1e-9
    )  # float64


@pytest.mark.parametrize(("only_a", "p_value"), [(5, 2 / 32), (6, 2 / 64)])
def test_images_that_one_model_alone_gets_right_are_coins(only_a, p_value):
    right_a, right_b = answers(only_a, 0, 50, 3)
    assert mcnemar_p_value(right_a, right_b) == pytest.approx(p_value)  # by hand


@given(st.lists(st.integers(-90, 90), min_size=3, max_size=12))
def test_the_t_test_is_scipys(gaps):
    measured = paired(np.array(gaps) / 1000)
    if np.ptp(gaps) == 0:
        assert measured is None
    else:
        expected = scipy.stats.ttest_1samp(np.array(gaps) / 1000, 0)
        # float64; a mean may cancel to nearly 0
        np.testing.assert_allclose(
            measured.interval, expected.confidence_interval(0.95), rtol=1e-9, atol=1e-14
        )
        assert measured.p_value == pytest.approx(expected.pvalue, rel=1e-9)


@pytest.mark.parametrize("values", [[], [0.1], [0.1, 0.3]])
def test_fewer_than_three_have_no_interval_of_a_mean(values):
    assert paired(values) is None
    assert welch(values, [0.1, 0.2, 0.4]) is None


def test_holm_is_his_table():
    # By hand: 0.005 x 4, 0.01 x 3, 0.03 x 2, and no less than the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 0.2), max_size=8))
def test_holm_rejects_what_his_steps_reject(p_values):
    # Oracle: the procedure as he describes it, which adjusts no p-value.
    rejected = set()
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    for step, index in enumerate(order):
        if p_values[index] * (len(p_values) - step) >= 0.05:
            break
        rejected.add(index)
    adjusted = holm(p_values)
    assert {index for index, value in enumerate(adjusted) if value < 0.05} == rejected


COUNTS = st.lists(st.integers(0, 60), min_size=3, max_size=8)


@given(COUNTS, COUNTS)
def test_welch_is_scipys(first, second):
    mean = welch(first, second)
    if np.ptp(first) == np.ptp(second) == 0:
        assert mean is None
        return
    expected = scipy.stats.ttest_ind(first, second, equal_var=False)
    interval = expected.confidence_interval(0.95)
    # float64; a mean may cancel to nearly 0
    np.testing.assert_allclose(mean.interval, interval, rtol=1e-9, atol=1e-9)
    assert mean.p_value == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-300)
    # Oracle: two one-sided tests, each by SciPy on shifted values.
    sides = [
        scipy.stats.ttest_ind(
            np.add(first, shift), second, equal_var=False, alternative=side
        ).pvalue
        for shift, side in ((2.5, "greater"), (-2.5, "less"))
    ]
    assert mean.equal_p_value(2.5) == pytest.approx(max(sides), rel=1e-9, abs=1e-300)


def test_mann_whitney_of_distinct_values_is_scipys_exact():
    rng = np.random.default_rng(0)
    for size, others in ((3, 4), (8, 20), (20, 20)):
        first, second = rng.normal(0.5, size=size), rng.normal(size=others)
        expected = scipy.stats.mannwhitneyu(first, second, method="exact")
        p_value = mann_whitney_p_value(first / 1000, second / 1000)
        assert p_value == pytest.approx(expected.pvalue, rel=1e-9)  # float64
        share = expected.statistic / size / others
        assert win_share(first / 1000, second / 1000) == pytest.approx(share)


@given(*[st.lists(st.integers(0, 9), min_size=1, max_size=5)] * 2)
def test_mann_whitney_with_ties_is_every_choice(first, second):
    # Oracle: SciPy's ranks and every way to deal them out; by hand twice the tail.
    ranks_of_all = scipy.stats.rankdata(first + second)
    choices = itertools.combinations(ranks_of_all, len(first))
    sums = np.array([sum(choice) for choice in choices])
    observed = sum(ranks_of_all[: len(first)])
    tail = min(np.mean(sums <= observed), np.mean(sums >= observed))
    # Shares of 10,000 images: equal ones may differ in their last bits.
    samples = [np.array(sample) / 10_000 + 0.1 for sample in (first, second)]
    assert mann_whitney_p_value(*samples) == pytest.approx(min(1, 2 * tail))
    assert mann_whitney_p_value(*samples[::-1]) == pytest.approx(min(1, 2 * tail))


def test_mann_whitney_of_many_is_close_to_every_choice(monkeypatch):
    # Oracle: the exact count, which is tested above; and of 600 values each, which
    # take too much of it, every shuffle's rank sum, of 4,000 shuffles.
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 9, 100), rng.integers(0, 9, 120) + 0.7
    exact = mann_whitney_p_value(first, second)
    monkeypatch.setattr(statistics, "CELLS", 0)
    assert mann_whitney_p_value(first, second) == pytest.approx(exact, rel=0.1)
    monkeypatch.undo()
    first, second = rng.normal(size=600), rng.normal(0.09, size=600)
    ranks = scipy.stats.rankdata(np.concatenate([first, second]))
    middle = 600 * np.mean(ranks)
    observed = abs(sum(ranks[:600]) - middle)
    shuffled = [sum(rng.permutation(ranks)[:600]) - middle for _ in range(4000)]
    share = np.mean(np.abs(shuffled) >= observed)
    assert 0.01 < share < 0.5
    assert mann_whitney_p_value(first, second) == pytest.approx(share, abs=0.03)
    assert mann_whitney_p_value(first, second + 9) < 1e-100


def test_the_median_interval_is_that_of_the_tables():
    # By hand, as in tables of the sign test: of 6 values the extremes, of 20 the 6th
    # and the 15th (coverage 95.86 %).
    assert median_interval(range(1, 7)) == [1, 6]
    assert median_interval(range(20, 0, -1)) == [6, 15]
    assert median_interval(range(5)) is None  # 2 / 2^5 is above 0.05
    assert median_interval([]) is None


DRAWS = 2000  # samples of a simulation
# Four standard deviations of a share of 95 % over so many.
SLACK = 4 * math.sqrt(0.95 * 0.05 / DRAWS)


def normal(rng, *shape):
    return rng.normal(size=(DRAWS, *shape))


def stuck(rng, *shape):
    """Normal around 0, but for 5 % far below, as seeds that got stuck."""
    return normal(rng, *shape) - 50 * (rng.random((DRAWS, *shape)) < 0.05)


def covered(intervals, value):
    low, high = np.transpose(intervals)
    return np.mean((low <= value) & (value <= high))


@pytest.mark.parametrize("size", [3, 6, 20])
def test_students_interval_covers_the_mean(size):
    samples = normal(np.random.default_rng(size), size)
    share = covered([paired(sample).interval for sample in samples], 0)
    assert share == pytest.approx(0.95, abs=SLACK)


@pytest.mark.parametrize("size", [3, 10, 30])
def test_the_lower_bound_is_below_the_mean_but_for_its_chance(size):
    samples = normal(np.random.default_rng(size), size)
    share = np.mean([lower_bound(sample, 0.01) < 0 for sample in samples])
    assert share == pytest.approx(0.99, abs=4 * math.sqrt(0.99 * 0.01 / DRAWS))


@pytest.mark.parametrize("sizes", [(20, 20), (20, 8), (4, 6)])
def test_welchs_interval_covers_the_difference(sizes):
    rng = np.random.default_rng(sum(sizes))
    first, second = 3 * normal(rng, sizes[0]), 1 + normal(rng, sizes[1])
    intervals = [welch(*pair).interval for pair in zip(first, second, strict=True)]
    # Welch's degrees of freedom are an approximation, good to about a point.
    assert covered(intervals, -1) == pytest.approx(0.95, abs=SLACK + 0.01)


@pytest.mark.parametrize("size", [6, 8, 20])
@pytest.mark.parametrize("draw", [normal, stuck])
def test_the_median_interval_covers_the_median(draw, size):
    samples = draw(np.random.default_rng(size), size)
    # Of all values below some x: 0.05 + 0.95 Phi(x) is a half.
    median = 0 if draw is normal else scipy.stats.norm.ppf(0.45 / 0.95)
    share = covered([median_interval(sample) for sample in samples], median)
    # Exact: the binomial's own coverage, of 95 % or more.
    tails = scipy.stats.binom.cdf(range(size), size, 0.5)
    exact = 1 - 2 * max(tail for tail in tails if tail <= 0.025)
    assert share == pytest.approx(exact, abs=SLACK)
    assert exact >= 0.95


@pytest.mark.parametrize(("seen", "share"), [(20, 0.05), (20, 0.5), (10_000, 0.978)])
def test_wilsons_interval_covers_the_share(seen, share):
    counts = np.random.default_rng(seen).binomial(seen, share, DRAWS)
    intervals = [wilson_interval(int(count), seen) for count in counts]
    # Of so few its coverage goes up and down by some points around 95 %.
    slack = 0.03 if seen < 100 else 0.005
    assert covered(intervals, share) == pytest.approx(0.95, abs=SLACK + slack)


def test_equality_is_claimed_wrongly_in_one_of_twenty():
    # At the margin's very edge, where the claim is false and most easily made.
    rng = np.random.default_rng(0)
    pairs = zip(normal(rng, 20), 2 + normal(rng, 20), strict=True)
    claims = [welch(*pair).equal_p_value(margin=2) < 0.05 for pair in pairs]
    assert np.mean(claims) == pytest.approx(0.05, abs=SLACK)


@pytest.mark.parametrize("spreads", [(1, 1), (3, 1)])
def test_the_test_has_the_power_that_is_printed(spreads):
    rng, num_tests = np.random.default_rng(3), 6
    first, second = (s * normal(rng, 20)[:400] for s in spreads)
    error = math.hypot(*spreads) / math.sqrt(20)
    freedom = 19 * sum(s**2 for s in spreads) ** 2 / sum(s**4 for s in spreads)
    shift = Difference(0, error, freedom).detectable(num_tests) * MANN_WHITNEY
    p_values = [
        mann_whitney_p_value(a + shift, b) for a, b in zip(first, second, strict=True)
    ]
    # 400 samples, two standard deviations; a normal approximation of an exact test
    power = np.mean(np.multiply(p_values, num_tests) < 0.05)
    assert power == pytest.approx(0.8, abs=2 * math.sqrt(0.16 / 400) + 0.02)


def test_pairs_are_compared_over_all_seeds_and_corrected_together():
    scores = {
        "low": np.arange(20) / 10_000 + 0.95,
        "high": np.arange(20) / 10_000 + 0.97,
        "few": np.arange(4) / 10_000 + 0.96,
    }
    pairs = compare_pairs(scores)
    assert [(pair.first, pair.second, pair.seeds) for pair in pairs] == [
        ("low", "high", (20, 20)),
        ("low", "few", (20, 4)),
        ("high", "few", (20, 4)),
    ]
    # By hand: every value of one is below every one of the other; of three tests the
    # smallest counts three times, the others, being equal, twice.
    assert pairs[0].p_value == pytest.approx(3 * 2 / comb(40, 20))
    assert pairs[1].p_value == pytest.approx(2 * 2 / comb(24, 4))
    assert pairs[0].p_value == pytest.approx(pairs[0].least_p_value)
    assert pairs[0].difference == pytest.approx(-0.02)
    low, high = pairs[0].interval
    assert low < -0.02 < high
    assert [pair.wins for pair in pairs] == [0, 0, 1]
    assert [pair.ahead for pair in pairs] == ["high", "few", "high"]
    assert pairs[0].verdict == "high ahead"
    assert ranks(scores, pairs) == {"low": (3, 3), "high": (1, 1), "few": (2, 2)}


def test_equality_needs_a_test_of_its_own():
    rng = np.random.default_rng(1)
    narrow = {name: 0.97 + 0.0005 * rng.normal(size=20) for name in "ab"}
    wide = {name: 0.97 + 0.005 * rng.normal(size=20) for name in "ab"}
    (equal,), (unknown,) = compare_pairs(narrow), compare_pairs(wide)
    assert equal.equal_p_value < 0.05 <= equal.p_value
    assert equal.verdict == "equal within 0.1 points"
    assert unknown.equal_p_value >= 0.05 and unknown.p_value >= 0.05
    assert unknown.verdict == "not told apart"
    assert ranks("ab", [equal]) == {"a": (1, 2), "b": (1, 2)}


@pytest.mark.parametrize(("size", "verdict"), [(3, "too few seeds"), (4, "b ahead")])
def test_three_seeds_are_too_few_to_rank(size, verdict):
    # By hand: 2 of the 20 choices of 3 of 6, 2 of the 70 of 4 of 8.
    scores = {"a": np.arange(size), "b": 10 + np.arange(size)}
    (pair,) = compare_pairs(scores)
    assert pair.verdict == verdict
    places = ranks("ab", [pair])
    expected = [verdict] * 2 if size == 3 else ["2", "1"]
    assert [rank_text(place) for place in places.values()] == expected


def test_with_more_pairs_more_seeds_are_too_few():
    # By hand: of the six pairs of four models, 2 / 70 counts six times.
    scores = {name: at + np.arange(4) for at, name in enumerate("abcd")}
    assert {pair.verdict for pair in compare_pairs(scores)} == {"too few seeds"}


def test_a_value_far_below_the_others_got_stuck():
    good = [0.950 + seed / 1000 for seed in range(9)]
    assert not far_out(good).any()
    assert far_out([*good, 0.86]).tolist() == [False] * 9 + [True]
    assert not far_out([0.9] * 5).any()


def test_nothing_that_takes_values_for_normal_is_said_where_a_seed_got_stuck():
    normal = 0.95 + np.arange(20) / 1e4
    (pair,) = compare_pairs({"stuck": [0.85, *normal[1:]], "not": normal + 0.01})
    assert pair.interval is pair.equal_p_value is pair.detectable is None
    assert pair.verdict == "not ahead"  # which ranks say, without the mean


def test_mean_and_ranks_that_disagree_put_nobody_ahead():
    # One seed that got stuck turns the mean round; the ranks hardly notice it.
    better = 0.98 + np.arange(20) / 1e5
    worse = better - 0.001
    (pair,) = compare_pairs({"better": [0.6, *better[1:]], "worse": worse})
    assert pair.difference < 0 and pair.wins > 0.5 and pair.p_value < 0.05
    assert pair.ahead is None
    assert pair.verdict == "not told apart"
    assert rank_text((1, 2)) == "1 to 2"
