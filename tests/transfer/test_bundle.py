"""Exporting experiments."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from runbook import ExperimentManager, ExperimentNotFoundError, TargetExistsError


@pytest.fixture
def ended(manager):
    """The id of an experiment with files in it."""
    with manager.experiment({"lr": 0.1}, name="baseline") as exp:
        exp.log(loss=0.5)
        exp.save_final_metrics({"f1": 0.9})
        (exp.checkpoints_dir / "best_model").mkdir()
        (exp.checkpoints_dir / "best_model" / "weights.bin").write_bytes(bytes(range(256)) * 1000)
    return exp.id


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def test_the_copy_is_whole_and_the_original_stays(manager, base, ended, tmp_path):
    """Every file, byte for byte, under the id; its path is returned."""
    before = content(base / ended)
    copy = manager.export_experiment(experiment_id=ended, export_path=tmp_path / "new" / "shared")
    assert copy == tmp_path / "new" / "shared" / ended
    assert content(copy) == before == content(base / ended)
    assert [path.name for path in copy.parent.iterdir()] == [ended]


def test_the_copy_is_a_base_directory_of_its_own(manager, ended, tmp_path):
    """A manager that looks there finds it, with everything."""
    manager.export_experiment(ended, tmp_path / "shared")
    other = ExperimentManager(tmp_path / "shared")
    assert [entry["experiment_id"] for entry in other.list_experiments()] == [ended]
    assert other.get_experiment("baseline").load_metrics() == {"f1": 0.9}


@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["str", "Path"])
def test_the_path_can_be_relative(manager, ended, tmp_path, monkeypatch, kind):
    """As in the guide: `"./shared_experiments"`."""
    monkeypatch.chdir(tmp_path)
    copy = manager.export_experiment("baseline", kind(Path("./shared_experiments")))
    assert copy.resolve() == tmp_path / "shared_experiments" / ended


def test_a_home_directory_is_expanded(manager, ended, tmp_path, monkeypatch):
    """`~/shared` is no folder called `~`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert manager.export_experiment(ended, "~/shared") == tmp_path / "shared" / ended


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_nothing_is_overwritten(manager, ended, tmp_path, kind):
    """Anything that is there already stays, and the message has a hint."""
    target = tmp_path / "shared" / ended
    target.parent.mkdir()
    if kind == "folder":
        target.mkdir()
        (target / "mine.txt").write_text("mine")
    elif kind == "file":
        target.write_text("mine")
    else:
        target.symlink_to(tmp_path / "nowhere")
    before = content(tmp_path / "shared")
    with pytest.raises(TargetExistsError, match="remove it or choose another export_path") as caught:
        manager.export_experiment(ended, tmp_path / "shared")
    assert isinstance(caught.value, FileExistsError)
    assert content(tmp_path / "shared") == before
    assert not (tmp_path / "nowhere").exists()


def test_exporting_twice_is_refused(manager, ended, tmp_path):
    """The first copy may be a backup."""
    manager.export_experiment(ended, tmp_path / "shared")
    with pytest.raises(TargetExistsError):
        manager.export_experiment(ended, tmp_path / "shared")


def test_exporting_onto_itself_is_refused(manager, base, ended):
    """The base directory holds it already."""
    with pytest.raises(TargetExistsError):
        manager.export_experiment(ended, base)


def test_exporting_into_its_own_folder_ends(manager, base, ended):
    """It is either refused or copied once, and never a copy of the copy of the copy."""
    before = content(base / ended)
    try:
        copy = manager.export_experiment(ended, base / ended / "backup")
    except (ValueError, FileExistsError):
        assert content(base / ended) == before
    else:
        assert content(copy) == before


def test_an_unknown_one_makes_nothing(manager, ended, tmp_path):
    """Not even the folder to export into."""
    with pytest.raises(ExperimentNotFoundError):
        manager.export_experiment("missing", tmp_path / "shared")
    assert not (tmp_path / "shared").exists()


def test_a_target_that_is_a_file_is_an_error_of_the_disk(manager, ended, tmp_path):
    """And the file stays what it was."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="file"):
        manager.export_experiment(ended, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_is_gone_is_an_error_that_names_it(manager, base, ended, tmp_path):
    """The registry still knows what somebody deleted by hand; there is nothing to copy, and nothing is made."""
    shutil.rmtree(base / ended)
    with pytest.raises((FileNotFoundError, ExperimentNotFoundError), match=ended):
        manager.export_experiment(ended, tmp_path / "shared")
    assert list(tmp_path.glob("shared/*")) == []


def test_a_running_experiment_can_be_exported(manager, tmp_path):
    """As it is at that moment."""
    with manager.experiment({"lr": 0.1}) as exp:
        exp.log(loss=0.5)
        copy = manager.export_experiment(exp.id, tmp_path / "shared")
        exp.log(loss=0.25)
    assert ExperimentManager(tmp_path / "shared").get_experiment(exp.id).history()["loss"] == [0.5]
    assert copy.is_dir()


@pytest.mark.skipif(sys.platform == "win32", reason="making links needs a privilege on Windows")
def test_links_are_copied_as_links(manager, base, ended, tmp_path):
    """`checkpoints/last` often points at the newest; files outside of the folder are not copied."""
    folder = base / ended / "checkpoints"
    (folder / "last").symlink_to("best_model")
    (folder / "secret").symlink_to("/etc/passwd")
    copy = manager.export_experiment(ended, tmp_path / "shared")
    assert os.readlink(copy / "checkpoints" / "last") == "best_model"
    assert os.readlink(copy / "checkpoints" / "secret") == "/etc/passwd"


@pytest.mark.parametrize("wanted", ["baseline", "prefix"])
def test_a_name_or_a_prefix_will_do(manager, ended, tmp_path, wanted):
    """As everywhere that takes an id."""
    copy = manager.export_experiment(ended[:-2] if wanted == "prefix" else wanted, tmp_path / "shared")
    assert copy.name == ended
