"""Directions of metrics, and the best experiments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook import ComparisonError
from runbook.compare.directions import best_of, direction_of, resolve_directions


@pytest.mark.parametrize(
    "name",
    ["loss", "val_loss", "valLoss", "train/error_rate", "eval.perplexity", "MSE", "rmse", "test_mae", "latency_p99"]
    + ["time", "epoch_time", "inference_ms", "brier_score", "eval_runtime", "WER", "negative_log_likelihood", "nll"],
)
def test_lower_is_better(name):
    """Losses, errors, and what takes time."""
    assert direction_of(name) == "min"


@pytest.mark.parametrize(
    "name",
    ["acc", "val_accuracy", "f1", "test_f1_macro", "F1", "roc_auc", "valAUC", "gmb.auroc", "precision", "recall@5"]
    + ["score", "silhouette_score", "bleu4", "rougeL", "mAP", "r2", "R2", "log_likelihood", "f1_negative", "hits@10"],
)
def test_higher_is_better(name):
    """Scores of all kinds."""
    assert direction_of(name) == "max"


@pytest.mark.parametrize(
    "name",
    ["", "steps", "epoch", "learning_rate", "temperature", "n_params", "accuracy_loss", "time_to_accuracy", "日本語"]
    + [
        "neg_mean_squared_error",
        "negative_loss",
        "samples_per_sec",
        "seconds_per_step",
        "lossless",
        "\x1b[2J",
        "x" * 999,
    ],
)
def test_a_name_that_implies_no_direction_is_not_guessed(name):
    """A name that implies none or both has no direction, so that no experiment is best."""
    assert direction_of(name) is None


def test_a_given_direction_goes_before_the_name():
    """For one metric or several."""
    found = resolve_directions(["loss", "speed", "f1"], minimize="f1", maximize=["speed"])
    assert found == {"loss": "min", "speed": "max", "f1": "min"}


@pytest.mark.parametrize(
    ("minimize", "maximize", "message"),
    [
        (["los"], [], "no experiment has a metric 'los'; did you mean loss"),
        ([], ["zzz"], "no experiment has a metric 'zzz'; there are: loss, f1"),
        (["loss"], ["loss"], "'loss' cannot be minimized and maximized"),
    ],
)
def test_a_misspelt_metric_is_named(minimize, maximize, message):
    """Ignored, it would leave a similar metric with the wrong direction."""
    with pytest.raises(ComparisonError, match=message):
        resolve_directions(["loss", "f1"], minimize, maximize)


@pytest.mark.parametrize(
    ("values", "direction", "best"),
    [
        ({"a": 1, "b": 2}, "max", ["b"]),
        ({"a": 1, "b": 2}, "min", ["a"]),
        ({"a": 1, "b": 2}, None, []),
        ({"a": 1}, "max", []),
        ({}, "max", []),
        ({"a": 2, "b": 1, "c": 2.0}, "max", ["a", "c"]),
        ({"a": float("nan"), "b": 1}, "max", []),
        ({"a": float("nan"), "b": 1, "c": 2}, "min", ["b"]),
        ({"a": float("-inf"), "b": 1, "c": 2}, "min", ["b"]),
        ({"a": None, "b": "0.9", "c": True, "d": 0.1}, "max", []),
        ({"a": 10**400, "b": 1.5}, "max", ["a"]),
    ],
)
def test_the_best(values, direction, best):
    """All that tie are best; NaN and infinity never are, and a single value is not best."""
    assert best_of(values, direction) == best


@given(st.text())
def test_any_name_has_an_answer(name):
    """Every name has a direction or None."""
    assert direction_of(name) in {"min", "max", None}
