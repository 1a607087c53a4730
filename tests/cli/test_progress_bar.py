"""Progress bars, which only people at a terminal see."""

from __future__ import annotations

import io

import pytest

from runbook.cli import progress_bar


class Terminal(io.StringIO):
    """A stderr that somebody looks at."""

    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    now = [0.0]
    monkeypatch.setattr(progress_bar.time, "monotonic", lambda: now[0])
    return now


def test_what_is_quick_shows_nothing(monkeypatch, clock):
    """A bar that is gone at once only flickers."""
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    with progress_bar.progress_bar("exporting") as progress:
        for done in range(10):
            clock[0] += 0.09
            progress(done, 10)
    assert terminal.getvalue() == ""


def test_what_takes_longer_than_a_second_shows_a_bar(monkeypatch, clock):
    """With what is being done, and gone at the end; a name of a user is no markup."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    with progress_bar.progress_bar("exporting [bold]x") as progress:
        clock[0] += 1.1
        progress(3, 10)
    shown = terminal.getvalue()
    assert "exporting [bold]x" in shown
    assert "30%" in shown
    assert shown.rstrip().endswith("\x1b[2K")
    assert "\x1b[?25h" in shown


def test_nobody_waits_at_a_pipe(monkeypatch, clock):
    """No log contains a part of a bar."""
    monkeypatch.setattr("sys.stderr", pipe := io.StringIO())
    with progress_bar.progress_bar("exporting") as progress:
        clock[0] += 100
        progress(3, 10)
    assert pipe.getvalue() == ""


def test_an_error_takes_the_bar_away(monkeypatch, clock):
    """The message that follows stands on a clean line."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    with pytest.raises(OSError), progress_bar.progress_bar("exporting") as progress:
        clock[0] += 2
        progress(1, 2)
        raise OSError("disk full")
    assert terminal.getvalue().rstrip().endswith("\x1b[2K")
