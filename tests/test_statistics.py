"""Intervals and ties against their textbook formulas."""

import itertools
import subprocess
import sys
from math import comb

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from experiments.kit.statistics import (
    Pair,
    bootstrap_interval,
    compare_pairs,
    holm,
    mcnemar_p_value,
    paired_p_value,
    rank_text,
    ranks,
    t_test,
    ties,
    wilson_interval,
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
        "s.wilson_interval(9, 10); s.t_test([1.0, 2.0]);"
        "s.mcnemar_p_value(np.array([True, True]), np.array([False, True]));"
        "sys.exit('scipy.stats' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_ties_are_mutual_and_leave_out_clear_differences():
    good, also = answers(10, 12, 900, 78)  # p of 0.83
    bad = good.copy()
    bad[np.flatnonzero(good)[:100]] = False  # 100 to 0
    assert ties({"good": good, "also": also, "bad": bad}) == {
        "good": ["also"],
        "also": ["good"],
        "bad": [],
    }


@pytest.mark.parametrize(("only_a", "tie"), [(5, True), (6, False)])
def test_the_border_is_five_in_a_hundred(only_a, tie):
    # By hand: 5 to 0 is 2/32 = 0.0625, 6 to 0 is 2/64 = 0.031.
    right_a, right_b = answers(only_a, 0, 50, 3)
    assert (ties({"a": right_a, "b": right_b})["a"] == ["b"]) == tie


SKEWED = [0.95, 0.951, 0.949, 0.95, 0.952, 0.948, 0.951, 0.95, 0.9, 0.86]


def bca_by_hand(values, draws=40_000):
    """Efron (1987), equations 6.15 and 6.6, with draws of its own."""
    values, normal = np.array(values), scipy.stats.norm
    picks = np.random.default_rng(5).integers(0, len(values), (draws, len(values)))
    means = values[picks].mean(axis=1)
    bias = normal.ppf(np.mean(means < values.mean()))
    left_out = np.array([np.delete(values, i).mean() for i in range(len(values))])
    pull = left_out.mean() - left_out
    acceleration = np.sum(pull**3) / (6 * np.sum(pull**2) ** 1.5)
    z = bias + normal.ppf([0.025, 0.975])
    return np.quantile(means, normal.cdf(bias + z / (1 - acceleration * z)))


@pytest.mark.parametrize("values", [SKEWED, range(20), [0.1, 0.4, 0.2, 0.9]])
def test_the_bootstrap_interval_is_efrons(values):
    # atol: 10,000 draws place a 2.5 % point within some hundredths of the spread
    atol = 0.1 * np.std(values) / np.sqrt(len(values)) + 0.04 * np.ptp(values)
    low, high = bootstrap_interval(values)
    np.testing.assert_allclose((low, high), bca_by_hand(values), atol=atol)
    assert low < np.mean(values) < high
    assert [low, high] == bootstrap_interval(values)  # and it does not move


def test_the_interval_leans_to_the_side_of_those_that_got_stuck():
    low, high = bootstrap_interval(SKEWED)
    assert np.mean(SKEWED) - low > high - np.mean(SKEWED)


@pytest.mark.parametrize("values", [[], [0.9], [0.9, 0.8], [0.9] * 5])
def test_too_little_spread_has_no_interval(values):
    assert bootstrap_interval(values) is None


@given(st.lists(st.integers(0, 10_000), min_size=3, max_size=25))
def test_the_interval_lies_within_the_sample(correct):
    values = np.array(correct) / 10_000
    interval = bootstrap_interval(values)
    if np.ptp(correct) == 0:
        assert interval is None
    else:
        low, high = interval
        # float64 means of up to 25 terms
        assert values.min() - 1e-12 <= low <= high <= values.max() + 1e-12


@given(st.lists(st.tuples(*[st.integers(0, 40)] * 2), min_size=1, max_size=9))
def test_wilcoxon_is_every_choice_of_signs(pairs):
    # Oracle: Wilcoxon's (1945) rule, all 2^n signs tried.
    a, b = np.array(pairs).T
    gaps = (a - b)[a != b]
    signs = np.array(list(itertools.product((-1, 1), repeat=len(gaps))))
    rank = scipy.stats.rankdata(np.abs(gaps))
    observed = abs(np.sum(rank * np.sign(gaps)))
    expected = np.mean(np.abs(signs @ rank) >= observed) if len(gaps) else 1.0
    # Shares of 10,000 images: equal gaps differ in their last bits.
    differences = a / 10_000 - b / 10_000
    p_value = paired_p_value(differences)
    assert p_value == pytest.approx(expected, rel=1e-9)  # float64
    assert paired_p_value(-differences) == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.integers(-90, 90), min_size=2, max_size=12))
def test_the_t_test_is_scipys(gaps):
    measured = t_test(np.array(gaps) / 1000)
    if np.ptp(gaps) == 0:
        assert measured is None
    else:
        expected = scipy.stats.ttest_1samp(np.array(gaps) / 1000, 0)
        interval, p_value = measured
        # float64; a mean may cancel to nearly 0
        np.testing.assert_allclose(
            interval, expected.confidence_interval(0.95), rtol=1e-9, atol=1e-14
        )
        assert p_value == pytest.approx(expected.pvalue, rel=1e-9)


def test_a_single_difference_is_not_tested():
    assert t_test([0.1]) is None
    assert t_test([]) is None


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


def test_pairs_are_compared_over_common_seeds_and_corrected_together():
    steady = {seed: 0.9 + seed / 1000 for seed in range(12)}
    better = {seed: value + 0.01 + seed / 9000 for seed, value in steady.items()}
    mixed = {seed: steady[seed] + (-1) ** seed * seed / 5000 for seed in range(3, 8)}
    pairs = compare_pairs({"steady": steady, "better": better, "mixed": mixed})
    assert [(pair.first, pair.second, pair.seeds) for pair in pairs] == [
        ("steady", "better", 12),
        ("steady", "mixed", 5),
        ("better", "mixed", 5),
    ]
    # By hand: all 12 signs agree, 2/2^12, of three tests; all 5 agree, 2/2^5, of two.
    assert pairs[0].p_value == pytest.approx(3 * 2 / 2**12)
    assert pairs[2].p_value == pytest.approx(2 * 2 / 2**5)
    assert pairs[0].difference == pytest.approx(-0.01 - 5.5 / 9000)
    assert pairs[0].interval[0] < pairs[0].difference < pairs[0].interval[1]
    assert [pair.ahead for pair in pairs] == ["better", None, None]


def test_ranks_say_tie_where_the_pairs_do():
    def pair(first, second, p_value, difference=0.1):
        return Pair(first, second, 9, difference, None, difference, p_value)

    pairs = [pair("a", "b", 0.3), pair("a", "c", 0.01), pair("c", "b", 0.02, -0.1)]
    by_name = ranks("abc", pairs)
    assert by_name == {"a": (1, 2), "b": (1, 2), "c": (3, 3)}
    texts = {name: rank_text(rank) for name, rank in by_name.items()}
    assert texts == {"a": "1 to 2, tie", "b": "1 to 2, tie", "c": "3"}


def test_mean_and_median_that_disagree_are_a_tie():
    # One seed that got stuck turns the mean round; the ranks hardly notice it.
    a = {seed: 0.98 + seed / 1e4 for seed in range(20)}
    b = {seed: value - 0.001 - seed / 1e5 for seed, value in a.items()}
    a[0] = 0.6
    (pair,) = compare_pairs({"a": a, "b": b})
    assert pair.difference < 0 < pair.median
    assert pair.p_value < 0.05
    assert pair.ahead is None
