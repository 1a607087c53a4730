"""What users may call on each public class: a name that comes or goes is a decision, never an accident."""

from __future__ import annotations

import inspect

import pytest

import runbook

FACTS = "attempt config description end_reason id last_progress metrics name notes parent path status tags"
FOLDERS = "checkpoints_dir logs_dir metrics_dir results_dir"
READING = "history load_environment load_metrics load_predictions"
SAVING = (
    "save_bias_metrics save_eraser_results save_figure save_final_metrics save_predictions save_training_history "
    "save_xai_metrics"
)
TABLE_FORMS = "to_csv to_dataframe to_json to_latex to_markdown to_text"

SURFACE = {
    "ExperimentView": f"{FACTS} {FOLDERS} {READING}",
    "Experiment": (
        f"{FACTS} {FOLDERS} {READING} {SAVING} add_tags finish is_ended log note progress save_artifact save_metrics"
    ),
    "ExperimentManager": (
        f"{SAVING} add_note add_tags base_dir collect_garbage compare_experiments compare_groups create_experiment "
        "declare_ended delete_experiment doctor empty_trash experiment export_experiment find get_experiment "
        "get_experiment_path get_experiments import_experiment list_experiments list_trash mark_complete merge "
        "print_experiment_summary remove_tags repair report restore_experiment to_dataframe tracked"
    ),
    "ExperimentList": "to_dataframe",
    "Comparison": f"{TABLE_FORMS} table",
    "GroupComparison": (
        f"{TABLE_FORMS} best by directions groups left_out metrics notes pairs predictions tables test_count to_dict "
        "verdicts"
    ),
    "Progress": "begun_at begun_with done fraction rate remaining_s time total",
}


def members(cls):
    """The names without an underscore that a class has from us, its own and inherited ones."""
    ours = [base for base in cls.__mro__ if base.__module__.split(".")[0] == "runbook"]
    return {name for base in ours for name in vars(base) if not name.startswith("_")}


def test_every_public_class_is_listed():
    """Errors and the two enumerations have tests of their own; any other class belongs here."""
    classes = {name for name in runbook.__all__ if inspect.isclass(getattr(runbook, name))}
    errors = {name for name in classes if issubclass(getattr(runbook, name), Exception)}
    assert classes - errors - {"Status", "EndReason"} == set(SURFACE)


@pytest.mark.parametrize("name", SURFACE)
def test_a_public_class_shows_what_users_may_call_and_nothing_else(name):
    """What the lifecycle, the command line and the report need is not on it."""
    assert members(getattr(runbook, name)) == set(SURFACE[name].split())


@pytest.mark.parametrize("name", ["Experiment", "ExperimentView"])
def test_an_object_has_no_more_names_than_its_class(name, manager):
    """Nothing without an underscore is set on the object either."""
    with manager.experiment({"lr": 0.1}) as exp:
        found = exp if name == "Experiment" else manager.get_experiment(exp.id)
        assert {attribute for attribute in vars(found) if not attribute.startswith("_")} == set()
