"""The environment variables that apply when the caller gives no value."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runbook import ExperimentManager, UsageError, environ, experiment, tracked


@pytest.mark.parametrize(
    ("argument", "variable", "expected"),
    [
        (None, None, "./experiments"),
        (None, "", "./experiments"),
        (None, "elsewhere", "elsewhere"),
        ("mine", None, "mine"),
        ("mine", "elsewhere", "mine"),
        (Path("mine"), "elsewhere", "mine"),
        ("~/shelf", None, str(Path.home() / "shelf")),
    ],
)
def test_the_argument_goes_before_the_variable_and_that_before_the_default(monkeypatch, argument, variable, expected):
    """The argument, else `RUNBOOK_DIR`, else `./experiments`; an empty variable is none."""
    if variable is not None:
        monkeypatch.setenv("RUNBOOK_DIR", variable)
    assert environ.base_dir(argument) == expected


@pytest.mark.parametrize(("value", "disabled"), [(None, False), ("", False), ("enabled", False), ("disabled", True)])
def test_the_mode_has_two_values(monkeypatch, value, disabled):
    """`RUNBOOK_MODE=disabled` disables; unset, empty and `enabled` do not."""
    if value is not None:
        monkeypatch.setenv("RUNBOOK_MODE", value)
    assert environ.is_disabled() is disabled


@pytest.mark.parametrize("value", ["disable", "DISABLED", "off", "0", "disabled "])
def test_any_other_mode_is_an_error_that_says_what_to_set(monkeypatch, tmp_path, value):
    """A misspelt mode is an error, because it was meant to do something."""
    monkeypatch.setenv("RUNBOOK_MODE", value)
    with pytest.raises(UsageError) as caught:
        experiment({"lr": 1}, base_dir=tmp_path / "shelf")
    assert repr(value) in str(caught.value)
    assert "'disabled'" in str(caught.value)
    assert not (tmp_path / "shelf").exists()


def test_every_way_in_asks_the_variable(monkeypatch, tmp_path):
    """The block, the decorator and the manager go to `RUNBOOK_DIR` alike."""
    monkeypatch.setenv("RUNBOOK_DIR", str(tmp_path / "shelf"))
    with experiment({"lr": 1}) as block:
        pass
    seen = []
    tracked(lambda exp: seen.append(exp.path))()
    manager = ExperimentManager()
    created = manager.create_experiment({"lr": 2})
    manager.mark_complete()
    assert {block.path.parent, seen[0].parent, created.parent} == {tmp_path / "shelf"}


def test_the_decorator_asks_at_each_call(monkeypatch, tmp_path):
    """A module may decorate its functions long before the program sets the variable."""
    paths = []

    @tracked
    def train(lr, exp):
        paths.append(exp.path.parent)

    for name in ("one", "two"):
        monkeypatch.setenv("RUNBOOK_DIR", str(tmp_path / name))
        train(0.1)
    assert paths == [tmp_path / "one", tmp_path / "two"]


def test_the_default_is_a_folder_in_the_working_directory(monkeypatch, tmp_path):
    """Without argument and variable, `./experiments`."""
    monkeypatch.chdir(tmp_path)
    with experiment({"lr": 1}) as exp:
        pass
    assert exp.path.parent == tmp_path / "experiments"
    assert os.listdir(tmp_path) == ["experiments"]


def test_a_home_directory_is_expanded(monkeypatch, tmp_path):
    """`~` means the home directory, as a shell would have it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    manager = ExperimentManager("~/shelf")
    with manager.experiment({"lr": 1}) as exp:
        pass
    assert exp.path.parent == tmp_path / "shelf"
    # The guide's own snippet opens files below it, and `open` knows nothing of `~`.
    assert Path(manager.list_experiments()[0]["directory"]).is_dir()


def test_a_program_may_change_its_directory_while_it_runs(monkeypatch, tmp_path):
    """A relative base directory stays the one that it was when the experiment began."""
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    with experiment({"lr": 1}, base_dir="shelf") as exp:
        monkeypatch.chdir(tmp_path / "other")
        exp.save_metrics("late", {"f1": 0.5})
    assert exp.path.parent == tmp_path / "shelf"
    assert ExperimentManager(tmp_path / "shelf").get_experiment(exp.id).status == "completed"
    assert os.listdir(tmp_path / "other") == []
