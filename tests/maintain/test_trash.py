"""Deleting, restoring, and deleting for good."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from runbook import ExperimentManager, ExperimentNotFoundError, errors
from runbook.index import registry_format
from runbook.index.registry import JsonRegistry
from runbook.maintain import trash
from runbook.record.layout import BaseLayout

LEGACY_ID = "20241216_143052_baseline_a1b2c3d4"


@pytest.fixture
def registry(base, manager):
    """The index of a base directory."""
    return JsonRegistry(BaseLayout(base), str(base))


def make(manager, name="x", **metrics):
    with manager.experiment({"name": name}, name=name) as exp:
        exp.save_final_metrics(metrics)
    return exp.id


def make_legacy(base, experiment_id=LEGACY_ID, *, has_folder=True, **fields):
    """An experiment of the legacy tool."""
    base.mkdir(exist_ok=True)
    if has_folder:
        (base / experiment_id).mkdir()
        (base / experiment_id / "config.json").write_text("{}")
    entry = {"experiment_id": experiment_id, "timestamp": "2024-12-16T14:30:52", "status": "completed", **fields}
    (base / "experiment_registry.json").write_text(json.dumps({"experiments": [entry]}, indent=2))
    return entry


def files_in(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def ids(manager):
    return {entry["experiment_id"] for entry in manager.list_experiments()}


def trash_ids(registry):
    return [entry["experiment_id"] for entry in trash.list_trashed(registry)]


def test_a_deleted_experiment_is_in_the_trash_and_is_listed_no_more(manager, registry, base, registry_of):
    """One rename moves its folder; its entry is removed; others stay."""
    gone, kept = make(manager, "gone"), make(manager, "kept")
    before = files_in(base / gone)
    where = trash.delete(registry, gone)
    assert where == base / ".trash" / gone and files_in(where) == before
    assert not (base / gone).exists()
    assert ids(manager) == {kept}
    assert [entry["experiment_id"] for entry in registry_of(base)] == [kept]
    assert not list((base / ".runbook" / "experiment_registry.json.pending").iterdir())
    with pytest.raises(ExperimentNotFoundError):
        manager.get_experiment(gone)


def test_a_restored_experiment_is_as_it_was(manager, registry, base):
    """Its files and its entry, also the fields that only the entry had."""
    gone = make(manager, "gone", f1=0.9)
    registry.insert({"experiment_id": gone, "rating": 5})
    before, entries = files_in(base / gone), manager.list_experiments()
    trash.delete(registry, gone)
    assert trash.restore(registry, gone) == gone
    assert files_in(base / gone) == before and manager.list_experiments() == entries
    assert entries[0]["rating"] == 5
    assert list((base / ".trash").iterdir()) == []


@pytest.mark.parametrize("wanted", ["name", "prefix"])
def test_a_name_or_the_beginning_of_an_id_will_do(manager, registry, wanted):
    """As everywhere."""
    gone = make(manager, "unique")
    wanted = "unique" if wanted == "name" else gone[:-3]
    trash.delete(registry, wanted)
    assert trash.restore(registry, wanted) == gone


def test_what_is_not_there_is_not_found(manager, registry):
    """Neither to delete nor to restore; the nearest are named."""
    make(manager, "baseline")
    with pytest.raises(ExperimentNotFoundError, match="did you mean baseline"):
        trash.delete(registry, "baselin_e")
    with pytest.raises(ExperimentNotFoundError, match="trash"):
        trash.restore(registry, "baseline")


@pytest.mark.parametrize("wanted", ["../x", "..", ".", "", "/etc", ".runbook", "experiment_registry.json"])
def test_only_experiments_can_be_deleted(manager, registry, base, wanted):
    """Nothing else in or around the base directory goes by an id."""
    make(manager)
    with pytest.raises(ExperimentNotFoundError):
        trash.delete(registry, wanted)
    assert (base / "experiment_registry.json").exists() and len(ids(manager)) == 1


def test_the_trash_can_be_listed(manager, registry, base):
    """The former entries with their present paths and the times of deletion, the earliest first."""
    first, second = make(manager, "b", f1=0.5), make(manager, "a")
    assert trash.list_trashed(registry) == []
    trash.delete(registry, first)
    trash.delete(registry, second)
    found = trash.list_trashed(registry)
    assert [entry["experiment_id"] for entry in found] == [first, second]
    assert (found[0]["metrics"], found[0]["directory"]) == ({"f1": 0.5}, str(base / ".trash" / first))
    assert found[0]["deleted_at"] < found[1]["deleted_at"]


def test_the_same_id_can_be_deleted_more_than_once(manager, registry, base, tmp_path):
    """Each gets a folder of its own; the latest is restored first, and the one before it when the hint is followed."""
    gone = make(manager)
    for n in range(3):
        if n:
            shutil.copytree(base / ".trash" / gone, base / gone)
        (base / gone / "results" / "n").write_text(str(n))
        trash.delete(registry, gone)
    assert trash_ids(registry) == [gone] * 3
    assert trash.restore(registry, gone) == gone
    assert (base / gone / "results" / "n").read_text() == "2"
    with pytest.raises(errors.ExperimentExistsError, match="move its folder out of the base directory"):
        trash.restore(registry, gone)
    (base / gone).rename(tmp_path / "moved")
    assert trash.restore(registry, gone) == gone
    assert (base / gone / "results" / "n").read_text() == "1"
    assert trash.empty(registry) == 1 and ids(manager) == {gone}


def test_a_running_experiment_is_refused(manager, registry, base):
    """The message names its process; the experiment continues undisturbed."""
    with manager.experiment({}, name="live") as exp:
        with pytest.raises(errors.UsageError, match=f"is running on .* in process {os.getpid()}; end it first"):
            trash.delete(registry, exp.id)
        exp.log(loss=1.0)
    assert manager.get_experiment(exp.id).status == "completed" and trash.list_trashed(registry) == []
    trash.delete(registry, exp.id)
    assert ids(manager) == set()


def test_one_whose_process_is_dead_is_not_running(manager, registry, script, base):
    """A killed experiment can be deleted before any reader has found its death."""
    done = script.run(
        """
        import os, signal
        from runbook import experiment
        exp = experiment({}, name="killed").__enter__()
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    assert done.returncode == -signal.SIGKILL
    trash.delete(registry, "killed")
    assert ids(manager) == set()
    trash.restore(registry, "killed")
    assert manager.get_experiment("killed").status == "interrupted"


def test_one_of_the_legacy_tool_keeps_the_fields_of_its_entry(base):
    """Its entry is all there is of it."""
    former = make_legacy(base, notes="good", extra=3)
    manager, registry = ExperimentManager(base), JsonRegistry(BaseLayout(base), str(base))
    trash.delete(registry, LEGACY_ID)
    assert ids(manager) == set() and trash.list_trashed(registry)[0]["extra"] == 3
    trash.restore(registry, LEGACY_ID)
    entry = manager.list_experiments()[0]
    assert {key: entry[key] for key in former} == former


def test_an_entry_of_the_legacy_tool_without_a_folder_can_be_deleted_and_restored(base):
    """Its entry is removed, and comes back; no folder appears."""
    make_legacy(base, has_folder=False, notes="good")
    manager, registry = ExperimentManager(base), JsonRegistry(BaseLayout(base), str(base))
    assert ids(manager) == {LEGACY_ID}
    trash.delete(registry, LEGACY_ID)
    assert ids(manager) == set() and trash_ids(registry) == [LEGACY_ID]
    trash.restore(registry, LEGACY_ID)
    assert manager.list_experiments()[0]["notes"] == "good" and not (base / LEGACY_ID).exists()


def test_an_entry_of_the_legacy_tool_that_runs_without_a_folder_stays(base, registry_of):
    """A reader that brings other entries up to date does not take it for a deleted one."""
    make_legacy(base, has_folder=False, status="running")
    manager = ExperimentManager(base)
    one = make(manager)
    (base / "experiment_registry.json").write_text(
        json.dumps({"experiments": [entry for entry in registry_of(base) if entry["experiment_id"] != one]})
    )
    for _ in range(2):
        assert ids(manager) == {LEGACY_ID, one}
    assert {entry["experiment_id"] for entry in registry_of(base)} == {LEGACY_ID, one}


# An experiment whose folder is gone


def test_a_folder_that_somebody_removed_is_warned_about_once_and_not_listed(manager, base, caplog, registry_of):
    """Its entry stays, and it is listed again when its folder is back."""
    gone, kept = make(manager, "gone"), make(manager, "kept")
    (base / gone).rename(base.parent / gone)
    assert ids(manager) == {kept} and ids(manager) == {kept}
    assert caplog.text.count(gone) == 1
    assert "not listed until the folders return" in caplog.text
    make(manager, "another")
    assert gone in {entry["experiment_id"] for entry in registry_of(base)}
    (base.parent / gone).rename(base / gone)
    assert gone in ids(manager)


def test_a_deleted_one_is_no_reason_for_a_warning(manager, registry, caplog):
    """The user has deleted it on purpose."""
    trash.delete(registry, make(manager))
    manager.list_experiments()
    trash.empty(registry)
    manager.list_experiments()
    assert caplog.text == ""


# For good


def test_emptying_deletes_what_is_in_the_trash_and_nothing_else(manager, registry, base):
    """It returns their number; there is nothing to restore then."""
    gone, kept = make(manager, "gone"), make(manager, "kept")
    before = files_in(base / kept)
    trash.delete(registry, gone)
    assert trash.empty(registry) == 1 and trash.empty(registry) == 0
    assert list((base / ".trash").iterdir()) == []
    assert files_in(base / kept) == before and ids(manager) == {kept}
    with pytest.raises(ExperimentNotFoundError):
        trash.restore(registry, gone)


def test_emptying_follows_no_links(manager, registry, base, tmp_path):
    """Links in an experiment and in the trash itself are removed; what they point to stays."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data").write_text("data")
    gone, kept = make(manager, "gone"), make(manager, "kept")
    (base / gone / "results" / "link").symlink_to(precious)
    (base / gone / "results" / "up").symlink_to(base / kept)
    trash.delete(registry, gone)
    (base / ".trash" / "link").symlink_to(precious)
    (base / ".trash" / LEGACY_ID).symlink_to(base / kept)
    assert trash_ids(registry) == [gone]
    assert trash.empty(registry) == 1
    assert (precious / "data").read_text() == "data" and (base / kept / "experiment.json").exists()
    assert list((base / ".trash").iterdir()) == []


def test_a_trash_that_is_a_link_is_refused(manager, registry, base, tmp_path):
    """Nothing moves to where it leads, and nothing there is deleted."""
    (tmp_path / "elsewhere" / LEGACY_ID).mkdir(parents=True)
    (base / ".trash").symlink_to(tmp_path / "elsewhere")
    one = make(manager)
    for call in (
        lambda: trash.delete(registry, one),
        lambda: trash.empty(registry),
        lambda: trash.restore(registry, LEGACY_ID),
    ):
        with pytest.raises(errors.BaseDirectoryError, match="a link in the place of its trash"):
            call()
    assert (tmp_path / "elsewhere" / LEGACY_ID).exists() and ids(manager) == {one}


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"line": 3}', b'{"line": {"experiment_id": "../evil"}}'])
def test_a_damaged_entry_in_the_trash_is_replaced_by_the_record(manager, registry, base, content):
    """The folder is the truth; the file beside it never leads to another path."""
    gone = make(manager, "gone", f1=0.9)
    trash.delete(registry, gone)
    beside = BaseLayout(base).trashed_entry(base / ".trash" / gone)
    beside.unlink() if content is None else beside.write_bytes(content)
    assert trash_ids(registry) == [gone]
    assert trash.restore(registry, gone) == gone
    assert manager.list_experiments()[0]["metrics"] == {"f1": 0.9}


def test_a_folder_in_the_trash_without_a_record_can_be_restored(registry, manager, base):
    """Somebody may have moved any folder there by hand."""
    (base / ".trash" / LEGACY_ID).mkdir(parents=True)
    (base / ".trash" / LEGACY_ID / "config.json").write_text("{}")
    assert trash.list_trashed(registry)[0]["status"] == "unknown"
    assert trash.restore(registry, LEGACY_ID) == LEGACY_ID
    assert ids(manager) == {LEGACY_ID}


# Killed processes


COMMANDS = """
import sys
from pathlib import Path
from runbook.maintain import trash
from runbook.record.layout import BaseLayout
from runbook.index.registry import JsonRegistry
base, what, wanted = sys.argv[1:]
registry = JsonRegistry(BaseLayout(Path(base)), base)
print(trash.empty(registry) if what == "empty" else getattr(trash, what)(registry, wanted))
"""

needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None
    or subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode != 0,
    reason="strace is not installed, or may not trace here",
)


def traced(base, what, wanted, call, action, when):
    """Run a command with a fault injected at the `when`-th call; its exit code."""
    return subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:{action}:when={when}"]
        + [sys.executable, "-c", COMMANDS, str(base), what, wanted],
        capture_output=True,
        text=True,
    ).returncode


def assert_in_one_place(base, experiment_id):
    """Listed or in the trash, never both, never neither; its files are whole where it is."""
    manager, registry = ExperimentManager(base), JsonRegistry(BaseLayout(base), str(base))
    places = [experiment_id in ids(manager), experiment_id in trash_ids(registry)]
    assert places.count(True) == 1, places
    raw = (base / "experiment_registry.json").read_bytes()
    in_file = {entry["experiment_id"] for entry in registry_format.decode(raw, "registry").values()}
    if places[1]:
        with pytest.raises(ExperimentNotFoundError):
            manager.get_experiment(experiment_id)
    return places[0], experiment_id in in_file


@pytest.mark.slow
@needs_strace
@pytest.mark.parametrize("is_ours", [True, False], ids=["ours", "legacy"])
def test_a_delete_that_is_killed_at_any_rename_leaves_it_in_one_place(base, is_ours):
    """And after the next read its entry is in the same place as its folder."""
    outcomes = []
    for when in range(1, 12):
        shutil.rmtree(base, ignore_errors=True)
        one = make(ExperimentManager(base)) if is_ours else make_legacy(base, notes="good")["experiment_id"]
        code = traced(base, "delete", one, "rename", "signal=SIGKILL", when)
        is_listed, is_in_file = assert_in_one_place(base, one)
        assert is_listed == is_in_file
        outcomes.append(is_listed)
        registry = JsonRegistry(BaseLayout(base), str(base))
        if is_listed:
            trash.delete(registry, one)
        trash.restore(registry, one)
        assert ids(ExperimentManager(base)) == {one}
        if not is_ours:
            assert ExperimentManager(base).list_experiments()[0]["notes"] == "good"
        if code == 0:
            break
    assert code == 0 and outcomes[0] is True and outcomes[-1] is False and len(outcomes) >= 4


@pytest.mark.slow
@needs_strace
@pytest.mark.parametrize("is_ours", [True, False], ids=["ours", "legacy"])
def test_a_restore_that_is_killed_at_any_rename_leaves_it_in_one_place(base, is_ours):
    """It can be restored again then, and no field of its entry is lost."""
    for when in range(1, 12):
        shutil.rmtree(base, ignore_errors=True)
        one = make(ExperimentManager(base)) if is_ours else make_legacy(base, notes="good")["experiment_id"]
        registry = JsonRegistry(BaseLayout(base), str(base))
        trash.delete(registry, one)
        code = traced(base, "restore", one, "rename", "signal=SIGKILL", when)
        is_listed, _ = assert_in_one_place(base, one)
        if not is_listed:
            trash.restore(registry, one)
        entry = ExperimentManager(base).list_experiments()[0]
        assert (entry["experiment_id"], entry["notes"]) == (one, None if is_ours else "good")
        if code == 0:
            break
    assert code == 0 and when >= 3


@pytest.mark.slow
@needs_strace
def test_an_emptying_that_is_killed_leaves_nothing_that_could_be_restored_half(base):
    """An experiment in the trash is whole, or gone."""
    manager = ExperimentManager(base)
    registry = JsonRegistry(BaseLayout(base), str(base))
    for when in (1, 2, 4):
        one = make(manager)
        before = files_in(base / one)
        trash.delete(registry, one)
        assert traced(base, "empty", "", "unlinkat", "signal=SIGKILL", when) != 0
        for entry in trash.list_trashed(registry):
            assert files_in(base / ".trash" / entry["experiment_id"]) == before
        trash.empty(registry)
        assert list((base / ".trash").iterdir()) == []


@pytest.mark.slow
@needs_strace
@pytest.mark.parametrize("call", ["rename", "fsync", "mkdir"])
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_a_delete_that_fails_on_the_disk_leaves_it_in_one_place(base, call, error):
    """At any call an error, and never an experiment that is in neither place."""
    manager = ExperimentManager(base)
    for when in (1, 2, 3):
        one = make(manager)
        traced(base, "delete", one, call, f"error={error}", when)
        assert_in_one_place(base, one)
    one = make(manager)
    assert traced(base, "delete", one, call, f"error={error}", 10_000) == 0
    assert assert_in_one_place(base, one) == (False, False)


@pytest.mark.slow
def test_deleting_and_starting_at_once_lose_nothing(base, manager):
    """Processes that delete, and one that starts experiments, share one registry."""
    doomed = [make(manager, f"doomed{n}") for n in range(6)]
    processes = [
        subprocess.Popen([sys.executable, "-c", COMMANDS, str(base), "delete", one], stdout=subprocess.PIPE)
        for one in doomed
    ]
    kept = {make(manager, f"kept{n}") for n in range(10)}
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    registry = JsonRegistry(BaseLayout(base), str(base))
    assert ids(manager) == kept and sorted(trash_ids(registry)) == sorted(doomed)


# The splice


def test_an_entry_is_removed_at_any_position():
    """First, last, in the middle, alone; what else the document holds stays."""
    entries = [{"experiment_id": name, "status": "completed"} for name in "abc"]
    for others in ({}, {"version": 2}):
        for gone in "abc":
            raw = registry_format.EntryEditor(registry_format.encode(entries, others), {gone: None}).replaced(
                {gone: None}
            )
            assert registry_format.has_entry_lines(raw)
            assert [*registry_format.decode(raw, "x").values()] == [
                entry for entry in entries if entry["experiment_id"] != gone
            ]
        raw = registry_format.encode(entries, others)
        for gone in "bac":
            raw = registry_format.EntryEditor(raw, {gone: None}).replaced({gone: None})
        assert raw == registry_format.encode([], others) and registry_format.has_entry_lines(raw)
        raw = registry_format.EntryEditor(raw, {entries[0]["experiment_id"]: entries[0]}).replaced(
            {entries[0]["experiment_id"]: entries[0]}
        )
        assert [*registry_format.decode(raw, "x").values()] == entries[:1] and registry_format.read_other_fields(
            raw, "x"
        ) == others


class TrashMachine(RuleBasedStateMachine):
    """Deleting, restoring and emptying against a model of two sets."""

    def __init__(self):
        import tempfile
        from pathlib import Path

        super().__init__()
        self.base = Path(tempfile.mkdtemp())
        self.registry = JsonRegistry(BaseLayout(self.base), str(self.base))
        self.listed, self.trashed, self.count = set(), set(), 0
        ExperimentManager(self.base)

    @rule()
    def start(self):
        self.count += 1
        one = f"20241216_1430{self.count:02d}_a1b2c3d4"
        layout = BaseLayout(self.base).experiment(one)
        layout.root.mkdir()
        record = {"format_version": 1, "experiment_id": one, "timestamp": "2024-12-16T14:30:52+00:00"}
        record |= {"status": "completed", "config": {}, "config_hash": "a1b2c3d4"}
        layout.record.write_text(json.dumps(record))
        self.registry.apply(one)
        self.listed.add(one)

    @precondition(lambda self: self.listed)
    @rule(data=st.data())
    def delete(self, data):
        one = data.draw(st.sampled_from(sorted(self.listed)))
        trash.delete(self.registry, one)
        self.listed.remove(one)
        self.trashed.add(one)

    @precondition(lambda self: self.trashed)
    @rule(data=st.data())
    def restore(self, data):
        one = data.draw(st.sampled_from(sorted(self.trashed)))
        trash.restore(self.registry, one)
        self.trashed.remove(one)
        self.listed.add(one)

    @rule()
    def empty(self):
        assert trash.empty(self.registry) == len(self.trashed)
        self.trashed.clear()

    @invariant()
    def both_are_what_the_model_says(self):
        assert {entry["experiment_id"] for entry in self.registry.entries()} == self.listed
        assert {entry["experiment_id"] for entry in trash.list_trashed(self.registry)} == self.trashed
        raw = (self.base / "experiment_registry.json").read_bytes() if self.count else registry_format.EMPTY
        assert {entry["experiment_id"] for entry in registry_format.decode(raw, "x").values()} == self.listed

    def teardown(self):
        shutil.rmtree(self.base)


TestTrashMachine = TrashMachine.TestCase
TestTrashMachine.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)
