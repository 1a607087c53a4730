"""The saved predictions of two groups, compared on the same examples."""

from __future__ import annotations

import pytest

from runbook import ComparisonError, DamagedFileError, PickleNotAllowedError
from runbook.compare.predictions import COLUMNS, compare_predictions

pytest.importorskip("scipy")

TRUE = [0, 1, 0, 1, 1, 0, 1, 0]
GOOD = [0, 1, 0, 1, 1, 0, 1, 1]
POOR = [0, 0, 0, 1, 1, 1, 0, 1]


@pytest.fixture
def save(manager):
    """Makes an experiment with predictions."""

    def make(predictions, filename="p.json", **columns):
        with manager.experiment({"n": 1}) as exp:
            if predictions is not None:
                exp.save_predictions(predictions, filename)
        return manager.get_experiment(exp.id)

    return make


def columns(given, names=("y_true", "y_pred"), true=TRUE):
    return dict(zip(names, (true, given), strict=True))


def test_the_accuracies_and_their_gap(save):
    """The examples are drawn again in pairs."""
    found = compare_predictions("p.json", {"a": [save(columns(POOR))], "b": [save(columns(GOOD))]})
    assert (found.bootstrap.first, found.bootstrap.second, found.bootstrap.n) == (0.5, 0.875, 8)
    assert found.bootstrap.difference == 0.375
    low, high = found.bootstrap.interval
    assert 0 <= low < 0.375 < high <= 0.75
    assert (found.first, found.second, found.metric, found.runs) == ("a", "b", "accuracy", (1, 1))


@pytest.mark.parametrize("names", COLUMNS, ids="-".join)
@pytest.mark.parametrize("filename", ["p.json", "p.jsonl", "p.csv", "p.npz"])
def test_rows_and_columns_of_any_format(save, names, filename):
    """Under each of the known pairs of names."""
    groups = {name: [save(columns(given, names), filename)] for name, given in (("a", POOR), ("b", GOOD))}
    assert compare_predictions(filename, groups).bootstrap.difference == 0.375


def test_several_runs_of_a_group_are_averaged_example_by_example(save):
    """Half right is a score of a half; a run without the file is named and does not count."""
    without = save(None)
    groups = {"a": [save(columns(POOR)), save(columns(GOOD)), without], "b": [save(columns(GOOD))]}
    found = compare_predictions("p.json", groups)
    assert found.bootstrap.first == pytest.approx((0.5 + 0.875) / 2)
    assert found.runs == (2, 1)
    assert found.without_file == (without.id,)


def test_a_pickle_is_loaded_on_request_alone(save):
    """It runs code that it contains."""
    groups = {name: [save(columns(given), "p.pkl")] for name, given in (("a", POOR), ("b", GOOD))}
    with pytest.raises(PickleNotAllowedError, match="allow_pickle=True"):
        compare_predictions("p.pkl", groups)
    assert compare_predictions("p.pkl", groups, allow_pickle=True).bootstrap.difference == 0.375


def test_a_data_frame_has_columns(save):
    """From a pickle, as pandas users save them."""
    pd = pytest.importorskip("pandas")
    groups = {name: [save(pd.DataFrame(columns(given)), "p.pkl")] for name, given in (("a", POOR), ("b", GOOD))}
    assert compare_predictions("p.pkl", groups, allow_pickle=True).bootstrap.difference == 0.375


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (columns(POOR), columns(GOOD[:4], true=TRUE[:4]), "for 8 examples and .* for 4"),
        (columns(POOR), columns(GOOD, true=[0, 1, 1, *TRUE[3:]]), "differ in the target of example 2: 0 and 1"),
        (columns(POOR), columns(GOOD[:4]), "8 targets and 4 predictions"),
        (columns(POOR), columns([], true=[]), "0 targets and 0 predictions"),
        (columns(POOR), {"y_true": TRUE, "scores": GOOD}, "but only y_true, scores; save them as y_true and y_pred"),
        (columns(POOR), [1, 2, 3], "but a list"),
        (columns(POOR), columns([[0.1, 0.9]] * 8), "y_pred holds list such as .* accuracy is about classes"),
        (columns(POOR), columns([0.5] * 8), "y_pred holds float such as '0.5'"),
        (columns(POOR), None, "no experiment of b has results/p.json"),
    ],
)
def test_what_cannot_be_compared_is_named(save, first, second, message):
    """The message has the experiment, the position of the example, and what to save instead."""
    groups = {"a": [save(first)], "b": [save(second)]}
    with pytest.raises(ComparisonError, match=message):
        compare_predictions("p.json", groups)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_there_are_two_groups(save, count):
    """One group or three cannot be compared by predictions."""
    groups = {str(n): [save(columns(GOOD))] for n in range(count)}
    with pytest.raises(ComparisonError, match="exactly two groups"):
        compare_predictions("p.json", groups)


def test_answers_that_are_missing_are_wrong(save):
    """None and NaN are no class."""
    given = [None, float("nan"), *GOOD[2:]]
    found = compare_predictions("p.json", {"a": [save(columns(given))], "b": [save(columns(GOOD))]})
    assert found.bootstrap.first == 0.625


def test_a_damaged_file_is_an_error(save):
    """The error names the file."""
    one, two = save(columns(GOOD)), save(columns(GOOD))
    (two.results_dir / "p.json").write_text("{")
    with pytest.raises(DamagedFileError, match="p.json"):
        compare_predictions("p.json", {"a": [one], "b": [two]})
