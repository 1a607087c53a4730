"""The progress of an experiment: it takes next to no time and never fails a training."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from runbook import Progress
from runbook.read.view import layout_of
from runbook.storage import progress
from runbook.storage.progress import ProgressLog

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def at(done, total, seconds=10.0, begun_with=0):
    """The progress after some seconds."""
    return Progress(done, total, BEGUN + timedelta(seconds=seconds), begun_with, BEGUN)


def test_a_report_is_read_back(manager):
    """The experiment and a view of another process show the same."""
    with manager.experiment({"lr": 1}) as exp:
        assert exp.last_progress is None
        exp.progress(30, 100)
        seen = manager.get_experiment(exp.id).last_progress
        assert (seen.done, seen.total, seen.fraction) == (30, 100, 0.3)
        assert exp.last_progress == seen


def test_the_last_report_is_on_disk_when_the_experiment_has_ended(manager):
    """A report that was not written at once is written at the end."""
    with manager.experiment({"lr": 1}) as exp:
        for done in range(1, 51):
            exp.progress(done, 100)
    assert manager.get_experiment(exp.id).last_progress.done == 50


def test_all_done_is_written_at_once(manager):
    """A reader sees 100 % without waiting."""
    with manager.experiment({"lr": 1}) as exp:
        exp.progress(1, 2)
        exp.progress(2, 2)
        assert manager.get_experiment(exp.id).last_progress.done == 2


def test_a_tight_loop_writes_next_to_never():
    """A hundred thousand calls in a moment are a few writes."""
    written = []
    log = ProgressLog(written.append)
    for done in range(100_000):
        log.report(done, 1_000_000)
    assert 1 <= len(written) < 20


@pytest.mark.parametrize(
    "numbers",
    [("a", 1), ("3", 5), (None, None), (1, 0), (-1, 5), (float("nan"), 3), (1, "x"), (object(), 2), (10**400, 1)],
)
def test_a_bad_number_is_warned_about_once_and_changes_nothing(numbers, manager, caplog):
    """A training is not ended by its progress bar."""
    with manager.experiment({"lr": 1}) as exp:
        exp.progress(1, 4)
        for _ in range(3):
            exp.progress(*numbers)
        assert exp.last_progress.done == 1
    assert sum("pass how much is done" in record.message for record in caplog.records) <= 1


def test_any_kind_of_number_will_do(manager):
    """Scalars of other libraries are numbers."""
    numpy = pytest.importorskip("numpy")
    with manager.experiment({"lr": 1}) as exp:
        for done, total in ((numpy.int64(5), numpy.float32(10)), (Fraction(1, 2), 2), (numpy.array(7), None)):
            exp.progress(done, total)
    seen = exp.last_progress
    assert (seen.done, seen.total, seen.fraction) == (7, None, None)


def test_less_than_before_begins_a_new_count():
    """The next epoch counts from the start, and its rate is its own."""
    written = []
    log = ProgressLog(written.append)
    for done in (1, 10, 2):
        log.report(done, 10)
    log.flush()
    last = json.loads(written[-1])
    assert (last["done"], last["begun_with"]) == (2, 2)
    assert last["begun_at"] > json.loads(written[0])["begun_at"]


def test_a_rate_counts_what_was_done_since_the_count_began():
    """An attempt that resumes at 90 has not done 90 in its first second."""
    assert at(95, 100, seconds=10, begun_with=90).rate == 0.5
    assert at(95, 100, seconds=10, begun_with=90).remaining_s == 10


@pytest.mark.parametrize("progress", [at(0, 10), at(5, 10, seconds=0), at(5, 10, seconds=-3), at(5, 10, begun_with=5)])
def test_without_a_rate_there_is_no_remaining_time(progress):
    """Without anything done, or without time, there is no rate, and nothing follows from it."""
    assert progress.rate is None
    assert progress.remaining_s is None


def test_without_a_total_there_is_no_rest():
    """The time that the rest takes is not known."""
    assert at(5, None).fraction is None
    assert at(5, None).remaining_s is None
    assert at(5, None).rate == 0.5


def test_more_than_everything_is_everything():
    """A count that runs over is done."""
    assert at(12, 10).fraction == 1
    assert at(12, 10).remaining_s == 0


@pytest.mark.parametrize(
    "content", ["", "\0" * 20, "[]", "{}", '{"done": 1, "time": "x", "begun_at": "y"}', '{"done": "NaN"}', "{"]
)
def test_a_file_that_cannot_be_read_is_no_progress(content, tmp_path):
    """After a power cut the file may be empty or torn, which is no damage."""
    path = tmp_path / "progress.json"
    path.write_text(content)
    assert progress.read(path) is None
    assert progress.read(tmp_path / "none.json") is None


def test_an_error_of_the_disk_is_warned_about_once(manager, caplog):
    """A full disk does not end a training."""
    with manager.experiment({"lr": 1}) as exp:
        layout_of(exp).progress.mkdir()
        (layout_of(exp).progress / "in the way").touch()
        exp.progress(1, 2)
        exp.progress(2, 2)
    assert manager.get_experiment(exp.id).status == "completed"
    assert sum("cannot be shown" in record.message for record in caplog.records) == 1


def test_where_nothing_is_recorded_progress_is_nothing(monkeypatch, tmp_path):
    """`RUNBOOK_MODE=disabled` writes no progress either."""
    from runbook import experiment

    monkeypatch.setenv("RUNBOOK_MODE", "disabled")
    monkeypatch.chdir(tmp_path)
    with experiment({"lr": 1}) as exp:
        exp.progress(1, 2)
        assert exp.last_progress is None
    assert list(tmp_path.iterdir()) == []
