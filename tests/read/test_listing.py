"""Lists of experiments: lists in every respect, and data frames."""

from __future__ import annotations

import copy
import math
import pickle
import sys
from datetime import UTC, datetime

import pytest

from runbook import ExperimentList, RunbookError, errors

BASE = [
    "experiment_id",
    "custom_name",
    "status",
    "end_reason",
    "timestamp",
    "completed_at",
    "duration_s",
    "tags",
    "notes",
    "description",
    "host",
    "parent",
]
ENTRY = {
    "experiment_id": "20260101_000000_base_a1b2c3d4",
    "custom_name": "base",
    "status": "completed",
    "end_reason": "returned",
    "timestamp": "2026-01-01T00:00:00.000001+00:00",
    "completed_at": "2026-01-01T01:30:00.000001+00:00",
    "tags": ["a", "b"],
    "notes": "one\ntwo",
    "host": "gpu-3",
    "parent": None,
    "config": {"optim": {"lr": 0.1, "betas": [0.9, 0.99]}, "clip": "Infinity", "seed": 1, "empty": {}},
    "metrics": {"val.f1": 0.8, "loss": math.nan},
}


def test_it_is_a_list():
    """It equals a plain list, is copied, pickled and sliced like one; a slice is shown as a table, too."""
    plain = [{"experiment_id": "a"}, {"experiment_id": "b"}]
    listed = ExperimentList(plain)
    assert listed == plain
    assert isinstance(listed, list)
    assert listed[0] is plain[0]
    assert listed[-1:] == plain[-1:]
    assert type(listed[:1]) is ExperimentList
    for again in (pickle.loads(pickle.dumps(listed)), copy.copy(listed), copy.deepcopy(listed)):
        assert (type(again), again) == (ExperimentList, plain)


def test_listing_and_finding_give_one(manager):
    """Oldest first and newest first."""
    for name in ("a", "b"):
        with manager.experiment({"lr": 1}, name=name):
            pass
    listed = manager.list_experiments()
    assert type(listed) is type(manager.find()) is ExperimentList
    assert [entry["custom_name"] for entry in listed] == ["a", "b"]
    assert [entry["custom_name"] for entry in manager.find()] == ["b", "a"]


def test_a_frame_has_a_row_for_each_and_a_column_for_everything():
    """The fields, then the settings and the metrics under dotted names; lists and floats are what they were."""
    pd = pytest.importorskip("pandas")
    frame = ExperimentList(
        [ENTRY, {"experiment_id": "x", "config": {"seed": 2}, "metrics": {"val.f1": 0.9}}]
    ).to_dataframe()
    settings = ["config.optim.lr", "config.optim.betas", "config.clip", "config.seed", "config.empty"]
    assert list(frame.columns) == [*BASE, *settings, "metrics.val.f1", "metrics.loss"]
    assert list(frame.index) == [0, 1]
    first = frame.iloc[0]
    assert first["timestamp"] == pd.Timestamp("2026-01-01T00:00:00.000001Z")
    assert str(frame["timestamp"].dt.tz) == str(frame["completed_at"].dt.tz) == "UTC"
    assert first["duration_s"] == 5400
    assert (first["tags"], first["config.optim.betas"], first["config.empty"]) == (["a", "b"], [0.9, 0.99], {})
    assert first["config.clip"] == math.inf
    assert (frame["config.optim.lr"].dtype, frame["config.seed"].dtype) == ("float64", "int64")
    assert frame["metrics.val.f1"].mean() == pytest.approx(0.85)
    assert frame["metrics.loss"].dtype == "float64"
    assert frame.iloc[1][["status", "timestamp", "duration_s", "config.optim.lr", "metrics.loss"]].isna().all()


def test_a_frame_of_nothing_has_its_columns():
    """With the same types, so that what works on a frame works on an empty one."""
    pytest.importorskip("pandas")
    empty, full = ExperimentList().to_dataframe(), ExperimentList([ENTRY]).to_dataframe()
    assert list(empty.columns) == BASE
    assert empty.dtypes.to_dict() == full[BASE].dtypes.to_dict()
    assert len(empty[empty["timestamp"] > "2026-01-01"]) == 0


def test_no_digit_of_a_large_number_is_lost():
    """Where pandas would make a float of it, because another experiment does not have it."""
    pytest.importorskip("pandas")
    seeds = [2**60 + 1, None, 2**70 + 1, 0.5]
    frame = ExperimentList({"config": {"seed": seed} if seed else {}} for seed in seeds).to_dataframe()
    assert frame["config.seed"].tolist() == seeds
    frame = ExperimentList({"config": {"seed": seed}} for seed in (2**60 + 1, 3)).to_dataframe()
    assert frame["config.seed"].dtype == "int64"
    assert frame["config.seed"].tolist() == [2**60 + 1, 3]


@pytest.mark.parametrize(
    "value", [None, 3, "text", [], [1], {}, [{"a": 1}], True, math.nan, "\x00", "\ud800"], ids=repr
)
def test_an_entry_of_any_shape_becomes_a_row(value):
    """Also one that another program wrote into the registry."""
    pytest.importorskip("pandas")
    odd = dict.fromkeys([*BASE, "config", "metrics"], value)
    frame = ExperimentList([odd, ENTRY, odd | {"config": {"x": value}, "metrics": {"x": value}}]).to_dataframe()
    assert frame["config.seed"].tolist()[1] == 1
    assert frame["timestamp"].isna().tolist() == [True, False, True]


def test_years_beyond_the_reach_of_nanoseconds_are_kept():
    """A time from a wrong clock does not prevent a frame."""
    pytest.importorskip("pandas")
    years = ["0001-01-02T00:00:00+00:00", "9999-12-30T00:00:00+00:00"]
    frame = ExperimentList({"timestamp": year} for year in years).to_dataframe()
    assert frame["timestamp"].dt.year.tolist() == [1, 9999]


def test_names_that_only_differ_in_their_dots_keep_their_columns():
    """A key with a dot in it and a key within a key."""
    pytest.importorskip("pandas")
    frame = ExperimentList([{"config": {"a.b": 1, "a": {"b": 2}}}]).to_dataframe()
    assert frame.iloc[0][['config."a.b"', "config.a.b"]].tolist() == [1, 2]


def test_the_manager_makes_a_frame_of_what_it_finds(manager):
    """With the arguments of `find`."""
    pytest.importorskip("pandas")
    for number in range(4):
        with manager.experiment({"lr": number % 2}, name=f"run-{number}") as exp:
            exp.save_final_metrics({"f1": number / 10})
    with manager.experiment({"lr": 9}, name="now"):
        running = manager.to_dataframe(status="running")
        assert 0 <= running["duration_s"][0] < (datetime.now(UTC) - datetime(2020, 1, 1, tzinfo=UTC)).total_seconds()
        assert running["completed_at"].isna().all()
    frame = manager.to_dataframe("metrics.f1 > 0", name="run-*", sort="metrics.f1", limit=3)
    assert frame["custom_name"].tolist() == ["run-1", "run-2", "run-3"]
    assert frame.groupby("config.lr")["metrics.f1"].mean().to_dict() == pytest.approx({0: 0.2, 1: 0.2})
    assert len(manager.to_dataframe()) == 5


def test_without_pandas_the_error_names_the_extra(monkeypatch):
    """The message is not that of a failed import within the package."""
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(errors.MissingExtraError, match=r'run: pip install "runbook\[pandas\]"') as caught:
        ExperimentList().to_dataframe()
    assert isinstance(caught.value, RunbookError)
    assert isinstance(caught.value, ImportError)
