"""Deleting for good: the trash is emptied, and no experiment outside of it is touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runbook import ExperimentManager, errors
from runbook.maintain.garbage import GarbageReport


def make(manager, name="x", size=1000):
    with manager.experiment({"name": name}, name=name) as exp:
        (exp.checkpoints_dir / "weights.bin").write_bytes(b"x" * size)
    return exp.id


def age(path, days):
    moment = time.time() - days * 86400
    os.utime(path, (moment, moment), follow_symlinks=False)


def deleted(manager, name, days_ago):
    one = make(manager, name)
    manager.delete_experiment(one)
    kept_entry = manager.base_dir / ".trash" / f".{one}.json"
    kept = json.loads(kept_entry.read_text())
    kept["deleted_at"] = (datetime.now(UTC) - timedelta(days=days_ago)).isoformat()
    kept_entry.write_text(json.dumps(kept))
    return one


def everything_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def ids(manager):
    return [entry["experiment_id"] for entry in manager.list_experiments()]


def test_a_base_directory_without_garbage_gives_nothing(manager, base):
    """Whether it is empty, or has experiments, or is not there."""
    assert manager.collect_garbage() == GarbageReport()
    one = make(manager)
    before = everything_in(base)
    assert manager.collect_garbage() == GarbageReport()
    assert everything_in(base) == before and ids(manager) == [one]
    base.rename(base.with_name("elsewhere"))
    assert manager.collect_garbage() == GarbageReport()
    assert not base.exists()


def test_the_trash_is_emptied_and_its_size_is_reported(manager, base):
    """Experiments that are not in it stay."""
    kept, gone = make(manager, "kept"), make(manager, "gone", size=100_000)
    size = sum(path.stat().st_size for path in (base / gone).rglob("*") if path.is_file())
    manager.delete_experiment(gone)
    report = manager.collect_garbage()
    assert (report.experiments, report.freed_bytes, report.failed) == ((gone,), size, {})
    assert os.listdir(base / ".trash") == [] and ids(manager) == [kept]


def test_a_dry_run_reports_the_same_and_changes_nothing(manager, base):
    """A user can check first."""
    manager.delete_experiment(make(manager))
    before = everything_in(base)
    report = manager.collect_garbage(dry_run=True)
    assert report.is_dry_run and everything_in(base) == before
    done = manager.collect_garbage()
    assert (done.experiments, done.leftovers, done.freed_bytes) == (
        report.experiments,
        report.leftovers,
        report.freed_bytes,
    )


def test_what_was_deleted_more_recently_is_spared(manager):
    """And so is what was deleted at an unknown time."""
    deleted(manager, "new", 1)
    old = deleted(manager, "old", 40)
    by_hand = make(manager, "by_hand")
    (manager.base_dir / by_hand).rename(manager.base_dir / ".trash" / by_hand)
    assert manager.collect_garbage(trash_older_than=timedelta(days=30)).experiments == (old,)
    assert len(manager.list_trash()) == 2


@pytest.mark.parametrize("moment", ["soon", None, 3, "2999-01-01T00:00:00+00:00"])
def test_a_time_that_cannot_be_understood_spares(manager, moment):
    """What may be recent is kept."""
    one = deleted(manager, "x", 40)
    kept_entry = manager.base_dir / ".trash" / f".{one}.json"
    kept_entry.write_text(json.dumps({**json.loads(kept_entry.read_text()), "deleted_at": moment}))
    assert manager.collect_garbage(trash_older_than=timedelta(days=30)) == GarbageReport()
    assert manager.collect_garbage().experiments == (one,)


def test_a_negative_age_is_refused(manager):
    """It would keep nothing, and a user who gives an age does not want that."""
    manager.delete_experiment(make(manager))
    with pytest.raises(errors.UsageError, match="positive"):
        manager.collect_garbage(trash_older_than=timedelta(days=-30))
    assert len(manager.list_trash()) == 1


def test_old_temporaries_of_ours_go_and_all_else_stays(manager, base):
    """By their names and their age, and never those in an experiment, which a repair moves out of it first."""
    one = make(manager)
    ours = [base / ".experiment_registry.json.123-4.tmp", base / ".experiment_registry.json.tmp"]
    ours += [base / ".runbook" / "ranks" / ".x.99-1.tmp"]
    others = [base / ".notes.tmp", base / one / ".record.1-2.tmp", base / "mine.tmp", base / "sub" / ".x.1-2.tmp"]
    for path in [*ours, *others]:
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
        age(path, 1)
    fresh = base / ".experiment_registry.json.1-9.tmp"
    fresh.write_text("half")
    report = manager.collect_garbage()
    assert sorted(report.leftovers) == sorted(path.relative_to(base).as_posix() for path in ours)
    assert report.freed_bytes == 12
    assert all(path.exists() for path in [*others, fresh]) and not any(path.exists() for path in ours)


def test_locks_of_experiments_that_have_ended_go_and_of_running_ones_stay(manager, base):
    """A lock that is held is left alone, whatever status the record has."""
    ended = make(manager)
    (base / ".runbook" / "running" / ended).touch()
    with manager.experiment({}, name="live") as live:
        assert manager.collect_garbage().leftovers == (f".runbook/running/{ended}",)
        assert os.listdir(base / ".runbook" / "running") == [live.id]


def test_what_a_killed_process_was_building_goes(manager, base, tmp_path):
    """And what a living one builds stays."""
    one = make(manager, size=3_000_000)
    bundle = manager.export_experiment(one, tmp_path / "copies")
    code = f"""
import os
from runbook import ExperimentManager
def hook(done, total):
    if done > 1_000_000:
        os.kill(os.getpid(), 9)
ExperimentManager({str(tmp_path / "other")!r}).import_experiment({str(bundle)!r}, progress=hook)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    other = ExperimentManager(tmp_path / "other")

    def look(done, total):
        if done > 1_000_000:
            assert [name for name in other.collect_garbage(dry_run=True).leftovers if "incoming" in name] == []

    orphans = os.listdir(tmp_path / "other" / ".runbook" / "incoming")
    report = other.collect_garbage(dry_run=True)
    assert report.leftovers == tuple(f".runbook/incoming/{name}" for name in orphans if not name.endswith(".lock"))
    assert report.freed_bytes > 1_000_000
    assert other.collect_garbage().leftovers == report.leftovers
    assert os.listdir(tmp_path / "other" / ".runbook" / "incoming") == []
    assert other.import_experiment(bundle, progress=look) == one


def test_quarantined_files_go_by_their_age(manager, base):
    """A repair names its folder by the time; anything else there is a user's own."""
    make(manager)
    for name in ("20200101T000000.000000", f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}", "mine"):
        (base / ".set-aside" / name).mkdir(parents=True)
    (base / "experiment_registry.json.damaged-20200101T000000.000000").write_text("{")
    (base / "experiment_registry.json.damaged-by-me").write_text("{")
    report = manager.collect_garbage(trash_older_than=timedelta(days=30))
    assert set(report.leftovers) == {
        "experiment_registry.json.damaged-20200101T000000.000000",
        ".set-aside/20200101T000000.000000",
    }
    assert len(manager.collect_garbage().leftovers) == 1
    assert os.listdir(base / ".set-aside") == ["mine"]
    assert (base / "experiment_registry.json.damaged-by-me").exists()


def test_no_link_is_followed(manager, base, tmp_path):
    """What it points to stays as it is, wherever the link is."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data").write_text("x" * 1_000_000)
    one = make(manager)
    (base / one / "checkpoints" / "data").symlink_to(precious)
    manager.delete_experiment(one)
    (base / ".set-aside").mkdir()
    (base / ".set-aside" / "20200101T000000.000000").symlink_to(precious)
    (base / ".trash" / ".doomed-1-x").symlink_to(precious)
    report = manager.collect_garbage()
    assert report.failed == {} and report.freed_bytes < 1_000_000
    assert (precious / "data").read_text() == "x" * 1_000_000
    assert os.listdir(base / ".trash") == os.listdir(base / ".set-aside") == []


def test_a_trash_or_a_quarantine_that_is_a_link_is_not_followed(manager, base, tmp_path):
    """The trash is refused; the quarantine is not searched."""
    make(manager)
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "20200101T000000.000000").mkdir(parents=True)
    (base / ".set-aside").symlink_to(elsewhere)
    assert manager.collect_garbage() == GarbageReport()
    (base / ".trash").symlink_to(elsewhere)
    with pytest.raises(errors.BaseDirectoryError, match="link"):
        manager.collect_garbage()
    assert os.listdir(elsewhere) == ["20200101T000000.000000"]


def test_what_cannot_be_removed_is_reported_and_the_rest_goes(manager, base, monkeypatch):
    """One that cannot be removed does not stop the others."""
    import shutil

    bad, good = deleted(manager, "bad", 1), deleted(manager, "good", 1)
    real = shutil.rmtree

    def rmtree(path, *args, **kwargs):
        if "bad" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        real(path, *args, **kwargs)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    report = manager.collect_garbage()
    assert report.experiments == (good,) and report.failed == {f".trash/{bad}": "Permission denied"}
    monkeypatch.undo()
    again = manager.collect_garbage()
    assert again.leftovers and again.experiments == () and os.listdir(base / ".trash") == []


def test_one_that_is_restored_meanwhile_stays(manager):
    """It is not counted."""
    one, two = deleted(manager, "one", 2), deleted(manager, "two", 1)
    restored = []

    def hook(done, total):
        if done == 1:
            restored.append(manager.restore_experiment(two))

    assert manager.collect_garbage(progress=hook).experiments == (one,)
    assert restored == [two] == ids(manager)


def test_progress_counts_things(manager):
    """And an exception in the hook leaves experiments either in the trash or gone."""
    for name in ("a", "b", "c"):
        deleted(manager, name, 1)
    calls = []
    manager.collect_garbage(dry_run=True, progress=lambda *now: calls.append(now))
    assert calls == [(0, 3), (1, 3), (2, 3), (3, 3)]

    def hook(done, total):
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manager.collect_garbage(progress=hook)
    assert len(manager.list_trash()) == 2
    assert len(manager.collect_garbage().experiments) == 2


def test_experiments_are_never_touched(manager, base):
    """Running, ended, damaged, half-made, or with files that look like leftovers."""
    one, damaged = make(manager), make(manager, "damaged")
    (base / damaged / "experiment.json").write_text("{")
    (base / "20200101_000000_half_00c0ffee").mkdir()
    for name in (".x.1-2.tmp", ".doomed-1", "20200101T000000.000000"):
        path = base / one / "results" / name
        path.write_text("mine")
        age(path, 99)

    def stable():
        return [name for name in everything_in(base) if not name.startswith((".runbook", "experiment_registry"))]

    with manager.experiment({}, name="live"):
        manager.list_experiments()
        before = stable()
        manager.collect_garbage()
        assert stable() == before
    assert isinstance(manager.base_dir, Path)
