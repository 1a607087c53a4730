"""Experiments side by side."""

from __future__ import annotations

import json
import math

import pytest

from runbook import ExperimentManager, ExperimentNotFoundError, comparison, tracked


def run(manager, config, name=None, metrics=None):
    with manager.experiment(config, name=name) as exp:
        if metrics is not None:
            exp.save_final_metrics(metrics)
    return exp.id


def test_the_comparison_has_the_shape_that_the_guide_uses(manager):
    """A plain dict; order as asked for; metrics nested as they were saved."""
    one = run(manager, {"lr": 0.1, "seed": 1}, "one", {"test_f1": 0.9, "gmb": {"auc": 0.8}})
    two = run(manager, {"lr": 0.2, "seed": 1}, "two", {"test_f1": 0.7})
    comparison = manager.compare_experiments([two, one])
    assert comparison["experiments"] == [
        {
            "experiment_id": two,
            "custom_name": "two",
            "status": "completed",
            "config": {"lr": 0.2, "seed": 1},
            "metrics": {"test_f1": 0.7},
        },
        {
            "experiment_id": one,
            "custom_name": "one",
            "status": "completed",
            "config": {"lr": 0.1, "seed": 1},
            "metrics": {"test_f1": 0.9, "gmb": {"auc": 0.8}},
        },
    ]
    assert comparison["config_diff"] == {"lr": {two: 0.2, one: 0.1}}
    assert type(comparison["experiments"][0]["status"]) is str
    assert json.loads(json.dumps(comparison)) == comparison


def test_metrics_of_one_that_only_logged_are_the_last_logged(manager):
    """There is something to compare without any `save_`."""
    with manager.experiment({"lr": 0.1}) as exp:
        exp.log(loss=0.5)
    assert manager.compare_experiments([exp.id])["experiments"][0]["metrics"] == {"loss": 0.5}


def test_floats_that_are_not_finite_are_floats(manager):
    """Sorting a comparison by a metric must not meet the string "NaN"."""
    one = run(manager, {"lr": 0.1}, metrics={"f1": float("nan"), "deep": {"x": math.inf}})
    metrics = manager.compare_experiments([one])["experiments"][0]["metrics"]
    assert math.isnan(metrics["f1"])
    assert metrics["deep"]["x"] == math.inf


@pytest.mark.parametrize(
    ("configs", "diff"),
    [
        ([], {}),
        ([{}], {}),
        ([{"a": 1}], {}),
        ([{"a": 1}, {"a": 1}], {}),
        ([{"a": 1}, {"a": 2}], {"a": {"0": 1, "1": 2}}),
        ([{"a": 1}, {}], {"a": {"0": 1}}),
        ([{"a": None}, {}], {"a": {"0": None}}),
        ([{"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}], {"a.c": {"0": 2, "1": 3}}),
        ([{"a": {"b": 1}}, {"a": 1}], {"a.b": {"0": 1}, "a": {"1": 1}}),
        ([{"a": [1, 2]}, {"a": [1, 3]}], {"a": {"0": [1, 2], "1": [1, 3]}}),
        ([{"a": True}, {"a": 1}], {"a": {"0": True, "1": 1}}),
        ([{"a": "1"}, {"a": 1}], {"a": {"0": "1", "1": 1}}),
        ([{"a": "NaN"}, {"a": "NaN"}], {}),
        ([{"save_dir": "x"}, {"save_dir": "y"}], {}),
        ([{"a": 1}, {"a": 1}, {"a": 2}], {"a": {"0": 1, "1": 1, "2": 2}}),
        ([{"b": 1, "a": 1}, {"a": 2, "b": 2}], {"b": {"0": 1, "1": 2}, "a": {"0": 1, "1": 2}}),
    ],
)
def test_only_the_keys_that_differ(configs, diff):
    """Dotted; what one lacks is missing under its id; `save_dir` differs always and says nothing."""
    assert comparison.config_diff({str(n): config for n, config in enumerate(configs)}) == diff


def test_nan_in_a_config_of_the_old_tool_is_the_same_everywhere():
    """The old registry held NaN as it is, and NaN is not equal to itself."""
    assert comparison.config_diff({"a": {"x": float("nan")}, "b": {"x": float("nan")}}) == {}


def test_a_whole_float_is_the_same_setting_as_the_integer(manager):
    """`1` and `1.0` have one hash, so they are no difference either."""
    one, two = run(manager, {"epochs": 1}), run(manager, {"epochs": 1.0})
    assert one[-8:] == two[-8:]
    assert manager.compare_experiments([one, two])["config_diff"] == {}


def test_the_experiments_own_folder_is_no_difference_wherever_it_stands(base):
    """A decorated function's config lies one level down, and its `save_dir` differs always as well."""
    ids = []

    @tracked(base_dir=base)
    def train(config, epochs, exp):
        ids.append(exp.id)

    for lr in (1, 2):
        train({"lr": lr, "save_dir": "out"}, 3)
    diff = ExperimentManager(base).compare_experiments(ids)["config_diff"]
    assert diff == {"config.lr": {ids[0]: 1, ids[1]: 2}}


def test_running_and_failed_ones_can_be_compared(manager):
    """With the status that they have."""
    with pytest.raises(ValueError, match="x"), manager.experiment({"lr": 1}) as failed:
        raise ValueError("x")
    with manager.experiment({"lr": 2}) as running:
        statuses = [exp["status"] for exp in manager.compare_experiments([failed.id, running.id])["experiments"]]
    assert statuses == ["failed", "running"]


def test_names_and_prefixes_are_resolved(manager):
    """The ids in the answer are whole."""
    one = run(manager, {"lr": 1}, "one")
    two = run(manager, {"lr": 2}, "two")
    found = manager.compare_experiments(["one", two[:-1]])
    assert [exp["experiment_id"] for exp in found["experiments"]] == [one, two]
    assert found["config_diff"] == {"lr": {one: 1, two: 2}}


def test_any_iterable_of_ids_will_do(manager):
    """A tuple, a generator."""
    one = run(manager, {"lr": 1})
    assert len(manager.compare_experiments((one,))["experiments"]) == 1
    assert len(manager.compare_experiments(name for name in [one])["experiments"]) == 1
    nothing = {"experiments": [], "config_diff": {}, "metrics": {}, "directions": {}, "best": {}}
    assert manager.compare_experiments([]) == nothing


def test_an_unknown_one_is_named(manager):
    """And its neighbours with it."""
    run(manager, {"lr": 1}, "baseline")
    with pytest.raises(ExperimentNotFoundError, match="'baselime'.*did you mean baseline"):
        manager.compare_experiments(["baseline", "baselime"])


def test_one_string_is_not_taken_apart(manager):
    """`compare_experiments("baseline")` forgot the brackets; what is meant is clear."""
    one = run(manager, {"lr": 1}, "baseline")
    assert manager.compare_experiments("baseline") == manager.compare_experiments([one])


def test_a_comparison_does_not_hang_on_the_records(manager):
    """Changing the answer changes nothing for the next one who asks."""
    one = run(manager, {"lr": 1, "deep": {"a": 1}})
    manager.compare_experiments([one])["experiments"][0]["config"]["deep"]["a"] = 2
    assert manager.compare_experiments([one])["experiments"][0]["config"]["deep"]["a"] == 1
