"""The table in the terminal."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys

import pytest

from runbook import ExperimentManager
from runbook.render import summary

HOSTILE = [
    "\x1b[2J\x1b[Hcleared",
    "\x1b]0;title\x07",
    "\x1b[31mred",
    "\x9b31mred",
    "\r overwritten",
    "a\nb",
    "\tb",
    "back\b\b\b\bspace",
    "\u202etxt.exe",
    "\u2066isolate\u2069",
    "zero\u200bwidth",
    "\ufeffbom",
    "\u2028line",
    "bell\a",
    "\x7f",
    "\U000e0041tag",
]
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]")


def printed(manager, capsys):
    manager.print_experiment_summary()
    return capsys.readouterr().out


def test_the_table_shows_every_experiment(manager, capsys):
    """Id, name, status with its reason, and the first metrics; then the counts."""
    with manager.experiment({"lr": 0.1}, name="good") as good:
        good.save_final_metrics({"f1": 0.912345678, "n": 3, "bad": float("nan"), "d": 1, "e": 2, "f": 3})
    with pytest.raises(ValueError, match="x"), manager.experiment({"lr": 0.2}, name="bad") as bad:
        raise ValueError("x")
    with manager.experiment({"lr": 0.3}, name="now") as now:
        out = printed(manager, capsys)
    for exp in (good, bad, now):
        assert exp.id in out
    for word in ("good", "completed", "f1=0.9123", "n=3", "bad=NaN", "+2 more", "failed (exception)", "running"):
        assert word in out
    assert f"3 experiments in {manager.base_dir}: 1 running, 1 completed, 1 failed" in " ".join(out.split())


def test_one_experiment_is_not_several(manager, capsys):
    """The closing line has the singular for one experiment."""
    with manager.experiment({"lr": 0.1}):
        pass
    assert "1 experiment in " in printed(manager, capsys)


def test_an_empty_base_directory_says_so(manager, capsys):
    """The message names the base directory."""
    out = printed(manager, capsys)
    assert "No experiments in" in out
    assert str(manager.base_dir) in "".join(out.split("\n"))


def test_the_order_is_oldest_first(manager, capsys):
    """The newest stands next to the prompt."""
    ids = []
    for n in range(3):
        with manager.experiment({"n": n}) as exp:
            ids.append(exp.id)
    out = printed(manager, capsys)
    assert sorted(ids, key=out.index) == ids


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_text_cannot_control_the_terminal(manager, capsys, text):
    """Names and metric names are shown as escapes; each experiment stays in its row."""
    with manager.experiment({"lr": 0.1}, name=text) as exp:
        exp.save_final_metrics({text: 1})
    out = printed(manager, capsys)
    assert CONTROL.search(out) is None
    assert exp.id in out


@pytest.mark.parametrize("field", ["status", "end_reason", "custom_name", "completed_at", "timestamp", "metrics"])
def test_a_registry_that_others_wrote_cannot_control_the_terminal(capsys, field):
    """Whatever stands in its fields, of whatever type."""
    for value in ("\x1b[2J\u202e", 3, None, ["\x1b[2J"], {"\x1b": "\x1b[2J"}, float("nan"), True):
        entry = {"experiment_id": "20260101_000000_\x1b[2J_01234567", "status": "failed", field: value}
        summary.print_summary([entry], "base\x1b[2J")
        out = capsys.readouterr().out
        assert CONTROL.search(out) is None
        assert "1 experiment in base" in out


@pytest.mark.parametrize("text", ["[bold red]x[/bold red]", "[/]", "[link=x]y[/link]", ":smile:", "\\[x]"])
def test_markup_is_text(tmp_path, capsys, text):
    """The table's own library has a markup language, which is not the user's; neither is it in the path."""
    folder = text.replace("/", "-").replace("\\", "-")
    manager = ExperimentManager(tmp_path / folder)
    with manager.experiment({"lr": 0.1}, name=text) as exp:
        exp.save_final_metrics({text: 1})
    out = printed(manager, capsys)
    assert f"{text}=1" in out
    assert out.replace("\n", "").endswith(f"{folder}: 1 completed")


def test_there_is_no_colour_in_a_pipe(manager, capsys):
    """What is redirected into a file is plain text, however wide the names are."""
    with pytest.raises(ValueError, match="x"), manager.experiment({"lr": 0.1}, name="x" * 200):
        raise ValueError("x")
    out = printed(manager, capsys)
    assert "\x1b" not in out
    # A path to copy stays whole.
    assert max(len(line) for line in out.splitlines() if str(manager.base_dir) not in line) <= 120
    assert out.count("x") >= 200


def test_a_redirected_output_gets_it(manager):
    """`contextlib.redirect_stdout` is respected."""
    with manager.experiment({"lr": 0.1}, name="here"):
        pass
    buffer = io.StringIO()
    with contextlib.redirect_stdout(buffer):
        manager.print_experiment_summary()
    assert "here" in buffer.getvalue()


def test_wide_letters_and_any_script_are_shown(manager, capsys):
    """A name is shown as it is where it can do no harm."""
    with manager.experiment({"lr": 0.1}, name="実験 ünïcödé 🧪"):
        pass
    assert "実験 ünïcödé 🧪" in printed(manager, capsys)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_knows_fewer_letters_is_no_error(manager, encoding):
    """A summary after a week of training does not fail over an umlaut."""
    with manager.experiment({"lr": 0.1}, name="ünïcödé 実験") as exp:
        pass
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from runbook import ExperimentManager; ExperimentManager(sys.argv[1]).print_experiment_summary()",
            str(manager.base_dir),
        ],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert exp.id.encode() in done.stdout


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no pseudo-terminals")
def test_in_a_terminal_there_is_colour_and_nothing_else(manager):
    """The only escapes that reach the terminal are the ones of our own colours."""
    with manager.experiment({"lr": 0.1}, name="\x1b[2J\x1b]0;evil\x07name") as exp:
        exp.save_final_metrics({"\x1b[H": 1})
    master, slave = os.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "TERM", "COLUMNS"}}
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from runbook import ExperimentManager; ExperimentManager(sys.argv[1]).print_experiment_summary()",
            str(manager.base_dir),
        ],
        env={**environment, "TERM": "xterm-256color", "COLUMNS": "160"},
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=subprocess.PIPE,
    )
    os.close(slave)
    chunks = []
    with contextlib.suppress(OSError):
        # On Linux the end of a pseudo-terminal is an error of its own.
        while chunk := os.read(master, 65536):
            chunks.append(chunk)
    os.close(master)
    _, problems = process.communicate(timeout=60)
    assert process.returncode == 0, problems
    out = b"".join(chunks).decode()
    assert "\x1b[32m" in out
    assert CONTROL.search(re.sub(r"\x1b\[[0-9;]*m", "", out).replace("\r\n", "\n")) is None
    assert "name" in out


@pytest.mark.parametrize("columns", [40, 60, 80, 109, 110, 200])
def test_it_fits_a_terminal_of_any_width(monkeypatch, capsys, columns):
    """The time in an id, the status, how long it took and the metrics are there in each; no line is too wide."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    entry = {
        "experiment_id": "20260101_000000_a-name-that-is-longer-than-most-of-them_01234567",
        "custom_name": "a name that is longer than most of them",
        "timestamp": "2026-01-01T00:00:00+00:00",
        "completed_at": "2026-01-01T00:01:30+00:00",
        "status": "interrupted",
        "end_reason": "keyboard",
        "metrics": {"val/accuracy": 0.912345678, "a_metric_with_a_long_name": 1, "n": 3, "m": 4, "o": 5},
    }
    summary.print_summary([entry] * 3, "base")
    *lines, _, closing = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    assert closing == "3 experiments in base: 3 interrupted"
    shown = "\n".join(lines)
    assert shown.count("20260101_000000") >= 3
    for fact in ("interrupted", "1.5 min", "val/accuracy=", "0.9123", "n=3", "m=4", "+1 more"):
        assert shown.count(fact) == 3


@pytest.mark.parametrize(
    ("started", "ended", "status", "shown"),
    [
        ("2026-01-01T00:00:00+00:00", "2026-01-01T00:00:01.5+00:00", "completed", "1.5 s"),
        ("2026-01-01T00:00:00+00:00", "2026-01-01T00:01:30+00:00", "completed", "1.5 min"),
        ("2026-01-01T00:00:00+00:00", "2026-01-01T02:30:00+00:00", "completed", "2.5 h"),
        ("2026-01-01T00:00:00+00:00", "2026-01-01T01:00:00+02:00", "completed", "0.0 s"),
        ("2026-01-01T00:00:00", "2026-01-01T00:01:30", "completed", "1.5 min"),
        ("not a time", "2026-01-01T00:01:30", "completed", ""),
        (None, None, "interrupted", ""),
    ],
)
def test_durations_are_for_people(capsys, started, ended, status, shown):
    """Seconds, minutes or hours; nothing where a time is unknown; never less than nothing."""
    entry = {"experiment_id": "x", "timestamp": started, "completed_at": ended, "status": status}
    summary.print_summary([entry], "base")
    row = next(line for line in capsys.readouterr().out.splitlines() if line.split()[:1] == ["x"])
    assert row.split(status)[1].strip() == shown
