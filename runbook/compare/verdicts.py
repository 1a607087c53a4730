"""The results of a comparison of groups in sentences, which claim no more than the numbers show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runbook.compare.comparison import unknown_directions
from runbook.compare.statistics import SMALL_N
from runbook.display import number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runbook.compare.group_results import GroupResults, Pair
    from runbook.compare.grouping import Group
    from runbook.compare.predictions import PredictionComparison
    from runbook.compare.statistics import Interval

_TWO: Final = 2
_FEW_EXAMPLES: Final = 30
_SMALLEST_P: Final = 0.001
_NAMES_SHOWN: Final = 5


def write_sentences(comparison: GroupResults) -> list[str]:
    """The verdicts: for two groups one a metric; for more groups the number of pairs that differ, a metric each."""
    found = []
    if len(comparison.groups) == _TWO:
        found += [_write_verdict(pair, comparison) for pair in comparison.pairs]
    elif comparison.pairs:
        found += [_write_count(name, comparison) for name in comparison.metrics]
    if comparison.predictions is not None:
        found.append(_write_prediction_verdict(comparison.predictions))
    return found


def _write_verdict(pair: Pair, comparison: GroupResults) -> str:
    facts = pair.contrast
    if facts.difference is None:
        return f"{pair.metric}: nothing can be said: {facts.problem}."
    if facts.difference == 0:
        gap = f"{pair.second} and {pair.first} have the same mean"
    else:
        way = "higher" if facts.difference > 0 else "lower"
        direction = comparison.directions[pair.metric]
        merit = ""
        if direction is not None:
            merit = " (better)" if (facts.difference > 0) == (direction == "max") else " (worse)"
        gap = f"{pair.second} is {number(abs(facts.difference))} {way}{merit} than {pair.first} on average"
    if facts.p_value is None:
        return f"{pair.metric}: {gap}; not tested: {facts.problem}."
    numbers = [
        f"95% interval of the gap {range_text(facts.interval)}",
        f"Welch's t = {number(facts.statistic)}",
        f"df = {number(facts.degrees_of_freedom)}",
        p_text("p", facts.p_value),
    ]
    if comparison.test_count > 1:
        numbers.append(p_text("p after Holm", pair.p_value_holm))
    numbers.append(f"Hedges' g = {number(facts.hedges_g)}, 95% interval {range_text(facts.hedges_g_interval)}")
    noise = _name_noise(comparison)
    if pair.is_significant:
        verdict = f"this gap is larger than {noise} at the 5% level"
    else:
        verdict = f"{noise} alone could make such a gap, which does not show that they are equal"
    small = "; the samples are small" if pair.is_small else ""
    return f"{pair.metric}: {gap}; {verdict}{small} ({'; '.join(numbers)})."


def _write_count(name: str, comparison: GroupResults) -> str:
    pairs = [pair for pair in comparison.pairs if pair.metric == name]
    tested = [pair for pair in pairs if pair.p_value_holm is not None]
    larger = sum(pair.is_significant for pair in pairs)
    untested = sum(pair.p_value_holm is None and pair.contrast.difference is not None for pair in pairs)
    if not tested:
        return f"{name}: none of {len(pairs)} pairs of groups could be tested."
    rest = f", {untested} could not be tested" if untested else ""
    noise = _name_noise(comparison)
    return f"{name}: in {larger} of {len(tested)} pairs the gap is larger than {noise} at the 5% level{rest}."


def _name_noise(comparison: GroupResults) -> str:
    """The name of the noise: of seeds if the experiments of each group differ only by them, else between runs."""
    return "the noise between runs" if any(group.varying for group in comparison.groups) else "seed noise"


def _write_prediction_verdict(found: PredictionComparison) -> str:
    result = found.bootstrap
    shown = (
        f"{found.metric} on the {result.n} examples of {found.filename}: {number(result.first)} for {found.first}, "
        f"{number(result.second)} for {found.second}, a gap of {number(result.difference)}"
    )
    if result.interval is None:
        return f"{shown}; one example says nothing about others."
    low, high = result.interval
    if low == high == 0:
        return f"{shown}: they are right on the same examples."
    verdict = "which contains 0: another choice of examples could turn it round"
    if low > 0 or high < 0:
        verdict = "which does not contain 0"
    few = f" With {result.n} examples the interval itself is rough." if result.n < _FEW_EXAMPLES else ""
    return (
        f"{shown}, 95% interval {range_text(result.interval)}, {verdict} (paired percentile bootstrap over the "
        f"examples, {result.resamples} resamples, seed {result.seed}). It tells how much hangs on the choice of the "
        f"examples, not on the seeds.{few}"
    )


def write_notes(comparison: GroupResults) -> list[str]:
    """The notes that a reader of the numbers needs, one sentence each."""
    return list(_list_notes(comparison))


def _list_notes(comparison: GroupResults) -> Iterator[str]:
    if comparison.left_out:
        yield f"Left out: {', '.join(f'{count} {status}' for status, count in comparison.left_out.items())}."
    yield from _list_absent(comparison)
    if comparison.predictions is not None and comparison.predictions.without_file:
        missing = comparison.predictions
        yield f"{_join_names(missing.without_file)} have no {missing.filename} and do not count in its accuracy."
    if len(comparison.groups) == 1:
        yield "There is one group, so there is nothing to compare it with."
    elif not comparison.pairs:
        yield f"{len(comparison.groups)} groups make too many pairs to test; choose some with ids= or where=."
    for group in comparison.groups:
        if group.repeats:
            yield (
                f"{group.label}: {group.repeats} of {len(group.experiment_ids)} experiments repeat the config and the "
                "seed of another one; they count as independent here, which they may not be."
            )
    varying = list(dict.fromkeys(key for group in comparison.groups for key in group.varying))
    if varying:
        yield f"Besides the seeds, these vary within a group and are part of the noise: {_join_names(varying)}."
    small = [group.label for group, n in _find_least_n(comparison) if 0 < n < SMALL_N]
    if small:
        yield f"Small samples (n < {SMALL_N}): {_join_names(small)}; one more run may change the picture."
    tests = comparison.test_count
    if tests > 1:
        yield f"The p-values are corrected by Holm's rule over all {tests} tests: every pair in every metric."
    unknown = [name for name, direction in comparison.directions.items() if direction is None]
    if unknown and len(comparison.groups) > 1:
        yield unknown_directions(unknown)
    if tests:
        yield (
            "Hedges' g is the gap in pooled standard deviations, corrected for small samples (Hedges 1981); "
            "its interval is approximate."
        )


def _list_absent(comparison: GroupResults) -> Iterator[str]:
    """A sentence for each metric that some experiments do not have."""
    for name, summaries in comparison.metrics.items():
        pairs = list(zip(comparison.groups, summaries, strict=True))
        missing = [_format_share(one.missing, group) for group, one in pairs if one.missing]
        odd = [_format_share(one.not_finite, group) for group, one in pairs if one.not_finite]
        parts = [f"no such number in {_join_names(missing)}"] if missing else []
        parts += [f"NaN, infinite or beyond 1e150 in {_join_names(odd)}"] if odd else []
        if parts:
            yield f"{name} is left out where there is none: {'; '.join(parts)}."


def _format_share(count: int, group: Group) -> str:
    return f"{count} of {len(group.experiment_ids)} of {group.label}"


def _find_least_n(comparison: GroupResults) -> Iterable[tuple[Group, int]]:
    for index, group in enumerate(comparison.groups):
        yield group, min((summaries[index].n for summaries in comparison.metrics.values()), default=0)


def range_text(interval: Interval | None) -> str:
    """An interval as text, such as `0.1 to 0.2`; a dash for None."""
    return "-" if interval is None else f"{number(interval[0])} to {number(interval[1])}"


def p_text(name: str, value: float | None) -> str:
    """A p-value as text, such as `p = 0.012` or `p < 0.001`; without a name the value alone."""
    assert value is not None
    if value < _SMALLEST_P:
        return f"{name} < {_SMALLEST_P}".strip()
    return f"{name} = {value:.3f}" if name else f"{value:.3f}"


def _join_names(names: Iterable[str]) -> str:
    every = [str(name) for name in names]
    more = len(every) - _NAMES_SHOWN
    between = "; " if any(", " in name for name in every) else ", "
    return between.join(every[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
