"""The saved predictions of two groups, compared on the same examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from runbook.compare.statistics import Bootstrap, paired_bootstrap
from runbook.errors import ComparisonError
from runbook.hints import Hint, hint_for_both

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runbook.read.view import ExperimentView

COLUMNS: Final = (
    ("y_true", "y_pred"),
    ("target", "prediction"),
    ("targets", "predictions"),
    ("label", "prediction"),
    ("labels", "predictions"),
)
"""The names under which the right answers and the given ones are looked for."""


@attrs.frozen
class PredictionComparison:
    """How often two groups are right on the same examples.

    Attributes:
        filename: the file in `results/` that the predictions are from.
        metric: what was counted.
        first: the label of the first group.
        second: the label of the second group.
        runs: how many experiments of each had the file; an example's score is the share of them that are right.
        without_file: the experiments that had none.
        bootstrap: the difference with its interval.
    """

    filename: str
    metric: str
    first: str
    second: str
    runs: tuple[int, int]
    without_file: tuple[str, ...]
    bootstrap: Bootstrap


def compare_predictions(
    filename: str, groups: Mapping[str, Iterable[ExperimentView]], *, allow_pickle: bool = False
) -> PredictionComparison:
    """The accuracy of two groups on the same examples, and what hangs on the choice of these.

    Args:
        filename: as given to `save_predictions`: rows or columns with the right answers and the given ones, under one
            of the pairs of names in `COLUMNS`, in the same order in every experiment.
        groups: the experiments of exactly two groups, by label.
        allow_pickle: load a pickle, which runs code that it contains.

    Raises:
        ComparisonError: if there are not two groups, one has no such file, or the examples are not the same.
        PickleNotAllowedError: if it is a pickle and `allow_pickle` is False.
        DamagedFileError: if it cannot be read.
    """
    if len(groups) != 2:  # noqa: PLR2004
        raise ComparisonError(
            f"predictions are compared between exactly two groups, not {len(groups)} ({'; '.join(list(groups)[:5])})",
            Hint(
                "choose the experiments of two, with `where` for example",
                "choose the experiments of two, with --where for example",
            ),
        )
    known: tuple[str, list[Any]] | None = None
    scores: list[list[float]] = []
    runs: list[int] = []
    without: list[str] = []
    for label, views in groups.items():
        right: list[list[bool]] = []
        for view in views:
            try:
                targets, given = _columns(view, filename, view.load_predictions(filename, allow_pickle=allow_pickle))
            except FileNotFoundError:
                without.append(view.id)
                continue
            known = known or (view.id, targets)
            _check_same(known, (view.id, targets))
            right.append([bool(target == answer) for target, answer in zip(targets, given, strict=True)])
        if not right:
            raise ComparisonError(
                f"no experiment of {label} has results/{filename}",
                Hint(f"save_predictions({{'y_true': …, 'y_pred': …}}, {filename!r}) makes one", None),
            )
        runs.append(len(right))
        scores.append([sum(column) / len(right) for column in zip(*right, strict=True)])
    first, second = groups
    bootstrap = paired_bootstrap(*scores)
    return PredictionComparison(filename, "accuracy", first, second, (runs[0], runs[1]), tuple(without), bootstrap)


def _columns(view: ExperimentView, filename: str, saved: Any) -> tuple[list[Any], list[Any]]:
    """The right answers and the given ones."""
    where = f"results/{filename} of {view.id}"
    if isinstance(saved, Sequence) and saved and all(isinstance(row, Mapping) for row in saved):
        saved = {name: [row.get(name) for row in saved] for name in saved[0]}
    names = list(saved) if isinstance(saved, Mapping) else list(getattr(saved, "columns", ()))
    for target, prediction in COLUMNS:
        if target in names and prediction in names:
            targets, given = _listed(saved[target]), _listed(saved[prediction])
            break
    else:
        found = f"only {', '.join(map(str, names[:8]))}" if names else f"a {type(saved).__name__}"
        raise ComparisonError(
            f"{where} has no targets and predictions under names that are known, but {found}",
            hint_for_both(f"save them as {' or '.join(' and '.join(pair) for pair in COLUMNS[:2])}"),
        )
    if len(targets) != len(given) or not targets:
        raise ComparisonError(
            f"{where} has {len(targets)} targets and {len(given)} predictions",
            hint_for_both("save one of each per example"),
        )
    for name, values in ((target, targets), (prediction, given)):
        odd = next((value for value in values if not _is_class(value)), None)
        if odd is not None:
            raise ComparisonError(
                f"{where}: {name} holds {type(odd).__name__} such as {str(odd)[:40]!r}, and accuracy is about classes",
                hint_for_both("save the class that was predicted for each example"),
            )
    return targets, given


def _listed(values: Any) -> list[Any]:
    return list(values.tolist() if hasattr(values, "tolist") else values)


def _is_class(value: object) -> bool:
    """Text, a whole number, a truth value, or an answer that is missing."""
    if isinstance(value, float):
        return value.is_integer() or value != value  # noqa: PLR0124 - NaN, which is never right
    return value is None or isinstance(value, (str, int))


def _check_same(known: tuple[str, list[Any]], other: tuple[str, list[Any]]) -> None:
    if len(known[1]) != len(other[1]):
        raise ComparisonError(
            f"{known[0]} has predictions for {len(known[1])} examples and {other[0]} for {len(other[1])}",
            hint_for_both("they can only be compared on the same examples"),
        )
    for place, (one, another) in enumerate(zip(known[1], other[1], strict=True)):
        if one != another:
            raise ComparisonError(
                f"{known[0]} and {other[0]} differ in the target of example {place}: {one!r} and {another!r}",
                hint_for_both("they can only be compared on the same examples in the same order"),
            )
