"""`ExperimentManager`: the legacy API."""

from __future__ import annotations

import inspect
import json
import os
import pickle
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from runbook import (
    BaseDirectoryError,
    ConfigError,
    EndReason,
    ExperimentManager,
    ExperimentNotFoundError,
    NoActiveExperimentError,
    RunbookError,
    Status,
    UnknownStatusError,
    UsageError,
    current_experiment,
    experiment,
)
from runbook.run import lifecycle
from runbook.run.endings import ABANDONED

LEGACY_FIELDS = [
    "experiment_id",
    "timestamp",
    "status",
    "custom_name",
    "description",
    "config",
    "directory",
    "completed_at",
    "notes",
]


@pytest.fixture(autouse=True)
def _nothing_stays_open():
    """`create_experiment` has no block that would close it when a test fails."""
    yield
    for life in list(lifecycle.open_here()):
        life.close(ending=ABANDONED)


@dataclass
class TrainingConfig:
    """A config as the guide has it."""

    model_name: str = "distilbert-base-uncased"
    learning_rate: float = 2e-5
    save_dir: str = "./checkpoints"


# --- the signatures of the guide -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("create_experiment", {"config": None, "custom_name": None, "description": None}),
        ("save_training_history", {"history": None}),
        ("save_predictions", {"results": inspect.Parameter.empty, "filename": "test_predictions.pkl"}),
        ("save_bias_metrics", {"gmb_metrics": inspect.Parameter.empty, "bias_details": None}),
        ("save_xai_metrics", {"xai_metrics": inspect.Parameter.empty}),
        ("save_eraser_results", {"results_path": inspect.Parameter.empty}),
        ("save_final_metrics", {"metrics": inspect.Parameter.empty}),
        ("mark_complete", {"status": "completed", "notes": None}),
        ("list_experiments", {"status": None}),
        ("print_experiment_summary", {}),
        ("compare_experiments", {"experiment_ids": inspect.Parameter.empty}),
        ("export_experiment", {"experiment_id": inspect.Parameter.empty, "export_path": inspect.Parameter.empty}),
        ("get_experiment_path", {"experiment_id": inspect.Parameter.empty}),
    ],
)
def test_the_parameters_have_the_guides_names(manager, method, parameters):
    """Old programs pass them by position and by name; a default, or a parameter by name alone, may have come since."""
    parameters_now = inspect.signature(getattr(manager, method)).parameters
    found = {name: now for name, now in parameters_now.items() if now.kind is not inspect.Parameter.KEYWORD_ONLY}
    assert {name: parameter.default for name, parameter in found.items()} == parameters
    assert list(found) == list(parameters)


def test_the_constructor_takes_what_the_guide_says(tmp_path, monkeypatch):
    """By position, by name, as text or as a path, and without anything."""
    monkeypatch.chdir(tmp_path)
    assert list(inspect.signature(ExperimentManager).parameters) == ["base_dir", "registry_file"]
    assert ExperimentManager().base_dir == tmp_path / "experiments"
    assert ExperimentManager("a", "r.json").base_dir == tmp_path / "a"
    assert ExperimentManager(base_dir=Path("b"), registry_file="r.json").base_dir == tmp_path / "b"
    assert {path.name for path in tmp_path.iterdir()} == {"experiments", "a", "b"}
    assert "'b'" in repr(ExperimentManager("b"))


def test_making_a_manager_changes_nothing_that_is_there(tmp_path):
    """Nor does it write a registry where there is nothing to register."""
    (tmp_path / "notes.txt").write_text("mine")
    ExperimentManager(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "experiment_registry.json").exists()


# --- create … mark_complete ------------------------------------------------------------------------------------------


def test_create_returns_the_folder(manager, base):
    """A `pathlib.Path` with everything in it, and `config.save_dir` pointing into it."""
    config = TrainingConfig()
    folder = manager.create_experiment(config, custom_name="baseline", description="why")
    assert isinstance(folder, Path)
    assert folder.parent == base
    assert "_baseline_" in folder.name
    assert config.save_dir == str(folder / "checkpoints")
    assert json.loads((folder / "config.json").read_text())["learning_rate"] == 2e-5
    assert current_experiment().path == folder
    manager.mark_complete()
    assert current_experiment() is None


def test_every_save_lands_in_the_folder(manager, tmp_path):
    """Under the legacy names; each gives its file."""
    folder = manager.create_experiment({"lr": 0.1})
    (tmp_path / "eraser.jsonl").write_text("{}\n")
    saved = [
        manager.save_training_history({"loss": [1.0, 0.5]}),
        manager.save_predictions({"y": [1]}),
        manager.save_predictions({"y": [1]}, filename="val.json"),
        manager.save_bias_metrics({"gmb": 0.8}, {"women": {"auc": 0.7}}),
        manager.save_xai_metrics({"comprehensiveness": 0.4}),
        manager.save_eraser_results(str(tmp_path / "eraser.jsonl")),
        manager.save_final_metrics({"test_f1": 0.9}),
    ]
    assert [path.relative_to(folder).as_posix() for path in saved] == [
        "metrics/training_history.json",
        "results/test_predictions.pkl",
        "results/val.json",
        "metrics/bias_metrics.json",
        "metrics/xai_metrics.json",
        "results/eraser_formatted_results.jsonl",
        "metrics/final_summary.json",
    ]
    assert json.loads(saved[3].read_text()) == {"gmb_metrics": {"gmb": 0.8}, "bias_details": {"women": {"auc": 0.7}}}
    assert pickle.loads(saved[1].read_bytes()) == {"y": [1]}
    assert json.loads(saved[6].read_text()) == {"test_f1": 0.9}
    manager.mark_complete()


@pytest.mark.parametrize("status", ["completed", "failed", "interrupted", Status.FAILED])
def test_mark_complete_ends_with_the_given_status(manager, registry_of, base, status):
    """With its notes, and with the time in the registry."""
    manager.create_experiment({"lr": 0.1})
    assert manager.mark_complete(status=status, notes="Best F1 so far") is None
    (entry,) = registry_of(base)
    assert (entry["status"], entry["end_reason"], entry["notes"]) == (str(status), "marked", "Best F1 so far")
    assert datetime.fromisoformat(entry["completed_at"]) >= datetime.fromisoformat(entry["timestamp"])


def test_an_unknown_status_leaves_it_running(manager):
    """The message lists the statuses, and the experiment can still be ended with one of them."""
    manager.create_experiment({"lr": 0.1})
    with pytest.raises(UnknownStatusError, match="'complete'.*completed, failed, interrupted"):
        manager.mark_complete("complete")
    assert current_experiment().status is Status.RUNNING
    manager.mark_complete()
    assert manager.list_experiments()[0]["status"] == "completed"


CALLS = [
    ("save_training_history", ({"loss": [1]},)),
    ("save_predictions", ([1],)),
    ("save_bias_metrics", ({}, {})),
    ("save_xai_metrics", ({},)),
    ("save_eraser_results", (__file__,)),
    ("save_final_metrics", ({},)),
    ("mark_complete", ()),
]


@pytest.mark.parametrize(("method", "args"), CALLS)
def test_without_an_experiment_nothing_can_be_saved(manager, base, method, args):
    """The error names the method and what to call first, before the first experiment and after the last."""
    for _ in range(2):
        with pytest.raises(NoActiveExperimentError, match=rf"{method}\(\): .*call create_experiment\(config\) first"):
            getattr(manager, method)(*args)
        manager.create_experiment({"lr": 0.1})
        manager.mark_complete()
    assert issubclass(NoActiveExperimentError, UsageError)
    assert issubclass(NoActiveExperimentError, RuntimeError)


@pytest.mark.parametrize("config", [3, "lr", [1], object])
def test_a_config_without_settings_makes_nothing_and_ends_nothing(manager, config):
    """The running experiment keeps running, because the new one has not started."""
    folder = manager.create_experiment({"lr": 0.1})
    with pytest.raises(ConfigError):
        manager.create_experiment(config)
    assert current_experiment().path == folder
    assert [entry["status"] for entry in manager.list_experiments()] == ["running"]
    manager.mark_complete()


def test_a_second_experiment_takes_the_place_of_the_first(manager, caplog):
    """The first one was never marked complete, so it is interrupted, with a warning."""
    first = manager.create_experiment({"lr": 0.1})
    second = manager.create_experiment({"lr": 0.2})
    manager.save_final_metrics({"f1": 0.5})
    manager.mark_complete()
    one, two = (manager.get_experiment(path.name) for path in (first, second))
    assert (one.status, one.end_reason, one.parent) == (Status.INTERRUPTED, EndReason.ABANDONED, None)
    assert (two.status, two.metrics, two.parent) == (Status.COMPLETED, {"f1": 0.5}, None)
    assert f"{first.name} was never marked complete" in caplog.text


def test_experiments_one_after_the_other(manager):
    """A sweep with one manager, as the guide would write it."""
    for lr in (0.1, 0.2, 0.3):
        manager.create_experiment({"lr": lr}, custom_name="sweep")
        manager.save_final_metrics({"f1": lr})
        manager.mark_complete()
    entries = manager.list_experiments()
    assert [(entry["config"]["lr"], entry["metrics"]["f1"], entry["status"]) for entry in entries] == [
        (lr, lr, "completed") for lr in (0.1, 0.2, 0.3)
    ]


def test_the_saves_of_a_manager_go_to_its_own_experiment(tmp_path):
    """Two managers of two directories at once do not mix."""
    one, two = ExperimentManager(tmp_path / "one"), ExperimentManager(tmp_path / "two")
    one.create_experiment({"lr": 1})
    two.create_experiment({"lr": 2})
    one.save_final_metrics({"f1": 1})
    two.save_final_metrics({"f1": 2})
    one.mark_complete()
    two.mark_complete("failed")
    assert [(entry["metrics"], entry["status"]) for entry in one.list_experiments()] == [({"f1": 1}, "completed")]
    assert [(entry["metrics"], entry["status"]) for entry in two.list_experiments()] == [({"f1": 2}, "failed")]


def test_two_managers_of_one_directory_keep_their_own(base):
    """Each ends what it created, whichever was created last."""
    one, two = ExperimentManager(base), ExperimentManager(base)
    first = one.create_experiment({"lr": 1})
    second = two.create_experiment({"lr": 2})
    two.save_final_metrics({"f1": 2})
    two.mark_complete()
    one.save_final_metrics({"f1": 1})
    one.mark_complete("failed")
    found = {entry["experiment_id"]: (entry["status"], entry["metrics"]) for entry in one.list_experiments()}
    assert found == {first.name: ("failed", {"f1": 1}), second.name: ("completed", {"f1": 2})}


def test_another_manager_of_the_directory_can_end_it(base, caplog):
    """A function that makes a manager of its own to say that all is done; the next one then abandons nothing."""
    one = ExperimentManager(base)
    first = one.create_experiment({"lr": 1})
    ExperimentManager(base).mark_complete()
    assert current_experiment() is None
    with pytest.raises(NoActiveExperimentError):
        one.save_final_metrics({"late": 1})
    one.create_experiment({"lr": 2})
    one.mark_complete()
    assert "abandoned" not in caplog.text
    assert one.get_experiment(first.name).end_reason is EndReason.MARKED


def test_the_manager_saves_into_a_block_of_its_own(manager):
    """Inside `with manager.experiment(…)` the old calls mean that experiment."""
    with manager.experiment({"lr": 0.1}) as exp:
        path = manager.save_final_metrics({"f1": 0.5})
        manager.mark_complete("failed", notes="by hand")
    assert path.parent == exp.metrics_dir
    assert (exp.status, exp.notes) == (Status.FAILED, "by hand")


def test_a_block_of_the_same_directory_counts_as_the_managers(manager, base):
    """Whoever started it, the base directory is the same."""
    with experiment({"lr": 0.1}, base_dir=base) as exp:
        manager.save_final_metrics({"f1": 0.5})
    assert exp.metrics == {"f1": 0.5}


def test_a_helper_thread_saves_into_what_the_program_runs(manager):
    """If exactly one experiment is running."""
    folder = manager.create_experiment({"lr": 0.1})
    problems = []

    def save():
        try:
            manager.save_final_metrics({"f1": 0.5})
        except RunbookError as error:
            problems.append(error)

    thread = threading.Thread(target=save)
    thread.start()
    thread.join()
    manager.mark_complete()
    assert problems == []
    assert manager.get_experiment(folder.name).metrics == {"f1": 0.5}


def test_threads_that_each_create_have_each_their_own(manager):
    """If several threads share a manager, a thread without an experiment of its own gets an error."""
    gate, problems = threading.Barrier(3), []

    def train(lr):
        manager.create_experiment({"lr": lr})
        gate.wait(30)
        manager.save_final_metrics({"f1": lr})
        gate.wait(30)
        manager.mark_complete()

    threads = [threading.Thread(target=train, args=(lr,)) for lr in (1, 2)]
    for thread in threads:
        thread.start()
    gate.wait(30)
    try:
        manager.save_xai_metrics({})
    except NoActiveExperimentError as error:
        problems.append(str(error))
    gate.wait(30)
    for thread in threads:
        thread.join()
    assert "2 experiments are active, none of them started by this thread" in problems[0]
    assert [(entry["metrics"]["f1"], entry["status"]) for entry in manager.list_experiments()] in (
        [(1, "completed"), (2, "completed")],
        [(2, "completed"), (1, "completed")],
    )


# --- list ------------------------------------------------------------------------------------------------------------


def test_the_list_has_plain_dicts_with_the_seeds_fields_first(manager, base):
    """Nothing in them is of our own types, and they are the caller's to change."""
    folder = manager.create_experiment({"lr": 0.1}, "n", "d")
    manager.mark_complete(notes="x")
    (entry,) = manager.list_experiments()
    assert list(entry)[: len(LEGACY_FIELDS)] == LEGACY_FIELDS
    assert {type(value) for value in entry.values()} <= {str, dict, list, type(None)}
    assert entry["directory"] == str(folder)
    assert json.loads(json.dumps(entry)) == entry
    entry["config"]["lr"] = 5
    entry["status"] = "changed"
    assert manager.list_experiments()[0]["config"] == {"lr": 0.1}
    assert manager.list_experiments()[0]["status"] == "completed"


def test_the_directory_is_written_as_the_guide_shows_it(tmp_path, monkeypatch, registry_of):
    """`./experiments/<id>`, with the dot."""
    monkeypatch.chdir(tmp_path)
    manager = ExperimentManager("./experiments")
    folder = manager.create_experiment({"lr": 0.1})
    manager.mark_complete()
    assert registry_of(tmp_path / "experiments")[0]["directory"] == f"./experiments/{folder.name}"
    directory = manager.list_experiments()[0]["directory"]
    assert (tmp_path / directory).resolve() == folder.resolve()


def test_the_directory_is_right_after_a_change_of_the_working_directory(tmp_path, monkeypatch):
    """It can be opened from wherever the program is now."""
    monkeypatch.chdir(tmp_path)
    manager = ExperimentManager("./experiments")
    folder = manager.create_experiment({"lr": 0.1})
    manager.mark_complete()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert Path(manager.list_experiments()[0]["directory"]).resolve() == folder.resolve()


def test_the_list_is_filtered_by_status(manager):
    """Each of the known ones; as text or as the enum."""
    for status in ("completed", "failed", "interrupted"):
        manager.create_experiment({"status": status})
        manager.mark_complete(status)
    running = manager.create_experiment({"status": "running"})
    assert len(manager.list_experiments()) == 4
    for status in ("completed", "failed", "interrupted", "running"):
        assert [entry["config"]["status"] for entry in manager.list_experiments(status)] == [status]
        assert [entry["config"]["status"] for entry in manager.list_experiments(status=Status(status))] == [status]
    assert manager.list_experiments("unknown") == []
    assert manager.list_experiments("running")[0]["experiment_id"] == running.name
    manager.mark_complete()


@pytest.mark.parametrize("status", ["done", "", "Completed", 3])
def test_a_filter_that_fits_nothing_by_mistake_is_refused(manager, status):
    """An empty list would look like an answer."""
    with pytest.raises(UnknownStatusError, match="running, completed, failed, interrupted"):
        manager.list_experiments(status)


def test_the_list_is_oldest_first(manager):
    """In the order in which they started."""
    folders = []
    for n in range(3):
        folders.append(manager.create_experiment({"n": n}).name)
        manager.mark_complete()
    assert [entry["experiment_id"] for entry in manager.list_experiments()] == folders


def test_managers_see_each_others_experiments_at_once(base):
    """The original read the registry once, and wrote its own back over everybody else's."""
    one, two = ExperimentManager(base), ExperimentManager(base)
    first = one.create_experiment({"lr": 1})
    assert [entry["experiment_id"] for entry in two.list_experiments()] == [first.name]
    second = two.create_experiment({"lr": 2})
    assert [entry["experiment_id"] for entry in one.list_experiments()] == [first.name, second.name]
    two.mark_complete()
    one.mark_complete("failed")
    for manager in (one, two, ExperimentManager(base)):
        assert [entry["status"] for entry in manager.list_experiments()] == ["failed", "completed"]


def test_processes_see_each_others_experiments_at_once(script, base):
    """While both run, in both directions, and neither loses the other's."""
    manager = ExperimentManager(base)
    ours = manager.create_experiment({"who": "parent"})
    other = script.start(
        """
        import sys
        from runbook import ExperimentManager
        manager = ExperimentManager()
        manager.create_experiment({"who": "child"})
        print(sorted(entry["config"]["who"] for entry in manager.list_experiments("running")), flush=True)
        sys.stdin.read()
        manager.save_final_metrics({"f1": 1})
        manager.mark_complete()
        """
    )
    # Its standard input is empty, so that it ends by itself; what it prints comes before.
    assert other.stdout.readline() == "['child', 'parent']\n"
    out, problems = other.communicate(timeout=60)
    assert other.returncode == 0, problems
    manager.mark_complete("failed")
    found = {entry["config"]["who"]: (entry["status"], entry["metrics"]) for entry in manager.list_experiments()}
    assert found == {"parent": ("failed", {}), "child": ("completed", {"f1": 1})}
    assert manager.get_experiment(ours.name).end_reason is EndReason.MARKED


# --- other registry files --------------------------------------------------------------------------------------------


def test_the_registry_can_have_another_name(tmp_path):
    """It is then the file that is written."""
    manager = ExperimentManager(tmp_path, registry_file="index.json")
    folder = manager.create_experiment({"lr": 0.1})
    manager.mark_complete()
    data = json.loads((tmp_path / "index.json").read_text())
    assert [entry["experiment_id"] for entry in data["experiments"]] == [folder.name]
    assert not (tmp_path / "experiment_registry.json").exists()


@pytest.mark.parametrize("name", ["", ".", "subfolder", "subfolder/", "./subfolder", ".runbook"])
def test_a_registry_name_that_is_a_folder_moves_no_folder(tmp_path, name):
    """A damaged registry is quarantined without the experiments."""
    base = tmp_path / "experiments"
    (base / "subfolder").mkdir(parents=True)
    (base / "subfolder" / "mine.txt").write_text("mine")
    try:
        manager = ExperimentManager(base, registry_file=name)
        manager.list_experiments()
        manager.create_experiment({"lr": 0.1})
        manager.mark_complete()
    except (RunbookError, OSError, ValueError):
        pass
    assert (base / "subfolder" / "mine.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["experiments"]


# --- bad base directories --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_base_directory_that_is_a_file_is_refused(tmp_path, below):
    """At once, and the file is left alone."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BaseDirectoryError, match="is, or lies below, a file; choose another with base_dir="):
        ExperimentManager(tmp_path / "file" / below)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_base_directory_that_goes_away_is_made_again(manager, base):
    """Somebody cleaned up between two experiments of a long program."""
    import shutil

    manager.create_experiment({"lr": 0.1})
    manager.mark_complete()
    shutil.rmtree(base)
    assert manager.list_experiments() == []
    folder = manager.create_experiment({"lr": 0.2})
    manager.mark_complete()
    assert [entry["experiment_id"] for entry in manager.list_experiments()] == [folder.name]


def test_reading_a_base_directory_that_does_not_exist_yet_is_no_error(tmp_path):
    """There are no experiments in it."""
    manager = ExperimentManager(tmp_path / "deep" / "er")
    assert manager.list_experiments() == []
    with pytest.raises(ExperimentNotFoundError):
        manager.get_experiment("x")


def test_other_things_in_the_base_directory_are_left_alone(manager, base):
    """Folders and files that are no experiments are neither listed nor touched."""
    (base / "notes").mkdir()
    (base / "notes" / "x.txt").write_text("mine")
    (base / "20260101_000000_0123abcd").mkdir()
    (base / "readme.md").write_text("mine")
    folder = manager.create_experiment({"lr": 0.1})
    manager.mark_complete()
    assert [entry["experiment_id"] for entry in manager.list_experiments()] == [folder.name]
    assert (base / "notes" / "x.txt").read_text() == "mine"
    assert os.listdir(base / "20260101_000000_0123abcd") == []


# --- an end without mark_complete ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "code", "expected"),
    [
        ("pass", 0, ("interrupted", "abandoned")),
        ("raise ValueError('diverged')", 1, ("failed", "exception")),
        ("manager.mark_complete(); raise ValueError('late')", 1, ("completed", "marked")),
    ],
)
def test_a_program_that_ends_without_saying_so_is_never_completed(script, base, ending, code, expected):
    """Interrupted without `mark_complete`, failed after an exception; the exit code is the program's own."""
    done = script.run(
        f"""
        from runbook import ExperimentManager
        manager = ExperimentManager()
        manager.create_experiment({{"lr": 0.1}})
        {ending}
        """
    )
    assert done.returncode == code, done.stderr
    (entry,) = ExperimentManager(base).list_experiments()
    assert (entry["status"], entry["end_reason"]) == expected


# --- taking out, taking in, taking away -------------------------------------------------------------------------------


def test_an_experiment_travels_as_one_file(manager, tmp_path):
    """Exported as a zip, imported elsewhere, with its record and its files."""
    with manager.experiment({"lr": 0.1}, name="traveller") as exp:
        exp.save_predictions([1, 2], "predictions.json")
    bundle = manager.export_experiment("traveller", tmp_path / "traveller.zip")
    other = ExperimentManager(tmp_path / "other")
    assert other.import_experiment(bundle) == exp.id
    assert other.get_experiment("traveller").load_predictions("predictions.json") == [1, 2]
    assert other.import_experiment(bundle) is None, "it is there already"
    assert [finding for finding in other.doctor() if finding.is_repairable] == []


def test_two_base_directories_become_one(manager, tmp_path):
    """As often as one likes."""
    other = ExperimentManager(tmp_path / "other")
    for where in (manager, other):
        with where.experiment({"where": str(where.base_dir)}, name="x"):
            pass
    assert len(manager.merge(other.base_dir).added) == 1
    assert manager.merge(other.base_dir).added == ()
    assert len(manager.list_experiments()) == 2


def test_a_deleted_experiment_can_be_brought_back_until_the_trash_is_emptied(manager):
    """And a running one cannot be deleted."""
    with manager.experiment({}, name="x") as exp:
        with pytest.raises(RunbookError, match="is running"):
            manager.delete_experiment("x")
    manager.delete_experiment("x")
    assert manager.list_experiments() == []
    assert [entry["experiment_id"] for entry in manager.list_trash()] == [exp.id]
    assert manager.restore_experiment("x") == exp.id
    assert manager.get_experiment("x").status == "completed"
    manager.delete_experiment("x")
    assert manager.empty_trash() == 1
    assert manager.list_trash() == manager.list_experiments() == []
    with pytest.raises(KeyError):
        manager.restore_experiment("x")


def test_views_of_several_experiments_come_in_the_order_in_which_they_were_asked_for(manager):
    """Names and ids are understood as for one, and one that is missing is an error."""
    with manager.experiment({}, name="first") as first, manager.experiment({}, name="second") as second:
        pass
    assert [view.id for view in manager.get_experiments(["second", first.id, "second"])] == [
        second.id,
        first.id,
        second.id,
    ]
    assert manager.get_experiments([]) == []
    with pytest.raises(ExperimentNotFoundError):
        manager.get_experiments(["first", "third"])
