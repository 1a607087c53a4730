"""Completions of the shell, and what happens without any."""

from __future__ import annotations

import subprocess

import pytest


@pytest.fixture
def offer(program):
    """What zsh is offered for the last of some words: the values, and their descriptions."""

    def call(*words, **environment):
        done = program(
            _RUNBOOK_COMPLETE="zsh_complete", COMP_WORDS=" ".join(["runbook", *words]), COMP_CWORD=str(len(words)), **environment
        )  # fmt: skip
        assert done.stderr == ""
        lines = done.stdout.split("\n")
        return dict(zip(lines[1::3], lines[2::3], strict=False))

    return call


def test_commands_and_options_are_offered(offer, base):
    """With what they are for."""
    assert offer("wh")["why"].startswith("Explain why an experiment failed")
    assert "--status" in offer("ls", "--st")


@pytest.mark.parametrize("verb", ["show", "path", "why", "history", "compare", "watch", "diff", "open", "report"])
def test_experiments_are_offered_by_name_and_id(verb, offer, shelf):
    """The newest first, each with its status."""
    found = offer(verb, "ki")
    assert list(found) == ["killed"]
    assert found["killed"].startswith("interrupted")
    assert list(offer(verb, "2")) == [experiment_id for experiment_id in reversed(shelf.values())]
    assert list(offer(verb, "la")) == ["latest"]


def test_places_are_offered_when_asked_for(offer, shelf):
    """With the ids that they stand for."""
    assert offer("show", "@")["@1"] == shelf["killed"]
    assert not any(word.startswith("@") for word in offer("show", "k"))


def test_metrics_tags_names_statuses_and_fields_are_offered(offer, shelf):
    """Each where it belongs."""
    assert set(offer("best", "--metric", "te")) == {"test_f1", "temperature", "test_loss"}
    assert list(offer("ls", "--tag", "q")) == ["quick"]
    assert list(offer("ls", "--name", "b")) == ["baseline"]
    assert list(offer("ls", "--status", "f")) == ["failed"]
    assert "config.model.name" in offer("ls", "--columns", "config.m")
    assert "config.model.name" in offer("compare", "--group-by", "config.m")
    assert list(offer("ls", "--sort", "status,config.s")) == ["status,config.seed"]


def test_what_would_control_the_terminal_is_not_offered(offer, shelf):
    """Such a value cannot be typed."""
    assert offer("ls", "--tag", "") == {"quick": "_", "v1": "_"}
    assert not any("evil" in word and "\x1b" in word for word in offer("show", ""))


def test_it_is_silent_whatever_is_wrong(offer, base, tmp_path):
    """No base directory, a file in its place, a damaged registry: nothing is offered, printed or made."""
    assert offer("ls", "--tag", "q") == {}
    assert not base.exists()
    base.mkdir()
    (base / "experiment_registry.json").write_text("{ damaged")
    assert set(offer("show", "la")) <= {"latest"}
    (tmp_path / "file").touch()
    assert offer("ls", "--tag", "q", RUNBOOK_DIR=str(tmp_path / "file")) == {}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell, program, tmp_path):
    """Where the shell is there, it understands the script."""
    done = program("completion", shell)
    assert done.returncode == 0, done.stderr
    assert "_RUNBOOK_COMPLETE" in done.stdout
    (tmp_path / "script").write_text(done.stdout)
    try:
        checked = subprocess.run([shell, "-n", str(tmp_path / "script")], capture_output=True, text=True, timeout=30)
    except FileNotFoundError:
        return
    assert checked.returncode == 0, checked.stderr
