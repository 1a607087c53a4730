"""The results of a comparison of groups, as records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from runbook.compare.directions import Direction, best_of
from runbook.compare.grouping import Group
from runbook.compare.predictions import PredictionComparison
from runbook.compare.statistics import ALPHA, Contrast, Summary

if TYPE_CHECKING:
    from runbook.typing import JsonObject


@attrs.frozen
class Pair:
    """Two groups compared in one metric.

    Attributes:
        metric: its name.
        first: the label of the group that is compared against.
        second: the label of the other.
        contrast: the difference, the second group minus the first.
        is_small: whether one of them has fewer than 5 values.
        p_value_holm: the p-value, corrected for all tests of the comparison; None without a test.
    """

    metric: str
    first: str
    second: str
    contrast: Contrast
    is_small: bool = False
    p_value_holm: float | None = None

    @property
    def is_significant(self) -> bool:
        """Whether the gap is larger than noise, at the 5 % level and after the correction."""
        return self.p_value_holm is not None and self.p_value_holm < ALPHA

    def to_dict(self) -> JsonObject:
        """The pair as JSON-compatible data, flat."""
        facts = attrs.asdict(self.contrast)
        return {
            "metric": self.metric,
            "first": self.first,
            "second": self.second,
            **facts,
            "p_value_holm": self.p_value_holm,
            "is_significant": self.is_significant,
            "is_small": self.is_small,
        }


@attrs.frozen(repr=False)
class GroupResults:
    """Groups of experiments, metric by metric.

    Attributes:
        by: the fields by which the experiments are grouped.
        groups: the groups.
        metrics: for each metric a summary of each group, in the order of `groups`.
        directions: for each metric "min" or "max", which values are better; None where that is unknown.
        pairs: for each metric all pairs of groups, with their p-values corrected together.
        left_out: how many experiments were left out, by status, and those without any of the chosen metrics.
        predictions: the comparison of the saved predictions of two groups; None if it was not requested.
    """

    by: tuple[str, ...]
    groups: tuple[Group, ...]
    metrics: dict[str, tuple[Summary, ...]]
    directions: dict[str, Direction | None]
    pairs: tuple[Pair, ...]
    left_out: dict[str, int]
    predictions: PredictionComparison | None = None

    @property
    def best(self) -> dict[str, list[str]]:
        """For each metric the labels of the groups with the best mean; only metrics for which there is one."""
        found = {
            name: best_of(
                {one.label: summary.mean for one, summary in zip(self.groups, summaries, strict=True)},
                self.directions[name],
            )
            for name, summaries in self.metrics.items()
        }
        return {name: labels for name, labels in found.items() if labels}

    @property
    def test_count(self) -> int:
        """The number of tests for which the p-values are corrected."""
        return sum(pair.contrast.p_value is not None for pair in self.pairs)
