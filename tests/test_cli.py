"""The command `runbook`: its group, its exit codes, and how it prints."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from runbook.cli import main


@pytest.fixture
def run(base, monkeypatch):
    """Calls a command on `base`, in this process."""

    def call(*args):
        return CliRunner().invoke(main, ["--dir", str(base), *args])

    return call


@pytest.fixture
def program(base, tmp_path):
    """Runs a command on `base`, as a process of its own."""

    def call(*args, **environment):
        return subprocess.run(
            [sys.executable, "-m", "runbook", *args],
            cwd=tmp_path,
            env={**os.environ, "RUNBOOK_DIR": str(base), **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return call


def test_reading_never_makes_a_base_directory(base, run):
    """A mistyped --dir leaves nothing behind."""
    for verb in ("ls", "show", "path"):
        result = run(verb)
        assert result.exit_code in {1, 2}
        assert not base.exists()
    assert "no experiments in" in run("ls").stderr


def test_an_unknown_command_is_a_usage_error_with_the_nearest(run):
    """What was meant is one look away."""
    result = run("shwo")
    assert result.exit_code == 2
    assert "did you mean show?" in result.stderr


@pytest.mark.parametrize(
    "where", [["--dir", "BASE", "path", "a"], ["path", "--dir", "BASE", "a"], ["path", "a", "--dir", "BASE"]]
)
def test_options_for_all_stand_before_and_after_the_verb(base, manager, where):
    """Nobody has to know where they go."""
    with manager.experiment({"lr": 1}, name="a") as exp:
        pass
    result = CliRunner().invoke(main, [str(base) if word == "BASE" else word for word in where])
    assert result.stdout == f"{exp.path}\n"
    assert result.exit_code == 0
