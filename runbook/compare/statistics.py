"""Statistics of several runs: means with intervals, Welch's test, an effect size, Holm's correction, a bootstrap.

The functions take numbers and return records, and are independent of experiments. SciPy computes the distributions.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any, Final

import attrs

from runbook.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CONFIDENCE: Final = 0.95
"""The confidence of all intervals."""

ALPHA: Final = 0.05
"""The chance of one false alarm or more in a whole comparison."""

LEAST_N: Final = 3
"""The fewest values of a group for a test: two values hardly show how far values spread."""

SMALL_N: Final = 5
"""Groups with fewer values count as small samples."""

RESAMPLES: Final = 10_000
"""The number of resamples that the bootstrap draws."""

SEED: Final = 20_260_101
"""The seed of the bootstrap, fixed so that the same predictions always give the same interval."""

_NUMBERS_AT_ONCE: Final = 1_000_000

_HUGE: Final = 1e150
"""Squares of larger numbers overflow."""

Interval = tuple[float, float]


@attrs.frozen
class Summary:
    """The summary of one group's values.

    Attributes:
        n: the number of finite values; the others are left out.
        mean: the mean; None if n is 0.
        standard_deviation: the standard deviation of the sample, with n - 1; None if n < 2.
        interval: the 95 % confidence interval of the mean (Student's t); None if n < 2.
        missing: how many values were absent, or no numbers.
        not_finite: how many values were NaN, infinite, or beyond 1e150.
    """

    n: int
    mean: float | None = None
    standard_deviation: float | None = None
    interval: Interval | None = None
    missing: int = 0
    not_finite: int = 0

    @property
    def is_small(self) -> bool:
        """Whether there are fewer than 5 values."""
        return self.n < SMALL_N


@attrs.frozen
class Contrast:
    """The difference of two groups in one metric.

    Attributes:
        difference: the mean of the second minus that of the first; None if one has no values.
        interval: the 95 % confidence interval of the difference (Welch); None without a test.
        statistic: Welch's t, with the sign of the difference.
        degrees_of_freedom: the degrees of freedom by Welch and Satterthwaite.
        p_value: the two-sided p-value; None without a test.
        hedges_g: the difference in standard deviations, corrected for small samples.
        hedges_g_interval: the approximate 95 % confidence interval of `hedges_g`.
        problem: why there was no test; None if there was one.
    """

    difference: float | None = None
    interval: Interval | None = None
    statistic: float | None = None
    degrees_of_freedom: float | None = None
    p_value: float | None = None
    hedges_g: float | None = None
    hedges_g_interval: Interval | None = None
    problem: str | None = None


@attrs.frozen
class Bootstrap:
    """The difference of two mean scores on the same examples.

    Attributes:
        n: the number of examples.
        first: the mean score of the first.
        second: the mean score of the second.
        difference: the second minus the first.
        interval: the 95 % percentile interval of the difference; None if n < 2.
        resamples: the number of resamples.
        seed: the seed of the draws.
    """

    n: int
    first: float
    second: float
    difference: float
    interval: Interval | None
    resamples: int
    seed: int


def summarize(values: Iterable[object]) -> Summary:
    """The mean, the sample standard deviation and the 95 % interval of the mean.

    Args:
        values: numbers; other values are counted and left out.

    Raises:
        MissingExtraError: if SciPy is not installed.

    Example:
        >>> [round(bound, 4) for bound in summarize([0.90, 0.92, 0.91, None]).interval]
        [0.8852, 0.9348]
    """
    numbers: list[float] = []
    missing = not_finite = 0
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            missing += 1
        elif abs(value) <= _HUGE:
            numbers.append(float(value))
        else:  # also NaN, with which every comparison is False
            not_finite += 1
    n = len(numbers)
    if n == 0:
        return Summary(0, missing=missing, not_finite=not_finite)
    mean = statistics.mean(numbers)
    if n == 1:
        return Summary(1, mean, missing=missing, not_finite=not_finite)
    # `statistics` computes exactly: equal values have a deviation of 0, not of 1e-17.
    deviation = statistics.stdev(numbers)
    return Summary(n, mean, deviation, mean_interval(n, mean, deviation), missing, not_finite)


def mean_interval(n: int, mean: float, standard_deviation: float) -> Interval:
    """The 95 % confidence interval of a mean by Student's t, for at least two values."""
    return _make_interval(mean, _compute_t_quantile(n - 1) * standard_deviation / math.sqrt(n))


def contrast(first: Summary, second: Summary) -> Contrast:
    """Welch's test and Hedges' g of the second group against the first.

    The test is Welch's (Biometrika 34, 1947, 28-35), which does not assume equal variances. Hedges' g is the
    difference over the pooled standard deviation, times the exact correction of Hedges (Journal of Educational
    Statistics 6, 1981, 107-128); its interval is the normal approximation of Borenstein et al. (Introduction to
    Meta-Analysis, 2009, chapter 4), and too narrow rather than too wide for small samples.

    Args:
        first: the group that is compared against.
        second: the other group.

    Raises:
        MissingExtraError: if SciPy is not installed.
    """
    if first.mean is None or second.mean is None:
        return Contrast(problem="one of the groups has no values")
    difference = second.mean - first.mean
    if min(first.n, second.n) < LEAST_N or first.standard_deviation is None or second.standard_deviation is None:
        return Contrast(
            difference, problem=f"n = {first.n} and {second.n}; nothing is tested with fewer than {LEAST_N} in a group"
        )
    error = math.hypot(first.standard_deviation / math.sqrt(first.n), second.standard_deviation / math.sqrt(second.n))
    if error == 0:
        return Contrast(difference, problem="neither group varies at all, so there is no noise to measure the gap by")
    # Shares of the whole error, because squares of small numbers underflow to 0.
    share = (first.standard_deviation / math.sqrt(first.n) / error) ** 2
    freedom = 1 / (share**2 / (first.n - 1) + (1 - share) ** 2 / (second.n - 1))
    statistic = difference / error
    g, g_interval = _compute_hedges_g(first, second)
    return Contrast(
        difference=difference,
        interval=_make_interval(difference, _compute_t_quantile(freedom) * error),
        statistic=statistic,
        degrees_of_freedom=freedom,
        p_value=float(2 * _load_special().stdtr(freedom, -abs(statistic))),
        hedges_g=g,
        hedges_g_interval=g_interval,
    )


def _compute_hedges_g(first: Summary, second: Summary) -> tuple[float, Interval]:
    assert first.mean is not None
    assert second.mean is not None
    assert first.standard_deviation is not None
    assert second.standard_deviation is not None
    n, freedom = first.n + second.n, first.n + second.n - 2
    pooled = math.hypot(
        math.sqrt((first.n - 1) / freedom) * first.standard_deviation,
        math.sqrt((second.n - 1) / freedom) * second.standard_deviation,
    )
    d = (second.mean - first.mean) / pooled
    correction = math.exp(math.lgamma(freedom / 2) - math.lgamma((freedom - 1) / 2)) / math.sqrt(freedom / 2)
    # `hypot`, because the square of a large gap could overflow.
    error = correction * math.hypot(math.sqrt(n / (first.n * second.n)), d / math.sqrt(2 * n))
    return correction * d, _make_interval(correction * d, float(_load_special().ndtri(0.5 + CONFIDENCE / 2)) * error)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """The p-values corrected by Holm's step-down rule, in the given order; None stays None and does not count.

    The corrected values below 0.05 are significant together: the chance of one false alarm or more among them is at
    most 5 %, whether or not they are independent (Holm, Scandinavian Journal of Statistics 6, 1979, 65-70).

    Example:
        >>> holm([0.01, 0.04, None, 0.03, 0.005])
        [0.03, 0.06, None, 0.06, 0.02]
    """
    order = sorted((p, position) for position, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, position) in enumerate(order):
        highest = max(highest, min(1.0, p * (len(order) - rank)))
        corrected[position] = highest
    return corrected


def paired_bootstrap(
    first: Sequence[float], second: Sequence[float], *, resamples: int = RESAMPLES, seed: int = SEED
) -> Bootstrap:
    """The difference of two mean scores on the same examples, with its 95 % percentile interval.

    The examples are drawn again with replacement, both scores of an example always together (Efron and Tibshirani,
    An Introduction to the Bootstrap, 1993, chapter 13). The interval shows how much depends on the choice of the
    examples, and nothing about seeds.

    Args:
        first: a score of the first for each example, such as 1.0 for right and 0.0 for wrong.
        second: the scores of the second, for the same examples in the same order.
        resamples: the number of resamples.
        seed: the seed of the draws.

    Raises:
        ValueError: if there are no examples, the numbers of scores differ, or `resamples` is below 1.
        MissingExtraError: if NumPy is not installed, which comes with SciPy.
    """
    if len(first) != len(second) or not len(first):
        raise ValueError(f"a paired bootstrap needs as many scores of both, not {len(first)} and {len(second)}")
    if resamples < 1:
        raise ValueError(f"a bootstrap needs at least one resample, not {resamples}")
    np = _load_numpy()
    n = len(first)
    differences = np.asarray(second, dtype=float) - np.asarray(first, dtype=float)
    # Drawing how often each distinct difference occurs gives the same means with a few numbers a resample, not n.
    distinct, counts = np.unique(differences, return_counts=True)
    draws = np.random.default_rng(seed)
    # In blocks, so that memory does not grow with the number of resamples.
    block = max(1, _NUMBERS_AT_ONCE // len(distinct))
    sizes = [min(block, resamples - done) for done in range(0, resamples, block)]
    drawn = np.concatenate([draws.multinomial(n, counts / n, size=size) @ distinct / n for size in sizes])
    tail = (1 - CONFIDENCE) / 2
    low, high = (float(bound) for bound in np.quantile(drawn, (tail, 1 - tail)))
    return Bootstrap(
        n=n,
        first=float(np.mean(first)),
        second=float(np.mean(second)),
        difference=float(np.mean(differences)),
        interval=(low, high) if n > 1 else None,
        resamples=resamples,
        seed=seed,
    )


def _make_interval(middle: float, reach: float) -> Interval:
    return middle - reach, middle + reach


def _compute_t_quantile(freedom: float) -> float:
    return float(_load_special().stdtrit(freedom, 0.5 + CONFIDENCE / 2))


def _load_special() -> Any:
    try:
        from scipy import special
    except ImportError as error:
        raise MissingExtraError(
            "scipy", "stats", "it knows the distributions that intervals and tests are made of"
        ) from error
    return special


def _load_numpy() -> Any:
    try:
        import numpy as np
    except ImportError as error:
        raise MissingExtraError("numpy", "stats", "the bootstrap draws with it") from error
    return np
