"""The comparison of two groups by their saved predictions for the same examples."""

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
"""The pairs of names for the targets and the predictions, in the order in which they are tried."""


@attrs.frozen
class PredictionComparison:
    """The scores of two groups on the same examples.

    Attributes:
        filename: the file in `results/` with the predictions.
        metric: the name of the score.
        first: the label of the first group.
        second: the label of the second group.
        runs: how many experiments of each group have the file; an example's score is the share that is right.
        without_file: the ids of the experiments without the file.
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
    """The accuracy of two groups on the same examples, and how much it depends on the choice of the examples.

    Args:
        filename: as given to `save_predictions`: rows or columns with targets and predictions, under one of the pairs
            of names in `COLUMNS`, in the same order in every experiment.
        groups: the experiments of exactly two groups, by label.
        allow_pickle: whether to load a pickle, which runs code that it contains.

    Raises:
        ComparisonError: if there are not two groups, one has no such file, or the examples are not the same.
        PickleNotAllowedError: if it is a pickle and `allow_pickle` is False.
        DamagedFileError: if the file cannot be read.
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
        hits: list[list[bool]] = []
        for view in views:
            try:
                targets, predicted = _read_columns(
                    view, filename, view.load_predictions(filename, allow_pickle=allow_pickle)
                )
            except FileNotFoundError:
                without.append(view.id)
                continue
            known = known or (view.id, targets)
            _check_same(known, (view.id, targets))
            hits.append([bool(target == guess) for target, guess in zip(targets, predicted, strict=True)])
        if not hits:
            raise ComparisonError(
                f"no experiment of {label} has results/{filename}",
                Hint(f"save_predictions({{'y_true': …, 'y_pred': …}}, {filename!r}) makes one", None),
            )
        runs.append(len(hits))
        scores.append([sum(column) / len(hits) for column in zip(*hits, strict=True)])
    first, second = groups
    bootstrap = paired_bootstrap(*scores)
    return PredictionComparison(filename, "accuracy", first, second, (runs[0], runs[1]), tuple(without), bootstrap)


def _read_columns(view: ExperimentView, filename: str, saved: Any) -> tuple[list[Any], list[Any]]:
    """The targets and the predictions."""
    file = f"results/{filename} of {view.id}"
    if isinstance(saved, Sequence) and saved and all(isinstance(row, Mapping) for row in saved):
        saved = {name: [row.get(name) for row in saved] for name in saved[0]}
    names = list(saved) if isinstance(saved, Mapping) else list(getattr(saved, "columns", ()))
    for target, prediction in COLUMNS:
        if target in names and prediction in names:
            targets, predicted = _to_list(saved[target]), _to_list(saved[prediction])
            break
    else:
        found = f"only {', '.join(map(str, names[:8]))}" if names else f"a {type(saved).__name__}"
        raise ComparisonError(
            f"{file} has no targets and predictions under names that are known, but {found}",
            hint_for_both(f"save them as {' or '.join(' and '.join(pair) for pair in COLUMNS[:2])}"),
        )
    if len(targets) != len(predicted) or not targets:
        raise ComparisonError(
            f"{file} has {len(targets)} targets and {len(predicted)} predictions",
            hint_for_both("save one of each per example"),
        )
    for name, values in ((target, targets), (prediction, predicted)):
        odd = next((value for value in values if not _is_class(value)), None)
        if odd is not None:
            raise ComparisonError(
                f"{file}: {name} holds {type(odd).__name__} such as {str(odd)[:40]!r}, and accuracy is about classes",
                hint_for_both("save the class that was predicted for each example"),
            )
    return targets, predicted


def _to_list(values: Any) -> list[Any]:
    return list(values.tolist() if hasattr(values, "tolist") else values)


def _is_class(value: object) -> bool:
    """Whether a value is a class: text, a whole number, a boolean, or missing (None or NaN)."""
    if isinstance(value, float):
        return value.is_integer() or value != value  # noqa: PLR0124 - NaN, which is never right
    return value is None or isinstance(value, (str, int))


def _check_same(known: tuple[str, list[Any]], other: tuple[str, list[Any]]) -> None:
    if len(known[1]) != len(other[1]):
        raise ComparisonError(
            f"{known[0]} has predictions for {len(known[1])} examples and {other[0]} for {len(other[1])}",
            hint_for_both("they can only be compared on the same examples"),
        )
    for index, (one, another) in enumerate(zip(known[1], other[1], strict=True)):
        if one != another:
            raise ComparisonError(
                f"{known[0]} and {other[0]} differ in the target of example {index}: {one!r} and {another!r}",
                hint_for_both("they can only be compared on the same examples in the same order"),
            )
