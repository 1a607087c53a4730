"""The comparison of groups, from registry entries to sentences."""

from __future__ import annotations

import csv
import io
import json
import random

import pytest

from runbook import ComparisonError, ExperimentNotFoundError, GroupComparison, QueryError, UnknownStatusError
from runbook.compare.groups import compare_groups

stats = pytest.importorskip("scipy.stats")

HOSTILE = "\x1b[2J\u202e<script>alert(1)</script>|`\\input{x}"
FAR = {"a": [0.80, 0.81, 0.82, 0.81, 0.80], "b": [0.90, 0.91, 0.92, 0.91, 0.90]}
NEAR = {"a": [0.80, 0.81, 0.82, 0.81, 0.80], "b": [0.81, 0.80, 0.82, 0.82, 0.80]}


def entries(groups, name="f1"):
    """Completed experiments with a model each, and the values of a metric by seed."""
    return [
        {
            "experiment_id": f"{model}{seed}",
            "status": "completed",
            "config": {"model": model, "seed": seed},
            "metrics": value if isinstance(value, dict) else {name: value},
        }
        for model, values in groups.items()
        for seed, value in enumerate(values)
    ]


def compare(groups, by="config", **options):
    given = groups if isinstance(groups, list) else entries(groups)
    return compare_groups(given, by, view=pytest.fail, **options)


def test_the_numbers_are_those_of_scipy():
    """The numbers of the whole comparison are those of SciPy."""
    found = compare(FAR)
    (pair,) = found.pairs
    wanted = stats.ttest_ind(FAR["b"], FAR["a"], equal_var=False)
    assert pair.contrast.p_value == pytest.approx(wanted.pvalue)
    assert pair.p_value_holm == pair.contrast.p_value
    assert [one.n for one in found.metrics["f1"]] == [5, 5]
    assert found.best == {"f1": ["model=b"]}


def test_a_gap_larger_than_noise_is_called_so():
    """The sentence names the test, the direction and the level."""
    (verdict,) = compare(FAR).verdicts
    assert verdict.startswith(
        "f1: model=b is 0.1 higher (better) than model=a on average; this gap is larger than seed noise"
    )
    for words in ("at the 5% level", "Welch's t = ", "df = 8", "p < 0.001", "Hedges' g = ", "95% interval"):
        assert words in verdict
    assert "Holm" not in verdict


def test_a_gap_within_noise_is_not_called_equality():
    """Absence of evidence is not evidence of absence."""
    (verdict,) = compare(NEAR).verdicts
    assert "seed noise alone could make such a gap, which does not show that they are equal" in verdict
    assert not compare(NEAR).pairs[0].is_significant


@pytest.mark.parametrize("n", [1, 2])
def test_nothing_is_significant_with_fewer_than_three(n):
    """However far apart."""
    found = compare({"a": [0.1] * 5, "b": [0.9, 0.91][:n]})
    assert not found.pairs[0].is_significant
    assert found.pairs[0].p_value_holm is None
    assert "nothing is tested with fewer than 3 in a group" in found.verdicts[0]
    assert "larger than" not in found.verdicts[0]


def test_small_samples_are_called_small():
    """In the sentence and below the table."""
    found = compare({"a": [0.1, 0.11, 0.12], "b": [0.9, 0.91, 0.92]})
    assert "the samples are small" in found.verdicts[0]
    assert "Small samples (n < 5): model=a, model=b" in found.to_text(200)
    assert "Small samples" not in compare(FAR).to_text(200)


def test_groups_without_any_spread_are_not_tested():
    """A difference of two constants has no noise to be measured by."""
    found = compare({"a": [1, 1, 1], "b": [2, 2, 2]})
    assert "not tested: neither group varies at all" in found.verdicts[0]
    assert not found.pairs[0].is_significant


def test_nan_infinity_and_missing_values_are_counted():
    """They are left out, and a note names their group."""
    values = [0.8, 0.81, 0.82, float("nan"), float("inf"), {}, {"f1": None}, {"f1": "good"}]
    found = compare({"a": values, "b": FAR["b"]})
    assert [(one.n, one.missing, one.not_finite) for one in found.metrics["f1"]] == [(3, 3, 2), (5, 0, 0)]
    where = "no such number in 3 of 8 of model=a; NaN, infinite or beyond 1e150 in 2 of 8 of model=a"
    assert f"f1 is left out where there is none: {where}." in found.notes


def test_a_group_of_nothing_but_nan_says_nothing():
    """Its row stays, with dashes."""
    found = compare({"a": [float("nan")] * 3, "b": FAR["b"]})
    assert "one of the groups has no values" in found.verdicts[0]
    assert found.best == {}
    assert json.loads(found.to_json(), parse_constant=pytest.fail)["groups"][0]["metrics"]["f1"]["mean"] is None


def test_what_has_not_completed_is_left_out_and_counted():
    """Unless it is asked for."""
    given = entries(FAR)
    for place, status in ((0, "running"), (1, "failed"), (2, "failed")):
        given[place]["status"] = status
    found = compare(given)
    assert found.left_out == {"running": 1, "failed": 2}
    assert "Left out: 1 running, 2 failed." in found.notes
    assert [one.n for one in found.metrics["f1"]] == [2, 5]
    assert compare(given, status=["completed", "failed"]).left_out == {"running": 1}
    with pytest.raises(UnknownStatusError, match="done"):
        compare(given, status="done")


def test_several_metrics_are_corrected_together_and_a_note_says_so():
    """By Holm, over all tests that were made."""
    rows = {
        model: [{"f1": v, "loss": 1 - v, "steps": 7} for v in values]
        for model, values in {**FAR, "c": NEAR["b"]}.items()
    }
    found = compare(rows)
    assert found.test_count == 6
    assert "The p-values are corrected by Holm's rule over all 6 tests: every pair in every metric." in found.notes
    smallest = min(found.pairs, key=lambda pair: pair.contrast.p_value or 1)
    assert smallest.p_value_holm == pytest.approx(6 * smallest.contrast.p_value)
    assert "f1: in 2 of 3 pairs the gap is larger than seed noise at the 5% level." in found.verdicts
    assert "steps: none of 3 pairs of groups could be tested." in found.verdicts


def test_pairs_of_many_groups_are_named_by_numbers():
    """Two long labels and a minus between them would not fit a terminal."""
    found = compare({"x" * 60 + model: values for model, values in {**FAR, "c": NEAR["b"]}.items()})
    groups, pairs = found.tables()
    assert [row[1].shown[:3] for row in groups.rows] == ["1: ", "2: ", "3: "]
    assert [row[1].shown for row in pairs.rows] == ["2 - 1", "3 - 2", "3 - 1"]
    assert [row[-1].is_best for row in pairs.rows] == [True, True, False]
    assert max(map(len, found.to_text(80).splitlines())) <= 80


def test_groups_without_the_metric_that_is_named_are_left_out_and_counted():
    """They would fill the tables with dashes."""
    found = compare(entries(FAR) + entries({"other": [0.1, 0.2]}, name="accuracy"), metrics=["f1"])
    assert [one.label for one in found.groups] == ["model=a", "model=b"]
    assert found.left_out == {"without f1": 2}
    assert "Left out: 2 without f1." in found.notes


def test_rows_and_pairs_of_what_a_group_never_measured_are_not_shown():
    """The notes name them; a group with only NaN has measured and is shown."""
    nan = float("nan")
    found = compare(entries({**FAR, "c": [nan, nan]}) + entries({"other": [0.1, 0.2]}, name="accuracy"))
    groups, pairs = found.tables()
    assert [row[0].shown for row in groups.rows] == ["f1", "", "", "accuracy"]
    assert [row[1].shown for row in pairs.rows] == ["2 - 1"]
    assert any("2 of 2 of model=other" in note for note in found.notes)


def test_the_correction_can_undo_a_verdict():
    """With twenty metrics of noise and one of luck, luck is not enough."""
    draw = random.Random(7)
    lucky = {"a": [0.50, 0.51, 0.52, 0.53], "b": [0.53, 0.54, 0.55, 0.53]}
    alone = compare(lucky)
    assert alone.pairs[0].is_significant
    rows = {
        model: [{"f1": value} | {f"m{n}": draw.gauss(0, 1) for n in range(20)} for value in values]
        for model, values in lucky.items()
    }
    together = compare(rows)
    assert together.pairs[0].contrast == alone.pairs[0].contrast
    assert not together.pairs[0].is_significant
    assert compare(rows, metrics=["f1"]).pairs[0].is_significant


def test_a_note_names_what_varies_besides_the_seed():
    """Then the noise comes not only from the seed."""
    given = entries(FAR)
    for place, entry in enumerate(given):
        entry["config"]["dropout"] = place % 2
    found = compare(given, "model")
    assert "Besides the seeds, these vary within a group and are part of the noise: dropout." in found.notes
    assert "the noise between runs" in found.verdicts[0]


def test_a_note_counts_repeats_of_one_seed():
    """Ten copies of one run would make anything significant."""
    given = entries(FAR)
    for entry in given:
        entry["config"]["seed"] = 1
    assert any("model=a: 4 of 5 experiments repeat the config and the seed" in note for note in compare(given).notes)


def test_one_group_is_shown_and_not_compared():
    """With a note."""
    found = compare({"a": FAR["a"]})
    assert found.pairs == ()
    assert "There is one group" in " ".join(found.notes)
    assert found.best == {}


def test_directions_can_be_given():
    """The direction of other names is not guessed."""
    found = compare(entries(FAR, "speed"))
    assert found.best == {}
    assert "(better)" not in found.verdicts[0]
    assert "No best is marked for speed" in " ".join(found.notes)
    assert compare(entries(FAR, "speed"), minimize="speed").best == {"speed": ["model=a"]}
    assert "(worse)" in compare(entries(FAR, "speed"), minimize="speed").verdicts[0]


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ([], {}, "none of 0 experiments is completed"),
        (entries({"a": [{}]}), {}, "no final metric of these 1 experiments is a number"),
        (entries({"a": [{"f1": "good"}]}), {}, "no final metric of these 1 experiments is a number"),
        (entries(FAR), {"metrics": ["f2"]}, "no experiment has a metric 'f2'; did you mean f1"),
        (entries(FAR), {"metrics": []}, "no metric was named"),
        (entries(FAR), {"maximize": ["f2"]}, "did you mean f1"),
    ],
)
def test_nothing_to_compare_is_an_error(given, options, message):
    """The message has what to do instead."""
    with pytest.raises(ComparisonError, match=message):
        compare(given, **options)


def test_the_tables_for_machines():
    """Groups and pairs, a number a cell."""
    found = compare({**FAR, "c": NEAR["b"]})
    groups = list(csv.DictReader(io.StringIO(found.to_csv(), newline="")))
    assert [(row["group"], row["n"], row["is_best"]) for row in groups] == [
        ("model=a", "5", "False"),
        ("model=b", "5", "True"),
        ("model=c", "5", "False"),
    ]
    assert float(groups[0]["interval_low"]) == pytest.approx(found.metrics["f1"][0].interval[0])
    pairs = list(csv.DictReader(io.StringIO(found.to_csv("pairs"), newline="")))
    assert [(row["first"], row["second"], row["is_significant"]) for row in pairs] == [
        ("model=a", "model=b", "True"),
        ("model=a", "model=c", "False"),
        ("model=b", "model=c", "True"),
    ]
    with pytest.raises(ComparisonError, match="pass 'groups' or 'pairs'"):
        found.to_csv("all")
    pytest.importorskip("pandas")
    assert found.to_dataframe()["mean"].max() == pytest.approx(0.908)
    assert found.to_dataframe("pairs")["p_value_holm"].min() < 0.001


def test_the_json_has_a_stable_shape():
    """It is strict JSON with all facts of the text."""
    found = compare(FAR)
    data = json.loads(found.to_json(), parse_constant=pytest.fail)
    assert list(data) == (
        ["by", "groups", "directions", "best", "pairs", "tests", "alpha", "confidence", "left_out"]
        + ["predictions", "verdicts", "notes"]
    )
    assert list(data["groups"][0]) == ["label", "settings", "experiment_ids", "metrics"]
    assert list(data["groups"][0]["metrics"]["f1"]) == (
        ["n", "mean", "standard_deviation", "interval", "missing", "not_finite"]
    )
    assert list(data["pairs"][0]) == (
        ["metric", "first", "second", "difference", "interval", "statistic", "degrees_of_freedom", "p_value"]
        + ["hedges_g", "hedges_g_interval", "problem", "p_value_holm", "is_significant", "is_small"]
    )
    assert data["groups"][1]["settings"] == {"model": "b"}
    assert data["groups"][0]["experiment_ids"] == ["a0", "a1", "a2", "a3", "a4"]


@pytest.mark.parametrize("count", [1, 2, 3, 60])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_hostile_names_fit_and_stay_text(count, width):
    """Of models, metrics and settings, in few groups and in many."""
    given = entries({f"{n}{HOSTILE}": [0.1, 0.2, 0.3] for n in range(count)}, HOSTILE)
    found = compare(given)
    out = found.to_text(width)
    assert out.replace("\n", "").isprintable()
    assert max(map(len, out.splitlines())) <= width
    for text in (found.to_markdown(), found.to_latex(), found._repr_html_()):
        assert text.replace("\n", "").isprintable()
    assert "<script" not in found._repr_html_() + found.to_markdown()
    assert "\\input" not in found.to_latex()


def test_so_many_groups_that_nobody_would_read_their_pairs():
    """The table is shown, nothing is tested, and a note says so."""
    found = compare({str(n): [n, n + 1] for n in range(300)})
    assert found.pairs == ()
    assert "300 groups make too many pairs to test" in " ".join(found.notes)


# --- from the manager ------------------------------------------------------------------------------------------------


@pytest.fixture
def sweep(manager):
    """Two learning rates with four seeds each, and one that failed."""
    for lr, values in ((0.1, (0.80, 0.81, 0.82, 0.80)), (0.2, (0.90, 0.91, 0.92, 0.91))):
        for seed, value in enumerate(values):
            with manager.experiment({"lr": lr, "seed": seed, "save_dir": "out"}, name=f"lr{lr}") as exp:
                exp.save_final_metrics({"test_f1": value, "gmb": {"auc": value / 2}})
                right = [1 if n < value * 100 else 0 for n in range(100)]
                exp.save_predictions({"y_true": [1] * 100, "y_pred": right}, "p.json")
    with pytest.raises(ValueError, match="x"), manager.experiment({"lr": 0.3, "seed": 0}):
        raise ValueError("x")
    return manager


def test_the_manager_compares_groups(sweep):
    """By config without the seed, all of them."""
    found = sweep.compare_groups()
    assert isinstance(found, GroupComparison)
    assert [one.label for one in found.groups] == ["lr=0.1", "lr=0.2"]
    assert found.left_out == {"failed": 1}
    assert set(found.metrics) == {"test_f1", "gmb.auc"}
    assert repr(found) == "<GroupComparison of 2 groups by config>"
    assert "8 experiments in 2 groups by config without seeds" in found.to_text()


def test_the_manager_compares_predictions(sweep):
    """Averaged over the runs of each group."""
    found = sweep.compare_groups("lr", metrics="test_f1", predictions="p.json")
    assert found.predictions.runs == (4, 4)
    assert found.predictions.bootstrap.difference == pytest.approx(0.1025)
    assert "accuracy on the 100 examples of p.json: 0.8075 for lr=0.1, 0.91 for lr=0.2" in found.verdicts[-1]
    assert "not on the seeds" in found.verdicts[-1]
    assert json.loads(found.to_json())["predictions"]["bootstrap"]["resamples"] == 10_000


def test_two_experiments_can_be_compared_by_their_predictions(sweep):
    """Each is a group of one, and only the examples can be drawn again."""
    found = sweep.compare_groups("experiment_id", ["lr0.1", "lr0.2"], metrics="test_f1", predictions="p.json")
    assert "nothing is tested with fewer than 3" in found.verdicts[0]
    assert "accuracy on the 100 examples" in found.verdicts[1]


def test_predictions_that_are_right_on_the_same_examples(manager):
    """There is no gap, and the sentence has no caution about other examples."""
    for name in ("a", "b"):
        with manager.experiment({"model": name}) as exp:
            exp.save_final_metrics({"f1": 1})
            exp.save_predictions({"y_true": [1, 0, 1], "y_pred": [1, 0, 0]}, "p.json")
    verdict = manager.compare_groups(predictions="p.json").verdicts[-1]
    assert verdict.endswith("a gap of 0: they are right on the same examples.")


def test_experiments_are_chosen_by_id_and_by_expression(sweep):
    """The order of the ids is the order of the groups, and one that is named twice counts once."""
    ids = [entry["experiment_id"] for entry in sweep.list_experiments()]
    assert [one.label for one in sweep.compare_groups("lr", [ids[5], ids[0], ids[5]]).groups] == ["lr=0.2", "lr=0.1"]
    assert [len(one.experiment_ids) for one in sweep.compare_groups("lr", [ids[5], ids[0], ids[5]]).groups] == [1, 1]
    found = sweep.compare_groups(where="config.seed < 2")
    assert [len(one.experiment_ids) for one in found.groups] == [2, 2]
    assert found.left_out == {"failed": 1}
    with pytest.raises(ExperimentNotFoundError):
        sweep.compare_groups(ids=["nothing"])
    with pytest.raises(QueryError):
        sweep.compare_groups(where="config.seed <")
    with pytest.raises(QueryError):
        sweep.compare_groups("config.nothing")
