"""Experiments side by side."""

from __future__ import annotations

import csv
import io
import json
import math

import pytest

from runbook import ComparisonError, ExperimentManager, ExperimentNotFoundError, tracked
from runbook.compare import comparison


def run(manager, config, name=None, metrics=None):
    with manager.experiment(config, name=name) as exp:
        if metrics is not None:
            exp.save_final_metrics(metrics)
    return exp.id


def test_the_comparison_has_the_shape_that_the_guide_uses(manager):
    """It is a plain dict, in the order of the call, with metrics nested as they were saved."""
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
    """Logged metrics can be compared without any `save_`."""
    with manager.experiment({"lr": 0.1}) as exp:
        exp.log(loss=0.5)
    assert manager.compare_experiments([exp.id])["experiments"][0]["metrics"] == {"loss": 0.5}


def test_floats_that_are_not_finite_are_floats(manager):
    """A comparison sorted by a metric has no string "NaN" among its numbers."""
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
    """Keys are dotted, an experiment without a key is left out under it, and so is `save_dir`, which always differs."""
    assert comparison.config_diff({str(n): config for n, config in enumerate(configs)}) == diff


def test_nan_in_a_config_of_the_legacy_tool_is_the_same_everywhere():
    """A legacy registry may hold a bare NaN, and NaN is not equal to itself."""
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
    """The message suggests similar ones."""
    run(manager, {"lr": 1}, "baseline")
    with pytest.raises(ExperimentNotFoundError, match="'baselime'.*did you mean baseline"):
        manager.compare_experiments(["baseline", "baselime"])


def test_one_string_is_not_taken_apart(manager):
    """`compare_experiments("baseline")` without brackets means that one experiment."""
    one = run(manager, {"lr": 1}, "baseline")
    assert manager.compare_experiments("baseline") == manager.compare_experiments([one])


def test_a_comparison_does_not_hang_on_the_records(manager):
    """A change of the result does not change a later comparison."""
    one = run(manager, {"lr": 1, "deep": {"a": 1}})
    manager.compare_experiments([one])["experiments"][0]["config"]["deep"]["a"] = 2
    assert manager.compare_experiments([one])["experiments"][0]["config"]["deep"]["a"] == 1


# --- metrics, best, and the table ------------------------------------------------------------------------------------

HOSTILE = "\x1b[2J\u202e<script>alert(1)</script>|`=1+1`"


def three(manager):
    """Three experiments whose best are three different ones."""
    return [
        run(manager, {"lr": lr, "seed": 1}, f"lr{lr}", {"test_f1": f1, "loss": loss, "steps": 100, "gmb": {"auc": 0.5}})
        for lr, f1, loss in ((0.1, 0.8, 0.3), (0.2, 0.9, 0.4), (0.3, 0.9, 0.2))
    ]


def test_metrics_are_flat_and_the_best_is_marked(manager):
    """All that tie are best; a metric whose name implies no direction has none."""
    one, two, six = three(manager)
    found = manager.compare_experiments([one, two, six])
    assert found["metrics"]["gmb.auc"] == {one: 0.5, two: 0.5, six: 0.5}
    assert found["directions"] == {"test_f1": "max", "loss": "min", "steps": None, "gmb.auc": "max"}
    assert found["best"] == {"test_f1": [two, six], "loss": [six], "gmb.auc": [one, two, six]}


def test_the_direction_can_be_given(manager):
    """A misspelt metric is an error."""
    ids = three(manager)
    found = manager.compare_experiments(ids, minimize=["steps"], maximize="loss")
    assert found["best"]["loss"] == [ids[1]]
    assert found["best"]["steps"] == ids
    with pytest.raises(ComparisonError, match="did you mean steps"):
        manager.compare_experiments(ids, minimize=["stepps"])


def test_few_experiments_are_columns(manager):
    """Under their names, with the ids below; the star is there without colours."""
    ids = three(manager)
    out = manager.compare_experiments(ids).to_text(120)
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["lr0.1", "lr0.2", "lr0.3"]
    assert lines[2] == ["id", *ids]
    assert ["test_f1", "0.8", "0.9*", "0.9*"] in lines
    assert ["loss", "0.3", "0.4", "0.2*"] in lines
    assert "seed" not in out
    assert "No best is marked for steps" in out


def test_many_experiments_are_rows(manager):
    """One a line, at any width."""
    ids = [run(manager, {"lr": n}, f"run{n}", {"test_f1": n / 10}) for n in range(6)]
    lines = manager.compare_experiments(ids).to_text(80).splitlines()
    assert lines[0].split() == ["experiment", "lr", "test_f1"]
    assert lines[7].split() == ["run5", "5", "0.5*"]


def test_names_that_are_not_unique_give_way_to_ids(manager):
    """Two rows of one name could not be told apart."""
    ids = [run(manager, {"lr": n}, "same", {"f1": n}) for n in range(6)]
    out = manager.compare_experiments(ids).to_text(120)
    assert all(experiment_id in out for experiment_id in ids)


def test_a_note_names_what_has_not_completed(manager):
    """Its metrics may still change."""
    with manager.experiment({"lr": 2}) as running:
        running.log(loss=0.5)
        out = manager.compare_experiments([run(manager, {"lr": 1}, metrics={"loss": 0.4}), running.id]).to_text(100)
    assert "running" in out
    assert "has not completed" in out


def test_absent_and_none_are_not_the_same(manager):
    """A setting of None is a setting."""
    ids = [run(manager, config) for config in ({"x": None}, {}, {"x": 1})]
    lines = manager.compare_experiments(ids).to_text(120).splitlines()
    assert ["x", "None", "-", "1"] in [line.split() for line in lines]


def test_a_setting_and_a_metric_of_one_name_are_told_apart(manager):
    """Both have the name of their section."""
    ids = [run(manager, {"loss": kind}, metrics={"loss": n}) for n, kind in enumerate(("mse", "mae"))]
    out = manager.compare_experiments(ids).to_text(100)
    assert "config.loss" in out
    assert "metrics.loss" in out


def test_a_comparison_of_nothing_and_of_one_can_be_printed(manager):
    """No mark, no error."""
    one = run(manager, {"lr": 1}, metrics={"f1": 0.5})
    for ids in ([], [one], [run(manager, {})]):
        found = manager.compare_experiments(ids)
        assert found["best"] == {}
        for text in (found.to_text(40), found.to_markdown(), found.to_latex(), found.to_csv(), found._repr_html_()):
            assert text
        assert json.loads(found.to_json())["experiments"] == found["experiments"]


@pytest.mark.parametrize("count", [2, 7])
def test_hostile_names_settings_and_metrics_stay_text(manager, count):
    """In every format."""
    ids = [
        run(manager, {HOSTILE: HOSTILE, "n": n, "long": "x" * n * 300}, HOSTILE + str(n), {HOSTILE: n, "text": HOSTILE})
        for n in range(count)
    ]
    found = manager.compare_experiments(ids)
    for width in (40, 80, 200):
        out = found.to_text(width, colour=False)
        assert out.replace("\n", "").isprintable()
        assert max(map(len, out.splitlines())) <= width
    for text in (found.to_markdown(), found.to_latex(), found._repr_html_()):
        assert text.replace("\n", "").isprintable()
    assert "<script" not in found._repr_html_() + found.to_markdown()
    assert "\x1b" not in found.to_csv()


def test_metrics_of_every_kind_can_be_compared(manager):
    """Texts, None, truth values, NaN, nesting; lists stay with the experiment."""
    one = run(manager, {"a": 1}, metrics={"f1": None, "score": "good", "acc": True, "auc": float("nan"), "l": [1, 2]})
    two = run(manager, {"a": 2}, metrics={"f1": 0.5, "score": 0.3, "acc": False, "auc": 0.7, "deep": {"er": {"f1": 1}}})
    found = manager.compare_experiments([one, two])
    assert found["best"] == {}
    assert set(found["metrics"]) == {"f1", "score", "acc", "auc", "deep.er.f1"}
    assert "NaN" in found.to_text(80)
    assert json.loads(found.to_json(), parse_constant=pytest.fail)["metrics"]["auc"][one] == "NaN"


def test_csv_has_every_experiment_in_full(manager):
    """One a line, whatever the orientation of the table."""
    ids = three(manager)
    rows = list(csv.DictReader(io.StringIO(manager.compare_experiments(ids).to_csv(), newline="")))
    assert [row["experiment_id"] for row in rows] == ids
    assert [row["config.lr"] for row in rows] == ["0.1", "0.2", "0.3"]
    assert rows[1]["metrics.test_f1"] == "0.9"


def test_a_data_frame_has_the_ids_as_index(manager):
    """And numbers as numbers."""
    pytest.importorskip("pandas")
    ids = three(manager)
    frame = manager.compare_experiments(ids).to_dataframe()
    assert list(frame.index) == ids
    assert frame["metrics.loss"].idxmin() == ids[2]
    assert frame["config.lr"].sum() == pytest.approx(0.6)
