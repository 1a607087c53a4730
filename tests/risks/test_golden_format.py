"""Base directories in each format that a version has written: the present version reads them and works on in them."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest

from runbook import ExperimentManager
from runbook.read.view import record_of

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
PARTS = ("checkpoints", "results", "metrics", "logs")

# Of each experiment in format 1, oldest first: its name, status, end reason, attempts, and one of its metrics.
FORMAT_1 = [
    ("legacy", "completed", None, 0, ("per_class.spam", 0.8)),
    ("legacy without folder", "failed", None, 0, None),
    ("baseline", "completed", "returned", 1, ("test.f1", 0.9)),
    ("function", "completed", "returned", 1, ("f1", 0.5)),
    ("failed", "failed", "exception", 1, None),
    ("terminated", "interrupted", "sigterm", 1, ("loss", 0.3)),
    ("ctrl-c", "interrupted", "keyboard", 1, ("loss", 0.3)),
    ("killed", "interrupted", "vanished", 1, ("loss", 0.3)),
    ("elsewhere", "running", None, 1, None),
    ("declared", "failed", "marked", 1, None),
    ("exit 3", "failed", "exit", 1, None),
    ("resumed", "completed", "returned", 2, ("f1", 0.75)),
    ("requeued", "completed", "returned", 2, ("loss", 1)),
    ("cross validation", "completed", "returned", 1, ("f1", 0.65)),
    ("fold 0", "completed", "returned", 1, ("f1", 0.6)),
    ("fold 1", "completed", "returned", 1, ("f1", 0.7)),
    ("distributed", "completed", "returned", 1, ("loss", 0.1)),
    ("by the guide", "completed", "marked", 1, ("f1", 0.6)),
    ("abandoned", "interrupted", "abandoned", 1, None),
    ("Ünï/cødé 🙂", "completed", "returned", 1, None),
    ("broken", "completed", "returned", 0, None),
    ("empty", "completed", "returned", 1, None),
]
NAMES = [name for name, *_ in FORMAT_1]
WITH_FOLDER = [name for name in NAMES if name != "legacy without folder"]


def copy_golden(target: Path) -> Path:
    """A copy of the golden base directory, with the folders that git leaves out because they are empty."""
    shutil.copytree(GOLDEN / "format-1" / "experiments", target)
    for folder in [*target.glob("2*"), *target.glob(".trash/2*")]:
        for part in PARTS:
            (folder / part).mkdir(exist_ok=True)
    return target


@pytest.fixture
def base(tmp_path) -> Path:
    """A copy of the golden base directory."""
    return copy_golden(tmp_path / "experiments")


@pytest.fixture
def other(tmp_path) -> ExperimentManager:
    """A manager of a base directory that does not exist yet."""
    return ExperimentManager(tmp_path / "other")


def ids_of(manager):
    """The ids of all experiments by their names."""
    return {entry["custom_name"]: entry["experiment_id"] for entry in manager.list_experiments()}


def seen(manager):
    """What a listing shows, by name, without the paths."""
    return {
        entry["custom_name"]: {key: value for key, value in entry.items() if key != "directory"}
        for entry in manager.list_experiments()
    }


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def raw_record(manager, name):
    return json.loads((manager.get_experiment_path(name) / "experiment.json").read_bytes())


# --- reading


def test_each_experiment_is_listed_as_it_was(manager):
    """Names, statuses and end reasons, in the order in which they began."""
    entries = manager.list_experiments()
    found = [(entry["custom_name"], entry["status"], entry.get("end_reason")) for entry in entries]
    assert found == [(name, status, reason) for name, status, reason, *_ in FORMAT_1]


@pytest.mark.parametrize(("name", "status", "reason", "attempts", "metric"), FORMAT_1, ids=NAMES)
def test_each_experiment_is_read_as_it_was(manager, name, status, reason, attempts, metric):
    """Its record, or its entry of the legacy tool, and its metrics."""
    view = manager.get_experiment(ids_of(manager)[name])
    assert (view.status, view.end_reason, len(record_of(view).attempts)) == (status, reason, attempts)
    assert record_of(view).format_version == 1
    assert not record_of(view).unknown
    if metric is not None:
        assert view.metrics[metric[0]] == metric[1]


def test_reading_changes_no_file_of_an_experiment(manager, base):
    """Listing, finding, comparing and reading leave every folder as it is."""
    before = {folder.name: files_of(folder) for folder in base.glob("2*")}
    for name, experiment_id in ids_of(manager).items():
        if name in WITH_FOLDER:
            manager.get_experiment(experiment_id).history()
    manager.find("status == 'completed'")
    manager.compare_experiments([ids_of(manager)["baseline"], ids_of(manager)["resumed"]])
    manager.doctor()
    assert {folder.name: files_of(folder) for folder in base.glob("2*")} == before


def test_the_fields_of_a_record_are_read(manager):
    """Config, notes, tags, description, parent, function and the failure."""
    view = manager.get_experiment("baseline")
    assert record_of(view).config["optimizer"] == {"name": "adam", "betas": [0.9, 0.999]}
    assert (view.config["limit"], view.config["api_key"]) == ("Infinity", "<redacted>")
    assert view.description == "with each kind of file"
    assert view.notes == "looks good\nsecond line\nfrom outside"
    assert view.tags == ("nlp", "paper")
    assert view.metrics == {"test.f1": 0.9, "test.loss": math.inf, "accuracy": 0.95}
    assert manager.get_experiment("fold 1").parent == ids_of(manager)["cross validation"]
    assert record_of(manager.get_experiment("function")).function == "__main__.train"
    failure = record_of(manager.get_experiment("failed")).failure
    assert (failure.type, failure.message) == ("ValueError", "the loss is NaN, über alles")
    assert "IndexError" in failure.traceback


def test_the_attempts_of_a_record_are_read(manager):
    """Owner, job, evidence, changes of the config, and the failure of an earlier attempt."""
    (attempt,) = record_of(manager.get_experiment("killed")).attempts
    assert attempt.evidence.startswith("process ")
    assert attempt.evidence.endswith(" is gone")
    assert (attempt.owner.host, attempt.owner.is_locked, attempt.owner.oom_kills) == ("laptop", True, 0)
    first, second = record_of(manager.get_experiment("resumed")).attempts
    assert (first.failure.message, second.failure) == ("out of patience", None)
    assert second.config_changes == {"lr": {"before": 0.1, "now": 0.2}}
    assert second.history_lines == 2
    before, after = record_of(manager.get_experiment("requeued")).attempts
    assert after.job.follows(before.job)


def test_the_files_of_an_experiment_are_read(manager):
    """History, metrics, predictions, environment, checkpoints and the rest."""
    view = manager.get_experiment("baseline")
    history = view.history()
    assert history["train.loss"][:3] == [1.0, 0.5, 1 / 3]
    assert math.isnan(history["grad_norm"][-1])
    assert view.load_metrics() == {"test": {"f1": 0.9, "loss": math.inf}, "accuracy": 0.95}
    assert view.load_metrics("per_class") == {"spam": {"f1": 0.7}}
    assert view.load_metrics("xai_metrics")["plausibility"] == {"iou_f1": 0.4}
    assert view.load_metrics("bias_metrics")["gmb_metrics"] == {"subgroup_auc": 0.8}
    assert view.load_metrics("training_history")["val_f1"] == [0.5, 0.6, 0.7, None]
    assert view.load_predictions(allow_pickle=True) == {"y_true": [0, 1, 1], "y_pred": [0, 1, 0]}
    assert view.load_predictions("test_predictions.json")[0] == {"text": "grüße", "label": 1}
    assert view.load_predictions("rows.jsonl") == [{"id": 1, "p": 0.5}]
    environment = view.load_environment()
    assert (environment["host"], environment["user"], environment["git"]["dirty"]) == ("laptop", "you", True)
    assert (view.path / "results" / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert b"+with experiment(config" in (view.logs_dir / "uncommitted.patch").read_bytes()
    progress = manager.get_experiment("terminated").last_progress
    assert (progress.done, progress.total) == (3, 100)


def test_a_history_of_two_attempts_is_read(manager):
    """All rows, and the rows without those that the second attempt replaced."""
    assert manager.get_experiment("resumed").history()["loss"] == [0.1, 0.1, 0.2, 0.2]


def test_experiments_are_found_and_compared(manager):
    """By expressions, tags and names; the comparison has the metrics of both."""
    found = {entry["custom_name"] for entry in manager.find("metrics.f1 >= 0.6 and status == 'completed'")}
    assert found == {"legacy", "resumed", "cross validation", "fold 0", "fold 1", "by the guide"}
    assert [entry["custom_name"] for entry in manager.find(tag="paper")] == ["baseline"]
    compared = manager.compare_experiments([ids_of(manager)["fold 0"], ids_of(manager)["fold 1"]])
    assert compared["metrics"]["f1"] == {ids_of(manager)["fold 0"]: 0.6, ids_of(manager)["fold 1"]: 0.7}


def test_a_note_whose_mark_was_left_behind_is_listed(manager, base, registry_of):
    """The process was killed between the note and the index."""
    assert len(list((base / ".runbook" / "experiment_registry.json.pending").iterdir())) == 1
    assert "never listed" not in {entry.get("notes") for entry in registry_of(base)}
    assert seen(manager)["failed"]["notes"] == "never listed"


@pytest.mark.parametrize(
    "command", [["ls"], ["show", "baseline"], ["show", "failed"], ["why", "killed"], ["history", "resumed"]]
)
def test_commands_show_it(run, command):
    """The command line reads what the library reads."""
    done = run(*command)
    assert done.exit_code == 0, done.output


# --- keeping


def test_doctor_finds_nothing_but_what_is_there(manager):
    """The pending mark, a legacy entry without a folder, and a process on a machine that cannot be seen from here."""

    def problems():
        return {finding.subject: finding.message for finding in manager.doctor() if finding.kind != "disk"}

    (mark,) = (manager.base_dir / ".runbook" / "experiment_registry.json.pending").iterdir()
    assert mark.name in problems()
    ids = ids_of(manager)
    # Listing has brought the registry up to date.
    found = problems()
    assert found.keys() == {ids["legacy without folder"], ids["elsewhere"]}
    assert "its folder is gone" in found[ids["legacy without folder"]]
    assert "it runs on cluster-7" in found[ids["elsewhere"]]


def test_checksums_still_fit(manager, base):
    """A file that is changed is found, so those that are not found fit."""
    path = manager.get_experiment("baseline").metrics_dir / "per_class.json"
    path.write_bytes(path.read_bytes() + b" ")
    assert "per_class.json" in " ".join(str(finding) for finding in manager.doctor())


@pytest.mark.parametrize("loss", ["absent", "damaged"])
def test_the_registry_is_rebuilt_from_the_folders(manager, base, loss):
    """All that our own code wrote comes back; of the legacy tool, what its folder holds."""
    before = seen(manager)
    registry = base / "experiment_registry.json"
    registry.unlink() if loss == "absent" else registry.write_bytes(registry.read_bytes()[:300])
    after = seen(ExperimentManager(base))
    ours = {name: entry for name, entry in before.items() if not name.startswith("legacy")}
    assert {name: after[name] for name in ours} == ours
    assert any("legacy" in entry["experiment_id"] for entry in after.values())


def test_an_experiment_in_the_trash_is_restored(manager):
    """As it was when it was deleted."""
    (trashed,) = manager.list_trash()
    manager.restore_experiment(trashed["experiment_id"])
    view = manager.get_experiment("deleted")
    assert (view.status, view.history()["loss"]) == ("completed", [5])


@pytest.mark.parametrize("name", WITH_FOLDER)
def test_each_experiment_is_deleted_and_restored(manager, name):
    """Byte for byte, and with the same entry; one that runs is not deleted."""
    before, files = seen(manager)[name], files_of(manager.get_experiment_path(ids_of(manager)[name]))
    experiment_id = before["experiment_id"]
    if before["status"] == "running":
        with pytest.raises(Exception, match="running"):
            manager.delete_experiment(experiment_id)
        return
    manager.delete_experiment(experiment_id)
    assert name not in seen(manager)
    manager.restore_experiment(experiment_id)
    assert seen(manager)[name] == before
    assert files_of(manager.get_experiment_path(experiment_id)) == files


# --- resuming


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("failed", {"lr": 3}),
        ("terminated", {"lr": 0.1, "program": "terminated"}),
        ("killed", {"lr": 0.1, "program": "killed"}),
    ],
)
def test_an_experiment_that_ended_early_is_resumed(manager, name, config):
    """In the same folder; what the former attempt left is kept as it was, and the history continues."""
    before, history = raw_record(manager, name), manager.get_experiment(name).history()
    with manager.experiment(config, name=name, resume="must") as exp:
        exp.log(loss=0.125)
    after = raw_record(manager, name)
    view = manager.get_experiment(name)
    assert (exp.id, view.status, view.attempt) == (before["experiment_id"], "completed", 2)
    assert after["attempts"][0] == {**before["attempts"][0], "failure": before["failure"]}
    assert {key: after[key] for key in ("timestamp", "config", "config_hash", "custom_name", "function")} == {
        key: before[key] for key in ("timestamp", "config", "config_hash", "custom_name", "function")
    }
    assert len(view.history()["loss"]) == len(history["loss"]) + 1
    assert view.history()["loss"][-1] == 0.125


def test_a_completed_function_is_still_skipped(manager):
    """The hash of its arguments is the same as when it was written."""
    from runbook.config import settings

    record = record_of(manager.get_experiment("function"))
    assert settings.config_hash(record.config) == record.config_hash


def test_notes_and_tags_are_added(manager):
    """Below those that are there."""
    manager.add_note("baseline", "much later")
    manager.add_tags("legacy", "old")
    assert seen(manager)["baseline"]["notes"].endswith("from outside\nmuch later")
    assert seen(manager)["legacy"]["tags"] == ["old"]
    assert seen(manager)["legacy"]["rating"] == 5


def test_one_that_runs_elsewhere_is_declared_ended(manager):
    """By somebody who knows that it is dead."""
    before = raw_record(manager, "elsewhere")
    manager.declare_ended("elsewhere", notes="gone")
    after = raw_record(manager, "elsewhere")
    assert (after["status"], after["attempts"][0]["owner"]) == ("interrupted", before["attempts"][0]["owner"])


# --- moving


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize("name", WITH_FOLDER)
def test_each_experiment_is_exported_and_imported(manager, other, tmp_path, name, form):
    """With all of its files; one that ran has ended in its copy."""
    experiment_id = ids_of(manager)[name]
    source = manager.get_experiment_path(experiment_id)
    target = tmp_path / ("bundle.zip" if form == "zip" else "copies")
    exported = manager.export_experiment(experiment_id, target)
    assert other.import_experiment(exported) == experiment_id
    files, copied = files_of(source), files_of(other.get_experiment_path(experiment_id))
    entry, copy = seen(manager)[name], other.list_experiments()[0]
    if entry["status"] == "running":
        assert (copy["status"], copy["end_reason"]) == ("interrupted", "vanished")
        files.pop("experiment.json"), copied.pop("experiment.json")
    elif name != "legacy":
        assert {key: value for key, value in copy.items() if key != "directory"} == entry
    assert copied == files


@pytest.mark.parametrize("name", ["baseline", "resumed"])
def test_a_bundle_is_imported(manager, other, name):
    """It holds what the base directory holds."""
    experiment_id = other.import_experiment(GOLDEN / "format-1" / f"{name}.zip")
    assert experiment_id == ids_of(manager)[name]
    assert seen(other)[name] == seen(manager)[name]
    assert files_of(other.get_experiment_path(experiment_id)) == files_of(manager.get_experiment_path(experiment_id))


def test_a_bundle_of_what_is_here_changes_nothing(manager):
    """It is recognised."""
    before = seen(manager)
    assert manager.import_experiment(GOLDEN / "format-1" / "baseline.zip") is None
    assert seen(manager) == before


def test_it_is_merged_into_another_base_directory(manager, other):
    """All experiments are added, once, and are shown there as they are here."""
    with other.experiment({"lr": 1}, name="mine"):
        pass
    report = other.merge(manager.base_dir)
    assert (set(report.added), report.damaged, report.renamed) == (set(ids_of(manager).values()), {}, {})
    there = seen(other)
    assert there.pop("mine")["status"] == "completed"
    assert there == seen(manager)
    again = other.merge(manager.base_dir)
    assert (again.added, set(again.skipped)) == ((), set(ids_of(manager).values()))


def test_another_base_directory_is_merged_into_it(manager, other):
    """What is there stays as it is."""
    with other.experiment({"lr": 1}, name="mine"):
        pass
    before = seen(manager)
    assert len(manager.merge(other.base_dir).added) == 1
    after = seen(manager)
    assert after.pop("mine")["status"] == "completed"
    assert after == before


# --- the golden folder itself


def test_the_golden_folder_is_small_and_has_no_facts_about_the_machine_that_made_it():
    """It is in every clone and every source distribution."""
    files = [path for path in GOLDEN.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 300_000
    for path in files:
        if path.suffix == ".json" and path.name.startswith("environment"):
            environment = json.loads(path.read_bytes())
            assert (environment["host"] in {"laptop", "cluster-7"}, environment["user"]) == (True, "you")
            assert environment["working_directory"] == "/home/you/project"
