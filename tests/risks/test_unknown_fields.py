"""Fields of a record that this version does not know survive every rewrite of the record."""

from __future__ import annotations

import json
import subprocess
import sys

import attrs
import pytest

from runbook import ExperimentManager
from runbook.storage import process

UNKNOWN = {"mood": "good", "sensors": [{"celsius": 61.5}, None], "unknown": {"unknown": 1}}


def path_of(manager, experiment_id):
    return manager.base_dir / experiment_id / "experiment.json"


def read(manager, experiment_id):
    return json.loads(path_of(manager, experiment_id).read_bytes())


def rewrite(manager, experiment_id, change):
    data = read(manager, experiment_id)
    change(data)
    path_of(manager, experiment_id).write_text(json.dumps(data))


def add_unknown(data):
    """Put the fields into a record and into each of its parts."""
    data.update(UNKNOWN)
    if data["failure"] is not None:
        data["failure"].update(UNKNOWN)
    for attempt in data["attempts"]:
        attempt.update(UNKNOWN)
        attempt["owner"].update(UNKNOWN)
        attempt["job"].update(UNKNOWN)


def known(data):
    """A record without the fields; fails where one is missing."""
    assert {key: data[key] for key in UNKNOWN} == UNKNOWN
    return {key: value for key, value in data.items() if key not in UNKNOWN}


@pytest.fixture
def failed(manager, monkeypatch):
    """The id of a failed experiment of a scheduler's job, to which a later version has added fields."""
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with pytest.raises(ValueError), manager.experiment({"lr": 3}, name="failed") as exp:
        exp.log(loss=1)
        raise ValueError("no")
    rewrite(manager, exp.id, add_unknown)
    return exp.id


@pytest.fixture
def running(failed, manager):
    """The same, as it was while it ran on a machine that cannot be seen from here."""

    def run_elsewhere(data):
        data.update(status="running", end_reason=None, completed_at=None, failure=None)
        data["attempts"][0].update(ended_at=None, end_reason=None)
        data["attempts"][0]["owner"].update(host="elsewhere", boot_id="another", machine_id="another", is_locked=False)

    rewrite(manager, failed, run_elsewhere)
    return failed


def test_resuming_keeps_them(manager, failed):
    """At the start of the next attempt, and at its end."""
    before = read(manager, failed)
    with manager.experiment({"lr": 3}, name="failed", resume="must") as exp:
        exp.note("again")
        assert known(read(manager, failed))["status"] == "running"
    after = known(read(manager, failed))
    assert (after["status"], after["notes"]) == ("completed", "again")
    former, latest = after["attempts"]
    assert former == {**before["attempts"][0], "failure": before["failure"]}
    assert not UNKNOWN.keys() & latest.keys()


def test_an_annotation_keeps_them(manager, failed):
    """The record is not even rewritten."""
    before = path_of(manager, failed).read_bytes()
    manager.add_note("failed", "annotated")
    manager.add_tags("failed", "tag")
    assert path_of(manager, failed).read_bytes() == before


def test_declaring_an_end_keeps_them(manager, running):
    """In all parts of the record."""
    before = read(manager, running)
    manager.declare_ended(running, notes="gone")
    after = known(read(manager, running))
    assert after["status"] == "interrupted"
    (attempt,) = after["attempts"]
    assert known(attempt)["owner"] == before["attempts"][0]["owner"]
    assert attempt["job"] == before["attempts"][0]["job"]


def test_recording_a_death_keeps_them(manager, running):
    """The next listing records that the process is gone."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    owner = {**attrs.asdict(process.current_owner()), "pid": gone.pid, **UNKNOWN}
    rewrite(manager, running, lambda data: data["attempts"][0].update(owner=owner))
    with manager.experiment({"lr": 1}, name="next"):
        pass
    manager.repair()
    after = known(read(manager, running))
    assert (after["status"], after["end_reason"]) == ("interrupted", "vanished")
    assert known(after["attempts"][0])["owner"] == owner


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_an_import_under_another_id_keeps_them(manager, failed, tmp_path, form):
    """Only the id is another one."""
    exported = manager.export_experiment(failed, tmp_path / ("bundle.zip" if form == "zip" else "copies"))
    before = read(manager, failed)
    rewrite(manager, failed, lambda data: data.update(description="a different one"))
    renamed = manager.import_experiment(exported, on_conflict="rename")
    assert renamed != failed
    assert read(manager, renamed) == {**before, "experiment_id": renamed}


def test_an_import_of_the_same_is_recognised(manager, failed, tmp_path):
    """And one that differs only by such a field is another experiment."""
    exported = manager.export_experiment(failed, tmp_path / "bundle.zip")
    assert manager.import_experiment(exported, on_conflict="rename") is None
    rewrite(manager, failed, lambda data: data["attempts"][0]["owner"].update(mood="bad"))
    assert manager.import_experiment(exported, on_conflict="rename") is not None


def test_an_import_of_one_that_ran_keeps_them(manager, running, tmp_path):
    """Its record is rewritten, because no process works on the copy."""
    other = ExperimentManager(tmp_path / "other")
    before = read(manager, running)
    other.import_experiment(manager.export_experiment(running, tmp_path / "bundle.zip"))
    after = known(read(other, running))
    assert after["status"] == "interrupted"
    assert known(after["attempts"][0])["owner"] == before["attempts"][0]["owner"]


@pytest.mark.parametrize("has_its_id", [False, True], ids=["free", "taken"])
def test_a_merge_keeps_them(manager, failed, tmp_path, has_its_id):
    """Under its own id, and under another one."""
    other = ExperimentManager(tmp_path / "other")
    before = read(manager, failed)
    if has_its_id:
        other.import_experiment(manager.export_experiment(failed, tmp_path / "bundle.zip"))
        rewrite(other, failed, lambda data: data.update(config={"lr": 4}))
    report = other.merge(manager.base_dir)
    there = report.renamed[failed] if has_its_id else failed
    assert read(other, there) == {**before, "experiment_id": there}


def test_they_are_shown(failed, run):
    """With those parts of a record that a command shows."""
    shown = json.loads(run("show", failed, "--json").output)
    assert known(shown["failure"])["type"] == "ValueError"
    assert known(shown["attempts"][0])
