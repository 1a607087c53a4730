"""Whether a metric is better when it is higher or when it is lower, and which experiments are best."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypeGuard

from runbook.errors import ComparisonError
from runbook.hints import hint_for_both, suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Direction: TypeAlias = Literal["min", "max"]

_LOWER: Final = frozenset(
    {"loss", "losses", "error", "errors", "err", "perplexity", "ppl", "nll", "logloss", "crossentropy", "divergence"}
    | {"mse", "rmse", "rmsle", "mae", "mape", "brier", "ece", "bpc", "bpb", "wer", "cer", "ter", "eer", "fid"}
    | {"fpr", "fnr", "cost", "regret"}
)
_TIME: Final = frozenset({"latency", "time", "runtime", "duration", "seconds", "secs", "sec", "ms"})
"""Lower is better as well, but not in `samples_per_sec`."""

_HIGHER: Final = frozenset(
    {"acc", "accuracy", "f1", "fscore", "auc", "auroc", "auprc", "ap", "map", "precision", "recall", "sensitivity"}
    | {"specificity", "tpr", "tnr", "kappa", "mcc", "iou", "miou", "dice", "ndcg", "mrr", "hits", "r2", "likelihood"}
    | {"bleu", "rouge", "meteor", "chrf", "em", "psnr", "ssim", "reward", "throughput"}
)
_WEAK: Final = frozenset({"score"})
"""Higher is better where no other word of the name means the opposite: a Brier score is a loss."""

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_NEGATIONS: Final = frozenset({"neg", "negative", "minus", "inverse", "reciprocal"})


def direction_of(name: str) -> Direction | None:
    """The direction that a metric's name implies; None where it implies none, or both.

    Example:
        >>> direction_of("val_loss"), direction_of("gmb.test_f1_macro"), direction_of("temperature")
        ('min', 'max', None)
    """
    parts = re.split(r"[^A-Za-z0-9]+", name)
    words = {word.lower() for part in parts for word in _WORD.findall(part)} | {part.lower() for part in parts}
    lower, higher = bool(words & (_LOWER if "per" in words else _LOWER | _TIME)), bool(words & _HIGHER)
    if words & _NEGATIONS and (lower or "likelihood" in words):
        # "neg_mean_squared_error" is better when higher, but "negative_loss" may be the loss on the negatives.
        return "min" if "likelihood" in words and not lower else None
    if lower and higher:
        return None
    if lower:
        return "min"
    return "max" if higher or words & _WEAK else None


def resolve_directions(
    names: Iterable[str], minimize: Iterable[str] = (), maximize: Iterable[str] = ()
) -> dict[str, Direction | None]:
    """The direction of each metric: as given, else as its name implies.

    Args:
        names: the metrics.
        minimize: metrics that are better when they are lower.
        maximize: metrics that are better when they are higher.

    Raises:
        ComparisonError: for a metric that is not among them, or is given for both.
    """
    found = {name: direction_of(name) for name in names}
    lower, higher = ([one] if isinstance(one, str) else list(one) for one in (minimize, maximize))
    check_names([*lower, *higher], found)
    for name in lower:
        if name in higher:
            raise ComparisonError(
                f"{name!r} cannot be minimized and maximized", hint_for_both("leave out one of the two")
            )
    return found | dict.fromkeys(lower, "min") | dict.fromkeys(higher, "max")


def check_names(wanted: Iterable[str], names: Iterable[str]) -> None:
    """Refuse metrics that no experiment has.

    Raises:
        ComparisonError: for such a metric; the message has the nearest names.
    """
    known = list(names)
    for name in wanted:
        if name not in known:
            meant = suggest(str(name), known) if known else "none of the experiments has any metric"
            raise ComparisonError(f"no experiment has a metric {name!r}", hint_for_both(meant))


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number; booleans are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def best_of(values: Mapping[str, object], direction: Direction | None) -> list[str]:
    """The keys of the best value: several if they tie, none if there are fewer than two numbers.

    Args:
        values: a value for each key, such as an experiment's id; only finite numbers take part.
        direction: which values are better; None where that is unknown, so that none is best.
    """
    # `isfinite` raises for an integer that is too large for a float.
    numbers = {
        owner: value
        for owner, value in values.items()
        if is_number(value) and (isinstance(value, int) or math.isfinite(value))
    }
    if direction is None or len(numbers) < 2:  # noqa: PLR2004
        return []
    best = min(numbers.values()) if direction == "min" else max(numbers.values())
    return [owner for owner, value in numbers.items() if value == best]
