"""The statistics, against SciPy, against published examples, and as properties."""

from __future__ import annotations

import math
import statistics as exact
import subprocess
import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from runbook.compare import statistics
from runbook.compare.statistics import Summary, contrast, holm, mean_interval, paired_bootstrap, summarize

np = pytest.importorskip("numpy")
stats = pytest.importorskip("scipy.stats")

NUMBERS = st.floats(min_value=-1e6, max_value=1e6)
GROUP = st.lists(NUMBERS, min_size=3, max_size=12)

# Student's sleep data (Biometrika 6, 1908), as R prints them under `?t.test`.
SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


# --- published examples ----------------------------------------------------------------------------------------------


def test_the_mean_of_heat_flow_by_nist():
    """NIST/SEMATECH e-Handbook 1.3.5.2, ZARR13.DAT: 195 values, 95 % interval 9.258242 to 9.264679."""
    low, high = mean_interval(195, 9.261460, 0.022789)
    assert low == pytest.approx(9.258242, abs=1e-6)
    assert high == pytest.approx(9.264679, abs=1e-6)


def test_the_cars_of_nist():
    """NIST, AUTO83B.DAT, miles per gallon of 249 US and 79 Japanese cars, unequal variances: t = -12.94627."""
    found = contrast(Summary(79, 30.48101, 6.107710), Summary(249, 20.14458, 6.414700))
    assert found.statistic == pytest.approx(-12.94627, abs=2e-5)
    assert found.degrees_of_freedom == pytest.approx(136.87499, abs=1e-3)
    assert found.p_value == pytest.approx(1.571e-25, rel=1e-3)


def test_the_sleep_of_student():
    """R, `t.test(extra ~ group, data = sleep)`: t = -1.8608, df = 17.776, p = 0.07939, and the interval."""
    found = contrast(summarize(SLEEP_2), summarize(SLEEP_1))
    assert found.difference == pytest.approx(-1.58)
    assert found.statistic == pytest.approx(-1.8608, abs=5e-5)
    assert found.degrees_of_freedom == pytest.approx(17.776, abs=5e-4)
    assert found.p_value == pytest.approx(0.07939, abs=5e-6)
    assert found.interval == pytest.approx((-3.3654832, 0.2054832), abs=5e-8)


def test_the_effect_size_of_borenstein():
    """Borenstein et al., Introduction to Meta-Analysis (2009), chapter 4: g = 0.5924, standard error 0.2028."""
    found = contrast(Summary(50, 100.0, 4.5), Summary(50, 103.0, 5.5))
    assert found.hedges_g == pytest.approx(0.5924, abs=1e-4)
    assert found.hedges_g_interval == pytest.approx((0.5924 - 1.96 * 0.2028, 0.5924 + 1.96 * 0.2028), abs=3e-4)


def test_the_worked_example_of_holm():
    """Wikipedia, "Holm–Bonferroni method": of 0.01, 0.04, 0.03 and 0.005, the first and the last are rejected."""
    corrected = holm([0.01, 0.04, 0.03, 0.005])
    assert corrected == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [p < 0.05 for p in corrected] == [True, False, False, True]


# --- against SciPy ---------------------------------------------------------------------------------------------------


def is_varied(*groups):
    """SciPy itself loses its digits where the spread is nothing beside the numbers."""
    return all(exact.stdev(group) > 1e-6 * max(1, max(map(abs, group))) for group in groups)


@given(GROUP)
def test_a_summary_is_what_scipy_and_numpy_say(values):
    """Mean, standard deviation with n - 1, and the interval of Student's t."""
    assume(is_varied(values))
    found = summarize(values)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert found.standard_deviation == pytest.approx(np.std(values, ddof=1), rel=1e-6)
    assert found.interval == pytest.approx(
        stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values)), rel=1e-6, abs=1e-6
    )


@given(GROUP, GROUP)
def test_welchs_test_is_that_of_scipy(first, second):
    """Statistic, degrees of freedom, p-value and interval."""
    assume(is_varied(first, second))
    found = contrast(summarize(first), summarize(second))
    wanted = stats.ttest_ind(second, first, equal_var=False)
    assert found.statistic == pytest.approx(wanted.statistic, rel=1e-5, abs=1e-6)
    assert found.degrees_of_freedom == pytest.approx(wanted.df, rel=1e-5)
    assert found.p_value == pytest.approx(wanted.pvalue, rel=1e-4, abs=1e-12)
    assert found.interval == pytest.approx(tuple(wanted.confidence_interval(0.95)), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("scale", [1e-200, 1e-8, 1.0, 1e140])
def test_the_scale_of_a_metric_changes_nothing(scale):
    """Squares of very small numbers vanish and those of very large ones overflow; shares do neither."""
    found = contrast(summarize([v * scale for v in SLEEP_1]), summarize([v * scale for v in SLEEP_2]))
    assert found.p_value == pytest.approx(0.07939, abs=5e-6)
    assert found.hedges_g == pytest.approx(contrast(summarize(SLEEP_1), summarize(SLEEP_2)).hedges_g)


def test_the_bootstrap_agrees_with_that_of_scipy():
    """Percentile intervals of paired draws, from other random numbers."""
    draws = np.random.default_rng(3)
    first = (draws.random(400) < 0.7).astype(float)
    second = np.where(draws.random(400) < 0.8, first, draws.random(400) < 0.9).astype(float)
    found = paired_bootstrap(first, second)
    wanted = stats.bootstrap(
        (first, second), lambda a, b, axis: np.mean(b - a, axis=axis), paired=True, method="percentile", random_state=5
    )
    assert found.difference == pytest.approx(np.mean(second) - np.mean(first))
    assert found.interval == pytest.approx(tuple(wanted.confidence_interval), abs=0.004)


# --- properties ------------------------------------------------------------------------------------------------------


@given(GROUP, GROUP)
def test_turning_the_groups_round_turns_the_sign(first, second):
    """The p-value stays."""
    one, other = (contrast(summarize(a), summarize(b)) for a, b in ((first, second), (second, first)))
    if one.problem is None:
        assert one.p_value == pytest.approx(other.p_value)
        assert one.statistic == pytest.approx(-other.statistic)
        assert one.hedges_g == pytest.approx(-other.hedges_g)
    else:
        assert one.problem == other.problem


@given(st.lists(st.none() | st.floats(min_value=0, max_value=1)))
def test_holm_is_between_no_correction_and_bonferronis(p_values):
    """It keeps the order, counts only the tests there are, and never leaves 0 to 1."""
    corrected = holm(p_values)
    tests = sum(p is not None for p in p_values)
    pairs = [(p, q) for p, q in zip(p_values, corrected, strict=True) if p is not None]
    assert [q is None for q in corrected] == [p is None for p in p_values]
    assert all(p <= q <= min(1, p * tests) for p, q in pairs)
    assert [q for _, q in sorted(pairs)] == sorted(q for _, q in pairs)


@given(st.lists(st.none() | st.text() | st.booleans() | st.floats() | st.integers()))
def test_any_values_have_a_summary(values):
    """Each value is counted as finite, missing or not finite, and only once."""
    found = summarize(values)
    assert found.n + found.missing + found.not_finite == len(values)
    assert (found.mean is None) == (found.n == 0)
    assert (found.interval is None) == (found.standard_deviation is None) == (found.n < 2)
    assert found.mean is None or math.isfinite(found.mean)


# --- edges -----------------------------------------------------------------------------------------------------------


def test_what_is_no_number_is_counted():
    """NaN, infinity and what no float can hold; text, None and booleans."""
    found = summarize([1.0, float("nan"), float("inf"), 10**400, 1e200, None, "0.5", True])
    assert (found.n, found.not_finite, found.missing) == (1, 4, 3)


def test_the_same_value_every_time_has_no_spread():
    """0.1 three times has a mean of 0.1 and not almost, and no spread at all."""
    found = summarize([0.1, 0.1, 0.1])
    assert (found.mean, found.standard_deviation, found.interval) == (0.1, 0.0, (0.1, 0.1))


@pytest.mark.parametrize(
    ("first", "second", "problem"),
    [
        ([0.1, 0.2], [0.8, 0.9, 0.7], "n = 2 and 3; nothing is tested with fewer than 3"),
        ([0.1], [0.2], "n = 1 and 1"),
        ([], [0.2], "no values"),
        ([0.5, 0.5, 0.5], [0.7, 0.7, 0.7], "neither group varies"),
        ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5], "neither group varies"),
    ],
)
def test_where_nothing_can_be_tested_nothing_is(first, second, problem):
    """There is no p-value and no effect size, and `problem` has the reason."""
    found = contrast(summarize(first), summarize(second))
    assert problem in found.problem
    assert found.p_value is found.hedges_g is found.interval is found.statistic is None


def test_one_group_without_spread_is_enough_to_test_by_the_other():
    """Welch's test does not assume equal variances."""
    found = contrast(summarize([0.5, 0.5, 0.5]), summarize([0.7, 0.71, 0.72]))
    assert found.degrees_of_freedom == pytest.approx(2)
    assert found.p_value < 0.01


def test_the_bootstrap_is_the_same_every_time():
    """The seed is fixed and is part of the result."""
    first, second = [1, 0, 1, 1, 0], [1, 1, 1, 1, 0]
    assert paired_bootstrap(first, second) == paired_bootstrap(first, second)
    found = paired_bootstrap(first, second, seed=1, resamples=500)
    assert (found.seed, found.resamples, found.n, found.first, found.second) == (1, 500, 5, 0.6, 0.8)


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0], [1.0, 0.0])])
def test_a_pairing_needs_pairs(first, second):
    """As many of both."""
    with pytest.raises(ValueError, match="as many scores of both"):
        paired_bootstrap(first, second)


def test_scores_of_any_kind_can_be_drawn():
    """Thousands of different differences are drawn in blocks, and give what the accuracy gives."""
    draws = np.random.default_rng(0)
    first, second = draws.normal(0, 1, 3000), draws.normal(0.1, 1, 3000)
    found = paired_bootstrap(first, second, resamples=1000)
    error = np.std(second - first, ddof=1) / math.sqrt(3000)
    assert found.interval == pytest.approx((found.difference - 1.96 * error, found.difference + 1.96 * error), abs=0.01)
    with pytest.raises(ValueError, match="at least one resample"):
        paired_bootstrap(first, second, resamples=0)


def test_one_example_has_no_interval():
    """It could only be drawn again."""
    assert paired_bootstrap([0], [1]).interval is None


def test_without_scipy_the_extra_is_named():
    """It is an extra, and the message says which."""
    code = (
        "import sys; sys.modules['scipy'] = None\n"
        "from runbook.compare import statistics\n"
        "try: statistics.summarize([1, 2, 3])\n"
        "except ImportError as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("MissingExtraError scipy is not installed"), done.stderr
    assert 'pip install "runbook[stats]"' in done.stdout


def test_the_module_itself_loads_nothing_heavy():
    """SciPy comes with the first number."""
    code = "import sys, runbook.compare.statistics; print('scipy' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "False False\n", done.stderr
    assert statistics.CONFIDENCE == 0.95
