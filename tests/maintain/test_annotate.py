"""Adding notes and tags to an experiment of another process: none is lost and none is doubled."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time

import pytest

from runbook import ExperimentManager, ExperimentNotFoundError, errors
from runbook.index.registry import JsonRegistry
from runbook.read.view import record_of
from runbook.record.layout import BaseLayout

LEGACY_ID = "20241216_143052_baseline_a1b2c3d4"
GOLDEN = {
    "format_version": 1,
    "experiment_id": "20260131_120000_before_00c0ffee",
    "timestamp": "2026-01-31T12:00:00.000000+00:00",
    "status": "completed",
    "config": {"lr": 0.1},
    "config_hash": "00c0ffee",
    "custom_name": "before",
    "description": None,
    "tags": ["old"],
    "notes": "from before",
    "metrics": {"f1": 0.5},
    "end_reason": "returned",
    "completed_at": "2026-01-31T12:00:01.000000+00:00",
    "parent": None,
    "function": None,
    "failure": None,
    "attempts": [],
    "checksums": {},
}


def make(manager, name="x", **options):
    with manager.experiment({"name": name}, name=name, **options) as exp:
        exp.log(loss=1.0)
    return exp.id


def golden(base):
    """An experiment as a version without annotations wrote it."""
    folder = base / GOLDEN["experiment_id"]
    (folder / "logs").mkdir(parents=True)
    (folder / "experiment.json").write_text(json.dumps(GOLDEN, indent=2))
    (folder / "config.json").write_text(json.dumps(GOLDEN["config"]))
    return folder


def listed(manager, experiment_id):
    return next(entry for entry in manager.list_experiments() if entry["experiment_id"] == experiment_id)


def shown(manager, experiment_id):
    """The notes and tags that readers show, which must be the same in every view."""
    view, entry = manager.get_experiment(experiment_id), listed(manager, experiment_id)
    assert (view.notes, list(view.tags)) == (entry["notes"], entry["tags"])
    return view.notes, list(view.tags)


def test_a_note_and_tags_of_an_experiment_that_has_ended(manager, registry_of, base):
    """They are shown by the view, the listing and the registry's own file; the record is not touched."""
    one = make(manager, tags=["a", "b"])
    before = (base / one / "experiment.json").read_bytes()
    manager.add_note(one[:22], "looks good")
    manager.add_note("x", "second\nthird")
    manager.add_tags(one, "keep", "a")
    manager.remove_tags(one, "b", "never there")
    assert shown(manager, one) == ("looks good\nsecond\nthird", ["a", "keep"])
    assert [entry["notes"] for entry in registry_of(base)] == ["looks good\nsecond\nthird"]
    assert (base / one / "experiment.json").read_bytes() == before
    assert manager.doctor() == [finding for finding in manager.doctor() if finding.kind == "disk"]


def test_annotations_survive_the_loss_of_the_registry(manager, base):
    """The annotations are in the folders."""
    one = make(manager)
    manager.add_note(one, "n")
    manager.add_tags(one, "t")
    (base / "experiment_registry.json").unlink()
    shutil.rmtree(base / ".runbook")
    assert shown(ExperimentManager(base), one) == ("n", ["t"])


def test_an_annotation_has_its_time_and_author(manager, base):
    """Readers of the file can see who wrote what."""
    one = make(manager)
    manager.add_note(one, "n")
    (line,) = [json.loads(raw) for raw in (base / one / "logs" / "annotations.jsonl").read_text().splitlines()]
    assert line.keys() == {"time", "by", "note"} and re.fullmatch(r".+@.+", line["by"])


def test_a_record_from_before_reads_the_same(base):
    """Field by field, and byte for byte on disk, until it gets an annotation."""
    folder = golden(base)
    manager = ExperimentManager(base)
    view = manager.get_experiment("before")
    assert (view.notes, view.tags, record_of(view).format_version) == ("from before", ("old",), 1)
    manager.add_note("before", "and after")
    manager.remove_tags("before", "old")
    assert shown(manager, GOLDEN["experiment_id"]) == ("from before\nand after", [])
    assert json.loads((folder / "experiment.json").read_text()) == GOLDEN


@pytest.mark.parametrize("call", ["add_note", "add_tags", "remove_tags"])
def test_an_experiment_that_is_not_there_is_an_error(manager, call):
    """The same as everywhere."""
    with pytest.raises(ExperimentNotFoundError):
        getattr(manager, call)("nobody", "x")


def test_an_empty_note_changes_nothing(manager, base):
    """No file, and no error either: `exp.note("")` is none."""
    one = make(manager)
    manager.add_note(one, "")
    manager.add_tags(one)
    assert not (base / one / "logs" / "annotations.jsonl").exists()


def test_a_damaged_record_is_an_error_and_nothing_is_written(manager, base):
    """A note that no reader could show is not accepted."""
    one = make(manager)
    (base / one / "experiment.json").write_text("{")
    with pytest.raises(errors.DamagedFileError):
        manager.add_note(one, "n")
    assert not (base / one / "logs" / "annotations.jsonl").exists()


def test_a_repair_of_a_damaged_record_doubles_nothing(manager, base):
    """The new record is made from the entry, which has the annotations already."""
    one = make(manager)
    manager.add_note(one, "n")
    manager.add_tags(one, "t")
    (base / one / "experiment.json").write_text("{")
    manager.repair()
    assert shown(manager, one) == ("n", ["t"])
    manager.add_note(one, "m")
    assert shown(manager, one) == ("n\nm", ["t"])


@pytest.mark.parametrize("has_folder", [True, False])
def test_one_of_the_legacy_tool_keeps_its_notes_in_the_registry(base, has_folder, registry_of):
    """It has no record and may have no folder; its entry is all there is of it."""
    base.mkdir()
    if has_folder:
        (base / LEGACY_ID).mkdir()
        (base / LEGACY_ID / "config.json").write_text("{}")
    entry = {
        "experiment_id": LEGACY_ID,
        "timestamp": "2024-12-16T14:30:52",
        "status": "completed",
        "notes": "old",
        "x": 1,
    }
    (base / "experiment_registry.json").write_text(json.dumps({"experiments": [entry]}, indent=2))
    manager = ExperimentManager(base)
    manager.add_note(LEGACY_ID, "new")
    manager.add_tags(LEGACY_ID, "a", "b")
    manager.remove_tags(LEGACY_ID, "a")
    assert shown(manager, LEGACY_ID) == ("old\nnew", ["b"])
    assert [(entry["notes"], entry["tags"], entry["x"]) for entry in registry_of(base)] == [("old\nnew", ["b"], 1)]
    assert (base / LEGACY_ID).exists() == has_folder


def test_a_registry_that_cannot_be_written_is_a_warning_and_the_note_is_kept(manager, monkeypatch, caplog):
    """After an error the user would add the note again, and it would be there twice."""
    from runbook.storage import files

    one = make(manager)
    real = files.write_whole

    def write_whole(path, *args, **kwargs):
        if path.name == "experiment_registry.json":
            raise OSError(28, "No space left on device")
        real(path, *args, **kwargs)

    monkeypatch.setattr(files, "write_whole", write_whole)
    manager.add_note(one, "n")
    assert "No space left" in caplog.text
    assert shown(manager, one) == ("n", [])
    monkeypatch.undo()
    assert shown(manager, one) == ("n", [])


@pytest.fixture
def hidden(base):
    """A block in which annotations cannot be read, on a real disk: the path of their file is a folder."""

    @contextlib.contextmanager
    def hide(experiment_id):
        file = base / experiment_id / "logs" / "annotations.jsonl"
        aside = file.rename(file.with_name("aside"))
        file.mkdir()
        yield aside
        file.rmdir()
        aside.rename(file)

    return hide


def test_annotations_that_cannot_be_read_for_a_moment_are_shown_as_they_were_and_then_as_they_are(
    manager, base, hidden, registry_of, caplog
):
    """The entry keeps its notes, its status is the new one, and the next reader reads again."""
    with pytest.raises(RuntimeError), manager.experiment({}, name="x") as exp:
        raise RuntimeError
    one = exp.id
    manager.add_note(one, "before")
    with hidden(one) as aside:
        with aside.open("a") as file:
            file.write(json.dumps({"time": "2099-01-01T00:00:00+00:00", "note": "meanwhile"}) + "\n")
        with manager.experiment({}, resume=one):
            pass
        assert [(entry["status"], entry["notes"]) for entry in registry_of(base)] == [("completed", "before")]
        assert listed(manager, one)["notes"] == "before"
        assert "cannot be read" in caplog.text
    assert shown(manager, one) == ("before\nmeanwhile", [])
    assert [entry["notes"] for entry in registry_of(base)] == ["before\nmeanwhile"]


def test_a_writer_that_had_to_wait_does_not_wait_for_what_cannot_be_read(manager, base, hidden, tmp_path):
    """Such an experiment stays pending; the writer applies it once, and continues."""
    one = make(manager)
    manager.add_note(one, "before")
    script = (
        "import sys, time, pathlib\nfrom runbook.index import pending\nfrom runbook.record.layout import BaseLayout\n"
    )
    script += "layout = BaseLayout(pathlib.Path(sys.argv[1]))\nwith pending.locked(layout, 9):\n    print(flush=True)\n"
    script += "    while not pending.is_marked(layout, sys.argv[2]): time.sleep(0.01)\n"
    with hidden(one):
        other = subprocess.Popen([sys.executable, "-c", script, base, one], stdout=subprocess.PIPE)
        other.stdout.readline()
        JsonRegistry(BaseLayout(base), str(base)).apply(one)
        assert other.wait(10) == 0
        other.stdout.close()
    assert shown(manager, one) == ("before", [])


def test_a_late_note_is_no_sign_of_life(manager, script, base):
    """An experiment on another machine ended when it last wrote, not when somebody added a note."""
    one = make(manager)
    path = base / one / "experiment.json"
    data = json.loads(path.read_text())
    data |= {"status": "running", "completed_at": None, "end_reason": None}
    data["attempts"][0] |= {"ended_at": None, "end_reason": None}
    data["attempts"][0]["owner"] |= {
        "host": "elsewhere",
        "boot_id": "another",
        "machine_id": "another",
        "is_locked": False,
    }
    path.write_text(json.dumps(data))
    long_ago = time.time() - 5000
    for found in [*(base / one).rglob("*"), base / one]:
        os.utime(found, (long_ago, long_ago))
    (base / "experiment_registry.json").unlink()
    manager.add_note(one, "is it dead?")
    manager.declare_ended(one)
    ended = record_of(manager.get_experiment(one)).completed_at
    assert abs(ended.timestamp() - max(long_ago, record_of(manager.get_experiment(one)).timestamp.timestamp())) < 2
    assert shown(manager, one)[0] == "is it dead?"


RUNNING = """
import sys, time
from runbook import experiment

with experiment({"lr": 0.1}, name="live", tags=["initial"], resume=sys.argv[1]) as exp:
    print(exp.id, flush=True)
    for step in range(int(sys.argv[2])):
        exp.log(loss=step)
        if step % 10 == 0:
            exp.note(f"own {exp.attempt} {step}")
            exp.add_tags(f"own-{exp.attempt}-{step}")
        time.sleep(0.005)
"""

ANNOTATING = """
import sys
from runbook import ExperimentManager

manager = ExperimentManager(sys.argv[1])
for nth in range(int(sys.argv[4])):
    manager.add_note(sys.argv[2], f"{sys.argv[3]} {nth}")
    manager.add_tags(sys.argv[2], f"{sys.argv[3]}-{nth}")
    if nth % 2:
        manager.remove_tags(sys.argv[2], f"{sys.argv[3]}-{nth - 1}")
"""


def check(manager, one, *, own, others):
    """Every note is there once, and every tag as the last change left it."""
    notes, tags = shown(manager, one)
    lines = notes.splitlines()
    assert sorted(lines) == sorted(set(lines)), "doubled"
    expected = {f"{who} {nth}" for who, count in others.items() for nth in range(count)} | own
    assert set(lines) == expected
    of_others = {f"{who}-{nth}" for who, count in others.items() for nth in range(1, count, 2)}
    assert set(tags) == of_others | {text.replace(" ", "-") for text in own} | {"initial"}
    assert len(tags) == len(set(tags))


def annotate(base, one, who, count):
    return subprocess.Popen([sys.executable, "-c", ANNOTATING, str(base), one, who, str(count)], stderr=subprocess.PIPE)


def test_a_hundred_notes_from_other_processes_while_it_runs_and_ends(manager, script, base, tmp_path):
    """Two processes annotate while it logs, notes, tags and ends; then it is resumed, killed, copied and merged."""
    process = script.start(RUNNING, "allow", "120")
    one = process.stdout.readline().strip()
    others = [annotate(base, one, who, 50) for who in ("ada", "bob")]
    assert [other.communicate(timeout=60)[1] for other in others] == [b"", b""]
    assert process.communicate(timeout=60)[1] == ""
    own = {f"own 1 {step}" for step in range(0, 120, 10)}
    others = {"ada": 50, "bob": 50}
    check(manager, one, own=own, others=others)

    # It is resumed, and a third process annotates meanwhile; then it is killed.
    data = json.loads((base / one / "experiment.json").read_text())
    (base / one / "experiment.json").write_text(json.dumps({**data, "status": "interrupted"}))
    manager.add_note(one, "cy 0")
    process = script.start(RUNNING, "live", "100000")
    assert process.stdout.readline().strip() == one
    while "own 2 20" not in str(manager.get_experiment(one).notes):
        time.sleep(0.01)
    manager.add_note(one, "cy 1")
    process.kill()
    process.communicate()
    manager.add_note(one, "cy 2")
    assert listed(manager, one)["status"] == "interrupted"
    manager.repair()
    lines = manager.get_experiment(one).notes.splitlines()
    assert len(lines) == len(set(lines)) and {"cy 0", "cy 1", "cy 2", *own} <= set(lines)
    assert sum(line.startswith(("ada", "bob")) for line in lines) == 100
    before = shown(manager, one)

    # Bundles and merges.
    for target in ("copies", "copy.zip"):
        made = manager.export_experiment(one, tmp_path / target)
        other = ExperimentManager(tmp_path / f"from {target}")
        other.import_experiment(made)
        assert shown(other, one) == before
        assert other.merge(base).annotated == ()
        assert shown(other, one) == before


def test_the_annotations_of_two_copies_come_together(manager, base, tmp_path):
    """By a merge in either direction, and by an import of a bundle; the experiments remain one."""
    one = make(manager)
    manager.add_note(one, "both")
    other = ExperimentManager(tmp_path / "other")
    assert other.merge(base).added == (one,)
    manager.add_note(one, "here")
    manager.add_tags(one, "t")
    other.add_note(one, "there")
    report = manager.merge(other.base_dir)
    assert (report.skipped, report.annotated, report.renamed) == ((one,), (one,), {})
    assert shown(manager, one) == ("both\nhere\nthere", ["t"])
    assert manager.merge(other.base_dir).annotated == ()
    bundle = manager.export_experiment(one, tmp_path / "copy.zip")
    assert other.import_experiment(bundle) is None
    assert shown(other, one) == shown(manager, one)
    assert len(manager.list_experiments()) == len(other.list_experiments()) == 1


def test_a_later_state_gets_the_annotations_of_the_earlier_one(manager, base, tmp_path):
    """The earlier one goes into the trash, but none of its annotations is lost."""
    one = None
    try:
        with manager.experiment({"lr": 0.1}, name="long") as exp:
            one = exp.id
            raise RuntimeError
    except RuntimeError:
        pass
    other = ExperimentManager(tmp_path / "other")
    other.merge(base)
    other.add_note(one, "of the earlier")
    with manager.experiment({"lr": 0.1}, name="long", resume="must"):
        pass
    manager.add_note(one, "of the later")
    assert other.merge(base).updated == (one,)
    assert shown(other, one) == ("of the earlier\nof the later", [])
    assert manager.merge(other.base_dir).annotated == (one,)
    assert shown(manager, one) == shown(other, one)


def test_a_deleted_and_restored_one_is_as_it_was(manager):
    """Its folder has the annotations, and so has the entry in the trash."""
    one = make(manager)
    manager.add_note(one, "n")
    manager.delete_experiment(one)
    assert manager.list_trash()[0]["notes"] == "n"
    manager.restore_experiment(one)
    assert shown(manager, one) == ("n", [])


def test_notes_while_it_is_deleted_and_restored_end_up_somewhere(manager, base):
    """Each is accepted and shown afterwards, or refused: none is acknowledged and lost."""
    one = make(manager)
    process = annotate(base, one, "ada", 60)
    while process.poll() is None:
        try:
            manager.delete_experiment(one)
            manager.restore_experiment(one)
        except ExperimentNotFoundError:
            pass
    err = process.communicate()[1].decode()
    notes = (manager.get_experiment(one).notes or "").splitlines()
    assert notes == [f"ada {nth}" for nth in range(len(notes))]
    assert process.returncode == 0 and len(notes) == 60 or "ExperimentNotFoundError" in err
