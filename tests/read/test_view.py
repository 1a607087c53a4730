"""Reading an experiment back, running or ended."""

from __future__ import annotations

import math
import os
import pickle
import shutil
from pathlib import Path

import pytest

from runbook import (
    AmbiguousExperimentError,
    DamagedFileError,
    EndReason,
    Experiment,
    ExperimentManager,
    ExperimentNotFoundError,
    ExperimentView,
    InvalidNameError,
    PickleNotAllowedError,
    Status,
    UnknownSuffixError,
)
from runbook.read.view import record_of


@pytest.fixture
def ended(manager):
    """The id of an ended experiment with a file of every kind."""
    with manager.experiment({"lr": 0.1, "deep": {"a": [1]}}, name="My Run", description="why", tags=["t"]) as exp:
        exp.log(loss=0.5)
        exp.note("a note")
        exp.save_final_metrics({"f1": 0.9, "nested": {"bad": float("nan")}})
        exp.save_metrics("mine", {"inf": float("-inf"), "list": [float("nan")]})
        exp.save_predictions({"y": [1]})
        exp.save_predictions([{"y": 1}], "p.jsonl")
    return exp.id


def test_a_view_shows_the_whole_record(manager, base, ended):
    """Everything that the handle had, and the ending."""
    view = manager.get_experiment(ended)
    assert isinstance(view, ExperimentView)
    assert not isinstance(view, Experiment)
    assert (view.id, view.name, view.description, view.tags) == (ended, "My Run", "why", ("t",))
    assert (view.status, view.end_reason, view.notes, view.parent) == ("completed", "returned", "a note", None)
    assert isinstance(view.status, Status)
    assert isinstance(view.end_reason, EndReason)
    assert view.config == {"lr": 0.1, "deep": {"a": [1]}}
    assert record_of(view).experiment_id == ended
    assert record_of(view).host
    assert record_of(view).timestamp <= record_of(view).completed_at
    assert view.metrics["f1"] == 0.9
    assert math.isnan(view.metrics["nested.bad"])
    assert view.path == base / ended
    for attribute in ("checkpoints_dir", "results_dir", "metrics_dir", "logs_dir"):
        assert getattr(view, attribute).parent == view.path
        assert getattr(view, attribute).is_dir()
    assert view.load_environment()["python"]
    assert ended in repr(view)


def test_a_running_experiment_can_be_viewed(manager):
    """The view has what is recorded so far."""
    with manager.experiment({"lr": 0.1}) as exp:
        exp.log(loss=0.5)
        view = ExperimentManager(manager.base_dir).get_experiment(exp.id)
        assert (view.status, view.end_reason, record_of(view).completed_at) == ("running", None, None)
        assert view.history()["loss"] == [0.5]
        exp.log(loss=0.25)
        assert view.history()["loss"] == [0.5, 0.25]
    assert view.status == "running"
    assert manager.get_experiment(exp.id).status == "completed"


@pytest.mark.parametrize("method", ["log", "save_metrics", "note", "finish", "save_artifact", "add_tags"])
def test_a_view_cannot_write(manager, ended, method):
    """It has no method that writes."""
    assert not hasattr(manager.get_experiment(ended), method)


@pytest.mark.parametrize("attribute", ["id", "status", "config", "notes", "path"])
def test_a_view_cannot_be_set(manager, ended, attribute):
    """An assignment would change nothing on disk, so it is an error."""
    with pytest.raises(AttributeError):
        setattr(manager.get_experiment(ended), attribute, "x")


def test_reading_writes_nothing(manager, base, ended):
    """Looking at an experiment leaves every file as it was."""
    manager.list_experiments()
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in base.rglob("*")}
    view = ExperimentManager(base).get_experiment(ended)
    view.history(), view.load_metrics(), view.load_metrics("mine"), view.load_predictions("p.jsonl")
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in base.rglob("*")} == before


def test_metrics_are_loaded_with_their_floats(manager, ended):
    """NaN and infinities at any depth; the final summary by default."""
    view = manager.get_experiment(ended)
    assert view.load_metrics()["f1"] == 0.9
    assert math.isnan(view.load_metrics("final_summary")["nested"]["bad"])
    assert view.load_metrics("mine")["inf"] == -math.inf
    assert math.isnan(view.load_metrics("mine")["list"][0])


def test_metrics_that_were_never_saved_are_missing(manager, ended):
    """FileNotFoundError names the file."""
    with pytest.raises(FileNotFoundError, match="bias_metrics.json"):
        manager.get_experiment(ended).load_metrics("bias_metrics")


@pytest.mark.parametrize("raw", [b"", b"{", b"[1]", b"\0\0", b"3"])
def test_metrics_that_are_damaged_are_named(manager, ended, raw):
    """The file and what is wrong with it."""
    view = manager.get_experiment(ended)
    (view.metrics_dir / "mine.json").write_bytes(raw)
    with pytest.raises(DamagedFileError, match="mine.json is damaged"):
        view.load_metrics("mine")


@pytest.mark.parametrize("name", ["../experiment", "..", "/etc/passwd", "a/b", "", "nul\0"])
def test_no_name_leads_out_of_the_folder(manager, ended, name):
    """Neither metrics nor predictions are read from elsewhere."""
    view = manager.get_experiment(ended)
    with pytest.raises(InvalidNameError):
        view.load_metrics(name)
    with pytest.raises(InvalidNameError):
        view.load_predictions(f"{name}.json" if name else "")


def test_predictions_are_loaded_by_suffix(manager, ended):
    """A pickle is loaded only with `allow_pickle`; other formats always."""
    view = manager.get_experiment(ended)
    assert view.load_predictions("p.jsonl") == [{"y": 1}]
    with pytest.raises(PickleNotAllowedError, match="allow_pickle=True"):
        view.load_predictions()
    assert view.load_predictions(allow_pickle=True) == {"y": [1]}
    assert view.load_predictions("test_predictions.pkl", allow_pickle=True) == {"y": [1]}
    with pytest.raises(UnknownSuffixError):
        view.load_predictions("p.unknown")
    with pytest.raises(FileNotFoundError):
        view.load_predictions("missing.json")


def test_nothing_but_the_explicit_call_runs_a_pickle(manager, ended, base, tmp_path):
    """Listing, comparing, exporting and viewing a folder with an evil pickle in it run none of its code."""

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    (base / ended / "results" / "test_predictions.pkl").write_bytes(pickle.dumps(Evil()))
    manager.list_experiments()
    manager.print_experiment_summary()
    manager.compare_experiments([ended])
    manager.export_experiment(ended, tmp_path / "out")
    view = manager.get_experiment(ended)
    view.history(), view.load_metrics()
    assert not (tmp_path / "ran").exists()


# --- what an id may be -----------------------------------------------------------------------------------------------


def test_an_id_a_prefix_or_a_name_finds_it(manager, ended):
    """The exact name, not its slug's case alone."""
    for wanted in (ended, ended[:-1], ended[:15], "My Run"):
        assert manager.get_experiment(wanted).id == ended
        assert manager.get_experiment_path(wanted).name == ended
        assert manager.compare_experiments([wanted])["experiments"][0]["experiment_id"] == ended


def test_a_name_means_its_latest(manager):
    """The one that was started last."""
    ids = []
    for n in range(3):
        with manager.experiment({"n": n}, name="same") as exp:
            ids.append(exp.id)
    assert manager.get_experiment("same").config == {"n": 2}
    assert manager.get_experiment(ids[0]).config == {"n": 0}


def test_a_prefix_of_several_names_them(manager):
    """An ambiguous prefix is an error that names the experiments."""
    ids = []
    for n in range(7):
        with manager.experiment({"n": n}) as exp:
            ids.append(exp.id)
    with pytest.raises(AmbiguousExperimentError, match="fits 7 experiments.*and 2 more; give more of the id") as caught:
        manager.get_experiment(ids[0][:6])
    assert set(caught.value.candidates) == set(ids)
    assert isinstance(caught.value, KeyError)
    assert pickle.loads(pickle.dumps(caught.value)).candidates == caught.value.candidates


@pytest.mark.parametrize("method", ["get_experiment", "get_experiment_path"])
@pytest.mark.parametrize("wanted", ["My Rum", "missing", "", "../..", "/", ".runbook", "experiment_registry.json"])
def test_an_unknown_one_is_not_found(manager, ended, method, wanted):
    """The error is a KeyError that names the base directory and similar ids."""
    with pytest.raises(ExperimentNotFoundError) as caught:
        getattr(manager, method)(wanted)
    assert isinstance(caught.value, KeyError)
    assert repr(wanted) in str(caught.value)
    assert str(manager.base_dir) in str(caught.value)
    if wanted == "My Rum":
        assert "did you mean My Run?" in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_near_id_is_named(manager, ended):
    """The message suggests an id that differs by one digit."""
    wrong = ended[:-1] + ("0" if ended[-1] != "0" else "1")
    with pytest.raises(ExperimentNotFoundError, match=ended):
        manager.get_experiment(wrong)


# --- damaged and moved -----------------------------------------------------------------------------------------------


def test_a_damaged_record_leaves_what_the_registry_knows(manager, base, ended):
    """The experiment is still found, and its files can still be read."""
    (base / ended / "experiment.json").write_bytes(b"{torn")
    view = manager.get_experiment(ended)
    assert (view.id, view.config["lr"], view.history()["loss"]) == (ended, 0.1, [0.5])


def test_a_moved_base_directory_is_read_where_it_is_now(manager, base, ended, tmp_path):
    """No path in the files is needed."""
    shutil.move(base, tmp_path / "moved")
    moved = ExperimentManager(tmp_path / "moved")
    assert moved.get_experiment(ended).path == tmp_path / "moved" / ended
    (entry,) = moved.list_experiments()
    assert Path(entry["directory"]) == tmp_path / "moved" / ended
    assert moved.get_experiment("My Run").load_metrics()["f1"] == 0.9


def test_a_folder_that_was_copied_in_is_an_experiment_of_its_own_name(manager, base, ended):
    """As when a colleague hands over a folder."""
    other = ended[:-8] + "0123abcd"
    shutil.copytree(base / ended, base / other)
    assert {entry["experiment_id"] for entry in manager.list_experiments()} == {ended, other}
    assert manager.get_experiment(other).id == other
