"""Problems of a base directory are reported in words for people, and repaired without a loss."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from runbook import ExperimentManager, ResumeError, Status, UsageError, experiment
from runbook.maintain import disks
from runbook.maintain.doctor import Severity
from runbook.read.view import record_of

OLD = time.time() - 2 * 3600


def problems(manager):
    return [finding for finding in manager.doctor() if finding.severity is Severity.PROBLEM]


def kinds(manager):
    return sorted(finding.kind for finding in problems(manager))


@pytest.fixture
def run(base):
    """An experiment that has ended, with something in it."""
    with experiment({"lr": 0.1}, name="run", base_dir=base) as exp:
        exp.log(loss=1)
        exp.save_final_metrics({"f1": 0.5})
        exp.save_predictions([1, 2], "predictions.json")
    return exp


def everything(base):
    """Every file content below a folder, at any path: a file that is moved is not lost."""
    return sorted(path.read_bytes() for path in base.rglob("*") if path.is_file() and ".runbook" not in path.parts)


def test_nothing_is_wrong_where_nothing_is_wrong(manager, run):
    """The only note is about the disk."""
    assert problems(manager) == []
    assert [finding.kind for finding in manager.doctor()] == ["disk"]
    assert manager.repair() == []


def test_a_base_directory_that_does_not_exist_is_no_problem(tmp_path):
    """It is made by the first experiment."""
    manager = ExperimentManager(tmp_path / "none")
    (tmp_path / "none").rmdir()
    (finding,) = manager.doctor()
    assert "does not exist yet" in str(finding)


def test_looking_changes_nothing(manager, run, base):
    """Not a byte, whatever is found."""
    (base / "experiment_registry.json").write_text("{")
    (run.path / ".x.1-1.tmp").touch()
    os.utime(run.path / ".x.1-1.tmp", (OLD, OLD))
    before = {path: path.stat().st_mtime_ns for path in base.rglob("*") if ".runbook" not in path.parts}
    assert kinds(manager) == ["missing-entry", "registry", "temporary"]
    assert {path: path.stat().st_mtime_ns for path in base.rglob("*") if ".runbook" not in path.parts} == before


@pytest.mark.parametrize("damage", [b"{", b"", b"[]", b"\0\0", b'{"experiments": [3]}'])
def test_a_registry_that_cannot_be_understood_is_quarantined_and_rebuilt(manager, run, base, damage):
    """What was there is kept beside it."""
    registry = base / "experiment_registry.json"
    registry.write_bytes(damage)
    assert "registry" in kinds(manager)
    assert "it cannot be understood" in next(str(one) for one in problems(manager) if one.kind == "registry")
    manager.repair()
    assert problems(manager) == []
    assert json.loads(registry.read_bytes())["experiments"][0]["experiment_id"] == run.id
    assert [path.read_bytes() for path in base.glob("experiment_registry.json.damaged-*")] == [damage]


def test_a_registry_that_is_gone_is_made_anew(manager, run, base):
    """The folders are the truth."""
    (base / "experiment_registry.json").unlink()
    assert "registry" in kinds(manager)
    manager.repair()
    assert problems(manager) == []
    assert manager.list_experiments()[0]["metrics"] == {"f1": 0.5}


def test_an_entry_that_is_missing_or_wrong_is_brought_up_to_date(manager, run, base):
    """Each is named with the experiment."""
    with experiment({}, name="other", base_dir=base) as other:
        pass
    registry = base / "experiment_registry.json"
    document = json.loads(registry.read_text())
    document["experiments"] = [{**document["experiments"][0], "status": "failed"}]
    registry.write_text(json.dumps(document))
    found = {finding.subject: finding for finding in problems(manager)}
    assert found[run.id].kind == "wrong-status"
    assert "the registry says failed, and it is completed" in found[run.id].message
    assert found[other.id].kind == "missing-entry"
    assert {finding.subject for finding in manager.repair()} == {run.id, other.id}
    assert problems(manager) == []
    assert {entry["status"] for entry in manager.list_experiments()} == {"completed"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_dead_process_is_found_and_its_experiment_ended(manager, script, base):
    """The status on disk is wrong until a reader checks the process."""
    script.run("import os\nfrom runbook import experiment\nwith experiment({}, name='x'):\n    os.kill(os.getpid(), 9)")
    found = next(one for one in problems(manager) if one.kind == "wrong-status")
    assert "its process is dead" in found.message
    manager.repair()
    assert problems(manager) == []
    assert json.loads(next(base.glob("*/experiment.json")).read_text())["end_reason"] == "vanished"


def test_an_experiment_on_another_host_is_a_note_with_its_last_sign_of_life(manager, script, base):
    """There is no proof of death from here, so a person must decide."""
    script.run("import os\nfrom runbook import experiment\nwith experiment({}, name='x'):\n    os._exit(1)")
    (path,) = base.glob("*/experiment.json")
    record = json.loads(path.read_text())
    record["attempts"][0]["owner"].update(host="gpu-7", boot_id="another", is_locked=False)
    path.write_text(json.dumps(record))
    (found,) = [finding for finding in manager.doctor() if finding.kind == "running-elsewhere"]
    assert "gpu-7" in found.message
    assert "last sign of life" in found.message
    assert "declare_ended" in found.remedy
    manager.repair()
    assert manager.get_experiment("x").status is Status.RUNNING, "repair proves nothing either"
    manager.declare_ended("x", "failed", notes="the node was taken down")
    view = manager.get_experiment("x")
    assert (view.status, view.end_reason, view.notes) == ("failed", "marked", "the node was taken down")
    assert record_of(view).attempts[0].evidence == "declared by a person"
    with pytest.raises(UsageError, match="has ended already"):
        manager.declare_ended("x")


def test_a_living_experiment_cannot_be_declared_ended(manager, base):
    """A person cannot declare a process dead that is there."""
    with experiment({}, name="x", base_dir=base) as exp, pytest.raises(UsageError, match="is alive"):
        manager.declare_ended(exp.id)
    assert exp.status is Status.COMPLETED


def test_what_unfinished_writes_left_is_moved_aside(manager, run, base):
    """Temporaries, locks of ended experiments and pending marks; nothing is deleted, and files of live processes stay."""
    abandoned = run.metrics_dir / ".history.json.999999999-3.tmp"
    fresh = run.metrics_dir / f".history.json.{os.getpid()}-3.tmp"
    theirs = run.metrics_dir / ".hidden"
    at_top = base / ".experiment_registry.json.tmp"
    for path in (abandoned, fresh, theirs, at_top):
        path.write_text(path.name)
    for path in (abandoned, at_top):
        os.utime(path, (OLD, OLD))
    lock = base / ".runbook" / "running" / run.id
    lock.touch()
    (base / ".runbook" / "experiment_registry.json.pending" / run.id).touch()
    before = everything(base)
    assert kinds(manager) == ["lock", "pending", "temporary", "temporary"]
    manager.repair()
    assert problems(manager) == []
    assert everything(base) == before
    assert fresh.exists()
    assert theirs.exists()
    assert not abandoned.exists()
    assert len(list((base / ".set-aside").rglob("*.tmp"))) == 2


def test_a_damaged_record_is_quarantined_and_written_from_the_registry(manager, run, base):
    """The registry has its ending; the damaged record is kept."""
    (run.path / "experiment.json").write_text("{broken")
    with experiment({}, name="other", base_dir=base):
        pass
    assert kinds(manager) == ["record"]
    assert {entry["custom_name"] for entry in manager.list_experiments()} == {"run", "other"}, "it hides no other"
    manager.repair()
    assert problems(manager) == []
    view = manager.get_experiment(run.id)
    assert (view.status, view.metrics, view.config["lr"]) == ("completed", {"f1": 0.5}, 0.1)
    assert "{broken" in [path.read_text() for path in (base / ".set-aside").rglob("experiment.json")]


def test_without_an_entry_nothing_is_invented_for_a_damaged_record(manager, run, base):
    """Without an entry in the registry its ending is unknown, and stays so."""
    (run.path / "experiment.json").write_text("{broken")
    (base / "experiment_registry.json").unlink()
    manager.repair()
    (entry,) = manager.list_experiments()
    assert (entry["status"], entry["config"]) == ("unknown", {"lr": 0.1})


def test_a_record_of_a_newer_runbook_is_left_alone(manager, run):
    """It is not damaged; this runbook is old."""
    path = run.path / "experiment.json"
    path.write_text(json.dumps({"format_version": 99, "experiment_id": run.id}))
    (found, *_) = problems(manager)
    assert "upgrade runbook" in found.remedy
    assert not found.is_repairable
    manager.repair()
    assert json.loads(path.read_text())["format_version"] == 99


@pytest.mark.parametrize(
    "file", ["config.json", "metrics/final_summary.json", "results/predictions.json", "metrics/history.jsonl"]
)
def test_a_file_that_is_not_what_was_saved_is_named(manager, run, file):
    """A flipped bit in a result is worse than a missing one."""
    path = run.path / file
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    (found,) = problems(manager)
    assert (found.kind, found.subject) == ("checksum", run.id)
    assert f"{file} is not what was saved" in found.message
    path.unlink()
    (found,) = problems(manager)
    assert f"{file} is gone" in found.message


def test_what_is_saved_after_the_end_counts_as_saved(manager, run):
    """Adding a result later is no damage."""
    run.save_metrics("later", {"a": 1})
    run.save_final_metrics({"f1": 0.6})
    assert problems(manager) == []
    assert manager.list_experiments()[0]["metrics"] == {"f1": 0.6}


def test_a_folder_that_is_gone_is_named(manager, run, base):
    """Somebody removed it by hand; only they know whether it comes back."""
    (base / "elsewhere").mkdir()
    run.path.rename(base / "elsewhere" / run.id)
    (found,) = problems(manager)
    assert (found.kind, found.subject) == ("missing-folder", run.id)
    (base / "elsewhere" / run.id).rename(run.path)
    assert problems(manager) == []


def test_a_read_only_base_directory_can_be_diagnosed(manager, run, base):
    """The note about the disk says that it cannot be written to."""
    if os.getuid() == 0:
        done = subprocess.run(["unshare", "-m", "true"], capture_output=True)
        if done.returncode != 0:
            pytest.skip("as root, a read-only directory needs a mount namespace")
    code = "from runbook import ExperimentManager\nfor one in ExperimentManager().doctor(): print(one)"
    command = f"mount --bind {base} {base} && mount -o remount,ro,bind {base} && exec {sys.executable} -c '{code}'"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", command],
        env={**os.environ, "RUNBOOK_DIR": str(base)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "cannot be written to" in done.stdout
    assert "problem" not in done.stdout


MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:25 / /dev/shm rw - tmpfs tmpfs rw
31 22 0:26 / /mnt/my\\040share rw - nfs4 server:/x rw
32 31 0:27 / /mnt/my\\040share/inner rw - xfs /dev/vdb rw
33 22 0:28 / /mnt/over rw - ext4 /dev/vdc rw
34 22 0:29 / /mnt/over rw - fuse.sshfs host:/ rw
"""


@pytest.mark.parametrize(
    ("directory", "kind"),
    [
        ("/home/me", "ext4"),
        ("/dev/shm/x", "tmpfs"),
        ("/dev/shmx", "ext4"),
        ("/mnt/my share/a", "nfs4"),
        ("/mnt/my share/inner", "xfs"),
        ("/mnt/over/a", "fuse.sshfs"),
    ],
)
def test_the_kind_of_a_disk_is_that_of_the_innermost_and_latest_mount(tmp_path, directory, kind):
    """As proc_pid_mountinfo(5) writes them."""
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)
    assert disks.find_file_system(directory, table) == kind


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("ext4", "survives a power cut"),
        ("tmpfs", "everything is lost when the machine stops"),
        ("nfs", r"NFS.*up to its server"),
        ("fuse.sshfs", "network or user-space"),
        (None, "does not say"),
    ],
)
def test_the_guarantees_of_a_disk_are_reported(tmp_path, monkeypatch, kind, words):
    """No more than is known of its kind."""
    monkeypatch.setattr(disks, "find_file_system", lambda _: kind)
    text = " ".join(" ".join(pair) for pair in disks.describe_disk(tmp_path))
    import re

    assert re.search(words, text)
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_experiment_is_no_finding(manager, script, base):
    """It is alive."""
    process = script.start(
        "import time\nfrom runbook import experiment\nwith experiment({}):\n    print('ready', flush=True)\n    time.sleep(60)"
    )
    try:
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        assert problems(manager) == []
    finally:
        process.kill()
        process.communicate()


def test_a_running_experiment_without_an_attempt_is_reported_and_can_be_declared_ended(base):
    with experiment({}, base_dir=base) as exp:
        pass
    path = exp.path / "experiment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "running", "attempts": []}))
    manager = ExperimentManager(base)

    with pytest.raises(ResumeError, match="declare_ended"), experiment({}, base_dir=base, resume=exp.id):
        pass
    assert "running-elsewhere" in {finding.kind for finding in manager.doctor()}
    manager.declare_ended(exp.id, "failed")

    assert manager.get_experiment(exp.id).status == "failed"
